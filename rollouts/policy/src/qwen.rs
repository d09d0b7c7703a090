//! Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv:2407.10671 and 2412.15115), Qwen3 (2025, arXiv:2505.09388).

use crate::architecture::{Bias, Family};

/// Queries, keys and values always have a bias, whatever the config says; nothing else has.
pub(crate) const QWEN2: Family = Family {
    model_type: "qwen2",
    class: "Qwen2ForCausalLM",
    bias: |_| Bias { qkv: true, ..Bias::default() },
    qk_norm: false,
};

/// The bias became an option, and queries and keys are normalised per head before they are rotated.
pub(crate) const QWEN3: Family = Family {
    model_type: "qwen3",
    class: "Qwen3ForCausalLM",
    bias: |config| Bias { qkv: config.attention_bias, attention_out: config.attention_bias, mlp: false },
    qk_norm: true,
};
