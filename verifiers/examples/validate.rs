//! Checks that the tasks of a file accept their own references.
//!
//! ```text
//! cargo run --release -p rlvr-verifiers --example validate -- FORMAT FILE
//! ```
//!
//! `FORMAT` is `tasks`, `gsm8k`, `humaneval` or `mbpp`. It lists the tasks that cannot be used and exits with 1 if there
//! are any.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use rlvr_verifiers::dataset::{TaskSource, load};
use rlvr_verifiers::generators::Split;
use rlvr_verifiers::{Panel, Registry};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, file] = arguments.as_slice() else { panic!("give a format and a file") };
    let source: TaskSource = toml::from_str(&format!("format = '{format}'\npath = '{file}'")).unwrap();
    let tasks = load(&source, Path::new("."), Split::Train).unwrap_or_else(|error| panic!("{error}"));
    let n = tasks.len();
    let panel = Panel::new(&Registry::default(), &BTreeMap::new(), &tasks).unwrap_or_else(|error| panic!("{error}"));
    let start = Instant::now();
    let (sound, faults) = panel.validate(tasks);
    for fault in &faults {
        println!("{fault}");
    }
    println!("{} of {n} tasks are sound, {:.1} s", sound.len(), start.elapsed().as_secs_f64());
    ExitCode::from(u8::from(!faults.is_empty()))
}
