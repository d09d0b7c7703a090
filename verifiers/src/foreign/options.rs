//! The options of judges that live elsewhere.
//!
//! They stand in a config under the judge's whole name, `[verifiers."process:./judge"]`, or for all of a kind under
//! its scheme, `[verifiers.process]`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Reads options from a table.
///
/// # Errors
///
/// Names the key that is wrong, and the keys that there are.
pub(super) fn read<O: DeserializeOwned + JsonSchema>(table: toml::Table) -> Result<O, String> {
    table.try_into().map_err(|error: toml::de::Error| match error.message() {
        message if message.starts_with("unknown field") && !message.contains("expected") => {
            format!("{message}, expected one of {}", keys::<O>())
        }
        message => message.to_owned(),
    })
}

fn keys<O: JsonSchema>() -> String {
    let schema = schemars::schema_for!(O);
    let properties = schema.get("properties").and_then(serde_json::Value::as_object);
    let mut keys: Vec<String> = properties.into_iter().flatten().map(|(key, _)| format!("`{key}`")).collect();
    keys.sort();
    keys.join(", ")
}

/// The scale of a judge's scores, which is mapped to 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "[f64; 2]", into = "[f64; 2]")]
#[schemars(with = "[f64; 2]")]
pub struct Range {
    lo: f64,
    hi: f64,
}

impl Range {
    /// Makes a scale from the score of the worst attempt to that of the best.
    ///
    /// # Errors
    ///
    /// If the ends are not finite, or not in this order.
    pub fn new(lo: f64, hi: f64) -> Result<Self, String> {
        if lo.is_finite() && hi.is_finite() && lo < hi && (hi - lo).is_finite() {
            Ok(Self { lo, hi })
        } else {
            Err(format!("`range` is [{lo}, {hi}], but must be two finite numbers, the lower one first"))
        }
    }

    /// Returns which share of the way from the lower to the upper end a score has come.
    pub(super) fn share(self, score: f64) -> Result<f64, String> {
        let Self { lo, hi } = self;
        if (lo..=hi).contains(&score) {
            return Ok((score - lo) / (hi - lo));
        }
        let remedy = "name the scale of the judge in the option `range = [lo, hi]`";
        Err(format!("the score {score} is outside {lo} to {hi}; {remedy}"))
    }
}

impl Default for Range {
    fn default() -> Self {
        Self { lo: 0.0, hi: 1.0 }
    }
}

impl TryFrom<[f64; 2]> for Range {
    type Error = String;

    fn try_from([lo, hi]: [f64; 2]) -> Result<Self, String> {
        Self::new(lo, hi)
    }
}

impl From<Range> for [f64; 2] {
    fn from(Range { lo, hi }: Range) -> Self {
        [lo, hi]
    }
}

/// Options of every judge that runs as processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkerOptions {
    /// Seconds that a worker may take for an answer, from the moment when it can begin on it. Then it is killed.
    pub timeout_s: f64,
    /// Processes at a time. Left out, one for each core, at most 8; they are started as they are needed.
    pub workers: Option<usize>,
    /// The scores of the worst and of the best attempt; they are mapped to 0 to 1, and what is outside is an error.
    pub range: Range,
    /// Longest answer that is read, in megabytes.
    pub max_reply_mb: f64,
    /// The environment variables that the processes get besides `PATH`, `HOME` and the locale. Left out, all.
    pub env: Option<Vec<String>>,
    /// How a completion states the reference, such as `"\\boxed{{reference}}"`. With it, a task whose reference does
    /// not score 1 is left out before a run.
    pub reference_as: Option<String>,
    /// Whether each task is tried once before a run, to leave out those on which the judge fails.
    pub validate: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            timeout_s: 30.0,
            workers: None,
            range: Range::default(),
            max_reply_mb: 1.0,
            env: None,
            reference_as: None,
            validate: true,
        }
    }
}

/// Options of `process:COMMAND`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessOptions {
    /// Attempts that are sent to a worker before it has answered the first of them.
    pub batch: usize,
    /// Seconds within which a worker must write `{"ready": true}` after it was started. Left out, it may start up
    /// in silence, in the time of its first answer.
    pub ready_s: Option<f64>,
    /// What all processes have.
    #[serde(flatten)]
    pub worker: WorkerOptions,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self { batch: 8, ready_s: None, worker: WorkerOptions::default() }
    }
}

/// Options of `trl:FILE.py:FUNCTION`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrlOptions {
    /// The Python interpreter. Left out, that of `VIRTUAL_ENV`, or else `python3`.
    pub python: Option<String>,
    /// Completions in a call of the function; those of one task stay together.
    pub batch: usize,
    /// Seconds within which the file must be loaded.
    pub ready_s: f64,
    /// Columns that are filled from the task, where neither its `spec` nor its `meta` has that key.
    pub columns: BTreeMap<String, Field>,
    /// The form of `completions`.
    pub completions: Completions,
    /// A `tokenizer.json`, or its folder, for a function that asks for `completion_ids`.
    pub tokenizer: Option<String>,
    /// Whether the function compares the completions of a task, so that they can only be judged together.
    pub rows_depend: bool,
    /// What all processes have.
    #[serde(flatten)]
    pub worker: WorkerOptions,
}

impl Default for TrlOptions {
    fn default() -> Self {
        let names = ["answer", "ground_truth", "reference", "solution"];
        Self {
            python: None,
            batch: 64,
            ready_s: 120.0,
            columns: names.map(|name| (name.to_owned(), Field::Reference)).into(),
            completions: Completions::Auto,
            tokenizer: None,
            rows_depend: false,
            worker: WorkerOptions::default(),
        }
    }
}

/// A part of a task that can fill a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The reference answer.
    Reference,
    /// The worked answer.
    Solution,
    /// Where the task comes from.
    Source,
    /// The id.
    Task,
}

/// The form in which a function gets completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Completions {
    /// As `Chat` where the prompt is a list of messages, else as `Text`.
    #[default]
    Auto,
    /// Each a list of one message, `[{"role": "assistant", "content": "…"}]`.
    Chat,
    /// Each a text.
    Text,
}

/// Options of `verl:FILE.py:FUNCTION`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerlOptions {
    /// The Python interpreter. Left out, that of `VIRTUAL_ENV`, or else `python3`.
    pub python: Option<String>,
    /// Attempts that are sent to a worker before it has answered the first of them.
    pub batch: usize,
    /// Seconds within which the file must be loaded.
    pub ready_s: f64,
    /// Further arguments of each call, verl's `reward_kwargs`.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub kwargs: toml::Table,
    /// Which value of a returned dict is the verdict. Left out, `acc` if there is one, else `score`.
    pub judge_by: Option<JudgeBy>,
    /// What all processes have.
    #[serde(flatten)]
    pub worker: WorkerOptions,
}

impl Default for VerlOptions {
    fn default() -> Self {
        Self {
            python: None,
            batch: 8,
            ready_s: 120.0,
            kwargs: toml::Table::new(),
            judge_by: None,
            worker: WorkerOptions::default(),
        }
    }
}

/// A value of the dict that a `compute_score` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JudgeBy {
    /// The outcome, 0 or 1.
    Acc,
    /// The shaped value, on the scale of `range`.
    Score,
}

/// Options of `http:URL`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpOptions {
    /// Seconds that the server may take for a request.
    pub timeout_s: f64,
    /// Requests at a time.
    pub workers: usize,
    /// Attempts in a request.
    pub batch: usize,
    /// Whether a request is one bare attempt and its reply one bare answer, instead of lists of them.
    pub single: bool,
    /// How often a request is sent again that never reached the judge: no connection, status 429 or 5xx.
    pub retries: u32,
    /// Seconds before the first of these; each further one waits twice as long, at most 30.
    pub backoff_s: f64,
    /// The scores of the worst and of the best attempt; they are mapped to 0 to 1, and what is outside is an error.
    pub range: Range,
    /// Longest reply that is read, in megabytes.
    pub max_reply_mb: f64,
    /// Whether the server may be another machine. A name can come from a file of tasks, and what is judged leaves
    /// this machine.
    pub allow_remote: bool,
    /// Further headers of each request.
    pub headers: BTreeMap<String, String>,
    /// The environment variable that holds the token of the header `authorization: Bearer …`.
    pub token_env: Option<String>,
    /// How a completion states the reference, such as `"\\boxed{{reference}}"`. With it, the server is asked once for
    /// each task before a run, and a task whose reference does not score 1 is left out.
    pub reference_as: Option<String>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            timeout_s: 30.0,
            workers: 8,
            batch: 16,
            single: false,
            retries: 3,
            backoff_s: 0.5,
            range: Range::default(),
            max_reply_mb: 8.0,
            allow_remote: false,
            headers: BTreeMap::new(),
            token_env: None,
            reference_as: None,
        }
    }
}

/// Returns a span of seconds that is longer than none.
pub(super) fn seconds(key: &str, value: f64) -> Result<Duration, String> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() && value <= 1e6 => Ok(duration),
        _ => Err(format!("`{key}` is {value}, but must be more than 0 and at most a million seconds")),
    }
}

/// Returns a count that is at least 1.
pub(super) fn positive(key: &str, value: usize) -> Result<usize, String> {
    if value > 0 { Ok(value) } else { Err(format!("`{key}` is 0, but must be at least 1")) }
}

/// Returns megabytes as bytes.
pub(super) fn megabytes(key: &str, value: f64) -> Result<usize, String> {
    if value > 0.0 && value <= 1024.0 {
        Ok((value * 1e6).ceil() as usize)
    } else {
        Err(format!("`{key}` is {value}, but must be more than 0 and at most 1024"))
    }
}

/// Returns the text that a template makes of a reference.
pub(super) fn state(template: &str, reference: &str) -> String {
    template.replace("{reference}", reference)
}

/// Returns the template if it has a place for the reference.
pub(super) fn template(reference_as: Option<String>) -> Result<Option<String>, String> {
    match reference_as {
        Some(template) if !template.contains("{reference}") => {
            Err(format!("`reference_as` is `{template}`, but must contain `{{reference}}`"))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<O: DeserializeOwned + JsonSchema>(table: toml::Table, expected: &str) {
        assert_eq!(read::<O>(table).err().expect("it must be refused"), expected);
    }

    #[test]
    fn an_unknown_key_is_named_with_those_that_there_are() {
        check::<ProcessOptions>(
            toml::toml! { timeout = 3 },
            "unknown field `timeout`, expected one of `batch`, `env`, `max_reply_mb`, `range`, `ready_s`, \
             `reference_as`, `timeout_s`, `validate`, `workers`",
        );
        check::<TrlOptions>(
            toml::toml! { range = [1.0, 0.0] },
            "`range` is [1, 0], but must be two finite numbers, the lower one first",
        );
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(read::<ProcessOptions>(toml::Table::new()).unwrap(), ProcessOptions::default());
        let options: VerlOptions = read(toml::toml! { timeout_s = 2.5
        judge_by = "score"
        range = [-1, 1]
        kwargs = { method = "strict" } })
        .unwrap();
        assert_eq!(options.worker.timeout_s, 2.5);
        assert_eq!(options.worker.range, Range::new(-1.0, 1.0).unwrap());
        assert_eq!(options.judge_by, Some(JudgeBy::Score));
    }
}
