//! Judging cases that come as JSON lines: the protocol of `rlvr verify`.
//!
//! A case is `{"id", "verifier", "reference", "spec", "completion"}`, of which `completion` must be there; `prompt`,
//! `source`, `meta` and `finished` may be. The answer is `{"id", "outcome", "score", "finding", "detail", "why"}` on a
//! line of its own, in the order of the cases. A line that is no case is answered too, as unjudged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::panel::Panel;
use crate::registry::{Registry, RegistryError};
use crate::task::{Prompt, Task};
use crate::verifier::{Attempt, Verdict};

/// The options of verifiers, by name.
pub type Options = BTreeMap<String, toml::Table>;

/// Reads settings of the form `NAME.key=value`; the name may be that of a scheme with its argument, in quotes.
///
/// # Errors
///
/// Names the setting that has another form.
///
/// # Examples
///
/// ```
/// # use rlvr_verifiers::cases::parse_options;
/// let options = parse_options(&["math.several_boxes=last", "'trl:a.py:f'.timeout_s=5"]).unwrap();
/// assert_eq!(options["math"]["several_boxes"].as_str(), Some("last"));
/// assert_eq!(options["trl:a.py:f"]["timeout_s"].as_integer(), Some(5));
/// ```
pub fn parse_options(settings: &[impl AsRef<str>]) -> Result<Options, String> {
    let mut options = Options::new();
    for setting in settings.iter().map(AsRef::as_ref) {
        let wrong = || format!("`{setting}` is not a setting of the form `NAME.key=value`");
        let (name, rest) = match setting.strip_prefix(['\'', '"']) {
            Some(quoted) => {
                quoted.split_once(['\'', '"']).and_then(|(name, rest)| Some((name, rest.strip_prefix('.')?)))
            }
            None => setting.split_once('.'),
        }
        .ok_or_else(wrong)?;
        let (key, value) = rest.split_once('=').ok_or_else(wrong)?;
        let value = value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned()));
        options.entry(name.to_owned()).or_default().insert(key.to_owned(), value);
    }
    Ok(options)
}

/// Judges cases line by line, with verifiers that live as long as it does.
#[derive(Debug)]
pub struct CaseJudge {
    registry: Registry,
    options: Options,
    default: Option<String>,
    panel: Panel,
}

/// Why cases could not be judged on.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A verifier could not be made.
    #[error(transparent)]
    Verifier(#[from] RegistryError),
    /// Cases could not be read, or verdicts not be written.
    #[error("cases or verdicts cannot be passed on")]
    Io(#[from] std::io::Error),
}

/// A case as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    id: Value,
    verifier: Option<String>,
    reference: Option<Value>,
    #[serde(default)]
    spec: Value,
    completion: String,
    prompt: Option<Prompt>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    meta: Map<String, Value>,
    #[serde(default = "finished")]
    finished: bool,
}

fn finished() -> bool {
    true
}

/// A case ready to be judged.
struct Question {
    id: Value,
    task: Task,
    completion: String,
    finished: bool,
}

impl CaseJudge {
    /// Makes a judge; `default` is the verifier of cases that name none.
    ///
    /// # Errors
    ///
    /// If the default verifier, or one that there are options for, cannot be made.
    pub fn new(registry: Registry, options: Options, default: Option<String>) -> Result<Self, RegistryError> {
        let mut panel = Panel::new(&registry, &options, [])?;
        if let Some(name) = &default {
            panel.add(&registry, &options, name)?;
        }
        Ok(Self { registry, options, default, panel })
    }

    /// Returns the verifiers made so far.
    pub fn panel(&self) -> &Panel {
        &self.panel
    }

    /// Judges what comes in until it ends, and answers as soon as the input pauses.
    ///
    /// Returns how many lines were no cases.
    ///
    /// # Errors
    ///
    /// If a verifier that a case names cannot be made, or if reading or writing fails.
    pub fn judge_all(&mut self, input: impl Read, mut output: impl Write) -> Result<usize, CaseError> {
        let mut input = BufReader::with_capacity(1 << 20, input);
        let (mut n_lines, mut n_bad) = (0, 0);
        loop {
            let batch = waiting_lines(&mut input)?;
            if batch.is_empty() {
                return Ok(n_bad);
            }
            let lines = (n_lines + 1..).zip(&batch).filter(|(_, line)| !line.trim_ascii().is_empty());
            let numbered: Vec<(usize, &[u8])> = lines.map(|(number, line)| (number, line.as_slice())).collect();
            n_lines += batch.len();
            for answer in self.judge(&numbered, &mut n_bad)? {
                serde_json::to_writer(&mut output, &answer).map_err(std::io::Error::from)?;
                output.write_all(b"\n")?;
            }
            output.flush()?;
        }
    }

    /// Judges some lines with their numbers, and adds those that are no cases to `n_bad`.
    fn judge(&mut self, lines: &[(usize, &[u8])], n_bad: &mut usize) -> Result<Vec<Value>, RegistryError> {
        let read: Vec<Result<Question, String>> = lines
            .iter()
            .map(|&(number, line)| self.read(line).map_err(|why| format!("line {number}: {why}")))
            .collect();
        for question in read.iter().flatten() {
            self.panel.add(&self.registry, &self.options, &question.task.verifier)?;
        }
        let attempts: Vec<Attempt<'_>> = read
            .iter()
            .flatten()
            .map(|Question { task, completion, finished, .. }| Attempt { task, completion, finished: *finished })
            .collect();
        let mut judged = self.panel.judge(&attempts).into_iter();
        Ok(read
            .iter()
            .map(|question| match question {
                Ok(question) => {
                    let judged = judged.next().expect("there is a verdict for every case");
                    answer(&question.id, &judged.verdict)
                }
                Err(why) => {
                    *n_bad += 1;
                    unjudged(&Value::Null, why)
                }
            })
            .collect())
    }

    fn read(&self, line: &[u8]) -> Result<Question, String> {
        let case: Case = serde_json::from_slice(line).map_err(|error| {
            let text = error.to_string();
            format!("not a case: {}", text.split(" at line ").next().unwrap_or_default())
        })?;
        let name = case
            .verifier
            .or_else(|| self.default.clone())
            .ok_or("the case names no `verifier`; name it there or with --verifier")?;
        if !self.registry.knows(&name) {
            return Err(self.registry.unknown(&name).to_string());
        }
        let id = case.id.as_str().map_or_else(|| case.id.to_string(), str::to_owned);
        let mut task = Task::new(id, case.prompt.unwrap_or_else(|| Prompt::from("")), name).with_spec(case.spec);
        task.source = case.source;
        task.meta = case.meta;
        task.reference = case.reference.filter(|reference| !reference.is_null()).map(|reference| match reference {
            Value::String(text) => text,
            other => other.to_string(),
        });
        Ok(Question { id: case.id, task, completion: case.completion, finished: case.finished })
    }
}

/// Waits for a line and takes along those that have arrived with it; none at the end.
fn waiting_lines(input: &mut BufReader<impl Read>) -> std::io::Result<Vec<Vec<u8>>> {
    let mut lines = vec![];
    loop {
        let mut line = vec![];
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        lines.push(line);
        if !input.buffer().contains(&b'\n') {
            return Ok(lines);
        }
    }
}

fn answer(id: &Value, verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Judged { score, finding, detail } => {
            json!({"id": id, "outcome": "judged", "score": score, "finding": finding, "detail": detail, "why": null})
        }
        Verdict::Unjudged { why } => unjudged(id, why),
        Verdict::Abstained => unjudged(id, "the verifier has no opinion on this case"),
    }
}

fn unjudged(id: &Value, why: &str) -> Value {
    json!({"id": id, "outcome": "unjudged", "score": null, "finding": null, "detail": null, "why": why})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn judge(default: Option<&str>, input: &[u8]) -> (usize, Vec<Value>) {
        let mut judge =
            CaseJudge::new(Registry::default(), Options::new(), default.map(str::to_owned)).expect("it can be made");
        let mut output = vec![];
        let n_bad = judge.judge_all(input, &mut output).expect("it can be judged");
        let lines = std::str::from_utf8(&output).expect("text").lines();
        (n_bad, lines.map(|line| serde_json::from_str(line).expect("JSON")).collect())
    }

    #[test]
    fn answers_come_in_the_order_of_the_cases() {
        let input = br#####"{"id": "a", "verifier": "math", "reference": "4", "completion": "#### 4"}

{"id": 7, "reference": 5, "completion": "#### 4"}
{"id": null, "reference": "Paris", "verifier": "exact", "completion": "paris"}"#####;
        let (n_bad, answers) = judge(Some("math"), input);
        assert_eq!(n_bad, 0);
        let told: Vec<_> = answers.iter().map(|a| (a["id"].clone(), a["finding"].clone())).collect();
        let expected =
            [(json!("a"), json!("correct")), (json!(7), json!("wrong_value")), (json!(null), json!("correct"))];
        assert_eq!(told, expected);
    }

    #[test]
    fn lines_that_are_no_cases_are_answered_and_counted() {
        let mut input = b"{\"completion\": 3, \"verifier\": \"math\"}\n{\"completion\": \"3\"}\n".to_vec();
        input.extend(b"{\"completion\": \"3\", \"verifier\": \"maths\"}\n\xff\xfe\n{\"cmpletion\": \"3\"}\n");
        let (n_bad, answers) = judge(None, &input);
        assert_eq!(n_bad, 5);
        let why = |i: usize| answers[i]["why"].as_str().expect("a reason");
        assert_eq!(why(0), "line 1: not a case: invalid type: integer `3`, expected a string");
        assert_eq!(why(1), "line 2: the case names no `verifier`; name it there or with --verifier");
        assert!(why(2).starts_with("line 3: there is no verifier `maths` (did you mean `math`?)"), "{}", why(2));
        assert!(why(3).starts_with("line 4: not a case: "), "{}", why(3));
        assert!(why(4).contains("unknown field `cmpletion`"), "{}", why(4));
    }

    #[test]
    fn a_case_without_a_sound_reference_is_unjudged() {
        let (n_bad, answers) = judge(Some("math"), br#"{"id": 1, "completion": "4"}"#);
        assert_eq!((n_bad, &answers[0]["outcome"], &answers[0]["score"]), (0, &json!("unjudged"), &json!(null)));
    }
}
