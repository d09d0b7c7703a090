//! Models that the tests share.

use rlvr_policy::preset::Vocabulary;
use rlvr_policy::{Architecture, Preset, Transformer, Weights};
use tch::Device;

/// A model of some thousand parameters with random weights, float32 on the CPU.
///
/// Its family is `llama`, `qwen2` or `qwen3`.
///
/// # Panics
///
/// If there is no such family.
pub(crate) fn tiny_transformer(family: &str, seed: u64) -> Transformer {
    let preset = Preset {
        family: family.to_owned(),
        hidden_size: 24,
        intermediate_size: 40,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        max_positions: 128,
        ..Preset::default()
    };
    let (architecture, weights) = scaled(&preset, seed, 8.0);
    Transformer::new(architecture, weights)
}

/// Random weights on the CPU for a vocabulary of 30, the matrices scaled up: those of deviation 0.02 hardly depend on their
/// input.
pub(crate) fn scaled(preset: &Preset, seed: u64, factor: f64) -> (Architecture, Weights) {
    let architecture = preset.architecture(Vocabulary { size: 30, eos: 29, pad: 29 }).expect("the sizes make a model");
    let weights = Weights::random(&architecture, seed, Device::Cpu);
    for parameter in weights.parameters().into_iter().filter(|parameter| parameter.tensor.dim() == 2) {
        let _ = parameter.tensor.detach().g_mul_scalar_(factor);
    }
    (architecture, weights)
}
