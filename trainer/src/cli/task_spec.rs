//! Tasks named on the command line.

use std::path::Path;

use anyhow::Context;
use rlvr_verifiers::dataset::{FileFormat, TaskSource};
use rlvr_verifiers::generators;

use super::WrongUse;

/// Parses a source of tasks: a task file, one of another format as in `gsm8k:FILE`, or `GENERATOR:n=200,level=2`.
pub(super) fn parse(spec: &str) -> anyhow::Result<TaskSource> {
    let (head, tail) = spec.split_once(':').unwrap_or((spec, ""));
    if generators::names().contains(&head) {
        return generator(head, tail);
    }
    let format = match head {
        "gsm8k" => Some(FileFormat::Gsm8k),
        "humaneval" => Some(FileFormat::HumanEval),
        "mbpp" => Some(FileFormat::Mbpp),
        _ => None,
    };
    if let Some(format) = format.filter(|_| !tail.is_empty()) {
        return Ok(TaskSource { format, ..TaskSource::file(tail) });
    }
    if !Path::new(spec).exists() {
        let names = generators::names().join(", ");
        let text = format!(
            "tasks `{spec}`: neither a file nor a generator; name a task file, `gsm8k:FILE`, `humaneval:FILE`, `mbpp:FILE`, or a generator ({names}) as in \
             `arithmetic:n=200,level=2`"
        );
        return Err(WrongUse(text).into());
    }
    Ok(TaskSource::file(spec))
}

/// Settings of a generator: `n`, `level` and `seed` by name, everything else is a knob.
fn generator(name: &str, settings: &str) -> anyhow::Result<TaskSource> {
    let mut source = TaskSource::generator(name, 200);
    for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| WrongUse(format!("tasks `{name}`: `{setting}` is not of the form key=value")))?;
        let number =
            || value.parse::<u64>().with_context(|| format!("tasks `{name}`: `{key}` is `{value}`, not a number"));
        match key {
            "n" => source.n = Some(number()? as usize),
            "level" => source.level = number()? as u32,
            "seed" => source.seed = number()?,
            _ => {
                let value = value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned()));
                source.params.insert(key.to_owned(), value);
            }
        }
    }
    Ok(source)
}
