//! Held-out extrapolation: fit the first part of the compute, predict the rest.

use serde::Serialize;

use super::noise::Noise;
use super::samples::Samples;
use super::search::{Given, search_given};
use super::shape::Shape;

/// How well a fit of the first samples predicts the rest.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeldOut {
    /// The fit saw compute up to this share of the largest.
    pub up_to: f64,
    /// Samples fitted.
    pub n_fit: usize,
    /// Samples predicted.
    pub n_test: usize,
    /// Mean of prediction minus measurement.
    pub bias: f64,
    /// Its standard error: noise of the measured mean and error of the parameters, by the delta method.
    pub bias_se: f64,
    /// Root of the mean square of prediction minus measurement.
    pub rmse: f64,
    /// The largest of it.
    pub largest: f64,
}

/// The shares of the largest compute that are fitted.
pub const SHARES: [f64; 3] = [0.25, 0.5, 0.75];

impl HeldOut {
    /// Whether the rest was predicted within two standard errors of the mean.
    pub fn is_unbiased(&self) -> bool {
        self.bias.abs() < 2.0 * self.bias_se
    }

    /// Whether it can decide anything: at least four samples fitted and two predicted.
    pub fn is_telling(&self) -> bool {
        self.n_fit >= 4 && self.n_test >= 2
    }
}

/// Fits the samples up to a share of the largest compute and predicts the rest; none if there are too few of either.
pub(crate) fn held_out(
    shape: &'static dyn Shape,
    samples: &Samples,
    share: f64,
    noise: &Noise,
    given: Given,
) -> Option<HeldOut> {
    let (early, late) = samples.split(samples.high() + share.log10());
    if early.n() <= shape.params().len() || late.all().is_empty() {
        return None;
    }
    let found = search_given(shape, &early, given)?;
    let xs: Vec<f64> = late.all().iter().map(|s| s.x).collect();
    let m = xs.len() as f64;
    let errors: Vec<f64> = late.all().iter().map(|s| found.predict(s.x) - s.y).collect();
    let of_mean = late.all().iter().map(|s| s.sigma * s.sigma).sum::<f64>() / (m * m);
    let variance = noise.variance * (of_mean + found.variance_of_mean(&xs));
    Some(HeldOut {
        up_to: share,
        n_fit: early.n(),
        n_test: late.n(),
        bias: errors.iter().sum::<f64>() / m,
        bias_se: variance.sqrt() * noise.widening(),
        rmse: (errors.iter().map(|e| e * e).sum::<f64>() / m).sqrt(),
        largest: errors.iter().map(|e| e.abs()).fold(0.0, f64::max),
    })
}
