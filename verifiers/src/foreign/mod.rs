//! Judges that live elsewhere: in a program, behind an address, or in a Python function that was written for another
//! trainer.
//!
//! | name | judge | module |
//! |---|---|---|
//! | `process:COMMAND` | a program that speaks JSON lines on stdin and stdout | [`process`] |
//! | `http:URL` or the URL | a server that takes a POST | [`http`] |
//! | `trl:FILE.py:FUNCTION` | a reward function with TRL's signature | [`python`] |
//! | `verl:FILE.py:FUNCTION` | a `compute_score` with verl's signature | [`python`] |
//!
//! What one cannot trust to stop runs in a process that can be killed: a [`pool`] of workers shares the attempts, each
//! worker with a limit for each attempt. A judge that fails leaves attempts unjudged, and only those that it failed on:
//! what was in its hands with others is tried again alone.
//!
//! The programs are the user's own, and run with the user's rights. Only their answers are distrusted: [`protocol`]
//! reads them within bounds.

mod judge;
mod launch;
mod queue;
mod worker;

pub mod http;
pub mod options;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod python;

pub use http::HttpJudge;
pub use judge::WorkerJudge;

use std::path::Path;

use crate::registry::Registry;
use crate::verifier::Verifier;

/// Adds the schemes `process`, `http`, `https`, `trl` and `verl`.
pub fn register(registry: &mut Registry) {
    registry.add_scheme("process", |command, table| boxed(process::new(command, options::read(table)?)));
    for scheme in ["http", "https"] {
        registry.add_scheme(scheme, move |rest, table| {
            boxed(http::new(&format!("{scheme}:{rest}"), options::read(table)?))
        });
    }
    registry.add_scheme("trl", |place, table| boxed(python::trl(place, options::read(table)?)));
    registry.add_scheme("verl", |place, table| boxed(python::verl(place, options::read(table)?)));
}

/// Makes the file of a `trl:` or `verl:` name absolute, so that the name holds from anywhere; other names stay.
///
/// A relative path starts at `folder`, or at the current folder where only that has such a file.
///
/// # Examples
///
/// ```
/// use std::path::Path;
/// use rlvr_verifiers::foreign::located;
///
/// assert_eq!(located("trl:rewards.py:brevity", Path::new("/configs")), "trl:/configs/rewards.py:brevity");
/// assert_eq!(located("math", Path::new("/configs")), "math");
/// ```
pub fn located(name: &str, folder: &Path) -> String {
    let Some((scheme @ ("trl" | "verl"), place)) = name.split_once(':') else { return name.to_owned() };
    let is_here = |path: &Path| !folder.join(path).is_file() && path.is_file();
    let found = if is_here(python::file_of(place)) { std::env::current_dir().ok() } else { Some(folder.to_owned()) };
    match found {
        Some(folder) => format!("{scheme}:{}", folder.join(place).display()),
        None => name.to_owned(),
    }
}

fn boxed(judge: Result<impl Verifier + 'static, String>) -> Result<Box<dyn Verifier>, String> {
    judge.map(|judge| Box::new(judge) as Box<dyn Verifier>)
}
