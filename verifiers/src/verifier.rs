//! The contract of a verifier.
//!
//! One method judges one attempt. The rest has defaults, because the laws below are tested by
//! [`conformance::check`](crate::conformance::check) rather than spelt out by every implementation.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::task::{Task, TaskError};

/// One completion to be judged, with all that a verifier may look at.
///
/// Text and plain numbers only: a verifier never sees a token, a tensor or the policy, so it runs on any thread and is
/// tested without libtorch.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// What was asked, with the reference answer or the tests.
    pub task: &'a Task,
    /// The decoded completion, without the prompt and without special tokens.
    pub completion: &'a str,
    /// False if the token limit cut the completion off.
    pub finished: bool,
}

/// Plain values for the reader of a verdict, such as the parsed answer. Never part of the reward.
pub type Detail = BTreeMap<Cow<'static, str>, Value>;

/// What a verifier found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Verdict {
    /// Judged on its merits.
    Judged {
        /// `0.0` wrong to `1.0` right.
        score: f32,
        /// A fixed word for the statistics, such as `"no_answer"`.
        finding: Cow<'static, str>,
        /// For reading.
        detail: Detail,
    },
    /// Not judged, through no fault of the policy: a reference that does not parse, a sandbox that did not start.
    /// Never a reward of zero; the rollout is left out of its group and counted.
    Unjudged {
        /// What went wrong, for the log.
        why: String,
    },
}

/// Findings of an attempt that states no answer in the form its task asks for; the format reward reads them.
const FORMLESS: [&str; 4] = ["no_answer", "unparsable", "refused", "hedged"];

impl Verdict {
    /// Right, with nothing to add.
    pub fn correct() -> Self {
        Self::judged(1.0, "correct")
    }

    /// Wrong, for the reason that `finding` names.
    pub fn wrong(finding: &'static str) -> Self {
        Self::judged(0.0, finding)
    }

    /// Judged with a score of `0.0` to `1.0`.
    pub fn judged(score: f32, finding: &'static str) -> Self {
        Self::Judged { score, finding: Cow::Borrowed(finding), detail: Detail::new() }
    }

    /// Not judged, for the reason given.
    pub fn unjudged(why: impl Into<String>) -> Self {
        Self::Unjudged { why: why.into() }
    }

    /// Adds a value for the reader; has no effect on an unjudged verdict.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        if let Self::Judged { detail, .. } = &mut self {
            detail.insert(Cow::Borrowed(key), value.into());
        }
        self
    }

    /// Returns the score, or none where nothing was judged.
    pub fn score(&self) -> Option<f32> {
        match self {
            Self::Judged { score, .. } => Some(*score),
            Self::Unjudged { .. } => None,
        }
    }

    /// Returns the finding; `"unjudged"` where nothing was judged.
    pub fn finding(&self) -> &str {
        match self {
            Self::Judged { finding, .. } => finding,
            Self::Unjudged { .. } => "unjudged",
        }
    }

    /// Returns whether two verdicts say the same: score, finding and detail, except for measurements.
    ///
    /// A measurement is a value of the detail whose name ends in a unit of time or memory, such as `cpu_s` or
    /// `peak_mb`; it differs from one judging to the next without making the verdict another one.
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Judged { score: a, finding: f, detail: d }, Self::Judged { score: b, finding: g, detail: e }) => {
                a == b && f == g && findings_of(d).eq(findings_of(e))
            }
            (Self::Unjudged { .. }, Self::Unjudged { .. }) => true,
            (Self::Judged { .. }, Self::Unjudged { .. }) | (Self::Unjudged { .. }, Self::Judged { .. }) => false,
        }
    }

    /// Returns whether the attempt stated an answer in the form its task asks for, or none where nothing was judged.
    ///
    /// It is the verifier's own extractor that says so; a format reward can therefore never pay for an answer that
    /// the verifier does not see.
    pub fn is_well_formed(&self) -> Option<bool> {
        match self {
            Self::Judged { finding, .. } => Some(!FORMLESS.contains(&finding.as_ref())),
            Self::Unjudged { .. } => None,
        }
    }
}

/// The values of a detail that are not measurements.
fn findings_of(detail: &Detail) -> impl Iterator<Item = (&Cow<'static, str>, &Value)> {
    detail.iter().filter(|(key, _)| !["_s", "_ms", "_mb"].iter().any(|unit| key.ends_with(unit)))
}

/// Where a verifier spends its time, which decides how a [`Panel`](crate::Panel) runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Computes in this process, in micro- to milliseconds; judged one attempt at a time on all cores.
    Cpu,
    /// Runs processes of its own, and decides itself how many at a time; gets whole batches.
    Process,
    /// Waits for somebody else; gets whole batches.
    Remote,
}

/// How often a verifier had to help itself since it was made, for the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interventions {
    /// Workers started again after they had died, hung or spoken nonsense.
    pub restarts: u64,
    /// Processes killed at a limit.
    pub killed: u64,
}

/// Decides whether a completion solves its task.
///
/// # Laws
///
/// [`conformance::check`](crate::conformance::check) tests these for any implementation, and every built-in passes it:
///
/// 1. The reference answer scores 1, the empty completion less than 1.
/// 2. Equal attempts get equal verdicts ([`Verdict::agrees_with`]), in any order, batch or thread.
/// 3. No completion makes it panic, and none makes it exceed its limits: text comes from a policy that is paid to find
///    the gap.
/// 4. A failure of the judge is [`Verdict::Unjudged`], a failure of the attempt is judged 0, and nothing that the
///    attempt does can turn the second into the first.
/// 5. A score is finite and in `0.0..=1.0`.
pub trait Verifier: Send + Sync {
    /// The name used in tasks, configs, records and logs, such as `"countdown"`.
    fn name(&self) -> &str;

    /// Returns a completion that states the reference answer, if there is one.
    fn reference(&self, task: &Task) -> Option<String>;

    /// Judges one attempt.
    fn verify(&self, attempt: Attempt<'_>) -> Verdict;

    /// Judges many, in order. Override where one start-up serves them all: a compiler, an interpreter, a remote judge.
    fn verify_batch(&self, attempts: &[Attempt<'_>]) -> Vec<Verdict> {
        attempts.iter().map(|&attempt| self.verify(attempt)).collect()
    }

    /// Returns where the time goes. Override it together with [`verify_batch`](Self::verify_batch).
    fn cost(&self) -> Cost {
        Cost::Cpu
    }

    /// Returns the layers of isolation that hostile programs are run under, outermost first; empty for a verifier that
    /// runs none.
    fn layers(&self) -> Vec<String> {
        vec![]
    }

    /// Returns how often the verifier had to help itself since it was made.
    fn interventions(&self) -> Interventions {
        Interventions::default()
    }

    /// Checks before a run that a task can be judged: its reference must score 1.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the task, where there is no reference to judge or where it is not accepted.
    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        let completion = self
            .reference(task)
            .ok_or_else(|| TaskError::unusable(task, format!("verifier `{}` needs a `reference`", self.name())))?;
        match self.verify(Attempt { task, completion: &completion, finished: true }) {
            Verdict::Judged { score, .. } if score >= 1.0 => Ok(()),
            Verdict::Judged { finding, .. } => {
                let why =
                    format!("verifier `{}` rejects the task's own reference `{completion}`: {finding}", self.name());
                Err(TaskError::unusable(task, why))
            }
            Verdict::Unjudged { why } => Err(TaskError::unusable(task, why)),
        }
    }
}
