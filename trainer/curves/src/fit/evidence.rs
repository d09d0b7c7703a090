//! What a verdict rests on: one run, two seeds, or a replication.

use serde::Serialize;

use super::analysis::Analysis;
use super::local::Slope;
use super::result::Options;
use super::samples::Samples;
use super::verdict::{Label, judge};
use crate::estimate::student_mean;
use crate::points::Series;

/// How much a verdict rests on. Only `replicated` may be called a scaling law, or a trend of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Evidence {
    /// One run describes itself.
    #[serde(rename = "one run")]
    OneRun,
    /// Two seeds; or more, of which one contradicts the verdict.
    #[serde(rename = "two seeds")]
    TwoSeeds,
    /// At least three seeds, none of which alone contradicts the verdict.
    #[serde(rename = "replicated")]
    Replicated,
}

/// One series alone.
#[derive(Clone, Debug, Serialize)]
pub struct SeedFit {
    /// Its name.
    pub name: String,
    /// Its points.
    pub points: usize,
    /// Its verdict.
    pub label: Label,
    /// Its slope.
    pub slope: Option<Slope>,
    /// Whether its verdict contradicts that over all series.
    pub contradicts: bool,
}

/// A mean over seeds with the half width of its 95 % interval, t · s / √S.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SeedMean {
    /// The mean.
    pub mean: f64,
    /// Half of the interval.
    pub half_width: f64,
    /// The number of seeds.
    pub seeds: usize,
}

impl Evidence {
    pub(super) fn of(alone: &[SeedFit]) -> Self {
        match alone.len() {
            0 | 1 => Self::OneRun,
            2 => Self::TwoSeeds,
            _ if alone.iter().any(|seed| seed.contradicts) => Self::TwoSeeds,
            _ => Self::Replicated,
        }
    }

    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneRun => "one run",
            Self::TwoSeeds => "two seeds",
            Self::Replicated => "replicated",
        }
    }
}

/// Fits each series alone; nothing if there is only one.
pub(super) fn alone(series: &[Series], pooled: &Analysis, label: Label, options: &Options) -> Vec<SeedFit> {
    if series.len() < 2 {
        return vec![];
    }
    let fit_one = |one: &Series| {
        let samples = Samples::of(std::slice::from_ref(one));
        let samples = options.from.map_or_else(|| samples.clone(), |from| samples.split(from.log10() - 1e-9).1);
        let analysis = Analysis::of(samples, pooled.start, options.given);
        let verdict = judge(&analysis);
        SeedFit {
            name: one.name.clone(),
            points: analysis.samples.n(),
            label: verdict.label,
            slope: analysis.slope,
            contradicts: contradicts(verdict.label, label),
        }
    };
    series.iter().map(fit_one).collect()
}

/// Whether a seed that says one thing contradicts a claim. A weaker statement of the same direction does not.
fn contradicts(seed: Label, claim: Label) -> bool {
    use Label::{Broken, Declining, LogLinear, NoEffect, Plateau, Rising, Saturating, Undetermined};
    match (seed, claim) {
        (Undetermined, _) | (_, Undetermined) => false,
        (Rising, LogLinear | Saturating | Broken | Plateau) | (LogLinear | Saturating | Broken | Plateau, Rising) => {
            false
        }
        (Declining | NoEffect | Plateau | Broken | Saturating | LogLinear | Rising, claim) => seed != claim,
    }
}

/// The mean slope over series that have one.
pub(super) fn mean_slope(alone: &[SeedFit]) -> Option<SeedMean> {
    let slopes: Vec<f64> = alone.iter().filter_map(|seed| Some(seed.slope?.value)).collect();
    let (mean, half_width) = student_mean(&slopes)?;
    Some(SeedMean { mean, half_width, seeds: slopes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(labels: &[Label], claim: Label) -> Evidence {
        let seed = |&label: &Label| SeedFit {
            name: String::new(),
            points: 9,
            label,
            slope: None,
            contradicts: contradicts(label, claim),
        };
        Evidence::of(&labels.iter().map(seed).collect::<Vec<_>>())
    }

    #[test]
    fn only_three_seeds_that_agree_are_a_replication() {
        use Label::{LogLinear, NoEffect, Rising, Undetermined};
        assert_eq!(evidence(&[], LogLinear), Evidence::OneRun);
        assert_eq!(evidence(&[LogLinear, LogLinear], LogLinear), Evidence::TwoSeeds);
        assert_eq!(evidence(&[LogLinear, Rising, Undetermined], LogLinear), Evidence::Replicated);
        assert_eq!(evidence(&[LogLinear, LogLinear, NoEffect], LogLinear), Evidence::TwoSeeds);
    }
}
