//! One problem of an evaluation, as a line of JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::estimate::Votes;

/// How the samples of one problem did. Samples that were not judged are counted, and left out of everything else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The evaluation set.
    pub set: String,
    /// The problem.
    pub task_id: String,
    /// How thinking was bounded, such as `budget 64`; empty if it was not.
    #[serde(default)]
    pub variant: String,
    /// Samples that were not judged.
    pub n_unjudged: u64,
    /// Whether each judged sample is right.
    pub right: Vec<bool>,
    /// The mean score; 0 if nothing was judged.
    pub score: f64,
    /// The mean score by the strict extractors, where there is one.
    pub strict: Option<f64>,
    /// The mean score by the lenient extractors, where there is one.
    pub lenient: Option<f64>,
    /// Which answers were given how often.
    pub votes: Votes,
    /// The scores of each judged sample by verifiers that pick; −1 where one could not judge.
    #[serde(default)]
    pub scores: BTreeMap<String, Vec<f64>>,
    /// Tokens of the prompt.
    pub n_prompt: u64,
    /// Completion tokens of the judged samples together.
    pub n_tokens: u64,
    /// Judged samples that the token limit cut off.
    pub n_truncated: u64,
    /// Judged samples whose answer was forced when the thinking budget was used up.
    #[serde(default)]
    pub n_forced: u64,
    /// Operations of the prompt, computed once.
    pub flops_prompt: f64,
    /// Operations of the judged samples after it, together.
    pub flops_samples: f64,
}

impl Problem {
    /// Returns the number of judged samples.
    pub fn n(&self) -> u64 {
        self.right.len() as u64
    }

    /// Returns how many of them are right.
    pub fn n_right(&self) -> u64 {
        self.right.iter().filter(|right| **right).count() as u64
    }

    /// Returns the completion tokens of `k` samples on average; none if nothing was judged.
    pub fn tokens_of(&self, k: u64) -> Option<f64> {
        self.per_sample(self.n_tokens as f64).map(|tokens| k as f64 * tokens)
    }

    /// Returns the operations of `k` samples on average, the prompt computed once; none if nothing was judged.
    pub fn flops_of(&self, k: u64) -> Option<f64> {
        self.per_sample(self.flops_samples).map(|flops| self.flops_prompt + k as f64 * flops)
    }

    pub(super) fn per_sample(&self, total: f64) -> Option<f64> {
        (self.n() > 0).then(|| total / self.n() as f64)
    }
}

/// Why the problems of an evaluation cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("problems `{}` cannot be read; `rlvr eval --out NAME.json` writes them to `NAME.problems.jsonl`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is something else.
    #[error("problems `{}`, line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// Reads the problems of an evaluation.
///
/// # Errors
///
/// Names the file and the line.
pub fn read(path: &Path) -> Result<Vec<Problem>, ReadError> {
    let text = std::fs::read_to_string(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let why = format!("not a problem: {error}; name a `.problems.jsonl` that `rlvr eval` has written");
            ReadError::Line { path: path.to_owned(), line: i + 1, why }
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(parse).collect()
}
