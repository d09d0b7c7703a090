//! From a verdict to a reward.
//!
//! A reward is a weighted sum of parts. The outcome, the verifier's own score, is kept beside it: filters and
//! evaluation read the outcome, the advantage alone reads the sum. Filtering on the shaped sum has destroyed policies,
//! since a length penalty gives an all-right group a variance that says nothing about being right (verl-recipe #125).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verifier::Verdict;

/// The weights of the parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardConfig {
    /// Weight of the verifier's score.
    pub correct: f64,
    /// Weight of stating an answer in the form that the verifier reads, right or wrong. Keep it small.
    pub format: f64,
    /// Penalty for completions close to the token limit, off by default.
    pub overlong: Option<Overlong>,
}

/// The soft overlong punishment: 0 up to `limit - buffer` tokens, then linear down to -1 at the limit.
///
/// Yu et al. 2025, *DAPO* (arXiv:2503.14476), eq. 13.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overlong {
    /// Weight of the penalty.
    pub weight: f64,
    /// Tokens before the limit from which the penalty grows.
    pub buffer: usize,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self { correct: 1.0, format: 0.0, overlong: None }
    }
}

/// The length of a completion, for the parts that depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Tokens of the completion.
    pub n_tokens: usize,
    /// The most it could have had.
    pub limit: usize,
    /// Whether the limit cut it off.
    pub truncated: bool,
}

/// What a rollout is paid.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reward {
    /// The weighted sum.
    pub total: f64,
    /// The verifier's score, 0 wrong to 1 right.
    pub outcome: f64,
    /// The parts that apply, by name.
    pub parts: Vec<Part>,
}

/// One summand of a reward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// `correct`, `format` or `overlong`.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its value before weighting.
    pub value: f64,
}

impl Reward {
    /// Computes the reward of a verdict; none if nothing was judged, which is never the same as 0.
    pub fn of(verdict: &Verdict, length: Length, config: &RewardConfig) -> Option<Self> {
        let outcome = f64::from(verdict.score()?);
        let part = |name: &str, weight, value| Part { name: name.to_owned(), weight, value };
        let mut parts = vec![part("correct", config.correct, outcome)];
        if config.format != 0.0 {
            let well_formed = verdict.is_well_formed().unwrap_or(false);
            parts.push(part("format", config.format, f64::from(u8::from(well_formed))));
        }
        if let Some(overlong) = &config.overlong {
            parts.push(part("overlong", overlong.weight, overlong_penalty(length, overlong.buffer)));
        }
        let total = parts.iter().map(|part| part.weight * part.value).sum();
        Some(Self { total, outcome, parts })
    }
}

fn overlong_penalty(length: Length, buffer: usize) -> f64 {
    let from = length.limit.saturating_sub(buffer);
    if length.truncated || length.n_tokens > length.limit {
        -1.0
    } else if length.n_tokens <= from {
        0.0
    } else {
        -((length.n_tokens - from) as f64) / buffer as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Length = Length { n_tokens: 5, limit: 100, truncated: false };

    #[track_caller]
    fn check(verdict: &Verdict, length: Length, config: &RewardConfig, total: f64, outcome: f64) {
        let reward = Reward::of(verdict, length, config).unwrap();
        assert!((reward.total - total).abs() < 1e-12, "{reward:?}");
        assert!((reward.outcome - outcome).abs() < 1e-12, "{reward:?}");
    }

    #[test]
    fn parts_are_weighted_and_the_outcome_stays_apart() {
        let config = RewardConfig { format: 0.1, ..RewardConfig::default() };
        check(&Verdict::correct(), SHORT, &config, 1.1, 1.0);
        check(&Verdict::wrong("wrong_value"), SHORT, &config, 0.1, 0.0);
        check(&Verdict::wrong("no_answer"), SHORT, &config, 0.0, 0.0);
        check(&Verdict::judged(0.25, "partial"), SHORT, &RewardConfig::default(), 0.25, 0.25);
    }

    #[test]
    fn unjudged_is_no_reward() {
        assert_eq!(Reward::of(&Verdict::unjudged("down"), SHORT, &RewardConfig::default()), None);
    }

    #[test]
    fn the_overlong_penalty_is_linear_in_the_buffer() {
        let config = RewardConfig { overlong: Some(Overlong { weight: 1.0, buffer: 20 }), ..RewardConfig::default() };
        let length = |n_tokens, truncated| Length { n_tokens, limit: 100, truncated };
        check(&Verdict::correct(), length(80, false), &config, 1.0, 1.0);
        check(&Verdict::correct(), length(90, false), &config, 0.5, 1.0);
        check(&Verdict::correct(), length(100, false), &config, 0.0, 1.0);
        check(&Verdict::correct(), length(100, true), &config, 0.0, 1.0);
    }
}
