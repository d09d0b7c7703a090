//! Runs the binary as a user would.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The lines of stdout as JSON.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// `rlvr ARGS…`, not started.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rlvr"));
    command.args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs `rlvr ARGS…` to its end.
pub(crate) fn rlvr(args: &[&str]) -> Finished {
    finish(command(args))
}

/// Runs `rlvr ARGS…` with something to read on stdin.
pub(crate) fn rlvr_reading(args: &[&str], stdin: &str) -> Finished {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let input = stdin.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the binary ends");
    writer.join().expect("no panic").expect("all is read");
    finished(&output)
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Finished {
    finished(&command.output().expect("the binary starts"))
}

fn finished(output: &std::process::Output) -> Finished {
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `rlvr ARGS…`, which must end with 0.
#[track_caller]
pub(crate) fn succeeds(args: &[&str]) -> Finished {
    let finished = rlvr(args);
    assert_eq!(finished.code, Some(0), "rlvr {args:?}: {}", finished.stderr);
    finished
}

/// Runs `rlvr ARGS…`, which must end with `code`, say all of `words` on stderr and not panic.
#[track_caller]
pub(crate) fn is_refused(args: &[&str], code: i32, words: &[&str]) -> Finished {
    let finished = rlvr(args);
    check_refusal(&finished, code, words);
    finished
}

/// Checks that a command ended with `code`, said all of `words` on stderr and did not panic.
#[track_caller]
pub(crate) fn check_refusal(finished: &Finished, code: i32, words: &[&str]) {
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "`{word}` is not in: {}", finished.stderr);
    }
}

/// A training configuration that takes a second, to which `extra` is appended.
pub(crate) fn tiny_config(folder: &Path, extra: &str) -> PathBuf {
    let path = folder.join("tiny.toml");
    fs::write(&path, format!("{TINY}\n{extra}")).expect("a writable folder");
    path
}

/// As `&str`, for arguments.
#[track_caller]
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of characters")
}

const TINY: &str = r#"
[run]
steps = 4
threads = 1

[policy]
preset = "tiny"

[policy.sizes]
hidden_size = 32
intermediate_size = 64
n_layers = 2
n_heads = 4
n_kv_heads = 2
max_positions = 64

[policy.tokenizer.characters]
list = "0123456789+-=()"

[[tasks]]
generator = "arithmetic"
n = 30
prompt_template = "{problem}="
params = { max_operand = 5 }

[warm_start]
steps = 80
examples_per_step = 32
lr = 1e-2

[rollouts]
prompts_per_step = 4
group_size = 4
max_new_tokens = 6

[optimizer]
lr = 1e-3

[eval]
every = 2
samples = 2
sampling = { temperature = 1.0 }

[[eval.tasks]]
generator = "arithmetic"
n = 10
prompt_template = "{problem}="
params = { max_operand = 5 }

[checkpoint]
every = 2
"#;
