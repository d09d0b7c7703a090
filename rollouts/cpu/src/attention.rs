//! Rotation of queries and keys, and attention of new tokens to their sequence.

use pulp::{Arch, Simd, WithSimd};

use crate::exp::exp;
use crate::model::{QkNorm, Sizes};
use crate::rows::{LANES, Rows};
use crate::sequence::{LayerCache, Sequence};
use crate::team::Team;

/// Where a row of the batch stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its sequence.
    pub sequence: usize,
    /// Tokens before it.
    pub position: usize,
}

/// The cosines and sines of every row's position, `head_dim / 2` each (Su et al. 2021, arXiv:2104.09864).
#[derive(Debug)]
pub(crate) struct Rotation {
    cos: Rows,
    sin: Rows,
}

impl Rotation {
    /// Computes them for the positions of `n` rows and frequencies in radians a position.
    pub(crate) fn at(positions: impl Iterator<Item = usize>, n: usize, frequencies: &[f32]) -> Self {
        let mut rotation = Self { cos: Rows::zeros(n, frequencies.len()), sin: Rows::zeros(n, frequencies.len()) };
        for (row, position) in positions.enumerate() {
            let angles = frequencies.iter().map(|frequency| position as f32 * frequency);
            let (sin, cos): (Vec<f32>, Vec<f32>) = angles.map(f32::sin_cos).unzip();
            rotation.cos.set(row, &cos);
            rotation.sin.set(row, &sin);
        }
        rotation
    }

    /// Normalises (where the model does) and rotates the queries and keys in `qkv`; pairs are (i, i + head_dim / 2).
    pub(crate) fn apply(&self, team: &Team, sizes: &Sizes, qk_norm: Option<QkNorm<'_>>, qkv: &mut Rows) {
        self.turn(team, sizes, qk_norm, Sense::Forward, qkv);
    }

    /// Rotates the gradients of queries and keys back.
    pub(crate) fn undo(&self, team: &Team, sizes: &Sizes, qkv: &mut Rows) {
        self.turn(team, sizes, None, Sense::Back, qkv);
    }

    fn turn(&self, team: &Team, sizes: &Sizes, qk_norm: Option<QkNorm<'_>>, sense: Sense, qkv: &mut Rows) {
        let size = sizes.head_dim * LANES;
        let arch = Arch::new();
        let heads =
            qkv.blocks.iter_mut().zip(&self.cos.blocks).zip(&self.sin.blocks).flat_map(|((block, cos), sin)| {
                let heads = block.chunks_mut(size).take(sizes.n_heads + sizes.n_kv_heads).enumerate();
                heads.map(move |(i, head)| {
                    let norm = qk_norm.map(|norm| (if i < sizes.n_heads { norm.q } else { norm.k }, sizes.norm_eps));
                    Head { head, cos, sin, norm, sense }
                })
            });
        team.for_each(heads, |head| arch.dispatch(head));
    }
}

/// A query or key head of sixteen rows.
struct Head<'a> {
    head: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
    norm: Option<(&'a [f32], f32)>,
    sense: Sense,
}

/// Which way a head is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Forward,
    Back,
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let head = S::as_mut_simd_f32s(self.head).0;
        let vectors = LANES / S::F32_LANES;
        if let Some((weight, eps)) = self.norm {
            for v in 0..vectors {
                let mut sum = simd.splat_f32s(0.0);
                for &x in head.iter().skip(v).step_by(vectors) {
                    sum = simd.mul_add_f32s(x, x, sum);
                }
                let mean = simd.div_f32s(sum, simd.splat_f32s(weight.len() as f32));
                let root = simd.sqrt_f32s(simd.add_f32s(mean, simd.splat_f32s(eps)));
                let scale = simd.div_f32s(simd.splat_f32s(1.0), root);
                for (x, &weight) in head.iter_mut().skip(v).step_by(vectors).zip(weight) {
                    *x = simd.mul_f32s(simd.mul_f32s(*x, scale), simd.splat_f32s(weight));
                }
            }
        }
        let half = head.len() / 2;
        let (first, second) = head.split_at_mut(half);
        let (cos, sin) = (S::as_simd_f32s(self.cos).0, S::as_simd_f32s(self.sin).0);
        for (((a, b), &cos), &sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            let sin = if self.sense == Sense::Forward { sin } else { simd.neg_f32s(sin) };
            let rotated = simd.sub_f32s(simd.mul_f32s(*a, cos), simd.mul_f32s(*b, sin));
            *b = simd.add_f32s(simd.mul_f32s(*b, cos), simd.mul_f32s(*a, sin));
            *a = rotated;
        }
    }
}

/// Stores the keys and values in `qkv` with the sequences that they belong to.
pub(crate) fn remember(
    team: &Team,
    sizes: &Sizes,
    layer: usize,
    (places, qkv): (&[Place], &Rows),
    sequences: &mut [Sequence],
) {
    let kv_width = sizes.n_kv_heads * sizes.head_dim;
    let runs = places.chunk_by(|a, b| a.sequence == b.sequence);
    let mut first_row = 0;
    let mut rest = sequences;
    let mut next = 0;
    let mut jobs = vec![];
    for run in runs {
        let (_, from_here) = rest.split_at_mut(run[0].sequence - next);
        let Some((sequence, after)) = from_here.split_first_mut() else { unreachable!("every row has its sequence") };
        jobs.push((sequence, run, first_row));
        rest = after;
        next = run[0].sequence + 1;
        first_row += run.len();
    }
    team.for_each(jobs, |(sequence, run, first_row)| {
        let mut kv = vec![0.0; 2 * kv_width];
        for (i, place) in run.iter().enumerate() {
            let row = first_row + i;
            let column = qkv.blocks[row / LANES][sizes.n_heads * sizes.head_dim * LANES..].iter();
            kv.iter_mut().zip(column.skip(row % LANES).step_by(LANES)).for_each(|(to, &from)| *to = from);
            sequence.write(layer, place.position, kv.split_at(kv_width));
        }
    });
}

/// Computes softmax(q · kᵀ / sqrt(head_dim)) · v of every row over its sequence up to itself.
pub(crate) fn attend(
    team: &Team,
    sizes: &Sizes,
    layer: usize,
    (places, qkv): (&[Place], &Rows),
    sequences: &[Sequence],
    mixed: &mut Rows,
) {
    let arch = Arch::new();
    let size = sizes.head_dim * LANES;
    let group = sizes.n_heads / sizes.n_kv_heads;
    let blocks = places.chunks(LANES).zip(&qkv.blocks).zip(&mut mixed.blocks);
    let pieces = blocks.flat_map(|((places, qkv), mixed)| {
        let heads = qkv.chunks(size * group).zip(mixed.chunks_mut(size * group)).enumerate();
        heads.map(move |(kv_head, (q, mixed))| Heads { places, q, mixed, kv_head, layer, sizes, sequences })
    });
    team.for_each(pieces, |piece| arch.dispatch(piece));
}

/// The query heads that share one key head, of up to sixteen rows.
struct Heads<'a> {
    places: &'a [Place],
    /// `[group · head_dim, 16]`.
    q: &'a [f32],
    /// `[group · head_dim, 16]`.
    mixed: &'a mut [f32],
    kv_head: usize,
    layer: usize,
    sizes: &'a Sizes,
    sequences: &'a [Sequence],
}

impl WithSimd for Heads<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.rows::<S, 1>(simd),
            8 => self.rows::<S, 2>(simd),
            4 => self.rows::<S, 4>(simd),
            _ => self.rows::<S, 16>(simd),
        }
    }
}

impl Heads<'_> {
    /// `V` vectors make sixteen lanes.
    #[inline(always)]
    fn rows<S: Simd, const V: usize>(self, simd: S) {
        let head_dim = self.sizes.head_dim;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut query = vec![0.0; head_dim];
        let mut scores = vec![];
        let mut sum = vec![0.0; head_dim.next_multiple_of(LANES)];
        for (lane, place) in self.places.iter().enumerate() {
            let sequence = &self.sequences[place.sequence];
            let heads = self.q.chunks(head_dim * LANES).zip(self.mixed.chunks_mut(head_dim * LANES));
            for (q, mixed) in heads {
                let column = q.iter().skip(lane).step_by(LANES);
                query.iter_mut().zip(column).for_each(|(to, &from)| *to = from * scale);
                scores.clear();
                for (cache, n) in sequence.seen(self.layer, place.position) {
                    score::<S, V>(simd, &query, cache, self.kv_head, n, &mut scores);
                }
                let total = softmax_numerators::<S, V>(simd, &mut scores);
                sum.fill(0.0);
                let mut rest = scores.as_slice();
                for (cache, n) in sequence.seen(self.layer, place.position) {
                    let (weights, after) = rest.split_at(n.next_multiple_of(LANES));
                    mix::<S>(simd, weights, cache, self.kv_head, n, &mut sum);
                    rest = after;
                }
                let column = mixed.iter_mut().skip(lane).step_by(LANES);
                column.zip(&sum).for_each(|(to, &from)| *to = from / total);
            }
        }
    }
}

/// Appends the products of a query with the first `n` keys of a head, filled up to sixteen with −∞.
#[inline(always)]
fn score<S: Simd, const V: usize>(
    simd: S,
    query: &[f32],
    cache: &LayerCache,
    head: usize,
    n: usize,
    scores: &mut Vec<f32>,
) {
    let start = scores.len();
    let n_blocks = n.div_ceil(LANES);
    scores.resize(start + n_blocks * LANES, 0.0);
    let out = S::as_mut_simd_f32s(&mut scores[start..]).0;
    // Two blocks at a time, so that the sums of one do not wait for each other alone.
    let mut block = 0;
    while block + 2 <= n_blocks {
        let keys = [cache.keys(block, head), cache.keys(block + 1, head)].map(|keys| S::as_simd_f32s(keys).0);
        let sums = dots::<S, V, 2>(simd, query, keys);
        out[block * V..(block + 1) * V].copy_from_slice(&sums[0]);
        out[(block + 1) * V..(block + 2) * V].copy_from_slice(&sums[1]);
        block += 2;
    }
    if block < n_blocks {
        let keys = [S::as_simd_f32s(cache.keys(block, head)).0];
        out[block * V..].copy_from_slice(&dots::<S, V, 1>(simd, query, keys)[0]);
    }
    scores[start + n..].fill(f32::NEG_INFINITY);
}

#[inline(always)]
fn dots<S: Simd, const V: usize, const B: usize>(simd: S, query: &[f32], keys: [&[S::f32s]; B]) -> [[S::f32s; V]; B] {
    let keys = keys.map(|keys| &keys[..query.len() * V]);
    let mut sums = [[simd.splat_f32s(0.0); V]; B];
    for (d, &q) in query.iter().enumerate() {
        let q = simd.splat_f32s(q);
        for b in 0..B {
            for v in 0..V {
                sums[b][v] = simd.mul_add_f32s(q, keys[b][d * V + v], sums[b][v]);
            }
        }
    }
    sums
}

/// Turns scores into `exp(score − max)` and returns their sum; what is −∞ becomes 0.
#[inline(always)]
fn softmax_numerators<S: Simd, const V: usize>(simd: S, scores: &mut [f32]) -> f32 {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sixteen = S::as_mut_simd_f32s(scores).0;
    let mut sums = [simd.splat_f32s(0.0); V];
    let lowest = simd.splat_f32s(f32::MIN);
    for vectors in sixteen.chunks_exact_mut(V) {
        for (x, sum) in vectors.iter_mut().zip(&mut sums) {
            let exponential = exp(simd, simd.sub_f32s(*x, simd.splat_f32s(max)));
            *x = simd.select_f32s(simd.less_than_f32s(*x, lowest), simd.splat_f32s(0.0), exponential);
            *sum = simd.add_f32s(*sum, *x);
        }
    }
    // Lane by lane in one order, so that the sum is the same with vectors of any width.
    let mut lanes = [0.0; LANES];
    S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&sums);
    lanes.iter().sum()
}

/// Adds the first `n` values of a head to `sum`, each times its weight.
#[inline(always)]
fn mix<S: Simd>(simd: S, weights: &[f32], cache: &LayerCache, head: usize, n: usize, sum: &mut [f32]) {
    let width = sum.len();
    let sum = S::as_mut_simd_f32s(sum).0;
    for (block, weights) in weights[..n].chunks(LANES).enumerate() {
        let values = cache.values(block, head).chunks_exact(width);
        match sum.len() {
            4 => mix_block::<S, 4>(simd, weights, values, sum),
            8 => mix_block::<S, 8>(simd, weights, values, sum),
            _ => sum_block(simd, weights, values, sum),
        }
    }
}

/// The sums of the usual head sizes stay in registers.
#[inline(always)]
fn mix_block<'a, S: Simd, const V: usize>(
    simd: S,
    weights: &[f32],
    values: impl Iterator<Item = &'a [f32]>,
    sum: &mut [S::f32s],
) {
    let mut sums: [S::f32s; V] = std::array::from_fn(|v| sum[v]);
    sum_block::<S>(simd, weights, values, &mut sums);
    sum.copy_from_slice(&sums);
}

#[inline(always)]
fn sum_block<'a, S: Simd>(simd: S, weights: &[f32], values: impl Iterator<Item = &'a [f32]>, sum: &mut [S::f32s]) {
    for (&weight, values) in weights.iter().zip(values) {
        let weight = simd.splat_f32s(weight);
        for (sum, &value) in sum.iter_mut().zip(S::as_simd_f32s(values).0) {
            *sum = simd.mul_add_f32s(weight, value, *sum);
        }
    }
}
