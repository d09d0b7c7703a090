//! Local looks at a curve: the slopes of its two halves, and a break where the samples allow one.

use serde::Serialize;

use super::noise::Noise;
use super::samples::Samples;
use super::search::{Found, search, take};
use super::shape::linear_grid;
use super::shapes::hinge::{Hinge, best_of_breaks};
use super::shapes::log_linear::LogLinear;
use crate::estimate::Z95;

/// A slope with its standard error, in accuracy per tenfold of compute.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Slope {
    /// The slope.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
    /// Decades of compute it was measured over.
    pub decades: f64,
    /// Samples behind it.
    pub points: usize,
}

impl Slope {
    /// The slope over its standard error; 0 where neither is told from 0.
    pub fn z(&self) -> f64 {
        if self.se > 0.0 { self.value / self.se } else { 0.0 }
    }

    /// The ends of the 95 % interval.
    pub fn interval(&self) -> (f64, f64) {
        (self.value - Z95 * self.se, self.value + Z95 * self.se)
    }
}

/// Where the early and the late half of the samples meet, with their slopes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Halves {
    /// The slope of the first half.
    pub early: Slope,
    /// The slope of the second half.
    pub late: Slope,
}

/// Fewest samples on a side.
const FEWEST: usize = 5;
/// Fewest decades on a side of a break.
const NARROWEST: f64 = 0.4;

/// The slope of a straight line through samples.
pub(crate) fn slope(samples: &Samples, noise: &Noise) -> Option<Slope> {
    let found = search(&LogLinear, samples)?;
    let se = found.errors()[1] * noise.variance.sqrt() * noise.widening();
    Some(Slope { value: found.params()[1], se, decades: samples.decades(), points: samples.n() })
}

/// Splits at the middle of the log range, or at the median sample if a half would have fewer than five.
pub(crate) fn halves(samples: &Samples, noise: &Noise) -> Option<Halves> {
    let (early, late) = samples.split(0.5 * (samples.low() + samples.high()));
    let (early, late) = if early.n() < FEWEST || late.n() < FEWEST {
        samples.split(samples.all()[(samples.all().len().max(1) - 1) / 2].x)
    } else {
        (early, late)
    };
    Some(Halves { early: slope(&early, noise)?, late: slope(&late, noise)? })
}

/// The best broken line that breaks at one of 25 quantiles between 20 and 80 %, with enough samples and decades on
/// either side. Free to break anywhere, a broken line beats true straight ones.
pub(crate) fn restricted_hinge(samples: &Samples) -> Option<Found> {
    let centre = samples.centre();
    let centred = samples.mapped(centre, |_, s| s.y);
    let allowed = |at: f64| {
        let before = centred.all().partition_point(|s| s.x < at);
        let counts = (before, centred.all().len() - before);
        counts.0 >= FEWEST && counts.1 >= FEWEST && at - centred.low() >= NARROWEST && centred.high() - at >= NARROWEST
    };
    let breaks: Vec<f64> =
        linear_grid(0.2, 0.8, 25).into_iter().map(|q| quantile(&centred, q)).filter(|&at| allowed(at)).collect();
    let (mut params, _) = best_of_breaks(&centred, &breaks)?;
    params[3] += centre;
    Some(take(&Hinge, samples, &params))
}

/// The quantile of log compute over samples, interpolated.
pub(crate) fn quantile(samples: &Samples, q: f64) -> f64 {
    let all = samples.all();
    let at = q * (all.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(all.len() - 1);
    all[below].x + (at - below as f64) * (all[above].x - all[below].x)
}
