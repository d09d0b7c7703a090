//! Data sets of programs with tests: HumanEval and MBPP, as they are published.

use serde_json::{Map, Value, json};

use super::source::TaskSource;
use crate::task::{Prompt, Task};

/// HumanEval: the header of a function to be continued, and `check(candidate)` to judge it.
///
/// Chen et al. 2021, *Evaluating Large Language Models Trained on Code* (arXiv:2107.03374).
pub(super) fn human_eval(source: &TaskSource, object: Map<String, Value>) -> Result<Task, String> {
    let (prompt, entry) = (text(&object, "prompt")?, text(&object, "entry_point")?);
    let canonical = text(&object, "canonical_solution")?;
    let spec = json!({
        "language": "python",
        "tests": {"type": "asserts", "code": text(&object, "test")?},
        "prefix": prompt,
        "entry_point": entry,
    });
    let mut task = Task::new(text(&object, "task_id")?, Prompt::Text(prompt.clone()), verifier(source));
    let program = format!("{prompt}{canonical}");
    task.solution = Some(format!("```python\n{program}```"));
    task.reference = Some(program);
    task.spec = spec;
    task.meta = object;
    Ok(task)
}

/// MBPP: a sentence, a program and a list of assertions, which the prompt shows since it names the function only there.
///
/// Austin et al. 2021, *Program Synthesis with Large Language Models* (arXiv:2108.07732). The sanitized edition, whose
/// sentence is called `prompt` and which has `test_imports`, is read as well.
pub(super) fn mbpp(source: &TaskSource, object: Map<String, Value>) -> Result<Task, String> {
    let sentence = text(&object, "text").or_else(|_| text(&object, "prompt"))?;
    let program = text(&object, "code")?;
    let tests = texts(&object, "test_list")?.join("\n");
    let before = [texts(&object, "test_imports")?.join("\n"), text(&object, "test_setup_code").unwrap_or_default()];
    let before: Vec<&str> = before.iter().map(String::as_str).filter(|part| !part.trim().is_empty()).collect();
    let code = before.into_iter().chain([tests.as_str()]).collect::<Vec<_>>().join("\n");
    let id = object.get("task_id").map(super::columns::as_text).ok_or("there is no column `task_id`")?;
    let prompt = format!("{sentence}\nYour code should pass these tests:\n\n{tests}\n");
    let mut task = Task::new(format!("mbpp/{id}"), Prompt::Text(prompt), verifier(source));
    task.spec = json!({"language": "python", "tests": {"type": "asserts", "code": code}});
    if let Some(entry) = entry_point(&program, &tests) {
        task.spec["entry_point"] = json!(entry);
    }
    task.solution = Some(format!("```python\n{}\n```", program.trim_end()));
    task.reference = Some(program);
    task.meta = object;
    Ok(task)
}

fn verifier(source: &TaskSource) -> String {
    source.verifier.clone().unwrap_or_else(|| "code".to_owned())
}

/// The first function or class of the program that the tests name.
fn entry_point<'a>(program: &'a str, tests: &str) -> Option<&'a str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let defined = program.lines().filter_map(|line| {
        let rest = line.strip_prefix("def ").or_else(|| line.strip_prefix("class "))?.trim_start();
        Some(&rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())])
    });
    let named: Vec<&str> = tests.split(|c| !is_word(c)).collect();
    let place = |name: &str| named.iter().position(|word| *word == name);
    defined.filter_map(|name| Some((place(name)?, name))).min().map(|(_, name)| name)
}

/// A column of text, with the line ends of this system: published files hold `\r\n`.
fn text(object: &Map<String, Value>, name: &str) -> Result<String, String> {
    match object.get(name) {
        Some(Value::String(text)) => Ok(text.replace("\r\n", "\n")),
        Some(_) => Err(format!("the column `{name}` is not a text")),
        None => {
            let known: Vec<&str> = object.keys().map(String::as_str).collect();
            Err(format!("there is no column `{name}`; the line has {}", known.join(", ")))
        }
    }
}

/// A column that lists texts; empty if there is none of that name.
fn texts(object: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) if name != "test_list" => Ok(vec![]),
        Some(Value::Array(items)) => {
            let line = |item: &Value| item.as_str().map(|text| text.replace("\r\n", "\n"));
            items.iter().map(line).collect::<Option<_>>().ok_or_else(|| format!("the column `{name}` lists no texts"))
        }
        _ => Err(format!("there is no column `{name}` that lists texts")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::FileFormat;

    fn source(format: FileFormat) -> TaskSource {
        TaskSource { format, ..TaskSource::file("f.jsonl") }
    }

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn human_eval_rows() {
        let row = json!({
            "task_id": "HumanEval/900", "prompt": "def inc(x):\n    \"\"\" One more. \"\"\"\n", "entry_point": "inc",
            "canonical_solution": "    return x + 1\n", "test": "def check(candidate):\n    assert candidate(1) == 2\n",
        });
        let task = human_eval(&source(FileFormat::HumanEval), object(row)).unwrap();
        assert_eq!((task.id.as_str(), task.verifier.as_str()), ("HumanEval/900", "code"));
        assert_eq!(task.reference.as_deref(), Some("def inc(x):\n    \"\"\" One more. \"\"\"\n    return x + 1\n"));
        assert_eq!(task.spec["entry_point"], "inc");
        assert_eq!(task.prompt.to_plain_text(), task.spec["prefix"].as_str().unwrap());
    }

    #[test]
    fn mbpp_rows() {
        let row = json!({
            "task_id": 7, "text": "Add.", "code": "import math\r\ndef helper(): pass\r\ndef sum(a, b):\r\n  return a + b",
            "test_setup_code": "", "test_list": ["assert sum(1, 2) == 3", "assert sum(0, helper() or 2) == 2"],
            "challenge_test_list": [],
        });
        let task = mbpp(&source(FileFormat::Mbpp), object(row)).unwrap();
        assert_eq!(task.id, "mbpp/7");
        assert_eq!(task.reference.as_deref(), Some("import math\ndef helper(): pass\ndef sum(a, b):\n  return a + b"));
        assert_eq!(task.spec["entry_point"], "sum");
        assert_eq!(task.spec["tests"]["code"], "assert sum(1, 2) == 3\nassert sum(0, helper() or 2) == 2");
        assert!(task.prompt.to_plain_text().ends_with("assert sum(1, 2) == 3\nassert sum(0, helper() or 2) == 2\n"));
    }

    #[test]
    fn missing_columns_are_named() {
        let error = mbpp(&source(FileFormat::Mbpp), object(json!({"text": "Add."}))).unwrap_err();
        assert_eq!(error, "there is no column `code`; the line has text");
    }
}
