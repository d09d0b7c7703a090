//! Judging one program: the tests run, what came of them, and the verdict.

use serde_json::{Value, json};

use super::compare::same_output;
use super::finding::fault;
use super::options::Language;
use super::sandbox::Sandbox;
use super::sandbox::run::{Case, Outcome, Overflow, Report, Sink};
use super::sandbox::worker::Worker;
use super::spec::{Bounds, StdinCase, Tests};
use crate::extract::shorten;
use crate::verifier::Verdict;

/// All that one judging needs.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) program: String,
    pub(crate) tests: Tests,
    pub(crate) bounds: Bounds,
    /// None for Python.
    pub(crate) language: Option<Language>,
    pub(crate) entry: Option<String>,
}

/// What has been used so far, and how many tests have passed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) n_tests: usize,
    pub(crate) n_passed: usize,
    cpu_s: f64,
    wall_s: f64,
    peak_mb: f64,
}

/// Standard error is for people, a little of it.
const STDERR_BYTES: usize = 1 << 14;

impl Job {
    /// Judges the program; the error says why that was impossible, and nothing of the program has run then.
    pub(crate) fn judge(&self, sandbox: &Sandbox, worker: &mut Worker) -> Result<Verdict, String> {
        let mut tally = Tally::default();
        let verdict = match &self.tests {
            Tests::Stdin { input, expected, cases, tolerance } => {
                let single = expected
                    .as_ref()
                    .map(|expected| StdinCase { input: input.clone().unwrap_or_default(), expected: expected.clone() });
                let cases: Vec<&StdinCase> = single.iter().chain(cases.iter().flatten()).collect();
                self.judge_stdin(&Bench { sandbox }, worker, &cases, *tolerance, &mut tally)?
            }
            Tests::Calls { .. } | Tests::Asserts { .. } => return Err("not yet".to_owned()),
        };
        Ok(tally.tell(verdict).with("layers", sandbox.layers().join(", ")))
    }

    /// Runs the cases, each in a fresh sandbox, until one fails.
    fn judge_stdin(
        &self,
        bench: &Bench<'_>,
        worker: &mut Worker,
        cases: &[&StdinCase],
        tolerance: Option<f64>,
        tally: &mut Tally,
    ) -> Result<Verdict, String> {
        tally.n_tests = cases.len();
        for case in cases {
            let (stdout, theirs) = Sink::new(self.bounds.output_bytes(), Overflow::Ends)?;
            let (stderr, their_stderr) = Sink::new(STDERR_BYTES, Overflow::IsLost)?;
            let run = Case::new("python", self.bounds)
                .give_text("program", self.program.as_bytes())?
                .give_text("stdin", case.input.as_bytes())?
                .give("stdout", theirs)
                .give("stderr", their_stderr);
            let outcome = bench.run(worker, vec![run], vec![stdout, stderr])?;
            let report = &outcome.reports[0];
            tally.add(report);
            if let Some(finding) = fault(report) {
                return Ok(explained(Verdict::wrong(finding), report, &outcome.texts[1]));
            }
            if !same_output(&outcome.texts[0], case.expected.as_bytes(), tolerance) {
                return Ok(Verdict::wrong("wrong_output"));
            }
            tally.n_passed += 1;
        }
        Ok(Verdict::correct())
    }
}

/// Where cases are run.
pub(crate) struct Bench<'a> {
    pub(crate) sandbox: &'a Sandbox,
}

impl Bench<'_> {
    /// Runs cases; an error if a sandbox was not complete.
    pub(crate) fn run(&self, worker: &mut Worker, cases: Vec<Case>, sinks: Vec<Sink>) -> Result<Outcome, String> {
        let outcome = self.sandbox.run(worker, cases, sinks)?;
        for report in &outcome.reports {
            if !report.is_ready {
                let why = report.failed.as_deref().unwrap_or("its first process ended early");
                return Err(format!("the sandbox did not start: {why}"));
            }
        }
        Ok(outcome)
    }
}

impl Tally {
    pub(crate) fn add(&mut self, report: &Report) {
        if let Some(ended) = &report.ended {
            self.cpu_s += ended.cpu_s;
            self.wall_s += ended.wall_s;
            self.peak_mb = self.peak_mb.max(ended.peak_mb);
        }
    }

    fn tell(&self, verdict: Verdict) -> Verdict {
        let rounded = |value: f64| json!((value * 1e4).round() / 1e4);
        verdict
            .with("tests", self.n_tests)
            .with("passed", self.n_passed)
            .with("cpu_s", rounded(self.cpu_s))
            .with("wall_s", rounded(self.wall_s))
            .with("peak_mb", rounded(self.peak_mb))
    }
}

/// Adds what the program said last, for the reader.
pub(crate) fn explained(verdict: Verdict, report: &Report, stderr: &[u8]) -> Verdict {
    if let Some(error) = &report.syntax_error {
        return verdict.with("said", shorten(error));
    }
    let said = String::from_utf8_lossy(stderr);
    match said.trim_end().lines().next_back() {
        Some(last) if !last.is_empty() => verdict.with("said", Value::from(shorten(&without_addresses(last)))),
        _ => verdict,
    }
}

/// Addresses differ from run to run, and a verdict must not.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| told + "0x…" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}
