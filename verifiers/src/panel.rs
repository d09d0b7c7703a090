//! Judging many attempts at once.
//!
//! Attempts are sorted by verifier and cost. Those of verifiers that compute go to all cores one by one; a verifier that
//! runs processes or waits for somebody else gets its share as a batch, on a thread of its own, and keeps its own pool.
//! So neither a slow attempt nor a slow verifier holds up another, and the verdicts come back in order.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rayon::prelude::*;

use crate::code::sandbox::NO_ISOLATION;
use crate::registry::{Registry, RegistryError};
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Cost, Interventions, Verdict, Verifier};

/// A verdict with what it took.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What the verifier found.
    pub verdict: Verdict,
    /// Seconds spent on it; where a batch was judged at once and nothing was measured, its share of the batch.
    pub verify_s: f64,
    /// Whether the verdict is that of an equal attempt in the same batch, and cost nothing.
    pub is_repeat: bool,
}

/// The verifiers of a run, judging in parallel.
pub struct Panel {
    verifiers: BTreeMap<String, Box<dyn Verifier>>,
}

/// Which verifier is asked about which attempt.
pub type Question<'a> = (&'a str, Attempt<'a>);

impl Panel {
    /// Makes the verifiers that the tasks name.
    ///
    /// The options of a scheme, such as `process`, hold for all its verifiers; those of a full name, such as
    /// `process:./judge`, come before them.
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
        let mut panel = Self { verifiers: BTreeMap::new() };
        let named = tasks.into_iter().map(|task| task.verifier.as_str());
        let optional = options.keys().map(String::as_str).filter(|name| !registry.is_scheme(name));
        for name in named.chain(optional) {
            panel.add(registry, options, name)?;
        }
        Ok(panel)
    }

    /// Makes one more verifier, unless it is there already.
    ///
    /// # Errors
    ///
    /// As those of [`Panel::new`].
    pub fn add(
        &mut self,
        registry: &Registry,
        options: &BTreeMap<String, toml::Table>,
        name: &str,
    ) -> Result<(), RegistryError> {
        if self.verifiers.contains_key(name) {
            return Ok(());
        }
        let of_scheme = name.split_once(':').and_then(|(scheme, _)| options.get(scheme));
        let mut merged = of_scheme.cloned().unwrap_or_default();
        merged.extend(options.get(name).cloned().unwrap_or_default());
        self.verifiers.insert(name.to_owned(), registry.build(name, &merged)?);
        Ok(())
    }

    /// Splits tasks into those that can be judged and the reasons why the others cannot.
    pub fn validate(&self, tasks: Vec<Task>) -> (Vec<Task>, Vec<TaskError>) {
        let checked: Vec<Result<Task, TaskError>> = tasks
            .into_par_iter()
            .map(|task| match self.verifiers.get(&task.verifier) {
                Some(verifier) => catch_unwind(AssertUnwindSafe(|| verifier.validate(&task)))
                    .unwrap_or_else(|panic| Err(TaskError::unusable(&task, panicked(&task.verifier, &*panic))))
                    .map(|()| task),
                None => Err(TaskError::unusable(&task, unknown(&task.verifier))),
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

    /// Judges each attempt by the verifier that its task names and returns the verdicts in their order.
    ///
    /// Equal attempts at one task are judged once. A verifier that panics, or returns a score outside `0..=1`, leaves
    /// the attempt unjudged and is named.
    pub fn judge(&self, attempts: &[Attempt<'_>]) -> Vec<Judged> {
        self.answer(&attempts.iter().map(|&attempt| (attempt.task.verifier.as_str(), attempt)).collect::<Vec<_>>())
    }

    /// Returns the layers of isolation of each verifier that runs hostile programs.
    pub fn layers(&self) -> BTreeMap<&str, Vec<String>> {
        let all = self.verifiers.iter().map(|(name, verifier)| (name.as_str(), verifier.layers()));
        all.filter(|(_, layers)| !layers.is_empty()).collect()
    }

    /// Returns a warning for each verifier that runs hostile programs with nothing around them; who makes a panel must
    /// show them.
    pub fn exposed(&self) -> Vec<String> {
        let bare = self.layers().into_iter().filter(|(_, layers)| layers.iter().any(|layer| layer == NO_ISOLATION));
        bare.map(|(name, _)| {
            format!(
                "THE VERIFIER `{name}` RUNS PROGRAMS OF THE MODEL WITHOUT ISOLATION: they can read and delete your files \
                 and use the network; take `isolation = \"none\"` out of `[verifiers.{name}]` unless this machine may be lost"
            )
        })
        .collect()
    }

    /// Returns how often each verifier had to help itself since the panel was made.
    pub fn interventions(&self) -> BTreeMap<&str, Interventions> {
        self.verifiers.iter().map(|(name, verifier)| (name.as_str(), verifier.interventions())).collect()
    }

    /// Answers questions in their order, all at the same time, as [`Panel::judge`] does; equal ones once.
    ///
    /// The verifier need not be the one that the task names: a part of a reward may ask another.
    pub fn answer(&self, questions: &[Question<'_>]) -> Vec<Judged> {
        let mut first: HashMap<(&str, *const Task, &str, bool), usize> = HashMap::new();
        let mut distinct: Vec<Question<'_>> = vec![];
        let of: Vec<(usize, bool)> = questions
            .iter()
            .map(|&(name, attempt)| {
                let key = (name, std::ptr::from_ref(attempt.task), attempt.completion, attempt.finished);
                let next = distinct.len();
                let index = *first.entry(key).or_insert(next);
                if index == next {
                    distinct.push((name, attempt));
                }
                (index, index != next)
            })
            .collect();
        let judged = self.answer_distinct(&distinct);
        of.into_iter()
            .map(|(index, is_repeat)| Judged {
                is_repeat,
                verify_s: if is_repeat { 0.0 } else { judged[index].verify_s },
                ..judged[index].clone()
            })
            .collect()
    }

    fn answer_distinct(&self, questions: &[Question<'_>]) -> Vec<Judged> {
        let mut single: Vec<usize> = vec![];
        let mut batches: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, &(name, _)) in questions.iter().enumerate() {
            match self.verifiers.get(name).map(|verifier| verifier.cost()) {
                None | Some(Cost::Cpu) => single.push(i),
                Some(Cost::Process | Cost::Remote) => batches.entry(name).or_default().push(i),
            }
        }
        let attempts_of = |indices: &[usize]| indices.iter().map(|&i| questions[i].1).collect::<Vec<_>>();
        let mut answers: Vec<Option<Judged>> = vec![None; questions.len()];
        std::thread::scope(|scope| {
            let running: Vec<_> = batches
                .iter()
                .map(|(&name, indices)| (indices, scope.spawn(move || self.judge_batch(name, &attempts_of(indices)))))
                .collect();
            let alone: Vec<Judged> = single.par_iter().map(|&i| self.judge_one(questions[i])).collect();
            for (&i, judged) in single.iter().zip(alone) {
                answers[i] = Some(judged);
            }
            for (indices, thread) in running {
                for (&i, judged) in indices.iter().zip(thread.join().expect("panics are caught inside")) {
                    answers[i] = Some(judged);
                }
            }
        });
        answers.into_iter().map(|answer| answer.expect("every question is either single or in a batch")).collect()
    }

    fn judge_one(&self, (name, attempt): Question<'_>) -> Judged {
        let start = Instant::now();
        let verdict = match self.verifiers.get(name) {
            Some(verifier) => catch_unwind(AssertUnwindSafe(|| verifier.verify(attempt)))
                .unwrap_or_else(|panic| Verdict::unjudged(panicked(name, &*panic))),
            None => Verdict::unjudged(unknown(name)),
        };
        judged(name, verdict, start.elapsed().as_secs_f64())
    }

    fn judge_batch(&self, name: &str, attempts: &[Attempt<'_>]) -> Vec<Judged> {
        let start = Instant::now();
        let verifier = &self.verifiers[name];
        let fallback = |why: String| vec![Verdict::unjudged(why); attempts.len()];
        let verdicts = match catch_unwind(AssertUnwindSafe(|| verifier.verify_batch(attempts))) {
            Ok(verdicts) if verdicts.len() == attempts.len() => verdicts,
            Ok(verdicts) => fallback(format!(
                "verifier `{name}` returned {} verdicts for {} attempts",
                verdicts.len(),
                attempts.len()
            )),
            Err(panic) => fallback(panicked(name, &*panic)),
        };
        let share_s = start.elapsed().as_secs_f64() / attempts.len() as f64;
        verdicts
            .into_iter()
            .map(|verdict| {
                let verify_s = measured_s(&verdict).unwrap_or(share_s);
                judged(name, verdict, verify_s)
            })
            .collect()
    }
}

/// What a verdict's detail says of the time it took.
fn measured_s(verdict: &Verdict) -> Option<f64> {
    match verdict {
        Verdict::Judged { detail, .. } => detail.get("wall_s")?.as_f64(),
        Verdict::Unjudged { .. } | Verdict::Abstained => None,
    }
}

/// Accepts a verdict, unless its score is none.
fn judged(name: &str, verdict: Verdict, verify_s: f64) -> Judged {
    let verdict = match verdict {
        Verdict::Judged { score, .. } if !(0.0..=1.0).contains(&score) => {
            Verdict::unjudged(format!("verifier `{name}` returned the score {score}, which is outside 0..=1"))
        }
        other => other,
    };
    Judged { verdict, verify_s, is_repeat: false }
}

fn panicked(name: &str, panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("verifier `{name}` panicked: {}", said.unwrap_or("it does not say why"))
}

fn unknown(name: &str) -> String {
    format!("there is no verifier `{name}`")
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.verifiers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// How often `again` was judged.
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
            match attempt.completion {
                "again" => {
                    CALLS.fetch_add(1, Ordering::Relaxed);
                    Verdict::judged(0.1, "again")
                }
                "panic" => panic!("on request"),
                "overpay" => Verdict::judged(f32::NAN, "correct"),
                text => Verdict::judged(text.len() as f32 / 10.0, "length"),
            }
        }
    }

    /// Judges in batches, and does so badly on request.
    struct Batched(Cost);

    impl Verifier for Batched {
        fn name(&self) -> &'static str {
            "batched"
        }
        fn reference(&self, _: &Task) -> Option<String> {
            None
        }
        fn verify(&self, _: Attempt<'_>) -> Verdict {
            panic!("it must get batches")
        }
        fn verify_batch(&self, attempts: &[Attempt<'_>]) -> Vec<Verdict> {
            std::thread::sleep(Duration::from_secs(1));
            match attempts[0].completion {
                "panic" => panic!("in a batch"),
                "short" => vec![],
                _ => attempts.iter().map(|_| Verdict::correct().with("wall_s", 0.25)).collect(),
            }
        }
        fn cost(&self) -> Cost {
            self.0
        }
    }

    fn panel(tasks: &[Task]) -> Panel {
        let mut registry = Registry::empty();
        registry.add("odd", |_| Ok(Box::new(Odd)));
        registry.add("process", |_| Ok(Box::new(Batched(Cost::Process))));
        registry.add("remote", |_| Ok(Box::new(Batched(Cost::Remote))));
        Panel::new(&registry, &BTreeMap::new(), tasks.iter().filter(|task| registry.knows(&task.verifier))).unwrap()
    }

    fn attempt<'a>(task: &'a Task, completion: &'a str) -> Attempt<'a> {
        Attempt { task, completion, finished: true }
    }

    #[track_caller]
    fn why(judged: &Judged) -> &str {
        match &judged.verdict {
            Verdict::Unjudged { why } => why,
            judged @ (Verdict::Judged { .. } | Verdict::Abstained) => panic!("{judged:?}"),
        }
    }

    #[test]
    fn order_is_kept_duplicates_are_judged_once_and_faults_are_contained() {
        let tasks = [Task::new("t", "?", "odd"), Task::new("s", "?", "even")];
        let panel = panel(&tasks);
        let mut attempts: Vec<Attempt<'_>> =
            ["again", "panic", "abc", "overpay", "again", "again"].map(|text| attempt(&tasks[0], text)).to_vec();
        attempts.push(attempt(&tasks[1], "a"));

        let judged = panel.judge(&attempts);

        let scores: Vec<Option<f32>> = judged.iter().map(|j| j.verdict.score()).collect();
        assert_eq!(scores, [Some(0.1), None, Some(0.3), None, Some(0.1), Some(0.1), None]);
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
        assert_eq!(
            judged.iter().map(|j| j.is_repeat).collect::<Vec<_>>(),
            [false, false, false, false, true, true, false]
        );
        assert_eq!(why(&judged[1]), "verifier `odd` panicked: on request");
        assert_eq!(why(&judged[3]), "verifier `odd` returned the score NaN, which is outside 0..=1");
        assert_eq!(why(&judged[6]), "there is no verifier `even`");
    }

    #[test]
    fn batches_run_beside_each_other_and_their_faults_are_contained() {
        let tasks = [Task::new("p", "?", "process"), Task::new("r", "?", "remote")];
        let panel = panel(&tasks);
        let start = Instant::now();
        let judged = panel.judge(&[attempt(&tasks[0], "a"), attempt(&tasks[1], "panic"), attempt(&tasks[0], "b")]);
        assert!(start.elapsed() < Duration::from_millis(1900), "one waited for the other: {:?}", start.elapsed());
        assert_eq!(judged[0].verdict.score(), Some(1.0));
        assert!((judged[2].verify_s - 0.25).abs() < 1e-9, "{judged:?}");
        assert_eq!(why(&judged[1]), "verifier `remote` panicked: in a batch");
        let judged = panel.judge(&[attempt(&tasks[0], "short")]);
        assert_eq!(why(&judged[0]), "verifier `process` returned 0 verdicts for 1 attempts");
    }

    #[test]
    fn other_verifiers_than_the_tasks_can_be_asked() {
        let tasks = [Task::new("t", "?", "odd"), Task::new("p", "?", "process")];
        let panel = panel(&tasks);
        let (a, b) = (attempt(&tasks[0], "further"), attempt(&tasks[1], "x"));
        let judged = panel.answer(&[("odd", a), ("process", a), ("odd", a), ("process", b), ("odd", b)]);
        let scores: Vec<Option<f32>> = judged.iter().map(|j| j.verdict.score()).collect();
        assert_eq!(scores, [Some(0.7), Some(1.0), Some(0.7), Some(1.0), Some(0.1)]);
        assert!(judged[2].is_repeat && !judged[4].is_repeat);
    }
}
