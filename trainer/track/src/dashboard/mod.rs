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

pub use http::Served;
use run::Run;
use scaling::Fits;

/// Runs to look at.
#[derive(Debug)]
pub struct Dashboard {
    runs: Vec<Run>,
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
    /// Opens run folders, and for a folder of runs all in it.
    ///
    /// # Errors
    ///
    /// If a folder cannot be read or holds no run.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, DashboardError> {
        let mut runs = vec![];
        for path in paths {
            runs.extend(Run::find(path.as_ref())?);
        }
        Ok(Self { runs, fits: Fits::default() })
    }

    /// Returns how many runs there are.
    pub fn n_runs(&self) -> usize {
        self.runs.len()
    }

    fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn fits(&self) -> &Fits {
        &self.fits
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
}
