//! A dashboard over run folders, served to this machine.
//!
//! It reads what runs write and nothing else, so that it works on running, finished and copied runs, and can neither slow nor
//! stop one. The page asks the `api` for as many points and rollouts as it shows; thinning, filtering and sorting
//! happen here, over the log in columns (`metrics`) and an `index` of the rollouts that is kept beside the run.
//!
//! Text of models is hostile. It reaches the page as JSON and is put there as text only; control and direction characters
//! are shown by their numbers.

mod api;
mod assets;
mod connection;
mod decimate;
mod distribution;
mod groups;
mod http;
mod index;
mod index_file;
mod lines;
mod metrics;
mod query;
mod rows;
mod run;
mod scaling;
mod search;
mod select;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

pub use http::Served;
use run::Run;
use scaling::Fits;

/// Runs to look at.
#[derive(Debug)]
pub struct Dashboard {
    paths: Vec<PathBuf>,
    /// A run keeps its place, by which it is asked for.
    runs: RwLock<Vec<Arc<Run>>>,
    fits: Fits,
}

/// Why there is no dashboard.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// A folder cannot be read.
    #[error("run folder `{}` cannot be read", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no run.
    #[error("`{}` is not a run folder and holds none; name what `rlvr train` was given as --out", .0.display())]
    NoRun(PathBuf),
    /// The port is taken.
    #[error("port {port} of 127.0.0.1 cannot be taken; name another with --port, or 0 for any that is free: {source}")]
    Port {
        /// The port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Dashboard {
    /// Opens run folders, and for a folder of runs all in it, those that are begun later too.
    ///
    /// # Errors
    ///
    /// If a folder cannot be read or holds no run.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, DashboardError> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
        let mut runs = vec![];
        for path in &paths {
            add(&mut runs, Run::find(path)?);
        }
        Ok(Self { paths, runs: RwLock::new(runs), fits: Fits::default() })
    }

    /// Returns how many runs there are.
    pub fn n_runs(&self) -> usize {
        self.runs().len()
    }

    fn runs(&self) -> Vec<Arc<Run>> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in the runs that have been begun since.
    fn look_again(&self) {
        let found = self.paths.iter().filter_map(|path| Run::find(path).ok()).flatten().collect();
        add(&mut self.runs.write().unwrap_or_else(PoisonError::into_inner), found);
    }

    fn fits(&self) -> &Fits {
        &self.fits
    }
}

/// Adds runs that are not there yet.
fn add(runs: &mut Vec<Arc<Run>>, found: Vec<Run>) {
    for run in found {
        if !runs.iter().any(|known| known.folder() == run.folder()) {
            runs.push(Arc::new(run));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::index_file::IndexFile;
    use super::*;

    /// A dashboard over a run of two steps with these rollouts, indexed.
    pub(super) fn dashboard(steps: &[(u64, String)]) -> (tempfile::TempDir, Dashboard) {
        let folder = crate::rollouts::tests::run_with(steps);
        let record = |step: u64, reward: f64| {
            let (time, rollouts) = (step + 100, step * 8);
            format!(
                "{{\"kind\":\"step\",\"schema\":1,\"step\":{step},\"time_s\":{time},\"reward/mean\":{reward},\"compute/rollouts\":{rollouts}}}\n"
            )
        };
        std::fs::write(folder.path().join("metrics.jsonl"), record(1, 0.25) + &record(2, 0.5)).unwrap();
        let dashboard = Dashboard::open(&[folder.path()]).unwrap();
        dashboard.runs()[0].index.refresh(&mut IndexFile::nowhere());
        (folder, dashboard)
    }

    #[test]
    fn runs_that_begin_later_are_taken_in_behind_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let begin = |name: &str| {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("run.json"), "{}").unwrap();
        };
        begin("b");
        let dashboard = Dashboard::open(&[folder.path(), &folder.path().join("b")]).unwrap();
        let names = || dashboard.runs().iter().map(|run| run.name().to_owned()).collect::<Vec<_>>();
        begin("a");
        dashboard.look_again();
        dashboard.look_again();
        assert_eq!(names(), ["b", "a"]);
    }
}
