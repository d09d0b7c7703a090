//! The estimates of one evaluation set, each with its interval.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::estimate::{
    Interval, NoisyVerifier, best_of_k, bootstrap_mean, majority_at_k, majority_in_the_limit, pass_at_k, wilson,
};
use crate::inference::BetaCoverage;

/// What picks one of several samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Picker {
    /// A verifier, by the scores that it gave.
    Scored {
        /// The verifier.
        name: String,
    },
    /// The truth with errors of given rates.
    Noisy {
        /// How it was named.
        name: String,
        /// The rates.
        verifier: NoisyVerifier,
    },
}

impl Picker {
    /// Returns the name.
    pub fn name(&self) -> &str {
        match self {
            Self::Scored { name } | Self::Noisy { name, .. } => name,
        }
    }

    /// Returns the probability that the pick among `k` samples of a problem is right.
    pub fn best_of(&self, problem: &Problem, k: u64) -> Option<f64> {
        match self {
            Self::Scored { name } => {
                let scores = problem.scores.get(name)?;
                let samples: Vec<(f64, bool)> = scores.iter().copied().zip(problem.right.iter().copied()).collect();
                best_of_k(&samples, k as usize)
            }
            Self::Noisy { verifier, .. } => verifier.best_of_k(problem.n(), problem.n_right(), k),
        }
    }

    /// Returns the error rates: those given, or those measured on the samples, a score of 1 being acceptance.
    fn rates(&self, problems: &[&Problem]) -> Option<NoisyVerifier> {
        match self {
            Self::Noisy { verifier, .. } => Some(*verifier),
            Self::Scored { name } => NoisyVerifier::measured(problems.iter().flat_map(|problem| {
                let scores = problem.scores.get(name).map_or(&[][..], Vec::as_slice);
                scores.iter().map(|score| *score >= 1.0).zip(problem.right.iter().copied())
            })),
        }
    }
}

/// What to estimate.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Samples a problem that were asked for.
    pub n: u64,
    /// For which k.
    pub ks: BTreeSet<u64>,
    /// What picks.
    pub pickers: Vec<Picker>,
    /// Where the randomness of intervals comes from.
    pub seed: u64,
}

/// Estimates one set: means, pass@k, maj@k, best-of-k, lengths, tokens and operations, with intervals.
///
/// A problem with fewer judged samples than k says nothing about k and is left out there.
pub fn summary(problems: &[&Problem], plan: &Plan) -> Value {
    let judged: Vec<&Problem> = problems.iter().copied().filter(|problem| problem.n() > 0).collect();
    let mut estimates = Estimates { problems: &judged, plan, result: Map::new() };
    let sum = |f: &dyn Fn(&Problem) -> u64| problems.iter().map(|problem| f(problem)).sum::<u64>();
    estimates.put("n_problems", judged.len());
    estimates.put("n_samples", sum(&Problem::n));
    estimates.put("n_unjudged", sum(&|problem| problem.n_unjudged));
    estimates.mean(&format!("mean@{}", plan.n), &|problem| Some(problem.score));
    // A mean over some problems only would be of another set.
    if judged.iter().all(|problem| problem.strict.is_some()) {
        estimates.mean("strict", &|problem| problem.strict);
    }
    if judged.iter().all(|problem| problem.lenient.is_some()) {
        estimates.mean("lenient", &|problem| problem.lenient);
    }
    for &k in &plan.ks {
        estimates.mean(&format!("pass@{k}"), &|problem| pass_at_k(problem.n(), problem.n_right(), k));
        estimates.mean(&format!("maj@{k}"), &|problem| majority_at_k(&problem.votes, k));
        for picker in &plan.pickers {
            estimates.mean(&format!("best_of@{k}:{}", picker.name()), &|problem| picker.best_of(problem, k));
        }
    }
    if plan.n > 1 {
        estimates.mean("maj@inf", &|problem| Some(majority_in_the_limit(&problem.votes)));
    }
    estimates.pickers();
    estimates.mean("length", &|problem| problem.per_sample(problem.n_tokens as f64));
    estimates.mean("truncated", &|problem| problem.per_sample(problem.n_truncated as f64));
    estimates.put("tokens_prompt", sum(&|problem| problem.n_prompt));
    estimates.put("tokens", sum(&|problem| problem.n_tokens));
    let flops: f64 = problems.iter().map(|problem| problem.flops_prompt + problem.flops_samples).sum();
    estimates.put("flops", flops);
    let outcomes: Vec<(u64, u64)> = judged.iter().map(|problem| (problem.n_right(), problem.n())).collect();
    if let Some(beta) = (plan.n > 1).then(|| BetaCoverage::fit(&outcomes)).flatten() {
        // The distribution of the problems' own rates, from which coverage at any k follows.
        estimates.put("beta", json!(beta));
    }
    Value::Object(estimates.result)
}

struct Estimates<'a> {
    problems: &'a [&'a Problem],
    plan: &'a Plan,
    result: Map<String, Value>,
}

impl Estimates<'_> {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.result.insert(name.to_owned(), value.into());
    }

    fn mean(&mut self, name: &str, of_problem: &dyn Fn(&Problem) -> Option<f64>) {
        let values: Vec<f64> = self.problems.iter().filter_map(|problem| of_problem(problem)).collect();
        let value = match with_interval(&values, self.plan) {
            Some((mean, Interval { low, high }, kind)) => {
                json!({"value": mean, "low": low, "high": high, "interval": kind})
            }
            None => Value::Null,
        };
        self.put(name, value);
    }

    /// The error rates of what picks, and where they let best-of-k end: any wrong acceptance keeps it below coverage.
    fn pickers(&mut self) {
        let mut all = Map::new();
        for picker in &self.plan.pickers {
            let Some(rates) = picker.rates(self.problems) else { continue };
            let limits = self.problems.iter().filter_map(|p| p.per_sample(p.n_right() as f64)).map(|p| rates.limit(p));
            let limits: Vec<f64> = limits.collect();
            let about = json!({
                "accepts_right": rates.accepts_right,
                "accepts_wrong": rates.accepts_wrong,
                "source": if matches!(picker, Picker::Noisy { .. }) { "given" } else { "measured on these samples" },
                "limit": limits.iter().sum::<f64>() / limits.len().max(1) as f64,
            });
            all.insert(picker.name().to_owned(), about);
        }
        if !all.is_empty() {
            self.put("pickers", Value::Object(all));
        }
    }
}

/// A mean over problems: Wilson's interval for a single sample each, the bootstrap over problems otherwise.
pub(super) fn with_interval(values: &[f64], plan: &Plan) -> Option<(f64, Interval, &'static str)> {
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let is_binary = values.iter().all(|&value| value == 0.0 || value == 1.0);
    Some(if plan.n == 1 && is_binary {
        (mean, wilson(values.iter().sum(), values.len() as f64), "wilson")
    } else {
        (mean, bootstrap_mean(values, plan.seed), "bootstrap over problems")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Votes;

    /// A problem whose samples answer `answers`, `1` being right, an empty one an abstention.
    fn problem(id: &str, answers: &[&str]) -> Problem {
        let right: Vec<bool> = answers.iter().map(|answer| *answer == "1").collect();
        let scores = right.iter().map(|right| f64::from(u8::from(*right))).collect::<Vec<_>>();
        Problem {
            task_id: id.to_owned(),
            votes: Votes::count(answers.iter().zip(&right).map(|(a, r)| ((!a.is_empty()).then_some(*a), *r))),
            score: scores.iter().sum::<f64>() / scores.len() as f64,
            scores: [("judge".to_owned(), scores)].into(),
            right,
            n_prompt: 10,
            n_tokens: 5 * answers.len() as u64,
            flops_prompt: 100.0,
            flops_samples: 50.0 * answers.len() as f64,
            ..Problem::default()
        }
    }

    fn plan() -> Plan {
        let noisy = NoisyVerifier { accepts_right: 0.5, accepts_wrong: 0.5 };
        Plan {
            n: 4,
            ks: [1, 2, 4].into(),
            pickers: vec![
                Picker::Scored { name: "judge".to_owned() },
                Picker::Noisy { name: "coin".to_owned(), verifier: noisy },
            ],
            seed: 0,
        }
    }

    #[test]
    fn estimates_by_hand() {
        let problems = [problem("a", &["1", "1", "2", ""]), problem("b", &["2", "2", "3", "3"])];
        let found = summary(&problems.iter().collect::<Vec<_>>(), &plan());
        let value = |name: &str| found[name]["value"].as_f64().unwrap();
        assert_eq!(found["n_problems"], 2);
        assert_eq!(found["tokens"], 40);
        assert_eq!(found["flops"], 600.0);
        assert!((value("mean@4") - 0.25).abs() < 1e-12);
        assert!((value("pass@2") - (1.0 - 1.0 / 6.0) / 2.0).abs() < 1e-12); // two wrong of four: one pair of six
        assert!((value("pass@4") - 0.5).abs() < 1e-12);
        // Pairs of 1, 1, 2, abstention: {1,1} right, 2 × {1,2} half, 2 × {1,–} right, {2,–} wrong.
        assert!((value("maj@2") - 4.0 / 6.0 / 2.0).abs() < 1e-12);
        assert!((value("maj@inf") - 0.5).abs() < 1e-12);
        assert!((value("best_of@2:judge") - value("pass@2")).abs() < 1e-12, "a judge that knows the truth is coverage");
        assert!((value("best_of@4:coin") - 0.25).abs() < 1e-12, "a coin picks at random");
        assert_eq!(found["pickers"]["judge"]["accepts_right"], 1.0);
        assert_eq!(found["pickers"]["coin"]["limit"], 0.25);
        assert_eq!(found["length"]["value"], 5.0);
    }

    #[test]
    fn nothing_judged_is_no_accuracy() {
        let blank = Problem { n_unjudged: 4, ..Problem::default() };
        let found = summary(&[&blank], &plan());
        assert_eq!(
            (&found["n_problems"], &found["n_unjudged"], &found["mean@4"]),
            (&json!(0), &json!(4), &Value::Null)
        );
    }
}
