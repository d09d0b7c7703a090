//! How late a plateau could have begun and still been seen.

use serde::Serialize;

use super::analysis::Analysis;
use super::local::quantile;
use super::search::Given;
use super::verdict::{Label, judge};
use crate::random::Random;

/// The power of the rules against a plateau: the fitted line, flat from some compute on, under the noise that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Horizon {
    /// Where the simulated plateaus begin, and how often they were seen.
    pub plateaus: Vec<SimulatedPlateau>,
    /// The same in words.
    pub sentence: String,
}

/// A simulated plateau.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SimulatedPlateau {
    /// The compute from which accuracy stays flat.
    pub from: f64,
    /// The share of simulations in which the verdict was a plateau or a saturation.
    pub seen: f64,
}

/// Where plateaus begin, as quantiles of log compute over samples.
const QUANTILES: [f64; 2] = [0.5, 0.75];
const DRAWS: usize = 50;

pub(super) fn horizon(analysis: &Analysis) -> Horizon {
    let plateaus: Vec<SimulatedPlateau> = QUANTILES.iter().map(|&q| simulate(analysis, q)).collect();
    let seen = plateaus.iter().rev().find(|plateau| plateau.seen >= 0.8);
    let sentence = match seen {
        Some(seen) => format!(
            "no plateau detected; one beginning before C = {:.1e} would have been seen with probability 0.8",
            seen.from
        ),
        None => format!(
            "no plateau detected, but even one beginning at C = {:.1e} would have been seen with probability {:.2} only",
            plateaus[0].from, plateaus[0].seen
        ),
    };
    Horizon { plateaus, sentence }
}

fn simulate(analysis: &Analysis, q: f64) -> SimulatedPlateau {
    let at = quantile(&analysis.samples, q);
    let Some(line) = analysis.form("log_linear") else { return SimulatedPlateau { from: 10_f64.powf(at), seen: 0.0 } };
    let spread = analysis.noise.variance.sqrt();
    let seen = (0..DRAWS).filter(|&draw| {
        let mut random = Random::keyed(draw as u64);
        let drawn =
            |_: usize, s: &super::samples::Sample| line.predict(s.x.min(at)) + spread * s.sigma * random.normal();
        let samples = analysis.samples.mapped(0.0, drawn);
        let label = judge(&Analysis::of(samples, None, Given::Nothing)).label;
        matches!(label, Label::Plateau | Label::Saturating)
    });
    SimulatedPlateau { from: 10_f64.powf(at), seen: seen.count() as f64 / DRAWS as f64 }
}
