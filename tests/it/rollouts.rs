//! Rollouts in a terminal, and runs in a browser.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{command, is_refused, succeeds, text, tiny_config};

/// A line of a rollout file; `reward` is none where it could not be judged.
fn line(group: u32, sample: u32, reward: Option<f64>, completion: &str) -> String {
    let verdict = match reward {
        Some(reward) => {
            json!({"outcome": "judged", "score": reward, "finding": if reward == 1.0 { "correct" } else { "wrong_value" }})
        }
        None => json!({"outcome": "unjudged", "why": "the reference is no number"}),
    };
    let line = json!({
        "step": 2, "task_id": format!("sums-{group}"), "source": "sums", "group": group, "sample": sample,
        "prompt": format!("1+{group}="), "reference": format!("{}", group + 1), "completion": completion, "n_tokens": 3,
        "stop": "eos", "verdicts": {"math": verdict}, "reward": reward, "outcome": reward,
        "advantage": reward.map(|reward| reward - 0.5), "logp_mean": "NaN",
    });
    format!("{line}\n")
}

/// A run folder with rollouts of a step.
fn run(lines: &[String]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("rollouts")).expect("a writable folder");
    let torn = "{\"step\":2,\"compl";
    fs::write(folder.path().join("rollouts/step_000002.jsonl"), lines.concat() + torn).expect("a writable folder");
    folder
}

#[test]
fn rollouts_are_listed_a_line_each_and_escapes_are_shown() {
    let run = run(&[line(0, 0, Some(1.0), "1"), line(0, 1, Some(0.0), "\u{1b}[2J\u{202e}9\n"), line(1, 0, None, "2")]);
    let listed = succeeds(&["rollouts", text(run.path())]).stdout;
    let expected = [
        "  step group sample  reward advantage tokens stop   finding        completion, its end",
        "     2     0      0   1.000     0.500      3 eos    correct        1",
        r"     2     0      1   0.000    -0.500      3 eos    wrong_value    \u{1b}[2J\u{202e}9⏎",
        "     2     1      0       –         –      3 eos    unjudged       2",
    ];
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
    let worst = succeeds(&["rollouts", text(run.path()), "--worst", "--step", "2"]).stdout;
    assert_eq!(worst.lines().collect::<Vec<_>>(), [expected[0], expected[2], expected[1], expected[3]]);
}

#[test]
fn a_group_is_shown_in_full_the_best_first() {
    let run = run(&[
        line(4, 0, Some(0.0), "7"),
        line(4, 1, None, "?"),
        line(4, 2, Some(1.0), "it is\n5"),
        line(5, 0, None, "x"),
    ]);
    let expected = "step 2, group 4, task sums-4: 1 of 3 right\n\nprompt:\n1+4=\n\nreference: 5\n\n\
        ── sample 2: reward 1.000, advantage 0.500, correct, 3 tokens, eos\nit is\n5\n\n\
        ── sample 0: reward 0.000, advantage -0.500, wrong_value, 3 tokens, eos\n7\n\n\
        ── sample 1: reward –, advantage –, unjudged, 3 tokens, eos\n?\n";
    for id in ["4", "sums-4"] {
        assert_eq!(succeeds(&["rollouts", text(run.path()), "--group", id]).stdout, expected);
    }
}

#[test]
fn rollouts_that_are_not_there_are_named() {
    let run = run(&[line(0, 0, None, "x")]);
    is_refused(&["rollouts", text(run.path()), "--step", "7"], 1, &["no rollouts of step 7; steps 2 to 2 have some"]);
    is_refused(
        &["rollouts", text(run.path()), "--group", "9"],
        1,
        &["no group and no task `9`; its groups are 0 to 0"],
    );
    is_refused(&["rollouts", "/no/such/run"], 1, &["there is no such folder", "runs/NAME"]);
    is_refused(&["rollouts"], 2, &["RUN"]);
    fs::write(run.path().join("rollouts/step_000003.jsonl"), "[]\nno\n").expect("a writable folder");
    is_refused(&["rollouts", text(run.path())], 1, &["step_000003.jsonl`, line 1", "changed by hand"]);
}

#[test]
fn whoever_reads_a_part_has_seen_enough() {
    let lines: Vec<String> =
        (0..20_000).map(|sample| line(0, sample, Some(1.0), "a completion of some length")).collect();
    let run = run(&lines);
    let mut child = command(&["rollouts", text(run.path())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    let output = child.wait_with_output().expect("the binary ends");
    assert!(first.starts_with("  step group"), "{first}");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

/// A dashboard that ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a dashboard over a run and returns the host it is at.
fn serve(run: &Path) -> (Served, String) {
    let mut child = command(&["dashboard", "--port", "0", text(run)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let served = Served(child);
    let host = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).expect("an address");
    (served, host.to_owned())
}

/// What a dashboard answers to a path, as JSON.
fn ask(host: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it answers");
    let body = reply.split_once("\r\n\r\n").expect("a head and a body").1;
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {reply}"))
}

#[test]
fn a_dashboard_shows_what_a_run_has_written() {
    let work = TempDir::new().expect("a temporary folder");
    let out = work.path().join("run");
    succeeds(&["train", text(&tiny_config(work.path(), "")), "--out", text(&out)]);
    let (_served, host) = serve(&out);
    let ready = |pulse: &Value| pulse[0]["rollouts"]["n"] == 64;
    let pulse = (0..200)
        .map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            ask(&host, "/api/pulse")
        })
        .find(ready)
        .expect("4 steps of 4 groups of 4 rollouts are indexed within 10 s");
    assert_eq!((&pulse[0]["last_step"], &pulse[0]["n_damaged"]), (&json!(4.0), &json!(0)));
    let reward = ask(&host, "/api/runs/0/series?x=compute/rollouts&name=reward/mean");
    assert_eq!(reward["reward/mean"]["x"], json!([16.0, 32.0, 48.0, 64.0]));
    let page = ask(&host, "/api/runs/0/rollouts?order=oldest&limit=3");
    assert_eq!(
        (&page["total"], &page["rollouts"][0]["step"], &page["rollouts"][2]["sample"]),
        (&json!(64), &json!(1), &json!(2))
    );
    assert_eq!(ask(&host, "/api/runs/0/group?step=2&group=1")["n"], 4);
    assert_eq!(ask(&host, "/api/scaling?runs=0")["series"][0]["points"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_folder_without_a_run_is_named() {
    let work = TempDir::new().expect("a temporary folder");
    is_refused(&["dashboard", text(work.path())], 1, &["is not a run folder and holds none"]);
    is_refused(&["dashboard"], 2, &["RUN"]);
}
