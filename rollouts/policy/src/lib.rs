//! The policy: a decoder-only transformer over token ids.
//!
//! An [`Architecture`] says what a model of the Llama, Qwen2 or Qwen3 family looks like; [`Weights`] hold its
//! parameters, read from and written to Hugging Face folders; a [`Transformer`] joins the two and computes hidden states,
//! log-probabilities ([`logprob`]) and, with a [`Decoding`], one token after another.
//!
//! The sampler and the trainer run the same code: one forward pass (`forward` in `transformer.rs`) whose attention alone
//! differs, and one log-probability; on CPUs, the kernels of `rlvr-cpu` for both ([`kernels`]). What remains between them is
//! rounding, and the trainer records it.
//!
//! The crate sees ids and tensors; it knows neither text nor rewards nor optimisers.

pub mod architecture;
mod attention;
pub mod batch;
mod cache;
mod checkpointing;
pub mod cuda;
pub mod decoding;
mod error;
pub mod flops;
mod hf_config;
pub mod kernels;
mod linear;
mod llama;
pub mod logprob;
mod matmuls;
mod mlp;
mod native;
mod norm;
mod padding;
pub mod preset;
mod qwen;
mod rope;
pub mod safetensors_io;
mod sequences;
mod transformer;
pub mod weights;

pub use architecture::Architecture;
pub use batch::{Batch, PromptGroup};
pub use cache::PromptKv;
pub use checkpointing::Activations;
pub use decoding::{Decoding, DecodingMemory};
pub use error::PolicyError;
pub use kernels::Kernels;
pub use preset::Preset;
pub use transformer::{Numerics, Transformer};
pub use weights::Weights;
