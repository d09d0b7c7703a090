//! The forward pass of a decoder-only transformer (Llama, Qwen and their like) over the new tokens of some sequences.

use crate::attention::{Place, Rotation, attend, remember};
use crate::gate::silu_mul;
use crate::linear::{Linear, Write};
use crate::norm::rms_norm;
use crate::rows::Rows;
use crate::sequence::Sequence;
use crate::team::Team;

/// The sizes of a transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    /// Number of layers.
    pub n_layers: usize,
    /// Width of the residual stream, `D`.
    pub hidden_size: usize,
    /// Width inside the feed-forward block, `F`.
    pub intermediate_size: usize,
    /// Query heads, `H`.
    pub n_heads: usize,
    /// Key and value heads, `H_kv`; divides `H`.
    pub n_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Added to the mean square in RMSNorm.
    pub norm_eps: f32,
}

/// A transformer whose weights belong to somebody else.
#[derive(Debug)]
pub struct Model<'a> {
    /// The sizes.
    pub sizes: Sizes,
    /// Angular frequencies of the rotation, `[head_dim / 2]`, radians a position.
    pub frequencies: Vec<f32>,
    /// `[V, D]`.
    pub embedding: &'a [f32],
    /// The layers.
    pub layers: Vec<LayerWeights<'a>>,
    /// `[D]`.
    pub norm: &'a [f32],
    /// `[V, D]`.
    pub head: Linear<'a>,
}

/// The weights of a layer.
#[derive(Debug)]
pub struct LayerWeights<'a> {
    /// `[D]`.
    pub attention_norm: &'a [f32],
    /// The attention block.
    pub attention: AttentionWeights<'a>,
    /// `[D]`.
    pub mlp_norm: &'a [f32],
    /// Gate, then up: `[2 F, D]`.
    pub gate_up: Linear<'a>,
    /// `[D, F]`.
    pub down: Linear<'a>,
}

/// The weights of an attention block.
#[derive(Debug)]
pub struct AttentionWeights<'a> {
    /// Queries, keys and values: `[(H + 2 H_kv) · head_dim, D]`.
    pub qkv: Linear<'a>,
    /// Norms of queries and keys, where the model has them.
    pub qk_norm: Option<QkNorm<'a>>,
    /// `[D, H · head_dim]`.
    pub out: Linear<'a>,
}

/// Norms of queries and keys (Qwen3), `[head_dim]` each.
#[derive(Clone, Copy, Debug)]
pub struct QkNorm<'a> {
    /// Of queries.
    pub q: &'a [f32],
    /// Of keys.
    pub k: &'a [f32],
}

/// A token to be added to a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its id, below `V`.
    pub id: u32,
    /// The index of its sequence.
    pub sequence: usize,
}

/// Activations of a forward pass, kept from one to the next: fresh memory costs more than what is done with it.
#[derive(Debug, Default)]
pub struct Workspace {
    /// The residual stream, `[D]`.
    x: Rows,
    /// `[D]`.
    normed: Rows,
    /// Queries, keys and values, `[(H + 2 H_kv) · head_dim]`.
    qkv: Rows,
    /// What attention found, `[H · head_dim]`.
    mixed: Rows,
    /// `[2 F]`.
    gate_up: Rows,
    /// `[F]`.
    inner: Rows,
}

impl Workspace {
    fn fit(&mut self, sizes: &Sizes, n_rows: usize) {
        let q_width = sizes.n_heads * sizes.head_dim;
        self.x.fit(n_rows, sizes.hidden_size);
        self.normed.fit(n_rows, sizes.hidden_size);
        self.qkv.fit(n_rows, q_width + 2 * sizes.n_kv_heads * sizes.head_dim);
        self.mixed.fit(n_rows, q_width);
        self.gate_up.fit(n_rows, 2 * sizes.intermediate_size);
        self.inner.fit(n_rows, sizes.intermediate_size);
    }
}

impl Model<'_> {
    /// Appends tokens to their sequences and returns the final hidden states, a row for each token.
    ///
    /// The tokens of a sequence stand together, in their order, and sequences in theirs.
    ///
    /// # Panics
    ///
    /// If tokens are out of order or of no sequence, or an id is not below `V`.
    pub fn forward<'w>(
        &self,
        team: &Team,
        workspace: &'w mut Workspace,
        tokens: &[NewToken],
        sequences: &mut [Sequence],
    ) -> &'w Rows {
        let Self { sizes, .. } = self;
        let places = place(tokens, sequences);
        let rotation = Rotation::at(places.iter().map(|place| place.position), places.len(), &self.frequencies);
        workspace.fit(sizes, tokens.len());
        let Workspace { x, normed, qkv, mixed, gate_up, inner } = workspace;
        for (row, token) in tokens.iter().enumerate() {
            let d = sizes.hidden_size;
            x.set(row, &self.embedding[token.id as usize * d..][..d]);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            rms_norm(team, x, layer.attention_norm, sizes.norm_eps, normed);
            layer.attention.qkv.apply(team, normed, qkv, Write::Set);
            rotation.apply(team, sizes, layer.attention.qk_norm, qkv);
            remember(team, sizes, i, (&places, qkv), sequences);
            attend(team, sizes, i, (&places, qkv), sequences, mixed);
            layer.attention.out.apply(team, mixed, x, Write::Add);

            rms_norm(team, x, layer.mlp_norm, sizes.norm_eps, normed);
            layer.gate_up.apply(team, normed, gate_up, Write::Set);
            silu_mul(team, gate_up, inner);
            layer.down.apply(team, inner, x, Write::Add);
        }
        rms_norm(team, x, self.norm, sizes.norm_eps, normed);
        normed
    }

    /// Computes the logits `[V]` of some rows of hidden states.
    pub fn logits(&self, team: &Team, hidden: &Rows, logits: &mut Rows) {
        logits.fit(hidden.n_rows(), self.head.n_out());
        self.head.apply(team, hidden, logits, Write::Set);
    }

    /// Computes the keys and values of prompts, and the logits `[V]` after the last token of each.
    ///
    /// # Panics
    ///
    /// If a prompt is empty, or an id is not below `V`.
    pub fn prefill(&self, team: &Team, prompts: &[&[u32]]) -> (Vec<Sequence>, Rows) {
        assert!(prompts.iter().all(|prompt| !prompt.is_empty()), "a prompt needs at least one token");
        let mut sequences: Vec<Sequence> = prompts.iter().map(|_| Sequence::new(&self.sizes)).collect();
        let tokens: Vec<NewToken> = prompts
            .iter()
            .enumerate()
            .flat_map(|(sequence, prompt)| prompt.iter().map(move |&id| NewToken { id, sequence }))
            .collect();
        let mut workspace = Workspace::default();
        let hidden = self.forward(team, &mut workspace, &tokens, &mut sequences);
        let ends = prompts.iter().scan(0, |end, prompt| {
            *end += prompt.len();
            Some(*end - 1)
        });
        let mut logits = Rows::default();
        self.logits(team, &hidden.select(&ends.collect::<Vec<_>>()), &mut logits);
        (sequences, logits)
    }
}

/// Counts the tokens into their sequences and says where each stands.
fn place(tokens: &[NewToken], sequences: &mut [Sequence]) -> Vec<Place> {
    let mut places = Vec::with_capacity(tokens.len());
    for run in tokens.chunk_by(|a, b| a.sequence == b.sequence) {
        let sequence = &mut sequences[run[0].sequence];
        let before = sequence.n_tokens();
        sequence.grow(run.len());
        places.extend((0..run.len()).map(|i| Place { sequence: run[0].sequence, position: before + i }));
    }
    assert!(
        places.is_sorted_by_key(|place| (place.sequence, place.position)),
        "tokens stand in the order of sequences"
    );
    places
}

#[cfg(test)]
pub(crate) mod tests {
    use pulp::Arch;

    use super::*;

    /// Weights of a tiny model, one after the other.
    pub(crate) struct Parameters(Vec<f32>);

    pub(crate) const SIZES: Sizes = Sizes {
        n_layers: 3,
        hidden_size: 20,
        intermediate_size: 36,
        n_heads: 6,
        n_kv_heads: 2,
        head_dim: 10,
        norm_eps: 1e-5,
    };
    pub(crate) const VOCABULARY: usize = 37;

    impl Parameters {
        pub(crate) fn new() -> Self {
            let number = |i: usize| (i * 2_654_435_761 % 10_007) as f32 / 10_007.0 - 0.5;
            Self((0..20_000).map(number).collect())
        }

        pub(crate) fn model(&self) -> Model<'_> {
            let mut rest = self.0.as_slice();
            let mut next = |n: usize| {
                let (now, later) = rest.split_at(n);
                rest = later;
                now
            };
            let (d, f, q) = (SIZES.hidden_size, SIZES.intermediate_size, SIZES.n_heads * SIZES.head_dim);
            let qkv = q + 2 * SIZES.n_kv_heads * SIZES.head_dim;
            let layers = (0..SIZES.n_layers).map(|_| LayerWeights {
                attention_norm: next(d),
                attention: AttentionWeights {
                    qkv: Linear::new(next(qkv * d), Some(next(qkv)), d),
                    qk_norm: Some(QkNorm { q: next(SIZES.head_dim), k: next(SIZES.head_dim) }),
                    out: Linear::new(next(d * q), None, q),
                },
                mlp_norm: next(d),
                gate_up: Linear::new(next(2 * f * d), None, d),
                down: Linear::new(next(d * f), None, f),
            });
            Model {
                layers: layers.collect(),
                frequencies: (0..SIZES.head_dim / 2).map(|i| 0.5_f32.powi(i as i32)).collect(),
                embedding: next(VOCABULARY * d),
                norm: next(d),
                head: Linear::new(next(VOCABULARY * d), None, d),
                sizes: SIZES,
            }
        }
    }

    /// The kinds of vectors that this processor has.
    pub(crate) fn archs() -> Vec<Arch> {
        let mut archs = vec![Arch::new(), Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        archs
    }

    /// Logits after prompts and two more tokens each.
    fn logits(team: &Team) -> Vec<f32> {
        let parameters = Parameters::new();
        let model = parameters.model();
        let prompts: [&[u32]; 3] = [&[3, 1, 4], &[1; 33], &[5]];
        let (mut sequences, mut logits) = model.prefill(team, &prompts);
        let mut all: Vec<f32> = (0..3).flat_map(|row| logits.row(row)).collect();
        let mut workspace = Workspace::default();
        for id in [9, 26] {
            let tokens: Vec<NewToken> = (0..3).map(|sequence| NewToken { id, sequence }).collect();
            let hidden = model.forward(team, &mut workspace, &tokens, &mut sequences);
            model.logits(team, hidden, &mut logits);
            all.extend((0..3).flat_map(|row| logits.row(row)));
        }
        all
    }

    #[test]
    fn vectors_of_any_width_give_the_same_bits() {
        let expected = logits(&Team::new(1));
        for arch in archs() {
            let found = logits(&Team::new(2).with_arch(arch));
            assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{arch:?}");
        }
    }
}
