//! y = R0 + (A − R0) / (1 + (C_mid / C)^B): accuracy starts at R0, is half-way at C_mid, ends at A.
//!
//! The law of ScaleRL (Khatri et al. 2025, arXiv:2510.13786, eq. 1), with C_mid as its base-ten logarithm.

use crate::fit::samples::Samples;
use crate::fit::shape::{Shape, geometric_grid, linear_grid, local_minima};
use crate::solve::linear::{Bound, TwoColumns};

/// The sigmoid in log compute.
#[derive(Debug)]
pub(crate) struct Sigmoid;

pub(super) const START: Bound = (-0.5, 1.0);
pub(super) const ASYMPTOTE: Bound = (0.0, 1.0);

impl Shape for Sigmoid {
    fn name(&self) -> &'static str {
        "sigmoid"
    }
    fn params(&self) -> &'static [&'static str] {
        &["R0", "A", "B", "log10_Cmid"]
    }
    fn bounds(&self, low: f64, high: f64) -> Vec<Bound> {
        vec![START, ASYMPTOTE, (0.05, 20.0), (low - 2.0, high + 3.0)]
    }
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        let steepness = geometric_grid(0.1, 15.0, 25);
        let middle = linear_grid(samples.low() - 1.0, samples.high() + 1.5, 31);
        let cell = |i: usize, j: usize| {
            let (b, mid) = (steepness[i], middle[j]);
            let mut sums = TwoColumns::default();
            for sample in samples.all() {
                let risen = share(b, mid, sample.x);
                sums.add(1.0 - risen, risen, sample.y, sample.weight());
            }
            let (start, asymptote, misfit) = sums.solve(START, ASYMPTOTE);
            (vec![start, asymptote, b, mid], misfit)
        };
        local_minima((steepness.len(), middle.len()), cell, 6)
    }
    fn value(&self, params: &[f64], x: f64) -> f64 {
        params[0] + (params[1] - params[0]) * share(params[2], params[3], x)
    }
    fn gradient(&self, params: &[f64], x: f64) -> Vec<f64> {
        let (start, asymptote, b, mid) = (params[0], params[1], params[2], params[3]);
        let risen = share(b, mid, x);
        let steep = (asymptote - start) * risen * (1.0 - risen) * std::f64::consts::LN_10;
        vec![1.0 - risen, risen, steep * (x - mid), -steep * b]
    }
    fn moved(&self, params: &mut [f64], by: f64) {
        params[3] += by;
    }
    fn asymptote(&self) -> Option<usize> {
        Some(1)
    }
    fn start_level(&self, params: &[f64]) -> Option<f64> {
        Some(params[0])
    }
}

/// The share of the gain that has been made: 1 / (1 + 10^{B (mid − x)}).
pub(crate) fn share(b: f64, mid: f64, x: f64) -> f64 {
    1.0 / (1.0 + (std::f64::consts::LN_10 * b * (mid - x)).exp())
}
