//! Attention: projections, rotation, and where keys and values come from.
//!
//! The projections are the same for training, scoring and decoding. What a query may look at differs, and is an
//! [`Attend`]: sequences packed with shared prompts ([`PackedAttention`]) or a cache
//! ([`KvCache`](crate::cache::KvCache)).

use tch::{Kind, Tensor};

use crate::architecture::Architecture;
use crate::batch::Layout;
use crate::linear::linear;
use crate::norm::rms_norm;
use crate::rope::Rotation;
use crate::weights::AttentionWeights;

/// Computes attention over whatever context there is.
///
/// # Shapes
///
/// | tensor   | shape                 |                      |
/// |----------|-----------------------|----------------------|
/// | `q`      | `[N, H, head_dim]`    | rotated              |
/// | `k`, `v` | `[N, H_kv, head_dim]` | `k` rotated          |
/// | result   | `[N, H · head_dim]`   |                      |
pub(crate) trait Attend {
    /// Attends in one layer.
    fn attend(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor;
}

/// Computes the attention block of one layer for `x` of `[N, D]`.
pub(crate) fn attention(
    x: &Tensor,
    layer: usize,
    weights: &AttentionWeights,
    architecture: &Architecture,
    context: (&Rotation, &mut dyn Attend),
) -> Tensor {
    let (rotation, attend) = context;
    let (heads, kv_heads, head_dim) = (architecture.n_heads, architecture.n_kv_heads, architecture.head_dim);
    let qkv = linear(x, &weights.qkv, weights.qkv_bias.as_ref()); // [N, (H + 2 H_kv) · head_dim]
    let sizes = [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim];
    let parts = qkv.split_with_sizes(sizes.as_slice(), -1);
    let split = |part: &Tensor, n: i64| part.reshape([-1, n, head_dim]);
    let (mut q, mut k, v) = (split(&parts[0], heads), split(&parts[1], kv_heads), split(&parts[2], kv_heads));
    if let Some((q_norm, k_norm)) = &weights.qk_norm {
        q = rms_norm(&q, q_norm, architecture.norm_eps);
        k = rms_norm(&k, k_norm, architecture.norm_eps);
    }
    let mixed = attend.attend(layer, &rotation.apply(&q), &rotation.apply(&k), &v); // [N, H · head_dim]
    linear(&mixed, &weights.out, weights.out_bias.as_ref())
}

/// Attention within packed sequences, of completions to their prompt and to themselves.
///
/// Everything but this function runs without padding. Attention itself sees two padded views: the prompts, causal, and
/// the completions, whose keys are those of their prompt followed by their own.
pub(crate) struct PackedAttention<'a> {
    layout: &'a Layout,
    /// Keys and values of each layer, `[N, H_kv, head_dim]`, if they are to be kept.
    kept: Option<Vec<(Tensor, Tensor)>>,
}

impl<'a> PackedAttention<'a> {
    /// Attends within the sequences of a layout.
    pub(crate) fn new(layout: &'a Layout) -> Self {
        Self { layout, kept: None }
    }

    /// The same, and keeps keys and values for a cache.
    pub(crate) fn keeping(layout: &'a Layout) -> Self {
        Self { layout, kept: Some(vec![]) }
    }

    /// Returns the keys and values of each layer.
    pub(crate) fn into_kept(self) -> Vec<(Tensor, Tensor)> {
        self.kept.unwrap_or_default()
    }
}

impl Attend for PackedAttention<'_> {
    fn attend(&mut self, _: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        if let Some(kept) = &mut self.kept {
            kept.push((k.shallow_clone(), v.shallow_clone()));
        }
        let Layout { prompts, completions, unpad, .. } = self.layout;
        let [q_prompt, k_prompt, v_prompt] = [q, k, v].map(|x| padded(x, prompts)); // [P, heads, T, head_dim]
        let grouped = q.size()[1] != k.size()[1];
        let sdpa = |q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>| {
            let mixed = Tensor::scaled_dot_product_attention(q, k, v, mask, 0.0, mask.is_none(), None, grouped);
            mixed.transpose(1, 2).flatten(0, 1).flatten(1, 2) // [rows · T, H · head_dim]
        };
        let mut mixed = sdpa(&q_prompt, &k_prompt, &v_prompt, None);
        if let Some(completions) = completions {
            let after_prompt = |of_prompt: &Tensor, own: &Tensor| {
                let of_prompt = of_prompt.index_select(0, &completions.prompt_of);
                Tensor::cat(&[of_prompt, padded(own, &completions.index)], 2) // [B, H_kv, T_prompt + T, head_dim]
            };
            let (keys, values) = (after_prompt(&k_prompt, k), after_prompt(&v_prompt, v));
            let mask = completions.mask.to_kind(q.kind());
            let own = sdpa(&padded(q, &completions.index), &keys, &values, Some(&mask));
            mixed = Tensor::cat(&[mixed, own], 0);
        }
        gather_rows(&mixed, unpad)
    }
}

/// Lays `[N, heads, head_dim]` out as `[rows, heads, T, head_dim]` by the row indices `[rows, T]`.
fn padded(x: &Tensor, index: &Tensor) -> Tensor {
    let (heads, head_dim) = (x.size()[1], x.size()[2]);
    let size = index.size();
    gather_rows(&x.flatten(1, 2), &index.view([-1])).view([size[0], size[1], heads, head_dim]).transpose(1, 2)
}

/// Selects rows of `[N, C]`. `embedding` is the gather whose gradient CPUs compute in parallel and without an
/// operation a row.
pub(crate) fn gather_rows(x: &Tensor, index: &Tensor) -> Tensor {
    Tensor::embedding(x, index, -1, false, false)
}

/// Builds the additive mask of completions: 0 where a query may look, -∞ where it may not.
///
/// `prompt_lengths[b]` keys of the first `prompt_width` are real; then a token sees its own completion up to itself.
/// The result is `[B, 1, T, prompt_width + T]`.
pub(crate) fn completion_mask(prompt_lengths: &Tensor, prompt_width: i64, width: i64) -> Tensor {
    let device = prompt_lengths.device();
    let rows = prompt_lengths.size()[0];
    let prompt_key = Tensor::arange(prompt_width, (Kind::Int64, device));
    let sees_prompt = prompt_key.unsqueeze(0).lt_tensor(&prompt_lengths.unsqueeze(1)); // [B, T_prompt]
    let sees_prompt = sees_prompt.view([rows, 1, 1, prompt_width]).expand([rows, 1, width, prompt_width], false);
    let at = Tensor::arange(width, (Kind::Int64, device));
    let sees_own = at.unsqueeze(0).le_tensor(&at.unsqueeze(1)); // [T, T]
    let sees_own = sees_own.view([1, 1, width, width]).expand([rows, 1, width, width], false);
    let sees = Tensor::cat(&[sees_prompt, sees_own], -1);
    Tensor::zeros(sees.size(), (Kind::Float, device)).masked_fill(&sees.logical_not(), f64::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_sees_its_prompt_and_its_past() {
        let mask = completion_mask(&Tensor::from_slice(&[1_i64, 2]), 2, 2);
        let seen = |row: i64, query: i64| -> Vec<bool> {
            (0..4).map(|key| mask.double_value(&[row, 0, query, key]) == 0.0).collect()
        };
        assert_eq!(seen(0, 0), [true, false, true, false]);
        assert_eq!(seen(0, 1), [true, false, true, true]);
        assert_eq!(seen(1, 0), [true, true, true, false]);
    }
}
