//! What a policy is asked, and whether it answered.
//!
//! A [`Task`] holds a prompt and a reference. A [`Verifier`] looks at an [`Attempt`] and returns a [`Verdict`]; a
//! [`Reward`] is a weighted sum of what the verdict found. [`generators`] make tasks, [`dataset`] reads them from
//! files, a [`Registry`] knows verifiers by name, and a [`Panel`] judges many attempts at once.
//!
//! Everything here is text and plain numbers. The crate knows neither tokens nor tensors, so that a verifier of your
//! own depends on this crate alone and builds in seconds:
//!
//! ```
//! use rlvr_verifiers::{Attempt, Task, TaskError, Verdict, Verifier};
//!
//! /// Pays for answers that rhyme with the reference, in the poorest sense of the word.
//! struct Rhyme;
//!
//! impl Verifier for Rhyme {
//!     fn name(&self) -> &str {
//!         "rhyme"
//!     }
//!     fn reference(&self, task: &Task) -> Option<String> {
//!         task.reference.clone()
//!     }
//!     fn verify(&self, attempt: Attempt<'_>) -> Verdict {
//!         let Some(reference) = &attempt.task.reference else {
//!             return Verdict::unjudged("the task has no reference");
//!         };
//!         let tail: String = reference.chars().rev().take(2).collect();
//!         let answer: String = attempt.completion.trim_end().chars().rev().take(2).collect();
//!         if !tail.is_empty() && tail == answer { Verdict::correct() } else { Verdict::wrong("no_rhyme") }
//!     }
//! }
//!
//! let task = Task::new("1", "What does the cat sit on?", "rhyme").with_reference("mat");
//! let attempt = Attempt { task: &task, completion: "the hat", finished: true };
//! assert_eq!(Rhyme.verify(attempt).score(), Some(1.0));
//! rlvr_verifiers::conformance::check(&Rhyme, &[task]).unwrap();
//! ```

pub mod answers;
pub mod cases;
pub mod choice;
pub mod code;
pub mod conformance;
pub mod constraints;
pub mod dataset;
pub mod exact;
pub mod extract;
pub mod f1;
pub mod foreign;
pub mod generators;
pub mod json_schema;
mod json_text;
pub mod math;
mod memo;
pub mod panel;
pub mod pattern;
pub mod random;
pub mod registry;
pub mod reward;
pub mod task;
pub mod text;
pub mod tool_call;
pub mod verifier;
pub mod watch;

pub use panel::{Judged, Panel};
pub use registry::Registry;
pub use reward::{Reward, RewardConfig};
pub use task::{Message, Prompt, Task, TaskError};
pub use verifier::{Attempt, Cost, Detail, Interventions, Verdict, Verifier};
pub use watch::Watch;
