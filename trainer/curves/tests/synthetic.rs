//! Sets of known truth: verdicts, parameters, and what must be said besides.

#![expect(clippy::unwrap_used, reason = "in a test, as in unit tests")]

use std::path::Path;

use rlvr_curves::fit::{Evidence, Fit, Kind, Label, Options, fit, fit_with};
use rlvr_curves::{Point, Series, points};

fn fitted(name: &str) -> Fit {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fit(&points::of_csv(&folder.join(format!("synth_{name}.csv"))).unwrap())
}

/// Parameters of a form, by SciPy's least squares with the same weights.
#[track_caller]
fn check(fit: &Fit, form: &str, expected: &[(&str, f64, f64)]) {
    let form = fit.form(form).unwrap();
    for &(name, value, se) in expected {
        let found = form.param(name).unwrap();
        assert!((found.value - value).abs() < 2e-5 * value.abs().max(1.0), "{name}: {found:?}, not {value}");
        let unscaled = found.se.unwrap() / fit.phi2.sqrt() / fit.widening;
        assert!((unscaled / se - 1.0).abs() < 5e-3, "{name}: error {unscaled}, not {se}");
    }
}

#[test]
fn a_line_is_log_linear_although_a_free_break_beats_it() {
    let fit = fitted("s1_log_linear");
    assert_eq!((fit.verdict.label, fit.verdict.rule, fit.evidence), (Label::LogLinear, 7, Evidence::OneRun));
    check(&fit, "log_linear", &[("a", -1.286_82, 0.037_26), ("b", 0.082_46, 0.001_88)]);
    assert_eq!(fit.best().unwrap().name, "hinge");
    assert!(fit.sentence.starts_with("log-linear over 4.0 decades: 8.2 ± 0.4 points per 10×"), "{}", fit.sentence);
    assert!(fit.horizon.unwrap().sentence.contains("would have been seen with probability"));
}

#[test]
fn a_sigmoid_is_saturating_with_its_asymptote() {
    let fit = fitted("s2_sigmoid_scalerl");
    assert_eq!((fit.verdict.label, fit.verdict.rule), (Label::Saturating, 6));
    check(
        &fit,
        "sigmoid",
        &[
            ("R0", 0.247_886, 0.002_488),
            ("A", 0.611_174, 0.001_394),
            ("B", 1.866_524, 0.035_288),
            ("log10_Cmid", 3.397_710, 0.004_574_4),
        ],
    );
    assert_eq!(fit.form("power_sat").unwrap().at_bound, ["A"]);
    let asymptote = fit.asymptote.unwrap();
    assert!(asymptote.identified && asymptote.low < 0.61 && asymptote.high > 0.61);
}

#[test]
fn a_flat_curve_has_no_effect_and_says_what_would_have_been_seen() {
    let fit = fitted("s4_no_effect");
    assert_eq!((fit.verdict.label, fit.verdict.rule), (Label::NoEffect, 1));
    assert!(fit.verdict.text.contains("points per 10× would have been seen with probability 0.8"));
}

#[test]
fn a_late_take_off_is_broken_and_its_false_asymptote_is_not_named() {
    let fit = fitted("s5_broken_mid");
    assert_eq!((fit.verdict.label, fit.verdict.rule), (Label::Broken, 5));
    check(&fit, "hinge", &[("b1", 0.019_91, 0.004_63), ("b2", 0.135_62, 0.004_67), ("log10_C0", 19.969_85, 0.067_57)]);
    assert!(!fit.asymptote.unwrap().identified);
}

#[test]
fn two_seeds_scatter_more_than_the_binomial_and_are_no_replication() {
    let fit = fitted("s6_two_seeds");
    assert_eq!((fit.verdict.label, fit.evidence), (Label::LogLinear, Evidence::TwoSeeds));
    assert!((fit.phi2 - 3.9876).abs() < 1e-3, "{}", fit.phi2);
    // 0.0646 and 0.0544 alone: their mean with Student's t of one degree of freedom.
    let mean = fit.slope_over_seeds.unwrap();
    assert!((mean.mean - 0.0595).abs() < 2e-4 && mean.half_width > 0.06, "{mean:?}");
    assert!(fit.verdict.would_settle.iter().any(|way| way.contains("one more seed")), "{:?}", fit.verdict);
}

#[test]
fn json_says_what_the_points_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let series = points::of_csv(&folder.join("synth_s1_log_linear.csv")).unwrap();
    let json = fit_with(&series, &Options { kind: Kind::Frontier, ..Options::default() }).to_json();
    assert_eq!(json["kind"], "frontier");
    for key in ["verdict", "sentence", "evidence", "decades", "points", "seeds", "phi2", "asymptote", "forms"] {
        assert!(!json[key].is_null(), "{key}");
    }
    for key in ["name", "params", "se", "chi2_dof", "aicc", "daicc", "at_bound", "heldout"] {
        assert!(!json["forms"][0][key].is_null(), "{key}");
    }
    assert_eq!(json["verdict"]["label"], "log-linear");
}

#[test]
fn seeds_apart_ask_for_seeds_and_not_for_problems() {
    // Three saturating seeds of 2 000 samples a point, eight points apart from each other.
    let seed = |i: i32| {
        let point = |j: i32| {
            let compute = 10_f64.powf(f64::from(j) / 6.0);
            let y = 0.4 + 0.08 * f64::from(i) + 0.4 * (1.0 - (-compute / 30.0).exp());
            Point { step: 0, compute, y, lenient: None, n: Some(2000.0) }
        };
        Series { name: format!("seed {i}"), set: "s".to_owned(), points: (1..=16).map(point).collect() }
    };
    let fit = fit(&[-1, 0, 1].map(seed));
    let ways = &fit.verdict.would_settle;
    assert_eq!(fit.verdict.label, Label::Rising);
    assert!(ways.iter().any(|way| way.ends_with("times as many seeds for an asymptote within ± 0.05")), "{ways:?}");
}
