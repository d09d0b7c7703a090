//! A run that was interrupted ends bit for bit as one that was not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rlvr_policy::kernels::{Bfloat16, Int8};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{command, finish, is_refused, succeeds, text, tiny_config};

/// Longer than the other tests', so that there is something to interrupt.
const STEPS: &str = "run.steps=12";

fn train(config: &Path, run: &Path, resume: bool) -> std::process::Command {
    let mut command = command(&["train", text(config), "--set", STEPS, "--out", text(run)]);
    if resume {
        command.arg("--resume");
    }
    command
}

fn straight(folder: &Path, config: &Path) -> PathBuf {
    let run = folder.join("straight");
    let finished = finish(train(config, &run, false));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    run
}

/// The records without times of day, durations and what depends on them; events tell of the interruption itself, and
/// the machine is another matter.
fn records(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    let is_measured = |key: &str| {
        let measured = ["verify_cpu_s", "wall_s", "eval_wall_s", "sft_wall_s", "cpu_s", "energy_cpu_j", "energy_gpu_j"];
        let prefixes: Vec<String> = ["time/", "perf/"]
            .map(str::to_owned)
            .into_iter()
            .chain(measured.map(|name| format!("compute/{name}")))
            .collect();
        key == "time_s" || key.contains("/time_ms/") || prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    };
    log.lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|record| record["kind"] != "event" && record["kind"] != "system")
        .map(|mut record| {
            record.as_object_mut().expect("an object").retain(|key, _| !is_measured(key));
            record
        })
        .collect()
}

/// Rollouts or evaluation samples of every step, without durations.
fn samples(run: &Path, kind: &str) -> Vec<(String, Vec<Value>)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(run.join(kind)).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let of_file = |path: PathBuf| {
        let lines = fs::read_to_string(&path).expect("a file");
        let parse = |line: &str| {
            let mut sample: Value = serde_json::from_str(line).expect("JSON");
            sample.as_object_mut().expect("an object").retain(|key, _| !key.ends_with("_s"));
            sample
        };
        (path.file_name().expect("a name").to_string_lossy().into_owned(), lines.lines().map(parse).collect())
    };
    files.into_iter().map(of_file).collect()
}

#[track_caller]
fn assert_same_run(a: &Path, b: &Path) {
    assert_eq!(records(a), records(b));
    for kind in ["rollouts", "evals"] {
        assert_eq!(samples(a, kind), samples(b, kind));
    }
    let last = |run: &Path| run.join("checkpoints/step_000012");
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let read = |run: &Path| fs::read(last(run).join(file)).expect("a checkpoint");
        assert!(read(a) == read(b), "{file} differs");
    }
}

fn wait_for(path: &Path, child: &mut Child) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "{} never appeared", path.display());
        assert!(child.try_wait().expect("a child").is_none(), "ended before {} appeared", path.display());
        sleep(Duration::from_millis(2));
    }
}

/// Starts a run, sends it a signal when `path` of its folder appears, and waits for its end.
fn interrupt(config: &Path, run: &Path, path: &str, signal: &str) -> Option<i32> {
    let mut child = train(config, run, false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_for(&run.join(path), &mut child);
    let status = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
    child.wait().expect("it ends").code()
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = tiny_config(folder.path(), "");
    let straight = straight(folder.path(), &config);
    // Right after a checkpoint; between two, with records and rollouts that must be dropped; in the warm start.
    for (i, moment) in ["checkpoints/step_000004", "rollouts/step_000007.jsonl", "metrics.jsonl"].iter().enumerate() {
        let run = folder.path().join(format!("killed-{i}"));
        assert_eq!(interrupt(&config, &run, moment, "-KILL"), None);
        let finished = finish(train(&config, &run, true));
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_same_run(&straight, &run);
    }
}

#[test]
fn a_torn_last_line_is_dropped() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = tiny_config(folder.path(), "");
    let straight = straight(folder.path(), &config);
    let run = folder.path().join("torn");
    interrupt(&config, &run, "checkpoints/step_000006", "-KILL");
    let log = run.join("metrics.jsonl");
    let mut bytes = fs::read(&log).expect("a log");
    bytes.extend_from_slice("{\"kind\":\"step\",\"note\":\"é".as_bytes());
    bytes.pop(); // in the middle of a character
    fs::write(&log, bytes).expect("a writable log");
    let finished = finish(train(&config, &run, true));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_same_run(&straight, &run);
}

#[test]
fn a_run_that_was_asked_to_stop_saves_and_goes_on() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = tiny_config(folder.path(), "");
    let straight = straight(folder.path(), &config);
    let run = folder.path().join("stopped");
    assert_eq!(interrupt(&config, &run, "rollouts/step_000003.jsonl", "-INT"), Some(0), "Ctrl-C once exits with 0");
    let finished = finish(train(&config, &run, true));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    // The checkpoint that the stop made is not on the plan of the straight run; everything else is the same.
    assert_same_run(&straight, &run);
}

#[test]
fn the_saved_config_repeats_the_run() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = tiny_config(folder.path(), "");
    let straight = straight(folder.path(), &config);
    let again = folder.path().join("again");
    succeeds(&["train", text(&straight.join("config.toml")), "--out", text(&again)]);
    assert_same_run(&straight, &again);
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = tiny_config(folder.path(), "");
    let straight = straight(folder.path(), &config);
    let run = folder.path().join("damaged");
    interrupt(&config, &run, "checkpoints/step_000006", "-KILL");
    let weights = run.join("checkpoints/step_000006/model.safetensors");
    let mut bytes = fs::read(&weights).expect("a checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, bytes).expect("a writable checkpoint");
    let finished = finish(train(&config, &run, true));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("step_000006"), "the damage is told: {}", finished.stderr);
    assert_same_run(&straight, &run);
}

/// Layers that are computed again in the backward pass give the same bits: a run may take that up at any time.
#[test]
fn what_forward_passes_keep_changes_nothing() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = tiny_config(folder.path(), "");
    let straight = straight(folder.path(), &config);
    let checkpointing = |run: &Path, more: &[&str]| {
        let settings = ["--set", STEPS, "--set", "optimizer.checkpoint_activations=true"];
        succeeds(&[&["train", text(&config), "--out", text(run)], &settings[..], more].concat());
    };
    let (whole, half) = (folder.path().join("whole"), folder.path().join("half"));
    checkpointing(&whole, &[]);
    assert_same_run(&straight, &whole);
    interrupt(&config, &half, "checkpoints/step_000004", "-KILL");
    checkpointing(&half, &["--resume"]);
    assert_same_run(&straight, &half);
}

/// Sampling with rounded matrices shows in the mismatch and nowhere else; where the CPU cannot, the run says so.
#[test]
fn a_run_that_samples_in_fewer_bits_knows_how_far_it_is_off() {
    knows_how_far_it_is_off("rollouts.weights=bfloat16", "AVX512-BF16", Bfloat16::detect().is_some());
    knows_how_far_it_is_off("rollouts.weights=int8", "AVX512-VNNI", Int8::detect().is_some());
}

fn knows_how_far_it_is_off(weights: &str, instructions: &str, has_them: bool) {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let run = work.path().join("rounded");
    let args = ["train", text(&config), "--set", weights, "--out", text(&run)];
    if !has_them {
        is_refused(&args, 1, &["rollouts.weights", instructions, "trained"]);
        return;
    }
    succeeds(&args);
    let steps: Vec<f64> = records(&run)
        .iter()
        .filter(|record| record["kind"] == "step")
        .filter_map(|record| record["policy/mismatch_logp/mean"].as_f64())
        .collect();
    assert!(!steps.is_empty() && steps.iter().all(|&off| off > 1e-5 && off < 0.05), "{weights}: {steps:?}");
}
