//! Models that the tests share.

use rlvr_policy::preset::Vocabulary;
use rlvr_policy::{Preset, Transformer, Weights};
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
    let architecture = preset.architecture(Vocabulary { size: 30, eos: 29, pad: 29 }).expect("the sizes make a model");
    let weights = Weights::random(&architecture, seed, Device::Cpu);
    // Random weights of deviation 0.02 hardly depend on their input: scaled up, differences show.
    for parameter in weights.parameters() {
        if parameter.tensor.dim() == 2 {
            let _ = parameter.tensor.detach().g_mul_scalar_(8.0);
        }
    }
    Transformer::new(architecture, weights)
}
