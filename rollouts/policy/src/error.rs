//! What can be wrong with a model folder.

use std::path::{Path, PathBuf};

/// Why a model cannot be read, written or made.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file could not be read or written.
    #[error("model file `{}` cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` describes a model that this crate does not know, or none.
    #[error("model config `{}`: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key, what was expected and what to do.
        why: String,
    },
    /// A weight file is damaged, or its tensors are not those that the config describes.
    #[error("weights `{}`: {why}", path.display())]
    Weights {
        /// The file or folder.
        path: PathBuf,
        /// The tensor, what was expected and what to do.
        why: String,
    },
    /// Sizes of a preset that do not make a model.
    #[error("preset: {0}")]
    Preset(String),
    /// A CUDA graph cannot be recorded or run.
    #[error("CUDA graph: {0}; `rollouts.cuda_graphs = false` or `--no-cuda-graphs` decodes without")]
    Cuda(String),
}

impl PolicyError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    pub(crate) fn config(path: &Path, why: impl Into<String>) -> Self {
        Self::Config { path: path.to_owned(), why: why.into() }
    }

    pub(crate) fn weights(path: &Path, why: impl Into<String>) -> Self {
        Self::Weights { path: path.to_owned(), why: why.into() }
    }
}
