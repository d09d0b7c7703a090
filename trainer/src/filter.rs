//! Which groups are trained on.
//!
//! Filters look at outcomes, the verifiers' own scores, and never at shaped rewards: a length penalty gives an all-right
//! group a variance that says nothing about being right.

use rlvr_rollouts::{Group, Stop};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which groups are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// Whether groups whose outcomes are all equal are dropped: nothing in them is better than the rest.
    pub drop_zero_variance: bool,
    /// How often a step may sample further prompts in place of dropped groups (DAPO); 0 leaves the step smaller.
    pub max_refills: usize,
    /// Whether rollouts that the token limit cut off are left out of the loss; their rewards still count in the group.
    pub mask_truncated: bool,
    /// A task is no longer drawn once its pass rate over all its rollouts reaches this (ScaleRL: 0.9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retire_at: Option<f64>,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self { drop_zero_variance: true, max_refills: 0, mask_truncated: false, retire_at: None }
    }
}

/// Outcomes closer than this are equal.
const EQUAL: f64 = 1e-6;

/// What a group's outcomes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Some rollouts are better than others.
    Mixed,
    /// All are right.
    AllRight,
    /// All are wrong.
    AllWrong,
    /// All are equal, neither right nor wrong.
    Equal,
    /// Fewer than two could be judged.
    Unjudged,
}

/// Looks at the outcomes of a group.
pub fn spread(group: &Group) -> Spread {
    let outcomes: Vec<f64> = group.outcomes().collect();
    if outcomes.len() < 2 {
        return Spread::Unjudged;
    }
    let low = outcomes.iter().copied().fold(f64::INFINITY, f64::min);
    let high = outcomes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match (low, high) {
        _ if high - low > EQUAL => Spread::Mixed,
        _ if low >= 1.0 - EQUAL => Spread::AllRight,
        _ if high <= EQUAL => Spread::AllWrong,
        _ => Spread::Equal,
    }
}

impl FilterConfig {
    /// Returns whether a group is trained on.
    pub fn keeps(&self, group: &Group) -> bool {
        match spread(group) {
            Spread::Mixed => true,
            Spread::Unjudged => false,
            Spread::AllRight | Spread::AllWrong | Spread::Equal => !self.drop_zero_variance,
        }
    }

    /// Returns whether a rollout's tokens enter the loss.
    pub fn trains_on(&self, stop: Stop) -> bool {
        !(self.mask_truncated && stop == Stop::Length)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rlvr_rollouts::Rollout;
    use rlvr_rollouts::rollout::Completion;
    use rlvr_verifiers::{Reward, Task, Verdict};

    use super::*;

    fn group(outcomes: &[Option<f64>]) -> Group {
        let rollout = |outcome: &Option<f64>| Rollout {
            completion: Completion {
                ids: vec![1],
                logp: vec![0.0],
                entropy: vec![0.0],
                text: String::new(),
                stop: Stop::Eos,
            },
            verdict: Verdict::correct(),
            // A shaped total that differs everywhere must not matter.
            reward: outcome.map(|outcome| Reward { total: outcome * 7.0 + 0.1, outcome, parts: vec![] }),
            part_verdicts: BTreeMap::new(),
            verify_s: 0.0,
            is_repeat: false,
        };
        Group { task: Task::new("t", "?", "v"), prompt: vec![1], rollouts: outcomes.iter().map(rollout).collect() }
    }

    #[track_caller]
    fn check(outcomes: &[Option<f64>], expected: Spread, kept: bool) {
        let group = group(outcomes);
        assert_eq!(spread(&group), expected);
        assert_eq!(FilterConfig::default().keeps(&group), kept);
    }

    #[test]
    fn spreads() {
        check(&[Some(1.0), Some(0.0)], Spread::Mixed, true);
        check(&[Some(1.0), Some(1.0), None], Spread::AllRight, false);
        check(&[Some(0.0), Some(0.0)], Spread::AllWrong, false);
        check(&[Some(0.5), Some(0.5 + 1e-9)], Spread::Equal, false);
        check(&[Some(1.0), None], Spread::Unjudged, false);
    }

    #[test]
    fn truncated_rollouts_are_masked_on_request() {
        let masking = FilterConfig { mask_truncated: true, ..FilterConfig::default() };
        assert!(!masking.trains_on(Stop::Length) && masking.trains_on(Stop::Eos));
        assert!(FilterConfig::default().trains_on(Stop::Length));
    }
}
