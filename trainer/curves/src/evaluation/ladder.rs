//! Accuracy against the tokens and operations really used per problem, on the same problems and samples.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::summary::{Plan, with_interval};
use crate::estimate::{majority_at_k, pass_at_k};

/// One way to spend inference compute, and what it yields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// The evaluation set.
    pub set: String,
    /// How thinking was bounded; empty if it was not.
    pub variant: String,
    /// `coverage` (pass@k, an oracle), `majority`, or `best_of:NAME`.
    pub method: String,
    /// Samples a problem.
    pub k: u64,
    /// Completion tokens used per problem, by all k samples.
    pub tokens: f64,
    /// Operations used per problem, the prompt computed once; without the verifier's, which are seconds of CPU.
    pub flops: f64,
    /// Accuracy.
    pub y: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
    /// The share of samples whose answer was forced at the end of the thinking budget.
    pub forced: f64,
    /// Problems behind it.
    pub n_problems: usize,
}

/// Computes coverage, majority and best-of at each k of the plan, for one set and variant.
pub fn ladder(problems: &[&Problem], plan: &Plan) -> Vec<Rung> {
    let mut rungs = vec![];
    for &k in &plan.ks {
        let mut add = |method: String, of: &dyn Fn(&Problem) -> Option<f64>| {
            // Costs and accuracy are of the same problems.
            let used: Vec<(&Problem, f64)> = problems.iter().filter_map(|p| Some((*p, of(p)?))).collect();
            let values: Vec<f64> = used.iter().map(|(_, y)| *y).collect();
            let Some((y, interval, _)) = with_interval(&values, plan) else { return };
            let mean = |f: &dyn Fn(&Problem) -> Option<f64>| {
                used.iter().filter_map(|(problem, _)| f(problem)).sum::<f64>() / used.len() as f64
            };
            rungs.push(Rung {
                set: used[0].0.set.clone(),
                variant: used[0].0.variant.clone(),
                method,
                k,
                tokens: mean(&|problem| problem.tokens_of(k)),
                flops: mean(&|problem| problem.flops_of(k)),
                y,
                low: interval.low,
                high: interval.high,
                forced: mean(&|problem| problem.per_sample(problem.n_forced as f64)),
                n_problems: used.len(),
            });
        };
        add("coverage".to_owned(), &|problem| pass_at_k(problem.n(), problem.n_right(), k));
        add("majority".to_owned(), &|problem| majority_at_k(&problem.votes, k));
        for picker in &plan.pickers {
            add(format!("best_of:{}", picker.name()), &|problem| picker.best_of(problem, k));
        }
    }
    rungs
}

/// Writes rungs as a table (CSV).
pub fn to_csv(rungs: &[Rung]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = "set,variant,method,k,tokens,flops,y,low,high,forced,n_problems\n".to_owned();
    for rung in rungs {
        let Rung { set, variant, method, k, tokens, flops, y, low, high, forced, n_problems } = rung;
        let _ = writeln!(
            text,
            "{},{},{},{k},{tokens},{flops},{y},{low},{high},{forced},{n_problems}",
            quoted(set),
            quoted(variant),
            quoted(method)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Votes;

    #[test]
    fn costs_are_those_of_k_samples_after_one_prompt() {
        let problem = |tokens, right: [bool; 2]| Problem {
            set: "s".to_owned(),
            right: right.to_vec(),
            votes: Votes { right: right.iter().filter(|r| **r).count() as u64, wrong: vec![], abstentions: 0 },
            n_tokens: tokens,
            flops_prompt: 1000.0,
            flops_samples: 10.0 * tokens as f64,
            ..Problem::default()
        };
        let problems = [problem(20, [true, false]), problem(40, [false, false])];
        let plan = Plan { n: 2, ks: [1, 2].into(), pickers: vec![], seed: 0 };
        let rungs = ladder(&problems.iter().collect::<Vec<_>>(), &plan);
        let coverage: Vec<(u64, f64, f64, f64)> =
            rungs.iter().filter(|r| r.method == "coverage").map(|r| (r.k, r.tokens, r.flops, r.y)).collect();
        assert_eq!(coverage, [(1, 15.0, 1150.0, 0.25), (2, 30.0, 1300.0, 0.5)]);
        assert_eq!(to_csv(&rungs).lines().count(), 1 + rungs.len());
    }
}
