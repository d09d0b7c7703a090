//! What a fit returns, and `fit.json`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::analysis::{Analysis, Start};
use super::bootstrap::{Bootstrap, Spread};
use super::evidence::{Evidence, SeedFit, SeedMean, alone, mean_slope};
use super::heldout::HeldOut;
use super::horizon::{Horizon, horizon};
use super::local::{Halves, Slope};
use super::noise::Noise;
use super::samples::{Samples, binomial_sigma};
use super::search::{Found, Given, search};
use super::settle::would_settle;
use super::shape::Shape;
use super::shapes;
use super::shapes::bnsl::Bnsl;
use super::verdict::{Label, SATURATING, Verdict, asymptote_range, judge};
use crate::points::Series;

/// What the points are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Checkpoints of runs. With a decaying learning rate a checkpoint is not a finished smaller run.
    #[default]
    Trajectory,
    /// The best of several settings at each compute, as [`frontier`](crate::frontier::frontier) takes it.
    Frontier,
}

/// What is decided before looking at the points.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// What the points are.
    pub kind: Kind,
    /// Leaves out points below this compute; the result with all points is kept beside.
    pub from: Option<f64>,
    /// Whether the accuracy without compute is given to the forms that have one.
    pub given: Given,
}

/// A form fitted to samples.
#[derive(Clone, Debug, Serialize)]
pub struct Form {
    /// Its name, such as `log_linear` or `sigmoid`.
    pub name: &'static str,
    /// The parameters by name.
    pub params: Vec<Param>,
    /// χ² per degree of freedom; none without degrees of freedom or without known noise.
    pub chi2_dof: Option<f64>,
    /// Root of the mean squared residual, each point alike.
    pub rmse: f64,
    /// Akaike's criterion, corrected for few samples, noise scaled; none if there are too few.
    pub aicc: Option<f64>,
    /// Distance to the best form's.
    pub daicc: Option<f64>,
    /// Parameters that sit on a bound: the samples do not identify them.
    pub at_bound: Vec<&'static str>,
    /// The condition number of JᵀWJ; above about 1e10 parameters trade places with each other.
    pub condition: f64,
    /// Errors of predictions from the first part of the compute.
    pub heldout: Vec<HeldOut>,
    #[serde(skip)]
    pub(super) found: Found,
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

impl Form {
    /// Returns a parameter by name.
    pub fn param(&self, name: &str) -> Option<Param> {
        self.params.iter().find(|param| param.name == name).copied()
    }

    /// Returns the accuracy at a base-ten logarithm of compute.
    pub fn predict(&self, log10_compute: f64) -> f64 {
        self.found.predict(log10_compute)
    }
}

/// The accuracy that is approached with endless compute, by the best form that has one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Asymptote {
    /// Its value.
    pub value: f64,
    /// Half of its 95 % interval.
    pub half_width: f64,
    /// Whether the samples identify it. If not, the interval may be said, but not the value.
    pub identified: bool,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// The form.
    pub form: &'static str,
    /// The share of the gain from start to asymptote that the samples show.
    pub gain_seen: f64,
}

/// The verdict over all points, where a cut of the start was declared.
#[derive(Clone, Debug, Serialize)]
pub struct Uncut {
    /// The points below this compute were left out of everything else.
    pub from: f64,
    /// How many they are.
    pub left_out: usize,
    /// The verdict with them.
    pub verdict: Verdict,
}

/// All forms fitted to samples, and the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// What the points are.
    pub kind: Kind,
    /// What may be said.
    pub verdict: Verdict,
    /// The verdict as a sentence for captions.
    pub sentence: String,
    /// How much it rests on.
    pub evidence: Evidence,
    /// Decades of compute.
    pub decades: f64,
    /// Number of points.
    pub points: usize,
    /// Number of series.
    pub seeds: usize,
    /// By what the binomial variance was multiplied, since the best form leaves more over.
    pub phi2: f64,
    /// Correlation of neighbouring residuals of the best form; above 0.3 it widens all errors.
    pub autocorrelation: Option<f64>,
    /// By what it widens them.
    pub widening: f64,
    /// Accuracy before the first step, where it was measured.
    pub start: Option<f64>,
    /// The asymptote of the best form that has one.
    pub asymptote: Option<Asymptote>,
    /// The slope of the straight line.
    pub slope: Option<Slope>,
    /// The slopes of the two halves.
    pub halves: Option<Halves>,
    /// How late a plateau could begin and still be seen; for log-linear verdicts.
    pub horizon: Option<Horizon>,
    /// Each series alone, if there are several.
    pub seeds_alone: Vec<SeedFit>,
    /// The slope over seeds, mean with its 95 % interval by Student's t.
    pub slope_over_seeds: Option<SeedMean>,
    /// Intervals by drawing problems, seeds or both anew; empty where only accuracies are known.
    pub bootstrap: Vec<Bootstrap>,
    /// What a reader must know besides.
    pub notes: Vec<String>,
    /// The result without the declared cut.
    pub without_cut: Option<Uncut>,
    /// The forms, best first.
    pub forms: Vec<Form>,
    #[serde(skip)]
    pub(super) samples: Samples,
}

/// Fits all forms to the points of one evaluation set over one or more runs.
///
/// # Examples
///
/// ```
/// use rlvr_curves::fit::{Label, fit};
/// use rlvr_curves::{Point, Series};
///
/// // Six points per tenfold over three decades, without noise.
/// let point = |i: i32| {
///     let x = f64::from(i) / 4.0;
///     Point { step: 0, compute: 10_f64.powf(15.0 + x), y: 0.2 + 0.06 * x, lenient: None, n: Some(2000.0) }
/// };
/// let series = Series { name: "run".into(), set: "sums".into(), points: (0..13).map(point).collect() };
/// let fit = fit(&[series]);
/// assert_eq!(fit.verdict.label, Label::LogLinear);
/// assert!((fit.form("log_linear").unwrap().param("b").unwrap().value - 0.06).abs() < 1e-9);
/// ```
pub fn fit(series: &[Series]) -> Fit {
    fit_with(series, &Options::default())
}

/// Fits all forms under options that were decided before looking.
pub fn fit_with(series: &[Series], options: &Options) -> Fit {
    let (fit, analysis) = judged(series, options);
    let horizon = (fit.verdict.label == Label::LogLinear).then(|| horizon(&analysis));
    Fit { horizon, ..fit }
}

/// Fits one form alone: one of those that [`fit`] fits, or `bnsl` for losses. None if the name is unknown or there are too
/// few points.
pub fn fit_form(series: &[Series], name: &str) -> Option<Form> {
    let shape: &'static dyn Shape =
        if name == Bnsl.name() { &Bnsl } else { *shapes::ALL.iter().find(|shape| shape.name() == name)? };
    let samples = Samples::of(series);
    let found = search(shape, &samples)?;
    let noise = Noise::of(&samples, std::slice::from_ref(&found));
    let analysis = Analysis::alone(samples, found, noise);
    forms(&analysis).pop()
}

/// All but the horizon, which is found by simulating these very judgements.
pub(crate) fn judged(series: &[Series], options: &Options) -> (Fit, Analysis) {
    let start = start(series);
    let all = Samples::of(series);
    let cut = options.from.map(|from| all.split(from.log10() - 1e-9));
    let samples = cut.as_ref().map_or_else(|| all.clone(), |(_, kept)| kept.clone());
    let analysis = Analysis::of(samples, start, options.given);
    let mut verdict = judge(&analysis);
    let seeds = series.len();
    let seeds_alone = alone(series, &analysis, verdict.label, options);
    verdict.would_settle = would_settle(&analysis, &verdict, seeds);
    let without_cut = cut.map(|(left_out, _)| Uncut {
        from: options.from.unwrap_or_default(),
        left_out: left_out.n(),
        verdict: judge(&Analysis::of(all, start, options.given)),
    });
    let asymptote = asymptote(&analysis, &verdict);
    let evidence = Evidence::of(&seeds_alone);
    let fit = Fit {
        kind: options.kind,
        sentence: sentence(&verdict, asymptote, options.kind, seeds),
        evidence,
        decades: analysis.samples.decades(),
        points: analysis.samples.n(),
        seeds,
        phi2: analysis.noise.phi2,
        autocorrelation: analysis.noise.autocorrelation,
        widening: analysis.noise.widening(),
        start: start.map(|start| start.value),
        asymptote,
        slope: analysis.slope,
        halves: analysis.halves,
        horizon: None,
        slope_over_seeds: mean_slope(&seeds_alone),
        bootstrap: vec![],
        notes: notes(&analysis, &seeds_alone, verdict.label),
        seeds_alone,
        without_cut,
        forms: forms(&analysis),
        verdict,
        samples: analysis.samples.clone(),
    };
    (fit, analysis)
}

/// The mean accuracy before the first step over series.
fn start(series: &[Series]) -> Option<Start> {
    let points: Vec<_> = series.iter().flat_map(|s| &s.points).filter(|point| point.compute == 0.0).collect();
    let n = points.len() as f64;
    let variance: f64 = points.iter().map(|p| p.n.map_or(0.0, |trials| binomial_sigma(p.y, trials).powi(2))).sum();
    let value = points.iter().map(|point| point.y).sum::<f64>() / n;
    (n > 0.0).then(|| Start { value, se: variance.sqrt() / n })
}

fn forms(analysis: &Analysis) -> Vec<Form> {
    let best = analysis.found.iter().filter_map(|found| analysis.aicc(found)).fold(f64::INFINITY, f64::min);
    let mut forms: Vec<Form> = analysis.found.iter().map(|found| form(analysis, found, best)).collect();
    forms.sort_by(|a, b| a.daicc.unwrap_or(f64::MAX).total_cmp(&b.daicc.unwrap_or(f64::MAX)));
    forms
}

fn form(analysis: &Analysis, found: &Found, best: f64) -> Form {
    let samples = &analysis.samples;
    let names = found.shape.params();
    let factor = analysis.noise.factor(samples, found);
    let params = names.iter().zip(found.params()).zip(found.errors());
    let aicc = analysis.aicc(found);
    let squares: f64 = samples.all().iter().map(|s| (s.y - found.predict(s.x)).powi(2)).sum();
    Form {
        name: found.shape.name(),
        params: params
            .map(|((&name, value), error)| Param { name, value, se: factor.map(|factor| error * factor) })
            .collect(),
        chi2_dof: (samples.is_weighted() && samples.n() > found.k())
            .then(|| found.misfit / (samples.n() - found.k()) as f64),
        rmse: (squares / samples.all().len() as f64).sqrt(),
        aicc,
        daicc: aicc.map(|aicc| aicc - best),
        at_bound: found.at_bound.iter().map(|&i| names[i]).collect(),
        condition: found.condition(),
        heldout: analysis.all_held_out(found),
        found: found.clone(),
    }
}

fn asymptote(analysis: &Analysis, verdict: &Verdict) -> Option<Asymptote> {
    let (best, _) = analysis.best(&SATURATING)?;
    let (value, half_width) = analysis.asymptote(best)?;
    let (low, high) = asymptote_range(analysis, best)?;
    Some(Asymptote {
        value,
        half_width,
        identified: verdict.label == Label::Saturating,
        low,
        high,
        form: best.shape.name(),
        gain_seen: analysis.gain_seen(best)?,
    })
}

fn sentence(verdict: &Verdict, asymptote: Option<Asymptote>, kind: Kind, seeds: usize) -> String {
    let open = asymptote
        .filter(|_| verdict.label == Label::Rising)
        .map_or(String::new(), |a| format!("; asymptote not identified ({:.2}–{:.2})", a.low, a.high));
    let basis = match (kind, seeds) {
        (Kind::Frontier, 1) => "frontier over runs".to_owned(),
        (Kind::Frontier, n) => format!("frontier over settings, {n} seeds"),
        (Kind::Trajectory, 1) => "checkpoints of one run, one seed".to_owned(),
        (Kind::Trajectory, n) => format!("{n} seeds"),
    };
    format!("{}{open} ({basis})", verdict.text)
}

fn notes(analysis: &Analysis, alone: &[SeedFit], label: Label) -> Vec<String> {
    let mut notes = vec![];
    let noise = &analysis.noise;
    if noise.phi2 > 1.0 {
        notes.push(format!(
            "the points scatter more than the binomial: all errors are multiplied by {:.2}",
            noise.phi2.sqrt()
        ));
    }
    if let Some(rho) = noise.autocorrelation.filter(|_| noise.widening() > 1.0) {
        notes.push(format!(
            "neighbouring points are correlated (ρ = {rho:.2}): all errors are multiplied by {:.2}",
            noise.widening()
        ));
    }
    if !analysis.samples.is_weighted() {
        notes.push(
            "not every point tells its number of trials: all weigh the same, errors come from the residuals".to_owned(),
        );
    }
    if analysis.samples.is_averaged() {
        notes.push(format!(
            "{} points were averaged in {} bins of log compute",
            analysis.samples.n(),
            analysis.samples.all().len()
        ));
    }
    for seed in alone.iter().filter(|seed| seed.contradicts) {
        notes.push(format!("`{}` alone is {}, which contradicts {}", seed.name, seed.label.as_str(), label.as_str()));
    }
    notes
}

impl Fit {
    /// Returns the form of a name.
    pub fn form(&self, name: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.name == name)
    }

    /// Returns the form of the least criterion.
    pub fn best(&self) -> Option<&Form> {
        self.forms.first()
    }

    /// Returns the samples that were fitted.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Returns `fit.json`: the verdict first, the forms with their parameters as objects.
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).expect("a fit is plain data");
        let forms = json["forms"].as_array_mut().into_iter().flatten().zip(&self.forms);
        for (shown, form) in forms {
            let object = |value: &dyn Fn(&Param) -> Value| -> Value {
                form.params.iter().map(|p| (p.name.to_owned(), value(p))).collect::<Map<_, _>>().into()
            };
            shown["params"] = object(&|p| p.value.into());
            shown["se"] = object(&|p| p.se.into());
        }
        let bootstraps = json["bootstrap"].as_array_mut().into_iter().flatten().zip(&self.bootstrap);
        for (shown, bootstrap) in bootstraps {
            let params = |spreads: &[Spread]| -> Value {
                let param = |s: &Spread| {
                    (s.name.to_owned(), json!({"value": s.value, "se": s.se, "low": s.low, "high": s.high}))
                };
                spreads.iter().map(param).collect::<Map<_, _>>().into()
            };
            let forms = bootstrap.forms.iter().map(|(name, spreads)| ((*name).to_owned(), params(spreads)));
            shown["forms"] = forms.collect::<Map<_, _>>().into();
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::Point;

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
        // Six points alternating ±0.1 about 0.5 with σ = 0.05: χ² = 24 about the constant.
        let points: Vec<_> = (0..6).map(|i| (10_f64.powi(i), if i % 2 == 0 { 0.4 } else { 0.6 }, Some(1e4))).collect();
        let fit = fit(&[series(&points)]);
        let constant = fit.form("constant").unwrap();
        assert!(fit.phi2 > 300.0 && fit.phi2 <= constant.chi2_dof.unwrap() + 1e-9);
        close(constant.param("m").unwrap().se.unwrap(), fit.phi2.sqrt() * binomial_sigma(0.4, 1e4) / 6_f64.sqrt());
    }

    #[test]
    fn the_start_is_no_sample_but_is_kept() {
        let fit = fit(&[series(&[(0.0, 0.2, None), (10.0, 0.4, None), (100.0, 0.5, None)])]);
        assert_eq!((fit.points, fit.start), (2, Some(0.2)));
    }

    #[test]
    fn a_declared_cut_keeps_the_result_without_it() {
        let points: Vec<_> = (0..12).map(|i| (10_f64.powi(i), 0.02 * f64::from(i), Some(1000.0))).collect();
        let fit = fit_with(&[series(&points)], &Options { from: Some(99.0), ..Options::default() });
        let uncut = fit.without_cut.unwrap();
        assert_eq!((fit.points, uncut.left_out, uncut.verdict.label), (10, 2, Label::LogLinear));
    }

    #[test]
    fn a_given_start_is_no_parameter() {
        let truth = |x: f64| 0.25 + 0.36 / (1.0 + 10_f64.powf(1.9 * (3.4 - x)));
        let points: Vec<_> =
            (0..25).map(|i| 2.7 + f64::from(i) / 15.0).map(|x| (10_f64.powf(x), truth(x), None)).collect();
        let fit = fit_with(&[series(&points)], &Options { given: Given::Start(0.25), ..Options::default() });
        let sigmoid = fit.form("sigmoid").unwrap();
        close(sigmoid.param("A").unwrap().value, 0.61);
        assert_eq!((sigmoid.param("R0").unwrap().value, sigmoid.param("R0").unwrap().se), (0.25, Some(0.0)));
    }

    #[test]
    fn a_broken_law_of_losses() {
        // Loss 1.7 + 5 C^-0.15, whose exponent doubles at C = 1e3.
        let loss = |c: f64| 1.7 + 5.0 * c.powf(-0.15) * (1.0 + (c / 1e3).powf(1.0 / 0.2)).powf(-0.15 * 0.2);
        let points: Vec<_> = (0..40).map(|i| 10_f64.powf(f64::from(i) / 6.0)).map(|c| (c, loss(c), None)).collect();
        let form = fit_form(&[series(&points)], "bnsl").unwrap();
        for (name, expected) in [("a", 1.7), ("c0", 0.15), ("c1", 0.15), ("log10_d", 3.0)] {
            let found = form.param(name).unwrap().value;
            assert!((found - expected).abs() < 0.01, "{name} is {found}, not {expected}");
        }
        assert!(fit_form(&[series(&points)], "spline").is_none());
    }

    #[test]
    fn degenerate_points_are_undetermined() {
        let equal: Vec<_> = (0..9).map(|i| (5.0, 0.1 * f64::from(i), Some(10.0))).collect();
        let zeros: Vec<_> = (0..9).map(|i| (10_f64.powi(i), 0.0, Some(10.0))).collect();
        let same: Vec<_> = (0..9).map(|i| (10_f64.powi(i), 0.4, None)).collect();
        for (points, expected) in [
            (&equal[..0], Label::Undetermined),
            (&equal[..1], Label::Undetermined),
            (&equal[..], Label::Undetermined),
            (&zeros[..], Label::NoEffect),
            (&same[..], Label::NoEffect),
        ] {
            let fit = fit(&[series(points)]);
            assert_eq!(fit.verdict.label, expected, "{points:?}: {:?}", fit.verdict);
            serde_json::to_string(&fit.to_json()).unwrap();
        }
    }

    #[test]
    fn json_has_the_agreed_shape() {
        let json = fit(&[series(&[(10.0, 0.4, None), (100.0, 0.5, None)])]).to_json();
        assert_eq!(json["verdict"]["label"], "undetermined");
        assert!(json["verdict"]["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty()));
        assert_eq!((&json["kind"], &json["evidence"]), (&"trajectory".into(), &"one run".into()));
        let names: Vec<&str> = json["forms"].as_array().unwrap().iter().filter_map(|f| f["name"].as_str()).collect();
        assert!(names.contains(&"constant") && names.contains(&"log_linear"));
        assert!(json["forms"][0]["params"].is_object() && json["forms"][0]["heldout"].is_array());
    }
}
