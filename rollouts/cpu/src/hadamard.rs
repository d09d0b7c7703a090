//! A rotation that spreads what few features hold over all of them, so that eight bits can tell features apart.
//!
//! The inputs of a product have outliers: single features a hundred times as large as the rest, which would set the scale
//! for all. A product does not change if its inputs and the rows of its matrix are rotated alike, and after this rotation
//! all features are about equally large (Ashkboos et al. 2024, QuaRot, arXiv:2404.00456).
//!
//! Features are as many as there are, not a power of two: a Hadamard transform within each 64 neighbours, random signs,
//! and a second transform of 64 features that are as far from each other as can be.

use pulp::Simd;

use crate::rows::LANES;

/// Features of one transform.
pub(crate) const ORDER: usize = 64;

/// What the rotation multiplies lengths with: it leaves the factors `1 / √64` of both transforms out.
pub(crate) const STRETCH: f32 = 64.0;

/// Rotates the features of sixteen rows, `[n, 16]`, and stretches them; `n` is a multiple of [`ORDER`].
#[inline(always)]
pub(crate) fn rotate<S: Simd>(simd: S, block: &mut [f32]) {
    let vectors = LANES / S::F32_LANES;
    let x = S::as_mut_simd_f32s(block).0;
    for (i, neighbours) in x.chunks_exact_mut(ORDER * vectors).enumerate() {
        transform_eight(simd, neighbours, vectors);
        transform_eight(simd, neighbours, 8 * vectors);
        for (j, feature) in neighbours.chunks_exact_mut(vectors).enumerate() {
            let sign = simd.splat_f32s(sign(i * ORDER + j));
            feature.iter_mut().for_each(|x| *x = simd.mul_f32s(*x, sign));
        }
    }
    let apart = x.len() / ORDER;
    transform_eight(simd, x, apart);
    transform_eight(simd, x, 8 * apart);
}

/// Hadamard transforms of eight features each, which stand `apart` vectors from each other.
#[inline(always)]
fn transform_eight<S: Simd>(simd: S, x: &mut [S::f32s], apart: usize) {
    for x in x.chunks_exact_mut(8 * apart) {
        let (low, high) = x.split_at_mut(4 * apart);
        let ((ab, cd), (ef, gh)) = (low.split_at_mut(2 * apart), high.split_at_mut(2 * apart));
        let ((a, b), (c, d)) = (ab.split_at_mut(apart), cd.split_at_mut(apart));
        let ((e, f), (g, h)) = (ef.split_at_mut(apart), gh.split_at_mut(apart));
        for i in 0..apart {
            let own = [a[i], b[i], c[i], d[i], e[i], f[i], g[i], h[i]];
            [a[i], b[i], c[i], d[i], e[i], f[i], g[i], h[i]] = eight(simd, own);
        }
    }
}

#[inline(always)]
fn eight<S: Simd>(simd: S, mut x: [S::f32s; 8]) -> [S::f32s; 8] {
    for half in [1, 2, 4] {
        for i in 0..8 {
            if i & half == 0 {
                (x[i], x[i + half]) = (simd.add_f32s(x[i], x[i + half]), simd.sub_f32s(x[i], x[i + half]));
            }
        }
    }
    x
}

/// Returns 1 or −1 by a fixed toss of a coin: without it, the second transform could undo the first.
#[inline(always)]
fn sign(feature: usize) -> f32 {
    let mixed = (feature as u32).wrapping_add(1).wrapping_mul(0x9e37_79b9);
    let tossed = (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b);
    f32::from_bits(1_f32.to_bits() | tossed & 0x8000_0000)
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::model::tests::archs;

    struct Rotate<'a>(&'a mut [f32]);

    impl WithSimd for Rotate<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            rotate(simd, self.0);
        }
    }

    /// Rotates one row with each kind of vectors.
    fn rotated(row: &[f32]) -> Vec<f32> {
        let all = archs().into_iter().map(|arch| {
            let mut block: Vec<f32> = row.iter().flat_map(|&x| [x; LANES]).collect();
            arch.dispatch(Rotate(&mut block));
            let row: Vec<f32> = block.iter().step_by(LANES).copied().collect();
            assert!(block.iter().zip(row.iter().flat_map(|&x| [x; LANES])).all(|(a, b)| a.to_bits() == b.to_bits()));
            row
        });
        let all: Vec<Vec<f32>> = all.collect();
        assert!(all.iter().all(|one| *one == all[0]));
        all[0].clone()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn products_stay_but_for_the_stretch() {
        for n in [64, 128, 192, 576] {
            let number = |i: usize| (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0;
            let (a, b): (Vec<f32>, Vec<f32>) = (0..n).map(|i| (number(i), number(i + 77))).unzip();
            let found = dot(&rotated(&a), &rotated(&b)) / f64::from(STRETCH * STRETCH);
            assert!((found - dot(&a, &b)).abs() < 1e-4, "{n}: {found} for {}", dot(&a, &b));
        }
    }

    /// Evenly spread, every feature would get `1 / √n` of the length.
    #[test]
    fn outliers_are_spread() {
        for n in [64, 128, 192, 256, 576, 1024, 1536] {
            for at in [0, 1, n / 2, n - 1] {
                let mut row = vec![0.0; n];
                row[at] = 1.0;
                let largest = rotated(&row).into_iter().fold(0.0, |largest: f32, x| largest.max(x.abs())) / STRETCH;
                assert!(largest * (n as f32).sqrt() < 4.0, "{n}, {at}: {largest}");
            }
        }
    }
}
