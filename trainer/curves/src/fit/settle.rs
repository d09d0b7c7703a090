//! What would settle what a verdict leaves open: compute, problems or seeds, by how errors shrink with each.

use std::collections::BTreeMap;

use super::analysis::Analysis;
use super::local::Slope;
use super::verdict::{self, FEWEST, GAIN_SEEN, LINE_DECADES, Label, NARROWEST, SATURATING, Verdict, WIDEST_ASYMPTOTE};
use crate::estimate::Z95;

/// Sentences, the most telling first; none where nothing is open.
pub(super) fn would_settle(analysis: &Analysis, verdict: &Verdict, seeds: usize) -> Vec<String> {
    let mut all = match (verdict.label, verdict.rule) {
        (Label::Undetermined, 0) => too_few(analysis),
        (Label::Undetermined, _) => analysis.slope.map(weak_slope).unwrap_or_default(),
        (Label::NoEffect, _) => analysis.slope.map(finer).unwrap_or_default(),
        (Label::Rising, _) => [line(analysis), asymptote(analysis)].concat(),
        (Label::LogLinear | Label::Broken | Label::Saturating | Label::Plateau | Label::Declining, _) => vec![],
    };
    if seeds < 3 && verdict.rule > 0 {
        let more = 3 - seeds;
        let runs = if more == 1 { "one more seed".to_owned() } else { format!("{more} more seeds") };
        all.push(format!("{runs} of the same run before anything is said of the method, not of {}", these(seeds)));
    }
    all
}

fn these(seeds: usize) -> &'static str {
    if seeds < 2 { "this run" } else { "these runs" }
}

fn too_few(analysis: &Analysis) -> Vec<String> {
    let (n, decades) = (analysis.samples.n_distinct(), analysis.samples.decades());
    let mut all = vec![];
    if n < FEWEST {
        all.push(format!("{} more checkpoints at other values of compute", FEWEST - n));
    }
    if decades < NARROWEST && n > 0 {
        let to = 10_f64.powf(analysis.samples.low() + NARROWEST);
        all.push(format!("evaluations up to C = {to:.2e}, {NARROWEST} decades from the first"));
    }
    all
}

/// A slope's error shrinks with the root of the samples, and with the decades to the power 3/2 at the same spacing.
fn weak_slope(slope: Slope) -> Vec<String> {
    let z = slope.z().abs();
    if z < 0.1 {
        return finer(slope);
    }
    let (problems, decades) = ((3.0 / z).powi(2), slope.decades * (3.0 / z).powf(2.0 / 3.0));
    vec![
        format!("{problems:.1} times as many problems or samples at each checkpoint, if the slope is what it seems"),
        format!("or {decades:.1} decades of compute instead of {:.1}, at the same spacing", slope.decades),
    ]
}

/// What it takes to see one point per tenfold with probability 0.8.
fn finer(slope: Slope) -> Vec<String> {
    let factor = (2.8 * slope.se / 0.01).powi(2);
    if factor <= 1.0 {
        return vec![];
    }
    vec![format!(
        "{factor:.1} times as many problems or samples to see a slope of 1 point per 10× with probability 0.8"
    )]
}

/// What keeps a straight line from being identified.
fn line(analysis: &Analysis) -> Vec<String> {
    let mut all = vec![];
    let decades = analysis.samples.decades();
    if decades < LINE_DECADES {
        let to = 10_f64.powf(analysis.samples.low() + LINE_DECADES);
        all.push(format!(
            "evaluations up to C = {to:.2e} ({LINE_DECADES} decades) before a straight line can be claimed"
        ));
    }
    if let Some(late) = analysis.halves.map(|halves| halves.late)
        && late.interval().0 <= 0.0
        && late.value > 0.0
    {
        let factor = (Z95 / late.z()).powi(2);
        all.push(format!(
            "{factor:.1} times as many {}, to tell the slope of the late half from 0",
            if is_between_seeds(analysis) { "seeds" } else { "problems, or evaluations in that half" }
        ));
    }
    all
}

/// Whether most of what the best saturating form leaves over is an offset of each seed, which problems and samples do not
/// shrink.
fn is_between_seeds(analysis: &Analysis) -> bool {
    let Some((best, _)) = analysis.best(&SATURATING) else { return false };
    let mut of_series: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    let mut total = 0.0;
    for sample in analysis.samples.all() {
        let residual = sample.y - best.predict(sample.x);
        let (sum, weight) = of_series.entry(sample.series).or_default();
        *sum += sample.weight() * residual;
        *weight += sample.weight();
        total += sample.weight() * residual * residual;
    }
    let between: f64 = of_series.values().map(|(sum, weight)| sum * sum / weight).sum();
    of_series.len() > 1 && between > 0.5 * total
}

/// What keeps an asymptote from being identified, if the best saturating form holds.
fn asymptote(analysis: &Analysis) -> Vec<String> {
    let Some((best, _)) = analysis.best(&SATURATING) else { return vec![] };
    let mut all = vec![];
    let seen = analysis.gain_seen(best).unwrap_or(0.0);
    let (name, params) = (best.shape.name(), best.params());
    if analysis.is_asymptote_at_bound(best) || seen < GAIN_SEEN {
        let ratio = match name {
            // Four times C_mid is where simulations begin to recover A.
            "sigmoid" => Some(params[3] + 4_f64.log10() - analysis.samples.high()),
            "exp_sat" => Some(params[2] + 3_f64.log10() - analysis.samples.high()),
            _ => None,
        };
        match ratio.filter(|&more| more > 0.0 && more <= 1.0 && !analysis.is_asymptote_at_bound(best)) {
            Some(more) => all.push(format!(
                "{:.1} times as much compute (C = {:.2e}) to see where it bends, if {name} holds",
                10_f64.powf(more),
                10_f64.powf(analysis.samples.high() + more)
            )),
            None => all
                .push("an asymptote needs a bend, which lies too far beyond the last point to say how far".to_owned()),
        }
    } else if let Some((_, half)) = analysis.asymptote(best).filter(|(_, half)| *half > WIDEST_ASYMPTOTE) {
        let factor = (half / WIDEST_ASYMPTOTE).powi(2);
        let what = if is_between_seeds(analysis) { "seeds" } else { "problems or samples" };
        all.push(format!("{factor:.1} times as many {what} for an asymptote within ± {WIDEST_ASYMPTOTE}"));
    } else if all.is_empty() && verdict::objections_to_asymptote(analysis).len() == 1 {
        all.push("checkpoints beyond the last, which would tell the forms that fit as well apart".to_owned());
    }
    all
}
