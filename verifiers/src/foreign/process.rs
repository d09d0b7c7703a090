//! Judges that are programs: `process:COMMAND`.
//!
//! The command is split into words as a shell would, and started without a shell. Each line that it reads is an attempt
//! ([`Row`](super::protocol::Row), with an `id`), each line that it writes an answer that bears the same `id`:
//!
//! ```json
//! {"id": "5e0c-1", "score": 0.5}
//! {"id": "5e0c-2", "outcome": "judged", "score": 0, "finding": "no_answer", "detail": {"seen": "…"}}
//! {"id": "5e0c-3", "outcome": "unjudged", "why": "the reference is not a number"}
//! ```
//!
//! Answers may come in any order. The program must flush its stdout after each, should go on until its stdin ends,
//! and may write to stderr what it likes; the end of that is shown where it fails.

use super::WorkerJudge;
use super::launch::Launch;
use super::options::{ProcessOptions, positive};
use super::pool::{Calls, Pool};

/// Makes the judge `process:COMMAND`, and starts a first worker.
///
/// # Errors
///
/// If the command cannot be started, or an option is out of range.
pub fn new(command: &str, options: ProcessOptions) -> Result<WorkerJudge, String> {
    let ProcessOptions { batch, ready_s, worker } = options;
    let launch = Launch::from_command(command, worker.env.clone())?;
    let pool = Pool::new(launch, Calls::One { ahead: positive("batch", batch)? }, ready_s, &worker)?;
    WorkerJudge::new(format!("process:{command}"), pool, worker)
}
