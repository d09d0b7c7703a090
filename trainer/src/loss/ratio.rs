//! The probability ratio between the policy and what its tokens were drawn with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::LossTokens;

/// Whether each token or each rollout has a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RatioLevel {
    /// One a token: `exp(d_t)`.
    Token,
    /// One a rollout, the geometric mean: `exp(mean d)` (GSPO, arXiv:2507.18071, eq. 7).
    Sequence,
    /// The value of `sequence` with the gradient of each token's own log-probability (GSPO-token, eq. 14).
    SequenceTokenGradient,
    /// One a rollout, the product: `exp(Σ d)`. It explodes with length.
    SequenceFull,
}

/// What the policy is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The policy at the start of the step.
    Old,
    /// The sampler itself; the ratio then corrects for what the sampler does differently.
    Gen,
}

/// Differences of log-probabilities beyond this overflow nothing and mean nothing.
const LARGEST: f64 = 20.0;
/// The same for the logarithm of a rollout's ratio with token gradients.
const LARGEST_SEQUENCE: f64 = 10.0;

/// Computes the ratio for each token, `[T]`; the tokens of a rollout share theirs unless the level is `token`.
pub(super) fn ratio(tokens: &LossTokens, level: RatioLevel, anchor: Anchor) -> Tensor {
    let anchor = match anchor {
        Anchor::Old => &tokens.old_logp,
        Anchor::Gen => &tokens.sampler_logp,
    };
    let difference = &tokens.logp - anchor;
    match level {
        RatioLevel::Token => difference.clamp(-LARGEST, LARGEST).exp(),
        RatioLevel::Sequence => tokens.spread(&tokens.mean_by_rollout(&difference).clamp(-LARGEST, LARGEST).exp()),
        RatioLevel::SequenceTokenGradient => {
            let mean = tokens.spread(&tokens.mean_by_rollout(&difference).detach());
            (&tokens.logp - tokens.logp.detach() + mean).clamp_max(LARGEST_SEQUENCE).exp()
        }
        RatioLevel::SequenceFull => tokens.spread(&tokens.sum_by_rollout(&difference).clamp(-LARGEST, LARGEST).exp()),
    }
}
