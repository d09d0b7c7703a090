//! Attention of packed sequences, and its backward pass.
//!
//! Sixteen queries stand in the lanes; for each of them stand the scores of all keys that it sees, one after the other.
//! The softmax needs no sums across lanes, and neither do the products: what a product sums over is never the lanes,
//! except for the gradients of keys and values, which turn tiles of sixteen by sixteen.
//!
//! With `S = K Q`, `P = exp(S − lse)`, `O = V P` and `D = Σ dO · O`: `dV = dO Pᵀ`, `dS = P (Vᵀ dO − D)`, `dQ = K dS`,
//! `dK = Q dSᵀ` (Dao et al. 2022, arXiv:2205.14135, appendix B.4). `Q` comes scaled by `1 / sqrt(head_dim)`.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::linear::transpose_tile;
use super::packed::Alignment;
use crate::array::array;
use crate::exp::exp;
use crate::model::Sizes;
use crate::rows::{LANES, Rows};
use crate::team::Team;

/// Computes attention of aligned queries, keys and values `[(H + 2 H_kv) · head_dim]`: the mixed values
/// `[H · head_dim]` and the logarithm of each softmax's sum, `[H]`.
pub(super) fn attend(
    team: &Team,
    sizes: &Sizes,
    alignment: &Alignment<'_>,
    qkv: &Rows,
    (mixed, lse): (&mut Rows, &mut Rows),
) {
    let heads = Heads::of(sizes);
    mixed.fit(qkv.n_rows(), sizes.n_heads * sizes.head_dim);
    lse.fit(qkv.n_rows(), sizes.n_heads);
    let arch = team.arch();
    // A piece is a block of queries with the heads that share keys.
    let blocks = (0..alignment.spans.len()).flat_map(|span| alignment.blocks(span).map(move |block| (span, block)));
    let pieces = blocks.zip(mixed.blocks.iter_mut().zip(&mut lse.blocks)).flat_map(|((span, block), (mixed, lse))| {
        let outputs = mixed.chunks_mut(heads.group * heads.size()).zip(lse.chunks_mut(heads.group * LANES));
        outputs.enumerate().map(move |(kv_head, (mixed, lse))| {
            let keys = Keys::seen(alignment, span, block);
            Forward { heads, qkv, block, keys, kv_head, mixed, lse }
        })
    });
    team.for_each(pieces, |piece| arch.dispatch(piece));
}

/// Where heads stand in a block of queries, keys and values.
#[derive(Clone, Copy)]
struct Heads {
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    /// Query heads that share a key head.
    group: usize,
}

impl Heads {
    fn of(sizes: &Sizes) -> Self {
        let Sizes { n_heads, n_kv_heads, head_dim, .. } = *sizes;
        Self { n_heads, n_kv_heads, head_dim, group: n_heads / n_kv_heads }
    }

    /// Numbers of a head in a block.
    fn size(self) -> usize {
        self.head_dim * LANES
    }

    fn of_block(self, block: &[f32], head: usize) -> &[f32] {
        &block[head * self.size()..][..self.size()]
    }

    fn keys(self, block: &[f32], kv_head: usize) -> &[f32] {
        self.of_block(block, self.n_heads + kv_head)
    }

    fn values(self, block: &[f32], kv_head: usize) -> &[f32] {
        self.of_block(block, self.n_heads + self.n_kv_heads + kv_head)
    }

    /// Queries of a group times `1 / sqrt(head_dim)`.
    fn scaled_queries(self, block: &[f32], kv_head: usize) -> Vec<f32> {
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        let queries = &block[kv_head * self.group * self.size()..][..self.group * self.size()];
        queries.iter().map(|&q| q * scale).collect()
    }
}

/// The keys that a block of queries sees: those of the prompt, then its own up to itself.
#[derive(Clone)]
struct Keys {
    prompt: Range<usize>,
    /// Rows of the prompt's last block.
    prompt_end: usize,
    own: Range<usize>,
}

impl Keys {
    fn seen(alignment: &Alignment<'_>, span: usize, block: usize) -> Self {
        let own = alignment.first_block[span]..block + 1;
        let Some(prompt) = alignment.spans[span].prompt else { return Self { prompt: 0..0, prompt_end: 0, own } };
        let length = alignment.spans[prompt].length;
        Self { prompt: alignment.blocks(prompt), prompt_end: (length - 1) % LANES + 1, own }
    }

    fn n_blocks(&self) -> usize {
        self.prompt.len() + self.own.len()
    }

    fn blocks(&self) -> impl Iterator<Item = usize> + Clone {
        self.prompt.clone().chain(self.own.clone())
    }

    /// Hides from `scores`, `[16 · n_blocks, 16]`, the keys after the prompt's end and those after the query itself.
    fn hide(&self, scores: &mut [f32]) {
        let size = LANES * LANES;
        if let Some(last) = self.prompt.len().checked_sub(1) {
            scores[last * size..][self.prompt_end * LANES..size].fill(f32::NEG_INFINITY);
        }
        let diagonal = scores.chunks_exact_mut(LANES).rev().take(LANES);
        for (key, scores) in (0..LANES).rev().zip(diagonal) {
            scores[..key].fill(f32::NEG_INFINITY);
        }
    }
}

/// The query heads that share a key head, of sixteen tokens.
struct Forward<'a> {
    heads: Heads,
    qkv: &'a Rows,
    block: usize,
    keys: Keys,
    kv_head: usize,
    mixed: &'a mut [f32],
    lse: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, qkv, block, keys, kv_head, mixed, lse } = self;
        let queries = heads.scaled_queries(&qkv.blocks[block], kv_head);
        let of_head = keys.n_blocks() * LANES * LANES;
        let mut scores = vec![0.0; heads.group * of_head];
        let context = || keys.blocks().map(|key| heads.keys(&qkv.blocks[key], kv_head));
        dots(simd, context(), &queries, heads.head_dim, &mut scores);
        for (scores, lse) in scores.chunks_exact_mut(of_head).zip(lse.chunks_exact_mut(LANES)) {
            keys.hide(scores);
            softmax(simd, scores, lse);
        }
        let values = || keys.blocks().map(|key| heads.values(&qkv.blocks[key], kv_head));
        mix(simd, &values(), &scores, heads.head_dim, mixed);
    }
}

/// Turns the scores of each lane into probabilities, and writes the logarithm of the sum of their exponentials.
#[inline(always)]
fn softmax<S: Simd>(simd: S, scores: &mut [f32], lse: &mut [f32]) {
    let vectors = LANES / S::F32_LANES;
    let scores = S::as_mut_simd_f32s(scores).0;
    let lowest = simd.splat_f32s(f32::MIN);
    for (v, lse) in S::as_mut_simd_f32s(lse).0.iter_mut().enumerate() {
        let mut max = lowest;
        for &score in scores.iter().skip(v).step_by(vectors) {
            max = simd.max_f32s(max, score);
        }
        let mut sum = simd.splat_f32s(0.0);
        for score in scores.iter_mut().skip(v).step_by(vectors) {
            let hidden = simd.less_than_f32s(*score, lowest);
            *score = simd.select_f32s(hidden, simd.splat_f32s(0.0), exp(simd, simd.sub_f32s(*score, max)));
            sum = simd.add_f32s(sum, *score);
        }
        let inverse = simd.div_f32s(simd.splat_f32s(1.0), sum);
        for score in scores.iter_mut().skip(v).step_by(vectors) {
            *score = simd.mul_f32s(*score, inverse);
        }
        let mut lanes = [1.0_f32; LANES];
        S::as_mut_simd_f32s(&mut lanes).0[0] = sum;
        lanes.iter_mut().for_each(|lane| *lane = lane.ln());
        *lse = simd.add_f32s(max, S::as_simd_f32s(&lanes).0[0]);
    }
}

/// Computes for each head of sixteen vectors in the lanes, `[head_dim, 16]`, the products with the keys of each block:
/// `[16 · n_blocks, 16]`.
#[inline(always)]
fn dots<'a, S: Simd>(simd: S, keys: impl Iterator<Item = &'a [f32]>, lanes: &[f32], head_dim: usize, out: &mut [f32]) {
    let group = lanes.len() / (head_dim * LANES);
    let of_head = out.len() / group;
    for (block, keys) in keys.enumerate() {
        let mut head = 0;
        while head < group {
            let lanes = &lanes[head * head_dim * LANES..];
            let out = &mut out[head * of_head + block * LANES * LANES..];
            head += match (S::F32_LANES, group - head) {
                (16, 3..) => dot_tiles::<S, 8, 3, 1>(simd, keys, lanes, head_dim, (out, of_head)),
                (16, 2) => dot_tiles::<S, 8, 2, 1>(simd, keys, lanes, head_dim, (out, of_head)),
                (16, _) => dot_tiles::<S, 16, 1, 1>(simd, keys, lanes, head_dim, (out, of_head)),
                (8, _) => dot_tiles::<S, 4, 1, 2>(simd, keys, lanes, head_dim, (out, of_head)),
                (4, _) => dot_tiles::<S, 2, 1, 4>(simd, keys, lanes, head_dim, (out, of_head)),
                _ => dot_tiles::<S, 1, 1, 16>(simd, keys, lanes, head_dim, (out, of_head)),
            };
        }
    }
}

/// `N` keys at a time for `B` heads of `V` vectors; returns `B`.
#[inline(always)]
fn dot_tiles<S: Simd, const N: usize, const B: usize, const V: usize>(
    simd: S,
    keys: &[f32],
    lanes: &[f32],
    head_dim: usize,
    (out, of_head): (&mut [f32], usize),
) -> usize {
    let lanes: [&[S::f32s]; B] = array(|b| S::as_simd_f32s(&lanes[b * head_dim * LANES..][..head_dim * LANES]).0);
    for first in (0..LANES).step_by(N) {
        let mut sums = [[[simd.splat_f32s(0.0); V]; N]; B];
        for (d, keys) in keys.chunks_exact(LANES).enumerate() {
            let x: [[S::f32s; V]; B] = array(|b| array(|v| lanes[b][d * V + v]));
            let keys: &[f32] = &keys[first..first + N];
            for i in 0..N {
                let key = simd.splat_f32s(keys[i]);
                for b in 0..B {
                    for v in 0..V {
                        sums[b][i][v] = simd.mul_add_f32s(key, x[b][v], sums[b][i][v]);
                    }
                }
            }
        }
        for (b, sums) in sums.iter().enumerate() {
            let out = S::as_mut_simd_f32s(&mut out[b * of_head + first * LANES..][..N * LANES]).0;
            out.iter_mut().zip(sums.iter().flatten()).for_each(|(out, &sum)| *out = sum);
        }
    }
    B
}

/// Computes for each head the sums of the values of all blocks, `[head_dim]`, weighted in each lane: `[head_dim, 16]`.
#[inline(always)]
fn mix<'a, S: Simd>(
    simd: S,
    values: &(impl Iterator<Item = &'a [f32]> + Clone),
    weights: &[f32],
    head_dim: usize,
    out: &mut [f32],
) {
    let group = out.len() / (head_dim * LANES);
    let of_head = weights.len() / group;
    let mut head = 0;
    while head < group {
        let weights = &weights[head * of_head..];
        let out = &mut out[head * head_dim * LANES..];
        head += match (S::F32_LANES, group - head) {
            (16, 3..) => mix_heads::<S, 8, 3, 1>(simd, values, (weights, of_head), head_dim, out),
            (16, 2) => mix_heads::<S, 8, 2, 1>(simd, values, (weights, of_head), head_dim, out),
            (16, _) => mix_heads::<S, 16, 1, 1>(simd, values, (weights, of_head), head_dim, out),
            (8, _) => mix_heads::<S, 4, 1, 2>(simd, values, (weights, of_head), head_dim, out),
            (4, _) => mix_heads::<S, 2, 1, 4>(simd, values, (weights, of_head), head_dim, out),
            _ => mix_heads::<S, 1, 1, 16>(simd, values, (weights, of_head), head_dim, out),
        };
    }
}

#[inline(always)]
fn mix_heads<'a, S: Simd, const N: usize, const B: usize, const V: usize>(
    simd: S,
    values: &(impl Iterator<Item = &'a [f32]> + Clone),
    (weights, of_head): (&[f32], usize),
    head_dim: usize,
    out: &mut [f32],
) -> usize {
    let weights: [&[S::f32s]; B] = array(|b| S::as_simd_f32s(&weights[b * of_head..][..of_head]).0);
    let full = head_dim - head_dim % N;
    for d in (0..full).step_by(N) {
        mix_tile::<S, N, B, V>(simd, values.clone(), weights, d, (out, head_dim));
    }
    for d in full..head_dim {
        mix_tile::<S, 1, B, V>(simd, values.clone(), weights, d, (out, head_dim));
    }
    B
}

#[inline(always)]
fn mix_tile<'a, S: Simd, const N: usize, const B: usize, const V: usize>(
    simd: S,
    values: impl Iterator<Item = &'a [f32]>,
    weights: [&[S::f32s]; B],
    d: usize,
    (out, head_dim): (&mut [f32], usize),
) {
    let mut sums = [[[simd.splat_f32s(0.0); V]; N]; B];
    for (block, values) in values.enumerate() {
        let values: [&[f32]; N] = array(|i| &values[(d + i) * LANES..][..LANES]);
        let weights: [&[S::f32s]; B] = array(|b| &weights[b][block * LANES * V..][..LANES * V]);
        for key in 0..LANES {
            let x: [[S::f32s; V]; B] = array(|b| array(|v| weights[b][key * V + v]));
            for i in 0..N {
                let value = simd.splat_f32s(values[i][key]);
                for b in 0..B {
                    for v in 0..V {
                        sums[b][i][v] = simd.mul_add_f32s(value, x[b][v], sums[b][i][v]);
                    }
                }
            }
        }
    }
    for (b, sums) in sums.iter().enumerate() {
        let out = S::as_mut_simd_f32s(&mut out[(b * head_dim + d) * LANES..][..N * LANES]).0;
        out.iter_mut().zip(sums.iter().flatten()).for_each(|(out, &sum)| *out = sum);
    }
}

/// What the backward pass knows, all aligned.
pub(super) struct Backward<'a> {
    /// Queries, keys and values, `[(H + 2 H_kv) · head_dim]`.
    pub qkv: &'a Rows,
    /// `[H]`.
    pub lse: &'a Rows,
    /// The gradient by the mixed values, `[H · head_dim]`.
    pub mixed_gradient: &'a Rows,
    /// `D`: products of the mixed values with their gradient, `[H]`.
    pub product: &'a Rows,
}

impl Backward<'_> {
    /// Computes the gradient by queries, keys and values.
    pub(super) fn run(&self, team: &Team, sizes: &Sizes, alignment: &Alignment<'_>, gradient: &mut Rows) {
        let heads = Heads::of(sizes);
        gradient.fit(self.qkv.n_rows(), self.qkv.n_features());
        let arch = team.arch();
        let pieces = pieces(alignment, heads, &mut gradient.blocks);
        // What completions say of their prompt's keys is added up afterwards, in their order.
        let mut of_prompts: Vec<Vec<f32>> = vec![vec![]; alignment.spans.len() * heads.n_kv_heads];
        team.for_each(pieces.into_iter().zip(&mut of_prompts), |((place, gradients), of_prompt)| {
            arch.dispatch(SpanHead { heads, context: self, alignment, place, gradients, of_prompt });
        });
        let prompts = pieces_of_prompts(alignment, heads, &mut gradient.blocks);
        team.for_each(prompts, |(place, gradients)| {
            let completions = alignment.spans.iter().enumerate().filter(|(_, span)| span.prompt == Some(place.span));
            let mut gradients = gradients;
            for (completion, _) in completions {
                let all = &of_prompts[completion * heads.n_kv_heads + place.kv_head];
                for (block, gradients) in all.chunks_exact(2 * heads.size()).zip(&mut gradients) {
                    let (keys, values) = block.split_at(heads.size());
                    gradients.keys.iter_mut().zip(keys).for_each(|(to, &from)| *to += from);
                    gradients.values.iter_mut().zip(values).for_each(|(to, &from)| *to += from);
                }
            }
        });
    }
}

/// A span and a key head.
#[derive(Clone, Copy)]
struct Place {
    span: usize,
    kv_head: usize,
}

/// The gradients of a block that belong to one key head.
struct BlockGradients<'a> {
    /// `[group · head_dim, 16]`.
    queries: &'a mut [f32],
    /// `[head_dim, 16]`.
    keys: &'a mut [f32],
    /// `[head_dim, 16]`.
    values: &'a mut [f32],
}

/// Cuts gradients into what belongs to each span and key head.
fn pieces<'a>(
    alignment: &Alignment<'_>,
    heads: Heads,
    blocks: &'a mut [Vec<f32>],
) -> Vec<(Place, Vec<BlockGradients<'a>>)> {
    let mut pieces = vec![];
    let mut rest = blocks.iter_mut();
    for span in 0..alignment.spans.len() {
        let mut of_span: Vec<_> = (0..heads.n_kv_heads).map(|kv_head| (Place { span, kv_head }, vec![])).collect();
        for block in rest.by_ref().take(alignment.blocks(span).len()) {
            let (queries, kv) = block.split_at_mut(heads.n_heads * heads.size());
            let (keys, values) = kv.split_at_mut(heads.n_kv_heads * heads.size());
            let keys_and_values = keys.chunks_mut(heads.size()).zip(values.chunks_mut(heads.size()));
            let cut = queries.chunks_mut(heads.group * heads.size()).zip(keys_and_values);
            for ((_, piece), (queries, (keys, values))) in of_span.iter_mut().zip(cut) {
                piece.push(BlockGradients { queries, keys, values });
            }
        }
        pieces.extend(of_span);
    }
    pieces
}

/// The same for the spans that others continue.
fn pieces_of_prompts<'a>(
    alignment: &Alignment<'_>,
    heads: Heads,
    blocks: &'a mut [Vec<f32>],
) -> Vec<(Place, Vec<BlockGradients<'a>>)> {
    let mut is_prompt = vec![false; alignment.spans.len()];
    alignment.spans.iter().filter_map(|span| span.prompt).for_each(|prompt| is_prompt[prompt] = true);
    pieces(alignment, heads, blocks).into_iter().filter(|(place, _)| is_prompt[place.span]).collect()
}

/// The backward pass of one span and one key head.
struct SpanHead<'a> {
    heads: Heads,
    context: &'a Backward<'a>,
    alignment: &'a Alignment<'a>,
    place: Place,
    gradients: Vec<BlockGradients<'a>>,
    /// Gradients of the prompt's keys and values, `[head_dim, 16]` each, block after block.
    of_prompt: &'a mut Vec<f32>,
}

impl WithSimd for SpanHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for of_block in &mut self.gradients {
            of_block.keys.fill(0.0);
            of_block.values.fill(0.0);
        }
        if let Some(prompt) = self.alignment.spans[self.place.span].prompt {
            self.of_prompt.resize(self.alignment.blocks(prompt).len() * 2 * self.heads.size(), 0.0);
        }
        let mut buffers = Buffers::default();
        for i in 0..self.gradients.len() {
            self.queries(simd, i, &mut buffers);
        }
    }
}

/// Probabilities and their gradients, `[group, keys, 16]`.
#[derive(Default)]
struct Buffers {
    probabilities: Vec<f32>,
    slopes: Vec<f32>,
}

impl SpanHead<'_> {
    /// Goes through the sixteen queries of the span's block `i`.
    #[inline(always)]
    fn queries<S: Simd>(&mut self, simd: S, i: usize, buffers: &mut Buffers) {
        let Self { heads, context, alignment, place, .. } = *self;
        let block = alignment.first_block[place.span] + i;
        let keys = Keys::seen(alignment, place.span, block);
        let of_head = keys.n_blocks() * LANES * LANES;
        let of_group = |rows: &'_ Rows, size: usize| {
            let n = heads.group * size;
            rows.blocks[block][place.kv_head * n..][..n].to_vec()
        };
        let queries = heads.scaled_queries(&context.qkv.blocks[block], place.kv_head);
        let mixed_gradient = of_group(context.mixed_gradient, heads.size());
        let (lse, product) = (of_group(context.lse, LANES), of_group(context.product, LANES));

        let Buffers { probabilities, slopes } = buffers;
        probabilities.resize(heads.group * of_head, 0.0);
        slopes.resize(heads.group * of_head, 0.0);
        let of_blocks = |part: fn(Heads, &[f32], usize) -> &[f32]| {
            keys.blocks().map(move |key| part(heads, &context.qkv.blocks[key], place.kv_head))
        };
        dots(simd, of_blocks(Heads::keys), &queries, heads.head_dim, probabilities);
        dots(simd, of_blocks(Heads::values), &mixed_gradient, heads.head_dim, slopes);
        let of_heads = probabilities.chunks_exact_mut(of_head).zip(slopes.chunks_exact_mut(of_head));
        for ((p, ds), (lse, product)) in of_heads.zip(lse.chunks_exact(LANES).zip(product.chunks_exact(LANES))) {
            keys.hide(p);
            differentiate(simd, p, ds, lse, product);
        }
        mix(simd, &of_blocks(Heads::keys), slopes, heads.head_dim, self.gradients[i].queries);
        let scale = 1.0 / (heads.head_dim as f32).sqrt();
        self.gradients[i].queries.iter_mut().for_each(|q| *q *= scale);
        self.add_to_keys(simd, &keys, (&queries, slopes), (&mixed_gradient, probabilities));
    }

    /// Adds to the gradients of keys (from queries and slopes) and values (from gradients and probabilities).
    #[inline(always)]
    fn add_to_keys<S: Simd>(
        &mut self,
        simd: S,
        keys: &Keys,
        (queries, slopes): (&[f32], &[f32]),
        (mixed_gradient, probabilities): (&[f32], &[f32]),
    ) {
        let size = self.heads.size();
        let of_prompt = self.of_prompt.chunks_exact_mut(2 * size).map(|block| block.split_at_mut(size));
        let own = self.gradients.iter_mut().map(|block| (&mut *block.keys, &mut *block.values));
        let of_head = keys.n_blocks() * LANES * LANES;
        let mut turned = [0.0; LANES * LANES];
        for (block, (to_keys, to_values)) in of_prompt.chain(own).take(keys.n_blocks()).enumerate() {
            for head in 0..self.heads.group {
                let tile = head * of_head + block * LANES * LANES..;
                transpose_tile(&slopes[tile.clone()], LANES, &mut turned, LANES);
                outer(simd, &queries[head * size..][..size], &turned, to_keys);
                transpose_tile(&probabilities[tile], LANES, &mut turned, LANES);
                outer(simd, &mixed_gradient[head * size..][..size], &turned, to_values);
            }
        }
    }
}

/// Turns scores into probabilities `exp(score − lse)`, and their gradients into those of the scores.
#[inline(always)]
fn differentiate<S: Simd>(simd: S, p: &mut [f32], ds: &mut [f32], lse: &[f32], product: &[f32]) {
    let vectors = LANES / S::F32_LANES;
    let (lse, product) = (S::as_simd_f32s(lse).0, S::as_simd_f32s(product).0);
    let lowest = simd.splat_f32s(f32::MIN);
    let rows =
        S::as_mut_simd_f32s(p).0.chunks_exact_mut(vectors).zip(S::as_mut_simd_f32s(ds).0.chunks_exact_mut(vectors));
    for (p, ds) in rows {
        for v in 0..vectors {
            let hidden = simd.less_than_f32s(p[v], lowest);
            p[v] = simd.select_f32s(hidden, simd.splat_f32s(0.0), exp(simd, simd.sub_f32s(p[v], lse[v])));
            ds[v] = simd.mul_f32s(p[v], simd.sub_f32s(ds[v], product[v]));
        }
    }
}

/// Adds `Σ_q lanes[d, q] · turned[q, key]` to `into[d, key]`.
#[inline(always)]
fn outer<S: Simd>(simd: S, lanes: &[f32], turned: &[f32; LANES * LANES], into: &mut [f32]) {
    match S::F32_LANES {
        16 => outer_tiles::<S, 16, 1>(simd, lanes, turned, into),
        8 => outer_tiles::<S, 4, 2>(simd, lanes, turned, into),
        4 => outer_tiles::<S, 2, 4>(simd, lanes, turned, into),
        _ => outer_tiles::<S, 1, 16>(simd, lanes, turned, into),
    }
}

#[inline(always)]
fn outer_tiles<S: Simd, const N: usize, const V: usize>(
    simd: S,
    lanes: &[f32],
    turned: &[f32; LANES * LANES],
    into: &mut [f32],
) {
    let n = into.len() / LANES;
    let full = n - n % N;
    for d in (0..full).step_by(N) {
        outer_tile::<S, N, V>(simd, &lanes[d * LANES..], turned, &mut into[d * LANES..]);
    }
    for d in full..n {
        outer_tile::<S, 1, V>(simd, &lanes[d * LANES..], turned, &mut into[d * LANES..]);
    }
}

#[inline(always)]
fn outer_tile<S: Simd, const N: usize, const V: usize>(
    simd: S,
    lanes: &[f32],
    turned: &[f32; LANES * LANES],
    into: &mut [f32],
) {
    let lanes: [&[f32]; N] = array(|i| &lanes[i * LANES..][..LANES]);
    let into = S::as_mut_simd_f32s(&mut into[..N * LANES]).0;
    let turned = &S::as_simd_f32s(turned).0[..LANES * V];
    let mut sums: [[S::f32s; V]; N] = array(|i| array(|v| into[i * V + v]));
    for q in 0..LANES {
        for i in 0..N {
            let x = simd.splat_f32s(lanes[i][q]);
            for v in 0..V {
                sums[i][v] = simd.mul_add_f32s(x, turned[q * V + v], sums[i][v]);
            }
        }
    }
    into.iter_mut().zip(sums.iter().flatten()).for_each(|(into, &sum)| *into = sum);
}
