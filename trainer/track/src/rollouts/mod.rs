//! The rollouts of a run, read back: `rollouts/step_NNNNNN.jsonl`, one rollout a line.
//!
//! Files are found by listing the folder and never by joining a name that somebody sent. Lines are read as far as they are
//! whole; what a newer version adds is passed over.

mod print;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use print::{Look, group, table};

/// A line of a rollout file, as far as readers here need it: its place and the completion must be there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct RolloutLine<'a> {
    /// The optimiser step, from 1.
    pub step: u64,
    /// The task.
    #[serde(borrow, default)]
    pub task_id: Cow<'a, str>,
    /// Where the task comes from.
    #[serde(borrow, default)]
    pub source: Cow<'a, str>,
    /// Which group of the step, from 0.
    pub group: u32,
    /// Which rollout of the group, from 0.
    pub sample: u32,
    /// What was asked.
    #[serde(borrow, default)]
    pub prompt: Cow<'a, str>,
    /// The reference answer, where there is one.
    #[serde(borrow, default)]
    pub reference: Option<Cow<'a, str>>,
    /// What the policy wrote.
    #[serde(borrow)]
    pub completion: Cow<'a, str>,
    /// Tokens of the completion.
    #[serde(default)]
    pub n_tokens: u32,
    /// Why the completion ended: `eos`, `length` or `stop`.
    #[serde(borrow, default)]
    pub stop: Cow<'a, str>,
    /// The verdict of each verifier.
    #[serde(borrow, default)]
    pub verdicts: BTreeMap<Cow<'a, str>, VerdictLine<'a>>,
    /// What is trained on; none if it could not be judged.
    #[serde(default)]
    pub reward: Option<f64>,
    /// Right is 1, wrong is 0; none if it could not be judged.
    #[serde(default)]
    pub outcome: Option<f64>,
    /// The advantage; none if it was not trained on.
    #[serde(default)]
    pub advantage: Option<f64>,
    /// Mean log-probability of the tokens at sampling, in nats; a word where it is not finite.
    #[serde(default)]
    pub logp_mean: Number,
    /// Mean entropy of the tokens, in nats.
    #[serde(default)]
    pub entropy_mean: Number,
    /// Mean difference between the log-probabilities of sampler and trainer, where it is recorded.
    #[serde(default)]
    pub mismatch: Number,
    /// Seconds of judging.
    #[serde(default)]
    pub verify_s: Number,
}

/// A verdict, as it stands in a rollout file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VerdictLine<'a> {
    /// `judged`, `unjudged` or `abstained`.
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
    /// A fixed word, where it was judged.
    #[serde(borrow)]
    pub finding: Option<Cow<'a, str>>,
}

impl VerdictLine<'_> {
    /// What is said of it in a word.
    pub fn word(&self) -> &str {
        self.finding.as_deref().unwrap_or(&self.outcome)
    }
}

/// A number that may be missing, or written as a word where JSON has no number for it. Both are NaN here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(pub f64);

impl Default for Number {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.as_f64().unwrap_or(f64::NAN)))
    }
}

impl RolloutLine<'_> {
    /// Whether it solves its task.
    pub fn is_right(&self) -> bool {
        self.outcome.is_some_and(is_right)
    }

    /// The words of its verdicts, each with its verifier where there are several.
    pub fn findings(&self) -> String {
        match self.verdicts.iter().next() {
            Some((_, only)) if self.verdicts.len() == 1 => only.word().to_owned(),
            _ => {
                let labels: Vec<_> =
                    self.verdicts.iter().map(|(name, one)| format!("{name}: {}", one.word())).collect();
                labels.join(FINDINGS_APART)
            }
        }
    }
}

/// What stands between the findings of several verifiers.
pub(crate) const FINDINGS_APART: &str = " · ";

/// Whether an outcome counts as right: partial credit is not.
pub fn is_right(outcome: f64) -> bool {
    outcome >= 1.0 - 1e-6
}

/// Why rollouts cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RolloutsError {
    /// A file or folder could not be read.
    #[error("rollouts `{}` cannot be read", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The run has written none.
    #[error("run `{}`: there are no rollouts yet; a run writes them after each step into `rollouts/`", .0.display())]
    None(PathBuf),
    /// The run has none of this step.
    #[error("run `{}`: there are no rollouts of step {step}; steps {first} to {last} have some", path.display())]
    Step {
        /// The run.
        path: PathBuf,
        /// What was asked for.
        step: u64,
        /// The first step that has rollouts.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The step has no such group.
    #[error("step {step} has no group and no task `{group}`; its groups are 0 to {last}")]
    Group {
        /// The step.
        step: u64,
        /// What was asked for.
        group: String,
        /// The last group.
        last: u32,
    },
    /// A line is not a rollout.
    #[error("rollouts `{}`, line {line}: {why}; the file was changed by hand, or is not of this program", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

impl RolloutsError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// Lists the rollout files of a run by their step. A run without the folder has none.
///
/// # Errors
///
/// If the folder is there and cannot be read.
pub fn step_files(run: &Path) -> Result<BTreeMap<u64, PathBuf>, RolloutsError> {
    let folder = run.join("rollouts");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(RolloutsError::io(&folder)(error)),
    };
    Ok(entries.flatten().filter_map(|entry| Some((step_of(entry.file_name().to_str()?)?, entry.path()))).collect())
}

/// The step of a file named `step_000012.jsonl`.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step_")?.strip_suffix(".jsonl")?.parse().ok()
}

/// The text of the rollouts of a step, or of the last step that has some.
///
/// # Errors
///
/// If there are none, or if they cannot be read.
pub fn step_text(run: &Path, step: Option<u64>) -> Result<(PathBuf, String), RolloutsError> {
    let files = step_files(run)?;
    let (Some((&first, _)), Some((&last, _))) = (files.first_key_value(), files.last_key_value()) else {
        return Err(RolloutsError::None(run.to_owned()));
    };
    let step = step.unwrap_or(last);
    let path = files.get(&step).ok_or_else(|| RolloutsError::Step { path: run.to_owned(), step, first, last })?;
    let bytes = std::fs::read(path).map_err(RolloutsError::io(path))?;
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
    Ok((path.clone(), text))
}

/// Reads the lines of a rollout file.
///
/// # Errors
///
/// Names the line that is not a rollout.
pub fn parse<'a>(path: &Path, text: &'a str) -> Result<Vec<RolloutLine<'a>>, RolloutsError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|error| RolloutsError::Line {
                path: path.to_owned(),
                line: i + 1,
                why: error.to_string(),
            })
        })
        .collect()
}

/// Sorts rollouts, the lowest reward first; those that could not be judged come last.
pub fn sort_worst_first(rollouts: &mut [RolloutLine<'_>]) {
    rollouts.sort_by(|a, b| by_reward(a, b).then((a.group, a.sample).cmp(&(b.group, b.sample))));
}

fn by_reward(a: &RolloutLine<'_>, b: &RolloutLine<'_>) -> std::cmp::Ordering {
    match (a.reward, b.reward) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// Keeps the rollouts of a group: its number, or the id of its task.
///
/// # Errors
///
/// If there is no such group; the error names those that there are.
pub fn keep_group(rollouts: &mut Vec<RolloutLine<'_>>, id: &str) -> Result<(), RolloutsError> {
    let number: Option<u32> = id.parse().ok();
    let step = rollouts.first().map_or(0, |rollout| rollout.step);
    let last = rollouts.iter().map(|rollout| rollout.group).max().unwrap_or(0);
    // One task may have been drawn twice; the first of its groups is shown.
    let of_task = rollouts.iter().find(|rollout| rollout.task_id == id).map(|rollout| rollout.group);
    let wanted = number.filter(|&group| rollouts.iter().any(|rollout| rollout.group == group)).or(of_task);
    let wanted = wanted.ok_or_else(|| RolloutsError::Group { step, group: id.to_owned(), last })?;
    rollouts.retain(|rollout| rollout.group == wanted);
    Ok(())
}

/// Makes model text safe to show: control characters, and those that hide or turn text round, become visible escapes.
///
/// Line ends and tabs stay.
///
/// # Examples
///
/// ```
/// assert_eq!(rlvr_track::rollouts::visible("a\u{1b}[2J\nb\u{202e}c\r"), "a\\u{1b}[2J\nb\\u{202e}c\\u{d}");
/// ```
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A line with what tests want to vary.
    pub(crate) fn line(step: u64, group: u32, sample: u32, reward: Option<f64>, completion: &str) -> String {
        let outcome = if reward.is_some() { "judged" } else { "unjudged" };
        let finding = match reward {
            Some(1.0) => serde_json::json!("correct"),
            Some(_) => serde_json::json!("wrong_value"),
            None => serde_json::Value::Null,
        };
        let line = serde_json::json!({
            "step": step, "task_id": format!("sums-{group}"), "source": if group.is_multiple_of(2) { "even" } else { "odd" },
            "group": group, "sample": sample, "prompt": format!("What is {group} + 1?"), "reference": "4",
            "completion": completion, "ids": [1, 2], "n_tokens": completion.len(), "stop": "eos",
            "verdicts": {"exact": {"outcome": outcome, "finding": finding}},
            "reward": reward, "outcome": reward, "advantage": reward.map(|r| r - 0.5),
            "logp_mean": -0.5 - f64::from(sample), "entropy_mean": 0.25, "verify_s": 0.001,
        });
        format!("{line}\n")
    }

    /// A run folder with such a file.
    pub(crate) fn run_with(steps: &[(u64, String)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rollouts")).unwrap();
        for (step, text) in steps {
            std::fs::write(folder.path().join(format!("rollouts/step_{step:06}.jsonl")), text).unwrap();
        }
        folder
    }

    #[test]
    fn lines_are_read_as_far_as_they_are_whole() {
        let folder = run_with(&[(7, line(7, 0, 0, Some(1.0), "four") + &line(7, 0, 1, None, "x") + "{\"step\":7,\"c")]);
        let (path, text) = step_text(folder.path(), None).unwrap();
        let lines = parse(&path, &text).unwrap();
        let seen: Vec<_> =
            lines.iter().map(|line| (line.completion.as_ref(), line.is_right(), line.findings())).collect();
        assert_eq!(seen, [("four", true, "correct".to_owned()), ("x", false, "unjudged".to_owned())]);
        assert!(lines[0].mismatch.0.is_nan());
        assert_eq!(lines[0].logp_mean.0, -0.5);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let folder = run_with(&[]);
        let refusal = |step| step_text(folder.path(), step).unwrap_err().to_string();
        assert!(refusal(None).contains("there are no rollouts yet"));
        std::fs::write(folder.path().join("rollouts/step_000002.jsonl"), "{\n").unwrap();
        std::fs::write(folder.path().join("rollouts/step_000003.jsonl.part"), "").unwrap();
        assert!(refusal(Some(5)).contains("no rollouts of step 5; steps 2 to 2 have some"));
        let (path, text) = step_text(folder.path(), None).unwrap();
        assert!(parse(&path, &text).unwrap_err().to_string().contains("step_000002.jsonl`, line 1: EOF"));
    }

    #[test]
    fn groups_are_found_by_number_and_by_task() {
        let text = line(1, 0, 0, Some(0.0), "a") + &line(1, 2, 0, Some(1.0), "b") + &line(1, 2, 1, None, "c");
        let kept = |id: &str| {
            let mut lines = parse("x".as_ref(), &text).unwrap();
            keep_group(&mut lines, id).map(|()| lines.len()).map_err(|error| error.to_string())
        };
        assert_eq!((kept("2"), kept("sums-0")), (Ok(2), Ok(1)));
        assert_eq!(kept("7"), Err("step 1 has no group and no task `7`; its groups are 0 to 2".to_owned()));
        let mut lines = parse("x".as_ref(), &text).unwrap();
        lines.reverse();
        sort_worst_first(&mut lines);
        assert_eq!(lines.iter().map(|line| line.completion.as_ref()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn several_verifiers_are_named() {
        let text = r#"{"step":1,"group":0,"sample":0,"completion":"","verdicts":{"a":{"outcome":"judged","score":1.0,"finding":"ok"},"b":{"outcome":"abstained"}}}"#;
        let line: RolloutLine<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(line.findings(), "a: ok · b: abstained");
    }
}
