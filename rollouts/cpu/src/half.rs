//! Products with weights in bfloat16, twice as fast where the processor multiplies pairs of them.
//!
//! `vdpbf16ps` adds the products of two neighbouring numbers to a float32 sum. A row of the matrix is read as pairs, copied
//! into all lanes, and meets the same pairs of inputs, rounded to bfloat16 as well. Each sum has one order, so that rows do
//! not feel each other here either; but what comes out is not what the float32 weights would say.

use pulp::{Simd, WithSimd};

use crate::linear::{Linear, Share, Write, shares};
use crate::rows::{LANES, Rows};
use crate::team::Team;
use crate::words::{Outputs, Piece};

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
pub(crate) struct HalfMatrix {
    /// `[out, in / 2]`, filled up with 0 where `in` is odd.
    pairs: Vec<u32>,
    n_out: usize,
}

impl HalfMatrix {
    /// Rounds a matrix.
    pub(crate) fn of(linear: &Linear<'_>, team: &Team, _: Bfloat16) -> Self {
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

    /// Computes `y = x · matrixᵀ + bias`, or adds it to `y`.
    pub(crate) fn apply(&self, team: &Team, x: &Rows, bias: Option<&[f32]>, y: &mut Rows, write: Write) {
        let n_words = self.pairs.len() / self.n_out;
        let rounded = Pairs::of(team, x);
        team.for_each(shares(team, self.n_out, &rounded.blocks, y), |Share { first, x, y }| {
            let outs = first..first + y[0].len() / LANES;
            multiply(Piece {
                weights: &self.pairs[outs.start * n_words..outs.end * n_words],
                n_words,
                x: x.iter().map(Vec::as_slice).collect(),
                y,
                outputs: Sums,
                bias: bias.map(|bias| &bias[outs]),
                write,
            });
        });
    }
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

/// The sums are the outputs.
struct Sums;

impl Outputs<f32> for Sums {
    #[inline(always)]
    fn of(&self, sums: [f32; LANES], _: usize, _: usize) -> [f32; LANES] {
        sums
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that this processor has, as whoever made the matrix has proved")]
fn multiply(piece: Piece<'_, Sums>) {
    use crate::words::Instructions;
    // SAFETY: a `HalfMatrix` is made with a `Bfloat16` alone.
    unsafe { vector::Avx512Bf16::multiply(piece) }
}

#[cfg(not(target_arch = "x86_64"))]
fn multiply(_: Piece<'_, Sums>) {
    unreachable!("nobody can make a `Bfloat16` here")
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod vector {
    use std::arch::x86_64::{
        __m512, __m512bh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };
    use std::mem::transmute;

    use crate::words::{Instructions, Outputs, Piece};

    /// Sixteen pairs at a time.
    pub(super) struct Avx512Bf16;

    // SAFETY of all: the caller has the instructions, the slices have the lengths asked for, and sixteen pairs have the
    // same bits whatever the vector is called.
    impl Instructions for Avx512Bf16 {
        type Sum = f32;
        type Words = __m512;
        type Sums = __m512;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn zeros() -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn splat(word: u32) -> __m512 {
            unsafe { _mm512_set1_ps(f32::from_bits(word)) }
        }

        #[inline(always)]
        unsafe fn load(words: &[u32]) -> __m512 {
            unsafe { _mm512_loadu_ps(words[..16].as_ptr().cast()) }
        }

        #[inline(always)]
        unsafe fn multiply_add(sums: __m512, weights: __m512, inputs: __m512) -> __m512 {
            unsafe {
                let (weights, inputs) = (transmute::<__m512, __m512bh>(weights), transmute::<__m512, __m512bh>(inputs));
                _mm512_dpbf16_ps(sums, weights, inputs)
            }
        }

        #[inline(always)]
        unsafe fn store(sums: __m512, to: &mut [f32]) {
            unsafe { _mm512_storeu_ps(to[..16].as_mut_ptr(), sums) }
        }

        #[target_feature(enable = "avx512f,avx512bf16")]
        unsafe fn multiply(piece: Piece<'_, impl Outputs<f32>>) {
            unsafe { piece.multiply::<Self>() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduced::{Reduced, ReducedMatrix};

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
            let half = ReducedMatrix::of(&linear, &team, Reduced::Bfloat16(bfloat16));
            linear.with_reduced(&half).set(&team, &x, &mut y);
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
