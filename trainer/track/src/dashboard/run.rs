//! A run that is being looked at.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::DashboardError;
use super::index::SharedIndex;
use super::index_file::IndexFile;
use super::metrics::MetricsLog;

/// A run folder with what has been read of it.
#[derive(Debug)]
pub(super) struct Run {
    name: String,
    folder: PathBuf,
    log: Mutex<MetricsLog>,
    pub(super) index: SharedIndex,
}

/// The files by any of which a run folder is known.
const MARKS: [&str; 3] = ["metrics.jsonl", "run.json", "config.toml"];
/// How long the indexer rests between looks at a folder.
const REST: Duration = Duration::from_millis(500);

impl Run {
    /// The runs of a folder: itself, or those directly in it.
    pub(super) fn find(path: &Path) -> Result<Vec<Self>, DashboardError> {
        let is_run = |folder: &Path| MARKS.iter().any(|mark| folder.join(mark).is_file());
        if is_run(path) {
            return Ok(vec![Self::new(path)]);
        }
        let io = |source| DashboardError::Folder { path: path.to_owned(), source };
        let mut inner: Vec<PathBuf> =
            std::fs::read_dir(path).map_err(io)?.flatten().map(|entry| entry.path()).collect();
        inner.retain(|folder| is_run(folder));
        inner.sort();
        match inner.is_empty() {
            true => Err(DashboardError::NoRun(path.to_owned())),
            false => Ok(inner.iter().map(|folder| Self::new(folder)).collect()),
        }
    }

    fn new(folder: &Path) -> Self {
        let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name =
            full.file_name().map_or_else(|| full.display().to_string(), |name| name.to_string_lossy().into_owned());
        Self {
            name,
            folder: folder.to_owned(),
            log: Mutex::new(MetricsLog::new(folder)),
            index: SharedIndex::new(folder),
        }
    }

    /// What the run is called in the dashboard: its folder's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The log as far as it is written now. One that cannot be read stays as it was.
    pub(super) fn log(&self) -> MutexGuard<'_, MetricsLog> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = log.refresh();
        log
    }

    /// The header of the run, `run.json`; null if there is none yet.
    pub(super) fn header(&self) -> Value {
        let text = std::fs::read(self.folder.join("run.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// What changes when something is new.
    pub(super) fn pulse(&self) -> Value {
        let mut pulse = self.log().pulse();
        let index = self.index.read();
        pulse["rollouts"] = json!({
            "n": index.n_rollouts(), "n_damaged": index.n_damaged(), "n_steps": index.steps.len(), "n_files": index.n_files,
            "first_step": index.steps.keys().next(), "last_step": index.steps.keys().next_back(),
        });
        pulse
    }

    /// Indexes rollouts as they are written, for ever.
    pub(super) fn keep_indexing(&self) -> ! {
        let mut file = IndexFile::beside(&self.folder);
        self.index.load(&mut file);
        loop {
            let start = Instant::now();
            self.index.refresh(&mut file);
            // A folder of very many files is looked at less often, so that looking stays a small share of a core.
            std::thread::sleep(REST.max(start.elapsed() * 10).min(Duration::from_secs(2)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Result<Vec<String>, String> {
        let runs = Run::find(path).map_err(|error| error.to_string())?;
        Ok(runs.iter().map(|run| run.name().to_owned()).collect())
    }

    #[test]
    fn runs_are_found_in_a_folder_of_runs() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", "no-run"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert!(names(folder.path()).unwrap_err().contains("is not a run folder and holds none"));
        std::fs::write(folder.path().join("b/metrics.jsonl"), "").unwrap();
        std::fs::write(folder.path().join("a/config.toml"), "").unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["a", "b"]);
        assert_eq!(names(&folder.path().join("b/")).unwrap(), ["b"]);
        assert!(names(&folder.path().join("missing")).unwrap_err().contains("cannot be read"));
    }
}
