//! From tasks to rollouts: the only place where text and ids meet.
//!
//! A [`Tokenizer`] turns prompts into ids, through the model's chat template where there is one. The [`engine`] decodes
//! completions for many prompts at once, and [`collect`] has them judged. What comes out is plain data:
//! [`Rollout`]s in [`Group`]s.
//!
//! Token in, token out: the ids that the sampler drew are the ids that are trained on. Text is made from them for
//! verifiers and people, and never goes back.

pub mod budget;
pub mod collect;
mod decoder;
pub mod engine;
mod error;
pub mod model;
pub mod noise;
pub mod rollout;
pub mod sampler;
pub mod template;
pub mod tokenizer;

pub use budget::{ThinkBudget, Thinking};
pub use engine::{Engine, GenerationLimits};
pub use error::RolloutError;
pub use model::Model;
pub use noise::Noise;
pub use rollout::{Group, Rollout, Stop};
pub use sampler::Sampling;
pub use tokenizer::Tokenizer;
