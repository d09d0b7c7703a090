//! What a form is: a formula with its derivatives, its bounds, and starts for the search.

use std::fmt::Debug;

use super::samples::Samples;
use crate::solve::linear::Bound;

/// A formula of accuracy in the logarithm of compute.
///
/// Searches run with the origin of `x` moved into the middle of the samples, so that slopes and levels are told apart by
/// arithmetic of 16 digits; [`Shape::moved`] brings parameters back.
pub(crate) trait Shape: Debug + Sync {
    /// The name of the form in `fit.json`.
    fn name(&self) -> &'static str;

    /// The names of the parameters, in their order.
    fn params(&self) -> &'static [&'static str];

    /// The bounds of the parameters for samples between two logarithms of compute.
    fn bounds(&self, low: f64, high: f64) -> Vec<Bound>;

    /// Parameters to start from: the local minima of a grid over the nonlinear ones, the linear ones solved exactly.
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>>;

    /// The accuracy at `x`.
    fn value(&self, params: &[f64], x: f64) -> f64;

    /// The derivatives of the accuracy at `x` by the parameters.
    fn gradient(&self, params: &[f64], x: f64) -> Vec<f64>;

    /// Rewrites parameters found at the origin `by` as those of the origin 0. Linear in the parameters but for constants.
    fn moved(&self, params: &mut [f64], by: f64);

    /// Whether the starts are the optimum, so that nothing is left to search.
    fn is_exact(&self) -> bool {
        false
    }

    /// Which parameter is the accuracy that is approached with endless compute, if the form has one.
    fn asymptote(&self) -> Option<usize> {
        None
    }

    /// The accuracy without compute, if the form has one.
    fn start_level(&self, _params: &[f64]) -> Option<f64> {
        None
    }
}

/// Points of a grid, both ends included.
pub(crate) fn linear_grid(low: f64, high: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| low + (high - low) * i as f64 / (n - 1) as f64).collect()
}

/// Points of a grid in equal ratios, both ends included.
pub(crate) fn geometric_grid(low: f64, high: f64, n: usize) -> Vec<f64> {
    linear_grid(low.ln(), high.ln(), n).into_iter().map(f64::exp).collect()
}

/// Evaluates the cells of a grid and returns the parameters of its local minima, best first, at most `most`.
pub(crate) fn local_minima(
    (rows, columns): (usize, usize),
    cell: impl Fn(usize, usize) -> (Vec<f64>, f64),
    most: usize,
) -> Vec<Vec<f64>> {
    let cells: Vec<(Vec<f64>, f64)> = (0..rows * columns).map(|at| cell(at / columns, at % columns)).collect();
    let is_minimum = |at: usize| {
        let (row, column) = (at / columns, at % columns);
        let near = |i: usize, n: usize| i.saturating_sub(1)..=(i + 1).min(n - 1);
        near(row, rows).all(|r| near(column, columns).all(|c| cells[r * columns + c].1 >= cells[at].1))
    };
    let mut minima: Vec<usize> = (0..cells.len()).filter(|&at| is_minimum(at)).collect();
    minima.sort_by(|&a, &b| cells[a].1.total_cmp(&cells[b].1));
    minima.into_iter().take(most).map(|at| cells[at].0.clone()).collect()
}
