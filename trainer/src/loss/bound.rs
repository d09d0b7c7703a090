//! How far a ratio may move the policy.
//!
//! At ratio 1 every bound has the same gradient, ∂l/∂ℓ = −A.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::LossTokens;

/// The cost of a token with ratio `w`, advantage `A` and log-probability `ℓ`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Bound {
    /// `−min(w A, clamp(w, 1 − low, 1 + high) A)` (PPO, arXiv:1707.06347, eq. 7).
    Clip(Clip),
    /// `−sg(clamp(w, floor, cap)) A ℓ` (CISPO, arXiv:2506.13585, eq. 4–5).
    Cispo(Cispo),
    /// `−(4 / τ) σ(τ (w − 1)) A` (SAPO, arXiv:2511.20347).
    Sapo(Sapo),
    /// `−sg(φ) A ℓ`, with φ of the whole rollout (VESPO as in TRL).
    Vespo(Vespo),
    /// `−w A`, dropped where the probability has moved too far from the sampler's, plus `decay · d²` (prime-rl).
    Tv(Tv),
    /// `−A ℓ` (REINFORCE, Williams 1992).
    None,
}

/// The bounds of [`Bound::Clip`], as distances from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Distance below 1.
    pub low: f64,
    /// Distance above 1.
    pub high: f64,
    /// A second bound on the first branch, `min(w, dual)`, which acts where A < 0 (arXiv:1912.09729).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dual: Option<f64>,
}

/// The bounds of [`Bound::Cispo`], as ratios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cispo {
    /// The largest weight. Some systems write `1 + ε` and ask for ε: this is the cap itself.
    pub cap: f64,
    /// The smallest weight; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
}

/// The temperatures of [`Bound::Sapo`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sapo {
    /// τ where A > 0.
    pub tau_positive: f64,
    /// τ where A ≤ 0.
    pub tau_negative: f64,
}

/// The shapes of [`Bound::Vespo`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vespo {
    /// k where A ≥ 0.
    pub k_positive: f64,
    /// λ where A ≥ 0.
    pub lambda_positive: f64,
    /// k where A < 0.
    pub k_negative: f64,
    /// λ where A < 0.
    pub lambda_negative: f64,
}

/// The limits of [`Bound::Tv`], as differences of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tv {
    /// Dropped where `p − p_gen` is below minus this and A ≤ 0.
    pub low: f64,
    /// Dropped where `p − p_gen` exceeds this and A > 0.
    pub high: f64,
    /// Weight of the squared difference of log-probabilities.
    pub decay: f64,
}

/// Computes the cost of each token, `[T]`.
pub(super) fn cost(tokens: &LossTokens, ratio: &Tensor, bound: Bound) -> Tensor {
    let LossTokens { logp, advantage, .. } = tokens;
    match bound {
        Bound::Clip(Clip { low, high, dual }) => {
            let free = dual.map_or(ratio.shallow_clone(), |dual| ratio.clamp_max(dual));
            -(free * advantage).minimum(&(ratio.clamp(1.0 - low, 1.0 + high) * advantage))
        }
        Bound::Cispo(Cispo { cap, floor }) => {
            let weight = ratio.detach().clamp(floor.unwrap_or(0.0), cap);
            -(weight * advantage * logp)
        }
        Bound::Sapo(Sapo { tau_positive, tau_negative }) => {
            let tau = either(&advantage.gt(0.0), tau_positive, tau_negative, advantage);
            -((ratio - 1.0) * &tau).sigmoid() * advantage * 4.0 / tau
        }
        Bound::Vespo(vespo) => -(vespo_weight(tokens, vespo) * advantage * logp),
        Bound::Tv(Tv { low, high, decay }) => {
            let moved = logp.detach().exp() - tokens.sampler_logp.exp();
            let gained = moved.gt(high).logical_and(&advantage.gt(0.0));
            let lost = moved.lt(-low).logical_and(&advantage.le(0.0));
            let kept = gained.logical_or(&lost).logical_not().to_kind(advantage.kind());
            -(ratio * advantage * kept) + (logp - &tokens.sampler_logp).square() * decay
        }
        Bound::None => -(advantage * logp),
    }
}

/// One of two numbers for each token.
fn either(condition: &Tensor, yes: f64, no: f64, like: &Tensor) -> Tensor {
    condition.to_kind(like.kind()) * (yes - no) + no
}

/// φ = exp(λ + k W − λ e^W), W the logarithm of the rollout's product of ratios to the sampler, clamped.
fn vespo_weight(tokens: &LossTokens, vespo: Vespo) -> Tensor {
    const LARGEST: f64 = 20.0;
    let least = 1e-8_f64.ln();
    let moved = (tokens.logp.detach() - &tokens.old_logp).clamp(-LARGEST, LARGEST);
    let mismatch = (&tokens.old_logp - &tokens.sampler_logp).clamp(least, LARGEST);
    let w = tokens.spread(&tokens.sum_by_rollout(&(moved + mismatch)).clamp(least, LARGEST));
    let positive = tokens.advantage.ge(0.0);
    let k = either(&positive, vespo.k_positive, vespo.k_negative, &w);
    let lambda = either(&positive, vespo.lambda_positive, vespo.lambda_negative, &w);
    (&lambda + k * &w - lambda * w.exp()).exp().detach()
}

/// Where a bound acts, `[T]` each.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// The ratio is below the lower bound, and A < 0.
    pub low: Option<Tensor>,
    /// The ratio is above the upper bound, and A > 0.
    pub high: Option<Tensor>,
    /// The cap holds the ratio.
    pub capped: Option<Tensor>,
}

/// Finds the tokens whose gradient the bound cuts or caps.
pub(super) fn outside(tokens: &LossTokens, ratio: &Tensor, bound: Bound) -> Outside {
    let ratio = ratio.detach();
    let advantage = &tokens.advantage;
    match bound {
        Bound::Clip(Clip { low, high, dual }) => {
            let ratio = dual.map_or(ratio.shallow_clone(), |dual| ratio.clamp_max(dual));
            let below = ratio.lt(1.0 - low).logical_and(&advantage.lt(0.0));
            let above = ratio.gt(1.0 + high).logical_and(&advantage.gt(0.0));
            Outside { low: Some(below.to_kind(Kind::Double)), high: Some(above.to_kind(Kind::Double)), capped: None }
        }
        Bound::Cispo(Cispo { cap, .. }) => {
            // As TRL counts: a cap matters where it holds back a gain.
            let capped = ratio.gt(cap).logical_and(&advantage.gt(0.0));
            Outside { capped: Some(capped.to_kind(Kind::Double)), ..Outside::default() }
        }
        Bound::Sapo(_) | Bound::Vespo(_) | Bound::Tv(_) | Bound::None => Outside::default(),
    }
}
