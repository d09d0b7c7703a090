//! Forward passes that remember, and backward passes.
//!
//! Sequences are packed end to end without padding, and completions share the pass over their prompt ([`Packed`]). The
//! forward pass keeps what the backward pass wants on a [`Tape`]; the backward pass walks over it in reverse and adds to
//! [`Gradients`]. What is cheap is not kept but computed again: norms, rotations, probabilities of attention; and, where
//! memory is dearer than time, whole layers ([`Remember::Starts`]).
//!
//! Every sum has one order, whatever the number of threads, so that equal runs have equal bits.

pub mod adam;
mod attention;
mod linear;
mod packed;
mod pointwise;
mod score;

use crate::attention::Rotation;
use crate::gate::silu_mul;
use crate::linear::Write;
use crate::model::{LayerWeights, Model, Sizes};
use crate::norm::rms_norm;
use crate::rows::Rows;
use crate::team::Team;
use packed::Alignment;
use pointwise::{gate_gradient, head_norm_gradient, head_products, norm_gradient};

pub use linear::{LinearGradient, Scratch};
pub use packed::{Packed, Span};
pub use score::{HeadTape, ScoreGradient, Scores, Targets};

/// The gradients of a [`Model`], to be added to.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// `[V, D]`.
    pub embedding: &'a mut [f32],
    /// Those of the layers.
    pub layers: Vec<LayerGradients<'a>>,
    /// `[D]`.
    pub norm: &'a mut [f32],
    /// `[V, D]`; none where the embedding is the head.
    pub head: Option<&'a mut [f32]>,
}

/// The gradients of a layer.
#[derive(Debug)]
pub struct LayerGradients<'a> {
    /// `[D]`.
    pub attention_norm: &'a mut [f32],
    /// Of queries, keys and values.
    pub qkv: LinearGradient<'a>,
    /// Of the norms of queries and keys, `[head_dim]` each.
    pub qk_norm: Option<(&'a mut [f32], &'a mut [f32])>,
    /// Of the way out of attention.
    pub out: LinearGradient<'a>,
    /// `[D]`.
    pub mlp_norm: &'a mut [f32],
    /// Of gate and up.
    pub gate_up: LinearGradient<'a>,
    /// Of the way down.
    pub down: LinearGradient<'a>,
}

/// What a forward pass leaves for the backward pass, and the memory of both, kept from one pass to the next.
#[derive(Debug, Default)]
pub struct Tape {
    /// The residual stream before each layer, or before the last one alone, `[D]`.
    starts: Vec<Rows>,
    /// What each layer leaves behind, or the last one alone.
    layers: Vec<LayerTape>,
    /// What the last forward pass was asked for.
    remembered: Remember,
    /// The residual stream after the last layer, `[D]`.
    end: Rows,
    /// The final hidden states, `[D]`.
    hidden: Rows,
    scratch: Scratch,
    buffers: Buffers,
}

impl Tape {
    /// Returns the final hidden states of the last forward pass, `[N, D]`.
    pub fn hidden(&self) -> &Rows {
        &self.hidden
    }
}

/// What a layer leaves behind, besides what it started from.
#[derive(Debug, Default)]
struct LayerTape {
    /// Queries, keys and values before norm and rotation, `[(H + 2 H_kv) · head_dim]`.
    qkv: Rows,
    /// Logarithms of the softmaxes' sums, aligned, `[H]`.
    lse: Rows,
    /// What attention found, `[H · head_dim]`.
    mixed: Rows,
    /// The residual stream between attention and feed-forward block, `[D]`.
    middle: Rows,
    /// `[2 F]`.
    gate_up: Rows,
}

/// What lives for a layer only.
#[derive(Debug, Default)]
struct Buffers {
    /// `[D]`.
    normed: Rows,
    /// `[D]`.
    normed_gradient: Rows,
    /// Rotated queries, keys and values; in the backward pass their gradient.
    rotated: Rows,
    /// The same, aligned.
    aligned: Rows,
    /// `[H · head_dim]`, aligned.
    aligned_mixed: Rows,
    /// `[H · head_dim]`.
    mixed_gradient: Rows,
    /// The gradient by queries, keys and values, aligned.
    aligned_gradient: Rows,
    /// `[H]`.
    product: Rows,
    /// The same, aligned.
    aligned_product: Rows,
    /// `[F]`.
    inner: Rows,
    /// The gradient by the residual stream, `[D]`.
    stream: Rows,
}

/// How much of the forward pass is to be remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remember {
    /// Everything that a backward pass wants.
    Everything,
    /// What each layer started from; the backward pass computes the rest again, a layer at a time, to the same bits.
    ///
    /// Chen et al. 2016, *Training Deep Nets with Sublinear Memory Cost* (arXiv:1604.06174), with a segment a layer.
    Starts,
    /// Nothing.
    #[default]
    Nothing,
}

impl Remember {
    /// Of how many of `n` layers the start, and of how many the rest, has memory of its own.
    fn kept(self, n: usize) -> (usize, usize) {
        match self {
            Self::Everything => (n, n),
            Self::Starts => (n, 1),
            Self::Nothing => (1, 1),
        }
    }
}

/// What a pass is about: the tokens, where they stand, and who computes.
struct Pass<'a> {
    team: &'a Team,
    sizes: &'a Sizes,
    alignment: Alignment<'a>,
    rotation: Rotation,
    n_tokens: usize,
}

impl<'a> Pass<'a> {
    fn new(team: &'a Team, model: &'a Model<'_>, packed: &Packed<'a>) -> Self {
        let positions = packed.spans.iter().flat_map(|span| span.position..span.position + span.length);
        Self {
            team,
            sizes: &model.sizes,
            alignment: Alignment::of(packed.spans),
            rotation: Rotation::at(positions, packed.ids.len(), &model.frequencies),
            n_tokens: packed.ids.len(),
        }
    }

    /// The forward pass of a layer, from `start` to `end`.
    fn layer(
        &self,
        weights: &LayerWeights<'_>,
        (start, end): (&Rows, &mut Rows),
        tape: &mut LayerTape,
        buffers: &mut Buffers,
    ) {
        self.activations(weights, start, tape, buffers);
        let Buffers { inner, .. } = buffers;
        inner.fit(self.n_tokens, self.sizes.intermediate_size);
        silu_mul(self.team, &tape.gate_up, inner);
        end.copy_from(&tape.middle);
        weights.down.apply(self.team, inner, end, Write::Add);
    }

    /// The forward pass of a layer as far as its backward pass asks: all but the way down.
    fn activations(&self, weights: &LayerWeights<'_>, start: &Rows, tape: &mut LayerTape, buffers: &mut Buffers) {
        let Self { team, sizes, .. } = *self;
        let LayerTape { qkv, lse, mixed, middle, gate_up } = tape;
        let Buffers { normed, rotated, aligned, aligned_mixed, .. } = buffers;
        let n = self.n_tokens;
        normed.fit(n, sizes.hidden_size);
        qkv.fit(n, weights.attention.qkv.n_out());
        mixed.fit(n, sizes.n_heads * sizes.head_dim);
        gate_up.fit(n, 2 * sizes.intermediate_size);

        rms_norm(team, start, weights.attention_norm, sizes.norm_eps, normed);
        weights.attention.qkv.apply(team, normed, qkv, Write::Set);
        self.rotate(weights, qkv, rotated, aligned);
        attention::attend(team, sizes, &self.alignment, aligned, (aligned_mixed, lse));
        self.alignment.gather(team, aligned_mixed, mixed);
        middle.copy_from(start);
        weights.attention.out.apply(team, mixed, middle, Write::Add);

        rms_norm(team, middle, weights.mlp_norm, sizes.norm_eps, normed);
        weights.gate_up.apply(team, normed, gate_up, Write::Set);
    }

    /// Norms and rotates a copy of queries and keys, and aligns it.
    fn rotate(&self, weights: &LayerWeights<'_>, qkv: &Rows, rotated: &mut Rows, aligned: &mut Rows) {
        rotated.copy_from(qkv);
        self.rotation.apply(self.team, self.sizes, weights.attention.qk_norm, rotated);
        self.alignment.spread(self.team, rotated, aligned);
    }

    /// The backward pass of a layer: `buffers.stream` is the gradient by its end, and becomes that by its start.
    fn layer_backward(
        &self,
        weights: &LayerWeights<'_>,
        (start, tape): (&Rows, &mut LayerTape),
        (buffers, scratch): (&mut Buffers, &mut Scratch),
        gradients: &mut LayerGradients<'_>,
    ) {
        self.mlp_backward(weights, tape, (&mut *buffers, &mut *scratch), gradients);
        self.attention_backward(weights, (start, tape), (buffers, scratch), gradients);
    }

    fn mlp_backward(
        &self,
        weights: &LayerWeights<'_>,
        tape: &mut LayerTape,
        (buffers, s): (&mut Buffers, &mut Scratch),
        gradients: &mut LayerGradients<'_>,
    ) {
        let Self { team, sizes, .. } = *self;
        let LayerTape { middle, gate_up, .. } = tape;
        let Buffers { normed, normed_gradient, inner, stream, .. } = buffers;
        inner.fit(self.n_tokens, sizes.intermediate_size);
        normed.fit(self.n_tokens, sizes.hidden_size);
        normed_gradient.fit(self.n_tokens, sizes.hidden_size);

        weights.down.input_gradient(team, stream, inner, s);
        gate_gradient(team, gate_up, inner);
        gradients.down.add(team, stream, inner, s);

        rms_norm(team, middle, weights.mlp_norm, sizes.norm_eps, normed);
        gradients.gate_up.add(team, gate_up, normed, s);
        weights.gate_up.input_gradient(team, gate_up, normed_gradient, s);
        let norm = (&*middle, weights.mlp_norm, sizes.norm_eps);
        norm_gradient(team, norm, normed_gradient, stream, gradients.mlp_norm);
    }

    fn attention_backward(
        &self,
        weights: &LayerWeights<'_>,
        (start, tape): (&Rows, &LayerTape),
        (buffers, s): (&mut Buffers, &mut Scratch),
        gradients: &mut LayerGradients<'_>,
    ) {
        let Self { team, sizes, alignment, .. } = self;
        let LayerTape { qkv, lse, mixed, .. } = tape;
        let Buffers { normed, normed_gradient, rotated, aligned, mixed_gradient, aligned_mixed, stream, .. } = buffers;
        let Buffers { aligned_gradient, product, aligned_product, .. } = buffers;
        mixed_gradient.fit(self.n_tokens, sizes.n_heads * sizes.head_dim);

        gradients.out.add(team, stream, mixed, s);
        weights.attention.out.input_gradient(team, stream, mixed_gradient, s);
        head_products(team, mixed, mixed_gradient, sizes.head_dim, product);
        self.rotate(weights, qkv, rotated, aligned);
        alignment.spread(team, mixed_gradient, aligned_mixed);
        alignment.spread(team, product, aligned_product);
        attention::Backward { qkv: aligned, lse, mixed_gradient: aligned_mixed, product: aligned_product }.run(
            team,
            sizes,
            alignment,
            aligned_gradient,
        );
        alignment.gather(team, aligned_gradient, rotated);
        self.rotation.undo(team, sizes, rotated);
        if let (Some(norms), Some((q, k))) = (weights.attention.qk_norm, &mut gradients.qk_norm) {
            let (of_q, of_k) = ((0, sizes.n_heads), (sizes.n_heads * sizes.head_dim, sizes.n_kv_heads));
            head_norm_gradient(team, (qkv, norms.q, sizes.norm_eps), of_q, rotated, q);
            head_norm_gradient(team, (qkv, norms.k, sizes.norm_eps), of_k, rotated, k);
        }

        rms_norm(team, start, weights.attention_norm, sizes.norm_eps, normed);
        gradients.qkv.add(team, rotated, normed, s);
        weights.attention.qkv.input_gradient(team, rotated, normed_gradient, s);
        let norm = (start, weights.attention_norm, sizes.norm_eps);
        norm_gradient(team, norm, normed_gradient, stream, gradients.attention_norm);
    }
}

impl Model<'_> {
    /// Computes the final hidden states of packed tokens, `[D]` for each.
    ///
    /// # Panics
    ///
    /// If an id is not below `V`.
    pub fn forward_packed<'t>(
        &self,
        team: &Team,
        packed: &Packed<'_>,
        tape: &'t mut Tape,
        remember: Remember,
    ) -> &'t Rows {
        let pass = Pass::new(team, self, packed);
        let Tape { starts, layers, remembered, end, hidden, buffers, .. } = tape;
        *remembered = remember;
        let (n_starts, n_layers) = remember.kept(self.layers.len());
        starts.resize_with(n_starts.max(starts.len()), Rows::default);
        layers.resize_with(n_layers.max(layers.len()), LayerTape::default);
        embed(self.embedding, packed.ids, self.sizes.hidden_size, end);
        for (i, weights) in self.layers.iter().enumerate() {
            let start = &mut starts[i % n_starts];
            std::mem::swap(start, end);
            pass.layer(weights, (start, end), &mut layers[i % n_layers], buffers);
        }
        hidden.fit(pass.n_tokens, self.sizes.hidden_size);
        rms_norm(team, end, self.norm, self.sizes.norm_eps, hidden);
        hidden
    }

    /// Adds to the gradients those by the loss, given its gradient by the final hidden states; the tape is that of the
    /// forward pass before.
    ///
    /// # Panics
    ///
    /// If the tape is of another pass, or of one that remembered nothing.
    pub fn backward_packed(
        &self,
        team: &Team,
        packed: &Packed<'_>,
        tape: &mut Tape,
        hidden_gradient: &Rows,
        gradients: &mut Gradients<'_>,
    ) {
        let pass = Pass::new(team, self, packed);
        let Tape { starts, layers, remembered, end, buffers, scratch, .. } = tape;
        assert!(*remembered != Remember::Nothing && end.n_rows() == pass.n_tokens, "the tape of this pass");
        let (_, n_layers) = remembered.kept(self.layers.len());
        buffers.stream.fit(pass.n_tokens, self.sizes.hidden_size);
        buffers.stream.blocks.iter_mut().for_each(|block| block.fill(0.0));
        let norm = (&*end, self.norm, self.sizes.norm_eps);
        norm_gradient(team, norm, hidden_gradient, &mut buffers.stream, gradients.norm);
        for (i, (weights, gradients)) in self.layers.iter().zip(&mut gradients.layers).enumerate().rev() {
            let (start, layer) = (&starts[i], &mut layers[i % n_layers]);
            let is_left = *remembered == Remember::Everything || i + 1 == self.layers.len();
            if !is_left {
                pass.activations(weights, start, layer, buffers);
            }
            pass.layer_backward(weights, (start, layer), (buffers, scratch), gradients);
        }
        for (row, &id) in packed.ids.iter().enumerate() {
            let d = self.sizes.hidden_size;
            buffers.stream.add_row_to(row, &mut gradients.embedding[id as usize * d..][..d]);
        }
    }
}

fn embed(embedding: &[f32], ids: &[u32], width: usize, x: &mut Rows) {
    x.fit(ids.len(), width);
    for (row, &id) in ids.iter().enumerate() {
        x.set(row, &embedding[id as usize * width..][..width]);
    }
    x.clear_padding();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{Parameters, archs};

    const SPANS: [(usize, Option<usize>); 5] = [(5, None), (20, Some(0)), (17, Some(0)), (33, None), (1, Some(3))];

    fn spans() -> Vec<Span> {
        let mut start = 0;
        let span = |(length, prompt): (usize, Option<usize>)| {
            start += length;
            let position = prompt.map_or(0, |prompt| SPANS[prompt].0);
            Span { start: start - length, length, position, prompt }
        };
        SPANS.map(span).to_vec()
    }

    /// Scores and all gradients, the gradients of a model's matrices one after the other.
    fn pass(team: &Team) -> (Scores, Vec<f32>) {
        pass_on(&mut Tape::default(), team, Remember::Everything)
    }

    fn pass_on(tape: &mut Tape, team: &Team, remember: Remember) -> (Scores, Vec<f32>) {
        let parameters = Parameters::new();
        let model = parameters.model();
        let spans = spans();
        let n: usize = spans.iter().map(|span| span.length).sum();
        let ids: Vec<u32> = (0..n as u32).map(|i| i * 7 % 37).collect();
        let predictors: Vec<usize> = (0..n).step_by(2).collect();
        let targets: Vec<u32> = predictors.iter().map(|&row| row as u32 * 5 % 37).collect();
        let slopes: Vec<f32> = (0..targets.len()).map(|i| (i as f32).sin()).collect();
        let packed = Packed { ids: &ids, spans: &spans };
        let targets = Targets { ids: &targets, predictors: &predictors, temperature: 0.8 };
        let mut head = HeadTape::default();
        let hidden = model.forward_packed(team, &packed, tape, remember);
        let scores = model.score(team, hidden, targets, &mut head);

        let mut memory = vec![0.0; 20_000];
        let mut rest = memory.as_mut_slice();
        let mut gradients = gradients(&model, &mut rest);
        let gradient = ScoreGradient { logp: &slopes, entropy: Some(&slopes) };
        let by_hidden = model.score_backward(team, (tape.hidden(), targets), gradient, &mut head, &mut gradients);
        model.backward_packed(team, &packed, tape, &by_hidden, &mut gradients);
        (scores, memory)
    }

    fn gradients<'a>(model: &Model<'_>, rest: &mut &'a mut [f32]) -> Gradients<'a> {
        let mut next = |n: usize| {
            let (now, later) = std::mem::take(rest).split_at_mut(n);
            *rest = later;
            now
        };
        let layers = model.layers.iter().map(|layer| {
            let qkv = &layer.attention.qkv;
            LayerGradients {
                attention_norm: next(layer.attention_norm.len()),
                qkv: LinearGradient { weight: next(qkv.weight().len()), bias: Some(next(qkv.n_out())) },
                qk_norm: Some((next(model.sizes.head_dim), next(model.sizes.head_dim))),
                out: LinearGradient { weight: next(layer.attention.out.weight().len()), bias: None },
                mlp_norm: next(layer.mlp_norm.len()),
                gate_up: LinearGradient { weight: next(layer.gate_up.weight().len()), bias: None },
                down: LinearGradient { weight: next(layer.down.weight().len()), bias: None },
            }
        });
        let layers = layers.collect();
        let (embedding, norm) = (next(model.embedding.len()), next(model.norm.len()));
        Gradients { embedding, layers, norm, head: Some(next(model.head.weight().len())) }
    }

    #[test]
    fn threads_change_no_bit_and_vectors_of_any_width_agree() {
        let (scores, gradients) = pass(&Team::new(1));
        assert_eq!(pass(&Team::new(3)), (scores.clone(), gradients.clone()));
        let size = gradients.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
        assert!(size > 0.1, "{size}");
        for arch in archs() {
            let (others, found) = pass(&Team::new(2).with_arch(arch));
            assert_eq!(others, scores, "{arch:?}");
            let far = found.iter().zip(&gradients).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-5 * size, "{arch:?}: {far}");
        }
    }

    #[test]
    fn layers_computed_again_change_no_bit() {
        let expected = pass(&Team::new(1));
        for n_threads in [1, 2] {
            let (team, mut tape) = (Team::new(n_threads), Tape::default());
            for remember in [Remember::Starts, Remember::Everything, Remember::Starts] {
                let (scores, gradients) = pass_on(&mut tape, &team, remember);
                let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                let is_same = (&scores, bits(&gradients)) == (&expected.0, bits(&expected.1));
                assert!(is_same, "{remember:?} with {n_threads} threads");
            }
        }
    }

    #[test]
    fn a_layer_alone_has_memory_beyond_its_start() {
        let floats = |rows: &Rows| rows.blocks.iter().map(Vec::len).sum::<usize>();
        let check = |remember, n_starts: usize, n_layers: usize| {
            let mut tape = Tape::default();
            pass_on(&mut tape, &Team::new(1), remember);
            let starts: usize = tape.starts.iter().map(floats).sum();
            let rest: usize = tape.layers.iter().map(|layer| floats(&layer.gate_up)).sum();
            // 76 tokens take 5 blocks of 16; width 20, inner width 36.
            assert_eq!((starts, rest), (n_starts * 80 * 20, n_layers * 80 * 2 * 36), "{remember:?}");
        };
        check(Remember::Everything, 3, 3);
        check(Remember::Starts, 3, 1);
    }
}
