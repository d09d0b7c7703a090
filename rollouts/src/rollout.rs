//! Rollouts as plain data.

use std::collections::BTreeMap;

use rlvr_verifiers::{Reward, Task, Verdict};
use serde::{Deserialize, Serialize};

/// One sampled completion, before anybody has judged it.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The ids as drawn; the end token is included where there is one.
    pub ids: Vec<u32>,
    /// The log-probability of each at the sampling temperature, in nats, before top-k, top-p or min-p cut anything.
    pub logp: Vec<f32>,
    /// The entropy of the distribution that each was drawn from, in nats.
    pub entropy: Vec<f32>,
    /// The decoded text, without special tokens and without the stop string.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// The policy said so with an end token.
    Eos,
    /// A stop string appeared.
    Stop,
    /// The token limit cut it off.
    Length,
}

/// A judged completion.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// What was sampled.
    pub completion: Completion,
    /// What the verifier of the task found.
    pub verdict: Verdict,
    /// What the verifiers of further parts of the reward found, by the name of the part.
    pub part_verdicts: BTreeMap<String, Verdict>,
    /// What it is paid; none if nothing was judged.
    pub reward: Option<Reward>,
    /// Seconds that judging took.
    pub verify_s: f64,
    /// Whether the verdict is that of an equal completion of the same batch.
    pub is_repeat: bool,
}

/// The rollouts of one prompt.
#[derive(Clone, Debug)]
pub struct Group {
    /// What was asked.
    pub task: Task,
    /// The ids of the prompt.
    pub prompt: Vec<u32>,
    /// The answers, in the order of their noise.
    pub rollouts: Vec<Rollout>,
}

impl Group {
    /// Returns the outcomes of the rollouts that were judged.
    pub fn outcomes(&self) -> impl Iterator<Item = f64> {
        self.rollouts.iter().filter_map(|rollout| rollout.reward.as_ref().map(|reward| reward.outcome))
    }

    /// Returns the number of completion tokens.
    pub fn n_tokens(&self) -> usize {
        self.rollouts.iter().map(|rollout| rollout.completion.ids.len()).sum()
    }
}
