//! How long a verdict on a program takes, and how many there are a second.
//!
//! ```text
//! cargo bench -p rlvr-verifiers --bench code
//! ```
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints")]

use std::process::{Command, Stdio};
use std::time::Instant;

use rlvr_verifiers::code::{Code, CodeOptions};
use rlvr_verifiers::{Attempt, Task, Verifier};
use serde_json::{Value, json};

const N: usize = 300;

fn main() {
    let code = match Code::new(CodeOptions::default()) {
        Ok(code) => code,
        Err(why) => return println!("no sandbox here: {why}"),
    };
    println!("layers: {}", code.layers().join(", "));
    let stdin = json!({"tests": {"type": "stdin", "input": "2 3\n", "expected": "5\n"}});
    let calls = json!({"tests": {"type": "asserts", "code": "assert add(2, 3) == 5\nassert add(-1, 1) == 0"}});
    let split = json!({"tests": {"type": "asserts", "code": "x = add(2, 3)\nassert x == 5\nassert add(-1, 1) == 0"}});
    let add = "def add(a, b):\n    return a + b\n";
    measure(&code, "stdin", stdin, "a, b = map(int, input().split())\nprint(a + b)\n");
    measure(&code, "calls", calls, add);
    measure(&code, "asserts, split", split, add);
    println!("{:?}", code.interventions());
    plain_start();
}

fn measure(code: &Code, name: &str, spec: Value, program: &str) {
    let task = Task::new("t", "?", "code").with_spec(spec);
    let attempt = Attempt { task: &task, completion: program, finished: true };
    assert_eq!(code.verify(attempt).score(), Some(1.0), "{:?}", code.verify(attempt));
    let times: Vec<f64> = (0..N)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(code.verify(attempt).score(), Some(1.0));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let start = Instant::now();
    let verdicts = code.verify_batch(&vec![attempt; N]);
    let per_s = N as f64 / start.elapsed().as_secs_f64();
    assert!(verdicts.iter().all(|verdict| verdict.score() == Some(1.0)));
    tell(name, times, per_s);
}

/// What a sandbox and an interpreter cost that are started for each case.
fn plain_start() {
    // Not a shim, which would be started too.
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let Ok(asked) = asked else { return };
    let python = String::from_utf8(asked.stdout).unwrap();
    let start = || {
        let walls = "--unshare-all --die-with-parent --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp";
        let program = [python.trim(), "-I", "-S", "-c", "print(5)"];
        let mut command = Command::new("bwrap");
        command.args(walls.split(' ')).args(program).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    if start().is_err() {
        return println!("no bwrap here to compare with");
    }
    let times: Vec<f64> = (0..N / 3)
        .map(|_| {
            let began = Instant::now();
            assert!(start().unwrap().success());
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| (0..N / 6).for_each(|_| assert!(start().unwrap().success())));
        }
    });
    let n = N / 6 * std::thread::available_parallelism().map_or(1, usize::from);
    tell("bwrap python3", times, n as f64 / began.elapsed().as_secs_f64());
}

fn tell(name: &str, mut times: Vec<f64>, per_s: f64) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{name:16} p50 {:6.1} ms  p99 {:6.1} ms  {per_s:6.0}/s", at(0.5), at(0.99));
}
