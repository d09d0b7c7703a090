//! Trackers are functions of the run folder: what they show while a run goes on is what a replay shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{command, finish, is_refused, rlvr, succeeds, text, tiny_config};

const TRACK: &str = "[track]\ntensorboard = true\n[track.wandb]\nproject = 'p'\ntable_every = 2\n";

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// The offline logs of W&B in a folder, oldest first.
fn logs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let of = |folder: PathBuf| {
        let log =
            files(&folder).into_iter().find(|path| path.extension().is_some_and(|e| e == "wandb")).expect("a log");
        let bytes = fs::read(&log).expect("a log");
        (log, bytes)
    };
    files(folder).into_iter().map(of).collect()
}

fn events(folder: &Path) -> Vec<u8> {
    let file = files(folder).into_iter().find(|path| path.is_file()).expect("an event file");
    fs::read(file).expect("a file")
}

#[test]
fn what_is_written_while_a_run_goes_on_is_what_a_replay_writes() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), TRACK);
    let run = work.path().join("run");
    let finished = succeeds(&["train", text(&config), "--out", text(&run)]);
    assert_eq!(finished.stdout, "", "stdout is for data");
    assert!(!finished.stderr.contains("warning: W&B"), "{}", finished.stderr);
    let live = logs(&run.join("wandb"));
    assert_eq!(live.len(), 1);
    let name = live[0].0.file_stem().expect("a name").to_string_lossy().into_owned();
    let header: Value = serde_json::from_slice(&fs::read(run.join("run.json")).expect("a header")).expect("JSON");
    assert_eq!(name, format!("run-{}", header["id"].as_str().expect("an identity")));

    let (wandb, board) = (work.path().join("wandb"), work.path().join("board"));
    let exported = succeeds(&["export", text(&run), "--to", "wandb", "--out", text(&wandb)]);
    assert!(exported.stderr.contains("send them with: wandb sync"), "{}", exported.stderr);
    succeeds(&["export", text(&run), "--to", "tensorboard", "--out", text(&board)]);
    assert!(events(&board) == events(&run.join("tensorboard")));
    assert!(events(&board.join("by_gflops")) == events(&run.join("tensorboard/by_gflops")));
    // Lines of the console have the time at which they are seen, which takes some bytes more or less.
    let (replayed, written) = (logs(&wandb)[0].1.len(), live[0].1.len());
    assert!(replayed.abs_diff(written) < 1024, "{replayed} bytes are not {written}");
}

#[test]
fn a_resumed_run_goes_on_under_its_identity() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), TRACK);
    let run = work.path().join("run");
    succeeds(&["train", text(&config), "--out", text(&run)]);
    let longer = ["train", text(&config), "--out", text(&run), "--resume", "--set", "run.steps=6"];
    std::thread::sleep(std::time::Duration::from_millis(1100)); // logs are named for the second
    succeeds(&longer);
    let found = logs(&run.join("wandb"));
    let [(first, first_bytes), (second, second_bytes)] = found.as_slice() else { panic!("{} logs", found.len()) };
    assert_eq!(first.file_name(), second.file_name(), "the identity is the same");
    assert!(second_bytes.len() < first_bytes.len(), "the second log holds what the first one lacks");
    // Trackers may be changed, or switched off, when a run goes on.
    succeeds(&[longer.as_slice(), &["--set", "track.wandb.mode=off", "--set", "run.steps=7"]].concat());
    assert_eq!(logs(&run.join("wandb")).len(), 2);
}

#[test]
fn a_tracker_that_cannot_write_costs_a_warning() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), TRACK);
    let run = work.path().join("run");
    fs::create_dir(&run).expect("a writable folder");
    fs::write(run.join("wandb"), "in the way").expect("a writable folder");
    let finished = rlvr(&["train", text(&config), "--out", text(&run)]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("warning: W&B: ").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("the run goes on without it"), "{}", finished.stderr);
}

#[test]
fn bad_settings_are_refused_with_the_remedy() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), TRACK);
    let check = |setting: &str, words: &[&str]| {
        is_refused(&["train", text(&config), "--out", text(&work.path().join("no")), "--set", setting], 1, words);
    };
    check("track.wandb.projekt=x", &["unknown field `projekt`", "did you mean `project`?"]);
    check("track.wandb.mode=of", &["unknown variant `of`", "did you mean `off`?"]);
    check("track.wandb.project=a/b", &["`track.wandb.project` is `a/b`, but must not contain `/`"]);
    check("track.wnadb.mode=off", &["unknown field `wnadb`", "did you mean `wandb`?"]);

    let mut online = command(&["train", text(&config), "--out", text(&work.path().join("no"))]);
    online.args(["--set", "track.wandb.mode=online"]).env("HOME", work.path());
    online.env_remove("WANDB_API_KEY").env_remove("WANDB_BASE_URL").env_remove("NETRC");
    let finished = finish(online);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let words = "`track.wandb.mode` is `online`, but there is no key for api.wandb.ai; set WANDB_API_KEY";
    assert!(finished.stderr.contains(words), "{}", finished.stderr);
    assert!(!work.path().join("no").exists(), "a start that fails leaves nothing behind");
}

#[test]
fn the_log_can_be_read_by_programs() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let run = work.path().join("run");
    let finished = succeeds(&["train", text(&config), "--out", text(&run), "--log-format", "json"]);
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = finished.stderr.lines().map(parse).collect();
    assert!(lines.iter().all(|line| line["message"].is_string() && line["level"].is_string()));
    let steps: Vec<&Value> = lines.iter().filter(|line| line["metrics"]["outcome/mean"].is_number()).collect();
    assert_eq!(steps.iter().map(|line| line["step"].as_u64()).collect::<Vec<_>>(), [1, 2, 3, 4].map(Some));
    let message = steps[3]["message"].as_str().expect("text");
    for word in ["step 4/4: held out", "(step 2)", "right", "reward", "zero variance", "% cut off", "tokens/s", "left"]
    {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    let console = fs::read_to_string(run.join("console.log")).expect("a console");
    assert!(console.contains(message), "{console}");

    let refused = rlvr(&["--log-format", "json", "train", "missing.toml"]);
    let line = parse(refused.stderr.trim());
    assert_eq!((refused.code, line["level"].as_str()), (Some(1), Some("error")), "{line}");
    assert!(line["message"].as_str().is_some_and(|text| text.contains("`missing.toml` cannot be read")), "{line}");
}

#[test]
fn an_unfinished_run_is_exported_without_an_end() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let run = work.path().join("run");
    succeeds(&["train", text(&config), "--out", text(&run)]);
    let saved = fs::read_to_string(run.join("config.toml")).expect("a config");
    fs::write(run.join("config.toml"), saved.replace("steps = 4\n", "steps = 9\n")).expect("a writable folder");
    let exported = succeeds(&["export", text(&run), "--to", "wandb"]);
    assert!(exported.stderr.contains("the run is not complete"), "{}", exported.stderr);
    let empty = TempDir::new().expect("a temporary folder");
    is_refused(
        &["export", text(empty.path()), "--to", "wandb"],
        1,
        &["it holds no run", "`metrics.jsonl`", "such as `runs/NAME`"],
    );
}

/// No escape sequence is written where there is no terminal.
#[test]
fn there_are_no_colours_and_no_bars_in_files() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let mut plain = Command::new(env!("CARGO_BIN_EXE_rlvr"));
    plain.args(["train", text(&config), "--out", text(&work.path().join("run"))]).env_remove("NO_COLOR");
    let finished = finish(plain);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(!finished.stderr.contains('\u{1b}') && !finished.stderr.contains('\r'), "{}", finished.stderr);
}
