//! Error against compute or data across model sizes: ln(1 − y) = −k(N) · ln X + E(N), with k(N) = K_max / (1 + N0 / N).
//!
//! Tan et al. 2025 (arXiv:2509.25300, eq. 3): larger models learn faster, up to K_max. For frontiers over the size of the
//! model only: within one size it is a power law of the error, which knows no asymptote.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fit::Sample;

/// Points of one model size.
#[derive(Clone, Debug)]
pub struct SizeCurve {
    /// Parameters N.
    pub params: f64,
    /// Points: base-ten logarithm of X, and accuracy.
    pub samples: Vec<Sample>,
}

/// The law across sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AcrossSizes {
    /// How fast the largest models learn.
    pub k_max: f64,
    /// The size that learns half as fast.
    pub n_half: f64,
    /// E(N) by size, in order.
    pub intercepts: Vec<f64>,
    /// Root of the mean squared residual, in ln(1 − y).
    pub rmse: f64,
}

/// Fits the law by least squares in ln(1 − y): N0 on a grid that is refined, the rest solved exactly.
///
/// None below two sizes, without two different X for some size, or if some accuracy is 1.
pub fn across_sizes(curves: &[SizeCurve]) -> Option<AcrossSizes> {
    let is_usable = curves.iter().flat_map(|curve| &curve.samples).all(|s| s.y < 1.0 && s.x.is_finite());
    let sizes: BTreeMap<u64, ()> = curves.iter().map(|curve| (curve.params.to_bits(), ())).collect();
    if sizes.len() < 2 || !is_usable || curves.iter().any(|c| c.params <= 0.0 || c.samples.is_empty()) {
        return None;
    }
    let logs = curves.iter().map(|curve| curve.params.ln());
    let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), log| (l.min(log), h.max(log)));
    let (mut from, mut to) = (low - 7.0, high + 7.0);
    for _ in 0..12 {
        let grid = (0..=40).map(|i| from + (to - from) * f64::from(i) / 40.0);
        let scored = grid.filter_map(|log| Some((log, given(curves, log.exp())?.rmse)));
        let (best, _) = scored.min_by(|a, b| a.1.total_cmp(&b.1))?;
        let step = (to - from) / 40.0;
        (from, to) = (best - step, best + step);
    }
    given(curves, (0.5 * (from + to)).exp())
}

/// The law for a given N0: every size has its own mean, the common K_max is a regression through the rest.
fn given(curves: &[SizeCurve], n_half: f64) -> Option<AcrossSizes> {
    let rate = |curve: &SizeCurve| (1.0 + n_half / curve.params).recip();
    let ln_x = |s: &Sample| s.x * std::f64::consts::LN_10;
    let ln_error = |s: &Sample| (1.0 - s.y).ln();
    let mean = |curve: &SizeCurve, f: &dyn Fn(&Sample) -> f64| {
        curve.samples.iter().map(f).sum::<f64>() / curve.samples.len() as f64
    };
    let (mut xx, mut xy) = (0.0, 0.0);
    for curve in curves {
        let (mean_x, mean_y) = (mean(curve, &ln_x), mean(curve, &ln_error));
        for sample in &curve.samples {
            let x = -rate(curve) * (ln_x(sample) - mean_x);
            xx += x * x;
            xy += x * (ln_error(sample) - mean_y);
        }
    }
    if xx <= 0.0 {
        return None;
    }
    let k_max = xy / xx;
    let intercepts: Vec<f64> =
        curves.iter().map(|curve| mean(curve, &ln_error) + k_max * rate(curve) * mean(curve, &ln_x)).collect();
    let (mut squares, mut n) = (0.0, 0.0);
    for (curve, intercept) in curves.iter().zip(&intercepts) {
        for sample in &curve.samples {
            squares += (ln_error(sample) - (intercept - k_max * rate(curve) * ln_x(sample))).powi(2);
            n += 1.0;
        }
    }
    Some(AcrossSizes { k_max, n_half, intercepts, rmse: f64::sqrt(squares / n) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_is_recovered() {
        let curve = |params: f64, intercept: f64| {
            let k = 0.09 / (1.0 + 3e9 / params);
            let sample = |i: i32| {
                let x = 3.0 + f64::from(i) / 3.0;
                let y = 1.0 - (intercept - k * x * std::f64::consts::LN_10).exp();
                Sample { x, y, sigma: 1.0, series: 0 }
            };
            SizeCurve { params, samples: (0..8).map(sample).collect() }
        };
        let curves = [curve(5e8, -0.1), curve(3e9, -0.2), curve(1.4e10, -0.3)];
        let found = across_sizes(&curves).unwrap();
        assert!((found.k_max - 0.09).abs() < 1e-6 && (found.n_half / 3e9 - 1.0).abs() < 1e-4, "{found:?}");
        assert!((found.intercepts[2] + 0.3).abs() < 1e-5, "{found:?}");
        assert!(across_sizes(&curves[..1]).is_none());
    }
}
