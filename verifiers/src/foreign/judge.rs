//! A judge that runs as processes, as a [`Verifier`].

use super::options;
use super::pool::Pool;
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Cost, Interventions, Verdict, Verifier};

/// A judge that runs as processes.
#[derive(Debug)]
pub struct WorkerJudge {
    name: String,
    pool: Pool,
    reference_as: Option<String>,
    validate: bool,
}

impl WorkerJudge {
    pub(super) fn new(name: String, pool: Pool, worker: options::WorkerOptions) -> Result<Self, String> {
        Ok(Self { name, pool, reference_as: options::template(worker.reference_as)?, validate: worker.validate })
    }
}

impl Verifier for WorkerJudge {
    fn name(&self) -> &str {
        &self.name
    }

    /// Only the option `reference_as` says how a completion must state an answer for a judge that we do not know.
    fn reference(&self, task: &Task) -> Option<String> {
        Some(options::state(self.reference_as.as_ref()?, task.reference.as_ref()?))
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        self.verify_batch(&[attempt]).pop().expect("there is a verdict for every attempt")
    }

    fn verify_batch(&self, attempts: &[Attempt<'_>]) -> Vec<Verdict> {
        self.pool.judge(attempts)
    }

    fn cost(&self) -> Cost {
        Cost::Process
    }

    fn interventions(&self) -> Interventions {
        self.pool.interventions()
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        if !self.validate {
            return Ok(());
        }
        try_once(self, task, self.reference(task).as_deref())
    }
}

/// Checks that a judge can judge a task: the reference must score 1, if there is one, and anything can be judged.
pub(super) fn try_once(judge: &dyn Verifier, task: &Task, reference: Option<&str>) -> Result<(), TaskError> {
    let completion = reference.unwrap_or_default();
    match judge.verify(Attempt { task, completion, finished: true }) {
        Verdict::Judged { score, finding, .. } if reference.is_some() && score < 1.0 => {
            let why = format!("verifier `{}` rejects the task's own reference `{completion}`: {finding}", judge.name());
            Err(TaskError::unusable(task, why))
        }
        Verdict::Judged { .. } | Verdict::Abstained => Ok(()),
        Verdict::Unjudged { why } => Err(TaskError::unusable(task, why)),
    }
}
