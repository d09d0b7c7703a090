//! y = A − (A − R0) · e^(−C / τ): what is missing decays with compute itself, not with its logarithm. τ is given as its
//! base-ten logarithm.

use std::f64::consts::LN_10;

use super::sigmoid::{ASYMPTOTE, START};
use crate::fit::samples::Samples;
use crate::fit::shape::{Shape, linear_grid, local_minima};
use crate::solve::linear::{Bound, TwoColumns};

/// The exponential saturation.
#[derive(Debug)]
pub(crate) struct ExpSat;

impl Shape for ExpSat {
    fn name(&self) -> &'static str {
        "exp_sat"
    }
    fn params(&self) -> &'static [&'static str] {
        &["R0", "A", "log10_tau"]
    }
    fn bounds(&self, low: f64, high: f64) -> Vec<Bound> {
        vec![START, ASYMPTOTE, (low - 2.0, high + 3.0)]
    }
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        let taus = linear_grid(samples.low() - 1.0, samples.high() + 1.5, 60);
        let cell = |i: usize, _: usize| {
            let mut sums = TwoColumns::default();
            for sample in samples.all() {
                let left = remaining(taus[i], sample.x);
                sums.add(left, 1.0 - left, sample.y, sample.weight());
            }
            let (start, asymptote, misfit) = sums.solve(START, ASYMPTOTE);
            (vec![start, asymptote, taus[i]], misfit)
        };
        local_minima((taus.len(), 1), cell, 4)
    }
    fn value(&self, params: &[f64], x: f64) -> f64 {
        params[1] - (params[1] - params[0]) * remaining(params[2], x)
    }
    fn gradient(&self, params: &[f64], x: f64) -> Vec<f64> {
        let left = remaining(params[2], x);
        let ratio = (LN_10 * (x - params[2])).exp();
        // As C / τ grows, e^(−C/τ) falls faster than C / τ rises; their product must not become 0 · ∞.
        let decay = if left > 0.0 { left * ratio } else { 0.0 };
        vec![left, 1.0 - left, -(params[1] - params[0]) * decay * LN_10]
    }
    fn moved(&self, params: &mut [f64], by: f64) {
        params[2] += by;
    }
    fn asymptote(&self) -> Option<usize> {
        Some(1)
    }
    fn start_level(&self, params: &[f64]) -> Option<f64> {
        Some(params[0])
    }
}

/// e^(−C / τ).
fn remaining(log_tau: f64, x: f64) -> f64 {
    (-(LN_10 * (x - log_tau)).exp()).exp()
}
