//! Backward passes of what happens to each token by itself: norms, gates, rotation.

use pulp::{Simd, WithSimd};

use crate::exp::exp;
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// Adds to `dx` the gradient by `x` of `y = x̂ · weight`, `x̂ = x · r`, `r = 1 / sqrt(mean(x²) + eps)`, and to
/// `weight_gradient` that by the weight.
///
/// `dx = r (g − x̂ mean(g x̂))` with `g = dy · weight`.
pub(super) fn norm_gradient(
    team: &Team,
    (x, weight, eps): (&Rows, &[f32], f32),
    dy: &Rows,
    dx: &mut Rows,
    weight_gradient: &mut [f32],
) {
    let arch = team.arch();
    let mut of_blocks = vec![0.0; x.blocks.len() * weight.len()];
    let blocks = x.blocks.iter().zip(&dy.blocks).zip(dx.blocks.iter_mut().zip(of_blocks.chunks_mut(weight.len())));
    team.for_each(blocks, |((x, dy), (dx, of_block))| {
        arch.dispatch(Norm { x, weight, eps, dy, dx: Destination::Sum(dx), weight_gradient: of_block });
    });
    add_blocks(weight_gradient, &of_blocks);
}

fn add_blocks(total: &mut [f32], of_blocks: &[f32]) {
    for of_block in of_blocks.chunks_exact(total.len()) {
        total.iter_mut().zip(of_block).for_each(|(total, part)| *total += part);
    }
}

/// Replaces the gradients by normed heads in `dy` by those by the heads before their norm, in `x`.
///
/// Heads are `[n · head_dim]` from feature `first` on.
pub(super) fn head_norm_gradient(
    team: &Team,
    (x, weight, eps): (&Rows, &[f32], f32),
    (first, n): (usize, usize),
    dy: &mut Rows,
    weight_gradient: &mut [f32],
) {
    let arch = team.arch();
    let size = weight.len() * LANES;
    let features = first * LANES..(first + n * weight.len()) * LANES;
    let mut of_blocks = vec![0.0; x.blocks.len() * weight.len()];
    let blocks = x.blocks.iter().zip(&mut dy.blocks).zip(of_blocks.chunks_mut(weight.len()));
    team.for_each(blocks, |((x, dy), of_block)| {
        let heads = x[features.clone()].chunks_exact(size).zip(dy[features.clone()].chunks_exact_mut(size));
        for (x, dx) in heads {
            let dy = dx.to_vec();
            arch.dispatch(Norm { x, weight, eps, dy: &dy, dx: Destination::Own(dx), weight_gradient: &mut *of_block });
        }
    });
    add_blocks(weight_gradient, &of_blocks);
}

/// Where a gradient goes.
enum Destination<'a> {
    /// Added to the gradients that came other ways.
    Sum(&'a mut [f32]),
    /// In the place of what was there.
    Own(&'a mut [f32]),
}

/// The backward pass of a norm, for sixteen rows.
struct Norm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    dy: &'a [f32],
    dx: Destination<'a>,
    weight_gradient: &'a mut [f32],
}

impl WithSimd for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = LANES / S::F32_LANES;
        let (x, dy) = (S::as_simd_f32s(self.x).0, S::as_simd_f32s(self.dy).0);
        let (dx, adds) = match self.dx {
            Destination::Sum(dx) => (dx, true),
            Destination::Own(dx) => (dx, false),
        };
        let dx = S::as_mut_simd_f32s(dx).0;
        let n = simd.splat_f32s(self.weight.len() as f32);
        for v in 0..vectors {
            let mut square = simd.splat_f32s(0.0);
            let mut product = simd.splat_f32s(0.0);
            for (f, &weight) in self.weight.iter().enumerate() {
                let (x, dy) = (x[f * vectors + v], dy[f * vectors + v]);
                square = simd.mul_add_f32s(x, x, square);
                product = simd.mul_add_f32s(simd.mul_f32s(dy, simd.splat_f32s(weight)), x, product);
            }
            let mean = simd.div_f32s(square, n);
            let r = simd.div_f32s(simd.splat_f32s(1.0), simd.sqrt_f32s(simd.add_f32s(mean, simd.splat_f32s(self.eps))));
            // r³ · mean(g x): what is taken from g r for each unit of x.
            let pull = simd.mul_f32s(simd.mul_f32s(r, simd.mul_f32s(r, r)), simd.div_f32s(product, n));
            for (f, (&weight, weight_gradient)) in self.weight.iter().zip(&mut *self.weight_gradient).enumerate() {
                let (x, dy, dx) = (x[f * vectors + v], dy[f * vectors + v], &mut dx[f * vectors + v]);
                let scaled = simd.mul_f32s(dy, r);
                let own = simd.sub_f32s(simd.mul_f32s(scaled, simd.splat_f32s(weight)), simd.mul_f32s(pull, x));
                *dx = if adds { simd.add_f32s(*dx, own) } else { own };
                *weight_gradient += simd.reduce_sum_f32s(simd.mul_f32s(scaled, x));
            }
        }
    }
}

/// Goes back through `inner = silu(gate) · up`: turns `gate_up` into its gradient, given that by `inner`, and writes
/// `inner` itself, which the gradient of the next matrix wants, over its gradient.
///
/// With `s = 1 / (1 + exp(−gate))`: `dup = d gate s`, `dgate = d up s (1 + gate (1 − s))`.
pub(super) fn gate_gradient(team: &Team, gate_up: &mut Rows, inner: &mut Rows) {
    /// Features handled by one piece of work.
    const PIECE: usize = 256;
    let half = inner.n_features() * LANES;
    let arch = team.arch();
    let pieces = gate_up.blocks.iter_mut().zip(&mut inner.blocks).flat_map(|(gate_up, inner)| {
        let (gate, up) = gate_up.split_at_mut(half);
        let size = PIECE * LANES;
        gate.chunks_mut(size).zip(up.chunks_mut(size)).zip(inner.chunks_mut(size))
    });
    team.for_each(pieces, |((gate, up), inner)| arch.dispatch(Gate { gate, up, inner }));
}

struct Gate<'a> {
    gate: &'a mut [f32],
    up: &'a mut [f32],
    inner: &'a mut [f32],
}

impl WithSimd for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let one = simd.splat_f32s(1.0);
        let pairs = S::as_mut_simd_f32s(self.gate).0.iter_mut().zip(S::as_mut_simd_f32s(self.up).0);
        for ((gate, up), inner) in pairs.zip(S::as_mut_simd_f32s(self.inner).0) {
            let (g, u, d) = (*gate, *up, *inner);
            let sigmoid = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(g))));
            let silu = simd.mul_f32s(g, sigmoid);
            let slope = simd.mul_f32s(sigmoid, simd.mul_add_f32s(g, simd.sub_f32s(one, sigmoid), one));
            *inner = simd.mul_f32s(silu, u);
            *up = simd.mul_f32s(d, silu);
            *gate = simd.mul_f32s(simd.mul_f32s(d, u), slope);
        }
    }
}

/// Computes for each head the product of two rows of heads: `Σ_d a · b`, `[H]`.
pub(super) fn head_products(team: &Team, a: &Rows, b: &Rows, head_dim: usize, products: &mut Rows) {
    products.fit(a.n_rows(), a.n_features() / head_dim);
    let arch = team.arch();
    let blocks = a.blocks.iter().zip(&b.blocks).zip(&mut products.blocks);
    team.for_each(blocks, |((a, b), products)| {
        let size = head_dim * LANES;
        for ((a, b), product) in a.chunks_exact(size).zip(b.chunks_exact(size)).zip(products.chunks_exact_mut(LANES)) {
            arch.dispatch(Product { a, b, product });
        }
    });
}

struct Product<'a> {
    a: &'a [f32],
    b: &'a [f32],
    product: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = LANES / S::F32_LANES;
        let (a, b) = (S::as_simd_f32s(self.a).0, S::as_simd_f32s(self.b).0);
        for (v, product) in S::as_mut_simd_f32s(self.product).0.iter_mut().enumerate() {
            *product = simd.splat_f32s(0.0);
            for (&a, &b) in a.iter().zip(b).skip(v).step_by(vectors) {
                *product = simd.mul_add_f32s(a, b, *product);
            }
        }
    }
}
