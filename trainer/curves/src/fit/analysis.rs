//! All that is computed from samples before anything is said of them.

use super::heldout::{HeldOut, SHARES, held_out};
use super::local::{Halves, Slope, halves, restricted_hinge};
use super::noise::Noise;
use super::samples::Samples;
use super::search::{Found, Given, search_given};
use super::shapes;

/// The accuracy before the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Start {
    pub(crate) value: f64,
    /// Its standard error; 0 if its trials are not known.
    pub(crate) se: f64,
}

/// Fitted forms, local looks and noise.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) samples: Samples,
    pub(crate) start: Option<Start>,
    pub(crate) given: Given,
    pub(crate) found: Vec<Found>,
    pub(crate) noise: Noise,
    /// The slope of the straight line through all samples.
    pub(crate) slope: Option<Slope>,
    pub(crate) halves: Option<Halves>,
    /// The broken line that the rules look at; the form `hinge` may break anywhere.
    pub(crate) restricted: Option<Found>,
}

impl Analysis {
    pub(crate) fn of(samples: Samples, start: Option<Start>, given: Given) -> Self {
        let found: Vec<Found> = shapes::ALL.iter().filter_map(|&shape| search_given(shape, &samples, given)).collect();
        let noise = Noise::of(&samples, &found);
        let line = found.iter().find(|found| found.shape.name() == "log_linear");
        let slope = line.and_then(|line| {
            let se = line.errors()[1] * noise.factor(&samples, line)?;
            Some(Slope { value: line.params()[1], se, decades: samples.decades(), points: samples.n() })
        });
        let is_line = samples.n_distinct() > 1;
        let halves = if is_line { halves(&samples, &noise) } else { None };
        let restricted = if is_line { restricted_hinge(&samples) } else { None };
        Self { samples, start, given, found, noise, slope, halves, restricted }
    }

    /// One form without the looks that rules need.
    pub(crate) fn alone(samples: Samples, found: Found, noise: Noise) -> Self {
        let (given, found) = (Given::Nothing, vec![found]);
        Self { samples, start: None, given, found, noise, slope: None, halves: None, restricted: None }
    }

    pub(crate) fn form(&self, name: &str) -> Option<&Found> {
        self.found.iter().find(|found| found.shape.name() == name)
    }

    pub(crate) fn aicc(&self, found: &Found) -> Option<f64> {
        self.noise.aicc(self.samples.n(), found)
    }

    /// The least criterion among forms of some names.
    pub(crate) fn best(&self, names: &[&str]) -> Option<(&Found, f64)> {
        let scored = self.found.iter().filter(|found| names.contains(&found.shape.name()));
        scored.filter_map(|found| Some((found, self.aicc(found)?))).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The standard error of a parameter; none if the samples do not tell.
    pub(crate) fn error(&self, found: &Found, param: usize) -> Option<f64> {
        Some(found.errors()[param] * self.noise.factor(&self.samples, found)?)
    }

    /// The variance of the difference of a broken line's two slopes.
    pub(crate) fn variance_of_difference(&self, hinge: &Found) -> Option<f64> {
        Some(hinge.variance_of(&[0.0, 1.0, -1.0, 0.0]) * self.noise.factor(&self.samples, hinge)?.powi(2))
    }

    pub(crate) fn held_out(&self, found: &Found, share: f64) -> Option<HeldOut> {
        held_out(found.shape, &self.samples, share, &self.noise, self.given)
    }

    pub(crate) fn all_held_out(&self, found: &Found) -> Vec<HeldOut> {
        SHARES.iter().filter_map(|&share| self.held_out(found, share)).collect()
    }

    /// The asymptote of a form with its 95 % half width.
    pub(crate) fn asymptote(&self, found: &Found) -> Option<(f64, f64)> {
        let at = found.shape.asymptote()?;
        Some((found.params()[at], crate::estimate::Z95 * self.error(found, at)?))
    }

    /// Whether the asymptote of a form sits on a bound.
    pub(crate) fn is_asymptote_at_bound(&self, found: &Found) -> bool {
        found.shape.asymptote().is_some_and(|at| found.at_bound.contains(&at))
    }

    /// The share of a form's whole gain that lies within the samples.
    pub(crate) fn gain_seen(&self, found: &Found) -> Option<f64> {
        let asymptote = found.params()[found.shape.asymptote()?];
        let measured = self.start.map(|start| start.value);
        let level = measured.or_else(|| found.shape.start_level(&found.params()));
        let level = level.unwrap_or_else(|| found.predict(self.samples.low()));
        let gain = asymptote - level;
        (gain.abs() > 1e-12).then(|| (found.predict(self.samples.high()) - level) / gain)
    }
}
