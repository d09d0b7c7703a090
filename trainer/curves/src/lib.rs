//! From a run's log to a curve of accuracy against compute.
//!
//! [`record`]s are what a run writes, one JSON object a line; [`store`] appends and reads them; [`points`] picks the
//! evaluations out of them, or out of a table, [`frontier`] the best of several settings; [`fit`] fits curves and says what may be said of them; [`figure`] draws.
//! [`estimate`] holds the estimators of accuracy and their intervals, [`outcomes`] what each problem did, [`evaluation`] what an evaluation found, [`inference`] the
//! curves of many samples a problem, [`losses`] and [`sizes`] the laws across sizes of models. [`calibration`] measures by
//! simulation how often verdicts are right.
//!
//! The crate knows records alone, neither models nor tensors, so that curves are fitted anywhere, over copied run
//! folders or over other people's numbers.

pub mod at_k;
pub mod calibration;
mod counter;
pub mod estimate;
pub mod evals;
pub mod evaluation;
pub mod figure;
pub mod fit;
pub mod frontier;
pub mod inference;
pub mod losses;
pub mod outcomes;
pub mod points;
pub mod random;
pub mod record;
pub mod report;
pub mod runs;
pub mod sizes;
mod solve;
pub mod store;
mod table;
mod text;

pub use counter::Counter;
pub use points::{Point, Series};
pub use record::Record;
