//! What can go wrong between tasks and rollouts.

use std::path::{Path, PathBuf};

use rlvr_policy::PolicyError;

/// Why a tokenizer, a template or a prompt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The weights or their config.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A file could not be read or written.
    #[error("tokenizer file `{}` cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tokenizer file holds something else.
    #[error("tokenizer file `{}`: {why}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// The chat template refused the messages, or cannot be run.
    #[error("chat template: {0}")]
    Template(String),
    /// A prompt that the policy cannot take.
    #[error("task `{task}`: {why}")]
    Prompt {
        /// The task.
        task: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Sampling settings that contradict themselves.
    #[error("sampling: {0}")]
    Sampling(String),
}

impl RolloutError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    pub(crate) fn tokenizer(path: &Path, why: impl Into<String>) -> Self {
        Self::Tokenizer { path: path.to_owned(), why: why.into() }
    }
}
