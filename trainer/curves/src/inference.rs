//! Accuracy against compute at inference: coverage, votes, and what a verifier that errs makes of them.
//!
//! Coverage is one curve per problem, 1 − (1 − p)^k, averaged over problems of very different p; its shape comes from
//! the hardest ones (Schaeffer et al. 2025, arXiv:2502.17578). Where outcomes of each problem are at hand, fit the
//! distribution of p and derive the curve ([`BetaCoverage`]); fit curves ([`CoverageLaw`]) only to published points.

use serde::Serialize;

use crate::random::ln_gamma;
use crate::solve::lbfgs;
use crate::solve::levenberg::{Residuals, minimise};
use crate::solve::symmetric::Symmetric;

/// Accuracy with k samples a problem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtK {
    /// Samples a problem.
    pub k: f64,
    /// Coverage, or accuracy of the vote.
    pub y: f64,
}

/// c = exp(−a · k^−b): the coverage law (Brown et al. 2024, arXiv:2407.21787, eq. 2, with the sign outside of a).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CoverageLaw {
    /// a > 0; coverage with one sample is e^−a.
    pub a: f64,
    /// b > 0.
    pub b: f64,
    /// Root of the mean squared residual.
    pub rmse: f64,
}

/// A − D · k^−b: votes that saturate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Saturation {
    /// Accuracy of the vote with endless samples.
    #[serde(rename = "A")]
    pub asymptote: f64,
    /// What one sample misses of it.
    #[serde(rename = "D")]
    pub missing: f64,
    /// How fast that shrinks.
    #[serde(rename = "B")]
    pub exponent: f64,
    /// Root of the mean squared residual.
    pub rmse: f64,
}

impl CoverageLaw {
    /// Fits the law by least squares in coverage; none below three points.
    pub fn fit(points: &[AtK]) -> Option<Self> {
        let (found, rmse) = least_squares(
            points,
            &|p, k| (-p[0] * k.powf(-p[1])).exp(),
            &[(1e-6, 50.0), (1e-4, 10.0)],
            &coverage_starts(),
        )?;
        Some(Self { a: found[0], b: found[1], rmse })
    }

    /// The coverage with k samples.
    pub fn predict(&self, k: f64) -> f64 {
        (-self.a * k.powf(-self.b)).exp()
    }
}

impl Saturation {
    /// Fits the form by least squares; none below four points.
    pub fn fit(points: &[AtK]) -> Option<Self> {
        let starts: Vec<Vec<f64>> =
            [0.1, 0.3, 0.6, 1.0, 2.0].iter().flat_map(|&b| [0.3, 0.6, 0.95].map(|a| vec![a, 0.2, b])).collect();
        let bounds = [(0.0, 1.0), (-1.0, 1.5), (0.01, 20.0)];
        let (found, rmse) = least_squares(points, &|p, k| p[0] - p[1] * k.powf(-p[2]), &bounds, &starts)?;
        Some(Self { asymptote: found[0], missing: found[1], exponent: found[2], rmse })
    }

    /// The accuracy with k samples.
    pub fn predict(&self, k: f64) -> f64 {
        self.asymptote - self.missing * k.powf(-self.exponent)
    }
}

fn coverage_starts() -> Vec<Vec<f64>> {
    [0.2, 1.0, 3.0, 8.0].iter().flat_map(|&a| [0.05, 0.2, 0.5, 1.0].map(|b| vec![a, b])).collect()
}

/// A formula of parameters and k.
type Formula<'a> = &'a dyn Fn(&[f64], f64) -> f64;

fn least_squares(
    points: &[AtK],
    formula: Formula<'_>,
    bounds: &[(f64, f64)],
    starts: &[Vec<f64>],
) -> Option<(Vec<f64>, f64)> {
    if points.len() <= bounds.len() || points.iter().any(|p| !p.y.is_finite() || !p.k.is_finite() || p.k <= 0.0) {
        return None;
    }
    let problem = Curve { points, formula };
    let ends = starts.iter().map(|start| minimise(&problem, start, bounds));
    let (found, squares) = ends.min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some((found, (squares / points.len() as f64).sqrt()))
}

/// Residuals with derivatives by central differences, which suffice for a handful of published points.
struct Curve<'a> {
    points: &'a [AtK],
    formula: Formula<'a>,
}

impl Residuals for Curve<'_> {
    fn linearise(&self, params: &[f64], normal: &mut Symmetric, gradient: &mut [f64]) -> f64 {
        for point in self.points {
            let residual = (self.formula)(params, point.k) - point.y;
            let slope: Vec<f64> = (0..params.len())
                .map(|i| {
                    let h = 1e-6 * params[i].abs().max(1e-3);
                    let at = |by: f64| {
                        let mut moved = params.to_vec();
                        moved[i] += by;
                        (self.formula)(&moved, point.k)
                    };
                    (at(h) - at(-h)) / (2.0 * h)
                })
                .collect();
            normal.add_outer(&slope, 1.0);
            gradient.iter_mut().zip(&slope).for_each(|(g, s)| *g += residual * s);
        }
        self.misfit(params)
    }

    fn misfit(&self, params: &[f64]) -> f64 {
        self.points.iter().map(|p| ((self.formula)(params, p.k) - p.y).powi(2)).sum()
    }
}

/// Problems whose chance of a right sample is Beta(α, β) distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BetaCoverage {
    /// α: coverage approaches 1 as k^−α.
    pub alpha: f64,
    /// β.
    pub beta: f64,
}

impl BetaCoverage {
    /// Fits by maximum likelihood of the right ones among samples of each problem (beta-binomial); none below two
    /// problems, or if all problems are alike at 0 or at 1.
    pub fn fit(outcomes: &[(u64, u64)]) -> Option<Self> {
        let (right, n): (u64, u64) = outcomes.iter().fold((0, 0), |sum, (c, n)| (sum.0 + c, sum.1 + n));
        if outcomes.len() < 2 || right == 0 || right == n || outcomes.iter().any(|(c, n)| c > n) {
            return None;
        }
        let likelihood = Likelihood(outcomes);
        let mean = right as f64 / n as f64;
        let ends = [0.2, 1.0, 5.0]
            .map(|size: f64| lbfgs::minimise(&likelihood, &[(mean * size).ln(), ((1.0 - mean) * size).ln()], 500));
        let (found, _) = ends.into_iter().filter(|end| end.1.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Self { alpha: found[0].exp(), beta: found[1].exp() })
    }

    /// The coverage with k samples: 1 − B(α, β + k) / B(α, β).
    pub fn predict(&self, k: f64) -> f64 {
        let (a, b) = (self.alpha, self.beta);
        1.0 - (ln_gamma(b + k) + ln_gamma(a + b) - ln_gamma(b) - ln_gamma(a + b + k)).exp()
    }
}

/// Minus the log likelihood in ln α and ln β; differences of ln Γ at whole distances are sums of logarithms.
struct Likelihood<'a>(&'a [(u64, u64)]);

impl lbfgs::Smooth for Likelihood<'_> {
    fn evaluate(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (a, b) = (x[0].exp(), x[1].exp());
        let rising = |from: f64, steps: u64| {
            (0..steps).map(|i| from + i as f64).fold((0.0, 0.0), |(log, slope), v| (log + v.ln(), slope + 1.0 / v))
        };
        gradient.fill(0.0);
        let mut sum = 0.0;
        for &(c, n) in self.0 {
            let ((log_a, by_a), (log_b, by_b), (log_n, by_n)) = (rising(a, c), rising(b, n - c), rising(a + b, n));
            sum -= log_a + log_b - log_n;
            gradient[0] -= a * (by_a - by_n);
            gradient[1] -= b * (by_b - by_n);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(f: impl Fn(f64) -> f64) -> Vec<AtK> {
        (0..10).map(|i| 2_f64.powi(i)).map(|k| AtK { k, y: f(k) }).collect()
    }

    #[test]
    fn laws_are_recovered_from_their_own_points() {
        let law = CoverageLaw::fit(&points(|k| (-2.5 * k.powf(-0.4)).exp())).unwrap();
        assert!((law.a - 2.5).abs() < 1e-7 && (law.b - 0.4).abs() < 1e-7, "{law:?}");
        let votes = Saturation::fit(&points(|k| 0.414 - 0.15 * k.powf(-0.7))).unwrap();
        assert!((votes.asymptote - 0.414).abs() < 1e-7 && (votes.exponent - 0.7).abs() < 1e-6, "{votes:?}");
        assert!(Saturation::fit(&points(|_| 0.5)[..3]).is_none());
    }

    #[test]
    fn the_curve_of_uniform_problems_is_known() {
        // p uniform on [0, 1]: coverage is k / (k + 1), and counts of n samples are uniform on 0..=n.
        let flat = BetaCoverage { alpha: 1.0, beta: 1.0 };
        assert!((flat.predict(1.0) - 0.5).abs() < 1e-12 && (flat.predict(9.0) - 0.9).abs() < 1e-12);
        let outcomes: Vec<(u64, u64)> = (0..=20).map(|c| (c, 20)).collect();
        let found = BetaCoverage::fit(&outcomes).unwrap();
        assert!((found.alpha - 1.0).abs() < 1e-6 && (found.beta - 1.0).abs() < 1e-6, "{found:?}");
        assert!(BetaCoverage::fit(&[(0, 5), (0, 5)]).is_none());
    }
}
