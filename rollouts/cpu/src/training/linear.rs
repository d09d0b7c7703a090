//! The backward pass of matrix products.

use pulp::{Simd, WithSimd};

use crate::array::array;
use crate::linear::{Linear, Write, products, vectors};
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// The gradients of a matrix `[out, in]` and its bias `[out]`, to be added to.
#[derive(Debug)]
pub struct LinearGradient<'a> {
    /// `[out, in]`, row by row.
    pub weight: &'a mut [f32],
    /// `[out]`.
    pub bias: Option<&'a mut [f32]>,
}

/// Memory for the backward pass of matrix products.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Some rows of the matrix, as columns.
    transposed: Vec<f32>,
    /// The inputs with features in the lanes.
    turned: Rows,
}

/// Outputs whose share of the inputs' gradient is added at a time, so that what is multiplied stays in a cache.
const SLICE: usize = 1536;

/// Outputs whose gradients by the weights are computed at a time, for the same reason.
const OUTPUTS: usize = 96;

impl Linear<'_> {
    /// Computes the gradient by the inputs, `dx = dy · weight`.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit each other.
    pub fn input_gradient(&self, team: &Team, dy: &Rows, dx: &mut Rows, scratch: &mut Scratch) {
        let (n_in, n_out) = (self.n_in(), self.n_out());
        for first in (0..n_out).step_by(SLICE) {
            let n = SLICE.min(n_out - first);
            scratch.transposed.resize(n * n_in, 0.0);
            transpose(team, &self.weight()[first * n_in..][..n * n_in], n_in, &mut scratch.transposed);
            let write = if first == 0 { Write::Set } else { Write::Add };
            Linear::new(&scratch.transposed, None, n).apply_from(team, (dy, first), dx, write);
        }
    }
}

impl LinearGradient<'_> {
    /// Adds `dyᵀ · x` to the gradient of the weights and the sums of `dy` to that of the bias.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit each other.
    pub fn add(&mut self, team: &Team, dy: &Rows, x: &Rows, scratch: &mut Scratch) {
        let (n_in, n_out) = (x.n_features(), dy.n_features());
        assert_eq!((self.weight.len(), dy.blocks.len()), (n_in * n_out, x.blocks.len()));
        turn(team, x, &mut scratch.turned);
        let turned = &scratch.turned;
        let arch = team.arch();
        let outputs = n_out.div_ceil(4 * team.n_threads()).next_multiple_of(24).min(OUTPUTS);
        team.for_each(self.weight.chunks_mut(outputs * n_in).enumerate(), |(i, weight)| {
            let dy = outputs_of(dy, i * outputs, weight.len() / n_in);
            for (block, x) in turned.blocks.chunks(4).enumerate() {
                arch.dispatch(Outer { dy: &dy, x, n_in, first: block * 4 * LANES, weight: &mut *weight });
            }
        });
        for (out, bias) in self.bias.iter_mut().flat_map(|bias| bias.iter_mut().enumerate()) {
            *bias += dy.blocks.iter().flat_map(|dy| &dy[out * LANES..][..LANES]).sum::<f32>();
        }
    }
}

/// Some outputs with their rows one after the other, `[n, N]`.
fn outputs_of(dy: &Rows, first: usize, n: usize) -> Vec<f32> {
    let width = dy.blocks.len() * LANES;
    let mut rows = vec![0.0; n * width];
    for (block, dy) in dy.blocks.iter().enumerate() {
        for (out, lanes) in dy[first * LANES..][..n * LANES].chunks_exact(LANES).enumerate() {
            rows[out * width + block * LANES..][..LANES].copy_from_slice(lanes);
        }
    }
    rows
}

/// The gradient of some outputs by up to 64 inputs.
struct Outer<'a> {
    /// `[n, N]`.
    dy: &'a [f32],
    /// The inputs, sixteen features a block: `[N, 16]`.
    x: &'a [Vec<f32>],
    n_in: usize,
    /// The first input.
    first: usize,
    /// `[n, n_in]`.
    weight: &'a mut [f32],
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
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

impl Outer<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const N: usize, const B: usize, const V: usize>(&mut self, simd: S, block: usize) {
        let n = self.weight.len() / self.n_in;
        let full = n - n % N;
        for out in (0..full).step_by(N) {
            self.tile::<S, N, B, V>(simd, block, out);
        }
        for out in full..n {
            self.tile::<S, 1, B, V>(simd, block, out);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const N: usize, const B: usize, const V: usize>(&mut self, simd: S, block: usize, out: usize) {
        let n_rows = self.x[block].len() / LANES;
        let dy: [&[f32]; N] = array(|i| &self.dy[(out + i) * n_rows..][..n_rows]);
        let x: [&[S::f32s]; B] = array(|b| vectors::<S>(&self.x[block + b], n_rows * V));
        let sums = products::<S, N, B, V>(simd, dy, x, &[]);
        for (b, sums) in sums.iter().enumerate() {
            let first = self.first + (block + b) * LANES;
            let n = LANES.min(self.n_in - first);
            for (i, sums) in sums.iter().enumerate() {
                add::<S, V>(simd, sums, &mut self.weight[(out + i) * self.n_in + first..][..n]);
            }
        }
    }
}

/// Adds sixteen sums to what may be fewer numbers.
#[inline(always)]
fn add<S: Simd, const V: usize>(simd: S, sums: &[S::f32s; V], to: &mut [f32]) {
    if to.len() == LANES {
        let to = S::as_mut_simd_f32s(to).0;
        to.iter_mut().zip(sums).for_each(|(to, &sum)| *to = simd.add_f32s(*to, sum));
    } else {
        let mut lanes = [0.0; LANES];
        S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(sums);
        to.iter_mut().zip(lanes).for_each(|(to, sum)| *to += sum);
    }
}

/// Writes `[n, n_in]` as `[n_in, n]`.
fn transpose(team: &Team, matrix: &[f32], n_in: usize, into: &mut [f32]) {
    let arch = team.arch();
    let n = matrix.len() / n_in;
    team.for_each(into.chunks_mut(LANES * n).enumerate(), |(i, columns)| {
        arch.dispatch(Columns { matrix: &matrix[i * LANES..], n_in, columns, n });
    });
}

/// Up to sixteen columns of a matrix.
struct Columns<'a> {
    /// `[n, n_in]`, from the first of the columns on.
    matrix: &'a [f32],
    n_in: usize,
    /// `[·, n]`.
    columns: &'a mut [f32],
    n: usize,
}

impl WithSimd for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { matrix, n_in, columns, n } = self;
        let width = columns.len() / n;
        for row in (0..n).step_by(LANES) {
            let rows = LANES.min(n - row);
            let from = &matrix[row * n_in..];
            if (rows, width) == (LANES, LANES) {
                transpose_tile(from, n_in, &mut columns[row..], n);
            } else {
                for (r, c) in (0..rows).flat_map(|r| (0..width).map(move |c| (r, c))) {
                    columns[c * n + row + r] = from[r * n_in + c];
                }
            }
        }
    }
}

/// Turns sixteen by sixteen numbers, rows being `stride` and `into_stride` apart.
///
/// Four rounds of exchanges between rows whose numbers differ in one bit, each a shuffle of two vectors.
#[inline(always)]
pub(super) fn transpose_tile(from: &[f32], stride: usize, into: &mut [f32], into_stride: usize) {
    let mut tile = [[0.0; LANES]; LANES];
    for (r, row) in tile.iter_mut().enumerate() {
        row.copy_from_slice(&from[r * stride..][..LANES]);
    }
    exchange::<1>(&mut tile);
    exchange::<2>(&mut tile);
    exchange::<4>(&mut tile);
    exchange::<8>(&mut tile);
    for (c, column) in tile.iter().enumerate() {
        into[c * into_stride..][..LANES].copy_from_slice(column);
    }
}

/// Exchanges the upper right and lower left of all squares of `2 · BIT` numbers.
#[inline(always)]
fn exchange<const BIT: usize>(tile: &mut [[f32; LANES]; LANES]) {
    for r in 0..LANES {
        if r & BIT == 0 {
            let (upper, lower) = (tile[r], tile[r + BIT]);
            for i in 0..LANES {
                let is_left = i & BIT == 0;
                tile[r][i] = if is_left { upper[i] } else { lower[i ^ BIT] };
                tile[r + BIT][i] = if is_left { upper[i ^ BIT] } else { lower[i] };
            }
        }
    }
}

/// Puts the features into the lanes and the rows, filled up to sixteen, one after the other.
fn turn(team: &Team, x: &Rows, turned: &mut Rows) {
    turned.fit(x.n_features(), x.blocks.len() * LANES);
    let arch = team.arch();
    team.for_each(turned.blocks.iter_mut().enumerate(), |(i, to)| {
        arch.dispatch(Features { x, first: i * LANES, to });
    });
}

/// Sixteen features of all rows.
struct Features<'a> {
    x: &'a Rows,
    first: usize,
    /// `[N, 16]`.
    to: &'a mut [f32],
}

impl WithSimd for Features<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (from, to) in self.x.blocks.iter().zip(self.to.chunks_exact_mut(LANES * LANES)) {
            let from = &from[self.first * LANES..];
            if from.len() >= LANES * LANES {
                transpose_tile(from, LANES, to, LANES);
            } else {
                to.fill(0.0);
                for (f, lanes) in from.chunks_exact(LANES).enumerate() {
                    lanes.iter().enumerate().for_each(|(lane, &value)| to[lane * LANES + f] = value);
                }
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

    fn rows(n_rows: usize, n_features: usize, seed: usize) -> Rows {
        let mut rows = Rows::zeros(n_rows, n_features);
        for row in 0..n_rows {
            rows.set(row, &(0..n_features).map(|f| number(seed + row * 77 + f)).collect::<Vec<_>>());
        }
        rows
    }

    /// In float64, element by element.
    #[test]
    fn both_gradients_equal_the_plain_sums() {
        let team = Team::new(2);
        for (n, n_in, n_out) in [(1, 1, 1), (5, 7, 3), (16, 16, 24), (33, 40, 50), (70, 19, 31), (40, 20, 1600)] {
            let (x, dy) = (rows(n, n_in, 3), rows(n, n_out, 5));
            let weight: Vec<f32> = (0..n_in * n_out).map(|i| number(i + 9)).collect();
            let (mut dx, mut scratch) = (rows(n, n_in, 1), Scratch::default());
            Linear::new(&weight, None, n_in).input_gradient(&team, &dy, &mut dx, &mut scratch);
            let (mut dw, mut db) = (vec![0.25; n_in * n_out], vec![0.5; n_out]);
            let mut gradient = LinearGradient { weight: &mut dw, bias: Some(&mut db) };
            gradient.add(&team, &dy, &x, &mut scratch);

            let [x_rows, dy_rows] = [&x, &dy].map(|rows| (0..n).map(|row| rows.row(row)).collect::<Vec<_>>());
            let close = |ours: f32, expected: f64| (f64::from(ours) - expected).abs() < 2e-4;
            for (row, dy) in dy_rows.iter().enumerate() {
                for (i, dx) in dx.row(row).into_iter().enumerate() {
                    let terms = dy.iter().enumerate().map(|(o, &dy)| f64::from(dy) * f64::from(weight[o * n_in + i]));
                    assert!(close(dx, terms.sum::<f64>()), "{n}x{n_in}x{n_out}");
                }
            }
            for o in 0..n_out {
                let of_output = || dy_rows.iter().map(|dy| f64::from(dy[o]));
                assert!(close(db[o], 0.5 + of_output().sum::<f64>()), "{n}x{n_in}x{n_out}: bias {o}");
                for i in 0..n_in {
                    let terms = of_output().zip(&x_rows).map(|(dy, x)| dy * f64::from(x[i]));
                    assert!(close(dw[o * n_in + i], 0.25 + terms.sum::<f64>()), "{n}x{n_in}x{n_out}: weight {o}, {i}");
                }
            }
        }
    }
}
