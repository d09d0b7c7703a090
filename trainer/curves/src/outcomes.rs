//! Outcomes by problem: what it takes to draw problems anew, and to compare two checkpoints on the same problems.

use std::collections::BTreeMap;

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
