//! The folder of a run: everything needed to audit, resume and plot it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use rlvr_curves::record::{Kind, Metrics, Record, SCHEMA};
use rlvr_curves::store::{LineWriter, read_log, retain};
use serde::{Deserialize, Serialize};

/// A run folder that this process writes.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: LineWriter,
    /// Held as long as the run, so that no other process writes here.
    _lock: File,
}

/// Whether a run starts anew or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The folder must not hold a run yet.
    New,
    /// The folder may hold a run.
    Resume,
}

const SUBFOLDERS: [&str; 4] = ["rollouts", "evals", "checkpoints", "curves"];

impl RunFolder {
    /// Checks that a new run finds no other in its folder.
    ///
    /// # Errors
    ///
    /// If it does.
    pub fn check_free(path: &Path, opening: Opening) -> anyhow::Result<()> {
        let holds_a_run = path.join("config.toml").exists() || path.join("metrics.jsonl").exists();
        if opening == Opening::New && holds_a_run {
            bail!(
                "run folder `{}`: there is a run already; go on with it by --resume, or name another folder with --out",
                path.display()
            );
        }
        Ok(())
    }

    /// Makes the folder of a run, or opens it.
    ///
    /// # Errors
    ///
    /// If another process is writing, or if the folder cannot be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        for name in SUBFOLDERS {
            let folder = path.join(name);
            std::fs::create_dir_all(&folder).with_context(|| {
                format!("run folder `{}`: cannot be made; choose another with --out", folder.display())
            })?;
        }
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), metrics: LineWriter::append(&path.join("metrics.jsonl"))?, _lock: lock })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a small file of the folder in one go.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let part = self.path.join(format!("{name}.part"));
        File::create(&part)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .and_then(|()| std::fs::rename(&part, &path))
            .with_context(|| format!("run folder: `{}` cannot be written", path.display()))
    }

    /// Appends a record.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn record(&mut self, kind: Kind, step: u64, metrics: Metrics) -> anyhow::Result<()> {
        self.append(Record { kind, schema: SCHEMA, step, time_s: now_s(), message: None, metrics })
    }

    /// Appends an event: something that happened once, in words.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn event(&mut self, step: u64, message: impl Into<String>) -> anyhow::Result<()> {
        let message = Some(message.into());
        self.append(Record {
            kind: Kind::Event,
            schema: SCHEMA,
            step,
            time_s: now_s(),
            message,
            metrics: Metrics::default(),
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "a record is made to be written")]
    fn append(&mut self, record: Record) -> anyhow::Result<()> {
        Ok(self.metrics.write(&record)?)
    }

    /// Writes JSON lines into `FOLDER/step_NNNNNN.jsonl`, in place of what may be there.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn write_lines<T: Serialize>(&self, folder: &str, step: u64, lines: &[T]) -> anyhow::Result<()> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        self.write(&format!("{folder}/{}.jsonl", step_name(step)), &text)
    }

    /// Returns whether the log holds an evaluation of the policy at a position.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn is_evaluated(&self, position: Position) -> anyhow::Result<bool> {
        let Position::Step(step) = position else { return Ok(false) };
        let log = read_log(&self.path.join("metrics.jsonl"))?;
        Ok(log.records.iter().any(|record| record.kind == Kind::Eval && record.step == step))
    }

    /// Drops what was written after a checkpoint, for a run that goes on from there; returns the number of records.
    ///
    /// # Errors
    ///
    /// If the log cannot be rewritten.
    pub fn rewind(&mut self, position: Position) -> anyhow::Result<usize> {
        let log = self.path.join("metrics.jsonl");
        let dropped = retain(&log, |record| position.has_reached(record))?;
        self.metrics = LineWriter::append(&log)?;
        for folder in ["rollouts", "evals"] {
            for entry in std::fs::read_dir(self.path.join(folder))?.flatten() {
                let is_later = step_of(&entry.path()).is_some_and(|at| match position {
                    Position::Start | Position::WarmStart(_) => true,
                    Position::Step(step) => at > step,
                });
                if is_later {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(dropped)
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(Default)]
pub enum Position {
    /// Nothing has been done.
    #[default]
    Start,
    /// So many steps of the warm start.
    WarmStart(u64),
    /// So many steps of reinforcement learning, the warm start and the first evaluation before them.
    Step(u64),
}

/// The key under which records of the warm start count their steps; their `step` is 0.
pub const WARM_START_STEP: &str = "sft/step";

impl Position {
    fn has_reached(self, record: &Record) -> bool {
        match self {
            Self::Start => false,
            Self::WarmStart(n) => {
                record.kind == Kind::Sft && record.metrics.get(WARM_START_STEP).is_some_and(|at| at <= n as f64)
            }
            Self::Step(step) => record.step <= step,
        }
    }
}

/// Returns whether another process is writing a run folder.
pub fn is_in_use(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(".lock")) else { return false };
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("run folder `{}`: cannot be written", folder.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!(
                "run folder `{}`: another process is writing it; wait for it, or name another folder",
                folder.display()
            )
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("run folder `{}`: cannot be locked", folder.display()))
        }
    }
}

/// The name of files and folders of a step, `step_000012`.
pub fn step_name(step: u64) -> String {
    format!("step_{step:06}")
}

/// The step of a file or folder named by [`step_name`].
pub fn step_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.strip_prefix("step_")?.parse().ok()
}

/// The time in seconds since 1970, to the millisecond.
pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |duration| (duration.as_secs_f64() * 1e3).round() / 1e3)
}
