//! Estimators of accuracy from `n` samples a problem, `c` of them right, and their intervals.

mod best_of;
mod paired;

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

pub use best_of::{Ballot, NoisyVerifier, best_of_k, weighted_vote};
pub use paired::{Difference, mcnemar, paired_difference};

/// The probability that at least one of `k` samples is right, estimated without bias from `c` right ones of `n`.
///
/// `1 − C(n−c, k) / C(n, k)`, as the product `1 − ∏_{i=n−c+1}^{n} (1 − k/i)` (Chen et al. 2021, arXiv:2107.03374, §2.1).
/// None if fewer than `k` samples were drawn.
///
/// # Examples
///
/// ```
/// use rlvr_curves::estimate::pass_at_k;
///
/// assert_eq!(pass_at_k(4, 1, 1), Some(0.25));
/// assert_eq!(pass_at_k(4, 1, 2), Some(0.5));
/// assert_eq!(pass_at_k(4, 1, 5), None);
/// ```
pub fn pass_at_k(n: u64, c: u64, k: u64) -> Option<f64> {
    if k == 0 || n < k || c > n {
        return None;
    }
    if n - c < k {
        return Some(1.0);
    }
    let none_right: f64 = (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product();
    Some(1.0 - none_right)
}

/// The votes of `n` samples of one problem: how many gave the right answer, and how many gave each other one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// Samples with the right answer.
    pub right: u64,
    /// Samples for each wrong answer.
    pub wrong: Vec<u64>,
    /// Samples without an answer; they do not vote.
    pub abstentions: u64,
}

impl Votes {
    /// Counts answers; samples that are right vote together, however they are spelt.
    pub fn count<'a>(samples: impl IntoIterator<Item = (Option<&'a str>, bool)>) -> Self {
        let mut votes = Self::default();
        let mut wrong: BTreeMap<&str, u64> = BTreeMap::new();
        for (answer, is_right) in samples {
            match answer {
                _ if is_right => votes.right += 1,
                Some(answer) => *wrong.entry(answer).or_default() += 1,
                None => votes.abstentions += 1,
            }
        }
        votes.wrong = wrong.into_values().collect();
        votes
    }

    fn n(&self) -> u64 {
        self.right + self.wrong.iter().sum::<u64>() + self.abstentions
    }
}

/// The probability that the majority of `k` samples is right, ties split evenly, exact over all `k`-subsets.
///
/// `Σ_{m≥1} C(r, m) Σ_j [x^{k−m} z^j] ∏_a (Σ_{t<m} C(n_a, t) x^t + z C(n_a, m) x^m) · (1+x)^{n_0} / (j+1)`, over
/// `C(n, k)`: `m` right votes, `j` other answers with as many. None if fewer than `k` samples were drawn.
pub fn majority_at_k(votes: &Votes, k: u64) -> Option<f64> {
    if k == 0 || votes.n() < k {
        return None;
    }
    // C(n, t) is replaced by the binomial probability of t at the rate k / n, which multiplies every product by the same
    // factor and keeps all numbers near 1: factorials of a thousand samples have no place in a float.
    let rate = (k as f64 / votes.n() as f64).min(1.0 - 0.5 / votes.n() as f64);
    let draws = |n: u64, t: u64| binomial_probability(n, t, rate);
    let mut probability = 0.0;
    for m in 1..=votes.right.min(k) {
        // ways[j][s]: probability to draw s votes for other answers, j of which tie.
        let room = (k - m) as usize;
        // Each tie takes m of the votes that are left, so that few can tie.
        let mut ways = vec![vec![0.0; room + 1]; votes.wrong.len().min(room / m as usize) + 1];
        ways[0][0] = 1.0;
        for &n in &votes.wrong {
            ways = with_answer(&ways, n, m, &draws);
        }
        let with_abstentions = |row: &[f64]| -> f64 {
            (0..=room.min(votes.abstentions as usize)).map(|t| row[room - t] * draws(votes.abstentions, t as u64)).sum()
        };
        let ties: f64 = ways.iter().enumerate().map(|(j, row)| with_abstentions(row) / (j + 1) as f64).sum();
        probability += ties * draws(votes.right, m);
    }
    Some(probability / draws(votes.n(), k))
}

/// The share of problems' votes at endless samples: 1 if the modal answer is right, a fraction if it ties.
pub fn majority_in_the_limit(votes: &Votes) -> f64 {
    let most = votes.wrong.iter().copied().max().unwrap_or(0);
    if votes.right == 0 || votes.right < most {
        return 0.0;
    }
    1.0 / (1 + votes.wrong.iter().filter(|&&n| n == votes.right).count()) as f64
}

/// Multiplies the generating function by that of one more answer with `n` votes: fewer than `m`, or exactly `m` and a tie.
fn with_answer(ways: &[Vec<f64>], n: u64, m: u64, draws: &dyn Fn(u64, u64) -> f64) -> Vec<Vec<f64>> {
    let width = ways[0].len();
    let chances: Vec<f64> = (0..=n.min(m)).map(|t| draws(n, t)).collect();
    let mut next = vec![vec![0.0; width]; ways.len()];
    for (j, row) in ways.iter().enumerate() {
        for (s, &chance) in row.iter().enumerate().filter(|(_, chance)| **chance != 0.0) {
            for (t, &of_t) in chances.iter().enumerate().take(width - s) {
                let j = if t as u64 == m { j + 1 } else { j };
                if j < next.len() {
                    next[j][s + t] += chance * of_t;
                }
            }
        }
    }
    next
}

/// C(n, t) rᵗ (1 − r)ⁿ⁻ᵗ for 0 < r < 1.
fn binomial_probability(n: u64, t: u64, rate: f64) -> f64 {
    const EXACT: u64 = 1000;
    if n > EXACT {
        return (crate::random::ln_choose(n, t) + t as f64 * rate.ln() + (n - t) as f64 * (1.0 - rate).ln()).exp();
    }
    choose(n, t) * rate.powi(t as i32) * (1.0 - rate).powi((n - t) as i32)
}

fn choose(n: u64, k: u64) -> f64 {
    if k > n {
        return 0.0;
    }
    let k = k.min(n - k);
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Returns the central interval of draws, by interpolated percentiles; none if there are none.
    pub fn of_draws(mut draws: Vec<f64>, level: f64) -> Option<Self> {
        draws.retain(|draw| !draw.is_nan());
        draws.sort_by(f64::total_cmp);
        let last = draws.len().checked_sub(1)?;
        let quantile = |q: f64| {
            let at = q * last as f64;
            let below = at.floor() as usize;
            draws[below] + (at - below as f64) * (draws[(below + 1).min(last)] - draws[below])
        };
        Some(Self { low: quantile(0.5 * (1.0 - level)), high: quantile(0.5 * (1.0 + level)) })
    }
}

/// Student's quantile of a two-sided 95 % interval for some degrees of freedom.
///
/// # Panics
///
/// If there are none.
pub fn student_95(dof: usize) -> f64 {
    const TABLE: [f64; 12] = [
        12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157, 2.228_139,
        2.200_985, 2.178_813,
    ];
    assert!(dof > 0, "an interval needs a degree of freedom");
    // Beyond the table the expansion about the normal quantile is good to 1e-5 (Abramowitz and Stegun 26.7.5).
    let v = dof as f64;
    let z = Z95;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    TABLE.get(dof - 1).copied().unwrap_or(z + terms[0] / v + terms[1] / (v * v) + terms[2] / (v * v * v))
}

/// The mean over seeds with the half width of its 95 % interval, t_{S−1} · s / √S; none below two seeds.
///
/// # Examples
///
/// ```
/// use rlvr_curves::estimate::student_mean;
///
/// let (mean, half) = student_mean(&[0.50, 0.52, 0.54]).unwrap();
/// assert!((mean - 0.52).abs() < 1e-12 && (half - 4.302653 * 0.02 / 3_f64.sqrt()).abs() < 1e-6);
/// ```
pub fn student_mean(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len();
    if n < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    Some((mean, student_95(n - 1) * (variance / n as f64).sqrt()))
}

/// The normal quantile of a two-sided 95 % interval.
pub const Z95: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a binomial share (Wilson 1927); the whole range if nothing was tried.
///
/// # Examples
///
/// ```
/// use rlvr_curves::estimate::wilson;
///
/// let interval = wilson(8.0, 10.0);
/// assert!((interval.low - 0.4902).abs() < 1e-4 && (interval.high - 0.9433).abs() < 1e-4);
/// ```
pub fn wilson(successes: f64, trials: f64) -> Interval {
    if trials <= 0.0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let p = successes / trials;
    let z2 = Z95 * Z95;
    let centre = (p + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    let half = Z95 / (1.0 + z2 / trials) * (p * (1.0 - p) / trials + z2 / (4.0 * trials * trials)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// Draws of a bootstrap.
const DRAWS: usize = 4000;

/// The 95 % percentile interval of a mean over problems, by drawing problems with replacement.
///
/// Equal seeds give equal intervals.
///
/// # Panics
///
/// If there are no values.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Interval {
    assert!(!values.is_empty(), "there is nothing to draw from");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let n = values.len();
    let mut draw = || {
        let sum: f64 = (0..n).map(|_| values[((u128::from(random.next_u64()) * n as u128) >> 64) as usize]).sum();
        sum / n as f64
    };
    let mut means: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
    means.sort_by(f64::total_cmp);
    let quantile = |q: f64| means[((DRAWS - 1) as f64 * q).round() as usize];
    Interval { low: quantile(0.025), high: quantile(0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All `k`-subsets of the votes, by hand.
    fn brute_force(votes: &Votes, k: usize) -> f64 {
        let mut labels: Vec<Option<usize>> = vec![Some(0); votes.right as usize];
        for (i, &n) in votes.wrong.iter().enumerate() {
            labels.extend(vec![Some(i + 1); n as usize]);
        }
        labels.extend(vec![None; votes.abstentions as usize]);
        let n = labels.len();
        let (mut sum, mut subsets) = (0.0, 0.0);
        for mask in (0_u32..1 << n).filter(|mask| mask.count_ones() as usize == k) {
            let mut counts = vec![0; votes.wrong.len() + 1];
            for label in (0..n).filter(|i| mask & (1 << i) != 0).filter_map(|i| labels[i]) {
                counts[label] += 1;
            }
            let most = *counts.iter().max().unwrap();
            if most > 0 && counts[0] == most {
                sum += 1.0 / counts.iter().filter(|&&c| c == most).count() as f64;
            }
            subsets += 1.0;
        }
        sum / subsets
    }

    #[test]
    fn majority_is_exact() {
        for right in 0..4 {
            for wrong in [vec![], vec![2], vec![1, 1], vec![3, 2], vec![1, 1, 1]] {
                for abstentions in 0..3 {
                    let votes = Votes { right, wrong: wrong.clone(), abstentions };
                    for k in 1..=votes.n().min(8) {
                        let (ours, brute) = (majority_at_k(&votes, k).unwrap(), brute_force(&votes, k as usize));
                        assert!((ours - brute).abs() < 1e-12, "{votes:?} at {k}: {ours} against {brute}");
                    }
                }
            }
        }
    }

    #[test]
    fn many_samples_do_not_overflow() {
        // Two answers of 2 000 votes each are symmetric; of 3 000 against 1 000, a subset of 2 001 is almost surely right.
        let even = Votes { right: 2000, wrong: vec![2000], abstentions: 0 };
        assert!((majority_at_k(&even, 2001).unwrap() - 0.5).abs() < 1e-9);
        let uneven = Votes { right: 3000, wrong: vec![1000], abstentions: 50 };
        assert!((majority_at_k(&uneven, 2001).unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn many_different_answers_are_counted_in_a_moment() {
        // 56 of 256 are right and nobody else agrees: two right votes win, one of k ties with the others.
        let votes = Votes { right: 56, wrong: vec![1; 200], abstentions: 0 };
        let found: Vec<f64> = (1..=128).map(|k| majority_at_k(&votes, k).unwrap()).collect();
        assert!((found[0] - 56.0 / 256.0).abs() < 1e-12);
        let (one, two) = (2.0 * 56.0 * 200.0 / (256.0 * 255.0), 56.0 * 55.0 / (256.0 * 255.0));
        assert!((found[1] - (0.5 * one + two)).abs() < 1e-12);
        assert!(found[127] > 1.0 - 1e-9, "{}", found[127]);
    }

    #[test]
    fn in_the_limit_the_modal_answer_wins() {
        let of = |right, wrong: &[u64]| majority_in_the_limit(&Votes { right, wrong: wrong.to_vec(), abstentions: 9 });
        assert_eq!([of(3, &[2]), of(3, &[3]), of(2, &[3]), of(0, &[])], [1.0, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn pass_at_k_is_exact() {
        for n in 1..8_u64 {
            for c in 0..=n {
                for k in 1..=n {
                    let exact = 1.0 - choose(n - c, k.min(n - c + 1)) * f64::from(u8::from(k <= n - c)) / choose(n, k);
                    assert!((pass_at_k(n, c, k).unwrap() - exact).abs() < 1e-12, "{n} {c} {k}");
                }
            }
        }
    }

    #[test]
    fn the_bootstrap_agrees_with_the_normal_interval() {
        // 500 problems, 40 % right: the standard error is 2.19 points.
        let values: Vec<f64> = (0..500).map(|i| f64::from(u8::from(i % 5 < 2))).collect();
        let interval = bootstrap_mean(&values, 1);
        assert!((interval.low - (0.4 - 1.96 * 0.0219)).abs() < 0.004, "{interval:?}");
        assert!((interval.high - (0.4 + 1.96 * 0.0219)).abs() < 0.004, "{interval:?}");
        assert_eq!(interval, bootstrap_mean(&values, 1));
    }

    #[test]
    fn right_answers_vote_together_and_abstentions_do_not_vote() {
        let samples = [(Some("1/2"), true), (Some("0.5"), true), (Some("3"), false), (None, false), (Some("3"), false)];
        assert_eq!(Votes::count(samples), Votes { right: 2, wrong: vec![2], abstentions: 1 });
    }

    #[test]
    fn too_few_samples_give_no_estimate() {
        assert_eq!(pass_at_k(3, 1, 4), None);
        assert_eq!(majority_at_k(&Votes { right: 1, ..Votes::default() }, 2), None);
    }
}
