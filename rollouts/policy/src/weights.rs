//! The parameters of a transformer, and Hugging Face's names for them.
//!
//! Matrices that read the same input are stored as one: queries, keys and values, and the two inner projections of the
//! feed-forward block. Files keep Hugging Face's layout.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::architecture::Architecture;
use crate::error::PolicyError;
use crate::safetensors_io::{TensorFiles, write_folder};

/// All parameters.
#[derive(Debug)]
pub struct Weights {
    /// `[V, D]`.
    pub(crate) embedding: Tensor,
    pub(crate) layers: Vec<LayerWeights>,
    /// `[D]`.
    pub(crate) norm: Tensor,
    /// `[V, D]`, float32; none if the embedding serves.
    pub(crate) head: Option<Tensor>,
    /// The embedding in float32 for a tied head, where the rest is of another kind.
    tied_head: Option<Tensor>,
}

/// The parameters of a layer.
#[derive(Debug)]
pub(crate) struct LayerWeights {
    /// `[D]`.
    pub attention_norm: Tensor,
    pub attention: AttentionWeights,
    /// `[D]`.
    pub mlp_norm: Tensor,
    pub mlp: MlpWeights,
}

/// The parameters of an attention block.
#[derive(Debug)]
pub(crate) struct AttentionWeights {
    /// Queries, keys and values, `[(H + 2 H_kv) · head_dim, D]`.
    pub qkv: Tensor,
    pub qkv_bias: Option<Tensor>,
    /// The norms of queries and keys, `[head_dim]` each.
    pub qk_norm: Option<(Tensor, Tensor)>,
    /// `[D, H · head_dim]`.
    pub out: Tensor,
    pub out_bias: Option<Tensor>,
}

/// The parameters of a feed-forward block of inner width `F`.
#[derive(Debug)]
pub(crate) struct MlpWeights {
    /// `[2 F, D]`.
    pub gate_up: Tensor,
    pub gate_up_bias: Option<Tensor>,
    /// `[D, F]`.
    pub down: Tensor,
    pub down_bias: Option<Tensor>,
}

/// A parameter by name; a handle that shares the tensor's memory.
#[derive(Debug)]
pub struct Parameter {
    /// Such as `layers.3.attention.qkv`.
    pub name: String,
    /// The values.
    pub tensor: Tensor,
    /// Whether it is a matrix inside a layer, to which weight decay applies.
    pub is_inner_matrix: bool,
}

impl Weights {
    /// Reads the weights of a Hugging Face folder into float32, from one safetensors file or from shards.
    ///
    /// # Errors
    ///
    /// Names the file that is missing or damaged, or the tensor that is missing, unexpected or of the wrong shape.
    pub fn read(folder: &Path, architecture: &Architecture, device: Device) -> Result<Self, PolicyError> {
        let mut files = TensorFiles::open(folder)?;
        let weights = Self::assemble(architecture, &mut |name, shape| files.read(name, shape, device))?;
        // Old exports carry rotary tables, and tied models a copy of the head.
        files.refuse_leftovers(|name| {
            name.ends_with("rotary_emb.inv_freq") || (architecture.tied_head && name == "lm_head.weight")
        })?;
        Ok(weights)
    }

    /// Checks that the weight files of a Hugging Face folder are there and whole, without reading tensors.
    ///
    /// # Errors
    ///
    /// Names the file that is missing or damaged.
    pub fn check_files(folder: &Path) -> Result<(), PolicyError> {
        TensorFiles::open(folder).map(drop)
    }

    /// Writes `config.json` and the weights as a Hugging Face folder, in float32.
    ///
    /// # Errors
    ///
    /// Names the file that could not be written.
    pub fn write(&self, folder: &Path, architecture: &Architecture) -> Result<(), PolicyError> {
        let path = folder.join("config.json");
        std::fs::write(&path, architecture.to_json("float32")).map_err(PolicyError::io(&path))?;
        write_folder(folder, &self.hf_tensors(architecture))
    }

    /// Builds the weights from Hugging Face tensors, each asked for by name and shape.
    pub(crate) fn assemble<E>(
        architecture: &Architecture,
        tensor: &mut impl FnMut(&str, &[i64]) -> Result<Tensor, E>,
    ) -> Result<Self, E> {
        let a = architecture;
        let (width, inner) = (a.hidden_size, a.intermediate_size);
        let (q_width, kv_width) = (a.n_heads * a.head_dim, a.n_kv_heads * a.head_dim);
        let embedding = tensor("model.embed_tokens.weight", &[a.vocab_size, width])?;
        let mut layers = vec![];
        for i in 0..a.n_layers {
            let mut get = |name: &str, shape: &[i64]| tensor(&format!("model.layers.{i}.{name}"), shape);
            let mut joined = |parts: &[(&str, i64)], suffix: &str, columns: Option<i64>| -> Result<Tensor, E> {
                let parts: Result<Vec<Tensor>, E> = parts
                    .iter()
                    .map(|&(name, rows)| {
                        let shape: Vec<i64> = std::iter::once(rows).chain(columns).collect();
                        get(&format!("{name}.{suffix}"), &shape)
                    })
                    .collect();
                Ok(Tensor::cat(&parts?, 0))
            };
            let qkv = [("self_attn.q_proj", q_width), ("self_attn.k_proj", kv_width), ("self_attn.v_proj", kv_width)];
            let gate_up = [("mlp.gate_proj", inner), ("mlp.up_proj", inner)];
            let out = [("self_attn.o_proj", width)];
            let down = [("mlp.down_proj", width)];
            let attention = AttentionWeights {
                qkv: joined(&qkv, "weight", Some(width))?,
                qkv_bias: a.bias.qkv.then(|| joined(&qkv, "bias", None)).transpose()?,
                out: joined(&out, "weight", Some(q_width))?,
                out_bias: a.bias.attention_out.then(|| joined(&out, "bias", None)).transpose()?,
                qk_norm: None,
            };
            let mlp = MlpWeights {
                gate_up: joined(&gate_up, "weight", Some(width))?,
                gate_up_bias: a.bias.mlp.then(|| joined(&gate_up, "bias", None)).transpose()?,
                down: joined(&down, "weight", Some(inner))?,
                down_bias: a.bias.mlp.then(|| joined(&down, "bias", None)).transpose()?,
            };
            let qk_norm = if a.qk_norm {
                let q_norm = get("self_attn.q_norm.weight", &[a.head_dim])?;
                Some((q_norm, get("self_attn.k_norm.weight", &[a.head_dim])?))
            } else {
                None
            };
            layers.push(LayerWeights {
                attention_norm: get("input_layernorm.weight", &[width])?,
                attention: AttentionWeights { qk_norm, ..attention },
                mlp_norm: get("post_attention_layernorm.weight", &[width])?,
                mlp,
            });
        }
        let norm = tensor("model.norm.weight", &[width])?;
        let head = if a.tied_head { None } else { Some(tensor("lm_head.weight", &[a.vocab_size, width])?) };
        Ok(Self { embedding, layers, norm, head, tied_head: None })
    }

    /// Returns the head, `[V, D]`, float32.
    pub fn head(&self) -> &Tensor {
        self.head.as_ref().or(self.tied_head.as_ref()).unwrap_or(&self.embedding)
    }

    /// Returns the kind of the matrices.
    pub fn kind(&self) -> Kind {
        self.embedding.kind()
    }

    /// Applies a function to every tensor; the head of a tied model follows its embedding.
    fn map(&self, mut f: impl FnMut(&Tensor) -> Tensor) -> Self {
        let optional = |tensor: &Option<Tensor>, f: &mut dyn FnMut(&Tensor) -> Tensor| tensor.as_ref().map(f);
        let layers = self.layers.iter().map(|layer| {
            let LayerWeights { attention, mlp, .. } = layer;
            LayerWeights {
                attention_norm: f(&layer.attention_norm),
                attention: AttentionWeights {
                    qkv: f(&attention.qkv),
                    qkv_bias: optional(&attention.qkv_bias, &mut f),
                    qk_norm: attention.qk_norm.as_ref().map(|(q, k)| (f(q), f(k))),
                    out: f(&attention.out),
                    out_bias: optional(&attention.out_bias, &mut f),
                },
                mlp_norm: f(&layer.mlp_norm),
                mlp: MlpWeights {
                    gate_up: f(&mlp.gate_up),
                    gate_up_bias: optional(&mlp.gate_up_bias, &mut f),
                    down: f(&mlp.down),
                    down_bias: optional(&mlp.down_bias, &mut f),
                },
            }
        });
        let layers = layers.collect();
        Self {
            embedding: f(&self.embedding),
            layers,
            norm: f(&self.norm),
            head: self.head.as_ref().map(&mut f),
            tied_head: self.tied_head.as_ref().map(&mut f),
        }
    }

    /// Returns handles without gradient on the same memory, for sampling.
    pub fn detached(&self) -> Self {
        self.map(Tensor::detach)
    }

    /// Returns a copy that shares no memory.
    pub fn deep_copy(&self) -> Self {
        self.map(|tensor| tensor.detach().copy())
    }

    /// Returns the weights for computing in `kind`, the head in float32; no copy is made of what has that kind already.
    ///
    /// With gradients on, those of the copies flow into the originals.
    pub fn cast(&self, kind: Kind) -> Self {
        let mut cast = self.map(|tensor| tensor.to_kind(kind));
        cast.head = self.head.as_ref().map(|head| head.to_kind(Kind::Float));
        if self.head.is_none() && kind != Kind::Float {
            cast.tied_head = Some(self.embedding.to_kind(Kind::Float));
        }
        cast
    }

    /// Overwrites the values by those of others of the same shapes, in whatever kind these are.
    pub fn copy_from(&self, others: &Self) {
        let _guard = tch::no_grad_guard();
        for (mut own, other) in self.tensors().into_iter().zip(others.tensors()) {
            own.copy_(&other);
        }
        if let Some(head) = &self.tied_head {
            head.shallow_clone().copy_(&others.embedding);
        }
    }

    /// Returns where in memory the tensors are.
    pub(crate) fn addresses(&self) -> Vec<usize> {
        let tied_head = self.tied_head.as_ref().map(Tensor::shallow_clone);
        self.tensors().into_iter().chain(tied_head).map(|tensor| tensor.data_ptr().addr()).collect()
    }

    /// Makes every parameter a leaf that collects gradients.
    #[must_use]
    pub fn trainable(self) -> Self {
        self.map(|tensor| tensor.detach().set_requires_grad(true))
    }

    /// Returns handles on all parameters, in a fixed order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = vec![];
        let mut push = |name: String, tensor: &Tensor, is_inner_matrix| {
            list.push(Parameter { name, tensor: tensor.shallow_clone(), is_inner_matrix });
        };
        push("embedding".to_owned(), &self.embedding, false);
        for (i, LayerWeights { attention_norm, attention, mlp_norm, mlp }) in self.layers.iter().enumerate() {
            let name = |part: &str| format!("layers.{i}.{part}");
            push(name("attention.qkv"), &attention.qkv, true);
            push(name("attention.out"), &attention.out, true);
            push(name("mlp.gate_up"), &mlp.gate_up, true);
            push(name("mlp.down"), &mlp.down, true);
            push(name("attention_norm"), attention_norm, false);
            push(name("mlp_norm"), mlp_norm, false);
            let (q_norm, k_norm) = attention.qk_norm.as_ref().map(|(q, k)| (q, k)).unzip();
            let optional = [
                ("attention.qkv_bias", attention.qkv_bias.as_ref()),
                ("attention.out_bias", attention.out_bias.as_ref()),
                ("attention.q_norm", q_norm),
                ("attention.k_norm", k_norm),
                ("mlp.gate_up_bias", mlp.gate_up_bias.as_ref()),
                ("mlp.down_bias", mlp.down_bias.as_ref()),
            ];
            for (part, tensor) in optional {
                if let Some(tensor) = tensor {
                    push(name(part), tensor, false);
                }
            }
        }
        push("norm".to_owned(), &self.norm, false);
        if let Some(head) = &self.head {
            push("head".to_owned(), head, false);
        }
        list
    }

    /// Returns the tensors of all parameters, in the same order.
    fn tensors(&self) -> Vec<Tensor> {
        self.parameters().into_iter().map(|parameter| parameter.tensor).collect()
    }

    /// Returns the number of parameters.
    pub fn n_parameters(&self) -> usize {
        self.parameters().iter().map(|parameter| parameter.tensor.numel()).sum()
    }

    /// Returns views of all tensors under Hugging Face's names.
    fn hf_tensors(&self, a: &Architecture) -> Vec<(String, Tensor)> {
        let (q_width, kv_width) = (a.n_heads * a.head_dim, a.n_kv_heads * a.head_dim);
        let mut list = vec![("model.embed_tokens.weight".to_owned(), self.embedding.detach())];
        for (i, LayerWeights { attention_norm, attention, mlp_norm, mlp }) in self.layers.iter().enumerate() {
            let mut push = |name: &str, tensor: &Tensor| {
                list.push((format!("model.layers.{i}.{name}"), tensor.detach()));
            };
            push("input_layernorm.weight", attention_norm);
            push("post_attention_layernorm.weight", mlp_norm);
            let qkv = [("self_attn.q_proj", q_width), ("self_attn.k_proj", kv_width), ("self_attn.v_proj", kv_width)];
            let gate_up = [("mlp.gate_proj", a.intermediate_size), ("mlp.up_proj", a.intermediate_size)];
            let out = [("self_attn.o_proj", a.hidden_size)];
            let down = [("mlp.down_proj", a.hidden_size)];
            let mut split = |parts: &[(&str, i64)], weight: &Tensor, bias: &Option<Tensor>| {
                let mut start = 0;
                for &(name, rows) in parts {
                    push(&format!("{name}.weight"), &weight.narrow(0, start, rows));
                    if let Some(bias) = bias {
                        push(&format!("{name}.bias"), &bias.narrow(0, start, rows));
                    }
                    start += rows;
                }
            };
            split(&qkv, &attention.qkv, &attention.qkv_bias);
            split(&out, &attention.out, &attention.out_bias);
            split(&gate_up, &mlp.gate_up, &mlp.gate_up_bias);
            split(&down, &mlp.down, &mlp.down_bias);
            if let Some((q_norm, k_norm)) = &attention.qk_norm {
                push("self_attn.q_norm.weight", q_norm);
                push("self_attn.k_norm.weight", k_norm);
            }
        }
        list.push(("model.norm.weight".to_owned(), self.norm.detach()));
        if let Some(head) = &self.head {
            list.push(("lm_head.weight".to_owned(), head.detach()));
        }
        list
    }
}
