//! RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467).

use tch::{Kind, Tensor};

/// Scales each row to a mean square of 1, then by the weight: `x / sqrt(mean(x²) + eps) · weight`.
///
/// Statistics are in float32 whatever the kind of `x`; the result has the kind of `x`.
///
/// # Shapes
///
/// | tensor   | shape      |
/// |----------|------------|
/// | `x`      | `[…, D]`   |
/// | `weight` | `[D]`      |
/// | result   | `[…, D]`   |
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    if x.device().is_cuda() { fused(x, weight, eps) } else { by_definition(x, weight, eps) }
}

/// One kernel on GPUs, where eight would take longer to start than to run; rounds once, at the end.
fn fused(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    x.internal_fused_rms_norm(weight.size(), Some(weight), eps).0
}

fn by_definition(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    let kind = x.kind();
    let x = x.to_kind(Kind::Float);
    let scale = (x.square().mean_dim([-1].as_slice(), true, Kind::Float) + eps).rsqrt();
    (x * scale).to_kind(kind) * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // The mean square of (3, 4) is 12.5.
        let x = Tensor::from_slice(&[3.0_f32, 4.0]).view([1, 2]);
        let y = rms_norm(&x, &Tensor::from_slice(&[1.0_f32, 2.0]), 0.0);
        let root = 12.5_f64.sqrt();
        assert!((y.double_value(&[0, 0]) - 3.0 / root).abs() < 1e-6);
        assert!((y.double_value(&[0, 1]) - 8.0 / root).abs() < 1e-6);
    }

    #[test]
    fn both_ways_agree_with_their_gradients() {
        let weight = Tensor::from_slice(&[1.0_f32, -2.0, 0.5]).set_requires_grad(true);
        let x = Tensor::from_slice(&[3.0_f32, 4.0, -1.0, 0.1, 0.2, 0.3]).view([1, 2, 3]).set_requires_grad(true);
        let of = |norm: fn(&Tensor, &Tensor, f64) -> Tensor| {
            let y = norm(&x, &weight, 1e-5);
            let sum = (&y * Tensor::arange(6, (Kind::Float, tch::Device::Cpu)).view([1, 2, 3])).sum(Kind::Float);
            let gradients = Tensor::run_backward(&[sum], &[&x, &weight], false, false);
            Tensor::cat(&[y.detach().view([-1]), gradients[0].view([-1]), gradients[1].view([-1])], 0)
        };
        assert!((of(fused) - of(by_definition)).abs().max().double_value(&[]) < 1e-5);
    }
}
