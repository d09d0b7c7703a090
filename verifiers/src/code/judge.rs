//! Judging one program: the tests run, what came of them, and the verdict.

use serde_json::{Value as Json, json};

use super::asserts::{self, Call};
use super::compare::same_output;
use super::executable::{Executable, Made};
use super::finding::{exit_code, fault};
use super::options::Language;
use super::sandbox::Sandbox;
use super::sandbox::run::{Case, End, Outcome, Overflow, Report, Sink, pipe};
use super::sandbox::worker::Worker;
use super::spec::{Bounds, CallCase, StdinCase, Tests};
use super::value::{Value, read_line};
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
pub(crate) const STDERR_BYTES: usize = 1 << 14;

impl Job {
    /// Judges the program; the error says why that was impossible, and nothing of the program has run then.
    pub(crate) fn judge(&self, sandbox: &Sandbox, worker: &mut Worker) -> Result<Verdict, String> {
        let mut tally = Tally::default();
        let bench = Bench { sandbox };
        let verdict = match &self.tests {
            Tests::Stdin { input, expected, cases, tolerance } => {
                let single = expected
                    .as_ref()
                    .map(|expected| StdinCase { input: input.clone().unwrap_or_default(), expected: expected.clone() });
                let cases: Vec<&StdinCase> = single.iter().chain(cases.iter().flatten()).collect();
                self.judge_stdin(&bench, worker, &cases, *tolerance, &mut tally)?
            }
            Tests::Calls { entry, cases, tolerance } => {
                match cases.iter().map(|case| call_of(entry, case)).collect::<Result<Vec<_>, _>>() {
                    Ok(calls) => self.judge_calls(&bench, worker, &calls, *tolerance, &mut tally)?,
                    Err(why) => return Ok(Verdict::unjudged(why)),
                }
            }
            Tests::Asserts { code } => match asserts::calls(code) {
                Some(calls) => self.judge_calls(&bench, worker, &calls, None, &mut tally)?,
                None => self.judge_asserts(&bench, worker, code, &mut tally)?,
            },
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
        let program = match Executable::make(self, bench, worker, tally)? {
            Made::Executable(program) => program,
            Made::Fault(verdict) => return Ok(verdict),
        };
        for case in cases {
            let (stdout, theirs) = Sink::new(self.bounds.output_bytes(), Overflow::Ends)?;
            let (stderr, their_stderr) = Sink::new(STDERR_BYTES, Overflow::IsLost)?;
            let run = program
                .case(self)?
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

    /// Loads the program once and calls its function; what it returns is compared here.
    fn judge_calls(
        &self,
        bench: &Bench<'_>,
        worker: &mut Worker,
        calls: &[Call],
        tolerance: Option<f64>,
        tally: &mut Tally,
    ) -> Result<Verdict, String> {
        tally.n_tests = calls.len();
        let requests: String = calls.iter().map(|call| request_of(call).to_string() + "\n").collect();
        let (replies, theirs) = Sink::new(self.bounds.output_bytes(), Overflow::Ends)?;
        let (stderr, their_stderr) = Sink::new(STDERR_BYTES, Overflow::IsLost)?;
        let run = Case::new("driver", self.bounds)
            .give_text("program", self.program.as_bytes())?
            .give_text("in", requests.as_bytes())?
            .give("out", theirs)
            .give("stderr", their_stderr);
        let outcome = bench.run(worker, vec![run], vec![replies, stderr])?;
        let report = &outcome.reports[0];
        tally.add(report);
        let mut lines = outcome.texts[0].split(|byte| *byte == b'\n');
        let failed = match reply(lines.next()) {
            Reply::Value(_) => calls.iter().find_map(|call| {
                let failed = failure(call, &reply(lines.next()), tolerance);
                tally.n_passed += usize::from(failed.is_none());
                failed
            }),
            other => failure(&calls[0], &other, tolerance),
        };
        let finding = fault(report).map(|finding| (finding, None));
        Ok(match finding.or(failed) {
            None => Verdict::correct(),
            Some((finding, Some(said))) => Verdict::wrong(finding).with("said", said),
            Some((finding, None)) => explained(Verdict::wrong(finding), report, &outcome.texts[1]),
        })
    }

    /// Runs the tests in one sandbox and the program in another.
    fn judge_asserts(
        &self,
        bench: &Bench<'_>,
        worker: &mut Worker,
        code: &str,
        tally: &mut Tally,
    ) -> Result<Verdict, String> {
        tally.n_tests = 1;
        let (their_requests, requests) = pipe()?;
        let (replies, their_replies) = pipe()?;
        let (stderr, their_stderr) = Sink::new(STDERR_BYTES, Overflow::IsLost)?;
        let code = with_check(code, self.entry.as_deref());
        let tests = Case::new("tester", self.bounds.for_tests())
            .set("entry", json!(self.entry))
            .give_text("program", code.as_bytes())?
            .give("in", replies)
            .give("out", requests)
            .give("stderr", their_stderr);
        let program = Case::new("driver", self.bounds)
            .give_text("program", self.program.as_bytes())?
            .give("in", their_requests)
            .give("out", their_replies);
        let outcome = bench.run(worker, vec![tests, program], vec![stderr])?;
        let (tests, program) = (&outcome.reports[0], &outcome.reports[1]);
        tally.add(program);
        let finding = match tester_end(tests) {
            TesterEnd::Unreadable => {
                let said = String::from_utf8_lossy(&outcome.texts[0]).trim().to_owned();
                return Ok(Verdict::unjudged(format!("the tests do not compile: {said}")));
            }
            TesterEnd::Passed => (program.n_oom_kills > 0).then_some("oom"),
            // What ended the program explains more than that the tests missed it.
            TesterEnd::Failed(finding) => Some(fault(program).unwrap_or(finding)),
        };
        let Some(finding) = finding else {
            tally.n_passed = 1;
            return Ok(Verdict::correct());
        };
        let report = if program.syntax_error.is_some() { program } else { tests };
        Ok(explained(Verdict::wrong(finding), report, &outcome.texts[0]))
    }
}

/// How the tests ended.
enum TesterEnd {
    Passed,
    Failed(&'static str),
    Unreadable,
}

/// The exit codes of the tester; it ends with 0 only if something has gone wrong.
fn tester_end(report: &Report) -> TesterEnd {
    let ended = report.ended.as_ref().filter(|ended| ended.why == Some(End::Exit));
    match ended.and_then(|ended| ended.status) {
        Some(status) if status & 0x7f == 0 => match exit_code(status) {
            42 => TesterEnd::Passed,
            1 => TesterEnd::Failed("wrong_output"),
            5 => TesterEnd::Unreadable,
            _ => TesterEnd::Failed("runtime_error"),
        },
        _ => TesterEnd::Failed(fault(report).unwrap_or("runtime_error")),
    }
}

/// HumanEval's tests define `check` and leave calling it to whoever runs them.
fn with_check(code: &str, entry: Option<&str>) -> String {
    let defines = code.lines().any(|line| line.starts_with("def check("));
    let calls = code.lines().any(|line| line.starts_with("check("));
    match entry {
        Some(entry) if defines && !calls => format!("{code}\n\ncheck({entry})\n"),
        _ => code.to_owned(),
    }
}

fn call_of(entry: &str, case: &CallCase) -> Result<Call, String> {
    Ok(Call {
        entry: entry.to_owned(),
        args: case.args.iter().map(Value::of_task).collect::<Result<_, _>>()?,
        kwargs: case
            .kwargs
            .iter()
            .map(|(name, value)| Ok((name.clone(), Value::of_task(value)?)))
            .collect::<Result<_, String>>()?,
        expected: Value::of_task(&case.expected)?,
    })
}

fn request_of(call: &Call) -> Json {
    let args: Vec<Json> = [json!(["n", call.entry])].into_iter().chain(call.args.iter().map(Value::to_wire)).collect();
    let kwargs: serde_json::Map<String, Json> =
        call.kwargs.iter().map(|(name, value)| (name.clone(), value.to_wire())).collect();
    json!({"op": "call", "a": args, "k": kwargs})
}

/// One line of the program's side.
enum Reply {
    Value(Value),
    Exception(String),
    /// No line, or one in no form.
    Nothing,
}

fn reply(line: Option<&[u8]>) -> Reply {
    let Some(Json::Object(mut object)) = line.and_then(read_line) else { return Reply::Nothing };
    match (object.remove("v"), object.remove("e")) {
        (Some(value), None) => Value::of_wire(&value).map_or(Reply::Nothing, Reply::Value),
        (None, Some(error)) => {
            let part = |i: usize| error.get(i).and_then(Json::as_str).unwrap_or("Exception").to_owned();
            let message = error.get(2).and_then(|arguments| arguments.get(1)).and_then(Json::as_str);
            Reply::Exception(message.map_or_else(|| part(0), |message| format!("{}: {message}", part(0))))
        }
        _ => Reply::Nothing,
    }
}

/// Why a reply is not the one wanted, with what the program said about it.
fn failure(call: &Call, reply: &Reply, tolerance: Option<f64>) -> Option<(&'static str, Option<String>)> {
    match reply {
        Reply::Value(found) if call.expected.accepts(found, tolerance) => None,
        Reply::Value(_) => Some(("wrong_output", None)),
        Reply::Exception(said) => Some(("runtime_error", Some(shorten(&without_addresses(said))))),
        Reply::Nothing => Some(("runtime_error", None)),
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
            if let Some(why) = &report.missing {
                return Err(why.clone());
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
        Some(last) if !last.is_empty() => verdict.with("said", Json::from(shorten(&without_addresses(last)))),
        _ => verdict,
    }
}

/// Addresses differ from run to run, and a verdict must not.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| told + "0x…" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}
