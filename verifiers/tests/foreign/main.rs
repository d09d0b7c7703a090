//! Judges that live elsewhere, seen through the registry, as users see them.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod http;
mod process;
mod python;

use std::io::Write;
use std::path::{Path, PathBuf};

use rlvr_verifiers::{Attempt, Registry, Task, Verdict, Verifier};

/// Returns whether there is a Python to test with, and says so loudly if there is none.
fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no `python3`, so nothing was tested here");
    }
    found
}

/// Makes a judge of a name and options in TOML.
fn build(name: &str, options: &str) -> Result<Box<dyn Verifier>, String> {
    Registry::default().build(name, &options.parse().unwrap()).map_err(|error| error.to_string())
}

/// Writes a file into a folder, and returns its path.
fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Judges completions of one task.
fn judge(judge: &dyn Verifier, task: &Task, completions: &[&str]) -> Vec<Verdict> {
    let attempts: Vec<Attempt<'_>> =
        completions.iter().map(|completion| Attempt { task, completion, finished: true }).collect();
    judge.verify_batch(&attempts)
}

/// Writes a verdict as a test expects it: the score and the finding, or why there is none.
fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Judged { score, finding, .. } => format!("{score} {finding}"),
        Verdict::Unjudged { why } => why.clone(),
        Verdict::Abstained => "abstained".to_owned(),
    }
}
