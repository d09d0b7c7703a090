//! What forms are fitted to: accuracies with their noise, in order of compute.

use crate::points::{Point, Series};

/// A measured accuracy at some compute above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Base-ten logarithm of the compute.
    pub x: f64,
    /// Accuracy.
    pub y: f64,
    /// Its standard deviation; 1 for all samples if none is known.
    pub sigma: f64,
    /// From which series it is.
    pub series: usize,
}

impl Sample {
    /// Returns 1 / σ².
    pub fn weight(&self) -> f64 {
        (self.sigma * self.sigma).recip()
    }
}

/// Samples in order of compute.
#[derive(Clone, Debug)]
pub struct Samples {
    all: Vec<Sample>,
    is_weighted: bool,
    /// Points behind the samples; more than samples where points were averaged.
    n: usize,
    /// Σ (y − mean)² / σ² within averaged points, which no curve through them could explain.
    within: f64,
}

/// More points than this are averaged in as many bins of equal width in log compute: a fit of some parameters gains
/// nothing from a finer axis, and a million rows take as long as two thousand.
const MOST: usize = 2000;

impl Samples {
    /// Takes the points of some series; points without compute, measured before the first step, are no samples.
    ///
    /// A point with `n` trials has σ² = p (1 − p) / n with p = (k + 1) / (n + 2), which is never 0. If some point does not
    /// tell its trials, all weigh the same.
    pub fn of(series: &[Series]) -> Self {
        let points: Vec<(usize, &Point)> = series
            .iter()
            .enumerate()
            .flat_map(|(i, s)| s.points.iter().map(move |point| (i, point)))
            .filter(|(_, point)| point.compute > 0.0)
            .collect();
        let is_weighted = points.iter().all(|(_, point)| point.n.is_some_and(|n| n > 0.0));
        let sample = |&(series, point): &(usize, &Point)| {
            let sigma = point.n.filter(|_| is_weighted).map_or(1.0, |n| binomial_sigma(point.y, n));
            Sample { x: point.compute.log10(), y: point.y, sigma, series }
        };
        Self::new(points.iter().map(sample).collect(), is_weighted)
    }

    /// Takes samples in any order; `is_weighted` says whether their `sigma` is a standard deviation.
    pub fn new(mut all: Vec<Sample>, is_weighted: bool) -> Self {
        all.sort_by(|a, b| a.x.total_cmp(&b.x));
        let n = all.len();
        let samples = Self { all, is_weighted, n, within: 0.0 };
        if n > MOST { samples.averaged() } else { samples }
    }

    /// Averages samples in bins of equal width, by their weights.
    fn averaged(self) -> Self {
        let (low, decades) = (self.all[0].x, self.decades());
        let bin = |sample: &Sample| ((sample.x - low) / decades.max(f64::MIN_POSITIVE) * MOST as f64) as usize;
        let mut all = vec![];
        let mut within = 0.0;
        for group in self.all.chunk_by(|a, b| bin(a) == bin(b)) {
            let weight: f64 = group.iter().map(Sample::weight).sum();
            let mean = |f: fn(&Sample) -> f64| group.iter().map(|s| s.weight() * f(s)).sum::<f64>() / weight;
            let (x, y) = (mean(|s| s.x), mean(|s| s.y));
            within += group.iter().map(|s| s.weight() * (s.y - y).powi(2)).sum::<f64>();
            all.push(Sample { x, y, sigma: weight.sqrt().recip(), series: group[0].series });
        }
        Self { all, within, ..self }
    }

    /// Returns the samples.
    pub fn all(&self) -> &[Sample] {
        &self.all
    }

    /// Returns how many points are behind the samples.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Returns whether every point told its number of trials, so that `sigma` is a standard deviation.
    pub fn is_weighted(&self) -> bool {
        self.is_weighted
    }

    /// Returns whether points were averaged, because there are so many.
    pub fn is_averaged(&self) -> bool {
        self.n > self.all.len()
    }

    /// Returns the decades of compute that the samples span.
    pub fn decades(&self) -> f64 {
        self.high() - self.low()
    }

    /// Returns the smallest logarithm of compute; 0 without samples.
    pub fn low(&self) -> f64 {
        self.all.first().map_or(0.0, |sample| sample.x)
    }

    /// Returns the largest logarithm of compute; 0 without samples.
    pub fn high(&self) -> f64 {
        self.all.last().map_or(0.0, |sample| sample.x)
    }

    /// Returns the different values of log compute in order.
    pub fn distinct(&self) -> Vec<f64> {
        let mut xs: Vec<f64> = self.all.iter().map(|sample| sample.x).collect();
        xs.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
        xs
    }

    /// Returns the number of different values of compute.
    pub fn n_distinct(&self) -> usize {
        self.distinct().len()
    }

    /// Splits into samples at most at a logarithm of compute, and the rest.
    pub fn split(&self, limit: f64) -> (Self, Self) {
        let at = self.all.partition_point(|sample| sample.x <= limit + 1e-12);
        let share = |part: &[Sample]| {
            let n = (self.n as f64 * part.len() as f64 / self.all.len().max(1) as f64).round() as usize;
            let within = self.within * part.len() as f64 / self.all.len().max(1) as f64;
            Self { all: part.to_vec(), is_weighted: self.is_weighted, n: n.max(part.len()), within }
        };
        (share(&self.all[..at]), share(&self.all[at..]))
    }

    /// Returns the samples with the origin of log compute moved to `to`, and accuracies as given by `y`.
    pub(crate) fn mapped(&self, to: f64, mut y: impl FnMut(usize, &Sample) -> f64) -> Self {
        let all = self.all.iter().enumerate().map(|(i, s)| Sample { x: s.x - to, y: y(i, s), ..*s }).collect();
        Self { all, ..*self }
    }

    /// Returns Σ f / σ².
    pub(crate) fn sum(&self, f: impl Fn(&Sample) -> f64) -> f64 {
        self.all.iter().map(|sample| f(sample) * sample.weight()).sum()
    }

    /// Returns Σ (y − f(x))² / σ², what lies within averaged points included.
    pub(crate) fn misfit(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.sum(|sample| (sample.y - f(sample.x)).powi(2)) + self.within
    }

    /// Returns the weighted mean of log compute.
    pub(crate) fn centre(&self) -> f64 {
        self.sum(|sample| sample.x) / self.sum(|_| 1.0)
    }
}

/// The standard deviation of a share `y` of `n` trials: √(p (1 − p) / n) with p = (k + 1) / (n + 2).
pub fn binomial_sigma(y: f64, n: f64) -> f64 {
    let p = (y * n + 1.0) / (n + 2.0);
    (p * (1.0 - p) / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_smoothed_binomial() {
        assert!((binomial_sigma(0.5, 100.0) - 0.05).abs() < 1e-15);
        assert!(binomial_sigma(0.0, 10.0) > 0.0 && binomial_sigma(1.0, 10.0) > 0.0);
    }

    #[test]
    fn averaging_keeps_the_sums() {
        let sample = |i: usize| {
            let x = i as f64 / 1e4;
            Sample { x, y: 0.1 * x + if i.is_multiple_of(2) { 0.01 } else { -0.01 }, sigma: 0.02, series: 0 }
        };
        let many: Vec<Sample> = (0..30_000).map(sample).collect();
        let exact: f64 = many.iter().map(|s| ((s.y - 0.1 * s.x) / s.sigma).powi(2)).sum();
        let averaged = Samples::new(many, true);
        assert!(averaged.all().len() <= 2001 && averaged.n() == 30_000);
        let misfit = averaged.misfit(|x| 0.1 * x);
        assert!((misfit / exact - 1.0).abs() < 1e-3, "{misfit} against {exact}");
    }

    #[test]
    fn one_point_without_trials_makes_all_equal() {
        let point = |n| Point { step: 0, compute: 10.0, y: 0.5, lenient: None, n };
        let series = |points| Series { name: "s".to_owned(), set: "set".to_owned(), points };
        assert!(Samples::of(&[series(vec![point(Some(9.0))])]).is_weighted());
        let mixed = Samples::of(&[series(vec![point(Some(9.0)), point(None)])]);
        assert!(!mixed.is_weighted() && mixed.all()[0].sigma == 1.0);
    }
}
