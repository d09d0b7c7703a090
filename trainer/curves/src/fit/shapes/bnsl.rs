//! y = a + b · C^−c0 · (1 + (C / d)^{1/f})^{−c1 f}: a power law whose exponent changes from c0 to c0 + c1 around d, for
//! losses (Caballero et al. 2022, arXiv:2210.14891, eq. 1 with one break). b and d are given as base-ten logarithms.

use std::f64::consts::LN_10;

use crate::fit::samples::Samples;
use crate::fit::shape::{Shape, geometric_grid, linear_grid};
use crate::solve::linear::{Bound, TwoColumns};

/// The broken neural scaling law with one break.
#[derive(Debug)]
pub(crate) struct Bnsl;

impl Shape for Bnsl {
    fn name(&self) -> &'static str {
        "bnsl"
    }
    fn params(&self) -> &'static [&'static str] {
        &["a", "log10_b", "c0", "c1", "log10_d", "f"]
    }
    fn bounds(&self, low: f64, high: f64) -> Vec<Bound> {
        let free = (f64::NEG_INFINITY, f64::INFINITY);
        vec![free, free, (0.0, 5.0), (-5.0, 5.0), (low - 1.0, high + 1.0), (0.02, 5.0)]
    }
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        let mut cells = vec![];
        for c0 in geometric_grid(0.02, 2.0, 9) {
            for c1 in [-0.5, -0.2, -0.05, 0.05, 0.2, 0.5, 1.0] {
                for at in linear_grid(samples.low(), samples.high(), 9) {
                    for f in [0.05, 0.2, 0.8] {
                        cells.push(cell(samples, c0, c1, at, f));
                    }
                }
            }
        }
        cells.sort_by(|a, b| a.1.total_cmp(&b.1));
        cells.into_iter().take(12).map(|(params, _)| params).collect()
    }
    fn value(&self, params: &[f64], x: f64) -> f64 {
        params[0] + (LN_10 * (params[1] + log10_decay(&params[2..], x))).exp()
    }
    fn gradient(&self, params: &[f64], x: f64) -> Vec<f64> {
        let &[_, _, _, c1, at, f] = params else { unreachable!("six parameters") };
        let decayed = (LN_10 * (params[1] + log10_decay(&params[2..], x))).exp() * LN_10;
        let ratio = (LN_10 * (x - at) / f).exp();
        let past = if ratio.is_finite() { ratio / (1.0 + ratio) } else { 1.0 };
        let softened = log10_one_plus(x - at, f);
        let by_f = -c1 * (softened - past * (x - at) / f);
        vec![1.0, decayed, -decayed * x, -decayed * f * softened, decayed * c1 * past, decayed * by_f]
    }
    fn moved(&self, params: &mut [f64], by: f64) {
        params[1] += params[2] * by;
        params[4] += by;
    }
    fn asymptote(&self) -> Option<usize> {
        Some(0)
    }
}

/// −c0 x − c1 f log10(1 + 10^{(x − d)/f}).
fn log10_decay(params: &[f64], x: f64) -> f64 {
    let &[c0, c1, at, f] = params else { unreachable!("four parameters") };
    -c0 * x - c1 * f * log10_one_plus(x - at, f)
}

/// log10(1 + 10^{x / f}), without overflow.
fn log10_one_plus(x: f64, f: f64) -> f64 {
    let t = LN_10 * x / f;
    (t.max(0.0) + (-t.abs()).exp().ln_1p()) / LN_10
}

fn cell(samples: &Samples, c0: f64, c1: f64, at: f64, f: f64) -> (Vec<f64>, f64) {
    let shape = [c0, c1, at, f];
    let mut sums = TwoColumns::default();
    for sample in samples.all() {
        sums.add(1.0, (LN_10 * log10_decay(&shape, sample.x)).exp(), sample.y, sample.weight());
    }
    let (a, b, misfit) = sums.solve((f64::NEG_INFINITY, f64::INFINITY), (1e-12, f64::INFINITY));
    (vec![a, b.log10(), c0, c1, at, f], misfit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::samples::Sample;
    use crate::fit::search::search;

    #[test]
    fn a_broken_law_is_recovered() {
        let truth = [1.7, 0.6, 0.1, 0.25, 0.5, 0.3];
        let sample = |i: i32| {
            let x = f64::from(i) / 10.0 - 2.0;
            Sample { x: x + 18.0, y: Bnsl.value(&truth, x), sigma: 1.0, series: 0 }
        };
        let samples = Samples::new((0..50).map(sample).collect(), false);
        let found = search(&Bnsl, &samples).expect("enough samples");
        assert!(found.misfit < 1e-12, "{found:?}");
        let params = found.params();
        for (i, expected) in [(0, 1.7), (2, 0.1), (3, 0.25), (4, 18.5), (5, 0.3)] {
            assert!((params[i] - expected).abs() < 1e-3, "{params:?}");
        }
    }

    #[test]
    fn derivatives_agree_with_differences() {
        let params = [1.7, 0.6, 0.1, 0.25, 0.5, 0.3];
        for x in [-1.0, 0.4, 2.0] {
            for (i, derivative) in Bnsl.gradient(&params, x).into_iter().enumerate() {
                let at = |by: f64| {
                    let mut moved = params;
                    moved[i] += by;
                    Bnsl.value(&moved, x)
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((derivative - difference).abs() < 1e-7, "{i} at {x}: {derivative} against {difference}");
            }
        }
    }
}
