//! Llama 2, Llama 3.x, SmolLM and their like (Touvron et al. 2023, arXiv:2302.13971; Dubey et al. 2024,
//! arXiv:2407.21783).

use crate::architecture::{Bias, Family};

/// Biases are a matter of the config; queries and keys go as they are.
pub(crate) const LLAMA: Family = Family {
    model_type: "llama",
    class: "LlamaForCausalLM",
    bias: |config| Bias { qkv: config.attention_bias, attention_out: config.attention_bias, mlp: config.mlp_bias },
    qk_norm: false,
};
