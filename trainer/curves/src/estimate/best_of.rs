//! Picking one of several samples: by a score, by a verifier that errs, by weighted votes.

use std::collections::BTreeMap;

use crate::random::ln_choose;

/// The probability that the best of `k` samples by score is right, exact over all `k`-subsets of the samples.
///
/// Sorted by falling score, the sample of rank r is the best of a subset with probability C(n−r, k−1) / C(n, k). Samples
/// of equal score count with the mean of their block, as if the tie were broken by chance. None if fewer than `k`
/// samples were drawn or a score is not a number.
///
/// # Examples
///
/// ```
/// use rlvr_curves::estimate::best_of_k;
///
/// // Of four, the best is wrong and the second right: pairs pick the best in 3 of 6, the second in 2, the third in 1.
/// let samples = [(0.9, false), (0.8, true), (0.7, true), (0.1, false)];
/// assert!((best_of_k(&samples, 2).unwrap() - 0.5).abs() < 1e-15);
/// ```
pub fn best_of_k(samples: &[(f64, bool)], k: usize) -> Option<f64> {
    let n = samples.len();
    if k == 0 || n < k || samples.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut rank, mut probability) = (0, 0.0);
    // C(n−r, k−1) / C(n, k) for the first rank is k / n; each next is smaller by (n−r−k+1) / (n−r).
    let mut is_best = k as f64 / n as f64;
    for block in sorted.chunk_by(|a, b| a.0 == b.0) {
        let right = block.iter().filter(|(_, is_right)| *is_right).count() as f64 / block.len() as f64;
        for _ in block {
            rank += 1;
            probability += is_best * right;
            is_best *= (n as f64 - rank as f64 - k as f64 + 1.0).max(0.0) / (n as f64 - rank as f64).max(1.0);
        }
    }
    Some(probability)
}

/// A verifier that errs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoisyVerifier {
    /// The probability that a right sample is accepted.
    pub accepts_right: f64,
    /// The probability that a wrong sample is accepted.
    pub accepts_wrong: f64,
}

impl NoisyVerifier {
    /// The probability that the pick among `n` samples is right, each being right with probability `p`: one of the
    /// accepted, or one of all if none is accepted, by chance.
    ///
    /// With a = p t + (1 − p) f: (1 − (1−a)ⁿ) · p t / a + (1−a)ⁿ · p (1−t) / (1−a).
    ///
    /// # Examples
    ///
    /// ```
    /// use rlvr_curves::estimate::NoisyVerifier;
    ///
    /// let perfect = NoisyVerifier { accepts_right: 1.0, accepts_wrong: 0.0 };
    /// assert!((perfect.best_of_n(0.5, 2) - 0.75).abs() < 1e-15);
    /// let noisy = NoisyVerifier { accepts_right: 0.9, accepts_wrong: 0.05 };
    /// assert!((noisy.limit(0.05) - 0.4864865).abs() < 1e-7);
    /// ```
    pub fn best_of_n(&self, p: f64, n: u32) -> f64 {
        let (right, accepted) = (p * self.accepts_right, self.accepted(p));
        let none = (1.0 - accepted).powi(i32::try_from(n).unwrap_or(i32::MAX));
        let of_accepted = if accepted > 0.0 { (1.0 - none) * right / accepted } else { 0.0 };
        let of_all = if accepted < 1.0 { none * (p - right) / (1.0 - accepted) } else { 0.0 };
        of_accepted + of_all
    }

    /// The probability that the pick among `k` of `n` samples is right, `c` of them being right: exact over all `k`-subsets
    /// and over the verifier's errors, which are independent. None if fewer than `k` samples were drawn.
    ///
    /// Of r right samples each is the pick with probability t · E(1 / (1 + X)), X counting the others that are accepted;
    /// E(1 / (1 + X)) = ∫₀¹ E(sˣ) ds = ∫₀¹ (1−t+ts)^(r−1) (1−f+fs)^(k−r) ds, a polynomial that Gauss's quadrature
    /// integrates exactly.
    ///
    /// # Examples
    ///
    /// ```
    /// use rlvr_curves::estimate::NoisyVerifier;
    ///
    /// let perfect = NoisyVerifier { accepts_right: 1.0, accepts_wrong: 0.0 };
    /// assert!((perfect.best_of_k(4, 1, 2).unwrap() - 0.5).abs() < 1e-12); // pass@2
    /// let blind = NoisyVerifier { accepts_right: 0.3, accepts_wrong: 0.3 };
    /// assert!((blind.best_of_k(4, 1, 2).unwrap() - 0.25).abs() < 1e-12); // the mean
    /// ```
    pub fn best_of_k(&self, n: u64, c: u64, k: u64) -> Option<f64> {
        if k == 0 || n < k || c > n {
            return None;
        }
        let (t, f) = (self.accepts_right, self.accepts_wrong);
        let nodes = gauss_legendre(k as usize / 2 + 1);
        let most = c.min(k);
        let of_subset = |r: u64| {
            let wrong = (k - r) as i32;
            let share: f64 = nodes
                .iter()
                .map(|(s, weight)| weight * (1.0 - t + t * s).powi(r as i32 - 1) * (1.0 - f + f * s).powi(wrong))
                .sum();
            let none = (1.0 - t).powi(r as i32) * (1.0 - f).powi(wrong);
            r as f64 * t * share + none * r as f64 / k as f64
        };
        let chance = |r: u64| (ln_choose(c, r) + ln_choose(n - c, k - r) - ln_choose(n, k)).exp();
        let least = k.saturating_sub(n - c).max(1);
        Some((least..=most).map(|r| chance(r) * of_subset(r)).sum::<f64>().min(1.0))
    }

    /// Measures a verifier by its verdicts on samples of known truth: (accepted, right). None unless there are both right
    /// and wrong ones.
    pub fn measured(verdicts: impl IntoIterator<Item = (bool, bool)>) -> Option<Self> {
        let mut counts = [[0.0_f64; 2]; 2]; // [right][accepted]
        for (accepted, right) in verdicts {
            counts[usize::from(right)][usize::from(accepted)] += 1.0;
        }
        let rate = |of: [f64; 2]| (of[0] + of[1] > 0.0).then(|| of[1] / (of[0] + of[1]));
        Some(Self { accepts_right: rate(counts[1])?, accepts_wrong: rate(counts[0])? })
    }

    /// What is approached with endless samples: p t / (p t + (1 − p) f). Any wrong acceptance keeps it below 1.
    pub fn limit(&self, p: f64) -> f64 {
        let accepted = self.accepted(p);
        if accepted > 0.0 { p * self.accepts_right / accepted } else { p }
    }

    fn accepted(&self, p: f64) -> f64 {
        p * self.accepts_right + (1.0 - p) * self.accepts_wrong
    }
}

/// The nodes and weights of Gauss's quadrature on [0, 1], exact for polynomials up to degree 2 m − 1: roots of the Legendre
/// polynomial by Newton's method (Press et al., Numerical Recipes, §4.6).
fn gauss_legendre(m: usize) -> Vec<(f64, f64)> {
    let node = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (m as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut p, mut before) = (1.0, 0.0);
            for j in 0..m {
                let j = j as f64;
                (p, before) = (((2.0 * j + 1.0) * x * p - j * before) / (j + 1.0), p);
            }
            slope = m as f64 * (x * p - before) / (x * x - 1.0);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..m).map(node).collect()
}

/// A sample that votes: its answer, if it has one, its weight, and whether it is right.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// The answer; samples without one do not vote.
    pub answer: Option<&'a str>,
    /// What the vote weighs.
    pub weight: f64,
    /// Whether the answer is right.
    pub is_right: bool,
}

/// The probability that the answer of most weight is right, ties broken by chance; 0 if nobody votes.
///
/// Right answers vote together, however they are spelt.
pub fn weighted_vote(ballots: &[Ballot<'_>]) -> f64 {
    let (mut right, mut has_right) = (0.0, false);
    let mut wrong: BTreeMap<&str, f64> = BTreeMap::new();
    for ballot in ballots {
        match ballot.answer {
            Some(_) if ballot.is_right => (right, has_right) = (right + ballot.weight, true),
            Some(answer) => *wrong.entry(answer).or_default() += ballot.weight,
            None => {}
        }
    }
    let most = wrong.values().copied().fold(f64::NEG_INFINITY, f64::max);
    let tolerance = 1e-12 * right.abs().max(most.abs()).max(1.0);
    if !has_right || most > right + tolerance {
        return 0.0;
    }
    let ties = wrong.values().filter(|weight| (*weight - right).abs() <= tolerance).count();
    1.0 / (ties + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_of_k_agrees_with_all_subsets() {
        let samples = [(2.0, true), (2.0, false), (1.0, true), (1.0, true), (1.0, false), (0.0, false)];
        // 17/30 and 23/45 by counting subsets.
        for (k, expected) in [(1, 0.5), (2, 17.0 / 30.0), (4, 23.0 / 45.0), (6, 0.5)] {
            assert!((best_of_k(&samples, k).unwrap() - expected).abs() < 1e-14, "{k}");
        }
        assert_eq!(best_of_k(&samples, 7), None);
        assert_eq!(best_of_k(&[(f64::NAN, true)], 1), None);
    }

    /// The pick of the best by score, ties by chance, counted over all subsets.
    fn best_by_hand(samples: &[(f64, bool)], k: usize) -> f64 {
        let (mut sum, mut subsets) = (0.0, 0.0);
        for mask in (0_u32..1 << samples.len()).filter(|mask| mask.count_ones() as usize == k) {
            let chosen: Vec<(f64, bool)> =
                (0..samples.len()).filter(|i| mask & (1 << i) != 0).map(|i| samples[i]).collect();
            let best = chosen.iter().map(|(score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
            let ties: Vec<bool> = chosen.iter().filter(|(score, _)| *score == best).map(|(_, right)| *right).collect();
            sum += ties.iter().filter(|right| **right).count() as f64 / ties.len() as f64;
            subsets += 1.0;
        }
        sum / subsets
    }

    #[test]
    fn best_of_k_agrees_with_counting() {
        let mut random = crate::random::Random::keyed(9);
        for n in 1..9 {
            for _ in 0..8 {
                let samples: Vec<(f64, bool)> = (0..n).map(|_| (random.below(3) as f64, random.unit() < 0.5)).collect();
                for k in 1..=n {
                    let (ours, brute) = (best_of_k(&samples, k).unwrap(), best_by_hand(&samples, k));
                    assert!((ours - brute).abs() < 1e-12, "{samples:?} at {k}: {ours} against {brute}");
                }
            }
        }
    }

    /// All subsets, all patterns of acceptance.
    fn noisy_by_hand(verifier: NoisyVerifier, n: usize, c: usize, k: usize) -> f64 {
        let (mut sum, mut subsets) = (0.0, 0.0);
        for subset in (0_u32..1 << n).filter(|mask| mask.count_ones() as usize == k) {
            let right: Vec<bool> = (0..n).filter(|i| subset & (1 << i) != 0).map(|i| i < c).collect();
            for pattern in 0_u32..1 << k {
                let accepted = |i: &usize| pattern & (1 << i) != 0;
                let chance: f64 = (0..k)
                    .map(|i| {
                        let rate = if right[i] { verifier.accepts_right } else { verifier.accepts_wrong };
                        if accepted(&i) { rate } else { 1.0 - rate }
                    })
                    .product();
                let mut pool: Vec<usize> = (0..k).filter(accepted).collect();
                if pool.is_empty() {
                    pool = (0..k).collect();
                }
                sum += chance * pool.iter().filter(|&&i| right[i]).count() as f64 / pool.len() as f64;
            }
            subsets += 1.0;
        }
        sum / subsets
    }

    #[test]
    fn a_noisy_verifier_agrees_with_all_its_errors() {
        for (accepts_right, accepts_wrong) in [(0.9, 0.05), (0.5, 0.5), (1.0, 0.2), (0.0, 1.0), (1.0, 0.0)] {
            let verifier = NoisyVerifier { accepts_right, accepts_wrong };
            for n in 1..7 {
                for c in 0..=n {
                    for k in 1..=n {
                        let ours = verifier.best_of_k(n as u64, c as u64, k as u64).unwrap();
                        let brute = noisy_by_hand(verifier, n, c, k);
                        assert!((ours - brute).abs() < 1e-11, "{verifier:?} {n} {c} {k}: {ours} against {brute}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_noisy_verifier_of_many_samples_approaches_the_closed_form() {
        // Of 20 000 samples a twentieth is right; 256 of them are almost independent draws.
        let verifier = NoisyVerifier { accepts_right: 0.9, accepts_wrong: 0.05 };
        let (exact, closed) = (verifier.best_of_k(20_000, 1000, 256).unwrap(), verifier.best_of_n(0.05, 256));
        assert!((exact - closed).abs() < 1e-3, "{exact} against {closed}");
        let perfect = NoisyVerifier { accepts_right: 1.0, accepts_wrong: 0.0 };
        let pass = crate::estimate::pass_at_k(1000, 7, 500).unwrap();
        assert!((perfect.best_of_k(1000, 7, 500).unwrap() - pass).abs() < 1e-10);
        assert_eq!(perfect.best_of_k(3, 1, 4), None);
    }

    #[test]
    fn error_rates_are_measured_on_samples_of_known_truth() {
        let verdicts = [(true, true), (true, true), (false, true), (true, false), (false, false), (false, false)];
        let measured = NoisyVerifier::measured(verdicts).unwrap();
        assert!(
            (measured.accepts_right - 2.0 / 3.0).abs() < 1e-15 && (measured.accepts_wrong - 1.0 / 3.0).abs() < 1e-15
        );
        assert_eq!(NoisyVerifier::measured([(true, true)]), None);
    }

    #[test]
    fn votes_by_weight() {
        let ballot = |answer, weight, is_right| Ballot { answer, weight, is_right };
        let ballots = [ballot(Some("1/2"), 1.0, true), ballot(Some("0.5"), 1.0, true), ballot(Some("3"), 1.5, false)];
        assert_eq!(weighted_vote(&ballots), 1.0);
        assert_eq!(weighted_vote(&[ballot(Some("1"), 1.0, true), ballot(Some("3"), 1.0, false)]), 0.5);
        assert_eq!(weighted_vote(&[ballot(None, 9.0, false)]), 0.0);
    }
}
