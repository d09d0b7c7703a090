//! Runs a folder of hostile programs, and the answers to HumanEval and four ways to fake them, against the verifier
//! `code`, and looks at the host afterwards.
//!
//! ```text
//! cargo run --release -p rlvr-verifiers --example code_battery -- DIR [--only ID] [--set TOML]
//! ```
//!
//! `DIR` holds `code_battery.jsonl` and `humaneval_selftest.jsonl`, a case a line: `program`, `tests`, `limits`,
//! `expected` and `also_ok`. It exits with 1 if an outcome is not acceptable or the host is not as it was. Run it where
//! the host may be lost, until it has passed once.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people; a broken case file is a bug")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rlvr_verifiers::code::{Code, CodeOptions};
use rlvr_verifiers::{Attempt, Task, Verdict, Verifier};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|i| arguments.get(i + 1));
    let folder = arguments.first().expect("a folder of cases");
    // The programs look for it in the environments that they can see.
    if std::env::var_os("BATTERY_SECRET_TOKEN").is_none() {
        let me = std::env::current_exe().unwrap();
        let status = std::process::Command::new(me).args(&arguments).env("BATTERY_SECRET_TOKEN", "s3cret").status();
        return ExitCode::from(u8::from(!status.unwrap().success()));
    }
    let options: CodeOptions = toml::from_str(after("--set").map_or("", |s| s)).unwrap();
    let host = Host::watch();
    let code = Code::new(options).unwrap_or_else(|why| panic!("{why}"));
    println!("layers: {}", code.layers().join(", "));

    let mut faults = run_battery(&code, Path::new(folder), after("--only").map(String::as_str), &host);
    if after("--only").is_none() {
        faults += run_human_eval(&code, Path::new(folder));
    }
    println!("{:?}", code.interventions());
    drop(code);
    faults += host.damage();
    println!("{}", if faults == 0 { "all gates hold".to_owned() } else { format!("{faults} faults") });
    ExitCode::from(u8::from(faults > 0))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `input_parts` and `expected_parts` are texts in short: each with a number of times.
fn expanded(tests: &Value) -> Value {
    let mut tests = tests.clone();
    let object = tests.as_object_mut().unwrap();
    for name in ["input", "expected"] {
        object.remove(&format!("{name}_gen"));
        if let Some(parts) = object.remove(&format!("{name}_parts")) {
            let whole: String = parts.as_array().unwrap().iter().map(repeated).collect();
            object.insert(name.to_owned(), json!(whole));
        }
    }
    if let Some(cases) = object.get_mut("cases") {
        *cases = cases.as_array().unwrap().iter().map(expanded).collect();
    }
    tests
}

fn repeated(part: &Value) -> String {
    part[0].as_str().unwrap().repeat(part[1].as_u64().unwrap() as usize)
}

/// The verdict words of the case files.
fn word(verdict: &Verdict) -> &str {
    match verdict.finding() {
        "correct" => "pass",
        "timeout" | "oom" | "sandbox_violation" | "unjudged" => verdict.finding(),
        _ => "fail",
    }
}

fn run_battery(code: &Code, folder: &Path, only: Option<&str>, host: &Host) -> usize {
    let (mut n, mut exact, mut faults) = (0, 0, 0);
    let mut by_category: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let start = Instant::now();
    for case in lines(&folder.join("code_battery.jsonl")) {
        let id = case["id"].as_str().unwrap();
        if only.is_some_and(|only| only != id) {
            continue;
        }
        let mut limits = json!({"wall_s": 10, "memory_mb": 512, "pids": 64, "output_mb": 4});
        limits.as_object_mut().unwrap().extend(case["limits"].as_object().cloned().unwrap_or_default());
        let spec = json!({"language": case["language"], "tests": expanded(&case["tests"]), "limits": limits});
        let n_cases = spec["tests"]["cases"].as_array().map_or(1, Vec::len);
        let task = Task::new(id, "?", "code").with_spec(spec);
        let program = case["program"].as_str().unwrap();
        let began = Instant::now();
        let verdict = code.verify(Attempt { task: &task, completion: program, finished: true });
        let took_s = began.elapsed().as_secs_f64();
        let found = word(&verdict);
        let expected = case["expected"].as_str().unwrap();
        let also: BTreeSet<&str> = case["also_ok"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let late = took_s > limits["wall_s"].as_f64().unwrap() * n_cases as f64 + 2.0;
        let acceptable = (found == expected || also.contains(found)) && !late && host.has_no_visitor();
        n += 1;
        exact += usize::from(found == expected);
        faults += usize::from(!acceptable);
        let tally = by_category.entry(case["cat"].as_str().unwrap().to_owned()).or_default();
        tally.0 += 1;
        tally.1 += usize::from(acceptable);
        if !acceptable || found != expected || only.is_some() {
            let mark = if acceptable { "other" } else { "WRONG" };
            println!("{mark} {id}: {found} for {expected} in {took_s:.2} s: {}\n    {verdict:?}", case["why"]);
        }
    }
    for (category, (n, acceptable)) in by_category {
        println!("  {category:6} {acceptable}/{n}");
    }
    println!("battery: {n} cases, {} acceptable, {exact} exact, {:.1} s", n - faults, start.elapsed().as_secs_f64());
    faults
}

/// The canonical programs must pass, and no fake may.
fn run_human_eval(code: &Code, folder: &Path) -> usize {
    let always = "class E:\n    def __eq__(s,o): return True\n    def __ne__(s,o): return False\n    \
                  def __bool__(s): return True\n    def __sub__(s,o): return 0\n    def __rsub__(s,o): return 0\n    \
                  def __abs__(s): return 0\n    def __lt__(s,o): return True\n    def __le__(s,o): return True\n    \
                  def __hash__(s): return 0\n    def __len__(s): return 0\n    def __contains__(s,o): return True\n";
    let fakes: [(&str, Fake<'_>, usize); 6] = [
        ("canonical", None, 164),
        ("always equal", Some((always, "return E()")), 0),
        ("sys.exit(0)", Some(("import sys\n", "sys.exit(0)")), 0),
        ("os._exit(0)", Some(("import os\n", "os._exit(0)")), 0),
        ("return None", Some(("", "return None")), 0),
        ("os._exit(42)", Some(("import os\nos._exit(42)\n", "return None")), 0),
    ];
    let rows = lines(&folder.join("humaneval_selftest.jsonl"));
    let mut faults = 0;
    for (name, fake, wanted) in fakes {
        let start = Instant::now();
        let tasks: Vec<(Task, String)> = rows.iter().map(|row| human_eval_attempt(row, fake)).collect();
        let attempts: Vec<Attempt<'_>> =
            tasks.iter().map(|(task, completion)| Attempt { task, completion, finished: true }).collect();
        let verdicts = code.verify_batch(&attempts);
        let passed = verdicts.iter().filter(|verdict| verdict.score() == Some(1.0)).count();
        let unjudged = verdicts.iter().filter(|verdict| verdict.score().is_none()).count();
        let wanted = if wanted == 0 { 0 } else { rows.len() };
        let s = start.elapsed().as_secs_f64();
        println!("HumanEval {name:13} {passed:3}/{} pass, {unjudged} unjudged, {s:.1} s", rows.len());
        for ((task, _), verdict) in tasks.iter().zip(&verdicts) {
            if verdict.score() != Some(f32::from(u8::from(wanted > 0))) {
                println!("    {}: {verdict:?}", task.id);
            }
        }
        faults += usize::from(passed != wanted || unjudged > 0);
    }
    faults
}

/// What stands before the program, and what replaces the function's body; none for the program as it is.
type Fake<'a> = Option<(&'a str, &'a str)>;

fn human_eval_attempt(row: &Value, fake: Fake<'_>) -> (Task, String) {
    let spec = json!({"language": "python", "tests": row["tests"], "entry_point": row["entry_point"]});
    let task = Task::new(row["id"].as_str().unwrap(), "?", "code").with_spec(spec);
    let canonical = row["program"].as_str().unwrap();
    let program = match fake {
        None => canonical.to_owned(),
        Some((before, body)) => {
            let entry = row["entry_point"].as_str().unwrap();
            format!("{before}{canonical}\ndef {entry}(*arguments):\n    {body}\n")
        }
    };
    (task, program)
}

/// What of the host must stay as it is.
struct Host {
    tcp: TcpListener,
    socket: UnixListener,
    processes: BTreeSet<String>,
    resident_kb: u64,
    system: Vec<(String, Option<u64>)>,
}

const PLACES: [&str; 9] = ["/tmp", "/var/tmp", "/dev/shm", "/home", "/root", "/usr/lib", "/etc", "/opt", "/"];

impl Host {
    fn watch() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:8265").unwrap();
        let address = SocketAddr::from_abstract_name("verifier_battery_abstract").unwrap();
        let socket = UnixListener::bind_addr(&address).unwrap();
        tcp.set_nonblocking(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { tcp, socket, processes: processes(), resident_kb: resident_kb(), system: system() }
    }

    fn has_no_visitor(&self) -> bool {
        self.tcp.accept().is_err() && self.socket.accept().is_err()
    }

    fn damage(&self) -> usize {
        let mut faults = vec![];
        for place in PLACES {
            if Path::new(place).join("VERIFIER_ESCAPE_MARKER").exists() {
                faults.push(format!("an escape marker in {place}"));
            }
        }
        let left = || -> Vec<String> { processes().difference(&self.processes).cloned().collect() };
        // What has ended is ours no longer, but it is for init to take it in, which may take its time.
        let end = Instant::now() + Duration::from_secs(5);
        while !left().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        let left = left();
        faults.extend(left.iter().map(|left| format!("a process is left: {left}")));
        let grown_mb = resident_kb().saturating_sub(self.resident_kb) / 1024;
        println!("the judge grew by {grown_mb} MB");
        if grown_mb > 100 {
            faults.push("the judge grew by more than 100 MB".to_owned());
        }
        if system() != self.system {
            faults.push("a system file has changed".to_owned());
        }
        for fault in &faults {
            println!("HOST {fault}");
        }
        faults.len()
    }
}

/// Processes that could be ours: interpreters and sandboxes, whoever owns them.
fn processes() -> BTreeSet<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_string_lossy().parse::<u32>().ok()?;
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let is_ours = ["python", "bwrap", "sh", "sleep"].iter().any(|name| command.starts_with(name));
        let status = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (is_ours && (status.contains("fork server") || command.starts_with("bwrap")))
            .then(|| format!("{pid} {}", command.trim()))
    });
    all.collect()
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn system() -> Vec<(String, Option<u64>)> {
    ["/usr/bin/python3", "/etc/passwd", "/etc/shadow", "/bin/sh", "/usr/bin/env"]
        .iter()
        .map(|path| ((*path).to_owned(), std::fs::metadata(path).ok().map(|file| file.len())))
        .collect()
}
