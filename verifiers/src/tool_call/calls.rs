//! Calls in the text of a completion, in the forms that models write.

use serde_json::{Map, Value};

use super::TextAround;
use crate::json_text::{self, bracketed, fenced, only_fenced};

/// A call as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// The function.
    pub(super) name: String,
    /// Its arguments.
    pub(super) arguments: Map<String, Value>,
}

/// Calls beyond this number are not read.
const MOST_CALLS: usize = 128;

/// Returns the calls of a completion in order, none if it makes none.
///
/// # Errors
///
/// Says what is wrong with something that begins as a call and is none.
pub(super) fn read(text: &str, around: TextAround) -> Result<Vec<Call>, String> {
    if text.contains(OPEN) || text.contains(CLOSE) {
        return tagged(text, around);
    }
    let text = text.trim();
    let text = text.strip_prefix("[TOOL_CALLS]").unwrap_or(text);
    if looks_like_json(text) {
        return calls_of(json_text::parse(text)?);
    }
    let block = match around {
        TextAround::Allowed => fenced(text).last().copied(),
        TextAround::Forbidden => only_fenced(text),
    };
    match block.filter(|block| looks_like_json(block)) {
        Some(block) => calls_of(json_text::parse(block)?),
        None if around == TextAround::Allowed => Ok(in_prose(text)),
        None => Ok(vec![]),
    }
}

/// Reads calls that stand in prose as they are; brackets of any other meaning are prose.
fn in_prose(text: &str) -> Vec<Call> {
    let value = bracketed(text).and_then(|json| json_text::parse(json).ok());
    value.and_then(|value| calls_of(value).ok()).unwrap_or_default()
}

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// Reads the calls between `<tool_call>` and `</tool_call>`.
fn tagged(text: &str, around: TextAround) -> Result<Vec<Call>, String> {
    let mut calls = vec![];
    let mut rest = text;
    let mut outside = String::new();
    while let Some((before, opened)) = rest.split_once(OPEN) {
        let (inner, behind) = opened.split_once(CLOSE).ok_or("`<tool_call>` is never closed")?;
        outside.push_str(before);
        calls.extend(calls_of(json_text::parse(only_fenced(inner).unwrap_or(inner))?)?);
        if calls.len() > MOST_CALLS {
            return Err(format!("there are more than {MOST_CALLS} calls"));
        }
        rest = behind;
    }
    outside.push_str(rest);
    if outside.contains(CLOSE) {
        return Err("`</tool_call>` is never opened".to_owned());
    }
    if around == TextAround::Forbidden && !outside.trim().is_empty() {
        return Err("there is text around the calls".to_owned());
    }
    Ok(calls)
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Reads one call, a list of calls, or an object with `tool_calls`.
fn calls_of(value: Value) -> Result<Vec<Call>, String> {
    match value {
        Value::Array(items) if items.len() > MOST_CALLS => Err(format!("there are more than {MOST_CALLS} calls")),
        Value::Array(items) => items.into_iter().map(call_of).collect(),
        Value::Object(mut object) => match (object.remove("tool_calls"), object.remove("function_call")) {
            (Some(Value::Array(items)), None) => calls_of(Value::Array(items)),
            (None, Some(call)) => Ok(vec![call_of(call)?]),
            (None, None) => Ok(vec![call_of(Value::Object(object))?]),
            (Some(_), _) => Err("`tool_calls` is not a list, or does not stand alone".to_owned()),
        },
        _ => Ok(vec![]),
    }
}

/// Reads `{"name", "arguments"}`, where `arguments` may be called `parameters` and be JSON within a text, and all of it
/// may stand under `function`.
pub(super) fn call_of(value: Value) -> Result<Call, String> {
    let Value::Object(mut object) = value else { return Err("a call is not an object".to_owned()) };
    if let Some(Value::Object(inner)) = object.get("function").cloned() {
        if object.keys().any(|key| !["function", "type", "id", "index"].contains(&key.as_str())) {
            return Err("a call says more than `function`, `type` and `id`".to_owned());
        }
        object = inner;
    }
    let name = object.remove("name").or_else(|| object.remove("function"));
    let Some(Value::String(name)) = name else { return Err("a call has no `name`".to_owned()) };
    let arguments = match (object.remove("arguments"), object.remove("parameters")) {
        (Some(arguments), None) | (None, Some(arguments)) => arguments,
        (None, None) => Value::Object(Map::new()),
        (Some(_), Some(_)) => return Err("a call has both `arguments` and `parameters`".to_owned()),
    };
    if let Some(other) = object.keys().find(|key| !["type", "id"].contains(&key.as_str())) {
        return Err(format!("a call has the key `{other}`"));
    }
    match arguments {
        Value::Object(arguments) => Ok(Call { name, arguments }),
        Value::Null => Ok(Call { name, arguments: Map::new() }),
        Value::String(text) if text.trim().is_empty() => Ok(Call { name, arguments: Map::new() }),
        Value::String(text) => match json_text::parse(&text)? {
            Value::Object(arguments) => Ok(Call { name, arguments }),
            _ => Err("the `arguments` are not an object".to_owned()),
        },
        _ => Err("the `arguments` are not an object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(around: TextAround, text: &str, expected: Result<&[&str], &str>) {
        let shown = read(text, around).map(|calls| {
            calls.iter().map(|call| format!("{}{}", call.name, json!(call.arguments))).collect::<Vec<_>>()
        });
        assert_eq!(
            shown,
            expected.map(|calls| calls.iter().map(|&c| c.to_owned()).collect()).map_err(str::to_owned),
            "{text}"
        );
    }

    #[test]
    fn forms() {
        use TextAround::Allowed;
        let one: Result<&[&str], &str> = Ok(&["f{\"a\":1}"]);
        check(Allowed, r#"{"name": "f", "arguments": {"a": 1}}"#, one);
        check(Allowed, r#"[{"name": "f", "parameters": {"a": 1}}]"#, one);
        check(Allowed, "I call:\n```json\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n```", one);
        check(Allowed, "Well.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>", one);
        check(
            Allowed,
            r#"{"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]}"#,
            one,
        );
        check(
            Allowed,
            r#"{"role": "assistant", "content": null, "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}"#,
            one,
        );
        check(Allowed, r#"{"function_call": {"name": "f", "arguments": "{\"a\": 1}"}}"#, one);
        check(Allowed, r#"[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}]"#, one);
        check(Allowed, r#"{"name": "f"}"#, Ok(&["f{}"]));
        check(
            Allowed,
            r#"<tool_call>{"name": "f"}</tool_call><tool_call>{"name": "g", "arguments": {}}</tool_call>"#,
            Ok(&["f{}", "g{}"]),
        );
    }

    #[test]
    fn no_calls_and_broken_ones() {
        use TextAround::{Allowed, Forbidden};
        check(Allowed, "I cannot do that.", Ok(&[]));
        check(Allowed, "Let me see: {\"name\": \"f\"}", Ok(&["f{}"]));
        check(Forbidden, "Let me see: {\"name\": \"f\"}", Ok(&[]));
        check(Allowed, "The set {1, 2} and the list [3].", Ok(&[]));
        check(Allowed, "The set {\"a\": 1}.", Ok(&[]));
        check(Allowed, "```python\nprint(1)\n```", Ok(&[]));
        check(Allowed, "[]", Ok(&[]));
        check(Allowed, "<tool_call>{\"name\": \"f\"}", Err("`<tool_call>` is never closed"));
        check(Allowed, "{\"name\": \"f\"}</tool_call>", Err("`</tool_call>` is never opened"));
        check(Forbidden, "Well. <tool_call>{\"name\": \"f\"}</tool_call>", Err("there is text around the calls"));
        check(Allowed, "{\"name\": \"f\", \"name\": \"g\"}", Err("the key `name` stands twice at line 1 column 20"));
        check(Allowed, "{\"name\": \"f\", \"arguments\": [1]}", Err("the `arguments` are not an object"));
        check(Allowed, "{\"name\": \"f\", \"argument\": {}}", Err("a call has the key `argument`"));
        check(Allowed, "{\"a\": 1}", Err("a call has no `name`"));
    }
}
