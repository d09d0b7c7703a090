//! What a sequence remembers of its tokens: keys and values.

use std::sync::Arc;

use crate::model::Sizes;
use crate::rows::LANES;

/// The keys and values of a prompt, shared by all sequences that continue it.
#[derive(Clone, Debug)]
pub struct Prompt(Arc<Segment>);

/// A sequence of tokens: perhaps a prompt, and what came after it.
#[derive(Debug)]
pub struct Sequence {
    prompt: Option<Prompt>,
    own: Segment,
}

impl Sequence {
    /// Makes a sequence without a token.
    pub fn new(sizes: &Sizes) -> Self {
        Self { prompt: None, own: Segment::new(sizes) }
    }

    /// Makes a sequence that goes on where a prompt ends.
    pub fn after(prompt: &Prompt, sizes: &Sizes) -> Self {
        Self { prompt: Some(prompt.clone()), own: Segment::new(sizes) }
    }

    /// Makes a prompt of the tokens so far.
    ///
    /// # Panics
    ///
    /// If the sequence continues a prompt itself.
    pub fn into_prompt(self) -> Prompt {
        assert!(self.prompt.is_none(), "a prompt does not continue another");
        Prompt(Arc::new(self.own))
    }

    /// Returns the number of tokens, those of the prompt included.
    pub fn n_tokens(&self) -> usize {
        self.n_prompt_tokens() + self.own.n_tokens
    }

    fn n_prompt_tokens(&self) -> usize {
        self.prompt.as_ref().map_or(0, |prompt| prompt.0.n_tokens)
    }

    /// Counts tokens whose keys and values every layer is about to [write](Self::write).
    pub(crate) fn grow(&mut self, n: usize) {
        self.own.n_tokens += n;
        for layer in &mut self.own.layers {
            layer.reserve(self.own.n_tokens);
        }
    }

    /// Writes the keys and values `[H_kv · head_dim]` of the token at a position.
    pub(crate) fn write(&mut self, layer: usize, position: usize, (keys, values): (&[f32], &[f32])) {
        let token = position - self.n_prompt_tokens();
        self.own.layers[layer].write(token, keys, values);
    }

    /// Returns the parts of a layer that the token at a position sees, with the number of tokens it sees of each.
    pub(crate) fn seen(&self, layer: usize, position: usize) -> impl Iterator<Item = (&LayerCache, usize)> {
        let n_prompt = self.n_prompt_tokens();
        let prompt = self.prompt.as_ref().map(|prompt| (&prompt.0.layers[layer], n_prompt));
        prompt.into_iter().chain(std::iter::once((&self.own.layers[layer], position + 1 - n_prompt)))
    }
}

/// Consecutive tokens of a sequence.
#[derive(Debug)]
struct Segment {
    layers: Vec<LayerCache>,
    n_tokens: usize,
}

impl Segment {
    fn new(sizes: &Sizes) -> Self {
        let layer = || LayerCache {
            keys: vec![],
            values: vec![],
            n_kv_heads: sizes.n_kv_heads,
            head_dim: sizes.head_dim,
            value_width: sizes.head_dim.next_multiple_of(LANES),
        };
        Self { layers: (0..sizes.n_layers).map(|_| layer()).collect(), n_tokens: 0 }
    }
}

/// Keys and values of one layer, in blocks of sixteen tokens.
#[derive(Debug)]
pub(crate) struct LayerCache {
    /// `[blocks, H_kv, head_dim, 16]`: a query meets sixteen keys at a time, one in each lane.
    keys: Vec<f32>,
    /// `[blocks, H_kv, 16, value_width]`: values are added up one token after the other, a feature in each lane.
    values: Vec<f32>,
    n_kv_heads: usize,
    head_dim: usize,
    /// `head_dim` filled up to whole vectors.
    value_width: usize,
}

impl LayerCache {
    fn reserve(&mut self, n_tokens: usize) {
        let n_blocks = n_tokens.div_ceil(LANES);
        self.keys.resize(n_blocks * self.n_kv_heads * self.head_dim * LANES, 0.0);
        self.values.resize(n_blocks * self.n_kv_heads * LANES * self.value_width, 0.0);
    }

    fn write(&mut self, token: usize, keys: &[f32], values: &[f32]) {
        let (block, lane) = (token / LANES, token % LANES);
        for head in 0..self.n_kv_heads {
            let start = (block * self.n_kv_heads + head) * self.head_dim;
            for d in 0..self.head_dim {
                self.keys[(start + d) * LANES + lane] = keys[head * self.head_dim + d];
            }
            let start = ((block * self.n_kv_heads + head) * LANES + lane) * self.value_width;
            self.values[start..start + self.head_dim].copy_from_slice(&values[head * self.head_dim..][..self.head_dim]);
        }
    }

    /// Returns sixteen keys of a head, `[head_dim, 16]`.
    #[inline(always)]
    pub(crate) fn keys(&self, block: usize, head: usize) -> &[f32] {
        let size = self.head_dim * LANES;
        &self.keys[(block * self.n_kv_heads + head) * size..][..size]
    }

    /// Returns sixteen values of a head, `[16, value_width]`.
    #[inline(always)]
    pub(crate) fn values(&self, block: usize, head: usize) -> &[f32] {
        let size = LANES * self.value_width;
        &self.values[(block * self.n_kv_heads + head) * size..][..size]
    }
}
