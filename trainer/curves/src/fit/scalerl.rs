//! ScaleRL's own way to fit its law, for comparison with its published numbers only.
//!
//! Khatri et al. 2025 (arXiv:2510.13786, appendix on fitting): the start R0 is given, A and C_mid lie on grids, B is
//! fitted in each cell from 1, every point weighs the same, and the cell of the least sum of squares wins. Its grid costs
//! digits: on noise-free data of its own "32k" row it returns A 0.650 and B 1.846 for a truth of 0.645 and 1.89.

use serde::Serialize;

use super::shape::{Shape, linear_grid};
use super::shapes::sigmoid::Sigmoid;
use crate::points::Series;
use crate::solve::levenberg::{Residuals, minimise};
use crate::solve::symmetric::Symmetric;

/// The law as ScaleRL would fit it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScaleRl {
    /// The given start.
    #[serde(rename = "R0")]
    pub start: f64,
    /// The asymptote, on a grid of 0.005.
    #[serde(rename = "A")]
    pub asymptote: f64,
    /// The compute at which half of the gain is made, on a grid of 403.
    #[serde(rename = "Cmid")]
    pub midpoint: f64,
    /// The exponent.
    #[serde(rename = "B")]
    pub exponent: f64,
    /// The sum of squared residuals.
    pub ssr: f64,
}

/// The bounds of the exponent, which keep the search of a cell far from the truth in the domain of numbers.
const EXPONENT: (f64, f64) = (1e-3, 50.0);

/// Fits the law on ScaleRL's grids, whose C_mid lies between 100 and 40 000: compute is in its unit of GPU hours.
///
/// None without points.
pub fn scalerl(series: &[Series], start: f64) -> Option<ScaleRl> {
    let points = series.iter().flat_map(|s| &s.points).filter(|point| point.compute > 0.0);
    let points: Vec<(f64, f64)> = points.map(|point| (point.compute.log10(), point.y)).collect();
    if points.is_empty() {
        return None;
    }
    let asymptotes = (0..=70).map(|i| 0.45 + 0.005 * f64::from(i));
    let midpoints = linear_grid(100.0, 40_000.0, 100);
    let cells = asymptotes.flat_map(|a| midpoints.iter().map(move |&midpoint| (a, midpoint)));
    let fitted = cells.map(|(asymptote, midpoint)| {
        let cell = Cell { points: &points, start, asymptote, log_midpoint: midpoint.log10() };
        let (exponent, ssr) = minimise(&cell, &[1.0], &[EXPONENT]);
        ScaleRl { start, asymptote, midpoint, exponent: exponent[0], ssr }
    });
    fitted.min_by(|a, b| a.ssr.total_cmp(&b.ssr))
}

struct Cell<'a> {
    points: &'a [(f64, f64)],
    start: f64,
    asymptote: f64,
    log_midpoint: f64,
}

impl Cell<'_> {
    fn params(&self, exponent: f64) -> [f64; 4] {
        [self.start, self.asymptote, exponent, self.log_midpoint]
    }
}

impl Residuals for Cell<'_> {
    fn linearise(&self, params: &[f64], normal: &mut Symmetric, gradient: &mut [f64]) -> f64 {
        let law = self.params(params[0]);
        let mut ssr = 0.0;
        for &(x, y) in self.points {
            let residual = Sigmoid.value(&law, x) - y;
            let slope = Sigmoid.gradient(&law, x)[2];
            normal.add_outer(&[slope], 1.0);
            gradient[0] += slope * residual;
            ssr += residual * residual;
        }
        ssr
    }

    fn misfit(&self, params: &[f64]) -> f64 {
        let law = self.params(params[0]);
        self.points.iter().map(|&(x, y)| (Sigmoid.value(&law, x) - y).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::Point;

    /// A row of ScaleRL's Table 1 without noise, and what its grid makes of it (`scalerl_table1_noisefree`).
    #[track_caller]
    fn check(truth: [f64; 3], expected: [f64; 3]) {
        let [asymptote, exponent, midpoint] = truth;
        let law = [0.25, asymptote, exponent, f64::log10(midpoint)];
        let compute = (3..=60).map(|i| 500.0 * f64::from(i));
        let point = |c: f64| Point { step: 0, compute: c, y: Sigmoid.value(&law, c.log10()), lenient: None, n: None };
        let points: Vec<Point> = compute.map(point).collect();
        let found = scalerl(&[Series { name: "s".to_owned(), set: "set".to_owned(), points }], 0.25).unwrap();
        for (found, expected) in [found.asymptote, found.exponent, found.midpoint].into_iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_grid_rounds_as_published() {
        check([0.61, 1.92, 2542.0], [0.61, 1.904_978_668, 2_518.181_818]);
        check([0.645, 1.89, 11_272.0], [0.65, 1.845_915_971, 11_384.848_485]);
    }
}
