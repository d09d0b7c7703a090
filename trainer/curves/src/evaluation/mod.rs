//! What an evaluation found, problem by problem: estimates with intervals, accuracy against inference compute, and the
//! paired comparison of two checkpoints.
//!
//! A [`Problem`] is a line of `NAME.problems.jsonl`. Everything here is computed from such lines alone, so that estimates
//! can be made again, and checkpoints compared, wherever the files are.

mod compare;
mod ladder;
mod problem;
mod summary;

pub use compare::{CompareError, Comparison, compare};
pub use ladder::{Rung, ladder, to_csv};
pub use problem::{Problem, ReadError, read};
pub use summary::{Picker, Plan, summary};
