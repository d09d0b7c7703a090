//! Published compositions of advantage, loss and filter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::advantage::{AdvantageConfig, Baseline, Parts, Scale};
use crate::aggregate::Aggregation;
use crate::filter::FilterConfig;
use crate::loss::bound::{Bound, Cispo, Clip, Sapo};
use crate::loss::{Anchor, Correction, Divergence, KlConfig, LossConfig, RatioLevel};

/// A published composition; every choice can be changed in `[advantage]`, `[loss]` and `[filter]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recipe {
    /// ScaleRL (arXiv:2510.13786): cispo against the sampler, prompt mean. The default.
    #[default]
    Scalerl,
    /// CISPO as in MiniMax-M1 (arXiv:2506.13585): group scale, token mean.
    Cispo,
    /// GRPO (arXiv:2402.03300): group scale, symmetric clip, sequence mean, k3 divergence.
    Grpo,
    /// Dr. GRPO (arXiv:2503.20783): no scale, a constant divisor.
    DrGrpo,
    /// DAPO (arXiv:2503.14476): a higher upper clip, token mean, refilled groups, truncated rollouts masked.
    Dapo,
    /// GSPO (arXiv:2507.18071): one ratio a rollout, tight clip, sequence mean.
    Gspo,
    /// LUSPO (arXiv:2602.05261): GSPO with sums over tokens.
    Luspo,
    /// SAPO (arXiv:2511.20347): a soft bound.
    Sapo,
    /// RLOO (arXiv:2402.14740): leave-one-out baseline, one ratio a rollout.
    Rloo,
    /// REINFORCE with the group mean for a baseline (Williams 1992).
    Reinforce,
}

impl Recipe {
    /// Returns how the recipe makes advantages.
    pub fn advantage(self) -> AdvantageConfig {
        let (baseline, scale) = match self {
            Self::Scalerl => (Baseline::Mean, Scale::BatchCentred),
            Self::Cispo | Self::Grpo | Self::Dapo | Self::Gspo | Self::Luspo | Self::Sapo => {
                (Baseline::Mean, Scale::Group)
            }
            Self::DrGrpo | Self::Reinforce => (Baseline::Mean, Scale::None),
            Self::Rloo => (Baseline::LeaveOneOut, Scale::None),
        };
        let reward_kl = if self == Self::Rloo { 0.05 } else { 0.0 };
        AdvantageConfig { baseline, scale, epsilon: 1e-6, parts: Parts::Sum, reward_kl }
    }

    /// Returns the loss of the recipe.
    pub fn loss(self) -> LossConfig {
        let clip = |low, high| Bound::Clip(Clip { low, high, dual: None });
        let cispo = Bound::Cispo(Cispo { cap: 5.0, floor: None });
        let sapo = Bound::Sapo(Sapo { tau_positive: 1.0, tau_negative: 1.05 });
        let (ratio, anchor, bound, aggregation) = match self {
            Self::Scalerl => (RatioLevel::Token, Anchor::Gen, cispo, Aggregation::PromptMean),
            Self::Cispo => (RatioLevel::Token, Anchor::Old, cispo, Aggregation::TokenMean),
            Self::Grpo => (RatioLevel::Token, Anchor::Old, clip(0.2, 0.2), Aggregation::SequenceMean),
            Self::DrGrpo => (RatioLevel::Token, Anchor::Old, clip(0.2, 0.2), Aggregation::Constant),
            Self::Dapo => (RatioLevel::Token, Anchor::Old, clip(0.2, 0.28), Aggregation::TokenMean),
            Self::Gspo => (RatioLevel::Sequence, Anchor::Old, clip(3e-4, 4e-4), Aggregation::SequenceMean),
            Self::Luspo => (RatioLevel::Sequence, Anchor::Old, clip(3e-4, 4e-4), Aggregation::SequenceSum),
            Self::Sapo => (RatioLevel::Token, Anchor::Old, sapo, Aggregation::SequenceMean),
            Self::Rloo => (RatioLevel::SequenceFull, Anchor::Old, clip(0.2, 0.2), Aggregation::SequenceMean),
            Self::Reinforce => (RatioLevel::Token, Anchor::Old, Bound::None, Aggregation::TokenMean),
        };
        let kl = (self == Self::Grpo).then_some(KlConfig { beta: 0.04, form: Divergence::K3 });
        LossConfig {
            ratio,
            anchor,
            bound,
            aggregation,
            correction: Correction::None,
            off_policy_threshold: None,
            kl,
            entropy: 0.0,
        }
    }

    /// Returns which groups the recipe trains on.
    pub fn filter(self) -> FilterConfig {
        let plain = FilterConfig::default();
        match self {
            Self::Dapo => FilterConfig { max_refills: 3, mask_truncated: true, ..plain },
            _ => plain,
        }
    }
}
