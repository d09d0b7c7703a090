//! Measures how often the verdicts are right, over simulated runs of known truth, and prints the table that
//! `docs/CALIBRATION.md` keeps:
//!
//! `cargo run --release -p rlvr-curves --example calibration -- [RUNS] [FIRST_SEED]`
#![expect(clippy::print_stdout, reason = "a program for people")]

use rlvr_curves::calibration::{Tally, Truth, scenarios};
use rlvr_curves::estimate::Interval;
use rlvr_curves::fit::Label;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().expect("a whole number"));
    let (runs, first) = (arguments.next().unwrap_or(200), arguments.next().unwrap_or(1));
    println!(
        "| truth | verdicts | A covered | A, 5–95 % | slope covered | line unbiased from ½ | late below early | z > 3 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let all = scenarios();
    for scenario in &all {
        let tally = scenario.measure(runs as usize, first);
        let share = |n: usize| format!("{:.1} %", 100.0 * n as f64 / runs as f64);
        let is_line = matches!(scenario.truth, Truth::Line { .. });
        let of_line = |n: usize| if is_line { share(n) } else { String::new() };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            scenario.name,
            verdicts(&tally),
            covered(scenario.truth.asymptote(), &tally),
            quantiles(scenario.truth.asymptote(), &tally),
            of_line(tally.covers_slope),
            of_line(tally.unbiased),
            share(tally.flattens),
            share(tally.rises)
        );
    }
}

/// Where the asymptote of the sigmoid lies in nine of ten runs.
fn quantiles(asymptote: Option<f64>, tally: &Tally) -> String {
    let interval = asymptote.and_then(|_| Interval::of_draws(tally.asymptotes.clone(), 0.9));
    interval.map_or(String::new(), |i| format!("{:.2}–{:.2}", i.low, i.high))
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
