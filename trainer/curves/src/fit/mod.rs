//! Fitting curves of accuracy against the logarithm of compute, and what may be said of them.
//!
//! [`fit`] takes the points of one evaluation set over one or more runs and returns a [`Fit`]: every form with errors,
//! information criterion and held-out extrapolation, and a [`Verdict`] with the numbers behind it. A form is a file in
//! `shapes/`; the rules of the verdict, in their order, are in `verdict.rs`.

mod analysis;
mod band;
mod bootstrap;
mod evidence;
mod heldout;
mod horizon;
mod local;
mod noise;
mod result;
mod samples;
mod scalerl;
mod search;
mod settle;
mod shape;
mod shapes;
mod verdict;

pub use bootstrap::{Bootstrap, Resample, Spread, bootstrap};
pub use evidence::{Evidence, SeedFit, SeedMean};
pub use heldout::{HeldOut, SHARES};
pub use horizon::Horizon;
pub use local::{Halves, Slope};
pub(crate) use result::judged;
pub use result::{Asymptote, Fit, Form, Kind, Options, Param, Uncut, fit, fit_form, fit_with};
pub use samples::{Sample, Samples, binomial_sigma};
pub use scalerl::{ScaleRl, scalerl};
pub use search::Given;
pub use verdict::{Label, Verdict};
