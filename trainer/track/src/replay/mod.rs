//! A run folder as a sequence of what trackers show, while it grows or afterwards.
//!
//! Trackers read what the run has written, and nothing else: what they show can be made again at any time, and a tracker
//! that lags costs the run nothing.

mod description;
mod follow;
mod rollout;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rlvr_curves::record::{Kind, Record};
use rlvr_curves::store::StoreError;

pub use description::{Description, new_id};
pub use follow::{Follower, Notices};
pub use rollout::{Rollout, Verdict};

/// What a run has written, one thing at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A record.
    Record {
        /// The record.
        record: Record,
        /// The rollouts of its step, if it is the record of a step and they were recorded.
        rollouts: Vec<Rollout>,
    },
    /// A line that people saw.
    Console {
        /// Seconds since 1970, of the newest record before it.
        time_s: f64,
        /// The line, without its end.
        line: String,
    },
}

/// Reads a run folder from its beginning, as far as it is written.
#[derive(Debug)]
pub struct RunReader {
    folder: PathBuf,
    records: Lines,
    console: Lines,
    time_s: f64,
}

impl RunReader {
    /// Starts at the beginning of a run folder.
    pub fn new(folder: &Path) -> Self {
        let lines = |name: &str| Lines::new(folder.join(name));
        Self { folder: folder.to_owned(), records: lines("metrics.jsonl"), console: lines("console.log"), time_s: 0.0 }
    }

    /// Returns what was written next, or none if there is nothing more at the moment.
    ///
    /// # Errors
    ///
    /// If the log cannot be read, or if a line of it is not a record.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, StoreError> {
        if let Some((line, bytes)) = self.records.next()? {
            let record: Record = serde_json::from_slice(&bytes).map_err(|error| StoreError::Line {
                path: self.records.path.clone(),
                line,
                why: format!("not a record: {error}"),
            })?;
            self.time_s = record.time_s;
            let rollouts = match record.kind {
                Kind::Step => rollout::read(&self.folder, record.step),
                _ => vec![],
            };
            return Ok(Some(Entry::Record { record, rollouts }));
        }
        let line = self.console.next()?;
        Ok(line.map(|(_, bytes)| Entry::Console {
            time_s: self.time_s,
            line: String::from_utf8_lossy(&bytes).into_owned(),
        }))
    }
}

/// The whole lines of a file that may not be there yet.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    offset: u64,
    n: usize,
    ready: VecDeque<Vec<u8>>,
}

/// What is read at a time.
const CHUNK: u64 = 1 << 20;

impl Lines {
    fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, n: 0, ready: VecDeque::new() }
    }

    /// The next line, with its number from 1.
    fn next(&mut self) -> Result<Option<(usize, Vec<u8>)>, StoreError> {
        if self.ready.is_empty() {
            self.read().map_err(|source| StoreError::Io { path: self.path.clone(), source })?;
        }
        let line = self.ready.pop_front();
        self.n += usize::from(line.is_some());
        Ok(line.map(|line| (self.n, line)))
    }

    fn read(&mut self) -> std::io::Result<()> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = vec![];
        // A chunk more until it holds the end of a line, or the file has ended.
        while file.by_ref().take(CHUNK).read_to_end(&mut bytes)? > 0 && !bytes.contains(&b'\n') {}
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        self.offset += whole as u64;
        self.ready.extend(bytes[..whole].split_inclusive(|&b| b == b'\n').map(|line| line[..line.len() - 1].to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = "{\"kind\":\"step\",\"schema\":1,\"step\":1,\"time_s\":5.5,\"reward/mean\":0.5}\n";

    fn shown(reader: &mut RunReader) -> Vec<String> {
        std::iter::from_fn(|| reader.next_entry().unwrap())
            .map(|entry| match entry {
                Entry::Record { record, rollouts } => format!("step {} {}", record.step, rollouts.len()),
                Entry::Console { time_s, line } => format!("{time_s} {line}"),
            })
            .collect()
    }

    #[test]
    fn a_growing_run_is_read_to_the_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = RunReader::new(folder.path());
        assert_eq!(reader.next_entry().unwrap(), None, "nothing is there yet");
        std::fs::create_dir(folder.path().join("rollouts")).unwrap();
        std::fs::write(folder.path().join("rollouts/step_000001.jsonl"), "{}\n{}\n").unwrap();
        std::fs::write(folder.path().join("console.log"), "one\ntw").unwrap();
        let log = folder.path().join("metrics.jsonl");
        std::fs::write(&log, format!("{STEP}{{\"kind\":\"caf\u{e9}")).unwrap();
        assert_eq!(shown(&mut reader), ["step 1 2", "5.5 one"]);
        std::fs::write(&log, format!("{STEP}{}", STEP.replace("\"step\":1", "\"step\":2"))).unwrap();
        std::fs::write(folder.path().join("console.log"), "one\ntwo\n").unwrap();
        assert_eq!(shown(&mut reader), ["step 2 0", "5.5 two"]);
    }

    #[test]
    fn a_line_longer_than_what_is_read_at_a_time_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(2 * CHUNK as usize + 5);
        std::fs::write(folder.path().join("console.log"), format!("{long}\nshort\n")).unwrap();
        let mut reader = RunReader::new(folder.path());
        assert_eq!(shown(&mut reader), [format!("0 {long}"), "0 short".to_owned()]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("metrics.jsonl"), format!("{STEP}{{}}\n")).unwrap();
        let mut reader = RunReader::new(folder.path());
        assert!(reader.next_entry().unwrap().is_some());
        let error = reader.next_entry().unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl`, line 2: not a record"), "{error}");
    }
}
