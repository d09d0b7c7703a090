//! Tasks: what is asked, and what a verifier needs to judge the answer.
//!
//! A task is one JSON object of a task file. Its keys are fixed, so that a misspelt one is an error at load and not a
//! reward of zero later; whatever else a data set carries belongs into `meta`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A problem with the reference by which its answers are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Stable and unique within its source; rollouts are drawn and recorded under it.
    pub id: String,
    /// Where the task comes from, such as `"gsm8k"`; statistics are kept by source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// What the policy sees.
    pub prompt: Prompt,
    /// The name of the verifier that judges the answers.
    pub verifier: String,
    /// The reference answer as text, or the canonical program. Absent where `spec` says everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// A worked answer that ends in the reference, for supervised training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solution: Option<String>,
    /// What else the verifier needs, in the verifier's own terms.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub spec: Value,
    /// Carried into the records, never read by a verifier.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

impl Task {
    /// Makes a task without reference, spec or meta.
    pub fn new(id: impl Into<String>, prompt: impl Into<Prompt>, verifier: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            source: String::new(),
            prompt: prompt.into(),
            verifier: verifier.into(),
            reference: None,
            solution: None,
            spec: Value::Null,
            meta: Map::new(),
        }
    }

    /// Sets the reference answer.
    #[must_use]
    pub fn with_reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// Sets the verifier's own part.
    #[must_use]
    pub fn with_spec(mut self, spec: Value) -> Self {
        self.spec = spec;
        self
    }
}

/// What the policy sees: a text to be continued, or a chat to be rendered by the model's template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of messages with `role` and `content`")]
pub enum Prompt {
    /// Plain text. A model with a chat template gets it as the message of a user.
    Text(String),
    /// The messages so far, the newest last.
    Chat(Vec<Message>),
}

impl Prompt {
    /// Returns what a person would read: the text, or the contents of the messages, a line each.
    pub fn to_plain_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Chat(messages) => messages.iter().map(|m| m.content.as_str()).collect::<Vec<_>>().join("\n"),
        }
    }
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or what else the model's template knows.
    pub role: String,
    /// The text.
    #[serde(default)]
    pub content: String,
    /// Further keys for the template, such as `tool_calls` or `name`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// Makes a message of a role and its text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), extra: Map::new() }
    }
}

/// Why a task, or a source of tasks, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A file could not be read.
    #[error("tasks `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a task file does not hold a task.
    #[error("tasks `{}`, line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A source yields nothing to train on.
    #[error("tasks `{origin}`: {why}")]
    Source {
        /// The file or generator.
        origin: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A task that its verifier cannot judge.
    #[error("task `{id}`: {why}")]
    Unusable {
        /// The task.
        id: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl TaskError {
    /// Makes the error of a task that its verifier cannot judge.
    pub fn unusable(task: &Task, why: impl Into<String>) -> Self {
        Self::Unusable { id: task.id.clone(), why: why.into() }
    }
}
