//! Rotation of queries and keys, and attention of new tokens to their sequence.

use pulp::{Simd, WithSimd};

use crate::array::array;
use crate::exp::exp;
use crate::linear::prefetch;
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
        let arch = team.arch();
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
    let arch = team.arch();
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
    fn rows<S: Simd, const V: usize>(mut self, simd: S) {
        let group = self.sizes.n_heads / self.sizes.n_kv_heads;
        let mut buffers = Buffers::default();
        for lane in 0..self.places.len() {
            let mut head = 0;
            // Heads side by side, so that the sums of one do not wait for each other alone.
            while head < group {
                head += match group - head {
                    3.. => self.heads::<S, V, 3>(simd, lane, head, &mut buffers),
                    2 => self.heads::<S, V, 2>(simd, lane, head, &mut buffers),
                    _ => self.heads::<S, V, 1>(simd, lane, head, &mut buffers),
                };
            }
        }
    }

    /// Attends with `H` query heads of one row; returns `H`.
    #[inline(always)]
    fn heads<S: Simd, const V: usize, const H: usize>(
        &mut self,
        simd: S,
        lane: usize,
        first: usize,
        buffers: &mut Buffers,
    ) -> usize {
        let Buffers { queries, scores, sums } = buffers;
        let head_dim = self.sizes.head_dim;
        let width = head_dim.next_multiple_of(LANES);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let place = self.places[lane];
        let seen = || self.sequences[place.sequence].seen(self.layer, place.position);
        let n_scores: usize = seen().map(|(_, n)| n.next_multiple_of(LANES)).sum();
        let features = first * head_dim * LANES..(first + H) * head_dim * LANES;

        queries.clear();
        queries.extend(self.q[features.clone()].iter().skip(lane).step_by(LANES).map(|q| q * scale));
        scores.resize(H * n_scores, 0.0);
        let mut start = 0;
        for (cache, n) in seen() {
            // The blocks of a head are too far apart for the processor to see them coming.
            prefetch_lines(cache.values(0, self.kv_head));
            score::<S, V, H>(simd, queries, (cache, self.kv_head, n), scores, start);
            start += n.next_multiple_of(LANES);
        }
        let mut totals = [0.0; H];
        for (scores, total) in scores.chunks_exact_mut(n_scores).zip(&mut totals) {
            *total = softmax_numerators::<S, V>(simd, scores);
        }
        sums.clear();
        sums.resize(H * width, 0.0);
        let mut start = 0;
        for (cache, n) in seen() {
            mix::<S, H>(simd, (scores, start), (cache, self.kv_head, n), sums);
            start += n.next_multiple_of(LANES);
        }
        let mut column = self.mixed[features].iter_mut().skip(lane).step_by(LANES);
        for (sums, total) in sums.chunks_exact(width).zip(totals) {
            column.by_ref().zip(&sums[..head_dim]).for_each(|(to, &from)| *to = from / total);
        }
        H
    }
}

/// Memory kept from one row to the next.
#[derive(Default)]
struct Buffers {
    /// `[H, head_dim]`.
    queries: Vec<f32>,
    /// `[H, ·]`.
    scores: Vec<f32>,
    /// `[H, head_dim]`, filled up to sixteen.
    sums: Vec<f32>,
}

/// Writes the products of queries with the first `n` keys of a head from `start` on, filled up to sixteen with −∞.
#[inline(always)]
fn score<S: Simd, const V: usize, const H: usize>(
    simd: S,
    queries: &[f32],
    (cache, head, n): (&LayerCache, usize, usize),
    scores: &mut [f32],
    start: usize,
) {
    let n_blocks = n.div_ceil(LANES);
    let mut block = 0;
    while block < n_blocks {
        let at = start + block * LANES;
        block += match (V, n_blocks - block) {
            (1, 4..) => dots::<S, V, H, 4>(simd, queries, array(|b| cache.keys(block + b, head)), scores, at),
            (1, 2..) => dots::<S, V, H, 2>(simd, queries, array(|b| cache.keys(block + b, head)), scores, at),
            _ => dots::<S, V, H, 1>(simd, queries, [cache.keys(block, head)], scores, at),
        };
    }
    for scores in scores.chunks_exact_mut(scores.len() / H) {
        scores[start + n..start + n_blocks * LANES].fill(f32::NEG_INFINITY);
    }
}

/// Writes the products of `H` queries with `B` blocks of keys; returns `B`.
#[inline(always)]
fn dots<S: Simd, const V: usize, const H: usize, const B: usize>(
    simd: S,
    queries: &[f32],
    keys: [&[f32]; B],
    scores: &mut [f32],
    start: usize,
) -> usize {
    let head_dim = queries.len() / H;
    let queries: [&[f32]; H] = array(|h| &queries[h * head_dim..][..head_dim]);
    let keys: [&[S::f32s]; B] = array(|b| &S::as_simd_f32s(keys[b]).0[..head_dim * V]);
    let mut sums = [[[simd.splat_f32s(0.0); V]; B]; H];
    for d in 0..head_dim {
        let keys: [[S::f32s; V]; B] = array(|b| array(|v| keys[b][d * V + v]));
        for h in 0..H {
            let q = simd.splat_f32s(queries[h][d]);
            for b in 0..B {
                for v in 0..V {
                    sums[h][b][v] = simd.mul_add_f32s(q, keys[b][v], sums[h][b][v]);
                }
            }
        }
    }
    let n_scores = scores.len() / H;
    for (h, sums) in sums.iter().enumerate() {
        let out = S::as_mut_simd_f32s(&mut scores[h * n_scores + start..][..B * LANES]).0;
        out.iter_mut().zip(sums.iter().flatten()).for_each(|(out, &sum)| *out = sum);
    }
    B
}

/// Turns scores into `exp(score − max)` and returns their sum; what is −∞ becomes 0.
#[inline(always)]
fn softmax_numerators<S: Simd, const V: usize>(simd: S, scores: &mut [f32]) -> f32 {
    let sixteen = S::as_mut_simd_f32s(scores).0;
    let lowest = simd.splat_f32s(f32::MIN);
    let mut largest = lowest;
    for &x in sixteen.iter() {
        largest = simd.max_f32s(largest, x);
    }
    let max = simd.splat_f32s(simd.reduce_max_f32s(largest));
    let mut sums = [simd.splat_f32s(0.0); V];
    for vectors in sixteen.chunks_exact_mut(V) {
        for (x, sum) in vectors.iter_mut().zip(&mut sums) {
            let exponential = exp(simd, simd.sub_f32s(*x, max));
            *x = simd.select_f32s(simd.less_than_f32s(*x, lowest), simd.splat_f32s(0.0), exponential);
            *sum = simd.add_f32s(*sum, *x);
        }
    }
    // Lane by lane in one order, so that the sum is the same with vectors of any width.
    let mut lanes = [0.0; LANES];
    S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&sums);
    lanes.iter().sum()
}

/// Asks for numbers that are soon wanted.
#[inline(always)]
fn prefetch_lines(numbers: &[f32]) {
    let mut at = 0;
    while at < numbers.len() {
        prefetch(numbers, at);
        at += LANES;
    }
}

/// Adds the first `n` values of a head to the sums of `H` query heads, each times its weight there.
#[inline(always)]
fn mix<S: Simd, const H: usize>(
    simd: S,
    (weights, start): (&[f32], usize),
    (cache, head, n): (&LayerCache, usize, usize),
    sums: &mut [f32],
) {
    let n_scores = weights.len() / H;
    let n_blocks = n.div_ceil(LANES);
    for block in 0..n_blocks {
        if block + 1 < n_blocks {
            prefetch_lines(cache.values(block + 1, head));
        }
        let n = LANES.min(n - block * LANES);
        let weights: [&[f32]; H] = array(|h| &weights[h * n_scores + start + block * LANES..][..n]);
        let values = S::as_simd_f32s(cache.values(block, head)).0;
        let sums = S::as_mut_simd_f32s(sums).0;
        // The sums of the usual head sizes stay in registers.
        match sums.len() / H {
            4 => mix_block::<S, H, 4>(simd, weights, values, sums),
            8 => mix_block::<S, H, 8>(simd, weights, values, sums),
            width => (0..width).for_each(|v| mix_column::<S, H>(simd, weights, (values, v, width), sums)),
        }
    }
}

#[inline(always)]
fn mix_block<S: Simd, const H: usize, const W: usize>(
    simd: S,
    weights: [&[f32]; H],
    values: &[S::f32s],
    sums: &mut [S::f32s],
) {
    let mut own: [[S::f32s; W]; H] = array(|h| array(|v| sums[h * W + v]));
    for (key, values) in values.chunks_exact(W).take(weights[0].len()).enumerate() {
        for h in 0..H {
            let weight = simd.splat_f32s(weights[h][key]);
            for v in 0..W {
                own[h][v] = simd.mul_add_f32s(weight, values[v], own[h][v]);
            }
        }
    }
    sums.iter_mut().zip(own.iter().flatten()).for_each(|(sum, &own)| *sum = own);
}

#[inline(always)]
fn mix_column<S: Simd, const H: usize>(
    simd: S,
    weights: [&[f32]; H],
    (values, v, width): (&[S::f32s], usize, usize),
    sums: &mut [S::f32s],
) {
    for (h, weights) in weights.iter().enumerate() {
        let sum = &mut sums[h * width + v];
        for (&weight, &value) in weights.iter().zip(values.iter().skip(v).step_by(width)) {
            *sum = simd.mul_add_f32s(simd.splat_f32s(weight), value, *sum);
        }
    }
}
