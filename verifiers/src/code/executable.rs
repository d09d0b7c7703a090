//! From a program's text to something that can be started.

use std::os::fd::OwnedFd;

use rustix::fs::MemfdFlags;
use serde_json::json;

use super::finding::fault;
use super::judge::{Bench, Job, STDERR_BYTES, Tally, explained};
use super::options::Language;
use super::sandbox::run::{Case, Overflow, Sink};
use super::sandbox::worker::Worker;
use super::spec::Bounds;
use crate::verifier::Verdict;

/// What is run for each test case.
#[derive(Debug)]
pub(crate) enum Executable {
    /// Python text, in the interpreter that stands ready.
    Python,
    /// The text of a program in another interpreted language.
    Script(Language),
    /// A file that a compiler has made, in a sandbox too.
    Binary(Language, OwnedFd),
}

/// What came of making it.
#[derive(Debug)]
pub(crate) enum Made {
    Executable(Executable),
    /// It does not compile.
    Fault(Verdict),
}

/// The name of a compiled program in its work dir.
const BINARY: &str = "main.exe";

impl Executable {
    /// Compiles the program, if its language is compiled.
    pub(crate) fn make(job: &Job, bench: &Bench<'_>, worker: &mut Worker, tally: &mut Tally) -> Result<Made, String> {
        let language = match &job.language {
            None => return Ok(Made::Executable(Self::Python)),
            Some(language) if language.compile.is_empty() => {
                return Ok(Made::Executable(Self::Script(language.clone())));
            }
            Some(language) => language,
        };
        let no_file = |error| format!("no memory file: {error}");
        let binary = rustix::fs::memfd_create("binary", MemfdFlags::CLOEXEC).map_err(no_file)?;
        let (stderr, theirs) = Sink::new(STDERR_BYTES, Overflow::IsLost)?;
        let source = source_name(language);
        let case = Case::new("command", bounds_of_compiler(&job.bounds, language.compile_s))
            .set("argv", json!(words(&language.compile, language)))
            .set("env", json!(language.env))
            .set("files", json!([[source, 0o644]]))
            .set("export", json!(BINARY))
            .give_text(format!("file:{source}"), job.program.as_bytes())?
            .give("artefact", binary.try_clone().map_err(|error| error.to_string())?)
            .give("stderr", theirs);
        let outcome = bench.run(worker, vec![case], vec![stderr])?;
        let report = &outcome.reports[0];
        tally.add(report);
        let has_file = report.ended.as_ref().is_some_and(|ended| ended.no_export.is_none());
        Ok(match fault(report) {
            None if has_file => Made::Executable(Self::Binary(language.clone(), binary)),
            // A compiler that needs too much time or memory was given such a program.
            Some(finding @ ("timeout" | "oom")) => Made::Fault(Verdict::wrong(finding)),
            _ => Made::Fault(explained(Verdict::wrong("syntax_error"), report, &outcome.texts[0])),
        })
    }

    /// Makes the case that runs it, without input and output.
    pub(crate) fn case(&self, job: &Job) -> Result<Case, String> {
        let command = |language: &Language, file: &str, mode: u32| {
            Case::new("command", job.bounds)
                .set("argv", json!(words(&language.run, language)))
                .set("env", json!(language.env))
                .set("files", json!([[file, mode]]))
        };
        match self {
            Self::Python => Case::new("python", job.bounds).give_text("program", job.program.as_bytes()),
            Self::Script(language) => {
                let source = source_name(language);
                command(language, &source, 0o644).give_text(format!("file:{source}"), job.program.as_bytes())
            }
            Self::Binary(language, binary) => {
                let binary = binary.try_clone().map_err(|error| error.to_string())?;
                Ok(command(language, BINARY, 0o755).give(format!("file:{BINARY}"), binary))
            }
        }
    }
}

fn source_name(language: &Language) -> String {
    format!("main.{}", language.extension)
}

/// A command with the names of the two files put in; `{box}` is the work dir, which the sandbox knows.
fn words(command: &[String], language: &Language) -> Vec<String> {
    let source = format!("{{box}}/{}", source_name(language));
    let binary = format!("{{box}}/{BINARY}");
    command.iter().map(|word| word.replace("{source}", &source).replace("{exe}", &binary)).collect()
}

/// Compilers are large; what they make may be larger than what the program may write.
fn bounds_of_compiler(bounds: &Bounds, compile_s: f64) -> Bounds {
    Bounds {
        wall_s: 2.0 * compile_s,
        cpu_s: compile_s,
        memory_mb: bounds.memory_mb.max(1024),
        pids: bounds.pids.max(64),
        file_mb: bounds.file_mb.max(128),
        disk_mb: bounds.disk_mb.max(256),
        ..*bounds
    }
}
