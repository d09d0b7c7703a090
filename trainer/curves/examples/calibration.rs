//! Measures how often the verdicts are right, over simulated runs of known truth, and prints the table that
//! `docs/CALIBRATION.md` keeps:
//!
//! `cargo run --release -p rlvr-curves --example calibration -- [RUNS] [FIRST_SEED]`
#![expect(clippy::print_stdout, reason = "a program for people")]

use rlvr_curves::calibration::{Tally, scenarios};
use rlvr_curves::fit::Label;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a whole number"));
    let (runs, first) = (arguments.next().unwrap_or(200), arguments.next().unwrap_or(1));
    println!("| truth | verdicts | A covered | slope covered | line unbiased from ½ |");
    println!("|---|---|---|---|---|");
    let all = scenarios();
    let wanted = std::env::var("ONLY").unwrap_or_default();
    for scenario in all.iter().filter(|scenario| scenario.name.contains(&wanted)) {
        let tally = scenario.measure(runs as usize, first);
        let slope = format!("{:.1} %", 100.0 * tally.covers_slope as f64 / runs as f64);
        let unbiased = format!("{:.1} %", 100.0 * tally.unbiased as f64 / runs as f64);
        let is_line = matches!(scenario.truth, rlvr_curves::calibration::Truth::Line { .. });
        let (slope, unbiased) = if is_line { (slope, unbiased) } else { (String::new(), String::new()) };
        println!(
            "| {} | {} | {} | {slope} | {unbiased} |",
            scenario.name,
            verdicts(&tally),
            covered(scenario.truth.asymptote(), &tally)
        );
    }
}

fn verdicts(tally: &Tally) -> String {
    let mut shares: Vec<(f64, &str)> = Label::ALL.iter().map(|&label| (tally.share(label), label.as_str())).collect();
    shares.retain(|(share, _)| *share > 0.0);
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    let shown: Vec<String> = shares.iter().map(|(share, word)| format!("{word} {:.1} %", 100.0 * share)).collect();
    shown.join(", ")
}

fn covered(asymptote: Option<f64>, tally: &Tally) -> String {
    let called = tally.verdicts.get(&Label::Saturating).copied().unwrap_or(0);
    match asymptote {
        Some(_) if called > 0 => format!("{:.1} % of {called}", 100.0 * tally.covers_asymptote as f64 / called as f64),
        _ => String::new(),
    }
}
