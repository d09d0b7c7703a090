//! The feed-forward block: SwiGLU (Shazeer 2020, arXiv:2002.05202).

use tch::Tensor;

use crate::linear::linear;
use crate::weights::MlpWeights;

/// Computes `down(silu(gate(x)) · up(x))`.
///
/// # Shapes
///
/// | tensor | shape    |
/// |--------|----------|
/// | `x`    | `[N, D]` |
/// | result | `[N, D]` |
pub(crate) fn mlp(x: &Tensor, weights: &MlpWeights) -> Tensor {
    let gate_up = linear(x, &weights.gate_up, weights.gate_up_bias.as_ref()); // [N, 2 F]
    let halves = gate_up.chunk(2, -1);
    let inner = halves[0].silu() * &halves[1]; // [N, F]
    linear(&inner, &weights.down, weights.down_bias.as_ref())
}
