//! Products with weights in eight bits, four times as fast where the processor multiplies four of them at a time.
//!
//! `vpdpbusd` adds the products of four neighbouring integers to a sum in 32 bits. Inputs and the rows of the matrix are
//! [rotated](crate::hadamard), which changes no product, and rounded to multiples of 1/127 of their largest magnitude.
//! Sums of integers are exact, so that rows do not feel each other here either; but what comes out is not what the
//! float32 weights would say.

use pulp::{Simd, WithSimd};

use crate::array::array;
use crate::hadamard::{ORDER, STRETCH, rotate};
use crate::linear::{Linear, Share, Write, shares};
use crate::rows::{LANES, Rows};
use crate::team::Team;
use crate::words::{Outputs, Piece};

/// The proof that the processor has instructions for integers of eight bits.
#[derive(Clone, Copy, Debug)]
pub struct Int8(Kind);

/// The instructions, in vectors of 512 or 256 bits.
#[derive(Clone, Copy, Debug)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(test)]
    Portable,
}

impl Int8 {
    /// Asks the processor.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vnni") {
                return Some(Self(Kind::Avx512Vnni));
            }
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("avxvnni") {
                return Some(Self(Kind::AvxVnni));
            }
        }
        None
    }
}

/// The largest magnitude of an integer.
const LARGEST: f32 = 127.0;

/// Added to the inputs, which the instructions take without a sign.
const OFFSET: u32 = 128;

/// More inputs could overflow 32 bits: `127 · 127 · 2¹⁷ < 2³¹`.
const MOST_INPUTS: usize = 1 << 17;

/// A matrix `[out, in]` in eight bits, four numbers a word, the lowest first.
#[derive(Debug)]
pub(crate) struct Int8Matrix {
    /// `[out, n_words]`, signed.
    words: Vec<u32>,
    n_words: usize,
    /// What the sums of each row are to be multiplied with.
    scales: Vec<f32>,
    /// What [`OFFSET`] adds to the sums of each row.
    offsets: Vec<i32>,
    int8: Int8,
}

impl Int8Matrix {
    /// Rounds a matrix.
    ///
    /// # Panics
    ///
    /// If it has more than 131,072 inputs, whose products could overflow.
    pub(crate) fn of(linear: &Linear<'_>, team: &Team, int8: Int8) -> Self {
        let (n_in, n_out) = (linear.n_in(), linear.n_out());
        assert!(n_in <= MOST_INPUTS, "sums of {n_in} products could overflow");
        let n_words = n_in.next_multiple_of(ORDER) / 4;
        let mut words = vec![0; n_out * n_words];
        let (mut scales, mut offsets) = (vec![0.0; n_out], vec![0; n_out]);
        let (arch, size) = (team.arch(), LANES * n_words);
        let places = words.chunks_mut(size).zip(scales.chunks_mut(LANES)).zip(offsets.chunks_mut(LANES));
        team.for_each(linear.weight().chunks(LANES * n_in).zip(places), |(weights, ((words, scales), offsets))| {
            let mut rounded = Rounded::new(n_words);
            let x = &Rows::of(weights.chunks(n_in), n_in).blocks[0];
            arch.dispatch(Round { x, rounded: &mut rounded, room: vec![] });
            for (row, words) in words.chunks_mut(n_words).enumerate() {
                let column = rounded.words.iter().skip(row).step_by(LANES);
                words.iter_mut().zip(column).for_each(|(to, from)| *to = without_offset(*from));
                scales[row] = rounded.scales[row] / (STRETCH * STRETCH);
                offsets[row] = words.iter().flat_map(|word| word.to_le_bytes()).map(offset_by).sum();
            }
        });
        Self { words, n_words, scales, offsets, int8 }
    }

    /// Computes `y = x · matrixᵀ + bias`, or adds it to `y`.
    pub(crate) fn apply(&self, team: &Team, x: &Rows, bias: Option<&[f32]>, y: &mut Rows, write: Write) {
        let n_words = self.n_words;
        let mut rounded: Vec<Rounded> = x.blocks.iter().map(|_| Rounded::new(n_words)).collect();
        let arch = team.arch();
        team.for_each(x.blocks.iter().zip(&mut rounded), |(x, rounded)| {
            arch.dispatch(Round { x, rounded, room: vec![] });
        });
        team.for_each(shares(team, self.scales.len(), &rounded, y), |Share { first, x, y }| {
            let outs = first..first + y[0].len() / LANES;
            let outputs = Scaled { x, scales: &self.scales[outs.clone()], offsets: &self.offsets[outs.clone()] };
            self.int8.multiply(Piece {
                weights: &self.words[outs.start * n_words..outs.end * n_words],
                n_words,
                x: x.iter().map(|block| block.words.as_slice()).collect(),
                y,
                outputs,
                bias: bias.map(|bias| &bias[outs]),
                write,
            });
        });
    }
}

/// Takes the offset from four integers, which turns the upper bit of each.
fn without_offset(word: u32) -> u32 {
    word ^ 0x8080_8080
}

/// What the offset adds to a product with an integer.
fn offset_by(byte: u8) -> i32 {
    i32::from(byte.cast_signed()) * OFFSET.cast_signed()
}

/// Sixteen rows rounded to integers, with [`OFFSET`].
#[derive(Debug)]
struct Rounded {
    /// `[n_words, 16]`.
    words: Vec<u32>,
    /// What the integers of each row are to be multiplied with.
    scales: [f32; LANES],
}

impl Rounded {
    fn new(n_words: usize) -> Self {
        Self { words: vec![0; n_words * LANES], scales: [0.0; LANES] }
    }
}

/// Rotates and rounds sixteen rows.
struct Round<'a> {
    /// `[n, 16]`.
    x: &'a [f32],
    rounded: &'a mut Rounded,
    room: Vec<f32>,
}

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.round::<S, 1>(simd),
            8 => self.round::<S, 2>(simd),
            4 => self.round::<S, 4>(simd),
            _ => self.round::<S, 16>(simd),
        }
    }
}

impl Round<'_> {
    /// `V` vectors make sixteen lanes.
    #[inline(always)]
    fn round<S: Simd, const V: usize>(self, simd: S) {
        let Self { x, rounded: Rounded { words, scales }, mut room } = self;
        room.extend(x);
        room.resize(words.len() * 4, 0.0);
        rotate(simd, &mut room);
        let x = S::as_simd_f32s(&room).0.as_chunks::<V>().0;
        let largest = largest::<S, V>(simd, x);
        S::as_mut_simd_f32s(scales).0.copy_from_slice(&largest.map(|x| simd.div_f32s(x, simd.splat_f32s(LARGEST))));
        let inverse = largest.map(|x| simd.div_f32s(simd.splat_f32s(LARGEST), x));
        let words = S::as_mut_simd_u32s(words).0.as_chunks_mut::<V>().0;
        for (words, x) in words.iter_mut().zip(x.as_chunks::<4>().0) {
            for v in 0..V {
                let bytes: [S::u32s; 4] = array(|i| integer(simd, simd.mul_f32s(x[i][v], inverse[v])));
                let left = |x: S::u32s, bits: u32| simd.wrapping_dyn_shl_u32s(x, simd.splat_u32s(bits));
                let low = simd.or_u32s(bytes[0], left(bytes[1], 8));
                let high = simd.or_u32s(bytes[2], left(bytes[3], 8));
                words[v] = simd.or_u32s(low, left(high, 16));
            }
        }
    }
}

/// Returns the largest magnitude of each row; of one with something that is no number, that.
#[inline(always)]
fn largest<S: Simd, const V: usize>(simd: S, x: &[[S::f32s; V]]) -> [S::f32s; V] {
    let mut largest = [simd.splat_u32s(0); V];
    for x in x {
        for v in 0..V {
            // The bits of magnitudes are ordered as they are, and those of what is no number come last.
            largest[v] = simd.max_u32s(largest[v], simd.transmute_u32s_f32s(simd.abs_f32s(x[v])));
        }
    }
    array(|v| simd.transmute_f32s_u32s(largest[v]))
}

/// Rounds numbers up to [`LARGEST`] to the nearest integers, ties to even, and adds the offset.
#[inline(always)]
fn integer<S: Simd>(simd: S, x: S::f32s) -> S::u32s {
    // So large a number has no room for a fraction, and its last bits are those of the integer.
    const ROOM: f32 = 12_582_912.0;
    let bits = simd.transmute_u32s_f32s(simd.add_f32s(x, simd.splat_f32s(ROOM + OFFSET as f32)));
    simd.and_u32s(bits, simd.splat_u32s(0xff))
}

/// Sums of products of integers as the numbers that they stand for.
struct Scaled<'a> {
    /// The inputs of each block.
    x: &'a [Rounded],
    /// Of each output.
    scales: &'a [f32],
    /// Of each output.
    offsets: &'a [i32],
}

impl Outputs<i32> for Scaled<'_> {
    #[inline(always)]
    fn of(&self, sums: [i32; LANES], out: usize, block: usize) -> [f32; LANES] {
        let (scale, offset, x) = (self.scales[out], self.offsets[out], &self.x[block].scales);
        let mut found = [0.0; LANES];
        for lane in 0..LANES {
            found[lane] = sums[lane].wrapping_sub(offset) as f32 * (scale * x[lane]);
        }
        found
    }
}

impl Int8 {
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "instructions that this processor has"))]
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "nobody can make an `Int8` here"))]
    fn multiply(self, piece: Piece<'_, Scaled<'_>>) {
        #[cfg(any(target_arch = "x86_64", test))]
        use crate::words::Instructions;
        match self.0 {
            // SAFETY: `detect` has found them.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => unsafe { vector::Avx512Vnni::multiply(piece) },
            // SAFETY: as before.
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => unsafe { vector::AvxVnni::multiply(piece) },
            // SAFETY: plain instructions.
            #[cfg(test)]
            Kind::Portable => unsafe { tests::Portable::multiply(piece) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions")]
mod vector {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_dpbusd_avx_epi32, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_setzero_si256,
        _mm256_storeu_si256, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
        _mm512_storeu_si512,
    };

    use crate::words::{Instructions, Outputs, Piece};

    /// Sixteen words at a time.
    pub(super) struct Avx512Vnni;

    /// Eight words at a time.
    pub(super) struct AvxVnni;

    // SAFETY of all: the caller has the instructions, and the slices have the lengths asked for.
    impl Instructions for Avx512Vnni {
        type Sum = i32;
        type Words = __m512i;
        type Sums = __m512i;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn zeros() -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        unsafe fn splat(word: u32) -> __m512i {
            unsafe { _mm512_set1_epi32(word.cast_signed()) }
        }

        #[inline(always)]
        unsafe fn load(words: &[u32]) -> __m512i {
            unsafe { _mm512_loadu_si512(words[..16].as_ptr().cast()) }
        }

        #[inline(always)]
        unsafe fn multiply_add(sums: __m512i, weights: __m512i, inputs: __m512i) -> __m512i {
            unsafe { _mm512_dpbusd_epi32(sums, inputs, weights) }
        }

        #[inline(always)]
        unsafe fn store(sums: __m512i, to: &mut [i32]) {
            unsafe { _mm512_storeu_si512(to[..16].as_mut_ptr().cast(), sums) }
        }

        #[target_feature(enable = "avx512f,avx512vnni")]
        unsafe fn multiply(piece: Piece<'_, impl Outputs<i32>>) {
            unsafe { piece.multiply::<Self>() }
        }
    }

    impl Instructions for AvxVnni {
        type Sum = i32;
        type Words = __m256i;
        type Sums = __m256i;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn zeros() -> __m256i {
            unsafe { _mm256_setzero_si256() }
        }

        #[inline(always)]
        unsafe fn splat(word: u32) -> __m256i {
            unsafe { _mm256_set1_epi32(word.cast_signed()) }
        }

        #[inline(always)]
        unsafe fn load(words: &[u32]) -> __m256i {
            unsafe { _mm256_loadu_si256(words[..8].as_ptr().cast()) }
        }

        #[inline(always)]
        unsafe fn multiply_add(sums: __m256i, weights: __m256i, inputs: __m256i) -> __m256i {
            unsafe { _mm256_dpbusd_avx_epi32(sums, inputs, weights) }
        }

        #[inline(always)]
        unsafe fn store(sums: __m256i, to: &mut [i32]) {
            unsafe { _mm256_storeu_si256(to[..8].as_mut_ptr().cast(), sums) }
        }

        #[target_feature(enable = "avx2,avxvnni")]
        unsafe fn multiply(piece: Piece<'_, impl Outputs<i32>>) {
            unsafe { piece.multiply::<Self>() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduced::{Reduced, ReducedMatrix};
    use crate::words::Instructions;

    /// The same without vectors, eight words at a time as AVX-VNNI does.
    pub(super) struct Portable;

    #[expect(unsafe_code, reason = "plain instructions with the names of others")]
    impl Instructions for Portable {
        type Sum = i32;
        type Words = [u32; 8];
        type Sums = [i32; 8];
        const LANES: usize = 8;

        unsafe fn zeros() -> [i32; 8] {
            [0; 8]
        }

        unsafe fn splat(word: u32) -> [u32; 8] {
            [word; 8]
        }

        unsafe fn load(words: &[u32]) -> [u32; 8] {
            words[..8].try_into().unwrap()
        }

        unsafe fn multiply_add(mut sums: [i32; 8], weights: [u32; 8], inputs: [u32; 8]) -> [i32; 8] {
            for ((sum, weights), inputs) in sums.iter_mut().zip(weights).zip(inputs) {
                for (weight, input) in weights.to_le_bytes().into_iter().zip(inputs.to_le_bytes()) {
                    *sum = sum.wrapping_add(i32::from(weight.cast_signed()) * i32::from(input));
                }
            }
            sums
        }

        unsafe fn store(sums: [i32; 8], to: &mut [i32]) {
            to[..8].copy_from_slice(&sums);
        }

        unsafe fn multiply(piece: Piece<'_, impl Outputs<i32>>) {
            // SAFETY: plain instructions.
            unsafe { piece.multiply::<Self>() }
        }
    }

    fn number(i: usize) -> f32 {
        (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0
    }

    /// Multiplies numbers that are the same for the same row.
    fn product(int8: Int8, team: &Team, (n_rows, n_in, n_out): (usize, usize, usize), write: Write) -> Vec<Vec<f32>> {
        let weight: Vec<f32> = (0..n_in * n_out).map(|i| number(i + 5)).collect();
        let bias: Vec<f32> = (0..n_out).map(|i| number(i + 9)).collect();
        let (mut x, mut y) = (Rows::zeros(n_rows, n_in), Rows::zeros(n_rows, n_out));
        (0..n_rows).for_each(|row| x.set(row, &(0..n_in).map(|f| number(row * 77 + f)).collect::<Vec<_>>()));
        (0..n_rows).for_each(|row| y.set(row, &vec![1.0; n_out]));
        let linear = Linear::new(&weight, Some(&bias), n_in);
        let matrix = ReducedMatrix::of(&linear, team, Reduced::Int8(int8));
        linear.with_reduced(&matrix).apply(team, &x, &mut y, write);
        (0..n_rows).map(|row| y.row(row)).collect()
    }

    const SHAPES: [(usize, usize, usize); 7] =
        [(1, 1, 1), (5, 7, 3), (33, 40, 50), (48, 19, 31), (64, 64, 96), (130, 130, 29), (20, 576, 17)];

    fn kinds() -> impl Iterator<Item = Int8> {
        Int8::detect().into_iter().chain([Int8(Kind::Portable)])
    }

    /// Each factor is off by a third of a hundredth of its row's largest magnitude on average, and errors cancel.
    #[test]
    fn products_are_close_to_those_of_the_numbers() {
        for int8 in kinds() {
            for shape in SHAPES {
                let (n_in, team) = (shape.1, Team::new(2));
                for (row, found) in product(int8, &team, shape, Write::Add).into_iter().enumerate() {
                    for (out, found) in found.into_iter().enumerate() {
                        let product =
                            |i: usize| f64::from(number(out * n_in + i + 5)) * f64::from(number(row * 77 + i));
                        let expected = 1.0 + f64::from(number(out + 9)) + (0..n_in).map(product).sum::<f64>();
                        let off = (f64::from(found) - expected).abs();
                        assert!(off < 0.04 * (n_in as f64).sqrt(), "{shape:?} at {row}, {out}: {found} for {expected}");
                    }
                }
            }
        }
    }

    /// Integers are added up exactly, whatever the instructions, the number of rows and of threads.
    #[test]
    fn bits_are_the_same_on_any_processor_and_in_any_company() {
        let bits = |rows: Vec<Vec<f32>>| rows.iter().flatten().map(|y| y.to_bits()).collect::<Vec<_>>();
        for shape in SHAPES {
            let plain = Team::new(1).with_arch(pulp::Arch::Scalar);
            let expected = bits(product(Int8(Kind::Portable), &plain, shape, Write::Set));
            for int8 in kinds() {
                assert_eq!(bits(product(int8, &Team::new(3), shape, Write::Set)), expected, "{int8:?}, {shape:?}");
                let alone = bits(product(int8, &plain, (1, shape.1, shape.2), Write::Set));
                assert_eq!(alone, expected[..shape.2], "{int8:?}, one row");
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let (team, weight) = (Team::new(1), vec![0.5; 128]);
        for int8 in kinds() {
            for (x, is_finite) in [(0.0, true), (1.0, true), (f32::NAN, false), (f32::INFINITY, false)] {
                let matrix = ReducedMatrix::of(&Linear::new(&weight, None, 64), &team, Reduced::Int8(int8));
                let (mut rows, mut y) = (Rows::zeros(2, 64), Rows::zeros(2, 2));
                rows.set(0, &[[1.0; 63].as_slice(), &[x]].concat());
                Linear::new(&weight, None, 64).with_reduced(&matrix).set(&team, &rows, &mut y);
                assert_eq!(y.row(0)[1].is_finite(), is_finite, "{x}");
                assert_eq!(y.row(1), [0.0, 0.0], "the other row");
            }
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_and_ties_go_to_even() {
        let rounded = |x: f32| integer(pulp::Scalar, x) as i32 - 128;
        assert_eq!(
            [0.0, 0.4, 0.5, 0.6, 1.5, -0.5, -1.5, 127.0, -127.0].map(rounded),
            [0, 0, 0, 1, 2, 0, -2, 127, -127]
        );
    }
}
