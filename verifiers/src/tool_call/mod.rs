//! Calls of tools: the right functions with the right arguments.
//!
//! The verifier `tool_call` reads calls in the forms that models write ([`ToolCall`] lists them), checks every one
//! against the schema of its tool, and compares all of them with the calls wanted. Arguments are compared as values:
//! `1` is `1.0` and never `"1"`, keys come in any order, and an optional argument that is left out is its default.

mod calls;

use std::collections::BTreeMap;

use jsonschema::Validator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::extract::{after_reasoning, shorten};
use crate::json_schema::compile;
use crate::json_text::{LONGEST, equal};
use crate::memo::Memo;
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};
use calls::{Call, call_of, read};

/// What may stand around calls, and in which order they come; the `spec` of a task may say otherwise for itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolCallOptions {
    /// Whether there may be text beside the calls.
    pub around: TextAround,
    /// Whether the order of several calls matters.
    pub order: Order,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

/// Whether there may be text beside the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextAround {
    /// Text may stand around tags and fenced blocks.
    #[default]
    Allowed,
    /// There must be nothing but calls.
    Forbidden,
}

/// Whether the order of several calls matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// It does not.
    #[default]
    Any,
    /// They come in the order of the reference.
    Given,
}

/// Accepts a completion that makes the calls wanted.
///
/// The `spec` is `{"tools": [TOOL, …], "calls": [CALL, …], "order": "any"}`. A tool is written as for OpenAI's API,
/// `{"type": "function", "function": {"name", "parameters": SCHEMA}}`, or as the inner object alone. A call is `{"name",
/// "arguments": {…}}`, or as OpenAI's API writes it, and may have `"accept": {"ARGUMENT": [VALUE, …]}`, further values that are right for an argument.
/// Without `calls` any valid call is right; an empty list means that no tool applies and none may be called.
///
/// Completions may hold calls between `<tool_call>` and `</tool_call>` (Hermes, Qwen), as bare JSON or in a fenced
/// block: a call, a list of calls, or an object with `tool_calls` or `function_call` (OpenAI), `arguments` as an object
/// or as JSON within a text.
///
/// Findings: `correct`, `wrong_calls`, `unknown_tool`, `invalid_arguments`, `unparsable`, `no_answer` if there is no
/// call, `needless_call` if none is wanted, `refused` for a completion above a mebibyte. The detail holds the `calls`
/// or says `why`.
#[derive(Debug, Default)]
pub struct ToolCall {
    options: ToolCallOptions,
    memo: Memo<Prepared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    tools: Vec<ListedTool>,
    #[serde(default)]
    calls: Option<Vec<Map<String, Value>>>,
    #[serde(default)]
    order: Option<Order>,
}

/// A tool as data sets list it.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a tool is `{\"type\": \"function\", \"function\": {\"name\": …, \"parameters\": SCHEMA}}` or the inner object"
)]
enum ListedTool {
    Wrapped { function: Function },
    Bare(Function),
}

/// A function and the schema of its arguments.
#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    parameters: Option<Value>,
}

/// A call that must be made.
#[derive(Debug)]
struct Wanted {
    call: Call,
    accept: BTreeMap<String, Vec<Value>>,
}

#[derive(Debug)]
struct Prepared {
    tools: BTreeMap<String, Tool>,
    wanted: Option<Vec<Wanted>>,
    order: Option<Order>,
}

#[derive(Debug)]
struct Tool {
    schema: Validator,
    /// The arguments that it knows, or none if it takes any.
    known: Option<Vec<String>>,
    defaults: Map<String, Value>,
}

impl ToolCall {
    /// Makes the verifier.
    pub fn new(options: ToolCallOptions) -> Self {
        Self { options, memo: Memo::default() }
    }
}

impl Verifier for ToolCall {
    fn name(&self) -> &'static str {
        "tool_call"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let prepared = self.memo.of(task, prepare).ok()?;
        let wanted = prepared.wanted.as_ref()?;
        if wanted.is_empty() {
            return Some("None of the tools applies.".to_owned());
        }
        let shown = wanted.iter().map(|Wanted { call, .. }| json!({"name": call.name, "arguments": call.arguments}));
        Some(shown.map(|call| format!("<tool_call>\n{call}\n</tool_call>")).collect::<Vec<_>>().join("\n"))
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        self.memo.of(task, prepare).map_err(|why| TaskError::unusable(task, why))?;
        let Some(completion) = self.reference(task) else { return Ok(()) };
        match self.verify(Attempt { task, completion: &completion, finished: true }) {
            Verdict::Judged { score: 1.0, .. } => Ok(()),
            verdict => Err(TaskError::unusable(
                task,
                format!("the `calls` are not right by the `tools`: {}", describe(&verdict)),
            )),
        }
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
        if text.trim().is_empty() {
            return Verdict::wrong("no_answer");
        }
        if text.len() > LONGEST {
            return Verdict::wrong("refused");
        }
        match read(text, self.options.around) {
            Ok(calls) => prepared.verdict(calls, prepared.order.unwrap_or(self.options.order)),
            Err(why) => Verdict::wrong("unparsable").with("why", shorten(&why)),
        }
    }
}

fn describe(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Judged { finding, detail, .. } => {
            detail.get("why").and_then(Value::as_str).map_or(finding.to_string(), |why| format!("{finding}: {why}"))
        }
        Verdict::Unjudged { why } => why.clone(),
        Verdict::Abstained => "it has no opinion".to_owned(),
    }
}

impl Prepared {
    fn verdict(&self, mut calls: Vec<Call>, order: Order) -> Verdict {
        match (&self.wanted, calls.is_empty()) {
            (Some(wanted), true) if wanted.is_empty() => return Verdict::correct(),
            (_, true) => return Verdict::wrong("no_answer"),
            (Some(wanted), false) if wanted.is_empty() => return Verdict::wrong("needless_call"),
            (_, false) => {}
        }
        for call in &mut calls {
            if let Err((finding, why)) = self.complete(call) {
                return Verdict::wrong(finding).with("why", shorten(&why));
            }
        }
        let right = match &self.wanted {
            None => true,
            Some(wanted) if wanted.len() != calls.len() => false,
            Some(wanted) => match order {
                Order::Given => wanted.iter().zip(&calls).all(|(wanted, call)| self.is_met(wanted, call)),
                Order::Any => self.all_met(wanted, &calls),
            },
        };
        let shown: Vec<String> = calls.iter().map(|call| format!("{}{}", call.name, json!(call.arguments))).collect();
        let verdict = if right { Verdict::correct() } else { Verdict::wrong("wrong_calls") };
        verdict.with("calls", shorten(&shown.join("; ")))
    }

    /// Checks a call against its tool and writes the defaults of arguments left out into it.
    fn complete(&self, call: &mut Call) -> Result<(), (&'static str, String)> {
        let tool =
            self.tools.get(&call.name).ok_or_else(|| ("unknown_tool", format!("there is no `{}`", call.name)))?;
        let unknown = tool.known.as_ref().and_then(|known| call.arguments.keys().find(|key| !known.contains(key)));
        if let Some(key) = unknown {
            return Err(("invalid_arguments", format!("`{}` has no argument `{key}`", call.name)));
        }
        let arguments = Value::Object(call.arguments.clone());
        if let Err(error) = tool.schema.validate(&arguments) {
            return Err(("invalid_arguments", format!("`{}{}`: {error}", call.name, error.instance_path())));
        }
        tool.fill(&mut call.arguments);
        Ok(())
    }

    /// Whether a call is one that is wanted; the defaults of both are filled in.
    fn is_met(&self, wanted: &Wanted, call: &Call) -> bool {
        if wanted.call.name != call.name {
            return false;
        }
        let arguments = &wanted.call.arguments;
        let is_right = |key: &String, value: &Value| {
            let others = wanted.accept.get(key).map(Vec::as_slice).unwrap_or_default();
            arguments.get(key).into_iter().chain(others).any(|right| equal(value, right))
        };
        let complete = arguments.keys().all(|key| call.arguments.contains_key(key));
        complete && call.arguments.iter().all(|(key, value)| is_right(key, value))
    }

    /// Whether each call meets a wanted one of its own, by augmenting paths (Kuhn 1955).
    fn all_met(&self, wanted: &[Wanted], calls: &[Call]) -> bool {
        let meets: Vec<Vec<bool>> =
            calls.iter().map(|call| wanted.iter().map(|wanted| self.is_met(wanted, call)).collect()).collect();
        let mut taken = vec![None; wanted.len()];
        (0..calls.len()).all(|call| place(call, &meets, &mut taken, &mut vec![false; wanted.len()]))
    }
}

/// Finds a wanted call for this one, and moves others if need be.
fn place(call: usize, meets: &[Vec<bool>], taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for wanted in 0..taken.len() {
        if !meets[call][wanted] || std::mem::replace(&mut tried[wanted], true) {
            continue;
        }
        if taken[wanted].is_none_or(|other| place(other, meets, taken, tried)) {
            taken[wanted] = Some(call);
            return true;
        }
    }
    false
}

impl Tool {
    fn new(name: &str, parameters: Option<&Value>) -> Result<Self, String> {
        let refuse = |why: String| format!("tool `{name}`: {why}");
        let none = json!({"type": "object", "properties": {}});
        let parameters = parameters.filter(|parameters| !parameters.is_null()).unwrap_or(&none);
        let schema = compile(parameters, true).map_err(refuse)?;
        let properties = parameters.get("properties").and_then(Value::as_object);
        let open = ["additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if"]
            .iter()
            .any(|key| parameters.get(*key).is_some_and(|value| *value != Value::Bool(false)));
        let known = properties.filter(|_| !open).map(|properties| properties.keys().cloned().collect());
        let default = |(key, property): (&String, &Value)| Some((key.clone(), property.get("default")?.clone()));
        let defaults = properties.into_iter().flatten().filter_map(default).collect();
        Ok(Self { schema, known, defaults })
    }

    fn fill(&self, arguments: &mut Map<String, Value>) {
        for (key, value) in &self.defaults {
            if !arguments.contains_key(key) {
                arguments.insert(key.clone(), value.clone());
            }
        }
    }
}

fn prepare(task: &Task) -> Result<Prepared, String> {
    let spec = Spec::deserialize(&task.spec).map_err(|error| format!("`spec`: {error}"))?;
    let mut tools = BTreeMap::new();
    for listed in spec.tools {
        let (ListedTool::Wrapped { function } | ListedTool::Bare(function)) = listed;
        let tool = Tool::new(&function.name, function.parameters.as_ref())?;
        if tools.insert(function.name.clone(), tool).is_some() {
            return Err(format!("the tool `{}` is listed twice", function.name));
        }
    }
    if tools.is_empty() {
        return Err("`tools` is empty".to_owned());
    }
    let wanted = spec.calls.map(|calls| wanted(calls, &tools)).transpose()?;
    Ok(Prepared { tools, wanted, order: spec.order })
}

/// Most calls that a task may want.
const MOST_WANTED: usize = 64;

/// Reads the calls wanted and writes the defaults of arguments left out into them.
fn wanted(calls: Vec<Map<String, Value>>, tools: &BTreeMap<String, Tool>) -> Result<Vec<Wanted>, String> {
    if calls.len() > MOST_WANTED {
        return Err(format!("`calls` has {} entries, but at most {MOST_WANTED} are read", calls.len()));
    }
    let read = |(i, mut written): (usize, Map<String, Value>)| {
        let refuse = |why: String| format!("entry {} of `calls`: {why}", i + 1);
        let accept = written.remove("accept").filter(|accept| !accept.is_null()).unwrap_or_else(|| json!({}));
        let accept = BTreeMap::deserialize(accept).map_err(|error| refuse(format!("`accept`: {error}")))?;
        let mut call = call_of(Value::Object(written)).map_err(refuse)?;
        if let Some(tool) = tools.get(&call.name) {
            tool.fill(&mut call.arguments);
        }
        Ok(Wanted { call, accept })
    };
    calls.into_iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Value {
        json!([
            {"type": "function", "function": {
                "name": "weather",
                "description": "Tells the weather.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string"},
                        "days": {"type": "integer", "default": 1},
                        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"}
                    },
                    "required": ["city"]
                }
            }},
            {"name": "now"}
        ])
    }

    #[track_caller]
    fn check(calls: &Value, order: &str, completion: &str, expected: &str) {
        let task =
            Task::new("t", "?", "tool_call").with_spec(json!({"tools": tools(), "calls": calls, "order": order}));
        let verifier = ToolCall::default();
        verifier.validate(&task).unwrap();
        let verdict = verifier.verify(Attempt { task: &task, completion, finished: true });
        assert_eq!(verdict.finding(), expected, "{completion}: {verdict:?}");
    }

    fn bern() -> Value {
        json!([{"name": "weather", "arguments": {"city": "Bern", "days": 2}}])
    }

    fn call(arguments: &Value) -> String {
        json!({"name": "weather", "arguments": arguments}).to_string()
    }

    #[test]
    fn arguments() {
        let check = |arguments: Value, expected| check(&bern(), "any", &call(&arguments), expected);
        check(json!({"city": "Bern", "days": 2}), "correct");
        check(json!({"days": 2.0, "city": "Bern"}), "correct");
        check(json!({"city": "Bern", "days": 2, "unit": "celsius"}), "correct");
        check(json!({"city": "Bern", "days": 2, "unit": "fahrenheit"}), "wrong_calls");
        check(json!({"city": "Bern"}), "wrong_calls");
        check(json!({"city": "bern", "days": 2}), "wrong_calls");
        check(json!({"city": "Bern", "days": "2"}), "invalid_arguments");
        check(json!({"city": "Bern", "days": 2.5}), "invalid_arguments");
        check(json!({"city": "Bern", "days": 2, "unit": "kelvin"}), "invalid_arguments");
        check(json!({"city": "Bern", "days": 2, "colour": "red"}), "invalid_arguments");
        check(json!({"days": 2}), "invalid_arguments");
    }

    #[test]
    fn defaults_may_be_left_out_on_either_side() {
        let wanted = json!([{"name": "weather", "arguments": {"city": "Bern", "days": 1}}]);
        check(&wanted, "any", &call(&json!({"city": "Bern"})), "correct");
        let wanted = json!([{"name": "weather", "arguments": {"city": "Bern"}}]);
        check(&wanted, "any", &call(&json!({"city": "Bern", "days": 1, "unit": "celsius"})), "correct");
    }

    #[test]
    fn further_values_may_be_accepted() {
        let wanted = json!([{"name": "weather", "arguments": {"city": "Bern"}, "accept": {"city": ["Berne", "Bärn"]}}]);
        check(&wanted, "any", &call(&json!({"city": "Berne"})), "correct");
        check(&wanted, "any", &call(&json!({"city": "Basel"})), "wrong_calls");
    }

    #[test]
    fn several_calls() {
        let wanted = json!([{"name": "now"}, {"name": "weather", "arguments": {"city": "Bern"}}, {"name": "now"}]);
        let forwards = r#"[{"name": "now"}, {"name": "weather", "arguments": {"city": "Bern"}}, {"name": "now"}]"#;
        let mixed = r#"[{"name": "now"}, {"name": "now"}, {"name": "weather", "arguments": {"city": "Bern"}}]"#;
        let short = r#"[{"name": "now"}, {"name": "weather", "arguments": {"city": "Bern"}}]"#;
        check(&wanted, "given", forwards, "correct");
        check(&wanted, "given", mixed, "wrong_calls");
        check(&wanted, "any", mixed, "correct");
        check(&wanted, "any", short, "wrong_calls");
        let [now, bern] = [r#"{"name": "now"}"#, r#"{"name": "weather", "arguments": {"city": "Bern"}}"#];
        let hermes = [now, bern, now].map(|call| format!("<tool_call>\n{call}\n</tool_call>")).join("\n");
        check(&wanted, "given", &format!("I look it up.\n{hermes}"), "correct");
    }

    #[test]
    fn both_sides_may_be_written_as_by_openai() {
        let wanted = json!([{"id": "c1", "type": "function", "function": {"name": "weather",
            "arguments": "{\"city\": \"Bern\", \"days\": 2}"}}]);
        let completion = json!({"role": "assistant", "content": null, "tool_calls": wanted}).to_string();
        check(&wanted, "given", &completion, "correct");
        check(&bern(), "given", &completion, "correct");
        check(&wanted, "given", &call(&json!({"city": "Bern", "days": 2})), "correct");
    }

    #[test]
    fn calls_are_matched_and_not_taken_greedily() {
        let weather =
            |city: &str, accept: Value| json!({"name": "weather", "arguments": {"city": city}, "accept": accept});
        let wanted = json!([weather("a", json!({"city": ["b"]})), weather("a", json!({}))]);
        let completion = format!("[{}, {}]", call(&json!({"city": "a"})), call(&json!({"city": "b"})));
        check(&wanted, "any", &completion, "correct");
    }

    #[test]
    fn no_tool_applies() {
        check(&json!([]), "any", "I cannot book flights.", "correct");
        check(&json!([]), "any", &call(&json!({"city": "Bern"})), "needless_call");
        check(&json!([]), "any", "", "no_answer");
        check(&bern(), "any", "It is sunny in Bern.", "no_answer");
        check(&bern(), "any", r#"{"name": "forecast", "arguments": {}}"#, "unknown_tool");
        check(&bern(), "any", "<tool_call>{\"name\": \"weather\"", "unparsable");
    }

    #[test]
    fn without_calls_any_valid_one_is_right() {
        let task = Task::new("t", "?", "tool_call").with_spec(json!({"tools": tools()}));
        let judge = |completion: &str| {
            ToolCall::default().verify(Attempt { task: &task, completion, finished: true }).finding().to_owned()
        };
        assert_eq!(judge(&call(&json!({"city": "Rome"}))), "correct");
        assert_eq!(judge(&call(&json!({}))), "invalid_arguments");
    }

    #[test]
    fn refusals() {
        #[track_caller]
        fn refuses(spec: Value, expected: &str) {
            let task = Task::new("t", "?", "tool_call").with_spec(spec);
            let error = ToolCall::default().validate(&task).unwrap_err().to_string();
            assert!(error.starts_with(&format!("task `t`: {expected}")), "{error}");
        }
        refuses(json!({"tools": []}), "`tools` is empty");
        refuses(json!({"tools": [{"type": "function"}]}), "`spec`: a tool is `{");
        refuses(json!({"tools": [{"name": "f"}], "call": []}), "`spec`: unknown field `call`");
        refuses(json!({"tools": [{"name": "f"}], "calls": [{"nam": "f"}]}), "entry 1 of `calls`: a call has no `name`");
        let remote = json!({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/a.json"}}});
        refuses(json!({"tools": [{"name": "f", "parameters": remote}]}), "tool `f`: the `schema` cannot be used");
        refuses(json!({"tools": [{"name": "f"}, {"name": "f"}]}), "the tool `f` is listed twice");
        refuses(
            json!({"tools": [{"name": "f", "parameters": {"type": "x"}}]}),
            "tool `f`: the `schema` cannot be used",
        );
        refuses(
            json!({"tools": [{"name": "f"}], "calls": [{"name": "g"}]}),
            "the `calls` are not right by the `tools`: unknown_tool: there is no `g`",
        );
        refuses(
            json!({"tools": [{"name": "f"}], "calls": [{"name": "f", "arguments": {"a": 1}}]}),
            "the `calls` are not right by the `tools`: invalid_arguments: `f` has no argument `a`",
        );
    }

    #[test]
    fn it_obeys_the_laws() {
        let task = |id: &str, calls: Value| {
            Task::new(id, "?", "tool_call").with_spec(json!({"tools": tools(), "calls": calls}))
        };
        let tasks = [task("1", bern()), task("2", json!([{"name": "now"}])), task("3", json!([]))];
        crate::conformance::check(&ToolCall::default(), &tasks).unwrap();
    }
}
