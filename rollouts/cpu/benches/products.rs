//! Matrix products with the matrices of SmolLM2-135M, in operations a second: of few rows, as in decoding, and of a
//! thousand, as in training, with the gradients by inputs and weights; and the rate of multiply-adds that touch no
//! memory, as the limit.
//!
//! ```bash
//! cargo bench -p rlvr-cpu --bench products
//! ```

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use rlvr_cpu::training::{LinearGradient, Scratch};
use rlvr_cpu::{Bfloat16, Int8, Linear, Reduced, ReducedMatrix, Rows, Team};

/// Name, outputs, inputs, and copies enough that no cache holds them.
const MATRICES: [(&str, usize, usize, usize); 5] = [
    ("qkv", 960, 576, 30),
    ("out", 576, 576, 30),
    ("gate_up", 3072, 576, 10),
    ("down", 576, 1536, 20),
    ("head", 49152, 576, 1),
];

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let team = Team::new(threads);
    println!("{threads} threads; multiply-adds alone: {:.0} GFLOP/s", limit(&team) / 1e9);
    for (name, n_out, n_in, copies) in MATRICES {
        print!("{name:8}");
        let weights: Vec<Vec<f32>> = (0..copies)
            .map(|copy| (0..n_in * n_out).map(|i| ((i * 7 + copy) % 13) as f32 / 13.0 - 0.4).collect())
            .collect();
        for rows in [16, 32, 48, 64, 96, 128] {
            let x = Rows::zeros(rows, n_in);
            let mut y = Rows::zeros(rows, n_out);
            let seconds = best(|| {
                for weights in &weights {
                    Linear::new(weights, None, n_in).set(&team, &x, &mut y);
                }
            });
            print!("  {rows}: {:3.0}", (2 * rows * n_in * n_out * copies) as f64 / seconds / 1e9);
        }
        println!();
        reduced(&team, &weights, n_out, n_in);
        training(&team, &weights, n_out, n_in);
    }
}

/// Some rows with the matrices in numbers of fewer bits.
fn reduced(team: &Team, weights: &[Vec<f32>], n_out: usize, n_in: usize) {
    let kinds = [
        Bfloat16::detect().map(|bfloat16| ("bfloat16", Reduced::Bfloat16(bfloat16))),
        Int8::detect().map(|int8| ("int8", Reduced::Int8(int8))),
    ];
    for (name, kind) in kinds.into_iter().flatten() {
        let matrices: Vec<ReducedMatrix> =
            weights.iter().map(|weights| ReducedMatrix::of(&Linear::new(weights, None, n_in), team, kind)).collect();
        print!("  {name}");
        for rows in [16, 64, 128] {
            let (x, mut y) = (Rows::zeros(rows, n_in), Rows::zeros(rows, n_out));
            let seconds = best(|| {
                for (weights, matrix) in weights.iter().zip(&matrices) {
                    Linear::new(weights, None, n_in).with_reduced(matrix).set(team, &x, &mut y);
                }
            });
            print!("  {rows}: {:3.0}", (2 * rows * n_in * n_out * weights.len()) as f64 / seconds / 1e9);
        }
        println!();
    }
}

/// The three products of a matrix in training.
fn training(team: &Team, weights: &[Vec<f32>], n_out: usize, n_in: usize) {
    const ROWS: usize = 1024;
    let (mut x, mut y) = (Rows::zeros(ROWS, n_in), Rows::zeros(ROWS, n_out));
    let mut scratch = Scratch::default();
    let mut gradient = vec![0.0; n_out * n_in];
    let rate = |seconds: f64| (2 * ROWS * n_in * n_out * weights.len()) as f64 / seconds / 1e9;
    let each = |work: &mut dyn FnMut(Linear<'_>)| {
        rate(best(|| weights.iter().for_each(|weights| work(Linear::new(weights, None, n_in)))))
    };
    let forward = each(&mut |linear| linear.set(team, &x, &mut y));
    let by_inputs = each(&mut |linear| linear.input_gradient(team, &y, &mut x, &mut scratch));
    let mut gradient = LinearGradient { weight: &mut gradient, bias: None };
    let by_weights = each(&mut |_| gradient.add(team, &y, &x, &mut scratch));
    println!("  {ROWS} rows: {forward:3.0}  by inputs: {by_inputs:3.0}  by weights: {by_weights:3.0}");
}

fn best(mut work: impl FnMut()) -> f64 {
    let seconds = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(seconds).fold(f64::INFINITY, f64::min)
}

const ROUNDS: usize = 2_000_000;

/// Multiply-adds of registers, all threads at once, in operations a second.
fn limit(team: &Team) -> f64 {
    let arch = Arch::new();
    let seconds = best(|| {
        team.for_each(0..team.n_threads(), |_| {
            black_box(arch.dispatch(Chains));
        });
    });
    arch.dispatch(Width) as f64 * (2 * 12 * ROUNDS * team.n_threads()) as f64 / seconds
}

struct Width;

impl WithSimd for Width {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

struct Chains;

impl WithSimd for Chains {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (a, b) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(0.25)));
        let mut sums = [simd.splat_f32s(0.0); 12];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, a, b);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}
