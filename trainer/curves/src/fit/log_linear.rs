//! y = a + b x, with x the base-ten logarithm of compute: every tenfold of compute adds b.

use super::{Estimate, Method, Samples};

pub(super) const METHOD: Method =
    Method { name: "log_linear", needs: 2, fit, predict: |params, x| params[0].value + params[1].value * x };

/// Weighted least squares in closed form, about the weighted mean of x so that nothing cancels.
fn fit(samples: &Samples) -> Vec<Estimate> {
    let weight = samples.sum(|_| 1.0);
    let (mean_x, mean_y) = (samples.sum(|s| s.x) / weight, samples.sum(|s| s.y) / weight);
    let spread = samples.sum(|s| (s.x - mean_x).powi(2));
    let slope = samples.sum(|s| (s.x - mean_x) * (s.y - mean_y)) / spread;
    let slope_se = spread.sqrt().recip();
    let intercept_se = (1.0 / weight + mean_x * mean_x / spread).sqrt();
    vec![
        Estimate { name: "a", value: mean_y - slope * mean_x, se: intercept_se },
        Estimate { name: "b", value: slope, se: slope_se },
    ]
}
