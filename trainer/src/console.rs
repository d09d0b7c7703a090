//! Where lines for people go: stderr, above the bar of a terminal, and `console.log` of the run folder.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::Context;
use indicatif::ProgressBar;
use rlvr_curves::record::Metrics;
use serde::Serialize;

use crate::run_folder::now_s;

/// How lines on stderr look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}

/// There is one stderr, hence one format of the process.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Sets how lines on stderr look, once and before the first.
pub fn set_format(format: LogFormat) {
    let _ = FORMAT.set(format); // the first choice holds
}

/// Returns how lines on stderr look.
pub fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or_default()
}

/// Returns whether bars may be drawn: for people, on a terminal.
pub fn has_bars() -> bool {
    format() == LogFormat::Text && std::io::stderr().is_terminal()
}

/// Says something to people on stderr; that nobody reads it is no reason to stop.
pub fn say(text: &str) {
    write(&Line::of(text));
}

/// What is said of a step besides its line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StepDetail {
    /// The step.
    pub step: u64,
    /// The steps of the run.
    pub total: u64,
    /// Seconds to the end, as far as they can be guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// The measurements.
    pub metrics: Metrics,
}

/// A line for people, as an object.
#[derive(Serialize)]
struct Line<'a> {
    time_s: f64,
    level: &'static str,
    message: &'a str,
    #[serde(flatten)]
    detail: Option<&'a StepDetail>,
    /// As it stands on a terminal.
    #[serde(skip)]
    text: &'a str,
}

impl<'a> Line<'a> {
    fn of(text: &'a str) -> Self {
        let levels = ["warning", "error"];
        let found = levels.iter().find_map(|level| Some((*level, text.strip_prefix(level)?.strip_prefix(": ")?)));
        let (level, message) = found.unwrap_or(("info", text));
        Self { time_s: now_s(), level, message, detail: None, text }
    }

    fn shown(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Text => self.text.to_owned(),
            LogFormat::Json => serde_json::to_string(self).expect("a line is plain data"),
        }
    }
}

fn write(line: &Line<'_>) {
    let _ = writeln!(std::io::stderr(), "{}", line.shown(format()));
}

/// The console of a run; may be used from any thread.
#[derive(Debug)]
pub struct Console {
    log: Option<Mutex<File>>,
    bar: Mutex<Option<ProgressBar>>,
}

impl Console {
    /// Goes on with `console.log` of a run folder.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("console.log");
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("run folder: `{}` cannot be written", path.display()))?;
        Ok(Self { log: Some(Mutex::new(log)), bar: Mutex::new(None) })
    }

    /// Keeps nothing of what is said: for work outside a run folder.
    pub fn unkept() -> Self {
        Self { log: None, bar: Mutex::new(None) }
    }

    /// Says something.
    pub fn say(&self, text: &str) {
        self.show(&Line::of(text));
    }

    /// Says what came of a step.
    pub fn step(&self, text: &str, detail: &StepDetail) {
        self.show(&Line { detail: Some(detail), ..Line::of(text) });
    }

    /// Draws lines above a bar from now on, or not any more.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        *held(&self.bar) = bar;
    }

    /// The log is for reading: a full disk must not end a run that has other things to fail on.
    fn show(&self, line: &Line<'_>) {
        if let Some(log) = &self.log {
            let _ = held(log).write_all(format!("{}\n", line.text).as_bytes());
        }
        match &*held(&self.bar) {
            Some(bar) => bar.println(line.text),
            None => write(line),
        }
    }
}

/// A thread that broke down has left nothing behind in a file or a bar that others could trip over.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn lines_are_objects_for_programs() {
        let mut metrics = Metrics::default();
        metrics.set("reward/mean", 0.5);
        let detail = StepDetail { step: 3, total: 9, seconds_left: None, metrics };
        for (line, expected) in [
            (Line::of("warning: low"), json!({"level": "warning", "message": "low"})),
            (Line::of("error: a: b"), json!({"level": "error", "message": "a: b"})),
            (Line::of("warnings"), json!({"level": "info", "message": "warnings"})),
            (
                Line { detail: Some(&detail), ..Line::of("x") },
                json!({"level": "info", "message": "x", "step": 3, "total": 9, "metrics": {"reward/mean": 0.5}}),
            ),
        ] {
            let mut found: Value = serde_json::from_str(&line.shown(LogFormat::Json)).unwrap();
            assert!(found.as_object_mut().unwrap().remove("time_s").unwrap().is_number());
            assert_eq!(found, expected);
        }
        assert_eq!(Line::of("warning: low").shown(LogFormat::Text), "warning: low");
    }

    #[test]
    fn what_is_said_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        Console::open(folder.path()).unwrap().say("one");
        Console::open(folder.path()).unwrap().step("two", &StepDetail::default());
        assert_eq!(std::fs::read_to_string(folder.path().join("console.log")).unwrap(), "one\ntwo\n");
    }
}
