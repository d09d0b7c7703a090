//! y = 1 / (1 + e^−(a + b x)): a straight line in the log odds, which slows down only because accuracy ends at 1.

use crate::fit::samples::Samples;
use crate::fit::shape::Shape;
use crate::solve::linear::Bound;

/// The line in log odds.
#[derive(Debug)]
pub(crate) struct LogitLinear;

impl Shape for LogitLinear {
    fn name(&self) -> &'static str {
        "logit_linear"
    }
    fn params(&self) -> &'static [&'static str] {
        &["a", "b"]
    }
    fn bounds(&self, _low: f64, _high: f64) -> Vec<Bound> {
        vec![(f64::NEG_INFINITY, f64::INFINITY); 2]
    }
    /// The regression of clipped log odds, weighted by what noise is left of them, and the level alone.
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        let odds = |y: f64| {
            let y = y.clamp(0.005, 0.995);
            ((y / (1.0 - y)).ln(), (y * (1.0 - y)).powi(2))
        };
        let sum = |f: &dyn Fn(f64, f64) -> f64| samples.sum(|s| odds(s.y).1 * f(s.x, odds(s.y).0));
        let weight = sum(&|_, _| 1.0);
        let (mean_x, mean_y) = (sum(&|x, _| x) / weight, sum(&|_, y| y) / weight);
        let spread = sum(&|x, _| (x - mean_x).powi(2));
        let slope = if spread > 0.0 { sum(&|x, y| (x - mean_x) * (y - mean_y)) / spread } else { 0.0 };
        vec![vec![mean_y - slope * mean_x, slope], vec![mean_y, 0.0]]
    }
    fn value(&self, params: &[f64], x: f64) -> f64 {
        logistic(params[0] + params[1] * x)
    }
    fn gradient(&self, params: &[f64], x: f64) -> Vec<f64> {
        let y = self.value(params, x);
        vec![y * (1.0 - y), y * (1.0 - y) * x]
    }
    fn moved(&self, params: &mut [f64], by: f64) {
        params[0] -= params[1] * by;
    }
}

fn logistic(t: f64) -> f64 {
    1.0 / (1.0 + (-t).exp())
}
