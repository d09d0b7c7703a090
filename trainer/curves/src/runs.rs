//! Run folders read for one figure or one report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::counter::Counter;
use crate::evals::{SameTasksError, check_same_tasks};
use crate::outcomes::{self, OutcomesError, RunOutcomes};
use crate::points::{self, PointsError, Series};
use crate::record::Record;
use crate::store::{Log, StoreError, read_log};

/// A run folder, read.
#[derive(Debug)]
pub struct Run {
    /// The name of the folder; where two have the same name, their paths.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Its log.
    pub log: Log,
    /// `run.json`; null if there is none.
    pub header: Value,
    /// `config.toml`, if there is one.
    pub config: Option<String>,
}

/// Why runs cannot be read together.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// A log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log has no points.
    #[error(transparent)]
    Points(#[from] PointsError),
    /// Samples of an evaluation cannot be read.
    #[error(transparent)]
    Samples(#[from] OutcomesError),
    /// The runs answered different tasks.
    #[error(transparent)]
    SameTasks(#[from] SameTasksError),
    /// There is no log.
    #[error("run `{}`: there is no `metrics.jsonl`; give the folder that `rlvr train` wrote, or a table that ends in .csv", .0.display())]
    NoRun(PathBuf),
    /// A run is there twice.
    #[error("run `{}` is given twice; it would count as two seeds, so give it once", .0.display())]
    Twice(PathBuf),
    /// A header is not JSON.
    #[error("header `{}`: {why}; the file was changed by hand", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Opens run folders that are to stand on one figure.
///
/// # Errors
///
/// If one cannot be read, is given twice, or was evaluated on other tasks than the others.
pub fn open(folders: &[PathBuf]) -> Result<Vec<Run>, RunsError> {
    let whole = |folder: &PathBuf| folder.canonicalize().unwrap_or_else(|_| folder.clone());
    let paths: Vec<PathBuf> = folders.iter().map(whole).collect();
    if let Some(twice) = (0..paths.len()).find(|&i| paths[..i].contains(&paths[i])) {
        return Err(RunsError::Twice(folders[twice].clone()));
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    folders.iter().for_each(|folder| *names.entry(points::name_of(folder)).or_default() += 1);
    let runs: Result<Vec<Run>, RunsError> = folders
        .iter()
        .map(|folder| {
            let short = points::name_of(folder);
            let name = if names[&short] > 1 { folder.display().to_string() } else { short };
            Run::read(name, folder)
        })
        .collect();
    let runs = runs?;
    check_same_tasks(folders)?;
    Ok(runs)
}

impl Run {
    fn read(name: String, folder: &Path) -> Result<Self, RunsError> {
        let path = folder.join("metrics.jsonl");
        if !path.exists() {
            return Err(RunsError::NoRun(folder.to_owned()));
        }
        let log = read_log(&path)?;
        let path = folder.join("run.json");
        let header = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| RunsError::Header { path, why: format!("not JSON: {error}") })?,
            Err(_) => Value::Null,
        };
        let config = std::fs::read_to_string(folder.join("config.toml")).ok();
        Ok(Self { name, folder: folder.to_owned(), log, header, config })
    }

    /// Returns the points over a counter, one series for each evaluation set.
    ///
    /// # Errors
    ///
    /// If there is no evaluation, or none with that counter.
    pub fn series(&self, counter: &Counter) -> Result<Vec<Series>, PointsError> {
        let series = points::of_log(&self.folder, &self.log, counter)?;
        Ok(series.into_iter().map(|one| Series { name: self.name.clone(), ..one }).collect())
    }

    /// Returns what each problem did behind the points of a series; none if the run kept no samples.
    ///
    /// # Errors
    ///
    /// Names the file and the line of a sample that cannot be read.
    pub fn outcomes(&self, series: &Series) -> Result<Option<RunOutcomes>, OutcomesError> {
        let outcomes = outcomes::of_series(&self.folder, series)?;
        Ok((!outcomes.checkpoints.is_empty()).then_some(outcomes))
    }

    /// Returns the records.
    pub fn records(&self) -> &[Record] {
        &self.log.records
    }

    /// Returns what a reader of the run must be told.
    pub fn warnings(&self) -> Vec<String> {
        let torn = || {
            format!(
                "run `{}`: the last line of `metrics.jsonl` is torn, as when a run is killed while writing; the {} records \
                 before it are used",
                self.name,
                self.log.records.len()
            )
        };
        self.log.is_torn.then(torn).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Kind, Metrics, SCHEMA};
    use crate::store::LineWriter;

    fn run(folder: &Path, steps: u64) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let mut writer = LineWriter::append(&folder.join("metrics.jsonl")).unwrap();
        for step in 0..steps {
            let mut metrics = Metrics::default();
            metrics.set("eval/sums/mean@1", 0.5);
            metrics.set("compute/flops_total", 1e9 * step as f64);
            writer
                .write(&Record { kind: Kind::Eval, schema: SCHEMA, step, time_s: 0.0, message: None, metrics })
                .unwrap();
        }
        folder.to_owned()
    }

    #[test]
    fn a_torn_log_is_used_up_to_the_tear_and_said_to_be_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = run(&folder.path().join("a"), 3);
        let mut log = std::fs::read(path.join("metrics.jsonl")).unwrap();
        log.truncate(log.len() - 5);
        std::fs::write(path.join("metrics.jsonl"), log).unwrap();
        let run = open(&[path]).unwrap().remove(0);
        assert_eq!(run.series(&Counter::default()).unwrap()[0].points.len(), 2);
        assert_eq!(
            run.warnings(),
            [
                "run `a`: the last line of `metrics.jsonl` is torn, as when a run is killed while writing; the 2 records before \
              it are used"
            ]
        );
    }

    #[test]
    fn runs_of_one_name_are_told_apart_and_one_run_is_not_two_seeds() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (run(&folder.path().join("x/run"), 1), run(&folder.path().join("y/run"), 1));
        let names: Vec<String> = open(&[a.clone(), b.clone()]).unwrap().into_iter().map(|run| run.name).collect();
        assert_eq!(names, [a.display().to_string(), b.display().to_string()]);
        let error = open(&[a.clone(), b, a]).unwrap_err().to_string();
        assert!(error.ends_with("x/run` is given twice; it would count as two seeds, so give it once"), "{error}");
    }
}
