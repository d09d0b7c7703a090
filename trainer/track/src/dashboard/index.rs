//! The index of all rollouts of a run: built once, kept beside the run, and extended as the run goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::index_file::IndexFile;
use super::rows::{FileRows, Row, Vocabulary, index_file};
use crate::rollouts::step_files;

/// All rollouts of a run that have been indexed so far.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) vocabulary: Vocabulary,
    pub(super) steps: BTreeMap<u64, StepRows>,
    /// Files of the run, indexed or not yet.
    pub(super) n_files: usize,
}

/// The rollouts of a step.
#[derive(Debug)]
pub(super) struct StepRows {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    pub(super) rows: Vec<Row>,
    pub(super) n_damaged: u64,
}

/// By what a file is known to be as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    pub(super) modified_ns: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { bytes: metadata.len(), modified_ns: u64::try_from(modified.as_nanos()).ok()? })
    }
}

impl Index {
    /// Rollouts indexed so far.
    pub(super) fn n_rollouts(&self) -> usize {
        self.steps.values().map(|step| step.rows.len()).sum()
    }

    /// Lines that are not rollouts.
    pub(super) fn n_damaged(&self) -> u64 {
        self.steps.values().map(|step| step.n_damaged).sum()
    }

    /// The rollouts of a group in the order of their samples.
    pub(super) fn group(&self, step: u64, group: u32) -> Vec<&Row> {
        let Some(step) = self.steps.get(&step) else { return vec![] };
        let mut rows: Vec<&Row> = step.rows.iter().filter(|row| row.group == group).collect();
        rows.sort_by_key(|row| row.sample);
        rows
    }

    fn insert(&mut self, step: u64, path: PathBuf, stamp: Stamp, file: FileRows) {
        let FileRows { vocabulary, mut rows, n_damaged } = file;
        let translate = |own: &[String], all: &mut super::rows::Words| -> Vec<u32> {
            own.iter().map(|word| all.place(word)).collect()
        };
        let tasks = translate(vocabulary.tasks.all(), &mut self.vocabulary.tasks);
        let sources = translate(vocabulary.sources.all(), &mut self.vocabulary.sources);
        let findings = translate(vocabulary.findings.all(), &mut self.vocabulary.findings);
        let stops = translate(vocabulary.stops.all(), &mut self.vocabulary.stops);
        for row in &mut rows {
            row.task = tasks[row.task as usize];
            row.source = sources[row.source as usize];
            row.findings = findings[row.findings as usize];
            row.stop = stops[row.stop as usize];
        }
        self.steps.insert(step, StepRows { path, stamp, rows, n_damaged });
    }
}

/// An index that is read while it grows.
#[derive(Debug)]
pub(super) struct SharedIndex {
    run: PathBuf,
    index: RwLock<Index>,
}

impl SharedIndex {
    pub(super) fn new(run: &Path) -> Self {
        Self { run: run.to_owned(), index: RwLock::default() }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was written down by an earlier look at the run, where the rollout files are still the same.
    pub(super) fn load(&self, file: &mut IndexFile) {
        let Ok(files) = step_files(&self.run) else { return };
        for (step, stamp, rows) in file.load() {
            if let Some(path) = files.get(&step).filter(|path| Stamp::of(path) == Some(stamp)) {
                self.write().insert(step, path.clone(), stamp, rows);
            }
        }
    }

    /// Indexes the files that are new or have changed, the newest first; returns how many these were.
    pub(super) fn refresh(&self, file: &mut IndexFile) -> usize {
        let Ok(files) = step_files(&self.run) else { return 0 };
        {
            let mut index = self.write();
            index.n_files = files.len();
            // A resume removes what came after its checkpoint.
            index.steps.retain(|step, _| files.contains_key(step));
        }
        let mut n_indexed = 0;
        for (step, path) in files.into_iter().rev() {
            let Some(stamp) = Stamp::of(&path) else { continue };
            if self.read().steps.get(&step).is_some_and(|known| known.stamp == stamp) {
                continue;
            }
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let rows = index_file(&bytes);
            file.append(step, stamp, &rows);
            self.write().insert(step, path, stamp, rows);
            n_indexed += 1;
        }
        n_indexed
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rollouts::tests::{line, run_with};

    /// An index of rollout files.
    pub(in super::super) fn index_of(steps: &[(u64, String)]) -> (tempfile::TempDir, SharedIndex) {
        let folder = run_with(steps);
        let index = SharedIndex::new(folder.path());
        index.refresh(&mut IndexFile::nowhere());
        (folder, index)
    }

    fn completions(index: &SharedIndex) -> Vec<(u64, u32)> {
        let index = index.read();
        index.steps.iter().flat_map(|(&step, rows)| rows.rows.iter().map(move |row| (step, row.n_tokens))).collect()
    }

    #[test]
    fn new_files_are_added_and_removed_ones_forgotten() {
        let (folder, index) = index_of(&[(1, line(1, 0, 0, Some(1.0), "a")), (2, line(2, 0, 0, Some(1.0), "bb"))]);
        assert_eq!(completions(&index), [(1, 1), (2, 2)]);
        let nowhere = &mut IndexFile::nowhere();
        assert_eq!(index.refresh(nowhere), 0);
        std::fs::remove_file(folder.path().join("rollouts/step_000002.jsonl")).unwrap();
        std::fs::write(folder.path().join("rollouts/step_000001.jsonl"), line(1, 0, 0, None, "cccc")).unwrap();
        std::fs::write(folder.path().join("rollouts/step_000003.jsonl"), line(3, 1, 0, None, "ddd")).unwrap();
        assert_eq!(index.refresh(nowhere), 2);
        assert_eq!(completions(&index), [(1, 4), (3, 3)]);
        assert_eq!(index.read().vocabulary.sources.all(), ["even", "odd"]);
    }

    #[test]
    fn an_index_is_found_again() {
        let text = line(1, 0, 0, Some(1.0), "a") + &line(1, 1, 0, Some(0.0), "bb");
        let (folder, index) = index_of(&[(1, text), (2, line(2, 3, 0, None, "ccc"))]);
        let mut file = IndexFile::beside(folder.path());
        SharedIndex::new(folder.path()).refresh(&mut file);
        drop(file);
        std::fs::write(folder.path().join("rollouts/step_000002.jsonl"), line(2, 3, 0, None, "dddd")).unwrap();
        let again = SharedIndex::new(folder.path());
        let mut file = IndexFile::beside(folder.path());
        again.load(&mut file);
        assert_eq!(completions(&again), [(1, 1), (1, 2)]);
        assert_eq!(again.refresh(&mut file), 1);
        assert_eq!(completions(&again), [(1, 1), (1, 2), (2, 4)]);
        let (a, b) = (again.read(), index.read());
        assert_eq!(a.steps[&1].rows.len(), b.steps[&1].rows.len());
        assert_eq!(a.vocabulary.tasks.word(a.steps[&2].rows[0].task), "sums-3");
    }
}
