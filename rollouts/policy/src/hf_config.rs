//! `config.json` as Hugging Face spells it, in the manner of transformers 4 and 5.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::architecture::{Rope, RopeScaling};

/// The keys that matter to a decoder of the known families.
#[derive(Debug, Deserialize)]
pub(crate) struct HfConfig {
    pub model_type: String,
    #[serde(default)]
    pub architectures: Vec<String>,
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub num_hidden_layers: i64,
    pub num_attention_heads: i64,
    pub num_key_value_heads: Option<i64>,
    head_dim: Option<i64>,
    pub rms_norm_eps: f64,
    pub max_position_embeddings: i64,
    #[serde(default)]
    pub tie_word_embeddings: bool,
    #[serde(default)]
    pub attention_bias: bool,
    #[serde(default)]
    pub mlp_bias: bool,
    #[serde(default = "silu")]
    hidden_act: String,

    // transformers 4
    rope_theta: Option<f64>,
    rope_scaling: Option<Map<String, Value>>,
    // transformers 5
    rope_parameters: Option<Map<String, Value>>,

    sliding_window: Option<i64>,
    #[serde(default)]
    use_sliding_window: bool,
    #[serde(default)]
    layer_types: Vec<String>,
    partial_rotary_factor: Option<f64>,
    quantization_config: Option<Value>,
}

fn silu() -> String {
    "silu".to_owned()
}

impl HfConfig {
    /// Reads the keys; the error names the first that is missing or of the wrong type.
    pub(crate) fn parse(raw: &Map<String, Value>) -> Result<Self, String> {
        // Null stands for absent all over these files.
        let present: Map<String, Value> =
            raw.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
        if !present.contains_key("model_type") {
            return Err("`model_type` is missing; is this the folder of a Hugging Face model?".to_owned());
        }
        serde_path_to_error::deserialize(Value::Object(present)).map_err(|error| {
            match error.path().to_string().as_str() {
                "." => error.inner().to_string(),
                key => format!("`{key}`: {}", error.inner()),
            }
        })
    }

    pub(crate) fn head_dim(&self) -> i64 {
        self.head_dim.unwrap_or_else(|| self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Refuses what would change the numbers and is not implemented.
    pub(crate) fn refuse_unsupported(&self) -> Result<(), String> {
        if self.quantization_config.is_some() {
            return Err("`quantization_config` is set, but only bf16, f16 and f32 weights can be trained".to_owned());
        }
        if self.hidden_act != "silu" && self.hidden_act != "swish" {
            return Err(format!("`hidden_act` is `{}`, but only `silu` is supported", self.hidden_act));
        }
        // `sliding_window` alone says nothing: Qwen configs carry one and switch it off.
        if self.layer_types.is_empty() && self.use_sliding_window && self.sliding_window.is_some() {
            return Err("`use_sliding_window` is on, but only full attention is supported".to_owned());
        }
        if let Some(kind) = self.layer_types.iter().find(|kind| *kind != "full_attention") {
            return Err(format!("`layer_types` names `{kind}`, but only `full_attention` is supported"));
        }
        if self.partial_rotary_factor.is_some_and(|factor| (factor - 1.0).abs() > 1e-9) {
            return Err("`partial_rotary_factor` is not 1, but only full rotation is supported".to_owned());
        }
        Ok(())
    }

    pub(crate) fn rope(&self) -> Result<Rope, String> {
        let (key, parameters) = match (&self.rope_parameters, &self.rope_scaling) {
            (Some(parameters), _) => ("rope_parameters", parameters),
            (None, Some(parameters)) => ("rope_scaling", parameters),
            (None, None) => return Ok(Rope { theta: self.theta(None), scaling: RopeScaling::None }),
        };
        let number = |name: &str| parameters.get(name).and_then(Value::as_f64);
        let needed = |name: &str| number(name).ok_or_else(|| format!("`{key}` has no number `{name}`"));
        let kind = parameters.get("rope_type").or_else(|| parameters.get("type")).and_then(Value::as_str);
        let scaling = match kind {
            Some("default") => RopeScaling::None,
            None if key == "rope_parameters" && number("rope_theta").is_some() => RopeScaling::None,
            Some("linear") => RopeScaling::Linear { factor: needed("factor")? },
            Some("llama3") => RopeScaling::Llama3 {
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_positions: needed("original_max_position_embeddings")?,
            },
            other => {
                let shown = other.unwrap_or("(none)");
                return Err(format!("`{key}` has the rope type `{shown}`; known are default, linear and llama3"));
            }
        };
        Ok(Rope { theta: self.theta(number("rope_theta")), scaling })
    }

    fn theta(&self, nested: Option<f64>) -> f64 {
        nested.or(self.rope_theta).unwrap_or(10_000.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::architecture::{Architecture, RopeScaling};

    const BASE: &str = r#""model_type":"llama","vocab_size":10,"hidden_size":8,"intermediate_size":16,
        "num_hidden_layers":1,"num_attention_heads":2,"rms_norm_eps":1e-5,"max_position_embeddings":64"#;

    fn parse(extra: &str) -> Result<Architecture, String> {
        Architecture::parse(&format!("{{{BASE}{extra}}}"))
    }

    #[test]
    fn both_spellings_of_rope_are_read() {
        let v4 = parse(r#","rope_theta":5e5,"rope_scaling":{"type":"linear","factor":2}"#).unwrap();
        let v5 = parse(r#","rope_parameters":{"rope_theta":5e5,"rope_type":"linear","factor":2.0}"#).unwrap();
        assert_eq!(v4.rope, v5.rope);
        assert_eq!(parse("").unwrap().rope.scaling, RopeScaling::None);
        assert_eq!(parse(r#","rope_scaling":null"#).unwrap().rope.theta, 10_000.0);
    }

    #[test]
    fn refusals_name_the_key() {
        #[track_caller]
        fn check(extra: &str, expected: &str) {
            assert_eq!(parse(extra).unwrap_err(), expected);
        }
        check(
            r#","rope_scaling":{"rope_type":"yarn","factor":4}"#,
            "`rope_scaling` has the rope type `yarn`; known are default, linear and llama3",
        );
        check(r#","rope_scaling":{"rope_type":"linear"}"#, "`rope_scaling` has no number `factor`");
        check(
            r#","num_key_value_heads":3"#,
            "`num_attention_heads` is 2, which `num_key_value_heads`, 3, does not divide",
        );
        check(r#","hidden_act":"gelu""#, "`hidden_act` is `gelu`, but only `silu` is supported");
        check(
            r#","use_sliding_window":true,"sliding_window":8"#,
            "`use_sliding_window` is on, but only full attention is supported",
        );
        check(
            r#","quantization_config":{"bits":4}"#,
            "`quantization_config` is set, but only bf16, f16 and f32 weights can be trained",
        );
        check(r#","head_dim":-4"#, "`head_dim` is -4, but must be at least 1");
        check(
            r#","architectures":["LlamaForSequenceClassification"]"#,
            "`architectures` names `LlamaForSequenceClassification`, but a policy is a `LlamaForCausalLM`",
        );
        assert_eq!(
            Architecture::parse(&format!("{{{}}}", BASE.replace("llama", "mamba"))).unwrap_err(),
            "`model_type` is `mamba`, which is not supported; known are llama, qwen2, qwen3",
        );
        assert_eq!(Architecture::parse(r#"{"model_type":"llama"}"#).unwrap_err(), "missing field `vocab_size`");
        assert_eq!(
            Architecture::parse("{}").unwrap_err(),
            "`model_type` is missing; is this the folder of a Hugging Face model?"
        );
    }

    #[test]
    fn a_window_that_is_switched_off_does_not_matter() {
        assert!(parse(r#","use_sliding_window":false,"sliding_window":8"#).is_ok());
    }
}
