//! Products of words: 32 bits that hold two or four small numbers, which one instruction multiplies and adds up.
//!
//! A word of the matrix is copied into all lanes and meets the words of as many rows, and the sums stay in registers, as
//! in `linear`. What a word holds, and what its sum says, is the business of `half` and `int8`.

use crate::array::array;
use crate::linear::{Write, prefetch};
use crate::rows::LANES;

/// The instructions of a processor for words of one kind.
///
/// Its methods are unsafe to call where the processor lacks them. All but the last are inlined into it.
#[expect(unsafe_code, reason = "the processor may lack them")]
pub(crate) trait Instructions {
    /// What the products of words are added up in.
    type Sum: Copy + Default;
    /// Some words beside each other.
    type Words: Copy;
    /// As many sums.
    type Sums: Copy;
    /// How many.
    const LANES: usize;

    unsafe fn zeros() -> Self::Sums;
    unsafe fn splat(word: u32) -> Self::Words;
    /// Reads [`Self::LANES`] words.
    unsafe fn load(words: &[u32]) -> Self::Words;
    /// Multiplies each number of the weights with that of the inputs and adds a word's products to its sum.
    unsafe fn multiply_add(sums: Self::Sums, weights: Self::Words, inputs: Self::Words) -> Self::Sums;
    /// Writes [`Self::LANES`] sums.
    unsafe fn store(sums: Self::Sums, to: &mut [Self::Sum]);
    /// Calls [`Piece::multiply`], compiled for the instructions.
    unsafe fn multiply(piece: Piece<'_, impl Outputs<Self::Sum>>);
}

/// What sums say.
pub(crate) trait Outputs<S> {
    /// Returns an output of the sixteen rows of a block, whose sums are given.
    fn of(&self, sums: [S; LANES], out: usize, block: usize) -> [f32; LANES];
}

/// A share of a product: some rows of the matrix and up to four blocks of inputs.
pub(crate) struct Piece<'a, O> {
    /// `[out, n_words]`.
    pub weights: &'a [u32],
    pub n_words: usize,
    /// `[n_words, 16]` each.
    pub x: Vec<&'a [u32]>,
    /// `[out, 16]` each.
    pub y: Vec<&'a mut [f32]>,
    pub outputs: O,
    /// `[out]`.
    pub bias: Option<&'a [f32]>,
    pub write: Write,
}

/// Words between two checks of bounds: a cache line.
const STEP: usize = 16;

#[expect(unsafe_code, reason = "whoever calls has the instructions")]
impl<O> Piece<'_, O> {
    /// Multiplies. With narrower vectors, the blocks take their turns.
    ///
    /// # Safety
    ///
    /// The processor has the instructions.
    #[inline(always)]
    pub(crate) unsafe fn multiply<I: Instructions>(mut self)
    where
        O: Outputs<I::Sum>,
    {
        // SAFETY: the caller's.
        unsafe {
            match (I::LANES, self.x.len()) {
                (16, 4) => self.tiles::<I, 6, 4, 1>(0),
                (16, 3) => self.tiles::<I, 8, 3, 1>(0),
                (16, 2) => self.tiles::<I, 8, 2, 1>(0),
                (16, _) => self.tiles::<I, 8, 1, 1>(0),
                (_, n) => (0..n).for_each(|block| self.tiles::<I, 6, 1, 2>(block)),
            }
        }
    }

    /// Walks over the outputs, `N` at a time, for `B` blocks of `V` vectors each.
    #[inline(always)]
    unsafe fn tiles<I: Instructions, const N: usize, const B: usize, const V: usize>(&mut self, block: usize)
    where
        O: Outputs<I::Sum>,
    {
        let n_out = self.weights.len() / self.n_words;
        let full = n_out - n_out % N;
        // SAFETY: the caller's.
        unsafe {
            for out in (0..full).step_by(N) {
                self.tile::<I, N, B, V>(block, out);
            }
            for out in full..n_out {
                self.tile::<I, 1, B, V>(block, out);
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<I: Instructions, const N: usize, const B: usize, const V: usize>(&mut self, block: usize, out: usize)
    where
        O: Outputs<I::Sum>,
    {
        let n = self.n_words;
        let w: [&[u32]; N] = array(|i| &self.weights[(out + i) * n..][..n]);
        let x: [&[u32]; B] = array(|b| &self.x[block + b][..n * LANES]);
        let next = &self.weights[((out + N) * n).min(self.weights.len())..];
        // SAFETY: the caller's.
        let sums = unsafe { products::<I, N, B, V>(w, x, next) };
        for (b, sums) in sums.iter().enumerate() {
            for (i, sums) in sums.iter().enumerate() {
                let mut lanes = [I::Sum::default(); LANES];
                for v in 0..V {
                    // SAFETY: the caller's.
                    unsafe { I::store(sums[v], &mut lanes[v * I::LANES..(v + 1) * I::LANES]) };
                }
                let found = self.outputs.of(lanes, out + i, block + b);
                let bias = self.bias.map_or(0.0, |bias| bias[out + i]);
                let y: &mut [f32] = &mut self.y[block + b][(out + i) * LANES..(out + i + 1) * LANES];
                for lane in 0..LANES {
                    let sum = found[lane] + bias;
                    y[lane] = if self.write == Write::Add { y[lane] + sum } else { sum };
                }
            }
        }
    }
}

/// Multiplies `N` rows of words with `B` blocks of `V` vectors; `next` are the rows that come next.
///
/// Each sum is one chain over the words, in their order, whatever `N`, `B` and `V`.
#[inline(always)]
#[expect(unsafe_code, reason = "whoever calls has the instructions")]
unsafe fn products<I: Instructions, const N: usize, const B: usize, const V: usize>(
    w: [&[u32]; N],
    x: [&[u32]; B],
    next: &[u32],
) -> [[[I::Sums; V]; N]; B] {
    let n = w[0].len();
    let whole = n - n % STEP;
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[[I::zeros(); V]; N]; B];
        for at in (0..whole).step_by(STEP) {
            for i in 0..N {
                prefetch(next, i * n + at);
            }
            let w: [&[u32]; N] = array(|i| &w[i][at..at + STEP]);
            let x: [&[u32]; B] = array(|b| &x[b][at * LANES..(at + STEP) * LANES]);
            for j in 0..STEP {
                step::<I, N, B, V>(&w, &x, j, &mut sums);
            }
        }
        for j in whole..n {
            step::<I, N, B, V>(&w, &x, j, &mut sums);
        }
        sums
    }
}

#[inline(always)]
#[expect(unsafe_code, reason = "whoever calls has the instructions")]
unsafe fn step<I: Instructions, const N: usize, const B: usize, const V: usize>(
    w: &[&[u32]; N],
    x: &[&[u32]; B],
    j: usize,
    sums: &mut [[[I::Sums; V]; N]; B],
) {
    // SAFETY: the caller's.
    unsafe {
        let x: [[I::Words; V]; B] = array(|b| array(|v| I::load(&x[b][j * LANES + v * I::LANES..][..I::LANES])));
        for i in 0..N {
            let w = I::splat(w[i][j]);
            for b in 0..B {
                for v in 0..V {
                    sums[b][i][v] = I::multiply_add(sums[b][i][v], w, x[b][v]);
                }
            }
        }
    }
}
