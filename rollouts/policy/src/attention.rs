//! Attention: projections, rotation, and where keys and values come from.
//!
//! The projections are the same for training, scoring and decoding. What a query may look at differs, and is an
//! [`Attend`]: sequences packed with shared prompts ([`PackedAttention`]) or a cache
//! ([`KvCache`](crate::cache::KvCache)).

use tch::Tensor;

use crate::architecture::Architecture;
use crate::batch::Batch;
use crate::linear::linear;
use crate::norm::rms_norm;
use crate::padding::Padding;
use crate::rope::Rotation;
use crate::sequences;
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
    let qkv = qkv.reshape([-1, heads + 2 * kv_heads, head_dim]);
    let v = qkv.narrow(1, heads + kv_heads, kv_heads);
    let normed = weights.qk_norm.as_ref().map(|(q_norm, k_norm)| {
        let q = rms_norm(&qkv.narrow(1, 0, heads), q_norm, architecture.norm_eps);
        let k = rms_norm(&qkv.narrow(1, heads, kv_heads), k_norm, architecture.norm_eps);
        Tensor::cat(&[q, k], 1)
    });
    let qk = rotation.apply(&normed.unwrap_or_else(|| qkv.narrow(1, 0, heads + kv_heads)));
    let (q, k) = (qk.narrow(1, 0, heads), qk.narrow(1, heads, kv_heads));
    let mixed = attend.attend(layer, &q, &k, &v); // [N, H · head_dim]
    linear(&mixed, &weights.out, weights.out_bias.as_ref())
}

/// Attention within packed sequences, of completions to their prompt and to themselves.
///
/// Everything else runs without padding, and so does attention on GPUs ([`sequences`]). Elsewhere attention sees two padded
/// views: the prompts, causal, and the completions, whose keys are those of their prompt followed by their own.
pub(crate) struct PackedAttention<'a> {
    batch: &'a Batch,
    /// Keys and values of each layer, `[N, H_kv, head_dim]`, if they are to be kept.
    kept: Option<Vec<(Tensor, Tensor)>>,
}

impl<'a> PackedAttention<'a> {
    /// Attends within the sequences of a batch.
    pub(crate) fn new(batch: &'a Batch) -> Self {
        Self { batch, kept: None }
    }

    /// The same, and keeps keys and values for a cache.
    pub(crate) fn keeping(batch: &'a Batch) -> Self {
        Self { batch, kept: Some(vec![]) }
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
        if sequences::suits(q) { self.batch.sequences().attend(q, k, v) } else { self.batch.padding().attend(q, k, v) }
    }
}

impl Padding {
    /// Attends with packed queries `[N, H, head_dim]` and keys `[N, H_kv, head_dim]`; returns `[N, H · head_dim]`.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        let Self { prompts, completions, unpad } = self;
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
