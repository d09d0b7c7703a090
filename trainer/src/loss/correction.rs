//! Correcting for a sampler whose probabilities differ from the trainer's.
//!
//! With equal weights the two still differ by kernels, batch shapes and kinds of numbers, so that training is silently
//! off-policy. With the anchor `gen` the ratio does this work; a correction is for the anchor `old`. The weights have no
//! gradient and do not touch the divergence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{LossConfig, LossTokens};

/// The weight of a token, from x = ℓ_old − ℓ_sampler.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Correction {
    /// 1.
    None,
    /// `e^x`, held within the limits.
    TokenTruncate(Limits),
    /// `e^x` within the limits, 0 outside (IcePop, arXiv:2510.18855).
    TokenMask(Limits),
    /// `e^{Σ x}` of the rollout, held within the limits.
    SequenceTruncate(Limits),
    /// `e^{Σ x}` of the rollout within the limits, 0 outside. It discards long rollouts first.
    SequenceMask(Limits),
}

/// The limits of a correction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The least weight.
    #[serde(default)]
    pub min: f64,
    /// The largest weight.
    pub max: f64,
}

/// Computes the weight of each token, `[T]`; none if all are 1.
pub(super) fn weights(tokens: &LossTokens, config: &LossConfig) -> Option<Tensor> {
    let correction = correction(tokens, config.correction);
    let mask = config.off_policy_threshold.map(|threshold| off_policy_mask(tokens, threshold));
    match (correction, mask) {
        (Some(correction), Some(mask)) => Some(correction * mask),
        (one, other) => one.or(other),
    }
}

fn correction(tokens: &LossTokens, correction: Correction) -> Option<Tensor> {
    // A sampler that wrote no log-probability says nothing against its token.
    let x = (&tokens.old_logp - &tokens.sampler_logp).nan_to_num(0.0, None, None);
    let of_rollout = || tokens.spread(&tokens.sum_by_rollout(&x));
    let truncated = |x: &Tensor, limits: Limits| x.exp().clamp(limits.min, limits.max);
    let masked = |x: &Tensor, limits: Limits| {
        let weight = x.exp();
        let inside = weight.ge(limits.min).logical_and(&weight.le(limits.max));
        weight * inside.to_kind(x.kind())
    };
    match correction {
        Correction::None => None,
        Correction::TokenTruncate(limits) => Some(truncated(&x, limits)),
        Correction::TokenMask(limits) => Some(masked(&x, limits)),
        Correction::SequenceTruncate(limits) => Some(truncated(&of_rollout(), limits)),
        Correction::SequenceMask(limits) => Some(masked(&of_rollout(), limits)),
    }
}

/// 0 for rollouts with A < 0 that the policy has left: mean(ℓ_sampler − ℓ) above the threshold (arXiv:2512.02556).
fn off_policy_mask(tokens: &LossTokens, threshold: f64) -> Tensor {
    let left = tokens.spread(&tokens.mean_by_rollout(&(&tokens.sampler_logp - tokens.logp.detach())));
    let dropped = left.gt(threshold).logical_and(&tokens.advantage.lt(0.0));
    dropped.logical_not().to_kind(tokens.logp.kind())
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::super::{Anchor, Bound, RatioLevel, loss};
    use super::*;
    use crate::aggregate::Aggregation;

    #[test]
    fn a_rollout_that_the_policy_left_is_dropped_if_its_advantage_is_negative() {
        let config = LossConfig {
            ratio: RatioLevel::Token,
            anchor: Anchor::Old,
            bound: Bound::None,
            aggregation: Aggregation::TokenMean,
            correction: Correction::None,
            off_policy_threshold: Some(0.5),
            kl: None,
            entropy: 0.0,
        };
        let value = |advantage: f64| {
            let logp = Tensor::from_slice(&[-2.0_f64]);
            let tokens = LossTokens {
                entropy: logp.zeros_like(),
                old_logp: Tensor::from_slice(&[-1.0_f64]),
                sampler_logp: Tensor::from_slice(&[-1.0_f64]),
                reference_logp: None,
                advantage: Tensor::from_slice(&[advantage]),
                weight: Tensor::from_slice(&[1.0_f64]),
                rollout: Tensor::zeros([1], (Kind::Int64, tch::Device::Cpu)),
                n_rollouts: 1,
                entropy_weight: 1.0,
                logp,
            };
            loss(&tokens, &config).value.double_value(&[])
        };
        assert_eq!((value(1.0), value(-1.0)), (2.0, 0.0));
    }
}
