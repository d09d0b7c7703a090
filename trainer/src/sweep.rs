//! Sweeps: many runs from one file, and what they show together.
//!
//! A sweep is planned as data ([`Plan`]), every run of it checked before the first one starts. Runs are processes of their
//! own ([`execute`]), one after another or several at a time, so that one that fails takes no other with it. A sweep that
//! was interrupted goes on: finished runs are not repeated, and one that was under way goes on from its newest checkpoint.

pub mod execute;
pub mod inference;
pub mod plan;
pub mod status;

pub use plan::{Plan, PlannedRun, load};
