//! Figures as text: what changes here changes every figure. `UPDATE_EXPECT=1` writes them anew.

use expect_test::expect_file;
use rlvr_curves::figure::{ScalingFigure, Style, Theme};
use rlvr_curves::fit::fit;
use rlvr_curves::points::up_to;
use rlvr_curves::{Counter, Point, Series};

/// Ten checkpoints over two and a quarter decades, strict and lenient, after a start.
fn runs() -> Vec<Series> {
    let point = |seed: f64, i: u32| {
        let x = f64::from(i) / 4.0;
        let wiggle = 0.012 * (f64::from(i) * 2.4 + seed).sin();
        let y = if i == 0 { 0.15 } else { 0.2 + 0.11 * x + wiggle };
        let compute = if i == 0 { 0.0 } else { 10_f64.powf(15.0 + x) };
        Point { step: u64::from(i) * 10, compute, y, lenient: Some(y + 0.04 / f64::from(i + 1)), n: Some(400.0) }
    };
    let run = |seed: u32| Series {
        name: format!("seed {seed}"),
        set: "sums".to_owned(),
        points: (0..11).map(|i| point(f64::from(seed), i)).collect(),
    };
    vec![run(0), run(1)]
}

#[test]
fn a_curve() {
    let runs = runs();
    let figure = ScalingFigure { series: &runs, fit: &fit(&runs), title: "sums: held-out accuracy" };
    expect_file!["golden/curve.svg"].assert_eq(&figure.to_svg());
    expect_file!["golden/curve.csv"].assert_eq(&figure.to_csv());
}

#[test]
fn a_prediction_of_what_was_held_out() {
    let runs = runs();
    let early = fit(&up_to(&runs, 0.5));
    let figure = ScalingFigure { series: &runs, fit: &early, title: "sums: half of the compute, the rest held out" };
    let style =
        Style { theme: Theme::Dark, counter: Counter::new("tokens_gen"), caption: "400 problems", ..Style::default() };
    expect_file!["golden/heldout.svg"].assert_eq(&figure.to_svg_in(&style));
}
