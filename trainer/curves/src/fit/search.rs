//! The search for the parameters of a form: starts from a grid, then bounded Levenberg–Marquardt.

use super::samples::Samples;
use super::shape::Shape;
use crate::solve::levenberg::{Residuals, minimise};
use crate::solve::linear::Bound;
use crate::solve::symmetric::Symmetric;

/// A form with the parameters of least misfit.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) shape: &'static dyn Shape,
    /// Where the origin of log compute was during the search.
    origin: f64,
    /// Parameters about that origin.
    centred: Vec<f64>,
    /// The inverse of Jᵀ W J about that origin: covariances for noise of the given σ.
    covariance: Symmetric,
    /// Σ (y − f)² / σ².
    pub(crate) misfit: f64,
    /// Parameters on a bound.
    pub(crate) at_bound: Vec<usize>,
    /// Whether the level without compute was given, so that it is no parameter.
    given: Given,
}

/// Whether the accuracy without compute is fitted, or given by a measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Given {
    /// It is a parameter of the forms that have one.
    #[default]
    Nothing,
    /// It is this, without error.
    Start(f64),
}

/// Fits a form; none if there are fewer samples than parameters, or too few different values of compute.
pub(crate) fn search(shape: &'static dyn Shape, samples: &Samples) -> Option<Found> {
    search_given(shape, samples, Given::Nothing)
}

/// Fits a form whose level without compute may be given.
pub(crate) fn search_given(shape: &'static dyn Shape, samples: &Samples, given: Given) -> Option<Found> {
    let k = shape.params().len();
    if samples.n() < k || samples.n_distinct() < k.min(4) {
        return None;
    }
    let origin = if k > 1 { samples.centre() } else { 0.0 };
    let centred = samples.mapped(origin, |_, s| s.y);
    let ends = shape.starts(&centred);
    polish(shape, &centred, origin, given, ends)
}

/// Fits a form again to other accuracies at the same compute, from known parameters.
pub(crate) fn refit(found: &Found, samples: &Samples) -> Option<Found> {
    let centred = samples.mapped(found.origin, |_, s| s.y);
    let starts = if found.shape.is_exact() { found.shape.starts(&centred) } else { vec![found.centred.clone()] };
    polish(found.shape, &centred, found.origin, found.given, starts)
}

/// Takes parameters as they are, with their errors.
pub(crate) fn take(shape: &'static dyn Shape, samples: &Samples, params: &[f64]) -> Found {
    let origin = samples.centre();
    let centred = samples.mapped(origin, |_, s| s.y);
    let mut about = params.to_vec();
    shape.moved(&mut about, -origin);
    described(shape, &centred, origin, Given::Nothing, about)
}

fn bounds_given(shape: &dyn Shape, centred: &Samples, given: Given) -> Vec<Bound> {
    let mut bounds = shape.bounds(centred.low(), centred.high());
    if let (Given::Start(level), Some(at)) = (given, start_param(shape)) {
        bounds[at] = (level, level);
    }
    bounds
}

/// Which parameter is the level without compute.
fn start_param(shape: &dyn Shape) -> Option<usize> {
    shape.params().iter().position(|&name| name == "R0")
}

fn polish(
    shape: &'static dyn Shape,
    centred: &Samples,
    origin: f64,
    given: Given,
    starts: Vec<Vec<f64>>,
) -> Option<Found> {
    let bounds = bounds_given(shape, centred, given);
    let problem = Problem { shape, samples: centred };
    let ends = starts.into_iter().map(|mut start| {
        if shape.is_exact() {
            let misfit = problem.misfit(&start);
            return (start, misfit);
        }
        start.iter_mut().zip(&bounds).for_each(|(p, b)| *p = p.max(b.0).min(b.1));
        minimise(&problem, &start, &bounds)
    });
    let (params, _) = ends.filter(|(_, misfit)| misfit.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(described(shape, centred, origin, given, params))
}

fn described(shape: &'static dyn Shape, centred: &Samples, origin: f64, given: Given, params: Vec<f64>) -> Found {
    let bounds = bounds_given(shape, centred, given);
    let problem = Problem { shape, samples: centred };
    let mut normal = Symmetric::zeros(params.len());
    problem.linearise(&params, &mut normal, &mut vec![0.0; params.len()]);
    let mut at_bound: Vec<usize> = (0..params.len()).filter(|&i| is_on_bound(params[i], bounds[i])).collect();
    if let (Given::Start(_), Some(fixed)) = (given, start_param(shape)) {
        (0..params.len()).for_each(|i| normal.set(i, fixed, 0.0)); // what is given has no variance
        at_bound.retain(|&i| i != fixed);
    }
    let misfit = centred.misfit(|x| shape.value(&params, x));
    Found { shape, origin, centred: params, covariance: normal.inverse(), misfit, at_bound, given }
}

fn is_on_bound(value: f64, (low, high): Bound) -> bool {
    let near = |edge: f64| edge.is_finite() && (value - edge).abs() <= 1e-6 * (1.0 + edge.abs());
    near(low) || near(high)
}

/// Residuals of a form over samples, each divided by its σ.
struct Problem<'a> {
    shape: &'a dyn Shape,
    samples: &'a Samples,
}

impl Residuals for Problem<'_> {
    fn linearise(&self, params: &[f64], normal: &mut Symmetric, gradient: &mut [f64]) -> f64 {
        let mut misfit = 0.0;
        for sample in self.samples.all() {
            let (weight, residual) = (sample.weight(), self.shape.value(params, sample.x) - sample.y);
            let slope = self.shape.gradient(params, sample.x);
            normal.add_outer(&slope, weight);
            gradient.iter_mut().zip(&slope).for_each(|(g, s)| *g += weight * residual * s);
            misfit += weight * residual * residual;
        }
        misfit
    }

    fn misfit(&self, params: &[f64]) -> f64 {
        self.samples.sum(|s| (s.y - self.shape.value(params, s.x)).powi(2))
    }
}

impl Found {
    /// The number of fitted parameters.
    pub(crate) fn k(&self) -> usize {
        match self.given {
            Given::Start(_) if start_param(self.shape).is_some() => self.n_params() - 1,
            _ => self.n_params(),
        }
    }

    fn n_params(&self) -> usize {
        self.centred.len()
    }

    /// The accuracy at a logarithm of compute.
    pub(crate) fn predict(&self, x: f64) -> f64 {
        self.shape.value(&self.centred, x - self.origin)
    }

    /// The parameters about the origin C = 1.
    pub(crate) fn params(&self) -> Vec<f64> {
        let mut params = self.centred.clone();
        self.shape.moved(&mut params, self.origin);
        params
    }

    /// The standard errors of [`Found::params`] for noise of the given σ.
    pub(crate) fn errors(&self) -> Vec<f64> {
        let covariance = self.covariance.transformed(&self.columns());
        (0..self.n_params()).map(|i| covariance.get(i, i).max(0.0).sqrt()).collect()
    }

    /// The derivatives of the parameters about C = 1 by those about the origin of the search.
    fn columns(&self) -> Vec<Vec<f64>> {
        let moved = |at: Vec<f64>| {
            let mut params = at;
            self.shape.moved(&mut params, self.origin);
            params
        };
        let zero = moved(vec![0.0; self.n_params()]);
        (0..self.n_params())
            .map(|i| {
                let mut unit = vec![0.0; self.n_params()];
                unit[i] = 1.0;
                moved(unit).iter().zip(&zero).map(|(a, b)| a - b).collect()
            })
            .collect()
    }

    /// The condition number of Jᵀ W J in the parameters about C = 1.
    pub(crate) fn condition(&self) -> f64 {
        self.covariance.transformed(&self.columns()).condition()
    }

    /// The variance of a combination of the parameters about the origin of the search, for noise of the given σ.
    pub(crate) fn variance_of(&self, weights: &[f64]) -> f64 {
        self.covariance.quadratic(weights).max(0.0)
    }

    /// The variance of the mean of predictions, for noise of the given σ (delta method).
    pub(crate) fn variance_of_mean(&self, xs: &[f64]) -> f64 {
        let mut mean = vec![0.0; self.n_params()];
        for &x in xs {
            let slope = self.shape.gradient(&self.centred, x - self.origin);
            mean.iter_mut().zip(&slope).for_each(|(m, s)| *m += s / xs.len() as f64);
        }
        self.variance_of(&mean)
    }
}
