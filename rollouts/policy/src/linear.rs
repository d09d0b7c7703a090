//! The one entry to weight matrices.

use tch::{Device, Tensor};

/// Rows from which, and below which, the transposed product is faster on CPUs.
const TRANSPOSED_ROWS: std::ops::Range<i64> = 2..512;

/// Computes `x · weightᵀ + bias`.
///
/// Decoding multiplies few rows with a large matrix. For that, `(weight · xᵀ)ᵀ` runs up to 4 times as fast as the
/// usual form on CPUs, since the long side of the product is then its first (docs/PERFORMANCE.md has the figures). The
/// form depends on the shape alone, never on a measurement, so that equal runs give equal bits.
///
/// # Shapes
///
/// | tensor   | shape        |
/// |----------|--------------|
/// | `x`      | `[N, in]`    |
/// | `weight` | `[out, in]`  |
/// | `bias`   | `[out]`      |
/// | result   | `[N, out]`   |
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let rows = x.size()[0];
    if x.device() == Device::Cpu && !x.requires_grad() && !weight.requires_grad() && TRANSPOSED_ROWS.contains(&rows) {
        let product = weight.matmul(&x.transpose(0, 1)).transpose(0, 1); // [N, out], columns contiguous
        return match bias {
            Some(bias) => product + bias,
            None => product,
        };
    }
    x.linear(weight, bias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_agree() {
        let weight = Tensor::arange(6, (tch::Kind::Float, Device::Cpu)).view([3, 2]);
        let bias = Tensor::from_slice(&[0.5_f32, 0.0, -0.5]);
        for rows in [1, 2, 3, 600] {
            let x = Tensor::arange(rows * 2, (tch::Kind::Float, Device::Cpu)).view([rows, 2]) / 7.0;
            let expected = x.linear(&weight, Some(&bias));
            let difference = (linear(&x, &weight, Some(&bias)) - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-3, "{rows} rows: {difference}");
        }
    }
}
