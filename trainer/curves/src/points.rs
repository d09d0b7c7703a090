//! From records to the points of a curve.

use std::path::{Path, PathBuf};

use crate::counter::Counter;
use crate::record::{Kind, Record};
use crate::store::{Log, StoreError, read_log};

/// Accuracy on held-out tasks after so much compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The optimiser step.
    pub step: u64,
    /// Training compute so far, in FLOPs or what else a [`Counter`] counts; 0 before the first step.
    pub compute: f64,
    /// Accuracy.
    pub y: f64,
    /// Accuracy by the lenient extractors, where it was measured.
    pub lenient: Option<f64>,
    /// Samples behind the accuracy, if they are known.
    pub n: Option<f64>,
}

/// The points of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The run's name.
    pub name: String,
    /// What was evaluated, such as `arithmetic`.
    pub set: String,
    /// Points in order of compute.
    pub points: Vec<Point>,
}

/// Why there are no points.
#[derive(Debug, thiserror::Error)]
pub enum PointsError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log holds no evaluation.
    #[error("run `{}`: there is no evaluation in `metrics.jsonl`; add an `[eval]` section with tasks", .0.display())]
    NoEvaluation(PathBuf),
    /// The log's evaluations do not have the counter that was asked for.
    #[error("run `{}`: its evaluations have no `compute/{wanted}`; choose one of {}", path.display(), known.join(", "))]
    NoCounter {
        /// The run folder.
        path: PathBuf,
        /// The counter that was asked for.
        wanted: String,
        /// The counters that are there.
        known: Vec<String>,
    },
    /// A table of points cannot be read.
    #[error("points `{}`, line {line}: {why}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong and what would be right.
        why: String,
    },
}

/// What the key that a curve is drawn from holds, between the set and the number of samples a problem.
const MEAN: &str = "/mean@";

/// Reads the points of a run folder over training FLOPs, one series for each evaluation set.
///
/// # Errors
///
/// If the log cannot be read or holds no evaluation.
pub fn of_run(folder: &Path) -> Result<Vec<Series>, PointsError> {
    of_log(folder, &read_log(&folder.join("metrics.jsonl"))?, &Counter::default())
}

/// Picks the points out of the log of a run folder over a counter of compute, one series for each evaluation set.
///
/// # Errors
///
/// If the log holds no evaluation, or evaluations without that counter.
pub fn of_log(folder: &Path, log: &Log, counter: &Counter) -> Result<Vec<Series>, PointsError> {
    let evals = || log.records.iter().filter(|record| record.kind == Kind::Eval);
    if *counter != Counter::default() && evals().any(|record| counter.of(record).is_none()) {
        let (path, wanted) = (folder.to_owned(), counter.name().to_owned());
        return Err(PointsError::NoCounter { path, wanted, known: Counter::known(evals()) });
    }
    let series = over(&name_of(folder), &log.records, counter);
    if series.is_empty() { Err(PointsError::NoEvaluation(folder.to_owned())) } else { Ok(series) }
}

/// The name of a run, which is that of its folder.
pub(crate) fn name_of(folder: &Path) -> String {
    let whole = folder.canonicalize();
    let name = whole.as_deref().unwrap_or(folder).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| folder.display().to_string())
}

/// Picks the points out of records over training FLOPs, one series for each evaluation set.
pub fn of_records(name: &str, records: &[Record]) -> Vec<Series> {
    over(name, records, &Counter::default())
}

fn over(name: &str, records: &[Record], counter: &Counter) -> Vec<Series> {
    let mut all: Vec<Series> = vec![];
    for record in records.iter().filter(|record| record.kind == Kind::Eval) {
        for (key, y) in record.metrics.iter() {
            let Some((set, _)) = key.strip_prefix("eval/").and_then(|key| key.split_once(MEAN)) else { continue };
            let of_set = |name: &str| record.metrics.get(&format!("eval/{set}/{name}"));
            let point = Point {
                step: record.step,
                compute: counter.of(record).unwrap_or(0.0),
                y,
                lenient: of_set("lenient"),
                n: of_set("n_samples"),
            };
            match all.iter_mut().find(|series| series.set == set) {
                Some(series) => series.points.push(point),
                None => all.push(Series { name: name.to_owned(), set: set.to_owned(), points: vec![point] }),
            }
        }
    }
    for series in &mut all {
        series.points.sort_by(|a, b| a.compute.total_cmp(&b.compute));
    }
    all
}

/// Sorts series by what was evaluated, sets in the order in which they come.
pub fn by_set(series: Vec<Series>) -> Vec<(String, Vec<Series>)> {
    let mut sets: Vec<(String, Vec<Series>)> = vec![];
    for one in series {
        match sets.iter_mut().find(|(set, _)| *set == one.set) {
            Some((_, all)) => all.push(one),
            None => sets.push((one.set.clone(), vec![one])),
        }
    }
    sets
}

/// Keeps the points up to a share of the largest compute: what a held-out extrapolation is fitted to.
pub fn up_to(series: &[Series], share: f64) -> Vec<Series> {
    let computes = series.iter().flat_map(|one| &one.points).map(|point| point.compute);
    let limit = share * computes.fold(0.0, f64::max) * (1.0 + 1e-9);
    let early = |one: &Series| {
        let points = one.points.iter().filter(|point| point.compute <= limit).cloned().collect();
        Series { points, ..one.clone() }
    };
    series.iter().map(early).collect()
}

/// Reads points from a table (CSV) with a header: `C` (or `compute`) and `y` (or `accuracy`), and `k`, `n`, `seed`, `series`
/// where they are known, in any order of columns and rows.
///
/// # Errors
///
/// Names the line and what would be right.
pub fn of_csv(path: &Path) -> Result<Vec<Series>, PointsError> {
    crate::table::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Metrics, SCHEMA};

    #[test]
    fn evaluations_become_points_in_order_of_compute() {
        let eval = |step, flops, mean| {
            let mut metrics = Metrics::default();
            metrics.set("eval/sums/mean@1", mean);
            metrics.set("eval/sums/n_samples", 200.0);
            metrics.set("compute/flops_total", flops);
            Record { kind: Kind::Eval, schema: SCHEMA, step, time_s: 0.0, message: None, metrics }
        };
        let series = of_records("r", &[eval(2, 20.0, 0.5), eval(0, 0.0, 0.25)]);
        assert_eq!(series.len(), 1);
        let points: Vec<(u64, f64, f64)> = series[0].points.iter().map(|p| (p.step, p.compute, p.y)).collect();
        assert_eq!(points, [(0, 0.0, 0.25), (2, 20.0, 0.5)]);
        assert_eq!(series[0].points[0].n, Some(200.0));
    }

    #[test]
    fn points_stand_over_any_counter_that_is_recorded() {
        let mut metrics = Metrics::default();
        for (name, value) in [("eval/sums/mean@1", 0.5), ("compute/flops_total", 9e12), ("compute/wall_s", 60.0)] {
            metrics.set(name, value);
        }
        let record = Record { kind: Kind::Eval, schema: SCHEMA, step: 1, time_s: 0.0, message: None, metrics };
        let log = Log { records: vec![record], is_torn: false };
        let over = |name: &str| of_log(Path::new("r"), &log, &Counter::new(name));
        assert_eq!(over("wall_s").unwrap()[0].points[0].compute, 60.0);
        assert_eq!(
            over("kwh").unwrap_err().to_string(),
            "run `r`: its evaluations have no `compute/kwh`; choose one of flops_total, wall_s"
        );
    }

    #[test]
    fn the_early_points_are_those_up_to_a_share_of_the_compute() {
        let point = |compute| Point { step: 0, compute, y: 0.5, lenient: None, n: None };
        let one = |set: &str, computes: &[f64]| Series {
            name: "r".to_owned(),
            set: set.to_owned(),
            points: computes.iter().copied().map(point).collect(),
        };
        let sets = by_set(vec![one("a", &[0.0, 5.0, 10.0]), one("b", &[]), one("a", &[4.0, 6.0])]);
        let shown: Vec<(&str, usize)> = sets.iter().map(|(set, all)| (set.as_str(), all.len())).collect();
        assert_eq!(shown, [("a", 2), ("b", 1)]);
        let early: Vec<usize> = up_to(&sets[0].1, 0.5).iter().map(|one| one.points.len()).collect();
        assert_eq!(early, [2, 1]);
    }
}
