//! Divergence from a reference policy, estimated on the drawn tokens (Schulman 2020, "Approximating KL Divergence").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::LossTokens;

/// A divergence in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KlConfig {
    /// Its weight, β.
    pub beta: f64,
    /// Its estimator.
    #[serde(default = "weighted")]
    pub form: Divergence,
}

fn weighted() -> Divergence {
    Divergence::WeightedK3
}

/// An estimator, with x = ℓ − ℓ_ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// `x² / 2`; on-policy gradient of the reverse divergence.
    K2,
    /// `e^{−x} + x − 1`; on-policy gradient of the forward divergence (GRPO, arXiv:2402.03300, eq. 4).
    K3,
    /// `w (e^{−x} + x − 1)` with the gradient through w: the reverse divergence, off-policy too (arXiv:2512.02556).
    WeightedK3,
}

/// Differences beyond this overflow nothing and mean nothing.
const LARGEST: f64 = 20.0;

/// Computes the divergence at each token, `[T]`.
pub(super) fn divergence(tokens: &LossTokens, ratio: &Tensor, form: Divergence) -> Tensor {
    let reference = tokens.reference_logp.as_ref().expect("a divergence has a reference");
    let x = (&tokens.logp - reference).clamp(-LARGEST, LARGEST);
    match form {
        Divergence::K2 => x.square() / 2.0,
        Divergence::K3 => k3(&x),
        Divergence::WeightedK3 => ratio * k3(&x),
    }
}

fn k3(x: &Tensor) -> Tensor {
    (-x).exp() + x - 1.0
}
