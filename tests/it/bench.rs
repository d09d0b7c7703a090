//! `rlvr bench` measures what it says, and `--trace` writes spans that lie within each other.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{is_refused, succeeds, text, tiny_config};
use crate::golden::fixture;

/// Measures `what` on a small load and returns the report.
#[track_caller]
fn bench(what: &[&str], more: &[&str]) -> Value {
    let load = ["--prompts", "2", "--group-size", "3", "--new-tokens", "5", "--repeat", "2", "--threads", "1"];
    let finished = succeeds(&[&["bench"], what, &load, more].concat());
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

fn number(value: &Value, path: &str) -> f64 {
    let found = value.pointer(&format!("/{path}"));
    found.and_then(Value::as_f64).unwrap_or_else(|| panic!("`{path}` is not a number in {value:#}"))
}

/// The numbers at `paths` are above 0 and at most `most`.
#[track_caller]
fn assert_within(value: &Value, most: f64, paths: &[&str]) {
    for path in paths {
        let found = number(value, path);
        assert!(found > 0.0 && found <= most, "`{path}` is {found}");
    }
}

#[test]
fn everything_is_measured_on_a_preset() {
    let report = bench(&[], &["--preset", "tiny", "--prompt-tokens", "7"]);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["machine"]["threads"], 1);
    assert_within(&report, 1e15, &["machine/matmul_flops_per_s", "machine/memory_bytes_per_s"]);

    let all = 2 * 3 * 5;
    assert_eq!(number(&report, "decode/n_tokens") as usize, all);
    assert_eq!(number(&report, "step/n_tokens") as usize, all);
    assert_eq!(number(&report, "train/n_tokens") as usize, all + 2 * 7);
    assert_eq!(number(&report, "prefill/n_tokens") as usize, 2 * 7);
    assert_within(&report, 1.3, &["decode/share_of_matmul_peak", "decode/share_of_matmul_limit"]);
    assert_within(&report, 1.3, &["decode/share_of_memory_bandwidth", "train/share_of_matmul_peak"]);
    assert_within(&report, 1.3, &["prefill/share_of_matmul_peak"]);
    for part in ["prefill", "decode", "train", "step"] {
        let rate = number(&report, &format!("{part}/tokens_per_s"));
        assert!(rate > 0.0 && number(&report, &format!("{part}/spread")) >= 0.0, "{part}");
        assert_eq!(report[part]["rounds_s"].as_array().map(Vec::len), Some(2), "{part}");
    }
    assert_eq!(report["verify"].as_object().map(serde_json::Map::len), Some(22));
    assert_eq!(
        (&report["verify"]["math"]["judgements"], &report["verify"]["math"]["unjudged"]),
        (&2000.into(), &0.into())
    );
}

#[test]
fn a_step_is_split_into_phases() {
    let report = bench(&["step"], &["--preset", "tiny", "--recipe", "grpo"]);
    assert!(report.get("decode").is_none() && report.get("verify").is_none());
    let step = &report["step"];
    let phases = ["generate", "verify", "score", "update"].map(|phase| number(step, &format!("phases/{phase}/wall_s")));
    // Medians of two rounds are means, which add up.
    assert!((phases.iter().sum::<f64>() - number(step, "wall_s")).abs() < 1e-6, "{phases:?}");
    assert!(number(step, "rounds/0/mismatch_logp_mean") < 1e-5);
    assert!(number(step, "rounds/0/grad_norm") > 0.0);
    for span in ["step", "step/generate/decode/draw", "step/update/forward", "step/update/backward"] {
        assert!(step["spans"][span]["wall_s"].as_f64().is_some_and(|s| s > 0.0), "{span}: {:#}", step["spans"]);
    }
    assert_eq!(step["spans"]["step/generate/decode"]["n"], 4, "the first of five tokens comes of prefill");
}

#[test]
fn layers_computed_again_change_no_loss() {
    let of = |more: &[&str]| {
        let report = bench(&["step"], &[&["--preset", "tiny"], more].concat());
        let round = |i: usize| report["step"]["rounds"][i].clone();
        let losses = [0, 1].map(|i| (round(i)["loss"].clone(), round(i)["grad_norm"].clone()));
        (report["settings"]["checkpoint_activations"].clone(), losses)
    };
    let (kept, checkpointed) = (of(&[]), of(&["--checkpoint-activations"]));
    assert_eq!((kept.0, checkpointed.0), (false.into(), true.into()));
    assert_eq!(kept.1, checkpointed.1);
}

#[test]
fn the_prompts_of_tasks_are_rewarded() {
    let model = fixture("qwen3");
    let more = ["--model", text(&model), "--tasks", "arithmetic:n=2", "--lengths", "natural", "--recipe", "dr_grpo"];
    let report = bench(&["decode", "step"], &more);
    assert_eq!(report["prompts"]["of_tasks"], true);
    assert!(number(&report, "prompts/tokens_mean") > 5.0);
    assert!(number(&report, "step/rounds/0/reward_mean") >= 0.0);
    assert!(report["step"]["phases"]["score"].is_null(), "no divergence, no reference policy");
    assert!(number(&report, "decode/n_tokens") <= 30.0);
}

#[test]
fn geometric_lengths_are_compared_with_equal_ones() {
    let report = bench(&["decode"], &["--preset", "tiny", "--lengths", "geometric", "--rows", "2"]);
    assert!(number(&report, "decode/longest") <= 40.0);
    assert_within(&report, 1e9, &["decode/equal_lengths/ratio", "decode/equal_lengths/tokens_per_s"]);
    assert_within(&report, 1.3, &["decode/share_of_matmul_limit"]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let check = |args: &[&str], code: i32, words: &[&str]| {
        is_refused(&[&["bench", "decode"], args].concat(), code, words);
    };
    let tiny = |more: &[&'static str]| [&["--preset", "tiny"], more].concat();
    check(&[], 2, &["--model", "--preset"]);
    check(&["--model", "nowhere"], 1, &["nowhere"]);
    check(&tiny(&["--rows", "0"]), 2, &["--rows is 0", "at least 1"]);
    check(&tiny(&["--rows", "65"]), 2, &["64 completions", "raise"]);
    check(&tiny(&["--new-tokens", "4000"]), 2, &["context of 1024", "lower --prompt-tokens or --new-tokens"]);
    check(&tiny(&["--lengths", "long"]), 2, &["geometric"]);
    check(&tiny(&["--recipe", "ppo"]), 2, &["grpo"]);
    check(&tiny(&["--tasks", "nothing"]), 2, &["neither a file nor a generator"]);
    check(&tiny(&["--tasks", "sorting", "--prompt-tokens", "3"]), 2, &["cannot be used with"]);
    check(&tiny(&["--tasks", "arithmetic:n=3"]), 2, &["only 3 tasks", "lower it"]);
    check(&tiny(&["--trace", "nowhere/trace.json"]), 1, &["nowhere/trace.json", "a folder that exists"]);
    is_refused(&["bench", "everything", "--preset", "tiny"], 2, &["decode"]);
}

/// An event of a trace: its name and thread, and when it began and ended, in microseconds.
struct Event {
    name: String,
    thread: Value,
    start: f64,
    end: f64,
}

fn events(path: &Path) -> Vec<Event> {
    let text = fs::read_to_string(path).expect("a trace");
    let events: Vec<Value> = serde_json::from_str(&text).expect("an array of events");
    let read = |event: &Value| {
        assert_eq!((&event["ph"], &event["pid"]), (&"X".into(), &1.into()), "{event}");
        let start = number(event, "ts");
        let name = event["name"].as_str().expect("a name").to_owned();
        Event { name, thread: event["tid"].clone(), start, end: start + number(event, "dur") }
    };
    events.iter().map(read).collect()
}

impl Event {
    fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

#[test]
fn the_phases_of_a_run_lie_within_each_other() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let (out, trace) = (work.path().join("run"), work.path().join("trace.json"));
    succeeds(&["train", text(&config), "--out", text(&out), "--trace", text(&trace)]);
    let events = events(&trace);
    let named = |name: &str| events.iter().filter(|event| event.name == name).collect::<Vec<_>>();
    for (name, n) in [("step", 4), ("warm_start", 80), ("collect", 4), ("evaluate", 3), ("checkpoint", 3)] {
        assert_eq!(named(name).len(), n, "{name}");
    }
    for (outer, inner) in [
        ("step", "collect"),
        ("collect", "verify"),
        ("step", "advantage"),
        ("step", "update"),
        ("update", "forward"),
        ("update", "loss"),
        ("update", "backward"),
        ("update", "optimizer"),
        ("generate", "prefill"),
        ("generate", "decode"),
        ("generate", "draw"),
    ] {
        let (around, within) = (named(outer), named(inner));
        let n_within = around.iter().filter(|event| within.iter().any(|one| event.contains(one))).count();
        assert!(n_within > 0 && n_within == around.len(), "{inner} in {n_within} of {} {outer}", around.len());
    }
    assert!(named("verify").iter().all(|event| event.thread != named("step")[0].thread), "sampling does not wait");
    let meet = |a: &Event, b: &Event| a.thread == b.thread && a.start < b.end && b.start < a.end;
    let overlap = |a: &Event, b: &Event| meet(a, b) && !a.contains(b) && !b.contains(a);
    assert!(!events.iter().any(|a| events.iter().any(|b| overlap(a, b))), "spans of one thread nest");
}

#[test]
fn a_trace_that_cannot_be_written_stops_a_run_before_it_starts() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let out = work.path().join("run");
    let args = ["train", text(&config), "--out", text(&out), "--trace", "nowhere/trace.json"];
    is_refused(&args, 1, &["nowhere/trace.json", "a folder that exists"]);
    assert!(!out.exists());
}
