//! Outcomes by problem: what it takes to draw problems anew, and to compare two checkpoints on the same problems.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::evals;
use crate::points::{self, PointsError, Series};

/// How one checkpoint did on each problem.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// Training compute so far.
    pub compute: f64,
    /// Right ones and samples of each problem by its id.
    pub problems: BTreeMap<String, Counts>,
}

/// Right ones of some samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// How many were right.
    pub right: f64,
    /// How many there were.
    pub n: f64,
}

/// The checkpoints of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOutcomes {
    /// The run's name.
    pub name: String,
    /// Its checkpoints in order of compute.
    pub checkpoints: Vec<Checkpoint>,
}

impl Checkpoint {
    /// Returns the mean over problems of the share that is right; none without problems.
    pub fn mean(&self) -> Option<f64> {
        let n = self.problems.len();
        let shares = self.problems.values().map(|counts| counts.right / counts.n.max(1.0));
        (n > 0).then(|| shares.sum::<f64>() / n as f64)
    }
}

/// Why there are no outcomes.
#[derive(Debug, thiserror::Error)]
pub enum OutcomesError {
    /// The log cannot be read, or holds no evaluation.
    #[error(transparent)]
    Points(#[from] PointsError),
    /// The samples of an evaluation cannot be read.
    #[error("samples `{}`, line {line}: {why}", path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; 0 if the file cannot be opened.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// A line of `evals/step_NNNNNN.jsonl`, as far as it is needed here.
#[derive(Deserialize)]
struct Sample {
    set: String,
    task_id: String,
    score: Option<f64>,
}

/// Reads the outcomes of a run folder on one evaluation set: compute from its log, samples from `evals/`.
///
/// Samples that were not judged are left out. Evaluations whose samples are not there are left out.
///
/// # Errors
///
/// Names the file and the line.
pub fn of_run(folder: &Path, set: &str) -> Result<RunOutcomes, OutcomesError> {
    let series = points::of_run(folder)?;
    match series.iter().find(|one| one.set == set) {
        Some(one) => of_series(folder, one),
        None => Ok(RunOutcomes { name: String::new(), checkpoints: vec![] }),
    }
}

/// Reads the outcomes behind the points of a run folder, in their order and over the compute that they are over.
///
/// # Errors
///
/// Names the file and the line.
pub fn of_series(folder: &Path, series: &Series) -> Result<RunOutcomes, OutcomesError> {
    let mut checkpoints = vec![];
    for point in &series.points {
        let path = evals::path(folder, point.step);
        if path.exists() {
            checkpoints.push(Checkpoint { compute: point.compute, problems: read(&path, &series.set)? });
        }
    }
    Ok(RunOutcomes { name: series.name.clone(), checkpoints })
}

fn read(path: &Path, set: &str) -> Result<BTreeMap<String, Counts>, OutcomesError> {
    let refuse = |line, why| OutcomesError::Samples { path: path.to_owned(), line, why };
    let text = std::fs::read_to_string(path).map_err(|error| refuse(0, error.to_string()))?;
    let mut problems: BTreeMap<String, Counts> = BTreeMap::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let sample: Sample = serde_json::from_str(line)
            .map_err(|error| refuse(i + 1, format!("not a sample: {error}; the file was changed, or cut off")))?;
        if let Some(score) = sample.score.filter(|_| sample.set == set) {
            let counts = problems.entry(sample.task_id).or_default();
            counts.right += score;
            counts.n += 1.0;
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Kind, Metrics, Record, SCHEMA};
    use crate::store::LineWriter;

    #[test]
    fn samples_are_joined_with_the_compute_of_their_step() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::default();
        metrics.set("eval/sums/mean@2", 0.75);
        metrics.set("compute/flops_total", 1e15);
        let record = Record { kind: Kind::Eval, schema: SCHEMA, step: 12, time_s: 0.0, message: None, metrics };
        LineWriter::append(&folder.path().join("metrics.jsonl")).unwrap().write(&record).unwrap();
        std::fs::create_dir(folder.path().join("evals")).unwrap();
        let path = folder.path().join("evals/step_000012.jsonl");
        let sample = |id: &str, score: &str| format!(r#"{{"set":"sums","task_id":"{id}","sample":0,"score":{score}}}"#);
        let lines = [sample("a", "1.0"), sample("a", "0.5"), sample("b", "0.0"), sample("b", "null")];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let run = of_run(folder.path(), "sums").unwrap();
        assert_eq!(run.checkpoints[0].compute, 1e15);
        assert_eq!(run.checkpoints[0].problems["a"], Counts { right: 1.5, n: 2.0 });
        assert_eq!(run.checkpoints[0].mean(), Some(0.375));
        std::fs::write(&path, "{}\n").unwrap();
        let error = of_run(folder.path(), "sums").unwrap_err().to_string();
        assert!(error.contains("step_000012.jsonl`, line 1: not a sample: missing field"), "{error}");
    }
}
