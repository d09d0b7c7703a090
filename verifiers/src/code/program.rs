//! Finding the program in a completion.

use super::spec::Spec;
use crate::extract;

/// A block of code between fences.
#[derive(Debug, PartialEq, Eq)]
struct Block<'a> {
    /// The word after the opening fence, in lower case.
    word: String,
    code: &'a str,
}

/// Returns the program that a completion states, or none if it states none.
///
/// The last block between fences counts that is marked with one of `words` or not marked at all; where the function
/// that the tests call is known, the last of them that defines it. A block that is never closed counts if there is no
/// other. Without any fence the whole completion is the program. A `prefix` of the spec is put before it; a completion
/// that merely continues the prefix is cut where the next top-level statement begins.
pub(crate) fn program(completion: &str, spec: &Spec, words: &[String], reasoning_end: Option<&str>) -> Option<String> {
    let text = match reasoning_end {
        Some(end) => extract::after_reasoning(completion, end)?,
        None => completion,
    };
    let (code, is_fenced) = match blocks(text) {
        Some(blocks) => (chosen(&blocks, spec, words)?, true),
        None => (text, false),
    };
    if code.trim().is_empty() {
        return None;
    }
    Some(match &spec.prefix {
        None => code.to_owned(),
        Some(prefix) if is_whole(code, spec) => format!("{}\n\n{code}", prefix.trim_end()),
        Some(prefix) if is_fenced => format!("{prefix}{code}"),
        Some(prefix) => format!("{prefix}{}", continuation(code)),
    })
}

/// All blocks of a text; none if it has no fence.
fn blocks(text: &str) -> Option<Vec<Block<'_>>> {
    let mut blocks = vec![];
    let mut open: Option<(&str, String, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim();
        let fence = trimmed.len() - trimmed.trim_start_matches('`').len();
        match &open {
            None if fence >= 3 && !trimmed[fence..].contains('`') => {
                let word = trimmed[fence..].split_whitespace().next().unwrap_or_default().to_lowercase();
                open = Some((&trimmed[..fence], word, at));
            }
            Some((opening, word, from)) if fence >= opening.len() && fence == trimmed.len() => {
                blocks.push(Block { word: word.clone(), code: &text[*from..start] });
                open = None;
            }
            _ => {}
        }
    }
    match open {
        Some((_, word, from)) if blocks.is_empty() => {
            blocks.push(Block { word, code: &text[from..] });
            Some(blocks)
        }
        Some(_) => Some(blocks),
        None => (!blocks.is_empty()).then_some(blocks),
    }
}

fn chosen<'a>(blocks: &[Block<'a>], spec: &Spec, words: &[String]) -> Option<&'a str> {
    let fitting = || blocks.iter().rev().filter(|block| block.word.is_empty() || words.contains(&block.word));
    let defining = fitting().find(|block| spec.entry().is_some_and(|entry| defines(block.code, entry)));
    defining.or_else(|| fitting().next()).map(|block| block.code)
}

/// Whether a line of the code defines the name at top level.
fn defines(code: &str, name: &str) -> bool {
    code.lines().any(|line| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        let rest = line.strip_prefix("def ").or_else(|| line.strip_prefix("class ")).map(str::trim_start);
        let assigned = line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='));
        assigned
            || rest
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

/// Whether the code stands alone: it defines the function asked for, or anything where that is not known.
fn is_whole(code: &str, spec: &Spec) -> bool {
    match spec.entry() {
        Some(entry) => defines(code, entry),
        None => code.lines().any(|line| line.starts_with("def ") || line.starts_with("class ")),
    }
}

/// The rest of a function body: up to the first line that starts at the margin.
fn continuation(code: &str) -> &str {
    let mut at = 0;
    for (i, line) in code.split_inclusive('\n').enumerate() {
        let is_margin = !line.starts_with([' ', '\t', '\n', '\r', '#', ')', ']', '}']);
        if i > 0 && is_margin {
            return &code[..at];
        }
        at += line.len();
    }
    code
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(completion: &str, extra: &serde_json::Value, expected: Option<&str>) {
        let mut spec = json!({"tests": {"type": "asserts", "code": "assert f(1) == 2"}});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let words = ["python", "py"].map(str::to_owned);
        let found = program(completion, &Spec::parse(&spec).unwrap(), &words, Some("</think>"));
        assert_eq!(found.as_deref(), expected, "{completion:?}");
    }

    #[test]
    fn the_last_block_counts() {
        check("print(1)", &json!({}), Some("print(1)"));
        check("So:\n```python\nx = 1\n```\nor\n```\nx = 2\n```\n", &json!({}), Some("x = 2\n"));
        check("```python\nx = 1\n```\n```text\n1\n```", &json!({}), Some("x = 1\n"));
        check("```text\n1\n```", &json!({}), None);
        check("Sure.\n```python\nx = 1\n", &json!({}), Some("x = 1\n"));
        check("```python\nx = 1\n```\nthen\n```python\nx = ", &json!({}), Some("x = 1\n"));
        check("````\n```\nx\n```\n````", &json!({}), Some("```\nx\n```\n"));
        check("```Python title=\"a\"\r\nx = 1\r\n```\r\n", &json!({}), Some("x = 1\r\n"));
        check("", &json!({}), None);
        check("```python\n```", &json!({}), None);
    }

    #[test]
    fn the_block_that_defines_the_function_comes_first() {
        let two = "```python\ndef f(x):\n  return 1\n```\nUse it:\n```python\nprint(f(1))\n```";
        check(two, &json!({"entry_point": "f"}), Some("def f(x):\n  return 1\n"));
        check(two, &json!({"entry_point": "g"}), Some("print(f(1))\n"));
        check(two, &json!({}), Some("print(f(1))\n"));
    }

    #[test]
    fn code_inside_the_reasoning_is_no_answer() {
        check("<think>```python\nx\n```</think>\n```python\ny\n```", &json!({}), Some("y\n"));
        check("<think>\n```python\nx\n```", &json!({}), None);
    }

    #[test]
    fn headers_are_continued_or_repeated() {
        let header = json!({"prefix": "import os\ndef f(x):\n    \"\"\"Doc.\"\"\"\n", "entry_point": "f"});
        let continued = "import os\ndef f(x):\n    \"\"\"Doc.\"\"\"\n    return 1\n";
        check("    return 1\n", &header, Some(continued));
        check("    return 1\nprint(f(2))\n", &header, Some(continued));
        check("```python\n    return 1\n```", &header, Some(continued));
        check(
            "```python\ndef f(y):\n    return 2\n```",
            &header,
            Some("import os\ndef f(x):\n    \"\"\"Doc.\"\"\"\n\ndef f(y):\n    return 2\n"),
        );
    }
}
