//! RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467).

use pulp::{Simd, WithSimd};

use crate::rows::{LANES, Rows};
use crate::team::Team;

/// Computes `y = x / sqrt(mean(x²) + eps) · weight` for each row.
pub(crate) fn rms_norm(team: &Team, x: &Rows, weight: &[f32], eps: f32, y: &mut Rows) {
    let arch = team.arch();
    let blocks = x.blocks.iter().zip(&mut y.blocks);
    team.for_each(blocks, |(x, y)| arch.dispatch(Block { x, weight, eps, y }));
}

struct Block<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    y: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = LANES / S::F32_LANES;
        let (x, y) = (S::as_simd_f32s(self.x).0, S::as_mut_simd_f32s(self.y).0);
        let n = simd.splat_f32s(self.weight.len() as f32);
        for v in 0..vectors {
            let mut sum = simd.splat_f32s(0.0);
            for &x in x.iter().skip(v).step_by(vectors) {
                sum = simd.mul_add_f32s(x, x, sum);
            }
            let mean = simd.div_f32s(sum, n);
            let root = simd.sqrt_f32s(simd.add_f32s(mean, simd.splat_f32s(self.eps)));
            let scale = simd.div_f32s(simd.splat_f32s(1.0), root);
            let columns = x.iter().skip(v).step_by(vectors).zip(y.iter_mut().skip(v).step_by(vectors));
            for ((&x, y), &weight) in columns.zip(self.weight) {
                *y = simd.mul_f32s(simd.mul_f32s(x, scale), simd.splat_f32s(weight));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // The mean square of (3, 4) is 12.5.
        let mut x = Rows::zeros(17, 2);
        x.set(16, &[3.0, 4.0]);
        let mut y = Rows::zeros(17, 2);
        rms_norm(&Team::new(1), &x, &[1.0, 2.0], 0.0, &mut y);
        let root = 12.5_f32.sqrt();
        let row = y.row(16);
        assert!((row[0] - 3.0 / root).abs() < 1e-6 && (row[1] - 8.0 / root).abs() < 1e-6, "{row:?}");
    }
}
