//! The log of a run in columns, read on as it grows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rlvr_curves::record::{Kind, Record};
use serde_json::{Value, json};

/// All records of `metrics.jsonl` so far.
#[derive(Debug)]
pub(super) struct MetricsLog {
    tail: Tail,
    tables: BTreeMap<&'static str, Table>,
    evals: Vec<Record>,
    events: Vec<Value>,
    last_time_s: f64,
    n_records: usize,
    n_damaged: usize,
}

/// The records of one kind.
#[derive(Debug, Default)]
pub(super) struct Table {
    step: Vec<f64>,
    time_s: Vec<f64>,
    /// The rows in which something was measured, and what.
    columns: BTreeMap<String, Vec<(u32, f64)>>,
}

impl MetricsLog {
    pub(super) fn new(run: &Path) -> Self {
        let tail = Tail { path: run.join("metrics.jsonl"), offset: 0, identity: None };
        let (tables, evals, events) = (BTreeMap::new(), vec![], vec![]);
        Self { tail, tables, evals, events, last_time_s: f64::NAN, n_records: 0, n_damaged: 0 }
    }

    /// Reads what is new. A file that is not there is empty; one that was replaced is read anew.
    pub(super) fn refresh(&mut self) -> std::io::Result<()> {
        let news = self.tail.read()?;
        if news.is_anew {
            let tail = Tail { path: self.tail.path.clone(), ..self.tail };
            *self = Self { tail, ..Self::new(Path::new("")) };
        }
        for line in news.bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Record>(line) {
                Ok(record) => self.add(record),
                Err(_) => self.n_damaged += 1,
            }
        }
        Ok(())
    }

    fn add(&mut self, record: Record) {
        self.n_records += 1;
        self.last_time_s = record.time_s;
        if let Some(message) = &record.message {
            self.events.push(json!({"step": record.step, "time_s": record.time_s, "message": message}));
        }
        self.tables.entry(name_of(record.kind)).or_default().add(&record);
        if record.kind == Kind::Eval {
            self.evals.push(record);
        }
    }

    /// The table of a kind, such as `step`.
    pub(super) fn table(&self, kind: &str) -> Option<&Table> {
        self.tables.get(kind)
    }

    /// The evaluations, for the fit.
    pub(super) fn evals(&self) -> &[Record] {
        &self.evals
    }

    /// What happened, in order.
    pub(super) fn events(&self) -> &[Value] {
        &self.events
    }

    /// The names of all measurements by kind.
    pub(super) fn names(&self) -> Value {
        let names = |table: &Table| table.columns.keys().cloned().collect::<Vec<_>>();
        self.tables.iter().map(|(&kind, table)| (kind.to_owned(), json!(names(table)))).collect()
    }

    /// What changes when something is new.
    pub(super) fn pulse(&self) -> Value {
        let last_step = self.table("step").and_then(|table| table.step.last().copied());
        let n_steps = self.table("step").map_or(0, |table| table.step.len());
        json!({
            "n_records": self.n_records, "n_damaged": self.n_damaged, "n_steps": n_steps, "last_step": last_step,
            "n_evals": self.evals.len(), "last_time_s": finite(self.last_time_s),
        })
    }
}

impl Table {
    fn add(&mut self, record: &Record) {
        let row = self.step.len() as u32;
        self.step.push(record.step as f64);
        self.time_s.push(record.time_s);
        for (name, value) in record.metrics.iter() {
            match self.columns.get_mut(name) {
                Some(column) => column.push((row, value)),
                None => drop(self.columns.insert(name.to_owned(), vec![(row, value)])),
            }
        }
    }

    /// As [`points`](Self::points), with 0 where `beside` was measured and this was not: a finding that nothing had.
    pub(super) fn points_or_zero(&self, name: &str, x: &str, beside: &str) -> Vec<(f64, f64)> {
        let known: BTreeMap<u32, f64> = self.columns.get(name).into_iter().flatten().copied().collect();
        let rows = self.columns.get(beside).into_iter().flatten().map(|&(row, _)| row);
        let column: Vec<(u32, f64)> = rows.map(|row| (row, known.get(&row).copied().unwrap_or(0.0))).collect();
        self.against(&column, x)
    }

    /// A measurement against `step`, `time_s` (seconds since the first record of the kind) or another measurement, where
    /// both were made.
    pub(super) fn points(&self, name: &str, x: &str) -> Vec<(f64, f64)> {
        self.columns.get(name).map_or_else(Vec::new, |column| self.against(column, x))
    }

    fn against(&self, column: &[(u32, f64)], x: &str) -> Vec<(f64, f64)> {
        let start = self.time_s.first().copied().unwrap_or(0.0);
        let other = self.columns.get(x);
        let at = |row: u32| match x {
            "step" => self.step.get(row as usize).copied(),
            "time_s" => self.time_s.get(row as usize).map(|time| time - start),
            _ => {
                let other = other?;
                other.binary_search_by_key(&row, |&(row, _)| row).ok().map(|found| other[found].1)
            }
        };
        column.iter().filter_map(|&(row, value)| Some((at(row)?, value))).collect()
    }
}

/// A number that JSON has, or nothing.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Step => "step",
        Kind::Sft => "sft",
        Kind::Eval => "eval",
        Kind::System => "system",
        Kind::Event => "event",
        Kind::Unknown => "unknown",
    }
}

/// A place in a growing file.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    offset: u64,
    identity: Option<u64>,
}

/// Whole lines that were not seen before.
#[derive(Debug, Default)]
struct News {
    bytes: Vec<u8>,
    /// The file is another one, or shorter than before: what was read of it is void.
    is_anew: bool,
}

impl Tail {
    fn read(&mut self) -> std::io::Result<News> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(News::default()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let identity = Some(identity_of(&metadata));
        let is_anew = metadata.len() < self.offset || (self.offset > 0 && self.identity != identity);
        let from = if is_anew { 0 } else { self.offset };
        self.identity = identity;
        self.offset = from;
        if metadata.len() == from {
            return Ok(News { bytes: vec![], is_anew });
        }
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = vec![];
        file.take(metadata.len() - from).read_to_end(&mut bytes)?;
        // A torn last line, even half a character of it, is read when it is whole.
        bytes.truncate(bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1));
        self.offset += bytes.len() as u64;
        Ok(News { bytes, is_anew })
    }
}

#[cfg(unix)]
fn identity_of(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn identity_of(_: &std::fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn append(path: &Path, text: &str) {
        std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn step(step: u64, reward: &str) -> String {
        format!(
            "{{\"kind\":\"step\",\"schema\":1,\"step\":{step},\"time_s\":{},\"reward/mean\":{reward},\"compute/rollouts\":{}}}\n",
            step + 100,
            step * 8
        )
    }

    fn check(log: &MetricsLog, x: &str, expected: &[(f64, f64)]) {
        assert_eq!(log.table("step").map_or(vec![], |table| table.points("reward/mean", x)), expected);
    }

    #[test]
    fn a_growing_log_is_read_on_and_torn_lines_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::new(folder.path());
        log.refresh().unwrap();
        check(&log, "step", &[]);
        let second = step(2, "0.5");
        let (head, rest) = second.split_at(30);
        append(&path, &(step(1, "0.25") + head));
        log.refresh().unwrap();
        check(&log, "step", &[(1.0, 0.25)]);
        log.refresh().unwrap();
        check(&log, "step", &[(1.0, 0.25)]);
        append(&path, rest);
        log.refresh().unwrap();
        check(&log, "step", &[(1.0, 0.25), (2.0, 0.5)]);
        check(&log, "compute/rollouts", &[(8.0, 0.25), (16.0, 0.5)]);
        check(&log, "time_s", &[(0.0, 0.25), (1.0, 0.5)]);
        check(&log, "nothing", &[]);
        assert_eq!(log.pulse()["last_step"], 2.0);
    }

    #[test]
    fn a_log_that_was_rewound_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::new(folder.path());
        append(&path, &(step(1, "0.25") + "{damaged}\n" + &step(2, "0.5")));
        log.refresh().unwrap();
        assert_eq!(log.pulse()["n_damaged"], 1);
        // As a resume does: the kept lines in a new file, moved over the old one, then others.
        let beside = folder.path().join("metrics.jsonl.part");
        append(&beside, &(step(1, "0.25") + &step(2, "0.125") + &step(3, "0.75")));
        std::fs::rename(&beside, &path).unwrap();
        log.refresh().unwrap();
        check(&log, "step", &[(1.0, 0.25), (2.0, 0.125), (3.0, 0.75)]);
        assert_eq!(log.pulse()["n_damaged"], 0);
        std::fs::write(&path, step(1, "\"NaN\"")).unwrap();
        log.refresh().unwrap();
        assert!(log.table("step").unwrap().points("reward/mean", "step")[0].1.is_nan());
    }

    #[test]
    fn a_finding_that_nothing_had_is_zero() {
        let folder = tempfile::tempdir().unwrap();
        let record = |step: u64, found: &str| {
            format!("{{\"kind\":\"step\",\"schema\":1,\"step\":{step},\"time_s\":1,\"judged\":1{found}}}\n")
        };
        let lines = record(1, ",\"wrong\":0.5") + &record(2, "") + &record(3, ",\"wrong\":0.25");
        append(&folder.path().join("metrics.jsonl"), &lines);
        let mut log = MetricsLog::new(folder.path());
        log.refresh().unwrap();
        let table = log.table("step").unwrap();
        assert_eq!(table.points("wrong", "step"), [(1.0, 0.5), (3.0, 0.25)]);
        assert_eq!(table.points_or_zero("wrong", "step", "judged"), [(1.0, 0.5), (2.0, 0.0), (3.0, 0.25)]);
    }

    #[test]
    fn events_are_kept_in_words() {
        let folder = tempfile::tempdir().unwrap();
        append(
            &folder.path().join("metrics.jsonl"),
            "{\"kind\":\"event\",\"schema\":1,\"step\":4,\"time_s\":7.5,\"message\":\"resumed\"}\n",
        );
        let mut log = MetricsLog::new(folder.path());
        log.refresh().unwrap();
        assert_eq!(log.events(), [json!({"step": 4, "time_s": 7.5, "message": "resumed"})]);
    }
}
