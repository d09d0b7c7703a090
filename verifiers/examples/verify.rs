//! Judges cases without libtorch, as `rlvr verify` does:
//!
//! ```bash
//! cargo run --release -p rlvr-verifiers --example verify -- [--verifier NAME] [--set NAME.KEY=VALUE]… < CASES > VERDICTS
//! ```

use std::process::ExitCode;

use rlvr_verifiers::Registry;
use rlvr_verifiers::cases::{CaseJudge, parse_options};

fn main() -> ExitCode {
    match judge() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(n_bad) => fail(&format!("{n_bad} lines are not cases; each has a verdict `unjudged` that says why"), 1),
        Err(error) => fail(&error.to_string(), 2),
    }
}

fn judge() -> Result<usize, Box<dyn std::error::Error>> {
    let (mut verifier, mut settings) = (None, vec![]);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("`{argument}` wants a value"));
        match argument.as_str() {
            "--verifier" => verifier = Some(value()?),
            "--set" => settings.push(value()?),
            _ => return Err(format!("`{argument}` is neither `--verifier` nor `--set`").into()),
        }
    }
    let mut judge = CaseJudge::new(Registry::default(), parse_options(&settings)?, verifier)?;
    Ok(judge.judge_all(std::io::stdin().lock(), std::io::stdout().lock())?)
}

#[expect(clippy::print_stderr, reason = "a program may tell people what went wrong")]
fn fail(text: &str, code: u8) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(code)
}
