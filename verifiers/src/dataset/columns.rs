//! One line of a file, made into a task.

use serde_json::{Map, Value};

use super::programs;
use super::source::{FileFormat, TaskSource};
use crate::task::{Prompt, Task};

/// Makes a task of a line; the error says what is wrong with it.
pub(super) fn task_of_line(source: &TaskSource, line: &str, number: usize) -> Result<Task, String> {
    let value: Value = serde_json::from_str(line)
        .map_err(|error| format!("not JSON: {}; a task file holds one object a line", without_position(&error)))?;
    let Value::Object(mut object) = value else {
        return Err("a task is an object such as {\"id\": …, \"prompt\": …}".to_owned());
    };
    match source.format {
        FileFormat::Tasks => own(source, object, number),
        FileFormat::Columns => mapped(&Mapping::of(source), source, object, number),
        FileFormat::HumanEval => programs::human_eval(source, object),
        FileFormat::Mbpp => programs::mbpp(source, object),
        FileFormat::Gsm8k => {
            // `idx` and the like stay in `meta`.
            object.entry("question").or_insert(Value::Null);
            mapped(&Mapping::GSM8K, source, object, number)
        }
    }
}

/// A serde message ends in a position within the line's own text, which would contradict ours.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn own(source: &TaskSource, mut object: Map<String, Value>, number: usize) -> Result<Task, String> {
    if !object.contains_key("verifier") {
        let verifier =
            source.verifier.clone().ok_or("`verifier` is missing; name it here or in the `[[tasks]]` section")?;
        object.insert("verifier".to_owned(), Value::from(verifier));
    }
    object.entry("id").or_insert_with(|| Value::from(line_id(source, number)));
    for key in ["id", "reference"] {
        if let Some(value @ (Value::Number(_) | Value::Bool(_))) = object.get_mut(key) {
            *value = Value::from(as_text(value));
        }
    }
    object.entry("source").or_insert_with(|| Value::from(file_stem(source)));
    serde_json::from_value(Value::Object(object)).map_err(|error| {
        format!("{error}; a task has `id`, `prompt`, `verifier`, `reference`, `solution`, `spec`, `source` and `meta`")
    })
}

/// Which column is what.
struct Mapping<'a> {
    prompt: Option<&'a str>,
    reference: Option<&'a str>,
    reference_after: Option<&'a str>,
    solution: Option<&'a str>,
    id: Option<&'a str>,
}

impl<'a> Mapping<'a> {
    const GSM8K: Mapping<'static> = Mapping {
        prompt: Some("question"),
        reference: Some("answer"),
        reference_after: Some("####"),
        solution: Some("answer"),
        id: None,
    };

    fn of(source: &'a TaskSource) -> Self {
        Self {
            prompt: source.prompt_field.as_deref(),
            reference: source.reference_field.as_deref(),
            reference_after: source.reference_after.as_deref(),
            solution: source.solution_field.as_deref(),
            id: source.id_field.as_deref(),
        }
    }
}

fn mapped(
    mapping: &Mapping<'_>,
    source: &TaskSource,
    object: Map<String, Value>,
    number: usize,
) -> Result<Task, String> {
    let column = |name: &str| -> Result<String, String> {
        match object.get(name) {
            None | Some(Value::Null) => {
                let known: Vec<&str> = object.iter().filter(|(_, v)| !v.is_null()).map(|(k, _)| k.as_str()).collect();
                Err(format!("there is no column `{name}`; the line has {}", known.join(", ")))
            }
            Some(value) => Ok(as_text(value)),
        }
    };
    let prompt = match mapping.prompt {
        Some(name) => column(name)?,
        None => String::new(), // the template names its columns
    };
    let verifier = source.verifier.clone().unwrap_or_else(|| "math".to_owned());
    let id = mapping.id.map_or_else(|| Ok(line_id(source, number)), column)?;
    let mut task = Task::new(id, Prompt::Text(prompt), verifier);
    task.source = file_stem(source);
    if let Some(name) = mapping.reference {
        task.reference = Some(reference(&column(name)?, name, mapping.reference_after)?);
    }
    if let Some(name) = mapping.solution {
        task.solution = Some(column(name)?);
    }
    task.spec = spec(source, &object)?;
    task.meta = object;
    Ok(task)
}

/// Joins what every task's spec holds with the columns that belong there.
fn spec(source: &TaskSource, object: &Map<String, Value>) -> Result<Value, String> {
    if source.spec.is_empty() && source.spec_fields.is_empty() {
        return Ok(Value::Null);
    }
    let mut spec = serde_json::to_value(&source.spec).map_err(|error| format!("`spec`: {error}"))?;
    for name in &source.spec_fields {
        let known = || object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let value = object.get(name).ok_or_else(|| format!("there is no column `{name}`; the line has {}", known()))?;
        spec[name] = value.clone();
    }
    Ok(spec)
}

fn reference(text: &str, column: &str, after: Option<&str>) -> Result<String, String> {
    let Some(mark) = after else { return Ok(text.trim().to_owned()) };
    let (_, answer) = text.rsplit_once(mark).ok_or_else(|| format!("the column `{column}` has no `{mark}` in it"))?;
    Ok(answer.trim().to_owned())
}

fn file_stem(source: &TaskSource) -> String {
    let stem = source.path.as_ref().and_then(|path| path.file_stem());
    source.name.clone().or_else(|| stem.map(|stem| stem.to_string_lossy().into_owned())).unwrap_or_default()
}

fn line_id(source: &TaskSource, number: usize) -> String {
    format!("{}-{number}", file_stem(source))
}

/// Text as it is, everything else as JSON.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Puts values into the `{name}`s of a template; `{{` and `}}` are braces.
///
/// # Errors
///
/// Names the placeholder that has no value, or the brace that is not closed.
///
/// # Examples
///
/// ```
/// use rlvr_verifiers::dataset::fill_template;
///
/// let filled = fill_template("{a} + 1 = {{?}}", |name| (name == "a").then(|| "2".to_owned()));
/// assert_eq!(filled.unwrap(), "2 + 1 = {?}");
/// ```
pub fn fill_template(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            filled.push_str(brace);
            rest = after;
        } else if brace == "{" {
            let (name, after) = rest.split_once('}').ok_or("a `{` is not closed; write `{{` for a brace")?;
            filled.push_str(&value(name.trim()).ok_or_else(|| format!("there is no column `{}`", name.trim()))?);
            rest = after;
        } else {
            return Err("a `}` is not opened; write `}}` for a brace".to_owned());
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let value = |name: &str| (name == "x").then(|| "{7}".to_owned());
        assert_eq!(fill_template("{x}={ x }", value).unwrap(), "{7}={7}");
        assert_eq!(fill_template("\\boxed{{}}", value).unwrap(), "\\boxed{}");
        assert_eq!(fill_template("{y}", value).unwrap_err(), "there is no column `y`");
        assert_eq!(fill_template("{x", value).unwrap_err(), "a `{` is not closed; write `{{` for a brace");
        assert_eq!(fill_template("x}", value).unwrap_err(), "a `}` is not opened; write `}}` for a brace");
    }
}
