//! The policy-gradient loss as a composition: ratio × bound × aggregation, plus KL, minus entropy.
//!
//! `L = Σ_t weight_t · (c_t · b(w_t, A_t, ℓ_t) + β k_t) − η/N Σ_t H_t`, over all completion tokens of an optimiser step.
//! The weights are those of [`Aggregation`]; ratio `w`, bound `b`, correction `c` and divergence `k` are files beside this
//! one. A paper is a value of [`LossConfig`], not a branch.

pub mod bound;
pub mod correction;
pub mod kl;
pub mod ratio;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::aggregate::Aggregation;
pub use bound::Bound;
pub use correction::Correction;
pub use kl::{Divergence, KlConfig};
pub use ratio::{Anchor, RatioLevel};

/// The choices that make a loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Whether each token or each rollout has a ratio.
    pub ratio: RatioLevel,
    /// What the ratio compares the policy with.
    pub anchor: Anchor,
    /// How far the ratio may go.
    pub bound: Bound,
    /// How tokens are averaged.
    pub aggregation: Aggregation,
    /// How a sampler that differs from the trainer is corrected; needs the anchor `old`.
    pub correction: Correction,
    /// Drops rollouts with a negative advantage whose mean `log(sampler / policy)` exceeds this; off by default.
    pub off_policy_threshold: Option<f64>,
    /// Divergence from the reference policy in the loss; off by default.
    pub kl: Option<KlConfig>,
    /// Weight of the entropy bonus.
    pub entropy: f64,
}

/// The tokens of a micro-batch, rollouts one after another: `T` tokens of `R` rollouts.
///
/// | tensor           | shape | gradient |
/// |------------------|-------|----------|
/// | `logp`           | `[T]` | yes      |
/// | `entropy`        | `[T]` | yes      |
/// | `old_logp`       | `[T]` | no       |
/// | `sampler_logp`   | `[T]` | no       |
/// | `reference_logp` | `[T]` | no       |
/// | `advantage`      | `[T]` | no       |
/// | `weight`         | `[T]` | no       |
/// | `rollout`        | `[T]` | int64    |
#[derive(Debug)]
pub struct LossTokens {
    /// Log-probability of each token under the current weights.
    pub logp: Tensor,
    /// Entropy of the distribution that each token was drawn from.
    pub entropy: Tensor,
    /// Log-probability under the weights at the start of the step.
    pub old_logp: Tensor,
    /// Log-probability that the sampler wrote down.
    pub sampler_logp: Tensor,
    /// Log-probability under the reference policy.
    pub reference_logp: Option<Tensor>,
    /// The rollout's advantage, for each of its tokens.
    pub advantage: Tensor,
    /// What the token weighs, by [`Aggregation::token_weights`].
    pub weight: Tensor,
    /// Which rollout each token belongs to, from 0 to `R - 1`.
    pub rollout: Tensor,
    /// `R`.
    pub n_rollouts: i64,
    /// `1 / N`, the weight of a token in the mean of the entropy.
    pub entropy_weight: f64,
}

impl LossTokens {
    /// Sums over the tokens of each rollout: `[T]` to `[R]`.
    fn sum_by_rollout(&self, values: &Tensor) -> Tensor {
        let zeros = Tensor::zeros([self.n_rollouts], (values.kind(), values.device()));
        zeros.index_add(0, &self.rollout, values)
    }

    /// Means over the tokens of each rollout, 0 where there are none: `[T]` to `[R]`.
    fn mean_by_rollout(&self, values: &Tensor) -> Tensor {
        let counts = self.sum_by_rollout(&values.ones_like().detach());
        self.sum_by_rollout(values) / counts.clamp_min(1.0)
    }

    /// Gives each token the value of its rollout: `[R]` to `[T]`.
    fn spread(&self, by_rollout: &Tensor) -> Tensor {
        by_rollout.index_select(0, &self.rollout)
    }
}

/// The loss of a micro-batch and what there is to know about it.
#[derive(Debug)]
pub struct Loss {
    /// The value, `[]`, with its graph.
    pub value: Tensor,
    /// Sums for the record.
    pub sums: LossSums,
}

/// Sums over the tokens of micro-batches, to be divided by the counts of the step.
#[derive(Clone, Debug, Default)]
pub struct LossSums {
    /// Tokens.
    pub n_tokens: f64,
    /// Rollouts.
    pub n_rollouts: f64,
    /// The loss itself, which is a sum already.
    pub loss: f64,
    /// Σ H.
    pub entropy: f64,
    /// Σ k of the divergence from the reference.
    pub kl: f64,
    /// Units (tokens, or rollouts with a ratio each) whose ratio lies below the lower bound with A < 0.
    pub clip_low: f64,
    /// The same above the upper bound with A > 0.
    pub clip_high: f64,
    /// Units whose ratio the cap holds.
    pub capped: f64,
    /// Σ w over units.
    pub ratio: f64,
    /// The number of units.
    pub n_units: f64,
    /// Smallest ratio.
    pub ratio_min: f64,
    /// Largest ratio.
    pub ratio_max: f64,
    /// Σ c and Σ c² of the correction, for the effective sample size.
    pub correction: (f64, f64),
}

impl LossSums {
    /// Adds those of another micro-batch.
    pub fn add(&mut self, other: &Self) {
        if self.n_units == 0.0 {
            (self.ratio_min, self.ratio_max) = (f64::INFINITY, f64::NEG_INFINITY);
        }
        self.n_tokens += other.n_tokens;
        self.n_rollouts += other.n_rollouts;
        self.loss += other.loss;
        self.entropy += other.entropy;
        self.kl += other.kl;
        self.clip_low += other.clip_low;
        self.clip_high += other.clip_high;
        self.capped += other.capped;
        self.ratio += other.ratio;
        self.n_units += other.n_units;
        self.ratio_min = self.ratio_min.min(other.ratio_min);
        self.ratio_max = self.ratio_max.max(other.ratio_max);
        self.correction.0 += other.correction.0;
        self.correction.1 += other.correction.1;
    }
}

/// Computes the loss of a micro-batch.
///
/// The sum over the micro-batches of a step is the loss of the step.
///
/// # Panics
///
/// If the shapes disagree, or if there is a divergence but no `reference_logp`; both are mistakes of the caller.
pub fn loss(tokens: &LossTokens, config: &LossConfig) -> Loss {
    let ratio = ratio::ratio(tokens, config.ratio, config.anchor);
    let correction = correction::weights(tokens, config);
    let mut cost = bound::cost(tokens, &ratio, config.bound);
    if let Some(correction) = &correction {
        cost *= correction;
    }
    let divergence = config.kl.as_ref().map(|kl| kl::divergence(tokens, &ratio, kl.form));
    if let (Some(divergence), Some(kl)) = (&divergence, &config.kl) {
        cost += divergence * kl.beta;
    }
    let mut value = (cost * &tokens.weight).sum(tokens.logp.kind());
    if config.entropy != 0.0 {
        value -= tokens.entropy.sum(tokens.entropy.kind()) * (config.entropy * tokens.entropy_weight);
    }
    let sums = sums(tokens, &ratio, &value, config, (divergence.as_ref(), correction.as_ref()));
    Loss { value, sums }
}

fn sums(
    tokens: &LossTokens,
    ratio: &Tensor,
    value: &Tensor,
    config: &LossConfig,
    (divergence, correction): (Option<&Tensor>, Option<&Tensor>),
) -> LossSums {
    let total = |tensor: &Tensor| tensor.detach().sum(Kind::Double).double_value(&[]);
    // A ratio a rollout is counted once a rollout.
    let n_tokens = tokens.logp.size()[0] as f64;
    let unit_weight = match config.ratio {
        RatioLevel::Token => None,
        _ => Some(tokens.mean_weight()),
    };
    let count = |tensor: &Tensor| {
        let tensor = tensor.detach().to_kind(Kind::Double);
        total(&unit_weight.as_ref().map_or(tensor.shallow_clone(), |weight| &tensor * weight))
    };
    let outside = bound::outside(tokens, ratio, config.bound);
    let ratio = ratio.detach();
    LossSums {
        n_tokens,
        n_rollouts: tokens.n_rollouts as f64,
        loss: value.double_value(&[]),
        entropy: total(&tokens.entropy),
        kl: divergence.map_or(0.0, total),
        clip_low: outside.low.as_ref().map_or(0.0, count),
        clip_high: outside.high.as_ref().map_or(0.0, count),
        capped: outside.capped.as_ref().map_or(0.0, count),
        ratio: count(&ratio),
        n_units: count(&ratio.ones_like()),
        ratio_min: ratio.min().double_value(&[]),
        ratio_max: ratio.max().double_value(&[]),
        correction: correction.map_or((n_tokens, n_tokens), |c| (total(c), total(&c.square()))),
    }
}

impl LossTokens {
    /// `1 / n_i` for each token, float64: sums of it count rollouts.
    fn mean_weight(&self) -> Tensor {
        let ones = self.logp.detach().ones_like().to_kind(Kind::Double);
        self.spread(&self.sum_by_rollout(&ones)).reciprocal()
    }
}
