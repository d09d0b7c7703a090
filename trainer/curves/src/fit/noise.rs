//! How noisy the points are: more or less than the binomial, and correlated or not.

use super::samples::Samples;
use super::search::Found;

/// What the residuals say of the noise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    /// By what the binomial variance is multiplied: max(1, smallest χ² per degree of freedom among the forms). 1 if the
    /// binomial variance is not known.
    pub(crate) phi2: f64,
    /// Correlation of neighbouring residuals of the best form, within series.
    pub(crate) autocorrelation: Option<f64>,
    /// The variance of a sample of σ = 1: φ² with known noise, without it what the best form leaves over per degree of
    /// freedom.
    pub(crate) variance: f64,
    is_weighted: bool,
}

/// Below this, correlation does not widen errors: with ten or twenty points it cannot be told from none.
const CORRELATED: f64 = 0.3;

/// Deviations of accuracies below this are rounding: forms that fit better than this fit exactly.
const EXACT: f64 = 1e-10;

impl Noise {
    /// Reads the noise off the forms fitted to samples.
    pub(crate) fn of(samples: &Samples, found: &[Found]) -> Self {
        let per_dof = |f: &Found| (samples.n() > f.k()).then(|| f.misfit / (samples.n() - f.k()) as f64);
        let least = found.iter().filter_map(per_dof).fold(f64::INFINITY, f64::min);
        let is_weighted = samples.is_weighted();
        let phi2 = if is_weighted && least.is_finite() { least.max(1.0) } else { 1.0 };
        let left_over = if least.is_finite() { least.max(EXACT * EXACT) } else { 1.0 };
        let variance = if is_weighted { phi2 } else { left_over };
        let plain = Self { phi2, autocorrelation: None, variance, is_weighted };
        let score = |f: &Found| plain.aicc(samples.n(), f).unwrap_or(f64::INFINITY);
        let best = found.iter().min_by(|a, b| score(a).total_cmp(&score(b)));
        Self { autocorrelation: best.and_then(|best| autocorrelation(samples, best)), ..plain }
    }

    /// By what standard errors for noise of the given σ are multiplied; none if the samples do not tell.
    pub(crate) fn factor(&self, samples: &Samples, found: &Found) -> Option<f64> {
        let variance = if self.is_weighted {
            Some(self.phi2)
        } else {
            let dof = samples.n().checked_sub(found.k()).filter(|&dof| dof > 0)?;
            Some(found.misfit.max(samples.n() as f64 * EXACT * EXACT) / dof as f64)
        };
        variance.map(|variance| variance.sqrt() * self.widening())
    }

    /// By what errors grow since neighbouring points are not independent: √((1 + ρ) / (1 − ρ)) for ρ > 0.3.
    pub(crate) fn widening(&self) -> f64 {
        match self.autocorrelation {
            Some(rho) if rho > CORRELATED => ((1.0 + rho.min(0.95)) / (1.0 - rho.min(0.95))).sqrt(),
            _ => 1.0,
        }
    }

    /// Akaike's criterion corrected for few samples: χ² / φ² + 2k + 2k(k+1)/(n−k−1) with known noise, and with one more
    /// parameter n ln(RSS / n) without (Hurvich and Tsai 1989).
    pub(crate) fn aicc(&self, n: usize, found: &Found) -> Option<f64> {
        let floor = n as f64 * EXACT * EXACT;
        let (fit, k) = if self.is_weighted {
            (found.misfit / self.phi2, found.k())
        } else {
            (n as f64 * (found.misfit.max(floor) / n as f64).ln(), found.k() + 1)
        };
        (n > k + 1).then(|| fit + 2.0 * k as f64 + (2 * k * (k + 1)) as f64 / (n - k - 1) as f64)
    }
}

/// The correlation of neighbouring residuals, in order of compute within each series and about each series' mean: a
/// level that differs between seeds is no correlation of checkpoints.
fn autocorrelation(samples: &Samples, found: &Found) -> Option<f64> {
    const FEWEST: usize = 8;
    if samples.is_averaged() {
        return None;
    }
    let n_series = samples.all().iter().map(|sample| sample.series + 1).max().unwrap_or(0);
    let (mut squares, mut products, mut n) = (0.0, 0.0, 0);
    for series in 0..n_series {
        let of_series = samples.all().iter().filter(|sample| sample.series == series);
        let residuals: Vec<f64> = of_series.map(|s| (s.y - found.predict(s.x)) / s.sigma).collect();
        let mean = residuals.iter().sum::<f64>() / residuals.len().max(1) as f64;
        squares += residuals.iter().map(|r| (r - mean).powi(2)).sum::<f64>();
        products += residuals.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>();
        n += residuals.len();
    }
    let is_exact = squares <= n as f64 * EXACT * EXACT * if samples.is_weighted() { 0.0 } else { 1.0 };
    (n >= FEWEST && squares > 0.0 && !is_exact).then(|| products / squares)
}
