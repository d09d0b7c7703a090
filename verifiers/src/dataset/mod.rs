//! Where tasks come from: generators, task files, and other people's files with a mapping.
//!
//! A [`TaskSource`] is a `[[tasks]]` section of a config. [`load`] reads it for training or for evaluation; one source
//! named in both places yields disjoint halves.

mod columns;
mod programs;
mod source;

use std::collections::HashSet;
use std::path::Path;

use crate::foreign::located;
use crate::generators::{self, Split, TaskSet};
use crate::random::key_of;
use crate::task::{Message, Prompt, Task, TaskError};

pub use columns::fill_template;
pub use source::{FileFormat, TaskSource};

/// Reads the tasks of a source.
///
/// `split` says whether they train or are held out: generators draw from disjoint halves, files with a `held_out` share
/// are cut by a hash of their prompts. Relative paths start at `folder`.
///
/// # Errors
///
/// Names the file and line, or the key, and what would be right.
pub fn load(source: &TaskSource, folder: &Path, split: Split) -> Result<Vec<Task>, TaskError> {
    source.check()?;
    let mut tasks = match &source.generator {
        Some(generator) => generators::generate(&TaskSet {
            generator,
            n: source.n.expect("`check` saw it"),
            seed: source.seed,
            level: source.level,
            params: &source.params,
            split,
        })?,
        None => from_file(source, folder, split)?,
    };
    if let Some(limit) = source.limit {
        tasks.truncate(limit);
    }
    for task in &mut tasks {
        dress(task, source)?;
    }
    if tasks.is_empty() {
        let why = "there is no task in it; check the file, `limit` and `held_out`";
        return Err(TaskError::Source { origin: source.label(), why: why.to_owned() });
    }
    Ok(tasks)
}

fn from_file(source: &TaskSource, folder: &Path, split: Split) -> Result<Vec<Task>, TaskError> {
    let path = folder.join(source.path.as_ref().expect("`check` saw it"));
    let text =
        std::fs::read_to_string(&path).map_err(|error| TaskError::Unreadable { path: path.clone(), source: error })?;
    let mut tasks = vec![];
    let mut ids = HashSet::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let at_line = |why: String| TaskError::Line { path: path.clone(), line: i + 1, why };
        let mut task = columns::task_of_line(source, line, i + 1).map_err(at_line)?;
        task.verifier = located(&task.verifier, path.parent().unwrap_or(Path::new("")));
        if !ids.insert(task.id.clone()) {
            return Err(at_line(format!("the id `{}` has been used before; ids must be unique", task.id)));
        }
        if source.held_out == 0.0 || is_held_out(&task, source.held_out) == (split == Split::Eval) {
            tasks.push(task);
        }
    }
    Ok(tasks)
}

/// Equal prompts fall on the same side, so that a duplicate in the file never crosses over.
fn is_held_out(task: &Task, share: f64) -> bool {
    let key = key_of(&task.prompt.to_plain_text());
    (key >> 11) as f64 / (1_u64 << 53) as f64 <= share
}

/// Applies the source's name, verifier, prompt template and system message.
fn dress(task: &mut Task, source: &TaskSource) -> Result<(), TaskError> {
    if let Some(name) = &source.name {
        task.source.clone_from(name);
    }
    if let Some(verifier) = source.verifier.as_ref().filter(|_| source.generator.is_some()) {
        if *verifier != task.verifier {
            // What a generator writes for its own verifier means nothing to another, which has the reference.
            task.spec = serde_json::Value::Null;
        }
        task.verifier.clone_from(verifier);
    }
    if let Some(template) = &source.prompt_template {
        let Prompt::Text(prompt) = &task.prompt else {
            return Err(TaskError::unusable(task, "`prompt_template` applies to prompts that are texts, not chats"));
        };
        let text = fill_template(template, |name| match name {
            "prompt" => Some(prompt.clone()),
            _ => task.meta.get(name).map(columns::as_text),
        })
        .map_err(|why| TaskError::unusable(task, format!("`prompt_template`: {why}")))?;
        task.prompt = Prompt::Text(text);
    }
    if let Some(system) = &source.system {
        let mut messages = vec![Message::new("system", system.clone())];
        match &task.prompt {
            Prompt::Text(text) => messages.push(Message::new("user", text.clone())),
            Prompt::Chat(chat) => messages.extend(chat.iter().cloned()),
        }
        task.prompt = Prompt::Chat(messages);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> TaskSource {
        toml::from_str(text).unwrap()
    }

    /// Writes a file, loads it with the settings given, and returns the tasks or the message without the folder.
    fn load_text(content: &str, settings: &str, split: Split) -> Result<Vec<Task>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("f.jsonl"), content).unwrap();
        let source = source(&format!("path = 'f.jsonl'\n{settings}"));
        load(&source, folder.path(), split)
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[track_caller]
    fn check_error(content: &str, settings: &str, expected: &str) {
        assert_eq!(load_text(content, settings, Split::Train).unwrap_err(), expected);
    }

    #[test]
    fn own_format() {
        let lines = r#"{"id":"a","prompt":"1+1","verifier":"math","reference":"2","meta":{"level":3}}

{"prompt":[{"role":"user","content":"hi"}],"reference":27.0,"spec":{"x":1}}"#;
        let tasks = load_text(lines, "verifier = 'exact'", Split::Train).unwrap();
        assert_eq!((tasks[0].id.as_str(), tasks[0].verifier.as_str(), tasks[0].source.as_str()), ("a", "math", "f"));
        assert_eq!((tasks[1].id.as_str(), tasks[1].verifier.as_str()), ("f-3", "exact"));
        assert_eq!(tasks[1].reference.as_deref(), Some("27.0"));
        assert_eq!(tasks[1].prompt, Prompt::Chat(vec![Message::new("user", "hi")]));
    }

    #[test]
    fn gsm8k_format() {
        let line = r#"{"question":"How many?","answer":"6*7=<<6*7=42>>42\n#### 1,042"}"#;
        let settings = "format = 'gsm8k'\nname = 'gsm'\nprompt_template = \"{prompt}\\nEnd with {{####}}.\"";
        let tasks = load_text(line, settings, Split::Train).unwrap();
        assert_eq!(tasks[0].prompt, "How many?\nEnd with {####}.".into());
        assert_eq!(tasks[0].reference.as_deref(), Some("1,042"));
        assert_eq!((tasks[0].verifier.as_str(), tasks[0].id.as_str()), ("math", "gsm-1"));
        assert!(tasks[0].solution.as_deref().unwrap().starts_with("6*7"));
    }

    #[test]
    fn columns_of_other_peoples_files() {
        let line = r#"{"Body":"Two cats.","Question":"Legs?","Answer":8.0,"ID":"s-1"}"#;
        let settings = "format = 'columns'\nverifier = 'math'\nprompt_template = '{Body} {Question}'\n\
                        reference_field = 'Answer'\nid_field = 'ID'\nsystem = 'Be brief.'";
        let task = &load_text(line, settings, Split::Train).unwrap()[0];
        let chat = vec![Message::new("system", "Be brief."), Message::new("user", "Two cats. Legs?")];
        assert_eq!(
            (&task.prompt, task.reference.as_deref(), task.id.as_str()),
            (&Prompt::Chat(chat), Some("8.0"), "s-1")
        );
    }

    #[test]
    fn columns_that_the_verifier_reads_become_the_spec() {
        let row = r#"{"q": "Which?", "choices": ["a", "b"], "answer": "B"}"#;
        let settings = "format = 'columns'\nprompt_field = 'q'\nreference_field = 'answer'\nverifier = 'choice'\n\
                        spec_fields = ['choices']\nspec = { strict = true }";
        let tasks = load_text(row, settings, Split::Train).unwrap();
        assert_eq!(tasks[0].spec, serde_json::json!({"strict": true, "choices": ["a", "b"]}));
        check_error(
            r#"{"q": "Which?", "answer": "B"}"#,
            settings,
            "tasks `f.jsonl`, line 1: there is no column `choices`; the line has q, answer",
        );
    }

    #[test]
    fn a_held_out_share_is_disjoint_and_complete() {
        let lines: String = (0..1000).map(|i| format!("{{\"prompt\":\"{i}\",\"reference\":\"{i}\"}}\n")).collect();
        let ids = |split| -> HashSet<String> {
            let tasks = load_text(&lines, "verifier = 'math'\nheld_out = 0.2", split).unwrap();
            tasks.into_iter().map(|task| task.id).collect()
        };
        let (train, eval) = (ids(Split::Train), ids(Split::Eval));
        assert!(train.is_disjoint(&eval));
        assert_eq!(train.len() + eval.len(), 1000);
        // Binomial with n = 1000 and p = 0.2: 200 ± 5 standard deviations.
        assert!((137..=263).contains(&eval.len()), "{}", eval.len());
    }

    #[test]
    fn refused_files_name_the_line() {
        check_error(
            "",
            "verifier = 'math'",
            "tasks `f.jsonl`: there is no task in it; check the file, `limit` and `held_out`",
        );
        check_error(
            "{\"prompt\":\"1\"}\n{\"prompt\":",
            "verifier = 'math'",
            "tasks `f.jsonl`, line 2: not JSON: EOF while parsing a value; a task file holds one object a line",
        );
        check_error("[1]", "", "tasks `f.jsonl`, line 1: a task is an object such as {\"id\": …, \"prompt\": …}");
        check_error(
            "{\"prompt\":\"1\",\"refrence\":\"1\"}",
            "verifier = 'math'",
            "tasks `f.jsonl`, line 1: unknown field `refrence`, expected one of `id`, `source`, `prompt`, `verifier`, \
             `reference`, `solution`, `spec`, `meta`; a task has `id`, `prompt`, `verifier`, `reference`, `solution`, \
             `spec`, `source` and `meta`",
        );
        check_error(
            "{\"prompt\":\"1\"}",
            "",
            "tasks `f.jsonl`, line 1: `verifier` is missing; name it here or in the `[[tasks]]` section",
        );
        check_error(
            "{\"id\":\"a\",\"prompt\":\"1\"}\n{\"id\":\"a\",\"prompt\":\"2\"}",
            "verifier = 'math'",
            "tasks `f.jsonl`, line 2: the id `a` has been used before; ids must be unique",
        );
        check_error(
            "{\"question\":\"?\",\"answer\":\"no mark\"}",
            "format = 'gsm8k'",
            "tasks `f.jsonl`, line 1: the column `answer` has no `####` in it",
        );
        check_error(
            "{\"problem\":\"?\"}",
            "format = 'gsm8k'",
            "tasks `f.jsonl`, line 1: there is no column `question`; the line has problem",
        );
        let missing = load(&TaskSource::file("/nowhere/f.jsonl"), Path::new("."), Split::Train).unwrap_err();
        assert_eq!(missing.to_string(), "tasks `/nowhere/f.jsonl` cannot be read");
    }

    #[test]
    fn refused_sections_name_the_key() {
        #[track_caller]
        fn check(settings: &str, expected: &str) {
            assert_eq!(source(settings).check().unwrap_err().to_string(), expected);
        }
        check("name = 'x'", "tasks `x`: a source needs a `generator` or a `path`");
        check("generator = 'sorting'\npath = 'f'", "tasks `sorting`: a source has a `generator` or a `path`, not both");
        check("generator = 'sorting'", "tasks `sorting`: a generator needs `n`, the number of tasks, of at least 1");
        check(
            "path = 'f'\nformat = 'columns'\nprompt_field = 'q'",
            "tasks `f`: `format = \"columns\"` needs a `verifier`, such as \"math\"",
        );
        check("path = 'f'\nheld_out = 1.0", "tasks `f`: `held_out` is a share of at least 0 and below 1");
        check(
            "path = 'f'\nid_field = 'i'",
            "tasks `f`: the `…_field` keys, `spec`, `spec_fields` and `reference_after` need `format = \"columns\"`",
        );
    }
}
