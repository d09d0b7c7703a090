//! The randomness of sampling.

use rlvr_verifiers::random::{Random, key_of};

/// Where the random numbers of a run come from: each depends on the seed, the step, the task, the rollout and the
/// position of the token, and on nothing else.
///
/// A rollout therefore does not depend on which others it was decoded with, nor on how often the run was restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// The seed of the run.
    pub seed: u64,
    /// The step, or another number that sets this use apart from others.
    pub step: u64,
}

impl Noise {
    /// Opens the stream of a rollout: one number a position, from the first token on.
    pub fn stream(self, task_id: &str, rollout: usize) -> Random {
        Random::keyed([self.seed, self.step, key_of(task_id), rollout as u64])
    }
}
