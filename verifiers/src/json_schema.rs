//! Answers in JSON, checked against a schema.
//!
//! Schemas are JSON Schema, draft 2020-12 unless `$schema` names another, as the crate `jsonschema` reads them, within
//! bounds: no `$ref` is fetched from anywhere, and `pattern` runs on a linear-time engine.

use jsonschema::{PatternOptions, Validator};
use schemars::JsonSchema as Described;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::extract::{after_reasoning, shorten};
use crate::json_text::{self, LONGEST, bracketed, equal, fenced, only_fenced};
use crate::memo::Memo;
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};

/// What may stand around the JSON, and how schemas are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct JsonSchemaOptions {
    /// What may stand around the JSON.
    pub around: Around,
    /// Whether `format` is checked, which JSON Schema leaves open. On by default.
    pub formats: bool,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

impl Default for JsonSchemaOptions {
    fn default() -> Self {
        Self { around: Around::default(), formats: true, reasoning_end: None }
    }
}

/// What may stand around the JSON of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Around {
    /// Nothing but white space.
    Nothing,
    /// A fence of three backticks, with or without the name of a language, and nothing outside it.
    #[default]
    Fence,
    /// Any text. The last fenced block counts; without one, what stands from the first opening bracket to the last of
    /// its kind that closes, so that several values are none.
    Text,
}

impl Around {
    /// Returns where JSON is to be read.
    pub(crate) fn json_in(self, text: &str) -> &str {
        match self {
            Self::Nothing => text,
            Self::Fence => only_fenced(text).unwrap_or(text),
            Self::Text if json_text::is_bracketed(text) => text,
            Self::Text => fenced(text).last().copied().or_else(|| bracketed(text)).unwrap_or(text),
        }
    }
}

/// Accepts JSON that satisfies the task's schema.
///
/// The `spec` is `{"schema": {…}}`, with `"expected": VALUE` if it must also be this value (numbers by value, keys in
/// any order). The `reference`, if there is one, is a text that must be accepted.
///
/// Findings: `correct`, `invalid` if the schema is not satisfied, `wrong_value` if it is not the expected value,
/// `unparsable` for what is not JSON or says a key twice, `no_answer` for a blank completion, `refused` for one above a
/// mebibyte. The detail says `where` and `why` the schema is not satisfied.
#[derive(Debug, Default)]
pub struct JsonSchema {
    options: JsonSchemaOptions,
    memo: Memo<Prepared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    schema: Value,
    #[serde(default)]
    expected: Option<Value>,
}

#[derive(Debug)]
struct Prepared {
    schema: Validator,
    expected: Option<Value>,
}

impl JsonSchema {
    /// Makes the verifier.
    pub fn new(options: JsonSchemaOptions) -> Self {
        Self { options, memo: Memo::default() }
    }

    fn prepare(&self, task: &Task) -> Result<Prepared, String> {
        let spec = Spec::deserialize(&task.spec).map_err(|error| format!("`spec`: {error}"))?;
        Ok(Prepared { schema: compile(&spec.schema, self.options.formats)?, expected: spec.expected })
    }
}

/// Compiles a schema without fetching anything.
///
/// # Errors
///
/// Says what is wrong with it.
pub(crate) fn compile(schema: &Value, formats: bool) -> Result<Validator, String> {
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 18))
        .should_validate_formats(formats)
        .offline()
        .build(schema)
        .map_err(|error| format!("the `schema` cannot be used, at `{}`: {error}", error.instance_path()))
}

impl Verifier for JsonSchema {
    fn name(&self) -> &'static str {
        "json_schema"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let expected = || task.spec.get("expected").filter(|value| !value.is_null()).map(Value::to_string);
        task.reference.clone().or_else(expected)
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        self.memo.of(task, |task| self.prepare(task)).map_err(|why| TaskError::unusable(task, why))?;
        let Some(completion) = self.reference(task) else { return Ok(()) };
        let verdict = self.verify(Attempt { task, completion: &completion, finished: true });
        if verdict.score() == Some(1.0) {
            return Ok(());
        }
        Err(TaskError::unusable(task, format!("the task's own reference `{completion}` is {}", verdict.finding())))
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let prepared = match self.memo.of(attempt.task, |task| self.prepare(task)) {
            Ok(prepared) => prepared,
            Err(why) => return Verdict::unjudged(why),
        };
        let text = match &self.options.reasoning_end {
            Some(end) => after_reasoning(attempt.completion, end).unwrap_or_default(),
            None => attempt.completion,
        };
        if text.trim().is_empty() {
            return Verdict::wrong("no_answer");
        }
        if text.len() > LONGEST {
            return Verdict::wrong("refused");
        }
        match json_text::parse(self.options.around.json_in(text)) {
            Ok(value) => prepared.verdict(&value),
            Err(why) => Verdict::wrong("unparsable").with("why", shorten(&why)),
        }
    }
}

impl Prepared {
    fn verdict(&self, value: &Value) -> Verdict {
        if let Err(error) = self.schema.validate(value) {
            let place = error.instance_path().to_string();
            return Verdict::wrong("invalid").with("where", shorten(&place)).with("why", shorten(&error.to_string()));
        }
        match &self.expected {
            Some(expected) if !equal(value, expected) => Verdict::wrong("wrong_value"),
            _ => Verdict::correct(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn person() -> Value {
        json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "pattern": "^[A-Z]"},
                "age": {"type": "integer", "minimum": 0},
                "born": {"type": "string", "format": "date"},
                "children": {"type": "array", "items": {"$ref": "#"}},
            },
            "required": ["name"],
            "additionalProperties": false,
        })
    }

    #[track_caller]
    fn check(around: Around, completion: &str, expected: &str) {
        let task = Task::new("t", "?", "json_schema").with_spec(json!({"schema": person()}));
        let verifier = JsonSchema::new(JsonSchemaOptions { around, ..JsonSchemaOptions::default() });
        let verdict = verifier.verify(Attempt { task: &task, completion, finished: true });
        assert_eq!(verdict.finding(), expected, "{completion:?}: {verdict:?}");
    }

    #[test]
    fn values() {
        check(Around::Fence, r#"{"name": "Ada", "age": 36}"#, "correct");
        check(Around::Fence, r#"{"name": "Ada", "age": 36.0}"#, "correct");
        check(Around::Fence, r#"{"name": "Ada", "age": "36"}"#, "invalid");
        check(Around::Fence, r#"{"name": "Ada", "age": -1}"#, "invalid");
        check(Around::Fence, r#"{"name": "ada"}"#, "invalid");
        check(Around::Fence, r#"{"age": 36}"#, "invalid");
        check(Around::Fence, r#"{"name": "Ada", "name": "Bob"}"#, "unparsable");
        check(Around::Fence, r#"{"name": "Ada", "extra": 1}"#, "invalid");
        check(Around::Fence, r#"{"name": "Ada", "born": "1815-12-10"}"#, "correct");
        check(Around::Fence, r#"{"name": "Ada", "born": "1815-02-30"}"#, "invalid");
        check(Around::Fence, r#"{"name": "Ada", "children": [{"name": "Byron"}]}"#, "correct");
        check(Around::Fence, r#"{"name": "Ada", "children": [{"name": 1}]}"#, "invalid");
        check(Around::Fence, "{'name': 'Ada'}", "unparsable");
        check(Around::Fence, "", "no_answer");
        check(Around::Fence, &" 1".repeat(1_000_000), "refused");
    }

    #[test]
    fn surroundings() {
        let [bare, fence] = ["{\"name\": \"Ada\"}", "```json\n{\"name\": \"Ada\"}\n```"];
        let text = format!("Here it is:\n{fence}\nEnjoy!");
        let two = format!("```json\n{{}}\n```\nNo, rather:\n{fence}");
        check(Around::Nothing, bare, "correct");
        check(Around::Nothing, fence, "unparsable");
        check(Around::Fence, fence, "correct");
        check(Around::Fence, &text, "unparsable");
        check(Around::Text, &text, "correct");
        check(Around::Text, &two, "correct");
        check(Around::Text, bare, "correct");
        check(Around::Text, "It is {\"name\": \"Ada\"}, I think.", "correct");
        check(Around::Fence, "It is {\"name\": \"Ada\"}", "unparsable");
        check(Around::Text, "It is {\"name\": \"Ada\"} or {\"name\": \"Bob\"}", "unparsable");
        check(Around::Text, "{\"name\": \"A```{}```\"}", "correct");
        check(Around::Fence, "```json\n{\"name\": \"A```\"}\n```", "correct");
        check(Around::Text, "It is Ada.", "unparsable");
    }

    #[test]
    fn expected_values() {
        let task = Task::new("t", "?", "json_schema").with_spec(json!({"schema": {}, "expected": {"a": 1, "b": 2}}));
        let judge = |completion| JsonSchema::default().verify(Attempt { task: &task, completion, finished: true });
        assert_eq!(judge("{\"b\": 2.0, \"a\": 1}").finding(), "correct");
        assert_eq!(judge("{\"b\": 2}").finding(), "wrong_value");
    }

    #[track_caller]
    fn refuses(task: &Task, expected: &str) {
        let error = JsonSchema::default().validate(task).unwrap_err().to_string();
        assert!(error.starts_with(&format!("task `t`: {expected}")), "{error}");
    }

    #[test]
    fn refusals() {
        let of = |schema: Value| Task::new("t", "?", "json_schema").with_spec(json!({"schema": schema}));
        refuses(&Task::new("t", "?", "json_schema"), "`spec`: ");
        refuses(&of(json!({"type": "strin"})), "the `schema` cannot be used, at `/type`: ");
        refuses(&of(json!({"$ref": "http://127.0.0.1:1/x.json"})), "the `schema` cannot be used");
        refuses(&of(json!({"$ref": "file:///etc/passwd"})), "the `schema` cannot be used");
        refuses(&of(json!({"pattern": "(?=a)"})), "the `schema` cannot be used");
        refuses(&of(json!({"pattern": "(a"})), "the `schema` cannot be used");
        refuses(&of(person()).with_reference("{}"), "the task's own reference `{}` is invalid");
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        for schema in [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#"}]}), json!({"not": {"$ref": "#"}})] {
            let task = Task::new("t", "?", "json_schema").with_spec(json!({"schema": schema}));
            let verdict = JsonSchema::default().verify(Attempt { task: &task, completion: "{}", finished: true });
            assert!(verdict.score().is_none_or(|score| (0.0..=1.0).contains(&score)), "{verdict:?}");
        }
    }

    #[test]
    fn it_obeys_the_laws() {
        let tasks = [
            Task::new("1", "?", "json_schema")
                .with_spec(json!({"schema": person()}))
                .with_reference("{\"name\": \"A\"}"),
            Task::new("2", "?", "json_schema").with_spec(json!({"schema": {"type": "object"}, "expected": {"a": [1]}})),
        ];
        crate::conformance::check(&JsonSchema::default(), &tasks).unwrap();
    }
}
