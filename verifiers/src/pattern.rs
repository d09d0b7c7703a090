//! Answers of a given form, described by a regular expression.
//!
//! The engine takes time proportional to the text, whatever the expression; look-around and back-references, which
//! cannot be had at that price, are refused before the run.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::extract::{after_reasoning, shorten};
use crate::memo::Memo;
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};

/// How expressions are applied; the `spec` of a task may say otherwise for itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatternOptions {
    /// How much of the completion must match.
    pub r#match: Match,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

/// How much of a completion must match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// All of it, white space at both ends aside.
    #[default]
    Full,
    /// Any part; of several, the last counts.
    Search,
}

/// Accepts a completion that matches the task's regular expression.
///
/// The `spec` is `{"pattern": "(?i)colou?r: (?<name>\\w+)", "match": "search", "captures": {"name": "blue"}, "example":
/// "Color: blue"}`. All but `pattern` may be absent: `match` is then that of the options, `captures` are groups (by name
/// or number) that must hold these texts, and `example` is a completion that must be accepted. A task without `spec` has
/// the expression as its `reference`; with a `spec`, the `reference` is what the first group must hold.
///
/// Findings: `correct`, `wrong_value` if a group holds something else, `no_match`, `no_answer` for a blank completion,
/// `refused` for one above a mebibyte. The detail holds the `answer` that matched.
#[derive(Debug, Default)]
pub struct Pattern {
    options: PatternOptions,
    memo: Memo<Prepared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    pattern: String,
    #[serde(default)]
    r#match: Option<Match>,
    #[serde(default)]
    captures: BTreeMap<String, String>,
    #[serde(default)]
    example: Option<String>,
}

#[derive(Debug)]
struct Prepared {
    full: Regex,
    search: Regex,
    how: Option<Match>,
    captures: Vec<(usize, String)>,
    example: Option<String>,
}

/// Longest expression, in bytes.
const LONGEST_PATTERN: usize = 10_000;
/// Most that a compiled expression takes, in bytes.
const MOST_COMPILED: usize = 1 << 18;
/// Longest completion that is read, in bytes.
const LONGEST_COMPLETION: usize = 1 << 20;

impl Pattern {
    /// Makes the verifier.
    pub fn new(options: PatternOptions) -> Self {
        Self { options, memo: Memo::default() }
    }
}

impl Verifier for Pattern {
    fn name(&self) -> &'static str {
        "regex"
    }

    /// The `example`, if the task has one.
    fn reference(&self, task: &Task) -> Option<String> {
        self.memo.of(task, prepare).ok()?.example.clone()
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        let prepared = self.memo.of(task, prepare).map_err(|why| TaskError::unusable(task, why))?;
        let Some(example) = &prepared.example else { return Ok(()) };
        let verdict = self.verify(Attempt { task, completion: example, finished: true });
        if verdict.score() == Some(1.0) {
            return Ok(());
        }
        Err(TaskError::unusable(task, format!("the `example` `{example}` is not accepted: {}", verdict.finding())))
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let prepared = match self.memo.of(attempt.task, prepare) {
            Ok(prepared) => prepared,
            Err(why) => return Verdict::unjudged(why),
        };
        let text = match &self.options.reasoning_end {
            Some(end) => after_reasoning(attempt.completion, end).unwrap_or_default(),
            None => attempt.completion,
        };
        match text.trim() {
            "" => Verdict::wrong("no_answer"),
            text if text.len() > LONGEST_COMPLETION => Verdict::wrong("refused"),
            text => prepared.verdict(text, prepared.how.unwrap_or(self.options.r#match)),
        }
    }
}

impl Prepared {
    fn verdict(&self, text: &str, how: Match) -> Verdict {
        let found = match how {
            Match::Full => self.full.captures(text),
            // The last match is found first, and its groups then in a second pass.
            Match::Search => {
                self.search.find_iter(text).last().and_then(|last| self.search.captures_at(text, last.start()))
            }
        };
        let Some(found) = found else { return Verdict::wrong("no_match") };
        let same = |group: usize, expected: &str| found.get(group).is_some_and(|got| got.as_str().trim() == expected);
        let right = self.captures.iter().all(|(group, expected)| same(*group, expected));
        let verdict = if right { Verdict::correct() } else { Verdict::wrong("wrong_value") };
        verdict.with("answer", shorten(&found[0]))
    }
}

fn prepare(task: &Task) -> Result<Prepared, String> {
    let (spec, value) = match (&task.spec, &task.reference) {
        (Value::Null, Some(pattern)) => {
            (Spec { pattern: pattern.clone(), r#match: None, captures: BTreeMap::new(), example: None }, None)
        }
        (Value::Null, None) => {
            return Err("the task has neither a `pattern` in its `spec` nor a `reference`".to_owned());
        }
        (spec, value) => (Spec::deserialize(spec).map_err(|error| format!("`spec`: {error}"))?, value.as_ref()),
    };
    let search = compile(&spec.pattern)?;
    let full = compile(&format!(r"\A(?:{}{})\z", spec.pattern, if spec.pattern.contains("(?x") { "\n" } else { "" }))?;
    let mut captures = vec![];
    let first = value.map(|value| ("1".to_owned(), value.clone()));
    for (group, expected) in spec.captures.into_iter().chain(first) {
        captures.push((group_of(&search, &group)?, expected.trim().to_owned()));
    }
    Ok(Prepared { full, search, how: spec.r#match, captures, example: spec.example })
}

fn group_of(expression: &Regex, group: &str) -> Result<usize, String> {
    let by_name = expression.capture_names().position(|name| name == Some(group));
    let by_number = group.parse().ok().filter(|number| *number < expression.captures_len());
    by_name.or(by_number).ok_or_else(|| format!("the `pattern` has no group `{group}`"))
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LONGEST_PATTERN {
        return Err(format!("the `pattern` has {} bytes, but at most {LONGEST_PATTERN} are read", pattern.len()));
    }
    RegexBuilder::new(pattern).size_limit(MOST_COMPILED).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("the `pattern` takes more than {limit} bytes when compiled"),
        other => {
            let text = other.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("the `pattern` cannot be used: {why}")
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: Value, completion: &str, expected: &str) {
        let task = Task::new("t", "?", "regex").with_spec(spec);
        let verdict = Pattern::default().verify(Attempt { task: &task, completion, finished: true });
        assert_eq!(verdict.finding(), expected, "{completion:?}");
    }

    #[test]
    fn full_and_search() {
        check(json!({"pattern": r"\d{4}-\d\d-\d\d"}), " 2024-02-29\n", "correct");
        check(json!({"pattern": r"\d{4}-\d\d-\d\d"}), "on 2024-02-29", "no_match");
        check(json!({"pattern": r"\d{4}-\d\d-\d\d", "match": "search"}), "on 2024-02-29", "correct");
        check(json!({"pattern": "a|ab"}), "ab", "correct");
        check(json!({"pattern": "(?x) a b # comment"}), "ab", "correct");
        check(json!({"pattern": "x*"}), "", "no_answer");
        check(json!({"pattern": "(?s).*"}), &"a".repeat(2_000_000), "refused");
    }

    #[test]
    fn captures_are_compared() {
        let spec = json!({"pattern": r"answer is (?<n>-?\d+)", "match": "search", "captures": {"n": "7"}});
        check(spec.clone(), "the answer is 3, no, the answer is 7.", "correct");
        check(spec.clone(), "the answer is 7, no, the answer is 3.", "wrong_value");
        check(spec, "7", "no_match");
        let task = Task::new("t", "?", "regex").with_spec(json!({"pattern": "x=(.*)"})).with_reference("1");
        let judge = |completion| Pattern::default().verify(Attempt { task: &task, completion, finished: true }).score();
        assert_eq!((judge("x= 1 "), judge("x=2")), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn refusals() {
        #[track_caller]
        fn refuses(task: &Task, expected: &str) {
            assert_eq!(Pattern::default().validate(task).unwrap_err().to_string(), format!("task `t`: {expected}"));
        }
        let of = |spec: Value| Task::new("t", "?", "regex").with_spec(spec);
        refuses(&Task::new("t", "?", "regex"), "the task has neither a `pattern` in its `spec` nor a `reference`");
        refuses(&of(json!({"pattern": "(a"})), "the `pattern` cannot be used: unclosed group");
        refuses(
            &of(json!({"pattern": "(?=a)"})),
            "the `pattern` cannot be used: look-around, including look-ahead and look-behind, is not supported",
        );
        refuses(&of(json!({"pattern": r"\w{2000}"})), "the `pattern` takes more than 262144 bytes when compiled");
        refuses(&of(json!({"pattern": "a", "captures": {"n": "1"}})), "the `pattern` has no group `n`");
        refuses(&of(json!({"pattern": "a", "example": "b"})), "the `example` `b` is not accepted: no_match");
    }

    #[test]
    fn it_obeys_the_laws() {
        let tasks = [
            Task::new("1", "?", "regex").with_reference(r"(?:a+)+b?"),
            Task::new("2", "?", "regex").with_spec(json!({"pattern": "(x+x+)+y", "match": "search", "example": "xxy"})),
        ];
        crate::conformance::check(&Pattern::default(), &tasks).unwrap();
    }
}
