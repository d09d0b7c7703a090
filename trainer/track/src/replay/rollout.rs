//! Recorded rollouts, as far as trackers show them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// A line of `rollouts/step_NNNNNN.jsonl`; what is missing was not measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// The task.
    pub task_id: String,
    /// Where the task comes from.
    pub source: String,
    /// Which prompt of the step.
    pub group: u64,
    /// Which rollout of the group.
    pub sample: u64,
    /// What was asked.
    pub prompt: String,
    /// The reference answer.
    pub reference: Option<String>,
    /// What the policy wrote.
    pub completion: String,
    /// Its tokens.
    pub n_tokens: u64,
    /// Why it ended: `eos`, `stop` or `length`.
    pub stop: String,
    /// What it was paid.
    pub reward: Option<f64>,
    /// Whether it was right.
    pub outcome: Option<f64>,
    /// Its advantage; none if it was not trained on.
    pub advantage: Option<f64>,
    /// What the verifiers found, by their names.
    pub verdicts: BTreeMap<String, Verdict>,
}

/// A verdict, as far as trackers show it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// `judged`, `unjudged` or `abstained`.
    pub outcome: String,
    /// A fixed word for the statistics.
    pub finding: Option<String>,
}

impl Rollout {
    /// Returns what the verifiers found, in words: `correct`, or `math correct, code timeout` of several.
    pub fn finding(&self) -> String {
        let word = |verdict: &Verdict| verdict.finding.clone().unwrap_or_else(|| verdict.outcome.clone());
        match self.verdicts.len() {
            1 => self.verdicts.values().map(word).collect(),
            _ => self
                .verdicts
                .iter()
                .map(|(name, verdict)| format!("{name} {}", word(verdict)))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// Reads the rollouts of a step; none if they were not recorded, and without the lines that are no rollouts.
pub(super) fn read(folder: &Path, step: u64) -> Vec<Rollout> {
    let path = folder.join(format!("rollouts/step_{step:06}.jsonl"));
    let Ok(text) = std::fs::read(path) else { return vec![] };
    text.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_null_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rollouts")).unwrap();
        let line = r#"{"step":3,"task_id":"t","verdicts":{"math":{"outcome":"judged","score":1.0,"finding":"correct"}},"logp_mean":null,"reward":null,"outcome":1.0,"new":{}}"#;
        std::fs::write(folder.path().join("rollouts/step_000003.jsonl"), format!("{line}\n{{\"task_id\":\"to"))
            .unwrap();
        let found = read(folder.path(), 3);
        assert_eq!(found.len(), 1);
        let first = &found[0];
        assert_eq!((first.task_id.as_str(), first.reward, first.outcome), ("t", None, Some(1.0)));
        assert_eq!(first.finding(), "correct");
        assert_eq!(read(folder.path(), 4), []);
    }

    #[test]
    fn several_verdicts_are_named() {
        let verdict = |outcome: &str, finding: Option<&str>| Verdict {
            outcome: outcome.to_owned(),
            finding: finding.map(str::to_owned),
        };
        let verdicts = [("code", verdict("unjudged", None)), ("math", verdict("judged", Some("correct")))];
        let rollout = Rollout {
            verdicts: verdicts.into_iter().map(|(name, verdict)| (name.to_owned(), verdict)).collect(),
            ..Rollout::default()
        };
        assert_eq!(rollout.finding(), "code unjudged, math correct");
    }
}
