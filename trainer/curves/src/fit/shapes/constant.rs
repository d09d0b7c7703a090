//! y = m.

use crate::fit::samples::Samples;
use crate::fit::shape::Shape;
use crate::solve::linear::Bound;

/// The constant form.
#[derive(Debug)]
pub(crate) struct Constant;

impl Shape for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }
    fn params(&self) -> &'static [&'static str] {
        &["m"]
    }
    fn bounds(&self, _low: f64, _high: f64) -> Vec<Bound> {
        vec![(f64::NEG_INFINITY, f64::INFINITY)]
    }
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        vec![vec![samples.sum(|s| s.y) / samples.sum(|_| 1.0)]]
    }
    fn value(&self, params: &[f64], _x: f64) -> f64 {
        params[0]
    }
    fn gradient(&self, _params: &[f64], _x: f64) -> Vec<f64> {
        vec![1.0]
    }
    fn moved(&self, _params: &mut [f64], _by: f64) {}
    fn is_exact(&self) -> bool {
        true
    }
}
