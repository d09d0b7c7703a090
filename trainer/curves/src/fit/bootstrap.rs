//! Intervals of a form's parameters by drawing problems, or seeds, anew.
//!
//! All checkpoints answer the same problems, so a problem is drawn for all of them together: what its difficulty adds to
//! one point it adds to the next, and a curve's shape is surer than its level.

use std::collections::BTreeMap;

use serde::Serialize;

use super::samples::Samples;
use super::search::{refit, search};
use super::shapes;
use crate::estimate::Interval;
use crate::outcomes::{Counts, RunOutcomes};
use crate::points::{Point, Series};
use crate::random::Random;

/// What is drawn with replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resample {
    /// Problems: the interval is about other problems of the kind, for these runs.
    Problems,
    /// Runs: about other seeds. With fewer than about eight it is too narrow; use Student's t over seeds.
    Seeds,
    /// Both.
    Both,
}

/// A parameter over draws.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The parameter.
    pub name: &'static str,
    /// Its value for the outcomes as they are.
    pub value: f64,
    /// The standard deviation over draws.
    pub se: f64,
    /// Lower end of the 95 % percentile interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Draws problems or runs anew `draws` times and fits a form each time. Equal seeds give equal intervals.
///
/// None if the form is unknown or cannot be fitted.
pub fn bootstrap(runs: &[RunOutcomes], form: &str, resample: Resample, draws: usize, seed: u64) -> Option<Vec<Spread>> {
    let shape = *shapes::ALL.iter().find(|shape| shape.name() == form)?;
    let mut ids: Vec<&str> =
        runs.iter().flat_map(|run| &run.checkpoints).flat_map(|c| c.problems.keys().map(String::as_str)).collect();
    ids.sort_unstable();
    ids.dedup();
    let once: BTreeMap<&str, f64> = ids.iter().map(|&id| (id, 1.0)).collect();
    let all: Vec<usize> = (0..runs.len()).collect();
    let found = search(shape, &Samples::of(&series(runs, &all, &once)))?;
    let mut values: Vec<Vec<f64>> = vec![vec![]; shape.params().len()];
    let mut random = Random::keyed(seed);
    for _ in 0..draws {
        let mut drawn = once.clone();
        if resample != Resample::Seeds {
            drawn.values_mut().for_each(|times| *times = 0.0);
            ids.iter().for_each(|_| *drawn.entry(ids[random.below(ids.len())]).or_default() += 1.0);
        }
        let of_runs = match resample {
            Resample::Problems => all.clone(),
            Resample::Seeds | Resample::Both => all.iter().map(|_| random.below(runs.len())).collect(),
        };
        let samples = Samples::of(&series(runs, &of_runs, &drawn));
        let again =
            if samples.all().len() == all_points(runs) { refit(&found, &samples) } else { search(shape, &samples) };
        for (values, value) in values.iter_mut().zip(again.iter().flat_map(|found| found.params())) {
            values.push(value);
        }
    }
    let names = shape.params().iter().zip(found.params()).zip(values);
    names.map(|((&name, value), draws)| spread(name, value, draws)).collect()
}

fn all_points(runs: &[RunOutcomes]) -> usize {
    runs.iter().map(|run| run.checkpoints.len()).sum()
}

fn spread(name: &'static str, value: f64, draws: Vec<f64>) -> Option<Spread> {
    let n = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / n;
    let se = (draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let interval = Interval::of_draws(draws, 0.95)?;
    Some(Spread { name, value, se, low: interval.low, high: interval.high })
}

/// The points of some runs, each problem counted as often as it was drawn.
fn series(runs: &[RunOutcomes], of_runs: &[usize], times: &BTreeMap<&str, f64>) -> Vec<Series> {
    let point = |checkpoint: &crate::outcomes::Checkpoint| {
        let weighted = |f: &dyn Fn(&Counts) -> f64| -> f64 {
            checkpoint
                .problems
                .iter()
                .map(|(id, counts)| times.get(id.as_str()).copied().unwrap_or(0.0) * f(counts))
                .sum()
        };
        let (problems, n) = (weighted(&|_| 1.0), weighted(&|counts| counts.n));
        let y = weighted(&|counts| counts.right / counts.n.max(1.0)) / problems.max(1.0);
        Point { step: 0, compute: checkpoint.compute, y, lenient: None, n: Some(n) }
    };
    let one = |(i, &run): (usize, &usize)| Series {
        name: i.to_string(),
        set: "bootstrap".to_owned(),
        points: runs[run].checkpoints.iter().map(point).collect(),
    };
    of_runs.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::Checkpoint;

    #[test]
    fn the_slope_is_surer_than_the_level() {
        // 100 problems: 40 always right, 40 never, 20 learnt one after another over 10 checkpoints.
        let problem = |i: usize, step: usize| Counts { right: f64::from(u8::from(i < 40 + 2 * step)), n: 1.0 };
        let checkpoint = |step: usize| Checkpoint {
            compute: 10_f64.powf(step as f64 / 3.0 + 1.0),
            problems: (0..100).map(|i| (i.to_string(), problem(i, step))).collect(),
        };
        let run = RunOutcomes { name: "r".to_owned(), checkpoints: (0..10).map(checkpoint).collect() };
        let spreads = bootstrap(std::slice::from_ref(&run), "constant", Resample::Problems, 400, 3).unwrap();
        // The level is a mean over 100 problems whose own means have a standard deviation near 0.45.
        assert!((spreads[0].value - 0.49).abs() < 0.005 && (spreads[0].se - 0.045).abs() < 0.01, "{spreads:?}");
        let line = bootstrap(&[run], "log_linear", Resample::Problems, 400, 3).unwrap();
        // 18 of 100 problems make the slope of 6 points a decade: its relative error is that of the count, √(.82/18) = .21.
        assert!((line[1].value - 0.06).abs() < 0.003 && (line[1].se / line[1].value - 0.21).abs() < 0.06, "{line:?}");
    }
}
