//! Matrix products, of few rows and of many.
//!
//! Sixteen to sixty-four rows stand in the lanes of one to four vectors. A weight is loaded once, copied into all lanes,
//! and multiplied into as many sums as registers can hold: 24 with 32 registers, 12 with 16. The matrix is read as the
//! trainer keeps it, each of its rows a stream that the processor fetches ahead; nothing is packed or copied.

use pulp::{Simd, WithSimd};

use crate::array::array;
use crate::reduced::ReducedMatrix;
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// A matrix `[out, in]`, row by row, with a bias `[out]`.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    weight: &'a [f32],
    /// The same in numbers of fewer bits, to be multiplied with instead.
    reduced: Option<&'a ReducedMatrix>,
    bias: Option<&'a [f32]>,
    n_in: usize,
}

/// Blocks of rows that share one pass over the matrix.
const BLOCKS: usize = 4;

/// Inputs between two checks of bounds.
const STEP: usize = 16;

/// Outputs computed by one piece of work are a multiple of this: of the tile heights 6 and 8.
const PIECE: usize = 24;

/// What happens to a product when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// It replaces what was there.
    Set,
    /// It is added, as residual connections want it.
    Add,
}

impl<'a> Linear<'a> {
    /// Takes a matrix `[out, n_in]` and perhaps a bias `[out]`.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit each other.
    pub fn new(weight: &'a [f32], bias: Option<&'a [f32]>, n_in: usize) -> Self {
        assert!(n_in > 0 && weight.len().is_multiple_of(n_in), "{} weights for {n_in} inputs", weight.len());
        assert!(bias.is_none_or(|bias| bias.len() == weight.len() / n_in), "a bias for each output");
        Self { weight, reduced: None, bias, n_in }
    }

    /// Multiplies with the same matrix in numbers of fewer bits.
    #[must_use]
    pub fn with_reduced<'b>(&self, reduced: &'b ReducedMatrix) -> Linear<'b>
    where
        'a: 'b,
    {
        Linear { reduced: Some(reduced), ..*self }
    }

    /// Returns the matrix `[out, in]`.
    pub(crate) fn weight(&self) -> &'a [f32] {
        self.weight
    }

    /// Returns the number of inputs.
    pub(crate) fn n_in(&self) -> usize {
        self.n_in
    }

    /// Returns the number of outputs.
    pub fn n_out(&self) -> usize {
        self.weight.len() / self.n_in
    }

    /// Computes `y = x · weightᵀ + bias`.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit each other.
    pub fn set(&self, team: &Team, x: &Rows, y: &mut Rows) {
        self.apply(team, x, y, Write::Set);
    }

    /// Computes `y = x · weightᵀ + bias`, or adds it to `y`.
    pub(crate) fn apply(&self, team: &Team, x: &Rows, y: &mut Rows, write: Write) {
        assert_eq!(x.n_features(), self.n_in);
        if let Some(reduced) = self.reduced {
            assert_eq!((y.n_features(), x.blocks.len()), (self.n_out(), y.blocks.len()));
            return reduced.apply(team, x, self.bias, y, write);
        }
        self.apply_from(team, (x, 0), y, write);
    }

    /// The same for those features of `x` that start at a given one.
    pub(crate) fn apply_from(&self, team: &Team, (x, start): (&Rows, usize), y: &mut Rows, write: Write) {
        assert!(start + self.n_in <= x.n_features(), "{} features from {start}", self.n_in);
        assert_eq!((y.n_features(), x.blocks.len()), (self.n_out(), y.blocks.len()));
        let pieces = shares(team, self.n_out(), &x.blocks, y).into_iter().map(|Share { first, x, y }| {
            let x = x.iter().map(|block| &block[start * LANES..][..self.n_in * LANES]).collect();
            Piece { linear: *self, first, x, y, write }
        });
        let arch = team.arch();
        team.for_each(pieces, |piece| arch.dispatch(piece));
    }
}

/// A share of a product: some outputs of up to four blocks of rows.
pub(crate) struct Share<'x, 'y, T> {
    /// The first output.
    pub first: usize,
    /// The inputs of each block.
    pub x: &'x [T],
    /// The outputs of each block.
    pub y: Vec<&'y mut [f32]>,
}

/// Cuts a product into shares; those of the same weights follow each other, so that the second finds them in a cache.
pub(crate) fn shares<'x, 'y, T>(team: &Team, n_out: usize, x: &'x [T], y: &'y mut Rows) -> Vec<Share<'x, 'y, T>> {
    let per_piece = n_out.div_ceil(4 * team.n_threads()).next_multiple_of(PIECE);
    let mut shares = vec![];
    for (x, y) in x.chunks(BLOCKS).zip(y.blocks.chunks_mut(BLOCKS)) {
        let mut outs: Vec<_> = y.iter_mut().map(|block| block.chunks_mut(per_piece * LANES)).collect();
        for first in (0..n_out).step_by(per_piece) {
            shares.push(Share { first, x, y: outs.iter_mut().filter_map(Iterator::next).collect() });
        }
    }
    shares.sort_by_key(|share| share.first);
    shares
}

/// A share with the matrix that it is multiplied with.
struct Piece<'a> {
    linear: Linear<'a>,
    /// The first output.
    first: usize,
    x: Vec<&'a [f32]>,
    y: Vec<&'a mut [f32]>,
    write: Write,
}

impl WithSimd for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // With narrower vectors, the blocks take their turns.
        match (S::F32_LANES, self.x.len()) {
            (16, 4) => self.tiles::<S, 6, 4, 1>(simd, 0),
            (16, 3) => self.tiles::<S, 8, 3, 1>(simd, 0),
            (16, 2) => self.tiles::<S, 8, 2, 1>(simd, 0),
            (16, _) => self.tiles::<S, 8, 1, 1>(simd, 0),
            (8, n) => (0..n).for_each(|block| self.tiles::<S, 6, 1, 2>(simd, block)),
            (4, n) => (0..n).for_each(|block| self.tiles::<S, 6, 1, 4>(simd, block)),
            (_, n) => (0..n).for_each(|block| self.tiles::<S, 1, 1, 16>(simd, block)),
        }
    }
}

impl Piece<'_> {
    /// Walks over the outputs, `N` at a time, for `B` blocks of `V` vectors each.
    #[inline(always)]
    fn tiles<S: Simd, const N: usize, const B: usize, const V: usize>(&mut self, simd: S, block: usize) {
        let n_out = self.y[block].len() / LANES;
        let full = n_out - n_out % N;
        for at in (0..full).step_by(N) {
            self.tile::<S, N, B, V>(simd, block, at);
        }
        for at in full..n_out {
            self.tile::<S, 1, B, V>(simd, block, at);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const N: usize, const B: usize, const V: usize>(&mut self, simd: S, block: usize, at: usize) {
        let Linear { weight, bias, n_in, .. } = self.linear;
        let first = self.first + at;
        let w: [&[f32]; N] = array(|i| &weight[(first + i) * n_in..][..n_in]);
        let x: [&[S::f32s]; B] = array(|b| vectors::<S>(self.x[block + b], n_in * V));
        let next = &weight[((first + N) * n_in).min(weight.len())..];
        let sums = products::<S, N, B, V>(simd, w, x, next);
        for (b, sums) in sums.iter().enumerate() {
            let y = S::as_mut_simd_f32s(&mut self.y[block + b][at * LANES..][..N * LANES]).0;
            for (i, sums) in sums.iter().enumerate() {
                let bias = simd.splat_f32s(bias.map_or(0.0, |bias| bias[first + i]));
                for (v, &sum) in sums.iter().enumerate() {
                    let sum = simd.add_f32s(sum, bias);
                    let to = &mut y[i * V + v];
                    *to = if self.write == Write::Add { simd.add_f32s(*to, sum) } else { sum };
                }
            }
        }
    }
}

#[inline(always)]
pub(crate) fn vectors<S: Simd>(block: &[f32], n: usize) -> &[S::f32s] {
    &S::as_simd_f32s(block).0[..n]
}

/// Multiplies `N` rows of a matrix with `B` blocks of `V` vectors: `N · B · V` sums that stay in registers.
///
/// Each sum is one chain over the inputs, in their order, whatever `N`, `B` and `V`. `next` are the rows that come next:
/// rows of a few kilobytes are too short for the processor to see them coming.
#[inline(always)]
pub(crate) fn products<S: Simd, const N: usize, const B: usize, const V: usize>(
    simd: S,
    w: [&[f32]; N],
    x: [&[S::f32s]; B],
    next: &[f32],
) -> [[[S::f32s; V]; N]; B] {
    let n_in = w[0].len();
    let mut sums = [[[simd.splat_f32s(0.0); V]; N]; B];
    let whole = n_in - n_in % STEP;
    for at in (0..whole).step_by(STEP) {
        let w: [&[f32]; N] = array(|i| &w[i][at..at + STEP]);
        let x: [&[S::f32s]; B] = array(|b| &x[b][at * V..(at + STEP) * V]);
        for i in 0..N {
            prefetch(next, i * n_in + at);
        }
        for j in 0..STEP {
            step::<S, N, B, V>(simd, &w, &x, j, &mut sums);
        }
    }
    for j in whole..n_in {
        step::<S, N, B, V>(simd, &w, &x, j, &mut sums);
    }
    sums
}

/// Asks for the cache line of a number.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the instruction takes a pointer"))]
pub(crate) fn prefetch<T>(numbers: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(number) = numbers.get(at) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: the pointer is that of a number; the instruction reads nothing and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(number).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (numbers, at);
}

#[inline(always)]
fn step<S: Simd, const N: usize, const B: usize, const V: usize>(
    simd: S,
    w: &[&[f32]; N],
    x: &[&[S::f32s]; B],
    j: usize,
    sums: &mut [[[S::f32s; V]; N]; B],
) {
    let x: [[S::f32s; V]; B] = array(|b| array(|v| x[b][j * V + v]));
    for i in 0..N {
        let w = simd.splat_f32s(w[i][j]);
        for b in 0..B {
            for v in 0..V {
                sums[b][i][v] = simd.mul_add_f32s(w, x[b][v], sums[b][i][v]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(i: usize) -> f32 {
        (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0
    }

    fn rows(n_rows: usize, n_features: usize) -> Rows {
        let mut rows = Rows::zeros(n_rows, n_features);
        for row in 0..n_rows {
            let features: Vec<f32> = (0..n_features).map(|f| number(row * 77 + f)).collect();
            rows.set(row, &features);
        }
        rows
    }

    fn product(n_rows: usize, n_in: usize, n_out: usize, write: Write, threads: usize) -> Rows {
        let weight: Vec<f32> = (0..n_in * n_out).map(|i| number(i + 5)).collect();
        let bias: Vec<f32> = (0..n_out).map(|i| number(i + 9)).collect();
        let mut y = rows(n_rows, n_out);
        let linear = Linear::new(&weight, Some(&bias), n_in);
        linear.apply(&Team::new(threads), &rows(n_rows, n_in), &mut y, write);
        y
    }

    /// In float64, element by element.
    #[test]
    fn every_shape_equals_the_plain_sum() {
        for (n_rows, n_in, n_out) in
            [(1, 1, 1), (5, 7, 3), (16, 16, 24), (33, 40, 50), (48, 19, 31), (64, 64, 96), (130, 33, 29)]
        {
            for write in [Write::Set, Write::Add] {
                let y = product(n_rows, n_in, n_out, write, 2);
                for row in 0..n_rows {
                    for (out, y) in y.row(row).into_iter().enumerate() {
                        let before = if write == Write::Add { f64::from(number(row * 77 + out)) } else { 0.0 };
                        let product = |i| f64::from(number(out * n_in + i + 5)) * f64::from(number(row * 77 + i));
                        let expected = before + f64::from(number(out + 9)) + (0..n_in).map(product).sum::<f64>();
                        assert!((f64::from(y) - expected).abs() < 1e-4, "{n_rows}x{n_in}x{n_out} at {row}, {out}");
                    }
                }
            }
        }
    }

    #[test]
    fn rows_do_not_feel_each_other_nor_the_threads() {
        let alone = product(1, 70, 50, Write::Set, 1).row(0);
        for n_rows in [2, 16, 17, 40, 64, 200] {
            assert_eq!(product(n_rows, 70, 50, Write::Set, 3).row(0), alone, "{n_rows} rows");
        }
    }
}
