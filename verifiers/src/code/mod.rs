//! Programs, judged by running them.
//!
//! A program is hostile until shown otherwise: it wants the reward without the work. It therefore runs behind all the
//! layers that [`sandbox`] can put on, its tests never share an interpreter with it, and what it did is read from the
//! kernel's books and from bytes, never from what it claims. See [`Code`] for the forms of tests and the findings.

mod asserts;
mod compare;
mod executable;
mod finding;
mod judge;
mod literal;
mod options;
mod pool;
mod program;
pub mod sandbox;
mod spec;
mod value;

pub use options::{CodeOptions, Isolation, Language};
pub use spec::{CallCase, Limits, Spec, StdinCase, Tests};

use judge::Job;
use pool::Pool;

use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Cost, Interventions, Verdict, Verifier};

/// Runs the program of a completion against the tests of its task's [`Spec`].
///
/// Findings: `correct`; `wrong_output`, `runtime_error`, `syntax_error`, `output_limit`, `sandbox_violation`,
/// `timeout`, `oom`; `no_answer` where there is no program. A program has all or nothing: it scores 1 if every test
/// passes.
///
/// Nothing that a program does leaves it unjudged. That is for sandboxes that did not start, before the program's first
/// instruction.
#[derive(Debug)]
pub struct Code {
    options: CodeOptions,
    pool: Pool,
}

impl Code {
    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// If an option is wrong, or if the layers that `isolation` asks for cannot be had here; the message says how to
    /// get them.
    pub fn new(options: CodeOptions) -> Result<Self, String> {
        options.check()?;
        let pool = Pool::start(&options)?;
        Ok(Self { options, pool })
    }

    /// Makes the job of an attempt, or the verdict where there is nothing to run.
    fn job(&self, attempt: Attempt<'_>) -> Result<Job, Verdict> {
        let spec = Spec::parse(&attempt.task.spec).map_err(Verdict::unjudged)?;
        let language = self.language(&spec.language).map_err(Verdict::unjudged)?;
        let words = match language {
            Some(language) if !language.fences.is_empty() => language.fences.clone(),
            Some(_) => vec![spec.language.to_lowercase()],
            None => ["python", "py", "python3"].map(str::to_owned).to_vec(),
        };
        let found = program::program(attempt.completion, &spec, &words, self.options.reasoning_end.as_deref());
        let program = found.ok_or_else(|| self.without_program())?;
        Ok(Job {
            program,
            bounds: spec.limits.or(&self.options.limits),
            language: language.cloned(),
            entry: spec.entry().map(str::to_owned),
            tests: spec.tests,
        })
    }

    fn without_program(&self) -> Verdict {
        Verdict::wrong("no_answer").with("layers", self.pool.sandbox.layers().join(", "))
    }

    /// The language of a task; none for Python, which is built in.
    fn language(&self, name: &str) -> Result<Option<&Language>, String> {
        match self.options.languages.get(name) {
            Some(language) => Ok(Some(language)),
            None if name == "python" => Ok(None),
            None => {
                let known: Vec<&str> = self.options.languages.keys().map(String::as_str).collect();
                Err(format!(
                    "`spec.language` is `{name}`, but known are python{}{}; add a section \
                     `[verifiers.code.languages.{name}]`",
                    if known.is_empty() { "" } else { ", " },
                    known.join(", ")
                ))
            }
        }
    }
}

impl Verifier for Code {
    fn name(&self) -> &'static str {
        "code"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let program = task.reference.as_ref()?;
        // As a model would state it: programs may themselves hold fences, hence a longer one.
        Some(format!("`````\n{}\n`````\n", program.trim_end_matches('\n')))
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        self.verify_batch(&[attempt]).pop().unwrap_or_else(|| Verdict::unjudged("no verdict"))
    }

    fn verify_batch(&self, attempts: &[Attempt<'_>]) -> Vec<Verdict> {
        let jobs: Vec<Result<Job, Verdict>> = attempts.iter().map(|&attempt| self.job(attempt)).collect();
        let mut judged =
            self.pool.judge(jobs.iter().filter_map(|job| job.as_ref().ok().cloned()).collect()).into_iter();
        let verdict = |job: Result<Job, Verdict>| match job {
            Ok(_) => judged.next().unwrap_or_else(|| Verdict::unjudged("no verdict")),
            Err(verdict) => verdict,
        };
        jobs.into_iter().map(verdict).collect()
    }

    fn cost(&self) -> Cost {
        Cost::Process
    }

    fn layers(&self) -> Vec<String> {
        self.pool.sandbox.layers().to_vec()
    }

    fn interventions(&self) -> Interventions {
        self.pool.sandbox.interventions()
    }

    /// A task without a reference program is valid if its spec is; one with a reference must accept it.
    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        let unusable = |why: String| Err(TaskError::unusable(task, why));
        let checked = Spec::parse(&task.spec).and_then(|spec| self.language(&spec.language).map(|_| ()));
        if let Err(why) = checked {
            return unusable(why);
        }
        let Some(completion) = self.reference(task) else { return Ok(()) };
        match self.verify(Attempt { task, completion: &completion, finished: true }) {
            Verdict::Judged { score, .. } if score >= 1.0 => Ok(()),
            Verdict::Judged { finding, detail, .. } => {
                let said = detail.get("said").map(|said| format!(" ({said})")).unwrap_or_default();
                unusable(format!("verifier `code` rejects the task's own reference program: {finding}{said}"))
            }
            Verdict::Unjudged { why } => unusable(why),
            Verdict::Abstained => unusable("verifier `code` has no opinion on it".to_owned()),
        }
    }
}
