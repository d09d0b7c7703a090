//! Instructions that a program can check: at least so many words, no commas, all in capitals.
//!
//! The verifier `ifeval` knows the 25 kinds of IFEval (Zhou et al. 2023, *Instruction-Following Evaluation for Large
//! Language Models*, arXiv:2311.07911) and follows the published checks, quirks included, so that its scores compare:
//! keywords are regular expressions found anywhere, paragraphs are what stands between `***`, and `1.` before a capital
//! is a sentence. Where the published code draws random numbers there is a rule of our own, or a refusal:
//!
//! - A missing argument is an error before the run (the published code invents one).
//! - Languages are told by function words and trigrams, and a text without letters is in none (the published code
//!   accepts it in any).
//! - Sentences are counted by the rules of Punkt with short lists of words.
//! - JSON is that of RFC 8259, nested at most 128 deep, without `NaN` and `Infinity`.
//! - Regular expressions are linear-time ones; look-around and back-references are refused before the run.

mod follow;
mod instruction;
mod language;
mod literal;
mod sentences;
mod text;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::extract::after_reasoning;
use crate::memo::Memo;
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};
use instruction::Instruction;
use text::{is_blank, strip};

/// How instructions are scored; the `spec` of a task may say otherwise for itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IfevalOptions {
    /// What several instructions are worth.
    pub mode: Mode,
    /// Whether the loose score is the one that counts: an instruction is then also followed if it is without the first
    /// line, the last one or both, or without asterisks. Off by default; the loose score is recorded as `lenient`.
    pub loose: bool,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

/// What several instructions are worth together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// 1 if all are followed, else 0.
    #[default]
    All,
    /// The share that is followed.
    Share,
}

/// What a task asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(alias = "instruction_id")]
    instruction_id_list: Vec<String>,
    #[serde(default)]
    kwargs: Option<Vec<Option<Map<String, Value>>>>,
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    loose: Option<bool>,
}

/// A task ready to be judged.
#[derive(Debug)]
struct Prepared {
    instructions: Vec<Instruction>,
    mode: Option<Mode>,
    loose: Option<bool>,
}

/// Counts the instructions that a completion follows.
///
/// The `spec` of a task is `{"instruction_id_list": [KIND, …], "kwargs": [{…}, …]}`, with `mode` and `loose` if they
/// differ from the options. Arguments that are `null` count as absent. A task without `spec` may have the same as its
/// `reference`, in JSON or as a Python literal, with `instruction_id` for the first key and in a list if there are
/// several, the form of IF-RLVR data.
///
/// Findings: `correct`, `violated` if an instruction is not followed, `no_answer` for a blank completion. The detail
/// holds `followed`, a truth value for each instruction, `lenient`, the loose score, and `strict`, the strict one.
#[derive(Debug, Default)]
pub struct Ifeval {
    options: IfevalOptions,
    memo: Memo<Prepared>,
}

impl Ifeval {
    /// Makes the verifier.
    pub fn new(options: IfevalOptions) -> Self {
        Self { options, memo: Memo::default() }
    }

    fn prepared(&self, task: &Task) -> Result<Arc<Prepared>, String> {
        self.memo.of(task, prepare)
    }
}

impl Verifier for Ifeval {
    fn name(&self) -> &'static str {
        "ifeval"
    }

    /// There is none: many texts follow the same instructions.
    fn reference(&self, _: &Task) -> Option<String> {
        None
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        self.prepared(task).map(|_| ()).map_err(|why| TaskError::unusable(task, why))
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let prepared = match self.prepared(attempt.task) {
            Ok(prepared) => prepared,
            Err(why) => return Verdict::unjudged(why),
        };
        let text = match &self.options.reasoning_end {
            Some(end) => after_reasoning(attempt.completion, end).unwrap_or_default(),
            None => attempt.completion,
        };
        if is_blank(text) {
            return Verdict::wrong("no_answer").with("lenient", 0).with("strict", 0);
        }
        let mode = prepared.mode.unwrap_or(self.options.mode);
        let strict: Vec<bool> = prepared.instructions.iter().map(|i| i.is_followed_by(text)).collect();
        let variants = loose_variants(text);
        let follows_loosely = |i: &Instruction| variants.iter().any(|variant| i.is_followed_by(variant));
        let loose: Vec<bool> =
            prepared.instructions.iter().zip(&strict).map(|(i, strict)| *strict || follows_loosely(i)).collect();
        let counted = if prepared.loose.unwrap_or(self.options.loose) { &loose } else { &strict };
        let score = mode.score(counted);
        let finding = if score >= 1.0 { "correct" } else { "violated" };
        Verdict::judged(score, finding)
            .with("followed", counted.clone())
            .with("lenient", mode.score(&loose))
            .with("strict", mode.score(&strict))
    }
}

impl Mode {
    fn score(self, followed: &[bool]) -> f32 {
        let n_followed = followed.iter().filter(|followed| **followed).count();
        match self {
            Self::All => f32::from(n_followed == followed.len()),
            Self::Share => n_followed as f32 / followed.len() as f32,
        }
    }
}

/// The seven readings of a text that the loose score allows beside the text itself, without the blank ones.
fn loose_variants(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    let n_lines = lines.len();
    let joined = |from: usize, to: usize| match lines.get(from..to) {
        Some(kept) => strip(&kept.join("\n")).to_owned(),
        None => String::new(),
    };
    let cut = [joined(1, n_lines), joined(0, n_lines - 1), joined(1, n_lines - 1)];
    let bare = std::iter::once(text).chain(cut.iter().map(String::as_str)).map(|text| text.replace('*', ""));
    let bare: Vec<String> = bare.collect();
    cut.into_iter().chain(bare).filter(|variant| !is_blank(variant)).collect()
}

/// More instructions than this are a mistake in the data.
const MOST_INSTRUCTIONS: usize = 100;

fn prepare(task: &Task) -> Result<Prepared, String> {
    let specs = read_specs(task)?;
    let (mode, loose) = specs.first().map_or((None, None), |spec| (spec.mode, spec.loose));
    let mut instructions = vec![];
    for spec in specs {
        let n_kinds = spec.instruction_id_list.len();
        let arguments = spec.kwargs.unwrap_or_else(|| vec![None; n_kinds]);
        if arguments.len() != n_kinds {
            return Err(format!(
                "`instruction_id_list` has {n_kinds} entries and `kwargs` {}, but each instruction needs its arguments",
                arguments.len()
            ));
        }
        for (kind, arguments) in spec.instruction_id_list.iter().zip(arguments) {
            instructions.push(Instruction::new(kind, &arguments.unwrap_or_default())?);
        }
    }
    if instructions.is_empty() {
        return Err("`instruction_id_list` is empty".to_owned());
    }
    if instructions.len() > MOST_INSTRUCTIONS {
        return Err(format!("there are {} instructions, but at most {MOST_INSTRUCTIONS} are read", instructions.len()));
    }
    Ok(Prepared { instructions, mode, loose })
}

fn read_specs(task: &Task) -> Result<Vec<Spec>, String> {
    let (place, value) = match (&task.spec, &task.reference) {
        (Value::Null, Some(reference)) => ("reference", read_text(reference)?),
        (Value::Null, None) => return Err("the task has neither a `spec` nor a `reference`".to_owned()),
        (Value::Object(spec), _) if spec.len() == 1 && spec.contains_key("ground_truth") => match &spec["ground_truth"]
        {
            Value::String(text) => ("spec", read_text(text)?),
            other => ("spec", other.clone()),
        },
        (spec, _) => ("spec", spec.clone()),
    };
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    items
        .iter()
        .map(|item| Spec::deserialize(item).map_err(|error| format!("the `{place}` holds no instructions: {error}")))
        .collect()
}

/// Reads JSON, or else a Python literal.
fn read_text(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|_| {
        literal::parse(text).map_err(|why| format!("the instructions are neither JSON nor a Python literal: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(spec: Value) -> Task {
        Task::new("t", "?", "ifeval").with_spec(spec)
    }

    fn both() -> Value {
        json!({
            "instruction_id_list": ["punctuation:no_comma", "startend:end_checker"],
            "kwargs": [{"end_phrase": null}, {"end_phrase": "Bye.", "num_words": null}],
        })
    }

    #[track_caller]
    fn check(options: &IfevalOptions, spec: Value, completion: &str, expected: (f32, &str, f64)) {
        let task = task(spec);
        let verdict = Ifeval::new(options.clone()).verify(Attempt { task: &task, completion, finished: true });
        let Verdict::Judged { score, finding, detail } = verdict else { panic!("{verdict:?}") };
        assert_eq!((score, finding.as_ref(), detail["lenient"].as_f64().unwrap()), expected, "{completion:?}");
    }

    #[test]
    fn all_and_share() {
        let all = IfevalOptions::default();
        let share = IfevalOptions { mode: Mode::Share, ..all.clone() };
        check(&all, both(), "Good bye.", (1.0, "correct", 1.0));
        check(&all, both(), "Well, good bye.", (0.0, "violated", 0.0));
        check(&share, both(), "Well, good bye.", (0.5, "violated", 0.5));
        check(&share, both(), " \n ", (0.0, "no_answer", 0.0));
    }

    #[test]
    fn a_spec_overrules_the_options() {
        let mut spec = both();
        spec["mode"] = json!("share");
        check(&IfevalOptions::default(), spec.clone(), "Well, good bye.", (0.5, "violated", 0.5));
        spec["loose"] = json!(true);
        check(&IfevalOptions::default(), spec, "Sure, here it is:\nGood bye.", (1.0, "correct", 1.0));
    }

    #[test]
    fn the_loose_score_is_reported() {
        let all = IfevalOptions::default();
        check(&all, both(), "Sure, here:\nGood bye.", (0.0, "violated", 1.0));
        check(&all, both(), "*Good bye.*", (0.0, "violated", 1.0));
        check(&all, both(), "Good bye.\n\nAnything else?", (0.0, "violated", 1.0));
        check(&all, both(), "Good\nbye", (0.0, "violated", 0.0));
        let loose = IfevalOptions { loose: true, ..all };
        check(&loose, both(), "*Good bye.*", (1.0, "correct", 1.0));
    }

    #[test]
    fn reasoning_is_not_the_response() {
        let options = IfevalOptions { reasoning_end: Some("</think>".to_owned()), ..IfevalOptions::default() };
        check(&options, both(), "<think>a, b</think>Bye.", (1.0, "correct", 1.0));
        check(&options, both(), "<think>Bye.", (0.0, "no_answer", 0.0));
    }

    #[test]
    fn a_reference_may_be_a_python_literal() {
        let text =
            "[{'instruction_id': ['punctuation:no_comma', 'startend:quotation'], 'kwargs': [None, {'x': None}]}]";
        for task in [
            Task::new("t", "?", "ifeval").with_reference(text),
            Task::new("t", "?", "ifeval").with_spec(json!({"ground_truth": text})),
        ] {
            let ifeval = Ifeval::default();
            ifeval.validate(&task).unwrap();
            assert_eq!(
                ifeval.verify(Attempt { task: &task, completion: "\"a b\"", finished: true }).score(),
                Some(1.0)
            );
        }
    }

    #[track_caller]
    fn refuses(task: &Task, expected: &str) {
        let error = Ifeval::default().validate(task).unwrap_err().to_string();
        assert_eq!(error, format!("task `t`: {expected}"));
    }

    #[test]
    fn refusals() {
        refuses(&Task::new("t", "?", "ifeval"), "the task has neither a `spec` nor a `reference`");
        refuses(&task(json!({"instruction_id_list": []})), "`instruction_id_list` is empty");
        refuses(
            &task(json!({"instruction_id_list": ["punctuation:no_comma"], "kwargs": []})),
            "`instruction_id_list` has 1 entries and `kwargs` 0, but each instruction needs its arguments",
        );
        refuses(
            &task(json!({"instruction_id_list": ["startend:end_checker"]})),
            "instruction `startend:end_checker`: the argument `end_phrase` is missing",
        );
        refuses(
            &Task::new("t", "?", "ifeval").with_reference("[{'instruction_id'"),
            "the instructions are neither JSON nor a Python literal: character 19: expected `:`, found the end",
        );
    }

    #[test]
    fn it_obeys_the_laws() {
        let tasks = [
            task(both()),
            task(json!({"instruction_id_list": ["language:response_language"], "kwargs": [{"language": "sw"}]})),
            task(json!({"instruction_id_list": ["detectable_format:json_format"], "mode": "share", "loose": true})),
            task(json!({
                "instruction_id_list": ["length_constraints:number_sentences", "change_case:capital_word_frequency"],
                "kwargs": [
                    {"num_sentences": 4, "relation": "at least"},
                    {"capital_frequency": 2, "capital_relation": "at least"}
                ]
            })),
        ];
        crate::conformance::check(&Ifeval::default(), &tasks).unwrap();
    }
}
