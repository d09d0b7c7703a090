//! Picking one of several samples: by a score, by a verifier that errs, by weighted votes.

use std::collections::BTreeMap;

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

    /// What is approached with endless samples: p t / (p t + (1 − p) f). Any wrong acceptance keeps it below 1.
    pub fn limit(&self, p: f64) -> f64 {
        let accepted = self.accepted(p);
        if accepted > 0.0 { p * self.accepts_right / accepted } else { p }
    }

    fn accepted(&self, p: f64) -> f64 {
        p * self.accepts_right + (1.0 - p) * self.accepts_wrong
    }
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

    #[test]
    fn votes_by_weight() {
        let ballot = |answer, weight, is_right| Ballot { answer, weight, is_right };
        let ballots = [ballot(Some("1/2"), 1.0, true), ballot(Some("0.5"), 1.0, true), ballot(Some("3"), 1.5, false)];
        assert_eq!(weighted_vote(&ballots), 1.0);
        assert_eq!(weighted_vote(&[ballot(Some("1"), 1.0, true), ballot(Some("3"), 1.0, false)]), 0.5);
        assert_eq!(weighted_vote(&[ballot(None, 9.0, false)]), 0.0);
    }
}
