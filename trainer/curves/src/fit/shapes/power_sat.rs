//! y = A − D · C^−B: what is missing shrinks by a constant factor with every tenfold of compute. D is given as its
//! base-ten logarithm, since with FLOPs as compute it is astronomically large.

use std::f64::consts::LN_10;

use super::sigmoid::ASYMPTOTE;
use crate::fit::samples::Samples;
use crate::fit::shape::{Shape, geometric_grid, local_minima};
use crate::solve::linear::{Bound, TwoColumns};

/// The saturating power law.
#[derive(Debug)]
pub(crate) struct PowerSat;

impl Shape for PowerSat {
    fn name(&self) -> &'static str {
        "power_sat"
    }
    fn params(&self) -> &'static [&'static str] {
        &["A", "log10_D", "B"]
    }
    fn bounds(&self, _low: f64, _high: f64) -> Vec<Bound> {
        vec![ASYMPTOTE, (f64::NEG_INFINITY, f64::INFINITY), (0.01, 20.0)]
    }
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        let exponents = geometric_grid(0.02, 10.0, 60);
        let low = samples.low();
        let cell = |i: usize, _: usize| {
            let b = exponents[i];
            let mut sums = TwoColumns::default();
            for sample in samples.all() {
                sums.add(1.0, -(-LN_10 * b * (sample.x - low)).exp(), sample.y, sample.weight());
            }
            // D must be positive, since only its logarithm is a parameter: the form cannot fall.
            let (asymptote, missing, misfit) = sums.solve(ASYMPTOTE, (1e-9, f64::INFINITY));
            (vec![asymptote, missing.log10() + b * low, b], misfit)
        };
        local_minima((exponents.len(), 1), cell, 4)
    }
    fn value(&self, params: &[f64], x: f64) -> f64 {
        params[0] - missing(params, x)
    }
    fn gradient(&self, params: &[f64], x: f64) -> Vec<f64> {
        let missing = missing(params, x) * LN_10;
        vec![1.0, -missing, missing * x]
    }
    fn moved(&self, params: &mut [f64], by: f64) {
        params[1] += params[2] * by;
    }
    fn asymptote(&self) -> Option<usize> {
        Some(0)
    }
}

/// D · C^−B.
fn missing(params: &[f64], x: f64) -> f64 {
    (LN_10 * (params[1] - params[2] * x)).exp()
}
