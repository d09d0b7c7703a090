//! How far the runs of a sweep are: read from their folders alone, so that anybody can look at any time.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;
use rlvr_curves::record::Kind;
use rlvr_curves::store::read_log;
use serde::Serialize;

use super::plan::PlannedRun;
use crate::progress::duration;
use crate::run_folder::{is_in_use, step_name};

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has not been started, or was interrupted.
    Waiting,
    /// A process is working on it.
    Running,
    /// All its steps are done.
    Done,
    /// Its process ended with an error.
    Failed,
}

/// How far a run is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The run.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Training compute so far, in FLOPs.
    pub flops: f64,
    /// Seconds of reinforcement learning so far.
    pub wall_s: f64,
    /// The newest held-out accuracy, of the first set.
    pub accuracy: Option<f64>,
}

/// Whether a run has done all that its config asks for.
///
/// # Errors
///
/// If its folder holds a finished run of another config.
pub fn is_done(run: &PlannedRun, folder: &Path) -> anyhow::Result<bool> {
    let last = folder.join("checkpoints").join(step_name(run.config.run.steps));
    if !last.join("checksums.json").exists() || is_in_use(folder) {
        return Ok(false);
    }
    let saved = std::fs::read_to_string(folder.join("config.toml")).unwrap_or_default();
    if saved != run.config.to_toml() {
        bail!(
            "run folder `{}` holds a run of another config; remove it, or name another folder with --out",
            folder.display()
        );
    }
    Ok(true)
}

/// Reads how far a run is.
pub fn status(run: &PlannedRun, folder: &Path, state: State) -> Status {
    let mut status = Status {
        name: run.name.clone(),
        state,
        step: 0,
        steps: run.config.run.steps,
        flops: 0.0,
        wall_s: 0.0,
        accuracy: None,
    };
    // A log that is not there yet, or is being cut at the moment, says nothing.
    let Ok(log) = read_log(&folder.join("metrics.jsonl")) else { return status };
    for record in log.records {
        let get = |name: &str| record.metrics.get(name);
        if record.kind == Kind::Step {
            status.step = record.step;
            status.flops = get("compute/flops_total").unwrap_or(status.flops);
            status.wall_s = get("compute/wall_s").unwrap_or(status.wall_s);
        }
        if record.kind == Kind::Eval {
            let is_mean = |key: &str| key.starts_with("eval/") && key.contains("/mean@");
            status.accuracy = record.metrics.iter().find(|(key, _)| is_mean(key)).map(|(_, value)| value);
        }
    }
    status
}

/// Writes a table, a line a run and one for all.
pub fn table(all: &[Status]) -> String {
    let width = all.iter().map(|status| status.name.chars().count()).max().unwrap_or(0).max(4);
    let mut text =
        format!("{:width$}  {:8} {:>11}  {:>9}  {:>8}  {:>12}\n", "run", "state", "step", "FLOPs", "held-out", "time");
    for status in all {
        let state = match status.state {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Done => "done",
            State::Failed => "FAILED",
        };
        let accuracy = status.accuracy.map_or("–".to_owned(), |accuracy| format!("{:.1} %", accuracy * 100.0));
        let steps = format!("{}/{}", status.step, status.steps);
        let _ = writeln!(
            text,
            "{:width$}  {state:8} {steps:>11}  {:>9.2e}  {accuracy:>8}  {:>12}",
            status.name,
            status.flops,
            duration(status.wall_s)
        );
    }
    let done = all.iter().filter(|status| status.state == State::Done).count();
    let _ = writeln!(
        text,
        "{done} of {} runs are done{}",
        all.len(),
        left(all).map_or(String::new(), |s| format!(", about {} of computing left", duration(s)))
    );
    text
}

/// Seconds of computing that are left, by the seconds a step of what was done; runs of other sizes take other times.
fn left(all: &[Status]) -> Option<f64> {
    let (seconds, steps) = all.iter().fold((0.0, 0), |(s, n), status| (s + status.wall_s, n + status.step));
    let remaining: u64 = all.iter().map(|status| status.steps.saturating_sub(status.step)).sum();
    (steps > 0 && remaining > 0).then(|| seconds / steps as f64 * remaining as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_is_done_and_what_is_left() {
        let one = |name: &str, state, step, accuracy| Status {
            name: name.to_owned(),
            state,
            step,
            steps: 10,
            flops: 1.5e12,
            wall_s: 2.0 * step as f64,
            accuracy,
        };
        let text = table(&[one("seed-0", State::Done, 10, Some(0.5)), one("seed-1", State::Running, 5, None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "seed-0  done           10/10     1.50e12    50.0 %          20 s".replace("     1.50e12", "    1.50e12")
        );
        assert!(lines[2].contains("running") && lines[2].contains("5/10") && lines[2].contains('–'), "{text}");
        assert_eq!(lines[3], "1 of 2 runs are done, about 10 s of computing left");
    }
}
