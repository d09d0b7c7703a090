//! Procedural tasks: as many as wanted, each with a validator that checks the answer instead of comparing it with the
//! stored one.
//!
//! A [`Puzzle`] draws instances and judges answers in one module. [`generate`] turns it into tasks, [`Procedural`]
//! into a verifier of the same name. Training and evaluation never share an instance: which of the two an instance
//! belongs to is decided by a hash of its content, whatever the seed and the size of the set.

mod arithmetic;
mod base_conversion;
mod countdown;
mod modular;
mod sorting;

use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::extract::{self, Extractor};
use crate::random::{Random, key_of};
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};

pub use arithmetic::Arithmetic;
pub use base_conversion::BaseConversion;
pub use countdown::Countdown;
pub use modular::Modular;
pub use sorting::Sorting;

/// A family of problems that a program can set and check.
pub trait Puzzle: Send + Sync + 'static {
    /// The name of the generator and of its verifier.
    const NAME: &'static str;
    /// The knobs of difficulty.
    type Params: Serialize + DeserializeOwned;
    /// What it takes to check an answer.
    type Spec: Serialize + DeserializeOwned;

    /// Returns the knobs of a level; 1 is the easiest, and there is no last one.
    fn params(level: u32) -> Self::Params;

    /// Says which knob has a value that cannot be used, and what could be.
    ///
    /// # Errors
    ///
    /// The sentence to show, without the name of the generator.
    fn check(params: &Self::Params) -> Result<(), String>;

    /// Draws an instance, which always has a solution.
    fn draw(params: &Self::Params, random: &mut Random) -> Instance<Self::Spec>;

    /// Judges an answer without trusting a byte of it.
    fn judge(spec: &Self::Spec, answer: &str) -> Judgement;
}

/// A drawn problem.
#[derive(Debug)]
pub struct Instance<Spec> {
    /// What it takes to check an answer.
    pub spec: Spec,
    /// The problem in words.
    pub prompt: String,
    /// The problem in its shortest notation, `{problem}` in a prompt template.
    pub problem: String,
    /// One right answer.
    pub answer: String,
    /// A worked answer that ends in the right one.
    pub solution: String,
    /// Equal for problems that are the same up to notation; decides the split.
    pub identity: String,
}

/// What a puzzle says of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It solves the problem.
    Right,
    /// It is an answer, but does not solve the problem.
    Wrong,
    /// It is not an answer.
    Unreadable,
}

impl From<bool> for Judgement {
    fn from(right: bool) -> Self {
        if right { Self::Right } else { Self::Wrong }
    }
}

/// Which of the two disjoint halves of all instances to draw from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For training: four fifths of all instances.
    Train,
    /// Held out: one fifth.
    Eval,
}

impl Split {
    fn of(identity: &str) -> Self {
        if key_of(identity).is_multiple_of(5) { Self::Eval } else { Self::Train }
    }
}

/// A set of generated tasks.
#[derive(Clone, Debug)]
pub struct TaskSet<'a> {
    /// The name of the generator.
    pub generator: &'a str,
    /// How many tasks.
    pub n: usize,
    /// Which tasks of the many.
    pub seed: u64,
    /// How hard.
    pub level: u32,
    /// Knobs that differ from those of the level.
    pub params: &'a toml::Table,
    /// From which half.
    pub split: Split,
}

type Maker = fn(&TaskSet<'_>) -> Result<Vec<Task>, TaskError>;

/// Returns the generators by name.
fn generators() -> BTreeMap<&'static str, Maker> {
    fn entry<P: Puzzle>() -> (&'static str, Maker) {
        (P::NAME, tasks_of::<P>)
    }
    BTreeMap::from([
        entry::<Arithmetic>(),
        entry::<BaseConversion>(),
        entry::<Countdown>(),
        entry::<Modular>(),
        entry::<Sorting>(),
    ])
}

/// Returns the names of all generators.
pub fn names() -> Vec<&'static str> {
    generators().into_keys().collect()
}

/// Generates tasks, all different.
///
/// # Errors
///
/// If there is no such generator, if a knob is unknown or has an unusable value, or if the knobs do not allow that many
/// different tasks.
///
/// # Examples
///
/// ```
/// use rlvr_verifiers::generators::{Split, TaskSet, generate};
///
/// let params = toml::toml! { max_operand = 9 };
/// let set = TaskSet { generator: "arithmetic", n: 3, seed: 1, level: 1, params: &params, split: Split::Train };
/// let tasks = generate(&set).unwrap();
/// assert_eq!(tasks.len(), 3);
/// assert_eq!(tasks, generate(&set).unwrap());
/// ```
pub fn generate(set: &TaskSet<'_>) -> Result<Vec<Task>, TaskError> {
    let known = generators();
    let maker = known.get(set.generator).ok_or_else(|| TaskError::Source {
        origin: set.generator.to_owned(),
        why: format!("there is no such generator; known are {}", names().join(", ")),
    })?;
    maker(set)
}

/// Gives up when this many draws in a row yield nothing new.
const PATIENCE: usize = 20_000;

fn tasks_of<P: Puzzle>(set: &TaskSet<'_>) -> Result<Vec<Task>, TaskError> {
    let refuse = |why: String| TaskError::Source { origin: P::NAME.to_owned(), why };
    let params = with_overrides(P::params(set.level), set.params).map_err(refuse)?;
    P::check(&params).map_err(refuse)?;

    let mut random = Random::keyed([set.seed, key_of(P::NAME), 0, 0]);
    let mut seen = HashSet::new();
    let mut tasks = Vec::with_capacity(set.n);
    let mut futile = 0;
    while tasks.len() < set.n {
        let instance = P::draw(&params, &mut random);
        let identity = format!("{}:{}", P::NAME, instance.identity);
        if Split::of(&identity) == set.split && seen.insert(identity.clone()) {
            tasks.push(task_of::<P>(instance, &identity, set.level));
            futile = 0;
        } else {
            futile += 1;
            if futile == PATIENCE {
                let why = format!(
                    "these settings yield only {} different tasks, but {} are asked for; lower `n`, or raise `level` \
                     or the knobs in `params`",
                    tasks.len(),
                    set.n
                );
                return Err(refuse(why));
            }
        }
    }
    Ok(tasks)
}

/// Replaces knobs of a level by those given.
fn with_overrides<P: Serialize + DeserializeOwned>(preset: P, overrides: &toml::Table) -> Result<P, String> {
    let mut table = toml::Table::try_from(preset).expect("knobs are plain numbers, texts and lists");
    for (key, value) in overrides {
        if !table.contains_key(key) {
            let known: Vec<&str> = table.keys().map(String::as_str).collect();
            return Err(format!("there is no knob `{key}` in `params`; known are {}", known.join(", ")));
        }
        table.insert(key.clone(), value.clone());
    }
    table.try_into().map_err(|error: toml::de::Error| format!("`params`: {}", error.message()))
}

fn task_of<P: Puzzle>(instance: Instance<P::Spec>, identity: &str, level: u32) -> Task {
    let id = format!("{}-{:012x}", P::NAME, key_of(identity) >> 16);
    let mut task = Task::new(id, instance.prompt, P::NAME).with_reference(instance.answer);
    task.source = P::NAME.to_owned();
    task.spec = serde_json::to_value(instance.spec).expect("a spec is plain data");
    task.solution = Some(instance.solution);
    task.meta.insert("problem".to_owned(), Value::from(instance.problem));
    task.meta.insert("level".to_owned(), Value::from(level));
    task
}

/// How answers to puzzles are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProceduralOptions {
    /// Where an answer may stand.
    pub extract: Vec<Extractor>,
}

impl Default for ProceduralOptions {
    fn default() -> Self {
        Self { extract: vec![Extractor::Boxed, Extractor::Anchor, Extractor::LastLine] }
    }
}

/// The verifier of a puzzle.
///
/// Findings: `correct`, `wrong_value`, `no_answer`, `unparsable`. The detail holds the `answer` as it was found.
#[derive(Debug)]
pub struct Procedural<P> {
    options: ProceduralOptions,
    puzzle: PhantomData<P>,
}

impl<P: Puzzle> Procedural<P> {
    /// Makes the verifier.
    pub fn new(options: ProceduralOptions) -> Self {
        Self { options, puzzle: PhantomData }
    }
}

impl<P: Puzzle> Verifier for Procedural<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let answer = task.reference.clone()?;
        Some(match self.options.extract.first() {
            Some(Extractor::Boxed) => format!("\\boxed{{{answer}}}"),
            Some(Extractor::Anchor | Extractor::Hashes) => format!("#### {answer}"),
            _ => answer,
        })
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let spec = match P::Spec::deserialize(&attempt.task.spec) {
            Ok(spec) => spec,
            Err(error) => return Verdict::unjudged(format!("the `spec` is not one of `{}`: {error}", P::NAME)),
        };
        let Some(answer) = extract::answer(attempt.completion, &self.options.extract) else {
            return Verdict::wrong("no_answer");
        };
        let verdict = match P::judge(&spec, answer) {
            Judgement::Right => Verdict::correct(),
            Judgement::Wrong => Verdict::wrong("wrong_value"),
            Judgement::Unreadable => Verdict::wrong("unparsable"),
        };
        verdict.with("answer", extract::shorten(answer))
    }
}

/// Reads a list of integers separated by commas, spaces or semicolons, in brackets or not.
fn integers(text: &str) -> Option<Vec<i64>> {
    let text = text.trim().trim_matches(['[', ']', '(', ')', '{', '}', '.', '$', ' ']);
    text.split([',', ';', ' ']).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

/// Reads one integer, white space and a final full stop aside.
fn integer(text: &str) -> Option<i64> {
    text.trim().trim_end_matches('.').trim_matches('$').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn set<'a>(
        generator: &'a str,
        n: usize,
        seed: u64,
        level: u32,
        split: Split,
        params: &'a toml::Table,
    ) -> TaskSet<'a> {
        TaskSet { generator, n, seed, level, params, split }
    }

    #[test]
    fn every_generator_obeys_the_laws_at_every_level() {
        let none = toml::Table::new();
        for name in names() {
            let verifier = Registry::default().build(name, &none).unwrap();
            for level in [1, 2, 3, 5, 8] {
                let tasks = generate(&set(name, 12, 3, level, Split::Train, &none)).unwrap();
                crate::conformance::check(verifier.as_ref(), &tasks).unwrap();
                for task in &tasks {
                    let solution = task.solution.as_deref().unwrap();
                    let attempt = Attempt { task, completion: solution, finished: true };
                    assert_eq!(verifier.verify(attempt).score(), Some(1.0), "{name}: {solution}");
                }
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_tasks_and_others_others() {
        let none = toml::Table::new();
        for name in names() {
            let draw = |seed| generate(&set(name, 20, seed, 3, Split::Train, &none)).unwrap();
            assert_eq!(draw(1), draw(1));
            assert_ne!(draw(1), draw(2), "{name}");
        }
    }

    #[test]
    fn training_and_evaluation_never_overlap() {
        let none = toml::Table::new();
        for name in names() {
            let ids = |split, seed| -> HashSet<String> {
                generate(&set(name, 200, seed, 3, split, &none)).unwrap().into_iter().map(|task| task.id).collect()
            };
            let train: HashSet<String> = (1..5).flat_map(|seed| ids(Split::Train, seed)).collect();
            let eval: HashSet<String> = (1..5).flat_map(|seed| ids(Split::Eval, seed)).collect();
            assert!(train.is_disjoint(&eval), "{name}");
        }
    }

    #[test]
    fn levels_grow_harder() {
        let none = toml::Table::new();
        for name in names() {
            let length = |level| -> usize {
                let tasks = generate(&set(name, 50, 1, level, Split::Train, &none)).unwrap();
                tasks.iter().map(|task| task.meta["problem"].as_str().unwrap().len()).sum()
            };
            assert!(length(1) < length(6), "{name}");
        }
    }

    #[test]
    fn bad_requests_say_what_would_be_right() {
        #[track_caller]
        fn check(generator: &str, n: usize, params: &toml::Table, expected: &str) {
            let error = generate(&set(generator, n, 1, 1, Split::Train, params)).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
        check(
            "arithmatic",
            1,
            &toml::Table::new(),
            "tasks `arithmatic`: there is no such generator; known are arithmetic, base_conversion, countdown, modular, \
             sorting",
        );
        check(
            "sorting",
            1,
            &toml::toml! { length = 3 },
            "tasks `sorting`: there is no knob `length` in `params`; known are max_items, max_value, min_items",
        );
        check(
            "arithmetic",
            10_000,
            &toml::toml! { max_operand = 9 },
            "tasks `arithmetic`: these settings yield only 128 different tasks, but 10000 are asked for; lower `n`, or \
             raise `level` or the knobs in `params`",
        );
        check(
            "arithmetic",
            1,
            &toml::toml! { max_operand = -1 },
            "tasks `arithmetic`: `max_operand` is -1, but must be at least `min_operand`, which is 0",
        );
    }
}
