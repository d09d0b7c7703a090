//! Samples of evaluations, as they lie in a run folder, and whether runs answered the same tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::outcomes::OutcomesError;
use crate::points;

/// A line of `evals/step_NNNNNN.jsonl`: one sample of one problem.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EvalRow {
    /// The evaluation set.
    pub set: String,
    /// The problem.
    pub task_id: String,
    /// What was asked, where it is recorded.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The right answer, where it is recorded.
    #[serde(default)]
    pub reference: Option<String>,
    /// What the policy wrote.
    #[serde(default)]
    pub completion: String,
    /// Its tokens.
    #[serde(default)]
    pub n_tokens: u64,
    /// Why it ended; `length` if the limit cut it off.
    #[serde(default)]
    pub stop: String,
    /// The verifier's score, 0 to 1; none if nothing was judged.
    pub score: Option<f64>,
    /// What the verifier found.
    #[serde(default)]
    pub finding: String,
    /// The answer as it was found, where the verifier says.
    #[serde(default)]
    pub answer: Option<String>,
    /// An answer that this one is equal to by the verifier's own judgement.
    #[serde(default)]
    pub same_as: Option<String>,
}

impl EvalRow {
    /// Whether the sample is right in full.
    pub fn is_right(&self) -> bool {
        self.score.is_some_and(|score| score >= 1.0)
    }

    /// The answer that the sample votes for.
    pub fn vote(&self) -> Option<&str> {
        self.same_as.as_deref().or(self.answer.as_deref())
    }
}

/// Returns where the samples of an evaluation lie.
pub fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("evals/step_{step:06}.jsonl"))
}

/// Reads the samples of an evaluation.
///
/// # Errors
///
/// Names the file and the line.
pub fn read(path: &Path) -> Result<Vec<EvalRow>, OutcomesError> {
    let refuse = |line, why| OutcomesError::Samples { path: path.to_owned(), line, why };
    let text = std::fs::read_to_string(path).map_err(|error| refuse(0, error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(i, line)| {
            serde_json::from_str(line)
                .map_err(|error| refuse(i + 1, format!("not a sample: {error}; the file was changed, or cut off")))
        })
        .collect()
}

/// Runs that answered different tasks under one name of a set.
#[derive(Debug, thiserror::Error)]
pub enum SameTasksError {
    /// Their accuracies have no place on one figure.
    #[error(
        "runs `{first}` and `{second}` were evaluated on different tasks of `{set}` ({n_first} and {n_second} problems, \
         {n_common} in common), so that their accuracies do not compare; fit them apart, or evaluate both on the same tasks"
    )]
    Different {
        /// The set.
        set: String,
        /// A run.
        first: String,
        /// Another.
        second: String,
        /// Problems of the one.
        n_first: usize,
        /// Problems of the other.
        n_second: usize,
        /// Problems of both.
        n_common: usize,
    },
    /// The samples cannot be read.
    #[error(transparent)]
    Samples(#[from] OutcomesError),
}

/// Checks that runs were evaluated on the same tasks, by the ids in their first evaluation; runs that kept no samples are
/// passed over.
///
/// # Errors
///
/// Names two runs that were not.
pub fn check_same_tasks(folders: &[PathBuf]) -> Result<(), SameTasksError> {
    let mut seen: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for folder in folders {
        let Some(first) = first_file(folder) else { continue };
        let name = points::name_of(folder);
        for (set, ids) in ids_by_set(read(&first)?) {
            match seen.get(&set) {
                None => {
                    seen.insert(set, (name.clone(), ids));
                }
                Some((_, same)) if *same == ids => {}
                Some((other, theirs)) => {
                    let (n_first, n_second) = (theirs.len(), ids.len());
                    let n_common = theirs.intersection(&ids).count();
                    let (first, second) = (other.clone(), name);
                    return Err(SameTasksError::Different { set, first, second, n_first, n_second, n_common });
                }
            }
        }
    }
    Ok(())
}

fn first_file(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder.join("evals")).ok()?;
    let files = entries.flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).min()
}

fn ids_by_set(rows: Vec<EvalRow>) -> BTreeMap<String, BTreeSet<String>> {
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        sets.entry(row.set).or_default().insert(row.task_id);
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, name: &str, ids: &[&str]) -> PathBuf {
        let run = folder.join(name);
        std::fs::create_dir_all(run.join("evals")).unwrap();
        let lines: Vec<String> =
            ids.iter().map(|id| format!(r#"{{"set":"sums","task_id":"{id}","score":1.0}}"#)).collect();
        std::fs::write(path(&run, 0), lines.join("\n")).unwrap();
        run
    }

    #[test]
    fn different_tasks_under_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let a = run(folder.path(), "a", &["1", "2", "2"]);
        let (b, c) = (run(folder.path(), "b", &["2", "1"]), run(folder.path(), "c", &["2", "3", "4"]));
        check_same_tasks(&[a.clone(), b.clone(), folder.path().join("without samples")]).unwrap();
        assert_eq!(
            check_same_tasks(&[a, b, c]).unwrap_err().to_string(),
            "runs `a` and `c` were evaluated on different tasks of `sums` (2 and 3 problems, 1 in common), so that their \
             accuracies do not compare; fit them apart, or evaluate both on the same tasks"
        );
    }
}
