//! SwiGLU (Shazeer 2020, arXiv:2002.05202).

use pulp::{Simd, WithSimd};

use crate::exp::exp;
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// Features handled by one piece of work.
const PIECE: usize = 256;

/// Computes `y = silu(gate) · up` from `gate_up`, which holds the features of `gate` and then those of `up`.
pub(crate) fn silu_mul(team: &Team, gate_up: &Rows, y: &mut Rows) {
    let half = y.n_features() * LANES;
    let arch = team.arch();
    let pieces = gate_up.blocks.iter().zip(&mut y.blocks).flat_map(|(gate_up, y)| {
        let (gate, up) = gate_up.split_at(half);
        let size = PIECE * LANES;
        gate.chunks(size).zip(up.chunks(size)).zip(y.chunks_mut(size))
    });
    team.for_each(pieces, |((gate, up), y)| arch.dispatch(Piece { gate, up, y }));
}

struct Piece<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let one = simd.splat_f32s(1.0);
        let (gate, up) = (S::as_simd_f32s(self.gate).0, S::as_simd_f32s(self.up).0);
        for ((y, &gate), &up) in S::as_mut_simd_f32s(self.y).0.iter_mut().zip(gate).zip(up) {
            let sigmoid = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(gate))));
            *y = simd.mul_f32s(simd.mul_f32s(gate, sigmoid), up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_formula() {
        let (n_rows, n) = (20, 300);
        let value = |row: usize, f: usize| ((row * 31 + f * 7) % 100) as f32 / 10.0 - 5.0;
        let mut gate_up = Rows::zeros(n_rows, 2 * n);
        for row in 0..n_rows {
            gate_up.set(row, &(0..2 * n).map(|f| value(row, f)).collect::<Vec<_>>());
        }
        let mut y = Rows::zeros(n_rows, n);
        silu_mul(&Team::new(2), &gate_up, &mut y);
        for row in 0..n_rows {
            for (f, y) in y.row(row).into_iter().enumerate() {
                let (gate, up) = (f64::from(value(row, f)), f64::from(value(row, n + f)));
                let expected = gate / (1.0 + (-gate).exp()) * up;
                assert!((f64::from(y) - expected).abs() < 1e-5, "row {row}, {f}: {y} for {expected}");
            }
        }
    }
}
