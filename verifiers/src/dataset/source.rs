//! The `[[tasks]]` section of a config.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::task::TaskError;

/// One source of tasks: a `generator` or a file at `path`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSource {
    /// The name in records; the generator's or the file's by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Generate tasks, by the name of a generator; `rlvr tasks --help` lists them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// How many tasks to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// Which of the many tasks to generate.
    #[serde(default)]
    pub seed: u64,
    /// How hard the generated tasks are, from 1 up.
    #[serde(default = "one")]
    pub level: u32,
    /// Knobs of the generator that differ from those of the level.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub params: toml::Table,

    /// Read tasks from a file of JSON lines; a relative path starts at the config's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// How the file spells its tasks.
    #[serde(default)]
    pub format: FileFormat,
    /// The column of the prompt, for files with columns of their own. `{…}` in `prompt_template` may name others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_field: Option<String>,
    /// The column of the reference answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_field: Option<String>,
    /// The reference is what follows the last of these marks in its column, such as `####`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_after: Option<String>,
    /// The column of a worked answer, for supervised training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solution_field: Option<String>,
    /// The column of the task's id; the file's name and line by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_field: Option<String>,
    /// Columns that the verifier reads, such as `choices`; they become the task's `spec`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spec_fields: Vec<String>,
    /// What every task's `spec` holds besides.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub spec: toml::Table,
    /// The share of the file that is held out: training takes the rest, evaluation takes it.
    #[serde(default)]
    pub held_out: f64,

    /// The verifier of tasks that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// The prompt, with `{prompt}` and the task's other columns put in; `{{` is a brace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_template: Option<String>,
    /// A system message before the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// At most so many tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

fn one() -> u32 {
    1
}

/// How a task file spells its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// The project's own: an object with `id`, `prompt`, `verifier`, `reference` and so on.
    #[default]
    Tasks,
    /// Columns named by `prompt_field`, `reference_field` and the like.
    Columns,
    /// GSM8K: `question`, and `answer` with the number after `####`.
    Gsm8k,
    /// HumanEval: `prompt`, `entry_point`, `canonical_solution` and `test`, judged by the verifier `code`.
    #[serde(rename = "humaneval")]
    HumanEval,
    /// MBPP: `text`, `code` and `test_list`, judged by the verifier `code`.
    Mbpp,
}

impl TaskSource {
    /// Makes a source that generates `n` tasks.
    pub fn generator(generator: impl Into<String>, n: usize) -> Self {
        Self { generator: Some(generator.into()), n: Some(n), ..Self::blank() }
    }

    /// Makes a source that reads a task file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..Self::blank() }
    }

    fn blank() -> Self {
        Self {
            name: None,
            generator: None,
            n: None,
            seed: 0,
            level: 1,
            params: toml::Table::new(),
            path: None,
            format: FileFormat::Tasks,
            prompt_field: None,
            reference_field: None,
            reference_after: None,
            solution_field: None,
            id_field: None,
            spec_fields: vec![],
            spec: toml::Table::new(),
            held_out: 0.0,
            verifier: None,
            prompt_template: None,
            system: None,
            limit: None,
        }
    }

    /// Returns the name by which messages and records call the source.
    pub fn label(&self) -> String {
        let file = || self.path.as_ref().map(|path| path.display().to_string());
        self.name.clone().or_else(|| self.generator.clone()).or_else(file).unwrap_or_else(|| "tasks".to_owned())
    }

    /// Checks what can be checked without reading.
    ///
    /// # Errors
    ///
    /// Names the key and what would be right.
    pub fn check(&self) -> Result<(), TaskError> {
        let refuse = |why: &str| Err(TaskError::Source { origin: self.label(), why: why.to_owned() });
        match (&self.generator, &self.path) {
            (None, None) => return refuse("a source needs a `generator` or a `path`"),
            (Some(_), Some(_)) => return refuse("a source has a `generator` or a `path`, not both"),
            (Some(_), None) => {
                if self.n.is_none_or(|n| n == 0) {
                    return refuse("a generator needs `n`, the number of tasks, of at least 1");
                }
                if self.level == 0 {
                    return refuse("`level` is 0, but levels count from 1");
                }
                if self.has_columns() || self.format != FileFormat::Tasks || self.held_out != 0.0 {
                    return refuse("`format`, `held_out` and the `…_field` keys belong to files, not to a generator");
                }
            }
            (None, Some(_)) => {
                if self.n.is_some() || !self.params.is_empty() {
                    return refuse("`n` and `params` belong to a generator; use `limit` to take fewer tasks of a file");
                }
                match self.format {
                    FileFormat::Columns if self.prompt_field.is_none() && self.prompt_template.is_none() => {
                        return refuse("`format = \"columns\"` needs `prompt_field` or `prompt_template`");
                    }
                    FileFormat::Columns if self.verifier.is_none() => {
                        return refuse("`format = \"columns\"` needs a `verifier`, such as \"math\"");
                    }
                    FileFormat::Tasks | FileFormat::Gsm8k | FileFormat::HumanEval | FileFormat::Mbpp
                        if self.has_columns() =>
                    {
                        return refuse(
                            "the `…_field` keys, `spec`, `spec_fields` and `reference_after` need `format = \"columns\"`",
                        );
                    }
                    _ => {}
                }
            }
        }
        if !(0.0..1.0).contains(&self.held_out) {
            return refuse("`held_out` is a share of at least 0 and below 1");
        }
        Ok(())
    }

    fn has_columns(&self) -> bool {
        [&self.prompt_field, &self.reference_field, &self.reference_after, &self.solution_field, &self.id_field]
            .iter()
            .any(|field| field.is_some())
            || !self.spec_fields.is_empty()
            || !self.spec.is_empty()
    }
}
