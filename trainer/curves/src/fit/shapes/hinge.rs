//! y = y0 + b1 · (min(x, x0) − x0) + b2 · (max(x, x0) − x0): two straight lines that meet at x0 = log10_C0.
//!
//! The optimum is found exactly (Hudson 1966): between two neighbouring samples the break is free, so there both lines
//! are fitted alone and their crossing is the optimum if it lies between the two; otherwise the break sits on a sample.

use crate::fit::samples::{Sample, Samples};
use crate::fit::shape::Shape;
use crate::solve::linear::Bound;

/// The broken line, breaking anywhere in the inner 96 % of log compute.
#[derive(Debug)]
pub(crate) struct Hinge;

/// How much of the range at either end the break keeps away from.
const MARGIN: f64 = 0.02;

impl Shape for Hinge {
    fn name(&self) -> &'static str {
        "hinge"
    }
    fn params(&self) -> &'static [&'static str] {
        &["y0", "b1", "b2", "log10_C0"]
    }
    fn bounds(&self, low: f64, high: f64) -> Vec<Bound> {
        let free = (f64::NEG_INFINITY, f64::INFINITY);
        let margin = MARGIN * (high - low);
        vec![free, free, free, (low + margin, high - margin)]
    }
    fn starts(&self, samples: &Samples) -> Vec<Vec<f64>> {
        let (low, high) = self.bounds(samples.low(), samples.high())[3];
        let mut breaks: Vec<f64> = samples.distinct().into_iter().filter(|x| (low..=high).contains(x)).collect();
        breaks.extend([low, high]);
        breaks.extend(crossings(samples).into_iter().filter(|x| (low..=high).contains(x)));
        best_of_breaks(samples, &breaks).into_iter().map(|(params, _)| params).collect()
    }
    fn value(&self, params: &[f64], x: f64) -> f64 {
        params[0] + params[1] * (x - params[3]).min(0.0) + params[2] * (x - params[3]).max(0.0)
    }
    fn gradient(&self, params: &[f64], x: f64) -> Vec<f64> {
        let from = x - params[3];
        let slope = if from < 0.0 { params[1] } else { params[2] };
        vec![1.0, from.min(0.0), from.max(0.0), -slope]
    }
    fn moved(&self, params: &mut [f64], by: f64) {
        params[3] += by;
    }
    fn is_exact(&self) -> bool {
        true
    }
}

/// The best break of some, with its misfit; none if no break gives three solvable equations.
pub(crate) fn best_of_breaks(samples: &Samples, breaks: &[f64]) -> Option<(Vec<f64>, f64)> {
    let fits = breaks.iter().filter_map(|&at| at_break(samples, at));
    fits.min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Solves y0, b1 and b2 for a given break, by elimination: the two slopes given the level at the break.
fn at_break(samples: &Samples, at: f64) -> Option<(Vec<f64>, f64)> {
    let (mut left, mut right) = (Side::default(), Side::default());
    for sample in samples.all() {
        if sample.x < at { left.add(sample, at) } else { right.add(sample, at) }
    }
    // Given y0, each slope is (Σ x y − y0 Σ x) / Σ x²; inserted, the equation of y0 is linear.
    let weight = left.w + right.w;
    let slope_free =
        |side: &Side| if side.xx > 0.0 { (side.x * side.x / side.xx, side.x * side.xy / side.xx) } else { (0.0, 0.0) };
    let ((l0, l1), (r0, r1)) = (slope_free(&left), slope_free(&right));
    let determinant = weight - l0 - r0;
    if determinant <= 1e-12 * weight {
        return None;
    }
    let level = (left.y + right.y - l1 - r1) / determinant;
    let slope = |side: &Side| if side.xx > 0.0 { (side.xy - level * side.x) / side.xx } else { 0.0 };
    let params = vec![level, slope(&left), slope(&right), at];
    let misfit = samples.misfit(|x| Hinge.value(&params, x));
    Some((params, misfit))
}

/// The weighted sums of one side, x counted from the break.
#[derive(Default)]
struct Side {
    w: f64,
    x: f64,
    xx: f64,
    y: f64,
    xy: f64,
}

impl Side {
    fn add(&mut self, sample: &Sample, origin: f64) {
        let (w, x) = (sample.weight(), sample.x - origin);
        self.w += w;
        self.x += w * x;
        self.xx += w * x * x;
        self.y += w * sample.y;
        self.xy += w * x * sample.y;
    }

    /// Level at the origin and slope.
    fn line(&self) -> Option<(f64, f64)> {
        let determinant = self.w * self.xx - self.x * self.x;
        (determinant > 1e-12 * self.w * self.xx).then(|| {
            let slope = (self.w * self.xy - self.x * self.y) / determinant;
            ((self.y - slope * self.x) / self.w, slope)
        })
    }
}

/// Where the lines through the samples up to one and from the next on cross, if they do so between the two.
fn crossings(samples: &Samples) -> Vec<f64> {
    let all = samples.all();
    let mut left = Side::default();
    let mut right = Side::default();
    all.iter().for_each(|sample| right.add(sample, 0.0));
    let mut found = vec![];
    for pair in all.windows(2) {
        left.add(&pair[0], 0.0);
        right = right.without(&pair[0]);
        if pair[1].x - pair[0].x < 1e-12 {
            continue;
        }
        if let (Some((a1, b1)), Some((a2, b2))) = (left.line(), right.line()) {
            let at = (a1 - a2) / (b2 - b1);
            if pair[0].x <= at && at <= pair[1].x {
                found.push(at);
            }
        }
    }
    found
}

impl Side {
    fn without(&self, sample: &Sample) -> Self {
        let (w, x, y) = (sample.weight(), sample.x, sample.y);
        Self { w: self.w - w, x: self.x - w * x, xx: self.xx - w * x * x, y: self.y - w * y, xy: self.xy - w * x * y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_between_samples_is_found_exactly() {
        let truth = [0.4, 0.02, 0.14, 0.23];
        let sample = |i: i32| {
            let x = f64::from(i) / 4.0 - 1.5;
            Sample { x, y: Hinge.value(&truth, x), sigma: 1.0, series: 0 }
        };
        let samples = Samples::new((0..13).map(sample).collect(), false);
        let found = Hinge.starts(&samples).remove(0);
        for (found, truth) in found.iter().zip(truth) {
            assert!((found - truth).abs() < 1e-10, "{found} is not {truth}");
        }
    }
}
