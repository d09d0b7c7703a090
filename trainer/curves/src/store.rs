//! JSON lines on disk: appended by one writer, read by anybody at any time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::record::{Record, SCHEMA};

/// Why a log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be read or written.
    #[error("log `{}` cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line in the middle is not a record.
    #[error("log `{}`, line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A record was written by a newer version, which may mean other things by the same names.
    #[error(
        "log `{}`, line {line}: the record has schema {schema}, but this program knows schemas up to {SCHEMA}; read it with \
         the version that wrote it, or a newer one",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The schema of the record.
        schema: u32,
    },
}

impl StoreError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// Appends JSON lines to a file, each in one write.
#[derive(Debug)]
pub struct LineWriter {
    path: PathBuf,
    file: File,
}

impl LineWriter {
    /// Opens a file for appending; a torn last line, left by a run that was killed, is cut off.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened.
    pub fn append(path: &Path) -> Result<Self, StoreError> {
        let error = || StoreError::io(path);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(error())?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).map_err(error())?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).map_err(error())?;
        file.seek(SeekFrom::End(0)).map_err(error())?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends an object.
    ///
    /// # Errors
    ///
    /// If it cannot be written, as on a full disk.
    pub fn write(&mut self, value: &impl Serialize) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(value)
            .map_err(|error| StoreError::Io { path: self.path.clone(), source: error.into() })?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(StoreError::io(&self.path))
    }
}

/// The records of a log, with what could not be read.
#[derive(Debug)]
pub struct Log {
    /// The records in order.
    pub records: Vec<Record>,
    /// Whether the last line was torn, as it is when a run was killed while writing.
    pub is_torn: bool,
}

/// Reads a log as far as it is written; a torn last line is left out.
///
/// # Errors
///
/// If the file cannot be read, if a line before the last is not a record, or if a record has a newer schema.
pub fn read_log(path: &Path) -> Result<Log, StoreError> {
    let bytes = std::fs::read(path).map_err(StoreError::io(path))?;
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let is_torn = whole < bytes.len();
    let mut records = vec![];
    for (i, line) in bytes[..whole].split(|&b| b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let record: Record = serde_json::from_slice(line).map_err(|error| {
            let why = format!("not a record: {error}; the file was changed by hand, or is not a log of this program");
            StoreError::Line { path: path.to_owned(), line: i + 1, why }
        })?;
        if record.schema > SCHEMA {
            return Err(StoreError::Newer { path: path.to_owned(), line: i + 1, schema: record.schema });
        }
        records.push(record);
    }
    Ok(Log { records, is_torn })
}

/// Drops the records that are not to be kept, in place, for a run that goes on from a checkpoint.
///
/// Returns how many were dropped.
///
/// # Errors
///
/// If the log cannot be read or replaced.
pub fn retain(path: &Path, keep: impl Fn(&Record) -> bool) -> Result<usize, StoreError> {
    let log = read_log(path)?;
    let (kept, dropped): (Vec<_>, Vec<_>) = log.records.into_iter().partition(keep);
    let beside = path.with_extension("jsonl.part");
    let mut text = vec![];
    for record in &kept {
        serde_json::to_writer(&mut text, record).map_err(|error| StoreError::io(path)(error.into()))?;
        text.push(b'\n');
    }
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).map_err(StoreError::io(path))?;
    Ok(dropped.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Kind, Metrics};

    fn record(step: u64) -> Record {
        Record { kind: Kind::Step, schema: SCHEMA, step, time_s: 0.0, message: None, metrics: Metrics::default() }
    }

    fn steps(path: &Path) -> Vec<u64> {
        read_log(path).unwrap().records.iter().map(|record| record.step).collect()
    }

    #[test]
    fn a_torn_line_is_left_out_and_then_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        LineWriter::append(&path).unwrap().write(&record(1)).unwrap();
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend(b"{\"kind\":\"step\",\"message\":\"caf\xc3");
        std::fs::write(&path, torn).unwrap();
        assert!(read_log(&path).unwrap().is_torn);
        assert_eq!(steps(&path), [1]);
        LineWriter::append(&path).unwrap().write(&record(2)).unwrap();
        assert!(!read_log(&path).unwrap().is_torn);
        assert_eq!(steps(&path), [1, 2]);
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        let error = read_log(&path).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl`, line 1: not a record: missing field `kind`"), "{error}");
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut writer = LineWriter::append(&path).unwrap();
        writer.write(&record(1)).unwrap();
        writer.write(&Record { schema: SCHEMA + 1, ..record(2) }).unwrap();
        let error = read_log(&path).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "metrics.jsonl`, line 2: the record has schema 2, but this program knows schemas up to 1; read it with the \
                 version that wrote it, or a newer one"
            ),
            "{error}"
        );
    }

    #[test]
    fn records_after_a_checkpoint_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut writer = LineWriter::append(&path).unwrap();
        for step in [0, 1, 2, 3] {
            writer.write(&record(step)).unwrap();
        }
        assert_eq!(retain(&path, |record| record.step <= 1).unwrap(), 2);
        assert_eq!(steps(&path), [0, 1]);
    }
}
