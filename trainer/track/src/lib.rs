//! Sinks that show the records of a run in other people's tools.
//!
//! The log of a run, `metrics.jsonl`, is the source of truth; a [`Sink`] is a function of its records and can be replayed
//! over a finished run at any time. A sink never sees a model or a verifier, and nothing of it is needed to train.

mod config;
pub mod dashboard;
mod histogram;
pub mod replay;
pub mod rollouts;
pub mod tensorboard;
pub mod wandb;

use std::path::PathBuf;
use std::time::Instant;

pub use config::{TrackConfig, WandbConfig, WandbMode};
pub use tensorboard::TensorBoard;

use replay::Entry;

/// Somewhere that what a run writes is shown.
pub trait Sink {
    /// Takes what was written next; kinds of records that the sink has no place for are passed over.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn write(&mut self, entry: &Entry) -> Result<(), SinkError>;

    /// Writes what is still held back; called whenever everything that there is has been given, and a few times a second
    /// while nothing new comes.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn flush(&mut self) -> Result<(), SinkError>;

    /// Returns false while the sink holds back so much that it should not be given more.
    fn wants_more(&self) -> bool {
        true
    }

    /// Writes the end of the run; what takes longer than the deadline is left.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn finish(&mut self, outcome: Outcome, deadline: Instant) -> Result<(), SinkError>;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were done.
    Complete,
    /// It was asked to stop, saved, and can go on.
    Stopped,
    /// It broke off.
    Failed,
    /// Not known: the run goes on, or was killed.
    Open,
}

impl Outcome {
    /// The exit code of a program that ended so; none where it has not.
    pub fn exit_code(self) -> Option<i32> {
        match self {
            Self::Complete | Self::Stopped => Some(0),
            Self::Failed => Some(1),
            Self::Open => None,
        }
    }
}

/// Why a sink could not take a record.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file could not be made or written.
    #[error("`{}` cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The run folder could not be read.
    #[error(transparent)]
    Run(#[from] rlvr_curves::store::StoreError),
    /// The server will not take it.
    #[error("{0}")]
    Refused(String),
}
