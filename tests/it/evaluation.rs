//! Evaluations that are killed and go on, are compared, and are checked for what training has seen; sweeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{command, is_refused, succeeds, text, tiny_config};

/// A run of no steps but those of its warm start; its model is right now and then.
fn warm_run(work: &Path) -> PathBuf {
    let run = work.join("run");
    succeeds(&["sft", text(&tiny_config(work, "")), "--out", text(&run)]);
    run
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a result")).expect("JSON")
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_evaluation_that_was_killed_goes_on_to_the_same_result() {
    let work = TempDir::new().expect("a temporary folder");
    let model = warm_run(work.path()).join("checkpoints/step_000000");
    let arguments = |out: &Path| {
        let plain = format!(
            "eval --model {} --tasks arithmetic:n=40,level=2 --samples 4 --temperature 1 --max-new-tokens 6 --max-rows 4 \
             --threads 1 --think-budget 3 --think-extend 0,1 --answer-tokens 3 --think-closing = --think-extension + \
             --best-of exact --best-of noisy:t=0.9,f=0.2 --out {}",
            text(&model),
            text(out)
        );
        plain.split(' ').map(str::to_owned).collect::<Vec<String>>()
    };
    let run = |out: &Path| {
        let arguments = arguments(out);
        succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (straight, killed) = (work.path().join("straight.json"), work.path().join("killed.json"));
    run(&straight);
    let samples = killed.with_extension("samples.jsonl");
    let size = || fs::metadata(&samples).map_or(0, |data| data.len());
    let all = arguments(&killed);
    let mut child = command(&all.iter().map(String::as_str).collect::<Vec<_>>())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    wait_for("the first sample", || size() > 0);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    // However far it came, the file now ends in the middle of a line.
    let written = fs::read(&samples).expect("samples");
    fs::write(&samples, &written[..written.len() * 3 / 5]).expect("a writable file");
    run(&killed);
    for extension in ["json", "samples.jsonl", "problems.jsonl", "inference.csv"] {
        let (a, b) = (straight.with_extension(extension), killed.with_extension(extension));
        assert!(fs::read(&a).expect("a file") == fs::read(&b).expect("a file"), "{extension} differs");
    }
    // Nothing is sampled again where everything is there.
    let before = fs::metadata(&samples).expect("samples").modified().expect("a time");
    let times = fs::read_to_string(killed.with_extension("times.jsonl")).expect("times").lines().count();
    run(&killed);
    assert_eq!(fs::read_to_string(killed.with_extension("times.jsonl")).expect("times").lines().count(), times);
    assert!(fs::metadata(&samples).expect("samples").modified().expect("a time") >= before);

    let result = json(&straight);
    let set = &result["sets"]["arithmetic"];
    let value = |name: &str| set[name]["value"].as_f64().unwrap_or_else(|| panic!("{name}: {set}"));
    assert!(value("pass@4") >= value("pass@2") && value("pass@2") >= value("pass@1"));
    assert!((value("mean@4") - value("pass@1")).abs() < 1e-12);
    assert!((value("best_of@1:noisy:t=0.9,f=0.2") - value("pass@1")).abs() < 1e-12);
    assert_eq!(result["variants"].as_array().expect("variants").len(), 3);
    assert_eq!(result["equal_compute"].as_array().expect("budgets").len(), 2);
    assert_eq!(result["contamination"]["n_exact"], 0);
    let forced = result["inference"].as_array().expect("rungs").iter().find(|rung| rung["variant"] == "budget 3");
    assert!(forced.expect("a rung")["forced"].as_f64().expect("a share") > 0.0);

    let mut other = arguments(&killed);
    other.extend(["--seed".to_owned(), "1".to_owned()]);
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    is_refused(&other, 1, &["other settings (`seed`)", "--restart"]);
}

#[test]
fn a_checkpoint_brings_its_tasks_and_is_compared_with_another() {
    let work = TempDir::new().expect("a temporary folder");
    let model = warm_run(work.path()).join("checkpoints/step_000000");
    let (first, second) = (work.path().join("first.json"), work.path().join("second.json"));
    succeeds(&["eval", "--model", text(&model), "--out", text(&first)]);
    assert_eq!(json(&first)["sets"]["arithmetic"]["n_problems"], 10, "those of the run's config");
    assert_eq!(json(&first)["max_new_tokens"], 6);
    let problems = first.with_extension("problems.jsonl");
    let again = ["eval", "--model", text(&model), "--out", text(&second), "--compare", text(&problems)];
    let said = succeeds(&[again.as_slice(), &["--samples", "2", "--temperature", "3"]].concat()).stderr;
    assert!(said.contains("by paired bootstrap over 10 problems"), "{said}");
    let found = succeeds(&["compare", text(&problems), text(&second.with_extension("problems.jsonl"))]);
    assert_eq!(found.json_lines()[0], json(&second)["comparison"][0]);
    assert_eq!(found.json_lines()[0]["test"], "sign test, exact");
    is_refused(&["compare", text(&problems), text(&first)], 1, &["first.json`, line 1: not a problem"]);
    is_refused(&["compare", text(&problems), "nowhere"], 1, &["problems `nowhere` cannot be read", "rlvr eval"]);
}

#[test]
fn prompts_seen_in_training_are_reported() {
    let work = TempDir::new().expect("a temporary folder");
    let model = warm_run(work.path()).join("checkpoints/step_000000");
    let tasks = work.path().join("tasks.jsonl");
    fs::write(&tasks, succeeds(&["tasks", "arithmetic", "--n", "4"]).stdout).expect("a writable folder");
    let arguments = ["eval", "--model", text(&model), "--tasks", text(&tasks), "--train-tasks", text(&tasks)];
    let finished = succeeds(&[arguments.as_slice(), &["--max-new-tokens", "2"]].concat());
    let result: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!((&result["contamination"]["n_exact"], &result["contamination"]["n_eval"]), (&4.into(), &4.into()));
    assert!(finished.stderr.contains("4 of 4 held-out prompts are training prompts too"), "{}", finished.stderr);
}

#[test]
fn evaluations_that_cannot_be_meant_are_refused() {
    let eval = ["eval", "--model", "m", "--tasks", "arithmetic"];
    let check = |more: &[&str], words: &[&str]| {
        is_refused(&[eval.as_slice(), more].concat(), 2, words);
    };
    check(&["--best-of", "noisy:t=2,f=0"], &["--best-of `noisy:t=2,f=0`", "noisy:t=0.9,f=0.05"]);
    check(&["--samples", "4"], &["greedy samples are all alike; set --temperature"]);
    check(&["--k", "2"], &["--k names 2, but 1 samples allow 1 to 1"]);
    check(&["--think-extend", "1"], &["--think-budget"]);
    check(&["--restart"], &["--out"]);
    is_refused(&["eval", "--model", "m"], 2, &["name --tasks, or a --config with held-out tasks"]);
}

/// A sweep of two seeds and two learning rates over the tiny config.
fn tiny_sweep(work: &Path, steps: u64) -> PathBuf {
    let config = tiny_config(work, "");
    let path = work.join("sweep.toml");
    let sweep = format!(
        "config = \"{}\"\n[[axes]]\n\"run.seed\" = [0, 1]\n[[axes]]\n\"optimizer.lr\" = [1e-3]\n\"run.steps\" = [{steps}]\n\
         [inference]\nsamples = 2\nk = [1, 2]\n",
        config.file_name().expect("a name").to_string_lossy()
    );
    fs::write(&path, sweep).expect("a writable folder");
    path
}

fn weights(folder: &Path, steps: u64) -> Vec<Vec<u8>> {
    let run =
        |seed: u64| format!("runs/seed-{seed}_lr-0.001_steps-{steps}/checkpoints/step_{steps:06}/model.safetensors");
    (0..2).map(|seed| fs::read(folder.join(run(seed))).expect("weights")).collect()
}

#[test]
fn a_sweep_that_was_interrupted_goes_on_and_repeats_nothing() {
    let work = TempDir::new().expect("a temporary folder");
    let sweep = tiny_sweep(work.path(), 12);
    let (straight, stopped) = (work.path().join("straight"), work.path().join("stopped"));
    let finished = succeeds(&["sweep", text(&sweep), "--out", text(&straight)]);
    let states: Vec<Value> = finished.json_lines().iter().map(|line| line["state"].clone()).collect();
    assert_eq!(states, ["done", "done"]);
    assert!(straight.join("curves/lr-0.001_steps-12/fit.json").exists());
    assert_eq!(json(&straight.join("inference/seed-1_lr-0.001_steps-12.json"))["samples"], 2);

    let mut child = command(&["sweep", text(&sweep), "--out", text(&stopped)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let log = stopped.join("runs/seed-0_lr-0.001_steps-12/metrics.jsonl");
    let has_a_step =
        || fs::read_to_string(&log).is_ok_and(|text| text.contains("\"kind\":\"step\",\"schema\":1,\"step\":3"));
    wait_for("the third step", has_a_step);
    let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(asked.success());
    assert!(child.wait().expect("it ends").success());
    succeeds(&["sweep", text(&sweep), "--out", text(&stopped), "--jobs", "1"]);
    assert_eq!(weights(&straight, 12), weights(&stopped, 12));

    let before = fs::read(&log).expect("a log");
    succeeds(&["sweep", text(&sweep), "--out", text(&stopped)]);
    assert!(fs::read(&log).expect("a log") == before, "a finished run is not repeated");
    let changed = tiny_sweep(work.path(), 12);
    fs::write(&changed, fs::read_to_string(&changed).expect("a sweep").replace("[0, 1]", "[1]")).expect("writable");
    succeeds(&["sweep", text(&changed), "--out", text(&stopped), "--dry-run"]);
}

#[test]
fn runs_that_fail_are_named_with_their_log() {
    let work = TempDir::new().expect("a temporary folder");
    let sweep = tiny_sweep(work.path(), 2);
    let text_of = fs::read_to_string(&sweep).expect("a sweep");
    let more = "[[axes]]\n\"rollouts.max_new_tokens\" = [6, 600]\n[inference]";
    fs::write(&sweep, text_of.replace("[inference]", more)).expect("a writable folder");
    let out = work.path().join("out");
    let words = ["2 of 4 runs failed", "max_new_tokens-600", "the model's context is 64", ".log"];
    is_refused(&["sweep", text(&sweep), "--out", text(&out)], 1, &words);
    is_refused(&["sweep", text(&sweep), "--check"], 1, &["2 of 4 runs cannot start yet"]);
}

#[test]
fn evaluations_follow_log_compute() {
    let work = TempDir::new().expect("a temporary folder");
    let run = work.path().join("run");
    let set = ["--set", "eval.every=0", "--set", "eval.per_decade=3", "--set", "run.steps=20"];
    let config = tiny_config(work.path(), "");
    succeeds(&[&["train", text(&config), "--out", text(&run)], set.as_slice()].concat());
    let log = fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    let evals: Vec<(u64, f64)> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|record| record["kind"] == "eval")
        .map(|record| {
            let flops = record["compute/flops_total"].as_f64().expect("operations");
            (record["step"].as_u64().expect("a step"), flops)
        })
        .collect();
    assert_eq!((evals[0].0, evals[1].0, evals.last().map(|eval| eval.0)), (0, 1, Some(20)));
    assert!((5..=7).contains(&evals.len()), "20 steps are 1.3 decades: {evals:?}");
    let marks: Vec<f64> = evals[1..evals.len() - 1].iter().map(|(_, flops)| (3.0 * flops.log10()).floor()).collect();
    assert!(marks.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "{marks:?}");
}
