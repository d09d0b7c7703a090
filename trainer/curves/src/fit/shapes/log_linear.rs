//! y = a + b x, with x the base-ten logarithm of compute: every tenfold of compute adds b.

use crate::fit::samples::Samples;
use crate::fit::shape::Shape;
use crate::solve::linear::Bound;

/// The straight line.
#[derive(Debug)]
pub(crate) struct LogLinear;

impl Shape for LogLinear {
    fn name(&self) -> &'static str {
        "log_linear"
    }
    fn params(&self) -> &'static [&'static str] {
        &["a", "b"]
    }
    fn bounds(&self, _low: f64, _high: f64) -> Vec<Bound> {
        vec![(f64::NEG_INFINITY, f64::INFINITY); 2]
    }
    /// Weighted least squares in closed form, about the weighted mean of x so that nothing cancels.
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        let weight = samples.sum(|_| 1.0);
        let (mean_x, mean_y) = (samples.sum(|s| s.x) / weight, samples.sum(|s| s.y) / weight);
        let spread = samples.sum(|s| (s.x - mean_x).powi(2));
        let slope = samples.sum(|s| (s.x - mean_x) * (s.y - mean_y)) / spread;
        vec![vec![mean_y - slope * mean_x, slope]]
    }
    fn value(&self, params: &[f64], x: f64) -> f64 {
        params[0] + params[1] * x
    }
    fn gradient(&self, _params: &[f64], x: f64) -> Vec<f64> {
        vec![1.0, x]
    }
    fn moved(&self, params: &mut [f64], by: f64) {
        params[0] -= params[1] * by;
    }
    fn is_exact(&self) -> bool {
        true
    }
}
