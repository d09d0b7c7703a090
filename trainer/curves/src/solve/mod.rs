//! Small solvers: least squares in one or two linear unknowns, bounded Levenberg–Marquardt, L-BFGS, symmetric matrices.
//!
//! Forms have at most six parameters and there are thousands of fits in a simulation, so everything here is dense, small
//! and without dependencies.

pub(crate) mod lbfgs;
pub(crate) mod levenberg;
pub(crate) mod linear;
pub(crate) mod symmetric;
