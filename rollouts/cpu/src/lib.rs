//! Decoder-only transformers on CPUs: sampling many sequences at a time, and the gradients to train with.
//!
//! Sampling multiplies few rows with large matrices, again and again, and does little in between. General libraries are
//! weak at just this: their products want thousands of rows, and each small operation between two products is a pass
//! over memory and a call. Here the tokens of a step lie beside each other in the lanes of vector registers
//! ([`Rows`]), so that one pass over a matrix, in the layout in which the trainer keeps it, serves all of them.
//!
//! Every element is summed in the same order whatever the number of rows, threads, or lanes of the machine. A sequence
//! therefore comes out the same, bit for bit, in any company.
//!
//! # Map
//!
//! | module        | what                                                         |
//! |---------------|--------------------------------------------------------------|
//! | [`model`]     | the forward pass over the layers; start here                 |
//! | [`training`]  | forward passes that remember, and backward passes            |
//! | [`sequence`]  | keys and values, with prompts shared between sequences       |
//! | `linear`      | matrix products                                              |
//! | `reduced`     | the same with matrices of fewer bits: their kinds            |
//! | `half`, `int8`| bfloat16, and integers of eight bits after a rotation        |
//! | `hadamard`    | that rotation                                                |
//! | `words`       | products of the words that such numbers make                 |
//! | `attention`   | rotation, and attention of new tokens to their sequence      |
//! | `norm`, `gate`| RMSNorm and SwiGLU                                           |
//! | [`draw`]      | drawing from logits: log-probability, entropy and a token    |
//! | [`team`]      | threads that wait for work awake                             |

mod array;
mod attention;
pub mod draw;
mod exp;
mod gate;
mod hadamard;
mod half;
mod int8;
mod linear;
pub mod model;
mod norm;
mod reduced;
mod rows;
pub mod sequence;
pub mod team;
pub mod training;
mod words;

pub use half::Bfloat16;
pub use int8::Int8;
pub use linear::Linear;
pub use model::{AttentionWeights, LayerWeights, Model, NewToken, Sizes, Workspace};
pub use reduced::{Reduced, ReducedMatrix, ReducedWeights};
pub use rows::Rows;
pub use sequence::{Prompt, Sequence};
pub use team::Team;
