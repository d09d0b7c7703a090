//! The transformer as `rlvr-cpu` sees it: the same weights, where they are.

use rlvr_cpu::model::QkNorm;
use rlvr_cpu::training::{Gradients, LayerGradients, LinearGradient};
use rlvr_cpu::{AttentionWeights, Linear, Model, Sizes};
use tch::{Device, Kind, Tensor};

use crate::logprob::gradient_of;
use crate::rope::frequencies;
use crate::transformer::Transformer;
use crate::weights::{LayerWeights, Weights};

impl Transformer {
    /// Returns the transformer for inference on the CPU; none if its weights are elsewhere or not in float32.
    pub fn on_cpu(&self) -> Option<Model<'_>> {
        let weights = self.weights();
        if self.device() != Device::Cpu || weights.kind() != Kind::Float {
            return None;
        }
        let a = self.architecture();
        let sizes = Sizes {
            n_layers: a.n_layers as usize,
            hidden_size: a.hidden_size as usize,
            intermediate_size: a.intermediate_size as usize,
            n_heads: a.n_heads as usize,
            n_kv_heads: a.n_kv_heads as usize,
            head_dim: a.head_dim as usize,
            norm_eps: a.norm_eps as f32,
        };
        let layers = weights.layers.iter().map(|layer| rlvr_cpu::LayerWeights {
            attention_norm: floats(&layer.attention_norm),
            attention: AttentionWeights {
                qkv: matrix(&layer.attention.qkv, layer.attention.qkv_bias.as_ref()),
                qk_norm: layer.attention.qk_norm.as_ref().map(|(q, k)| QkNorm { q: floats(q), k: floats(k) }),
                out: matrix(&layer.attention.out, layer.attention.out_bias.as_ref()),
            },
            mlp_norm: floats(&layer.mlp_norm),
            gate_up: matrix(&layer.mlp.gate_up, layer.mlp.gate_up_bias.as_ref()),
            down: matrix(&layer.mlp.down, layer.mlp.down_bias.as_ref()),
        });
        Some(Model {
            layers: layers.collect(),
            frequencies: frequencies(&a.rope, a.head_dim),
            embedding: floats(&weights.embedding),
            norm: floats(&weights.norm),
            head: matrix(weights.head(), None),
            sizes,
        })
    }
}

/// Returns the gradients of trainable weights, of zeros where there are none yet.
///
/// The result looks at the memory of the tensors in `gradients`.
pub(crate) fn gradients<'a>(weights: &Weights, tensors: &'a mut Vec<Tensor>) -> Gradients<'a> {
    *tensors = weights.parameters().iter().map(|parameter| gradient_of(&parameter.tensor)).collect();
    // In the order of `Weights::parameters`.
    let mut rest = tensors.iter_mut().map(floats_mut);
    let mut next = move || rest.next().expect("a gradient for each parameter");
    let embedding = next();
    let layers = weights.layers.iter().map(|LayerWeights { attention, mlp, .. }| {
        let [qkv, out, gate_up, down] = std::array::from_fn(|_| next());
        let (attention_norm, mlp_norm) = (next(), next());
        let mut optional = |is_there: bool| is_there.then(&mut next);
        let (qkv_bias, out_bias) = (optional(attention.qkv_bias.is_some()), optional(attention.out_bias.is_some()));
        let qk_norm = optional(attention.qk_norm.is_some()).zip(optional(attention.qk_norm.is_some()));
        let (gate_up_bias, down_bias) = (optional(mlp.gate_up_bias.is_some()), optional(mlp.down_bias.is_some()));
        LayerGradients {
            attention_norm,
            qkv: LinearGradient { weight: qkv, bias: qkv_bias },
            qk_norm,
            out: LinearGradient { weight: out, bias: out_bias },
            mlp_norm,
            gate_up: LinearGradient { weight: gate_up, bias: gate_up_bias },
            down: LinearGradient { weight: down, bias: down_bias },
        }
    });
    let layers = layers.collect();
    Gradients { embedding, layers, norm: next(), head: weights.head.is_some().then(next) }
}

fn matrix<'a>(weight: &'a Tensor, bias: Option<&'a Tensor>) -> Linear<'a> {
    Linear::new(floats(weight), bias.map(floats), weight.size()[1] as usize)
}

/// Looks at the numbers of a tensor.
///
/// # Panics
///
/// If they are not float32, one after the other, in the memory of the CPU.
#[expect(unsafe_code, reason = "tch offers no view of a tensor's memory, only copies")]
pub(crate) fn floats(tensor: &Tensor) -> &[f32] {
    assert!(
        tensor.kind() == Kind::Float && tensor.device() == Device::Cpu && tensor.is_contiguous(),
        "weights are contiguous float32 tensors"
    );
    // SAFETY: the tensor is dense, of `numel` floats, and lives as long as the slice. Weights change in the optimiser
    // alone, which works on the learner while nobody samples from it.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}

/// The same, to be written to.
#[expect(unsafe_code, reason = "tch offers no view of a tensor's memory, only copies")]
pub(crate) fn floats_mut(tensor: &mut Tensor) -> &mut [f32] {
    let numbers = floats(tensor);
    let (start, n) = (numbers.as_ptr().cast_mut(), numbers.len());
    // SAFETY: as for `floats`; the gradient of a parameter is no other's, and only the backward pass that asked for it
    // touches it.
    unsafe { std::slice::from_raw_parts_mut(start, n) }
}
