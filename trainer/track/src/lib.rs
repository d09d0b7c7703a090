//! Sinks that show the records of a run in other people's tools.
//!
//! The log of a run, `metrics.jsonl`, is the source of truth; a [`Sink`] is a function of its records and can be replayed
//! over a finished run at any time. A sink never sees a model or a verifier, and nothing of it is needed to train.

pub mod dashboard;
pub mod rollouts;
pub mod tensorboard;

use std::path::PathBuf;

use rlvr_curves::record::Record;

pub use tensorboard::TensorBoard;

/// Somewhere that records go.
pub trait Sink {
    /// Takes a record; those of kinds that the sink has no place for are passed over.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn write(&mut self, record: &Record) -> Result<(), SinkError>;

    /// Writes what is still held back.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn finish(&mut self) -> Result<(), SinkError>;
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
}
