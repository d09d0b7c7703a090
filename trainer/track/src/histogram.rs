//! Histograms of what rollouts have in common, for tools that keep counts instead of values.

use crate::replay::Rollout;

/// Bins of a histogram.
const N_BINS: usize = 32;

/// Counts of values in bins of equal width.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    /// Where bins begin and the last ends, in rising order; one more than counts.
    pub(crate) edges: Vec<f64>,
    /// How many values lie in each bin; the upper edge belongs to the last bin alone.
    pub(crate) counts: Vec<u64>,
    /// The smallest value.
    pub(crate) min: f64,
    /// The largest value.
    pub(crate) max: f64,
    /// The sum of the values.
    pub(crate) sum: f64,
    /// The sum of their squares.
    pub(crate) sum_squares: f64,
}

impl Histogram {
    /// Counts the finite values; none if there is none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let min = values.iter().copied().reduce(f64::min)?;
        let max = values.iter().copied().reduce(f64::max)?;
        // Equal values stand in the middle of a range of width 1, as NumPy has it.
        let (low, high) = if min < max { (min, max) } else { (min - 0.5, max + 0.5) };
        let width = (high - low) / N_BINS as f64;
        let mut counts = vec![0; N_BINS];
        for value in &values {
            counts[(((value - low) / width) as usize).min(N_BINS - 1)] += 1;
        }
        Some(Self {
            edges: (0..N_BINS).map(|i| low + width * i as f64).chain([high]).collect(),
            counts,
            min,
            max,
            sum: values.iter().sum(),
            sum_squares: values.iter().map(|value| value * value).sum(),
        })
    }
}

/// The histograms of a step's rollouts, by name.
pub(crate) fn of_rollouts(rollouts: &[Rollout]) -> Vec<(&'static str, Histogram)> {
    let of = |value: &dyn Fn(&Rollout) -> Option<f64>| Histogram::of(rollouts.iter().filter_map(value));
    let all = [
        ("histogram/reward", of(&|rollout| rollout.reward)),
        ("histogram/advantage", of(&|rollout| rollout.advantage)),
        ("histogram/length", of(&|rollout| Some(rollout.n_tokens as f64))),
    ];
    all.into_iter().filter_map(|(name, histogram)| Some((name, histogram?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts that are not 0, with their bins.
    #[track_caller]
    fn check(values: &[f64], edges: (f64, f64), expected: &[(usize, u64)]) {
        let found = Histogram::of(values.iter().copied()).unwrap();
        let counts: Vec<(usize, u64)> =
            found.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
        assert_eq!((found.edges[0], found.edges[32], counts.as_slice()), (edges.0, edges.1, expected));
        assert_eq!(found.edges.len(), 33);
    }

    #[test]
    fn values_fall_into_bins_of_equal_width() {
        check(&[0.0, 1.0, 31.9, 32.0], (0.0, 32.0), &[(0, 1), (1, 1), (31, 2)]);
        check(&[2.0, 2.0], (1.5, 2.5), &[(16, 2)]);
        check(&[f64::NAN, -1.0, f64::INFINITY, 1.0], (-1.0, 1.0), &[(0, 1), (31, 1)]);
        assert_eq!(Histogram::of([f64::NAN].into_iter()), None);
    }

    #[test]
    fn moments_are_those_of_the_values() {
        let found = Histogram::of([1.0, 2.0, 5.0].into_iter()).unwrap();
        assert_eq!((found.min, found.max, found.sum, found.sum_squares), (1.0, 5.0, 8.0, 30.0));
    }

    #[test]
    fn rollouts_without_a_reward_are_left_out() {
        let rollout = |reward, n_tokens| Rollout { reward, n_tokens, ..Rollout::default() };
        let found = of_rollouts(&[rollout(Some(1.0), 3), rollout(None, 5)]);
        let sums: Vec<(&str, f64)> = found.iter().map(|(name, histogram)| (*name, histogram.sum)).collect();
        assert_eq!(sums, [("histogram/reward", 1.0), ("histogram/length", 8.0)]);
    }
}
