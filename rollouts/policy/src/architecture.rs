//! What a model looks like: one description for all families.
//!
//! Families differ in values, not in code paths: which projections have a bias, whether queries and keys are
//! normalised, how positions are rotated. A new family is a `Family` in a file of its own.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::PolicyError;
use crate::hf_config::HfConfig;
use crate::llama::LLAMA;
use crate::qwen::{QWEN2, QWEN3};

/// The sizes and switches of a decoder-only transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// `model_type` of config.json, such as `"qwen2"`.
    pub model_type: String,
    /// Rows of the embedding, `V`; may exceed the number of tokens.
    pub vocab_size: i64,
    /// Width of the residual stream, `D`.
    pub hidden_size: i64,
    /// Width inside the feed-forward block.
    pub intermediate_size: i64,
    /// Number of layers, `L`.
    pub n_layers: i64,
    /// Query heads, `H`.
    pub n_heads: i64,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: i64,
    /// Width of a head.
    pub head_dim: i64,
    /// Added to the mean square in RMSNorm.
    pub norm_eps: f64,
    /// How positions are rotated.
    pub rope: Rope,
    /// Longest sequence the model was made for, in tokens.
    pub max_positions: i64,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// Which projections have a bias.
    pub bias: Bias,
    /// Whether queries and keys are normalised per head (Qwen3).
    pub qk_norm: bool,
    /// config.json as it was read, so that what this crate does not use survives a round trip.
    pub(crate) raw: Map<String, Value>,
}

/// Which projections have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bias {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The projection out of attention.
    pub attention_out: bool,
    /// All three projections of the feed-forward block.
    pub mlp: bool,
}

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f64,
    /// How frequencies are stretched for contexts longer than the pretraining's.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All by the same factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies by the factor, high ones not at all, a blend between (Llama 3.1).
    Llama3 {
        /// The factor for low frequencies.
        factor: f64,
        /// Wavelengths above `original_positions / low_freq_factor` are stretched fully.
        low_freq_factor: f64,
        /// Wavelengths below `original_positions / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The context of the pretraining.
        original_positions: f64,
    },
}

/// What sets a family apart from the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// `model_type` of config.json.
    pub model_type: &'static str,
    /// The class in `architectures` of config.json.
    pub class: &'static str,
    /// Which projections have a bias.
    pub bias: fn(&HfConfig) -> Bias,
    /// Whether queries and keys are normalised per head.
    pub qk_norm: bool,
}

/// The known families.
pub(crate) const FAMILIES: [Family; 3] = [LLAMA, QWEN2, QWEN3];

impl Architecture {
    /// Reads `config.json` of a Hugging Face model folder, in the spelling of transformers 4 or 5.
    ///
    /// # Errors
    ///
    /// If the file is missing or not JSON, if the model is of an unknown family, or if it uses something that would
    /// change the numbers and is not implemented; names the key.
    pub fn read(folder: &Path) -> Result<Self, PolicyError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(PolicyError::io(&path))?;
        Self::parse(&text).map_err(|why| PolicyError::config(&path, why))
    }

    /// Parses the text of a `config.json`; the error names the key.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let raw: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
        let hf = HfConfig::parse(&raw)?;
        let family = FAMILIES.iter().find(|family| family.model_type == hf.model_type).ok_or_else(|| {
            let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
            format!("`model_type` is `{}`, which is not supported; known are {}", hf.model_type, known.join(", "))
        })?;
        if let Some(class) = hf.architectures.first().filter(|class| *class != family.class) {
            return Err(format!("`architectures` names `{class}`, but a policy is a `{}`", family.class));
        }
        hf.refuse_unsupported()?;
        let architecture = Self {
            model_type: hf.model_type.clone(),
            vocab_size: hf.vocab_size,
            hidden_size: hf.hidden_size,
            intermediate_size: hf.intermediate_size,
            n_layers: hf.num_hidden_layers,
            n_heads: hf.num_attention_heads,
            n_kv_heads: hf.num_key_value_heads.unwrap_or(hf.num_attention_heads),
            head_dim: hf.head_dim(),
            norm_eps: hf.rms_norm_eps,
            rope: hf.rope()?,
            max_positions: hf.max_position_embeddings,
            tied_head: hf.tie_word_embeddings,
            bias: (family.bias)(&hf),
            qk_norm: family.qk_norm,
            raw,
        };
        architecture.check()?;
        Ok(architecture)
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.n_layers),
            ("num_attention_heads", self.n_heads),
            ("num_key_value_heads", self.n_kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_positions),
        ];
        if let Some((key, size)) = sizes.iter().find(|(_, size)| *size < 1) {
            return Err(format!("`{key}` is {size}, but must be at least 1"));
        }
        if self.n_heads % self.n_kv_heads != 0 {
            return Err(format!(
                "`num_attention_heads` is {}, which `num_key_value_heads`, {}, does not divide",
                self.n_heads, self.n_kv_heads
            ));
        }
        if self.head_dim % 2 != 0 {
            return Err(format!("`head_dim` is {}, but rotation needs an even one", self.head_dim));
        }
        if !(self.rope.theta.is_finite() && self.rope.theta > 0.0) {
            return Err(format!("`rope_theta` is {}, but must be above 0", self.rope.theta));
        }
        Ok(())
    }

    /// Returns the text of `config.json`, which transformers reads back.
    ///
    /// `dtype` is the name of the kind in which the weights are stored, such as `"float32"`.
    pub fn to_json(&self, dtype: &str) -> String {
        let mut raw = self.raw.clone();
        // transformers 5 reads either key and writes the second.
        let key = if raw.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
        raw.insert(key.to_owned(), Value::from(dtype));
        let text = serde_json::to_string_pretty(&raw).expect("a map of JSON values is JSON");
        text + "\n"
    }
}
