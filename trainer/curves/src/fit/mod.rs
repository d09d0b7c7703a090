//! Fitting curves of accuracy against the logarithm of compute, and what may be said of them.
//!
//! A [`Fit`] holds the forms that were fitted to some [`Sample`]s, with the noise scaled by what the best form leaves
//! over, and a [`Verdict`]. A form is a file beside this one that returns a [`Form`].

mod constant;
mod log_linear;
mod verdict;

use serde::Serialize;

use crate::points::{Point, Series};

pub use verdict::{Label, Verdict};

/// A measured accuracy at some compute above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Base-ten logarithm of the compute.
    pub x: f64,
    /// Accuracy.
    pub y: f64,
    /// Its standard deviation; 1 for all samples if none is known.
    pub sigma: f64,
}

/// Samples in order of compute.
#[derive(Clone, Debug)]
pub struct Samples {
    all: Vec<Sample>,
    /// Whether every point told its number of trials, so that `sigma` is a standard deviation.
    is_weighted: bool,
}

impl Samples {
    /// Takes the points of some series; points without compute, measured before the first step, are no samples.
    ///
    /// A point with `n` trials has σ² = p (1 − p) / n with p = (k + 1) / (n + 2), which is never 0.
    pub fn of(series: &[Series]) -> Self {
        let points: Vec<&Point> = series.iter().flat_map(|s| &s.points).filter(|point| point.compute > 0.0).collect();
        let is_weighted = points.iter().all(|point| point.n.is_some_and(|n| n > 0.0));
        let sample = |point: &&Point| {
            let sigma = point.n.filter(|_| is_weighted).map_or(1.0, |n| {
                let p = (point.y * n + 1.0) / (n + 2.0);
                (p * (1.0 - p) / n).sqrt()
            });
            Sample { x: point.compute.log10(), y: point.y, sigma }
        };
        let mut all: Vec<Sample> = points.iter().map(sample).collect();
        all.sort_by(|a, b| a.x.total_cmp(&b.x));
        Self { all, is_weighted }
    }

    /// Returns the samples.
    pub fn all(&self) -> &[Sample] {
        &self.all
    }

    /// Returns the decades of compute that the samples span.
    pub fn decades(&self) -> f64 {
        match (self.all.first(), self.all.last()) {
            (Some(first), Some(last)) => last.x - first.x,
            _ => 0.0,
        }
    }

    /// Returns the number of different values of compute.
    pub fn n_distinct(&self) -> usize {
        let mut xs: Vec<f64> = self.all.iter().map(|sample| sample.x).collect();
        xs.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
        xs.len()
    }

    /// Splits into samples up to a share of the largest compute, and the rest.
    fn split(&self, share: f64) -> (Self, Self) {
        let limit = self.all.last().map_or(0.0, |last| last.x + share.log10()) + 1e-12;
        let (early, late) = self.all.iter().partition(|sample| sample.x <= limit);
        (Self { all: early, ..*self }, Self { all: late, ..*self })
    }
}

impl Samples {
    /// Returns Σ w, Σ w x and so on of any functions, with weights 1 / σ².
    fn sum(&self, f: impl Fn(&Sample) -> f64) -> f64 {
        self.all.iter().map(|sample| f(sample) / (sample.sigma * sample.sigma)).sum()
    }
}

/// A form fitted to samples.
#[derive(Clone, Debug, Serialize)]
pub struct Form {
    /// `constant` or `log_linear`.
    pub name: &'static str,
    /// The parameters by name.
    pub params: Vec<Param>,
    /// χ² per degree of freedom; none without degrees of freedom or without known noise.
    pub chi2_dof: Option<f64>,
    /// Akaike's criterion, corrected for few samples, noise scaled; none if there are too few.
    pub aicc: Option<f64>,
    /// Distance to the best form's.
    pub daicc: Option<f64>,
    /// Errors of predictions from the first part of the compute.
    pub heldout: Vec<HeldOut>,
}

/// A parameter with its standard error.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Param {
    /// Its name in the form's formula.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its standard error, noise scaled; none if the samples do not tell.
    pub se: Option<f64>,
}

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
    /// Root of the mean square of it.
    pub rmse: f64,
    /// The largest of it.
    pub largest: f64,
}

impl Form {
    /// Returns the value of a parameter.
    pub fn param(&self, name: &str) -> Option<Param> {
        self.params.iter().find(|param| param.name == name).copied()
    }
}

/// All forms fitted to samples, and the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// Checkpoints of runs, not separately tuned runs at several budgets.
    pub kind: &'static str,
    /// What may be said.
    pub verdict: Verdict,
    /// The verdict as a sentence for captions.
    pub sentence: String,
    /// How much it rests on: `one run`, `two seeds`, `replicated`.
    pub evidence: &'static str,
    /// Decades of compute.
    pub decades: f64,
    /// Number of samples.
    pub points: usize,
    /// Number of series.
    pub seeds: usize,
    /// By what the binomial variance was multiplied, since the best form leaves more over.
    pub phi2: f64,
    /// Accuracy before the first step, where it was measured.
    pub start: Option<f64>,
    /// The forms, best first.
    pub forms: Vec<Form>,
}

/// What a form's file provides: a fit of its parameters and a prediction from them.
struct Method {
    name: &'static str,
    /// Fewest samples.
    needs: usize,
    fit: fn(&Samples) -> Vec<Estimate>,
    predict: fn(&[Estimate], f64) -> f64,
}

/// A parameter's value and its standard error for noise of the given σ.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    name: &'static str,
    value: f64,
    se: f64,
}

const METHODS: [Method; 2] = [constant::METHOD, log_linear::METHOD];

/// Fits all forms to the points of one evaluation set over one or more runs.
pub fn fit(series: &[Series]) -> Fit {
    let samples = Samples::of(series);
    let n = samples.all.len();
    let raw: Vec<(&Method, Vec<Estimate>, f64)> = METHODS
        .iter()
        .filter(|method| n >= method.needs && (method.needs == 1 || samples.decades() > 0.0))
        .map(|method| {
            let estimates = (method.fit)(&samples);
            let misfit = samples.sum(|s| (s.y - (method.predict)(&estimates, s.x)).powi(2));
            (method, estimates, misfit)
        })
        .collect();

    // Noise beyond the binomial shows in what the best form leaves over; it scales every error alike.
    let per_dof = |k: usize, misfit: f64| (n > k).then(|| misfit / (n - k) as f64);
    let least = raw.iter().filter_map(|(_, e, misfit)| per_dof(e.len(), *misfit)).fold(f64::INFINITY, f64::min);
    let phi2 = if samples.is_weighted && least.is_finite() { least.max(1.0) } else { 1.0 };

    let mut forms: Vec<Form> = raw
        .into_iter()
        .map(|(method, estimates, misfit)| {
            let k = estimates.len();
            let chi2_dof = per_dof(k, misfit).filter(|_| samples.is_weighted);
            let noise = if samples.is_weighted { Some(phi2) } else { per_dof(k, misfit) };
            let param = |e: &Estimate| Param { name: e.name, value: e.value, se: noise.map(|s2| e.se * s2.sqrt()) };
            Form {
                name: method.name,
                params: estimates.iter().map(param).collect(),
                chi2_dof,
                aicc: aicc(n, k, misfit, if samples.is_weighted { Some(phi2) } else { None }),
                daicc: None,
                heldout: [0.25, 0.5].iter().filter_map(|&share| held_out(method, &samples, share)).collect(),
            }
        })
        .collect();
    let best = forms.iter().filter_map(|form| form.aicc).fold(f64::INFINITY, f64::min);
    for form in &mut forms {
        form.daicc = form.aicc.map(|aicc| aicc - best);
    }
    forms.sort_by(|a, b| a.daicc.unwrap_or(f64::MAX).total_cmp(&b.daicc.unwrap_or(f64::MAX)));

    let starts: Vec<f64> = series.iter().flat_map(|s| &s.points).filter(|p| p.compute == 0.0).map(|p| p.y).collect();
    let start = (!starts.is_empty()).then(|| starts.iter().sum::<f64>() / starts.len() as f64);
    let verdict = verdict::judge(&samples, &forms, start);
    Fit {
        kind: "trajectory",
        sentence: verdict::sentence(&verdict, &samples, &forms, series.len()),
        evidence: match series.len() {
            0 | 1 => "one run",
            2 => "two seeds",
            _ => "replicated",
        },
        verdict,
        decades: samples.decades(),
        points: n,
        seeds: series.len(),
        phi2,
        start,
        forms,
    }
}

/// Akaike's criterion corrected for few samples: χ² + 2k + 2k(k+1)/(n−k−1) with known noise, and with one more parameter
/// n ln(RSS/n) without.
fn aicc(n: usize, k: usize, misfit: f64, phi2: Option<f64>) -> Option<f64> {
    let (fit, k) = match phi2 {
        Some(phi2) => (misfit / phi2, k),
        None => (n as f64 * (misfit / n as f64).max(f64::MIN_POSITIVE).ln(), k + 1),
    };
    (n > k + 1).then(|| fit + 2.0 * k as f64 + (2 * k * (k + 1)) as f64 / (n - k - 1) as f64)
}

fn held_out(method: &Method, samples: &Samples, share: f64) -> Option<HeldOut> {
    let (early, late) = samples.split(share);
    if early.all.len() <= method.needs || late.all.is_empty() || (method.needs > 1 && early.decades() == 0.0) {
        return None;
    }
    let estimates = (method.fit)(&early);
    let errors: Vec<f64> = late.all.iter().map(|s| (method.predict)(&estimates, s.x) - s.y).collect();
    let n_test = errors.len();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n_test as f64;
    Some(HeldOut {
        up_to: share,
        n_fit: early.all.len(),
        n_test,
        bias: mean(&mut errors.iter().copied()),
        rmse: mean(&mut errors.iter().map(|e| e * e)).sqrt(),
        largest: errors.iter().map(|e| e.abs()).fold(0.0, f64::max),
    })
}

impl Fit {
    /// Returns the form of a name.
    pub fn form(&self, name: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.name == name)
    }

    /// Returns `fit.json`: the verdict first, then the forms with their parameters as objects.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::to_value(self).expect("a fit is plain data");
        let forms = json["forms"].as_array_mut().into_iter().flatten().zip(&self.forms);
        for (shown, form) in forms {
            let object = |value: &dyn Fn(&Param) -> serde_json::Value| -> serde_json::Value {
                form.params.iter().map(|p| (p.name.to_owned(), value(p))).collect::<serde_json::Map<_, _>>().into()
            };
            shown["params"] = object(&|p| p.value.into());
            shown["se"] = object(&|p| p.se.into());
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64, Option<f64>)]) -> Series {
        let point = |&(compute, y, n): &(f64, f64, Option<f64>)| Point { step: 0, compute, y, lenient: None, n };
        Series { name: "s".to_owned(), set: "set".to_owned(), points: points.iter().map(point).collect() }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn a_line_is_found_exactly() {
        let points: Vec<_> = (1..=6).map(|i| (10_f64.powi(i), 0.1 + 0.05 * f64::from(i), None)).collect();
        let fit = fit(&[series(&points)]);
        let line = fit.form("log_linear").unwrap();
        close(line.param("a").unwrap().value, 0.1);
        close(line.param("b").unwrap().value, 0.05);
        assert!(line.heldout.iter().all(|h| h.largest < 1e-9));
    }

    #[test]
    fn weighted_errors_are_those_of_the_binomial() {
        // One point: p = 51/102 = 1/2 with n = 100, so σ = 0.05.
        let fit = fit(&[series(&[(10.0, 0.5, Some(100.0))])]);
        let constant = fit.form("constant").unwrap();
        close(constant.param("m").unwrap().value, 0.5);
        close(constant.param("m").unwrap().se.unwrap(), 0.05);
    }

    #[test]
    fn excess_noise_widens_every_error() {
        // Points ±0.2 about 0.5 with σ = 0.05: χ² = 2 · 16 over 1 degree of freedom.
        let fit = fit(&[series(&[(10.0, 0.3, Some(1e9)), (100.0, 0.7, Some(1e9))])]);
        assert!(fit.phi2 > 1e6);
        let narrow = (0.5_f64 * 0.5 / 1e9 / 2.0).sqrt();
        assert!(fit.form("constant").unwrap().param("m").unwrap().se.unwrap() > 1000.0 * narrow);
    }

    #[test]
    fn the_start_is_no_sample_but_is_kept() {
        let fit = fit(&[series(&[(0.0, 0.2, None), (10.0, 0.4, None), (100.0, 0.5, None)])]);
        assert_eq!((fit.points, fit.start), (2, Some(0.2)));
    }

    #[test]
    fn json_has_the_agreed_shape() {
        let json = fit(&[series(&[(10.0, 0.4, None), (100.0, 0.5, None)])]).to_json();
        assert_eq!(json["verdict"]["label"], "undetermined");
        assert!(json["verdict"]["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty()));
        let names: Vec<&str> = json["forms"].as_array().unwrap().iter().filter_map(|f| f["name"].as_str()).collect();
        assert!(names.contains(&"constant") && names.contains(&"log_linear"));
        assert!(json["forms"][0]["params"].is_object() && json["forms"][0]["heldout"].is_array());
    }
}
