//! What a file may say differently from its recipe.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::advantage::{AdvantageConfig, Baseline, Parts, Scale};
use crate::aggregate::Aggregation;
use crate::filter::FilterConfig;
use crate::loss::{Anchor, Bound, Correction, KlConfig, LossConfig, RatioLevel};

/// `[advantage]`: how rewards become advantages, where it differs from the recipe.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdvantageOverrides {
    /// What is subtracted.
    pub baseline: Option<Baseline>,
    /// What is divided by.
    pub scale: Option<Scale>,
    /// Added to the scale.
    pub epsilon: Option<f64>,
    /// Whether the parts of a reward are normalised each before they are summed.
    pub parts: Option<Parts>,
    /// β of the divergence from the reference policy that is subtracted from rewards.
    pub reward_kl: Option<f64>,
}

impl AdvantageOverrides {
    pub(super) fn apply(self, base: AdvantageConfig) -> AdvantageConfig {
        AdvantageConfig {
            baseline: self.baseline.unwrap_or(base.baseline),
            scale: self.scale.unwrap_or(base.scale),
            epsilon: self.epsilon.unwrap_or(base.epsilon),
            parts: self.parts.unwrap_or(base.parts),
            reward_kl: self.reward_kl.unwrap_or(base.reward_kl),
        }
    }
}

/// `[loss]`: the loss, where it differs from the recipe.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossOverrides {
    /// Whether each token or each rollout has a ratio.
    pub ratio: Option<RatioLevel>,
    /// What the ratio compares the policy with.
    pub anchor: Option<Anchor>,
    /// How far the ratio may go.
    pub bound: Option<Bound>,
    /// How tokens are averaged.
    pub aggregation: Option<Aggregation>,
    /// How a sampler that differs from the trainer is corrected; needs the anchor `old`.
    pub correction: Option<Correction>,
    /// Drops rollouts with a negative advantage whose mean `log(sampler / policy)` exceeds this.
    pub off_policy_threshold: Option<f64>,
    /// Divergence from the reference policy in the loss; `beta = 0` turns off that of the recipe.
    pub kl: Option<KlConfig>,
    /// Weight of the entropy bonus.
    pub entropy: Option<f64>,
}

impl LossOverrides {
    pub(super) fn apply(self, base: LossConfig) -> LossConfig {
        LossConfig {
            ratio: self.ratio.unwrap_or(base.ratio),
            anchor: self.anchor.unwrap_or(base.anchor),
            bound: self.bound.unwrap_or(base.bound),
            aggregation: self.aggregation.unwrap_or(base.aggregation),
            correction: self.correction.unwrap_or(base.correction),
            off_policy_threshold: self.off_policy_threshold.or(base.off_policy_threshold),
            kl: self.kl.or(base.kl),
            entropy: self.entropy.unwrap_or(base.entropy),
        }
    }
}

/// `[filter]`: which groups are trained on, where it differs from the recipe.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterOverrides {
    /// Whether groups whose outcomes are all equal are dropped.
    pub drop_zero_variance: Option<bool>,
    /// How often a step may sample further prompts in place of dropped groups.
    pub max_refills: Option<usize>,
    /// Whether rollouts that the token limit cut off are left out of the loss.
    pub mask_truncated: Option<bool>,
    /// A task is no longer drawn once its pass rate over all its rollouts reaches this.
    pub retire_at: Option<f64>,
}

impl FilterOverrides {
    pub(super) fn apply(self, base: FilterConfig) -> FilterConfig {
        FilterConfig {
            drop_zero_variance: self.drop_zero_variance.unwrap_or(base.drop_zero_variance),
            max_refills: self.max_refills.unwrap_or(base.max_refills),
            mask_truncated: self.mask_truncated.unwrap_or(base.mask_truncated),
            retire_at: self.retire_at.or(base.retire_at),
        }
    }
}
