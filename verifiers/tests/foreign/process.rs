//! `process:COMMAND`, with workers that do whatever can go wrong.

use std::path::Path;
use std::time::{Duration, Instant};

use rlvr_verifiers::{Attempt, Interventions, Task, conformance};

use super::{build, has_python, judge, said, write};

/// Does what the completion says. What it does not know it judges: right if it is the reference.
const WORKER: &str = r#"
import json, os, signal, sys, time
out = sys.stdout
last = "nobody"
print('{"ready": true}')
def answer(request, **more):
    print(json.dumps(dict(id=request["id"], **more)))
for line in sys.stdin:
    request = json.loads(line)
    text = request["completion"]
    if text == "crash":
        sys.stderr.write("Traceback: it all went wrong\n"); os._exit(3)
    elif text == "end": sys.exit(0)
    elif text == "kill": os.kill(os.getpid(), signal.SIGKILL)
    elif text == "hang": time.sleep(1000)
    elif text == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)
    elif text == "garbage": print("Loading weights: 100%")
    elif text == "no id": print('{"score": 1}')
    elif text == "wrong id": print('{"id": "somebody", "score": 1}')
    elif text == "huge": print(json.dumps({"id": request["id"], "score": 1, "detail": {"x": "y" * 3_000_000}}))
    elif text == "endless":
        while True: out.write("x" * 65536)
    elif text == "greet":
        while True: print('{"ready": true}')
    elif text == "echo":
        while True: print('{"id": "%s", "score": 1}' % last)
    elif text == "close": os.close(1); time.sleep(1000)
    elif text == "nan": print('{"id": "%s", "score": NaN}' % request["id"])
    elif text == "infinity": print('{"id": "%s", "score": 1e999}' % request["id"])
    elif text == "daemon":
        if os.fork() == 0:
            os.setsid(); time.sleep(5); os._exit(0)
        os._exit(4)
    elif text == "text": answer(request, score="1")
    elif text == "much": answer(request, score=2)
    elif text == "decline": answer(request, outcome="unjudged", why="no opinion")
    elif text == "twice": answer(request, score=1); answer(request, score=0)
    elif text == "chatty":
        for _ in range(2000): sys.stderr.write("x" * 50_000)
        answer(request, score=1)
    elif text == "blank": print(); answer(request, score=1)
    elif text == "slow": time.sleep(0.3); answer(request, score=0.5, finding="slow")
    else: answer(request, score=int(text == request["reference"])); last = request["id"]
"#;

fn worker(folder: &Path) -> String {
    format!("process:python3 {}", write(folder, "worker.py", WORKER).display())
}

/// What each completion must come to in any company: a verdict, or the beginning of why there is none.
const CASES: [(&str, &str); 24] = [
    ("right", "1 correct"),
    ("crash", "the worker ended (exit status: 3); its stderr ends in:\nTraceback: it all went wrong"),
    ("other", "0 wrong"),
    ("end", "the worker ended (exit status: 0)"),
    ("kill", "the worker ended (signal: 9 (SIGKILL))"),
    ("hang", "there was no answer within 1.2 s; a worker must flush its stdout"),
    ("right ", "0 wrong"),
    ("deaf", "there was no answer within 1.2 s"),
    ("garbage", "a reply is not JSON (expected value at line 1 column 1): `Loading weights: 100%`; stdout is for"),
    ("no id", "a reply has no `id`: `{\"score\": 1}`"),
    ("wrong id", "an answer has the `id` \"somebody\", which no request had"),
    ("huge", "a reply is longer than 1 MB; the option `max_reply_mb` allows more"),
    ("endless", "a reply is longer than 1 MB"),
    ("slow", "0.5 slow"),
    ("greet", "there was no answer within 1.2 s"),
    ("close", "the worker closed its stdout"),
    ("nan", "a reply is not JSON (expected value at line 1 column"),
    ("infinity", "a reply is not JSON (number out of range"),
    ("daemon", "the worker ended (exit status: 4)"),
    ("text", "`score` is `\"1\"`, not a number"),
    ("much", "the score 2 is outside 0 to 1; name the scale of the judge in the option `range = [lo, hi]`"),
    ("decline", "no opinion"),
    ("twice", "1 correct"),
    ("blank", "1 correct"),
];

#[test]
fn whatever_a_worker_does_costs_nobody_else() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = worker(folder.path());
    let task = Task::new("t", "?", "process").with_reference("right");
    for options in ["batch = 1\nworkers = 1", "batch = 8\nworkers = 3"] {
        let process = build(&name, &format!("{options}\ntimeout_s = 1.2\nready_s = 60")).unwrap();
        let completions = CASES.map(|(completion, _)| completion);
        let verdicts = judge(&*process, &task, &completions);
        for ((completion, expected), verdict) in CASES.iter().zip(&verdicts) {
            let found = said(verdict);
            assert!(found.starts_with(expected), "{options}: {completion}: {found}");
        }
        let Interventions { restarts, killed } = process.interventions();
        assert!(restarts >= 12 && killed >= 8, "{restarts} {killed}");
    }
}

#[test]
fn a_hundred_megabytes_on_stderr_are_let_go() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let process = build(&worker(folder.path()), "workers = 1").unwrap();
    let task = Task::new("t", "?", "process").with_reference("right");
    let found: Vec<String> = judge(&*process, &task, &["chatty", "crash", "right"]).iter().map(said).collect();
    assert_eq!([&*found[0], &*found[2]], ["1 correct", "1 correct"]);
    assert_eq!(found[1], "the worker ended (exit status: 3); its stderr ends in:\nTraceback: it all went wrong");
}

#[test]
fn a_worker_that_repeats_itself_gets_no_more_time() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let process = build(&worker(folder.path()), "workers = 1\nbatch = 1\ntimeout_s = 1.2\nready_s = 60").unwrap();
    let task = Task::new("t", "?", "process").with_reference("right");
    let found: Vec<String> = judge(&*process, &task, &["right", "echo", "other"]).iter().map(said).collect();
    assert!(found[1].starts_with("there was no answer within 1.2 s"), "{}", found[1]);
    assert_eq!([&*found[0], &*found[2]], ["1 correct", "0 wrong"]);
}

#[test]
fn texts_arrive_as_they_are() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = worker(folder.path());
    let process = build(&name, "workers = 2").unwrap();
    let long = "0123456789".repeat(100_000);
    for text in [&long, "a\nb\r\n\0\u{7f}\u{85}", "\u{2028}𝕏é½\u{feff}\u{202e}", "\\ud800 \" \\", ""] {
        let task = Task::new("t", "?", "process").with_reference(text);
        assert_eq!(said(&judge(&*process, &task, &[text])[0]), "1 correct", "{:?}", &text[..text.len().min(20)]);
        assert_eq!(said(&judge(&*process, &task, &["other"])[0]), "0 wrong");
    }
    assert_eq!(process.interventions(), Interventions::default());
}

#[test]
fn a_thousand_attempts_of_a_pool_keep_their_order() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let process = build(&worker(folder.path()), "workers = 2").unwrap();
    let tasks: Vec<Task> = (0..7).map(|i| Task::new(format!("t{i}"), "?", "p").with_reference(i.to_string())).collect();
    let texts: Vec<String> = (0..1000).map(|i| (i % 5).to_string()).collect();
    let attempts: Vec<Attempt<'_>> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| Attempt { task: &tasks[i % 7], completion: text, finished: true })
        .collect();
    let verdicts = process.verify_batch(&attempts);
    for (i, verdict) in verdicts.iter().enumerate() {
        assert_eq!(verdict.score(), Some(f32::from(u8::from(i % 5 == i % 7))), "{i}");
    }
}

#[test]
fn a_slow_attempt_holds_one_worker() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let process = build(&worker(folder.path()), "workers = 4").unwrap();
    let task = Task::new("t", "?", "process").with_reference("right");
    judge(&*process, &task, &["right"; 64]); // starts the workers
    let start = Instant::now();
    let verdicts = judge(&*process, &task, &["slow"; 16]);
    assert!(verdicts.iter().all(|verdict| said(verdict) == "0.5 slow"));
    assert!(start.elapsed() < Duration::from_millis(2400), "{:?}, against 4.8 s in a row", start.elapsed());
}

#[test]
fn a_broken_judge_is_given_up_soon() {
    if !has_python() {
        return;
    }
    let task = Task::new("t", "?", "process").with_reference("right");
    for (command, options, expected) in [
        ("sh -c 'echo no GPU >&2; exit 7'", "", "exit status: 7); its stderr ends in:\nno GPU"),
        ("sleep 1000", "timeout_s = 0.2", "there was no answer within 0.2 s"),
        ("cat", "", "a reply"),
    ] {
        let start = Instant::now();
        let process = build(&format!("process:{command}"), options).unwrap();
        let verdicts = judge(&*process, &task, &["right"; 500]);
        assert!(verdicts.iter().all(|verdict| said(verdict).contains(expected) || command == "cat"), "{verdicts:?}");
        assert!(verdicts.iter().all(|verdict| verdict.score().is_none()), "{command}");
        assert!(process.interventions().restarts <= 20, "{command}: {:?}", process.interventions());
        let again = judge(&*process, &task, &["right"; 500]);
        assert!(again.iter().all(|verdict| verdict.score().is_none()));
        assert!(start.elapsed() < Duration::from_secs(10), "{command}: {:?}", start.elapsed());
    }
}

#[test]
fn readiness_is_awaited() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = format!("import time; time.sleep(0.5){WORKER}");
    let path = write(folder.path(), "ready.py", &text);
    let name = format!("process:python3 {}", path.display());
    let task = Task::new("t", "?", "process").with_reference("right");
    let process = build(&name, "ready_s = 20\ntimeout_s = 0.4\nworkers = 1").unwrap();
    let verdicts = judge(&*process, &task, &["right", "hang", "right"]);
    assert!(said(&verdicts[1]).starts_with("there was no answer within 0.4 s"));
    assert_eq!([said(&verdicts[0]), said(&verdicts[2])], ["1 correct", "1 correct"]);
    let why = build(&name, "ready_s = 0.1").err().unwrap();
    assert!(why.ends_with("a worker did not start: it did not write `{\"ready\": true}` within 0.1 s"), "{why}");
}

#[test]
fn the_environment_is_what_the_options_say() {
    let judge_path = |options: &str| {
        let command = r#"process:sh -c 'read x; id=${x#*\"id\":\"}; id=${id%%\"*}; echo "{\"id\":\"$id\",\"score\":0,\"finding\":\"u${CARGO_PKG_NAME}\"}"'"#;
        let process = build(command, options).unwrap();
        said(&judge(&*process, &Task::new("t", "?", "p"), &["x"])[0])
    };
    assert_eq!(judge_path(""), "0 urlvr-verifiers");
    assert_eq!(judge_path("env = []"), "0 u");
    assert_eq!(judge_path("env = ['CARGO_PKG_NAME']"), "0 urlvr-verifiers");
}

#[test]
fn refusals() {
    #[track_caller]
    fn check(name: &str, options: &str, expected: &str) {
        let why = build(name, options).err().expect("it must be refused");
        assert_eq!(why, format!("verifier `{name}`: {expected}"));
    }
    check(
        "process:no-such-judge --fast",
        "",
        "`no-such-judge` cannot be started (No such file or directory (os error 2)): it is not in `PATH`; give a path, \
         and for pipes and variables use `sh -c '…'`",
    );
    check(
        "process:./no-such-judge",
        "",
        "`./no-such-judge` cannot be started (No such file or directory (os error 2)): there is no such file, or its \
         first line names an interpreter that there is not; a relative path starts at the current folder",
    );
    check("process:cat", "batch = 0", "`batch` is 0, but must be at least 1");
    check("process:cat", "timeout_s = 0", "`timeout_s` is 0, but must be more than 0 and at most a million seconds");
    check("process:cat", "reference_as = 'x'", "`reference_as` is `x`, but must contain `{reference}`");
}

#[test]
fn nothing_is_left_over() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("pids");
    let text = format!(
        "import os, subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n\
         open({:?}, 'a').write(f'{{os.getpid()}} {{child.pid}} ')\n{WORKER}",
        marker.display().to_string()
    );
    let path = write(folder.path(), "worker.py", &text);
    let process =
        build(&format!("process:python3 {}", path.display()), "workers = 2\ntimeout_s = 0.5\nready_s = 60").unwrap();
    let task = Task::new("t", "?", "process").with_reference("right");
    judge(&*process, &task, &["right", "crash", "hang", "right"]);
    let start = Instant::now();
    drop(process);
    assert!(start.elapsed() < Duration::from_secs(2));
    let pids = std::fs::read_to_string(marker).unwrap();
    assert!(pids.split_whitespace().count() >= 4);
    // A killed grandchild is reaped by the first process of the machine, in its own time.
    let deadline = Instant::now() + Duration::from_secs(5);
    let alive =
        |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while pids.split_whitespace().any(alive) {
        assert!(Instant::now() < deadline, "{pids}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_obeys_the_laws() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let process = build(&worker(folder.path()), "workers = 2\nreference_as = '{reference}'").unwrap();
    let tasks = [Task::new("1", "?", "p").with_reference("Paris"), Task::new("2", "?", "p").with_reference("7")];
    conformance::check(&*process, &tasks).unwrap();
}
