//! The trainer: reinforcement learning with verifiable rewards.
//!
//! One step, in order: sample groups of rollouts, judge them, drop what teaches nothing, turn rewards into
//! [`advantage`]s, sum weighted token [`loss`]es, update the weights, write the record. [`run`] names these steps once;
//! each is a module.
//!
//! The trainer sees ids, masks, log-probabilities and rewards. How text is made and judged is the business of
//! `rlvr-rollouts` and `rlvr-verifiers`.

pub mod advantage;
pub mod aggregate;
pub mod bench;
pub mod checkpoint;
pub mod config;
pub mod console;
pub mod curves;
pub mod device;
pub mod energy;
pub mod evaluate;
pub mod filter;
pub mod learner;
pub mod loss;
pub mod machine;
pub mod micro_batch;
pub mod optimizer;
pub mod order;
pub mod progress;
pub mod report;
pub mod run;
pub mod run_folder;
pub mod setup;
pub mod sft;
pub mod step;
pub mod stop;
pub mod sweep;
pub mod trace;
mod tracking;
