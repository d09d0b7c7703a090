//! Products with weights in bfloat16, twice as fast where the processor multiplies pairs of them.
//!
//! `vdpbf16ps` adds the products of two neighbouring numbers to a float32 sum. A row of the matrix is read as pairs, copied
//! into all lanes, and meets the same pairs of inputs, rounded to bfloat16 as well. Each sum has one order, so that rows do
//! not feel each other here either; but what comes out is not what the float32 weights would say.

use pulp::{Simd, WithSimd};

use crate::linear::{Linear, Share, Write, shares};
use crate::model::{AttentionWeights, LayerWeights, Model};
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// The proof that the processor has instructions for bfloat16.
#[derive(Clone, Copy, Debug)]
pub struct Bfloat16(());

impl Bfloat16 {
    /// Asks the processor.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bf16") {
            return Some(Self(()));
        }
        None
    }
}

/// A matrix `[out, in]` in bfloat16, two numbers a pair, the lower half first.
#[derive(Debug)]
pub struct HalfMatrix {
    /// `[out, in / 2]`, filled up with 0 where `in` is odd.
    pairs: Vec<u32>,
    n_out: usize,
}

/// The matrices of a model in bfloat16.
#[derive(Debug)]
pub struct HalfWeights {
    /// Of each layer: queries, keys and values; out; gate and up; down.
    layers: Vec<[HalfMatrix; 4]>,
    head: HalfMatrix,
}

impl HalfWeights {
    /// Rounds the matrices of a model.
    pub fn of(model: &Model<'_>, team: &Team, bfloat16: Bfloat16) -> Self {
        let round = |linear: &Linear<'_>| HalfMatrix::of(linear, team, bfloat16);
        let layers = model.layers.iter().map(|layer| {
            let AttentionWeights { qkv, out, .. } = &layer.attention;
            [round(qkv), round(out), round(&layer.gate_up), round(&layer.down)]
        });
        Self { layers: layers.collect(), head: round(&model.head) }
    }

    /// Returns a model that multiplies with these matrices; the rest is as before.
    pub fn model<'a>(&'a self, model: &Model<'a>) -> Model<'a> {
        let layers = model.layers.iter().zip(&self.layers).map(|(layer, [qkv, out, gate_up, down])| LayerWeights {
            attention_norm: layer.attention_norm,
            attention: AttentionWeights {
                qkv: layer.attention.qkv.with_half(qkv),
                qk_norm: layer.attention.qk_norm,
                out: layer.attention.out.with_half(out),
            },
            mlp_norm: layer.mlp_norm,
            gate_up: layer.gate_up.with_half(gate_up),
            down: layer.down.with_half(down),
        });
        Model {
            sizes: model.sizes.clone(),
            frequencies: model.frequencies.clone(),
            embedding: model.embedding,
            layers: layers.collect(),
            norm: model.norm,
            head: model.head.with_half(&self.head),
        }
    }
}

impl HalfMatrix {
    /// Rounds a matrix.
    pub fn of(linear: &Linear<'_>, team: &Team, _: Bfloat16) -> Self {
        let (n_in, n_out) = (linear.n_in(), linear.n_out());
        let n_pairs = n_in.div_ceil(2);
        let mut pairs = vec![0; n_out * n_pairs];
        team.for_each(linear.weight().chunks(n_in).zip(pairs.chunks_mut(n_pairs)), |(weights, pairs)| {
            for (pair, to) in weights.chunks(2).zip(pairs) {
                *to = pair_of(pair[0], pair.get(1).copied().unwrap_or(0.0));
            }
        });
        Self { pairs, n_out }
    }

    fn n_pairs(&self) -> usize {
        self.pairs.len() / self.n_out
    }

    /// Computes `y = x · matrixᵀ + bias`, or adds it to `y`.
    pub(crate) fn apply(&self, team: &Team, x: &Rows, bias: Option<&[f32]>, y: &mut Rows, write: Write) {
        let rounded = Pairs::of(team, x);
        let shares = shares(team, self.n_out, &rounded.blocks, y);
        team.for_each(shares, |Share { first, x, mut y }| {
            let n_out = y[0].len() / LANES;
            for (at, n) in tiles(n_out, if x.len() == 4 { 6 } else { 8 }) {
                let weights = &self.pairs[(first + at) * self.n_pairs()..][..n * self.n_pairs()];
                let sums = products(weights, n, x);
                for (y, sums) in y.iter_mut().zip(&sums) {
                    for (i, sums) in sums.iter().take(n).enumerate() {
                        let bias = bias.map_or(0.0, |bias| bias[first + at + i]);
                        let to = &mut y[(at + i) * LANES..][..LANES];
                        for (to, sum) in to.iter_mut().zip(sums) {
                            *to = if write == Write::Add { *to + (sum + bias) } else { sum + bias };
                        }
                    }
                }
            }
        });
    }
}

/// Cuts outputs into tiles of `n`, and what is left into single ones.
fn tiles(n_out: usize, n: usize) -> impl Iterator<Item = (usize, usize)> {
    let full = n_out - n_out % n;
    (0..full).step_by(n).map(move |at| (at, n)).chain((full..n_out).map(|at| (at, 1)))
}

/// Inputs rounded to bfloat16: pair `p` of lane `l` is `blocks[·][p · 16 + l]`.
struct Pairs {
    blocks: Vec<Vec<u32>>,
}

impl Pairs {
    fn of(team: &Team, x: &Rows) -> Self {
        let mut blocks = vec![vec![0; x.n_features().div_ceil(2) * LANES]; x.blocks.len()];
        let arch = team.arch();
        team.for_each(x.blocks.iter().zip(&mut blocks), |(x, pairs)| arch.dispatch(Round { x, pairs }));
        Self { blocks }
    }
}

/// Rounds sixteen rows.
struct Round<'a> {
    x: &'a [f32],
    pairs: &'a mut [u32],
}

impl WithSimd for Round<'_> {
    type Output = ();

    /// The compiler makes vectors of these loops.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        const NONE: [f32; LANES] = [0.0; LANES];
        for (x, pairs) in self.x.chunks(2 * LANES).zip(self.pairs.chunks_exact_mut(LANES)) {
            let (even, odd) = x.split_at(LANES);
            let odd = if odd.is_empty() { &NONE } else { odd };
            for ((pair, &even), &odd) in pairs.iter_mut().zip(even).zip(odd) {
                *pair = pair_of(even, odd);
            }
        }
    }
}

#[inline(always)]
fn pair_of(even: f32, odd: f32) -> u32 {
    round(even) >> 16 | round(odd)
}

/// Rounds to the nearest bfloat16, ties to even; its bits are the upper half.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000
}

/// Multiplies `n` rows of pairs with up to four blocks: sums for each block and row.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that this processor has, as whoever made the matrix has proved")]
fn products(weights: &[u32], n: usize, x: &[Vec<u32>]) -> [[[f32; LANES]; 8]; 4] {
    let mut sums = [[[0.0; LANES]; 8]; 4];
    // SAFETY: a `HalfMatrix` is made with a `Bfloat16` alone.
    unsafe {
        match (n, x) {
            (6, [a, b, c, d]) => vector::tile::<6, 4>(weights, [a, b, c, d], &mut sums),
            (8, [a, b, c]) => vector::tile::<8, 3>(weights, [a, b, c], &mut sums),
            (8, [a, b]) => vector::tile::<8, 2>(weights, [a, b], &mut sums),
            (8, [a]) => vector::tile::<8, 1>(weights, [a], &mut sums),
            (_, [a, b, c, d]) => vector::tile::<1, 4>(weights, [a, b, c, d], &mut sums),
            (_, [a, b, c]) => vector::tile::<1, 3>(weights, [a, b, c], &mut sums),
            (_, [a, b]) => vector::tile::<1, 2>(weights, [a, b], &mut sums),
            (_, [a, ..]) => vector::tile::<1, 1>(weights, [a], &mut sums),
            (_, []) => {}
        }
    }
    sums
}

#[cfg(not(target_arch = "x86_64"))]
fn products(_: &[u32], _: usize, _: &[Vec<u32>]) -> [[[f32; LANES]; 8]; 4] {
    unreachable!("nobody can make a `Bfloat16` here")
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod vector {
    use std::arch::x86_64::{
        __m512, __m512bh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch, _mm512_storeu_ps};
    use std::mem::transmute;

    use crate::rows::LANES;

    /// Sums of `N` rows and `B` blocks that stay in registers.
    ///
    /// # Safety
    ///
    /// The processor has `avx512f` and `avx512bf16`.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn tile<const N: usize, const B: usize>(
        weights: &[u32],
        x: [&Vec<u32>; B],
        out: &mut [[[f32; LANES]; 8]; 4],
    ) {
        let n_pairs = weights.len() / N;
        let rows: [&[u32]; N] = std::array::from_fn(|i| &weights[i * n_pairs..][..n_pairs]);
        let blocks: [&[u32]; B] = x.map(|block| &block[..n_pairs * LANES]);
        // SAFETY: lengths were just checked; loads and stores are of unaligned vectors within them, prefetches cannot
        // fault, and sixteen pairs have the same bits whatever the vector is called.
        unsafe {
            let mut sums: [[__m512; N]; B] = [[_mm512_setzero_ps(); N]; B];
            for p in 0..n_pairs {
                let mut lanes: [__m512bh; B] = [transmute::<__m512, __m512bh>(_mm512_setzero_ps()); B];
                for b in 0..B {
                    lanes[b] = transmute::<__m512, __m512bh>(_mm512_loadu_ps(blocks[b].as_ptr().add(p * LANES).cast()));
                }
                if p % LANES == 0 {
                    for row in &rows {
                        _mm_prefetch::<_MM_HINT_T1>(row.as_ptr().wrapping_add(p + N * n_pairs).cast());
                    }
                }
                for i in 0..N {
                    let pair = _mm512_set1_epi32(rows[i].as_ptr().add(p).read().cast_signed());
                    let pair = transmute::<std::arch::x86_64::__m512i, __m512bh>(pair);
                    for b in 0..B {
                        sums[b][i] = _mm512_dpbf16_ps(sums[b][i], pair, lanes[b]);
                    }
                }
            }
            for b in 0..B {
                for i in 0..N {
                    _mm512_storeu_ps(out[b][i].as_mut_ptr(), sums[b][i]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_and_ties_go_to_even() {
        let rounded = |x: f32| f32::from_bits(round(x));
        assert_eq!([1.0, -2.5, 0.0].map(rounded), [1.0, -2.5, 0.0]);
        // Neighbours of 1 are 2⁻⁷ apart.
        let step = 0.007_812_5;
        assert_eq!(rounded(1.0 + 0.4 * step), 1.0);
        assert_eq!(rounded(1.0 + 0.6 * step), 1.0 + step);
        assert_eq!([rounded(1.0 + 0.5 * step), rounded(1.0 + 1.5 * step)], [1.0, 1.0 + 2.0 * step]);
    }

    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        let Some(bfloat16) = Bfloat16::detect() else { return };
        let number = |i: usize| (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0;
        let team = Team::new(2);
        for (n_rows, n_in, n_out) in [(1, 1, 1), (5, 7, 3), (33, 40, 50), (48, 19, 31), (64, 64, 96), (130, 33, 29)] {
            let weight: Vec<f32> = (0..n_in * n_out).map(|i| number(i + 5)).collect();
            let bias: Vec<f32> = (0..n_out).map(|i| number(i + 9)).collect();
            let mut x = Rows::zeros(n_rows, n_in);
            (0..n_rows).for_each(|row| x.set(row, &(0..n_in).map(|f| number(row * 77 + f)).collect::<Vec<_>>()));
            let mut y = Rows::zeros(n_rows, n_out);
            let linear = Linear::new(&weight, Some(&bias), n_in);
            let half = HalfMatrix::of(&linear, &team, bfloat16);
            linear.with_half(&half).set(&team, &x, &mut y);
            let rounded = |x: f32| f64::from(f32::from_bits(round(x)));
            for row in 0..n_rows {
                for (out, y) in y.row(row).into_iter().enumerate() {
                    let product = |i: usize| rounded(weight[out * n_in + i]) * rounded(number(row * 77 + i));
                    let expected = f64::from(bias[out]) + (0..n_in).map(product).sum::<f64>();
                    assert!((f64::from(y) - expected).abs() < 1e-4, "{n_rows}x{n_in}x{n_out} at {row}, {out}");
                }
            }
        }
    }
}
