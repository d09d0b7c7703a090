//! Coverage and votes with k samples a problem, from the samples of one evaluation.

use std::collections::BTreeMap;

use crate::estimate::{Interval, Votes, bootstrap_mean, majority_at_k, pass_at_k};
use crate::evals::EvalRow;

/// A mean over problems with its 95 % interval by drawing problems.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its interval.
    pub interval: Interval,
}

/// Accuracy with k samples a problem.
#[derive(Clone, Debug, PartialEq)]
pub struct AtK {
    /// Samples a problem.
    pub k: u64,
    /// The share of problems with at least one right sample among k: an oracle picks.
    pub pass: Estimate,
    /// The share of problems whose most frequent answer is right; none where verifiers do not say answers.
    pub majority: Option<Estimate>,
}

/// The estimates of one evaluation, over k.
#[derive(Clone, Debug, PartialEq)]
pub struct AtKCurve {
    /// What was evaluated.
    pub name: String,
    /// Problems.
    pub problems: usize,
    /// Judged samples of the problem that has the fewest.
    pub samples: u64,
    /// k = 1, 2, 4 … up to the samples there are.
    pub points: Vec<AtK>,
}

impl AtKCurve {
    /// Estimates from the samples of one set; none if nothing was judged.
    pub fn of_rows<'a>(name: &str, rows: impl IntoIterator<Item = &'a EvalRow>) -> Option<Self> {
        let mut problems: BTreeMap<&str, Vec<&EvalRow>> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| row.score.is_some()) {
            problems.entry(&row.task_id).or_default().push(row);
        }
        let samples = problems.values().map(|rows| rows.len() as u64).min()?;
        let has_answers = problems.values().flatten().any(|row| row.answer.is_some());
        let counts: Vec<(u64, u64)> = problems
            .values()
            .map(|rows| (rows.len() as u64, rows.iter().filter(|row| row.is_right()).count() as u64))
            .collect();
        let votes: Vec<Votes> =
            problems.values().map(|rows| Votes::count(rows.iter().map(|row| (row.vote(), row.is_right())))).collect();
        let powers = std::iter::successors(Some(1_u64), |k| k.checked_mul(2)).take_while(|&k| k < samples);
        let at = |k: u64| -> Option<AtK> {
            let pass = estimate(counts.iter().map(|&(n, c)| pass_at_k(n, c, k)).collect())?;
            let majority = estimate(votes.iter().map(|votes| majority_at_k(votes, k)).collect());
            Some(AtK { k, pass, majority: majority.filter(|_| has_answers) })
        };
        let points = powers.chain([samples]).filter_map(at).collect();
        Some(Self { name: name.to_owned(), problems: problems.len(), samples, points })
    }
}

fn estimate(values: Option<Vec<f64>>) -> Option<Estimate> {
    let values = values.filter(|values| !values.is_empty())?;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Some(Estimate { mean, interval: bootstrap_mean(&values, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_by_hand() {
        let row = |task: &str, score: Option<f64>, answer: &str| -> EvalRow {
            let json = serde_json::json!({"set": "s", "task_id": task, "score": score, "answer": answer});
            serde_json::from_value(json).unwrap()
        };
        let rows = [
            row("a", Some(1.0), "1"),
            row("a", Some(0.0), "2"),
            row("a", Some(1.0), "1.0"),
            row("b", Some(0.0), "3"),
            row("b", Some(0.0), "3"),
            row("b", Some(0.0), "4"),
            row("c", None, "?"),
        ];
        let curve = AtKCurve::of_rows("s", &rows).unwrap();
        assert_eq!((curve.problems, curve.samples), (2, 3));
        let shown: Vec<(u64, f64, f64)> =
            curve.points.iter().map(|p| (p.k, p.pass.mean, p.majority.unwrap().mean)).collect();
        // Of the three pairs of a's samples one is two votes for the right answer, two are ties.
        let expected = [(1, 1.0 / 3.0, 1.0 / 3.0), (2, 0.5, (1.0 / 3.0 + 2.0 / 3.0 / 2.0) / 2.0), (3, 0.5, 0.5)];
        for (found, wanted) in shown.iter().zip(expected) {
            assert!(found.0 == wanted.0 && (found.1 - wanted.1).abs() < 1e-12 && (found.2 - wanted.2).abs() < 1e-12);
        }
        assert_eq!(AtKCurve::of_rows("s", &rows[6..]), None);
        let equal = EvalRow { same_as: Some("3".to_owned()), ..row("b", Some(0.0), "3.0") };
        assert_eq!((rows[3].vote(), equal.vote()), (Some("3"), Some("3")));
    }
}
