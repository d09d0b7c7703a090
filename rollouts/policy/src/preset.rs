//! Models with random weights, for experiments from nothing.

use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::architecture::{Architecture, FAMILIES};
use crate::error::PolicyError;
use crate::weights::Weights;

/// The sizes of a model with random weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Preset {
    /// The family: `llama`, `qwen2` or `qwen3`.
    pub family: String,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width inside the feed-forward block.
    pub intermediate_size: i64,
    /// Number of layers.
    pub n_layers: i64,
    /// Query heads.
    pub n_heads: i64,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: i64,
    /// Longest sequence, in tokens.
    pub max_positions: i64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Whether the head is the embedding.
    pub tied_head: bool,
}

impl Default for Preset {
    /// The preset `tiny`: 0.8 million parameters beside the embedding.
    fn default() -> Self {
        Self {
            family: "llama".to_owned(),
            hidden_size: 128,
            intermediate_size: 384,
            n_layers: 4,
            n_heads: 4,
            n_kv_heads: 2,
            max_positions: 1024,
            rope_theta: 10_000.0,
            tied_head: true,
        }
    }
}

/// What the tokenizer fixes about a model.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// Number of tokens.
    pub size: i64,
    /// The token that ends a completion.
    pub eos: u32,
    /// The token that fills.
    pub pad: u32,
}

impl Preset {
    /// Returns the architecture for a vocabulary.
    ///
    /// # Errors
    ///
    /// If the family is unknown or the sizes do not make a model; names the key.
    pub fn architecture(&self, vocabulary: Vocabulary) -> Result<Architecture, PolicyError> {
        let family = FAMILIES.iter().find(|family| family.model_type == self.family).ok_or_else(|| {
            let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
            PolicyError::Preset(format!("`family` is `{}`; known are {}", self.family, known.join(", ")))
        })?;
        if self.n_heads < 1 || self.hidden_size % self.n_heads != 0 {
            let why =
                format!("`hidden_size` is {}, which `n_heads`, {}, does not divide", self.hidden_size, self.n_heads);
            return Err(PolicyError::Preset(why));
        }
        let config = json!({
            "architectures": [family.class],
            "model_type": family.model_type,
            "vocab_size": vocabulary.size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_kv_heads,
            "head_dim": self.hidden_size / self.n_heads,
            "hidden_act": "silu",
            "max_position_embeddings": self.max_positions,
            "rms_norm_eps": 1e-5,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tied_head,
            "bos_token_id": Value::Null,
            "eos_token_id": vocabulary.eos,
            "pad_token_id": vocabulary.pad,
            "torch_dtype": "float32",
        });
        Architecture::parse(&config.to_string()).map_err(|why| PolicyError::Preset(in_our_words(why)))
    }
}

/// A preset spells sizes as this project does, not as Hugging Face does.
fn in_our_words(why: String) -> String {
    let words = [
        ("num_hidden_layers", "n_layers"),
        ("num_attention_heads", "n_heads"),
        ("num_key_value_heads", "n_kv_heads"),
        ("max_position_embeddings", "max_positions"),
    ];
    words.iter().fold(why, |why, (theirs, ours)| why.replace(theirs, ours))
}

impl Weights {
    /// Draws random weights: normal with deviation 0.02, and `0.02 / sqrt(2 L)` for the projections back into the
    /// residual stream (Radford et al. 2019, GPT-2); norms are 1 and biases 0.
    ///
    /// Equal seeds give equal weights on the same device.
    pub fn random(architecture: &Architecture, seed: u64, device: Device) -> Self {
        // libtorch has one generator for the process.
        static GENERATOR: Mutex<()> = Mutex::new(());
        let _guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        tch::manual_seed(seed as i64);
        let options = (Kind::Float, device);
        let shrunk = 0.02 / (2.0 * architecture.n_layers as f64).sqrt();
        let draw = |name: &str, shape: &[i64]| -> Result<Tensor, std::convert::Infallible> {
            Ok(match name {
                _ if name.ends_with(".bias") => Tensor::zeros(shape, options),
                _ if name.ends_with("norm.weight") => Tensor::ones(shape, options),
                _ if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") => {
                    Tensor::randn(shape, options) * shrunk
                }
                _ => Tensor::randn(shape, options) * 0.02,
            })
        };
        let Ok(weights) = Self::assemble(architecture, &mut { draw });
        weights
    }
}
