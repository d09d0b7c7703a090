//! Two checkpoints on the same problems.

use super::Interval;
use crate::random::Random;

/// A difference of two means over the same problems.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The mean of second minus first.
    pub mean: f64,
    /// Its 95 % interval by drawing problems, both checkpoints together.
    pub interval: Interval,
}

/// Compares two checkpoints by their values on each problem, in the same order; none if there is no problem.
///
/// Problems that are hard for one are hard for the other, so that the difference is surer than either mean.
///
/// # Panics
///
/// If the lengths differ.
pub fn paired_difference(first: &[f64], second: &[f64], draws: usize, seed: u64) -> Option<Difference> {
    assert_eq!(first.len(), second.len(), "the problems must be the same");
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
    let n = differences.len();
    if n == 0 {
        return None;
    }
    let mut random = Random::keyed(seed);
    let means = (0..draws).map(|_| (0..n).map(|_| differences[random.below(n)]).sum::<f64>() / n as f64).collect();
    let mean = differences.iter().sum::<f64>() / n as f64;
    Some(Difference { mean, interval: Interval::of_draws(means, 0.95)? })
}

/// The two-sided probability that problems which changed would be as lopsided if both checkpoints were equally good:
/// McNemar's test, exact. 1 if nothing changed.
///
/// # Examples
///
/// ```
/// use rlvr_curves::estimate::mcnemar;
///
/// // Ten problems gained and two lost: 2 (1 + 12 + 66) / 4096.
/// assert!((mcnemar(10, 2) - 158.0 / 4096.0).abs() < 1e-12);
/// ```
pub fn mcnemar(gained: u64, lost: u64) -> f64 {
    let n = gained + lost;
    let tail: f64 = (0..=gained.min(lost))
        .map(|i| (crate::random::ln_choose(n, i) - n as f64 * std::f64::consts::LN_2).exp())
        .sum();
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two-sided probabilities of the exact binomial test, computed with fractions.
    #[test]
    fn known_probabilities_of_the_exact_test() {
        for (gained, lost, expected) in [
            (0, 0, 1.0),
            (1, 0, 1.0),
            (5, 0, 0.0625),
            (9, 1, 22.0 / 1024.0),
            (3, 3, 1.0),
            (15, 5, 0.041_389_465_332_031_25),
            (59, 35, 0.017_209_595_585_930_46),
        ] {
            let p = mcnemar(gained, lost);
            assert!((p - expected).abs() < 1e-9, "{gained} against {lost}: {p}");
            assert!((p - mcnemar(lost, gained)).abs() < 1e-12, "the test is two-sided");
        }
    }

    #[test]
    fn pairing_narrows_the_interval() {
        // 300 problems half of which are hard for both; the second checkpoint gains 15 of them.
        let first: Vec<f64> = (0..300).map(|i| f64::from(u8::from(i < 150))).collect();
        let second: Vec<f64> = (0..300).map(|i| f64::from(u8::from(i < 165))).collect();
        let found = paired_difference(&first, &second, 4000, 1).unwrap();
        assert!((found.mean - 0.05).abs() < 1e-12);
        // The standard error is √(.05 · .95 / 300) = .0126; unpaired it would be .041.
        assert!(
            (found.interval.low - 0.0267).abs() < 0.004 && (found.interval.high - 0.0767).abs() < 0.004,
            "{found:?}"
        );
        assert_eq!(mcnemar(0, 0), 1.0);
    }
}
