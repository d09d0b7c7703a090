//! Judging many attempts at once.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rayon::prelude::*;

use crate::registry::{Registry, RegistryError};
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};

/// A verdict with what it took.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What the verifier found.
    pub verdict: Verdict,
    /// Seconds spent on it.
    pub verify_s: f64,
}

/// The verifiers of a run, judging in parallel.
pub struct Panel {
    verifiers: BTreeMap<String, Box<dyn Verifier>>,
}

impl Panel {
    /// Makes the verifiers that the tasks name.
    ///
    /// # Errors
    ///
    /// If a task names a verifier that there is not, if a verifier refuses its options, or if there are options for a
    /// verifier that no registry entry reads.
    pub fn new<'a>(
        registry: &Registry,
        options: &BTreeMap<String, toml::Table>,
        tasks: impl IntoIterator<Item = &'a Task>,
    ) -> Result<Self, RegistryError> {
        let none = toml::Table::new();
        let named = tasks.into_iter().map(|task| task.verifier.as_str());
        let mut verifiers = BTreeMap::new();
        for name in named.chain(options.keys().map(String::as_str)) {
            if !verifiers.contains_key(name) {
                verifiers.insert(name.to_owned(), registry.build(name, options.get(name).unwrap_or(&none))?);
            }
        }
        Ok(Self { verifiers })
    }

    /// Splits tasks into those that can be judged and the reasons why the others cannot.
    pub fn validate(&self, tasks: Vec<Task>) -> (Vec<Task>, Vec<TaskError>) {
        let checked: Vec<Result<Task, TaskError>> = tasks
            .into_par_iter()
            .map(|task| match self.verifiers.get(&task.verifier) {
                Some(verifier) => verifier.validate(&task).map(|()| task),
                None => Err(TaskError::unusable(&task, format!("there is no verifier `{}`", task.verifier))),
            })
            .collect();
        let mut sound = vec![];
        let mut faults = vec![];
        for result in checked {
            match result {
                Ok(task) => sound.push(task),
                Err(fault) => faults.push(fault),
            }
        }
        (sound, faults)
    }

    /// Judges the attempts in parallel and returns the verdicts in their order.
    ///
    /// Equal attempts at one task are judged once. A verifier that panics, or returns a score outside `0..=1`, leaves
    /// the attempt unjudged and is named.
    pub fn judge(&self, attempts: &[Attempt<'_>]) -> Vec<Judged> {
        let mut first: HashMap<(*const Task, &str, bool), usize> = HashMap::new();
        let mut distinct = vec![];
        let of: Vec<usize> = attempts
            .iter()
            .map(|attempt| {
                let key = (std::ptr::from_ref(attempt.task), attempt.completion, attempt.finished);
                *first.entry(key).or_insert_with(|| {
                    distinct.push(*attempt);
                    distinct.len() - 1
                })
            })
            .collect();
        let judged: Vec<Judged> = distinct.into_par_iter().map(|attempt| self.judge_one(attempt)).collect();
        of.into_iter().map(|i| judged[i].clone()).collect()
    }

    fn judge_one(&self, attempt: Attempt<'_>) -> Judged {
        let name = &attempt.task.verifier;
        let start = Instant::now();
        let verdict = match self.verifiers.get(name) {
            Some(verifier) => catch_unwind(AssertUnwindSafe(|| verifier.verify(attempt)))
                .unwrap_or_else(|_| Verdict::unjudged(format!("verifier `{name}` panicked"))),
            None => Verdict::unjudged(format!("there is no verifier `{name}`")),
        };
        let verdict = match verdict {
            Verdict::Judged { score, .. } if !(0.0..=1.0).contains(&score) => {
                Verdict::unjudged(format!("verifier `{name}` returned the score {score}, which is outside 0..=1"))
            }
            other => other,
        };
        Judged { verdict, verify_s: start.elapsed().as_secs_f64() }
    }
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.verifiers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    struct Odd;

    impl Verifier for Odd {
        fn name(&self) -> &'static str {
            "odd"
        }
        fn reference(&self, _: &Task) -> Option<String> {
            None
        }
        fn verify(&self, attempt: Attempt<'_>) -> Verdict {
            CALLS.fetch_add(1, Ordering::Relaxed);
            match attempt.completion {
                "panic" => panic!("on request"),
                "overpay" => Verdict::judged(f32::NAN, "correct"),
                text => Verdict::judged(text.len() as f32 / 10.0, "length"),
            }
        }
    }

    #[test]
    fn order_is_kept_duplicates_are_judged_once_and_faults_are_contained() {
        let mut registry = Registry::empty();
        registry.add("odd", |_| Ok(Box::new(Odd)));
        let task = Task::new("t", "?", "odd");
        let stray = Task::new("s", "?", "even");
        let panel = Panel::new(&registry, &BTreeMap::new(), [&task]).unwrap();
        let attempt = |task, completion| Attempt { task, completion, finished: true };
        let mut attempts: Vec<Attempt<'_>> =
            ["a", "panic", "abc", "overpay", "a", "a"].map(|text| attempt(&task, text)).to_vec();
        attempts.push(attempt(&stray, "a"));

        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let judged = panel.judge(&attempts);
        std::panic::set_hook(hook);

        let scores: Vec<Option<f32>> = judged.iter().map(|j| j.verdict.score()).collect();
        assert_eq!(scores, [Some(0.1), None, Some(0.3), None, Some(0.1), Some(0.1), None]);
        assert_eq!(CALLS.load(Ordering::Relaxed), 4);
        let why = |i: usize| match &judged[i].verdict {
            Verdict::Unjudged { why } => why.clone(),
            judged @ Verdict::Judged { .. } => panic!("{judged:?}"),
        };
        assert_eq!(why(1), "verifier `odd` panicked");
        assert_eq!(why(3), "verifier `odd` returned the score NaN, which is outside 0..=1");
        assert_eq!(why(6), "there is no verifier `even`");
    }
}
