//! Two checkpoints on the same problems.

use std::collections::BTreeMap;

use serde::Serialize;

use super::problem::Problem;
use crate::estimate::{majority_at_k, mcnemar, paired_difference, pass_at_k};

/// How a second checkpoint differs from a first on one set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The evaluation set, and how thinking was bounded.
    pub set: String,
    /// Problems that both were asked.
    pub n_problems: usize,
    /// Problems that only one of them was asked, or that were judged for one only; they are left out.
    pub n_unpaired: usize,
    /// Problems on which the second does better.
    pub n_gained: u64,
    /// Problems on which the second does worse.
    pub n_lost: u64,
    /// McNemar's test, exact, if both drew one sample a problem; the sign test on shares of right samples otherwise,
    /// which is the same test there.
    pub test: &'static str,
    /// The two-sided probability of so lopsided a change if both were equally good.
    pub p: f64,
    /// Second minus first with 95 % intervals of the paired bootstrap over problems.
    pub differences: BTreeMap<String, Paired>,
    /// The main finding in words.
    pub sentence: String,
}

/// A difference with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// The first's mean.
    pub first: f64,
    /// The second's mean.
    pub second: f64,
    /// Second minus first.
    pub difference: f64,
    /// Lower end of the interval of the difference.
    pub low: f64,
    /// Upper end of the interval of the difference.
    pub high: f64,
    /// Problems behind it.
    pub n_problems: usize,
}

/// Why two evaluations cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompareError {
    /// They have no problem in common.
    #[error("the two evaluations have no problem in common; compare evaluations of the same tasks")]
    NothingShared,
}

/// Draws of the bootstrap.
const DRAWS: usize = 4000;

/// Compares two evaluations set by set.
///
/// # Errors
///
/// If they have no problem in common.
pub fn compare(first: &[Problem], second: &[Problem], seed: u64) -> Result<Vec<Comparison>, CompareError> {
    let (first, second) = (by_set(first), by_set(second));
    let both = first.iter().filter_map(|(set, first)| Some((set, first, second.get(set)?)));
    let found: Vec<Comparison> = both.filter_map(|(set, a, b)| compare_set(set, a, b, seed)).collect();
    if found.is_empty() { Err(CompareError::NothingShared) } else { Ok(found) }
}

type ById<'a> = BTreeMap<&'a str, &'a Problem>;

fn by_set(problems: &[Problem]) -> BTreeMap<String, ById<'_>> {
    let mut sets: BTreeMap<String, ById<'_>> = BTreeMap::new();
    for problem in problems {
        let name = match problem.variant.as_str() {
            "" => problem.set.clone(),
            variant => format!("{}, {variant}", problem.set),
        };
        sets.entry(name).or_default().insert(&problem.task_id, problem);
    }
    sets
}

fn compare_set(set: &str, first: &ById<'_>, second: &ById<'_>, seed: u64) -> Option<Comparison> {
    let pairs: Vec<(&Problem, &Problem)> = first
        .iter()
        .filter_map(|(id, a)| Some((*a, *second.get(id)?)))
        .filter(|(a, b)| a.n() > 0 && b.n() > 0)
        .collect();
    let n_all = first.keys().chain(second.keys()).collect::<std::collections::BTreeSet<_>>().len();
    let share = |problem: &Problem| problem.n_right() as f64 / problem.n() as f64;
    let count = |better: fn(f64, f64) -> bool| pairs.iter().filter(|(a, b)| better(share(b), share(a))).count() as u64;
    let (n_gained, n_lost) = (count(|b, a| b > a), count(|b, a| b < a));
    let most = pairs.iter().map(|(a, b)| a.n().min(b.n())).max()?;
    let mut differences = BTreeMap::new();
    let mut add = |name: String, of: &dyn Fn(&Problem) -> Option<f64>| {
        let values: Vec<(f64, f64)> = pairs.iter().filter_map(|(a, b)| Some((of(a)?, of(b)?))).collect();
        let (a, b): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        if let Some(found) = paired_difference(&a, &b, DRAWS, seed) {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let (first, second) = (mean(&a), mean(&b));
            let (low, high) = (found.interval.low, found.interval.high);
            let paired = Paired { first, second, difference: found.mean, low, high, n_problems: a.len() };
            differences.insert(name, paired);
        }
    };
    add("mean".to_owned(), &|problem| Some(problem.score));
    add("strict".to_owned(), &|problem| problem.strict);
    add("lenient".to_owned(), &|problem| problem.lenient);
    add("length".to_owned(), &|problem| problem.tokens_of(1));
    for k in std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k <= most) {
        add(format!("pass@{k}"), &|problem| pass_at_k(problem.n(), problem.n_right(), k));
        add(format!("maj@{k}"), &|problem| majority_at_k(&problem.votes, k));
    }
    let is_single = pairs.iter().all(|(a, b)| a.n() == 1 && b.n() == 1);
    let test = if is_single { "McNemar, exact" } else { "sign test, exact" };
    let p = mcnemar(n_gained, n_lost);
    let mean = differences["mean"];
    let sentence = format!(
        "{set}: {:+.1} points ({:.1} % → {:.1} %), 95 % {:+.1} … {:+.1} by paired bootstrap over {} problems; {n_gained} \
         gained, {n_lost} lost, {test}: p = {p:.2e}",
        100.0 * mean.difference,
        100.0 * mean.first,
        100.0 * mean.second,
        100.0 * mean.low,
        100.0 * mean.high,
        pairs.len(),
    );
    Some(Comparison {
        set: set.to_owned(),
        n_problems: pairs.len(),
        n_unpaired: n_all - pairs.len(),
        n_gained,
        n_lost,
        test,
        p,
        differences,
        sentence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Votes;

    fn problem(id: usize, right: bool) -> Problem {
        Problem {
            set: "s".to_owned(),
            task_id: id.to_string(),
            right: vec![right],
            score: f64::from(u8::from(right)),
            votes: Votes { right: u64::from(right), wrong: vec![u64::from(!right)], abstentions: 0 },
            ..Problem::default()
        }
    }

    #[test]
    fn ten_gained_and_two_lost() {
        let first: Vec<Problem> = (0..100).map(|i| problem(i, i < 50)).collect();
        let second: Vec<Problem> = (1..101).map(|i| problem(i, (2..60).contains(&i))).collect();
        // In common are 1..=99: 50..=59 are gained, 1 is lost, of 49 right before.
        let found = &compare(&first, &second, 1).unwrap()[0];
        assert_eq!((found.n_problems, found.n_unpaired, found.n_gained, found.n_lost), (99, 2, 10, 1));
        assert_eq!(found.test, "McNemar, exact");
        assert!((found.p - 2.0 * 12.0 / 2048.0).abs() < 1e-12);
        let mean = found.differences["mean"];
        assert!((mean.difference - 9.0 / 99.0).abs() < 1e-12 && mean.low > 0.02 && mean.high < 0.16, "{mean:?}");
        assert!(found.sentence.starts_with("s: +9.1 points (49.5 % → 58.6 %)"), "{}", found.sentence);
    }

    #[test]
    fn other_problems_cannot_be_compared() {
        let other = Problem { set: "t".to_owned(), ..problem(1, true) };
        assert_eq!(compare(&[problem(1, true)], &[other], 0), Err(CompareError::NothingShared));
        assert_eq!(compare(&[problem(1, true)], &[problem(2, true)], 0), Err(CompareError::NothingShared));
    }
}
