//! What is refused, and whether the message names the place and the remedy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::command::{Finished, check_refusal, command, finish, is_refused, rlvr, succeeds, text, tiny_config};

// Set-up

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A copy of a reference model, to be damaged.
fn model(name: &str) -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models").join(name);
    let copy = folder();
    for entry in fs::read_dir(from).expect("the reference model") {
        let entry = entry.expect("a readable folder");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
    }
    copy
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

fn set_key(path: &Path, key: &str, value: Value) {
    let mut json = read_json(path);
    json[key] = value;
    write(path, &json.to_string());
}

fn remove_key(path: &Path, key: &str) {
    let mut json = read_json(path);
    json.as_object_mut().expect("an object").remove(key).expect("the key");
    write(path, &json.to_string());
}

fn write(path: &Path, content: &str) {
    fs::write(path, content).expect("a writable folder");
}

/// Cuts a file to its first bytes.
fn cut(path: &Path, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    file.set_len(length).expect("a writable file");
}

/// Changes the header of a safetensors file, its length included; the data stays.
fn edit_header(path: &Path, edit: impl FnOnce(&mut Map<String, Value>)) {
    let bytes = fs::read(path).expect("a file");
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let mut header: Map<String, Value> = serde_json::from_slice(&rest[..length]).expect("a JSON header");
    edit(&mut header);
    let header = serde_json::to_vec(&header).expect("JSON");
    let prefix = (header.len() as u64).to_le_bytes();
    fs::write(path, [&prefix[..], &header[..], &rest[length..]].concat()).expect("a writable file");
}

/// Scores the lines of a file under a model.
fn score(model: &Path, lines: &str) -> Finished {
    let ids = model.join("ids.jsonl");
    write(&ids, lines);
    rlvr(&["score", "--model", text(model), "--ids", text(&ids), "--device", "cpu", "--threads", "1"])
}

/// Checks that a model folder is refused by all of `words`.
#[track_caller]
fn model_is_refused(model: &Path, words: &[&str]) {
    check_refusal(&score(model, "{\"ids\": [3, 4, 5]}\n"), 1, words);
}

fn sample(model: &Path, args: &[&str]) -> Finished {
    let fixed = ["sample", "--model", text(model), "--prompt", "hello", "--device", "cpu", "--threads", "1"];
    rlvr(&[&fixed[..], args].concat())
}

/// Runs a config into the subfolder `run` of a folder.
fn train(folder: &Path, config: &Path, args: &[&str]) -> Finished {
    let out = folder.join("run");
    rlvr(&[&["train", text(config), "--out", text(&out)][..], args].concat())
}

/// Checks that the tiny config with a setting is refused before anything is written.
#[track_caller]
fn setting_is_refused(setting: &str, words: &[&str]) {
    let folder = folder();
    let config = tiny_config(folder.path(), "");
    check_refusal(&train(folder.path(), &config, &["--set", setting]), 1, words);
    assert!(!folder.path().join("run").exists(), "a refused config leaves no run folder");
}

/// Writes a task file and a config that trains a step on it, with a context of 64.
fn task_config(folder: &Path, lines: &str) -> PathBuf {
    write(&folder.join("tasks.jsonl"), lines);
    let config = folder.join("tasks.toml");
    write(&config, TASKS);
    config
}

/// Checks that training on a task file is refused.
#[track_caller]
fn tasks_are_refused(lines: &str, words: &[&str]) {
    let folder = folder();
    let config = task_config(folder.path(), lines);
    check_refusal(&train(folder.path(), &config, &[]), 1, words);
}

const TASKS: &str = r#"
[run]
steps = 1
threads = 1

[policy]
preset = "tiny"

[policy.sizes]
hidden_size = 32
intermediate_size = 64
n_layers = 1
max_positions = 64

[rollouts]
prompts_per_step = 1
group_size = 2
max_new_tokens = 4

[[tasks]]
path = "tasks.jsonl"
"#;

const SOUND: &str = r#"{"id": "sound", "prompt": "1+1", "verifier": "math", "reference": "2"}"#;

/// Writes a config that trains a step on a model folder.
fn policy_config(folder: &Path, model: &Path) -> PathBuf {
    let config = folder.join("policy.toml");
    let (head, model) = ("[run]\nsteps = 1\nthreads = 1\n", text(model));
    let rollouts = "[rollouts]\nprompts_per_step = 2\ngroup_size = 2\nmax_new_tokens = 4\n";
    let tasks = "[[tasks]]\ngenerator = \"arithmetic\"\nn = 5\n";
    write(&config, &format!("{head}[policy]\npath = '{model}'\n{rollouts}{tasks}"));
    config
}

/// All files below a folder with their bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).expect("a readable file");
            all.insert(path, bytes);
        }
    }
    all
}

/// The names in a folder, hidden ones included, sorted.
fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("a readable folder").file_name().into_string().expect("a name of characters")
    };
    let mut names: Vec<String> = fs::read_dir(folder).expect("a folder").map(name).collect();
    names.sort();
    names
}

// Weights

#[test]
fn missing_weights_are_named() {
    let model = model("llama");
    fs::remove_file(model.path().join("model.safetensors")).expect("a file");
    model_is_refused(
        model.path(),
        &[text(model.path()), "neither `model.safetensors` nor `model.safetensors.index.json`", "can be converted"],
    );
}

#[test]
fn a_truncated_safetensors_file_is_named() {
    let model = model("llama");
    let weights = model.path().join("model.safetensors");
    let length = fs::metadata(&weights).expect("a file").len();
    cut(&weights, length / 2);
    let sizes = format!("it should have {length} bytes, but has {}", length / 2);
    model_is_refused(model.path(), &[text(&weights), &sizes, "fetch it again"]);
}

#[test]
fn a_truncated_shard_is_named() {
    let model = model("qwen2");
    let shard = model.path().join("model-00002-of-00004.safetensors");
    cut(&shard, 50_000);
    model_is_refused(model.path(), &[text(&shard), "but has 50000", "fetch it again"]);
}

#[test]
fn a_safetensors_file_cut_in_its_header_is_named() {
    let model = model("llama");
    let weights = model.path().join("model.safetensors");
    cut(&weights, 100);
    model_is_refused(model.path(), &[text(&weights), "its header claims", "but the file has 100", "fetch it again"]);
    for length in [5, 0] {
        cut(&weights, length);
        let words = format!("it has {length} bytes, too few for a header");
        model_is_refused(model.path(), &[text(&weights), &words, "fetch it again"]);
    }
}

#[test]
fn a_header_length_beyond_the_file_is_refused_without_reserving_it() {
    let model = model("llama");
    let weights = model.path().join("model.safetensors");
    let sound = fs::read(&weights).expect("a file");
    for length in [u64::MAX, i64::MAX as u64, sound.len() as u64] {
        let claimed = [&length.to_le_bytes()[..], &sound[8..]].concat();
        fs::write(&weights, claimed).expect("a writable file");
        let words = format!("its header claims {length} bytes");
        model_is_refused(model.path(), &[text(&weights), &words, "fetch it again"]);
    }
}

#[test]
fn a_header_that_is_not_json_is_named() {
    let model = model("llama");
    let weights = model.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).expect("a file");
    bytes[20..40].fill(0xff);
    fs::write(&weights, bytes).expect("a writable file");
    model_is_refused(model.path(), &[text(&weights), "fetch it again"]);
}

#[test]
fn a_missing_tensor_is_named() {
    let model = model("llama");
    edit_header(&model.path().join("model.safetensors"), |header| {
        let info = header.remove("model.norm.weight").expect("the tensor");
        header.insert("model.nrom.weight".to_owned(), info);
    });
    model_is_refused(
        model.path(),
        &[text(model.path()), "the tensor `model.norm.weight` is missing", "should have the shape [64]"],
    );
}

#[test]
fn a_tensor_that_the_config_does_not_describe_is_named() {
    let model = model("llama");
    set_key(&model.path().join("config.json"), "num_hidden_layers", json!(1));
    model_is_refused(model.path(), &[text(model.path()), "the tensor `model.layers.1.", "config.json"]);
}

#[test]
fn a_tensor_of_the_wrong_shape_is_named() {
    let model = model("llama");
    let weights = model.path().join("model.safetensors");
    let name = "model.layers.0.mlp.gate_proj.weight";
    edit_header(&weights, |header| header[name]["shape"] = json!([64, 96]));
    model_is_refused(
        model.path(),
        &[text(&weights), &format!("the tensor `{name}` has the shape [64, 96], but should have [96, 64]")],
    );
}

#[test]
fn a_tensor_larger_than_memory_is_refused() {
    let model = model("llama");
    let weights = model.path().join("model.safetensors");
    edit_header(&weights, |header| header["model.norm.weight"]["shape"] = json!([1_u64 << 40, 1_u64 << 40]));
    model_is_refused(model.path(), &[text(&weights), "fetch it again"]);
}

#[test]
fn a_missing_shard_is_named() {
    let model = model("qwen2");
    fs::remove_file(model.path().join("model-00002-of-00004.safetensors")).expect("a shard");
    model_is_refused(
        model.path(),
        &["model.safetensors.index.json", "the shard `model-00002-of-00004.safetensors` is missing"],
    );
}

#[test]
fn an_index_without_shards_is_named() {
    let model = model("qwen2");
    let index = model.path().join("model.safetensors.index.json");
    remove_key(&index, "weight_map");
    model_is_refused(model.path(), &[text(&index), "there is no `weight_map`"]);
    write(&index, "nope");
    model_is_refused(model.path(), &[text(&index), "not JSON"]);
}

// config.json

#[test]
fn an_unknown_architecture_is_named_with_the_known_ones() {
    let model = model("llama");
    let config = model.path().join("config.json");
    set_key(&config, "model_type", json!("mamba"));
    model_is_refused(
        model.path(),
        &[text(&config), "`model_type` is `mamba`, which is not supported", "llama, qwen2, qwen3"],
    );
}

#[test]
fn a_model_config_that_is_not_json_is_named() {
    let model = model("llama");
    let config = model.path().join("config.json");
    write(&config, "{\"model_type\": ");
    model_is_refused(model.path(), &[text(&config), "not a JSON object"]);
}

#[test]
fn a_missing_key_of_the_model_config_is_named() {
    let model = model("llama");
    let config = model.path().join("config.json");
    remove_key(&config, "rms_norm_eps");
    model_is_refused(model.path(), &[text(&config), "missing field `rms_norm_eps`"]);
    remove_key(&config, "model_type");
    model_is_refused(model.path(), &[text(&config), "`model_type` is missing", "Hugging Face"]);
}

#[test]
fn a_key_of_the_wrong_type_in_the_model_config_is_named() {
    let model = model("llama");
    let config = model.path().join("config.json");
    set_key(&config, "vocab_size", json!("many"));
    model_is_refused(model.path(), &[text(&config), "vocab_size", "many"]);
}

#[test]
fn a_missing_model_folder_is_named() {
    let folder = folder();
    let model = folder.path().join("nowhere");
    let finished = sample(&model, &[]);
    check_refusal(&finished, 1, &[text(&model), "config.json", "No such file"]);
    said_once(&finished, "No such file");
}

/// Checks that a message does not say the same twice.
#[track_caller]
fn said_once(finished: &Finished, words: &str) {
    assert_eq!(finished.stderr.matches(words).count(), 1, "{}", finished.stderr);
}

// Tokenizer

#[test]
fn a_tokenizer_with_more_ids_than_the_model_is_refused() {
    let model = model("llama");
    set_key(&model.path().join("config.json"), "vocab_size", json!(100));
    model_is_refused(model.path(), &["tokenizer.json", "the id 383", "`vocab_size` is 100", "do not belong together"]);
}

#[test]
fn a_broken_tokenizer_is_named() {
    let model = model("llama");
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        let path = model.path().join(name);
        let sound = fs::read(&path).expect("a file");
        write(&path, "{\"version\": ");
        model_is_refused(model.path(), &[text(&path), "EOF while parsing"]);
        fs::write(&path, sound).expect("a writable file");
    }
    let path = model.path().join("tokenizer.json");
    write(&path, "{\"version\": \"1.0\"}");
    model_is_refused(model.path(), &[text(&path)]);
}

#[test]
fn a_missing_tokenizer_is_named_with_how_to_make_it() {
    let model = model("llama");
    let path = model.path().join("tokenizer.json");
    fs::remove_file(&path).expect("a file");
    model_is_refused(model.path(), &[text(&path), "the file is missing", "use_fast=True"]);
}

// Tasks

#[test]
fn an_empty_task_file_is_named() {
    for lines in ["", "\n  \n\n"] {
        tasks_are_refused(lines, &["tasks.jsonl", "there is no task in it", "check the file, `limit` and `held_out`"]);
    }
}

#[test]
fn a_missing_task_file_is_named() {
    let folder = folder();
    let config = task_config(folder.path(), SOUND);
    fs::remove_file(folder.path().join("tasks.jsonl")).expect("a file");
    let finished = train(folder.path(), &config, &[]);
    check_refusal(&finished, 1, &["tasks.jsonl", "No such file"]);
    said_once(&finished, "No such file");
}

#[test]
fn a_task_line_that_is_not_json_is_named() {
    let lines = format!("{SOUND}\n\n{{\"id\": nope\n");
    tasks_are_refused(&lines, &["tasks.jsonl`, line 3", "not JSON", "one object a line"]);
}

#[test]
fn an_unknown_key_of_a_task_is_named() {
    let lines = r#"{"id": "a", "prompt": "1", "verifier": "math", "refrence": "2"}"#;
    tasks_are_refused(lines, &["tasks.jsonl`, line 1", "unknown field `refrence`", "`reference`"]);
}

#[test]
fn a_task_with_an_unknown_verifier_is_named() {
    let lines = format!("{SOUND}\n{}", r#"{"id": "stray", "prompt": "1", "verifier": "maths", "reference": "2"}"#);
    tasks_are_refused(&lines, &["there is no verifier `maths`", "did you mean `math`?", "stray"]);
}

#[test]
fn an_id_used_twice_is_refused() {
    tasks_are_refused(
        &format!("{SOUND}\n{SOUND}\n"),
        &["tasks.jsonl`, line 2", "the id `sound` has been used before", "ids must be unique"],
    );
}

#[test]
fn an_id_used_in_two_sources_is_refused() {
    let folder = folder();
    let config = task_config(folder.path(), SOUND);
    write(&folder.path().join("more.jsonl"), SOUND);
    write(&config, &format!("{TASKS}\n[[tasks]]\npath = \"more.jsonl\"\n"));
    let words = ["more.jsonl", "the id `sound` is in another source too"];
    check_refusal(&train(folder.path(), &config, &[]), 1, &words);
}

const ODD: &str = r#"{"id": "odd", "prompt": "1", "verifier": "math", "reference": "\\frac{1}{"}"#;
const WHY_ODD: [&str; 2] = ["task `odd`", "verifier `math`: cannot read the reference `\\frac{1}{`"];

#[test]
fn references_that_no_verifier_can_read_are_refused() {
    tasks_are_refused(ODD, &WHY_ODD);
    tasks_are_refused(r#"{"id": "bare", "prompt": "1", "verifier": "math"}"#, &["task `bare`", "needs a `reference`"]);
}

#[test]
fn a_reference_that_its_verifier_cannot_read_is_left_out_aloud() {
    let folder = folder();
    let config = task_config(folder.path(), &format!("{SOUND}\n{ODD}\n"));
    let finished = train(folder.path(), &config, &[]);
    check_refusal(&finished, 0, &WHY_ODD);
    check_refusal(&finished, 0, &["warning: 1 of 2 training tasks are left out"]);
}

#[test]
fn verify_names_the_reference_that_cannot_be_read() {
    let folder = folder();
    let path = folder.path().join("tasks.jsonl");
    write(&path, &format!("{SOUND}\n{ODD}\n"));
    let finished = is_refused(&["verify", "--validate", text(&path)], 1, &["1 of 2 tasks are sound"]);
    let faults = finished.json_lines();
    assert_eq!(faults.len(), 1);
    let fault = faults[0]["fault"].as_str().expect("a text");
    assert!(WHY_ODD.iter().all(|words| fault.contains(words)), "{fault}");
}

fn long_task() -> String {
    let prompt = "x".repeat(100);
    json!({"id": "long", "prompt": prompt, "verifier": "math", "reference": "2"}).to_string()
}

#[test]
fn a_prompt_longer_than_the_context_is_named() {
    tasks_are_refused(
        &format!("{SOUND}\n{}\n", long_task()),
        &["task `long`", "100 tokens", "context is 64", "lower `max_new_tokens`", "`rollouts.long_prompts = \"skip\"`"],
    );
}

#[test]
fn long_prompts_are_skipped_aloud_if_others_remain() {
    let folder = folder();
    let skip = ["--set", "rollouts.long_prompts=skip"];
    let config = task_config(folder.path(), &format!("{SOUND}\n{}\n", long_task()));
    let finished = train(folder.path(), &config, &skip);
    check_refusal(&finished, 0, &["warning: 1 tasks are left out: their prompts are too long"]);

    let only = TempDir::new().expect("a temporary folder");
    let config = task_config(only.path(), &long_task());
    let words = ["only 0 training tasks fit into the model's context of 64 tokens"];
    check_refusal(&train(only.path(), &config, &skip), 1, &words);
}

#[test]
fn an_empty_prompt_is_named() {
    let lines = r#"{"id": "mute", "prompt": "", "verifier": "math", "reference": "2"}"#;
    tasks_are_refused(lines, &["task `mute`", "the prompt is empty", "at least one token"]);
}

// Configs

#[test]
fn an_unknown_key_of_the_config_is_named_with_the_nearest() {
    let folder = folder();
    let config = tiny_config(folder.path(), "[advantage]\nbaselin = \"mean\"\n");
    let content = fs::read_to_string(&config).expect("a file");
    let line = 1 + content.lines().position(|line| line.starts_with("baselin")).expect("the line");
    check_refusal(
        &train(folder.path(), &config, &[]),
        1,
        &[text(&config), &format!("line {line}"), "unknown field `baselin`", "did you mean `baseline`?"],
    );
}

#[test]
fn a_setting_of_an_unknown_key_is_named_with_the_nearest() {
    setting_is_refused(
        "rollouts.grup_size=3",
        &["--set rollouts.grup_size=3", "unknown field `grup_size`", "did you mean `group_size`?"],
    );
    setting_is_refused("nosuch.key=1", &["--set nosuch.key=1", "unknown field `nosuch`", "`rollouts`"]);
}

#[test]
fn a_setting_that_leads_nowhere_says_why() {
    setting_is_refused("run.steps", &["--set `run.steps`", "expected `section.key=value`"]);
    setting_is_refused("run.steps.x=1", &["--set `run.steps.x=1`", "`steps` is a value, not a section"]);
    setting_is_refused("tasks.7.n=1", &["--set `tasks.7.n=1`", "`tasks` is a list of 1", "by its number, from 0"]);
}

#[test]
fn an_unknown_choice_is_named_with_the_known_ones() {
    setting_is_refused("loss.aggregation=token_meen", &["unknown variant `token_meen`", "did you mean `token_mean`?"]);
    setting_is_refused("recipe=grppo", &["unknown variant `grppo`", "did you mean `grpo`?"]);
    setting_is_refused("run.device=tpu", &["unknown variant `tpu`", "`auto`, `cpu`, `cuda`"]);
    setting_is_refused("tasks.0.generator=sums", &["tasks `sums`", "no such generator", "arithmetic"]);
    setting_is_refused("verifiers.maths.x=1", &["there is no verifier `maths`", "did you mean `math`?"]);
}

#[test]
fn negative_sizes_are_refused() {
    setting_is_refused("rollouts.prompts_per_step=-1", &["prompts_per_step = -1", "integer `-1`"]);
    setting_is_refused("run.steps=-3", &["steps = -3", "integer `-3`"]);
    setting_is_refused("checkpoint.every=-1", &["every = -1", "integer `-1`"]);
    setting_is_refused("optimizer.lr=-1", &["`optimizer.lr` is -1, but must be above 0"]);
    setting_is_refused("warm_start.lr=-1", &["`warm_start.lr` is -1, but must be above 0"]);
    setting_is_refused("optimizer.lr=nan", &["`optimizer.lr` is NaN, but must be above 0"]);
}

#[test]
fn zero_sizes_are_refused() {
    setting_is_refused("rollouts.group_size=0", &["`rollouts.group_size` is 0", "at least 2 rollouts"]);
    setting_is_refused("rollouts.prompts_per_step=0", &["`rollouts.prompts_per_step` is 0, but must be at least 1"]);
    setting_is_refused("rollouts.max_new_tokens=0", &["`rollouts.max_new_tokens` is 0, but must be at least 1"]);
    setting_is_refused("checkpoint.keep=0", &["`checkpoint.keep` is 0", "at least the newest"]);
    setting_is_refused("tasks.0.n=0", &["tasks `arithmetic`", "needs `n`", "at least 1"]);
    setting_is_refused("tasks.0.level=0", &["tasks `arithmetic`", "`level`"]);
}

#[test]
fn sizes_beyond_reason_are_refused() {
    setting_is_refused("rollouts.max_new_tokens=9223372036854775807", &["lower `max_new_tokens`", "context is 64"]);
    setting_is_refused(
        "rollouts.prompts_per_step=31",
        &["`rollouts.prompts_per_step` is 31", "only 30 training tasks"],
    );
    setting_is_refused("tasks.0.n=999999", &["tasks `arithmetic`", "different tasks", "lower `n`"]);
    setting_is_refused("run.threads=99999999999", &["`run.threads` is 99999999999"]);
}

#[test]
fn sizes_that_make_no_model_are_named_as_the_config_spells_them() {
    setting_is_refused("policy.sizes.hidden_size=-32", &["`hidden_size` is -32", "at least 1"]);
    setting_is_refused("policy.sizes.hidden_size=33", &["`hidden_size` is 33, which `n_heads`, 4, does not divide"]);
    setting_is_refused("policy.sizes.family=gpt2", &["`family` is `gpt2`", "llama, qwen2, qwen3"]);
    setting_is_refused("policy.sizes.n_layers=0", &["`n_layers` is 0", "at least 1"]);
    setting_is_refused("policy.sizes.n_kv_heads=3", &["`n_kv_heads`", "3"]);
    setting_is_refused("policy.sizes.max_positions=-5", &["`max_positions` is -5"]);
}

#[test]
fn malformed_toml_names_the_line() {
    let folder = folder();
    let config = folder.path().join("bad.toml");
    write(&config, "[run]\nsteps = 4\n[policy\npreset = \"tiny\"\n");
    let none: &[&str] = &[];
    for settings in [none, &["--set", "run.steps=5"]] {
        check_refusal(&train(folder.path(), &config, settings), 1, &[text(&config), "line 3", "[policy"]);
    }
}

#[test]
fn a_missing_config_is_named() {
    let folder = folder();
    let config = folder.path().join("nowhere.toml");
    let finished = train(folder.path(), &config, &[]);
    check_refusal(&finished, 1, &[text(&config), "No such file"]);
    said_once(&finished, "No such file");
}

#[test]
fn a_run_or_a_sweep_that_is_not_there_says_what_to_give() {
    let folder = folder();
    let run = folder.path().join("nowhere");
    for args in [&["export", text(&run), "--to", "tensorboard"][..], &["rollouts", text(&run)]] {
        check_refusal(&rlvr(args), 1, &[text(&run), "there is no such folder", "such as `runs/NAME`"]);
    }
    check_refusal(&rlvr(&["rollouts", text(folder.path())]), 1, &[text(folder.path()), "it holds no run"]);
    let sweep = folder.path().join("nowhere.toml");
    check_refusal(
        &rlvr(&["sweep", text(&sweep)]),
        1,
        &[text(&sweep), "no such file", "configs/scaling/arithmetic.toml"],
    );
}

#[test]
fn config_check_survives_numbers_beyond_reason() {
    let folder = folder();
    let config = tiny_config(folder.path(), "");
    let check = |settings: &[&str]| rlvr(&[&["config", "check", text(&config)][..], settings].concat());
    let prompts = ["--set", "rollouts.prompts_per_step=4611686018427387904", "--set", "rollouts.group_size=8"];
    check_refusal(&check(&prompts), 1, &["`rollouts.prompts_per_step` is 4611686018427387904"]);
    let finished = check(&["--set", "run.steps=9223372036854775807", "--set", "optimizer.updates_per_batch=4"]);
    assert!(matches!(finished.code, Some(0 | 1)), "{}", finished.stderr);
}

#[test]
fn config_check_says_what_would_stop_the_run() {
    let folder = folder();
    let tiny = tiny_config(folder.path(), "");
    let setting = "policy.sizes.hidden_size=33";
    is_refused(&["config", "check", text(&tiny), "--set", setting], 1, &["not ready", "`hidden_size` is 33"]);

    let model = model("llama");
    let config = policy_config(folder.path(), model.path());
    succeeds(&["config", "check", text(&config)]);
    set_key(&model.path().join("config.json"), "vocab_size", json!(100));
    is_refused(&["config", "check", text(&config)], 1, &["not ready", "`vocab_size` is 100"]);
    set_key(&model.path().join("config.json"), "vocab_size", json!(384));
    fs::remove_file(model.path().join("model.safetensors")).expect("a file");
    is_refused(&["config", "check", text(&config)], 1, &["not ready", "model.safetensors"]);
}

// Run folders

#[test]
fn an_unwritable_run_folder_is_named() {
    let folder = folder();
    let config = tiny_config(folder.path(), "");
    let file = folder.path().join("file");
    write(&file, "precious");
    let below = file.join("run");
    for out in [text(&file), text(&below), "/proc/rlvr"] {
        is_refused(&["train", text(&config), "--out", out], 1, &["run folder", out, "cannot be made", "--out"]);
    }
    assert_eq!(fs::read_to_string(&file).expect("a file"), "precious");
}

#[test]
fn a_run_folder_in_use_is_refused_and_left_alone() {
    let folder = folder();
    let config = task_config(folder.path(), SOUND);
    check_refusal(&train(folder.path(), &config, &[]), 0, &[]);
    let run = folder.path().join("run");
    let before = contents(&run);
    let words = [text(&run), "there is a run already", "--resume", "--out"];
    check_refusal(&train(folder.path(), &config, &[]), 1, &words);
    assert!(contents(&run) == before, "the run was changed");
}

#[test]
fn resuming_with_another_config_is_refused_and_shows_the_difference() {
    let folder = folder();
    let config = task_config(folder.path(), SOUND);
    check_refusal(&train(folder.path(), &config, &[]), 0, &[]);
    let run = folder.path().join("run");
    let before = contents(&run);
    let finished = train(folder.path(), &config, &["--resume", "--set", "optimizer.lr=0.25"]);
    check_refusal(&finished, 1, &["--resume", text(&run), "lr = 0.25", "may change only in steps"]);
    assert!(contents(&run) == before, "the run was changed");
}

#[test]
fn resuming_where_there_is_no_run_begins_one_and_says_so() {
    let folder = folder();
    let config = task_config(folder.path(), SOUND);
    let finished = train(folder.path(), &config, &["--resume"]);
    check_refusal(&finished, 0, &["from the beginning"]);
    assert!(folder.path().join("run/checkpoints/step_000001/model.safetensors").exists());
}

#[test]
fn a_run_that_could_not_start_leaves_its_folder_free() {
    let (folder, model) = (folder(), model("llama"));
    let config = policy_config(folder.path(), model.path());
    let (weights, aside) = (model.path().join("model.safetensors"), folder.path().join("aside"));
    fs::copy(&weights, &aside).expect("a copy");
    fs::remove_file(&weights).expect("a file");
    check_refusal(&train(folder.path(), &config, &[]), 1, &[text(model.path()), "`model.safetensors`"]);
    fs::copy(&aside, &weights).expect("a copy");
    check_refusal(&train(folder.path(), &config, &[]), 0, &["step 1/1"]);
}

#[test]
fn damaged_checkpoints_are_named() {
    let folder = folder();
    let config = task_config(folder.path(), SOUND);
    check_refusal(&train(folder.path(), &config, &[]), 0, &[]);
    let checkpoint = folder.path().join("run/checkpoints/step_000001");
    cut(&checkpoint.join("optimizer.safetensors"), 1000);
    let finished = train(folder.path(), &config, &["--resume", "--set", "run.steps=2"]);
    let words = ["no checkpoint is whole", text(&checkpoint), "`optimizer.safetensors` is not what was written"];
    check_refusal(&finished, 1, &words);
}

// Full disks

/// The settings of a model whose weights are larger than [`limited`] allows, all other files being smaller.
const LARGE: [&str; 4] = ["--set", "policy.sizes.hidden_size=64", "--set", "policy.sizes.intermediate_size=128"];

/// `rlvr ARGS…` in a shell that lets no file grow beyond 200 blocks of 512 or 1024 bytes, whichever it counts in.
fn limited(args: &[&str]) -> Command {
    // A limit fails like a full disk once its signal is ignored, and unlike one it needs no mount.
    let script = r#"ulimit -f 200; trap "" XFSZ; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_rlvr")]).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

#[test]
fn a_full_disk_leaves_the_last_good_checkpoint() {
    let folder = folder();
    let config = tiny_config(folder.path(), "");
    check_refusal(&train(folder.path(), &config, &LARGE), 0, &[]);
    let run = folder.path().join("run");
    let checkpoints = run.join("checkpoints");
    let before = contents(&checkpoints);
    let weights = fs::metadata(checkpoints.join("step_000004/model.safetensors")).expect("a file").len();
    assert!(weights > 200 * 1024, "{weights} bytes are within the limit");

    let longer =
        [&["train", text(&config), "--out", text(&run)][..], &LARGE[..], &["--resume", "--set", "run.steps=6"][..]];
    let finished = finish(limited(&longer.concat()));
    let words =
        ["step_000006", "could not be written", "earlier ones are untouched", "model.safetensors", "File too large"];
    check_refusal(&finished, 1, &words);
    assert_eq!(names(&checkpoints), ["step_000002", "step_000004"]);
    assert!(contents(&checkpoints) == before, "an earlier checkpoint was changed");
    assert_eq!(score(&checkpoints.join("step_000002"), "{\"ids\": [1, 2, 3]}\n").code, Some(0));

    let finished = succeeds(&longer.concat());
    assert!(finished.stderr.contains("resumed from step 4"), "{}", finished.stderr);
    assert_eq!(names(&checkpoints), ["step_000004", "step_000006"]);
}

#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let mut command = command(&["tasks", "arithmetic", "--n", "5"]);
    command.stdout(full).stderr(Stdio::piped());
    let output = command.spawn().expect("the binary starts").wait_with_output().expect("the binary ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
}

// The command line

#[test]
fn wrong_use_ends_with_2() {
    is_refused(&["frobnicate"], 2, &["unrecognized subcommand 'frobnicate'"]);
    is_refused(&["train"], 2, &["required arguments", "<CONFIG>"]);
    is_refused(&["train", "c.toml", "--frob"], 2, &["unexpected argument '--frob'"]);
    is_refused(&["score", "--ids", "-"], 2, &["--model <DIR>"]);
    is_refused(&["sample", "--model", "m"], 2, &["--prompt <TEXT>"]);
    is_refused(&["sample", "--model", "m", "--prompt", "a", "--ids", "f"], 2, &["cannot be used with"]);
    is_refused(&["render", "--model", "m"], 2, &["--chat <FILE>"]);
    is_refused(&["score", "--model", "m", "--ids", "f", "--temperature", "0"], 2, &["--temperature is 0", "above 0"]);
    is_refused(&["eval", "--model", "m", "--tasks", "nosuch:n=5"], 2, &["tasks `nosuch:n=5`", "arithmetic"]);
    let samples = ["eval", "--model", "m", "--tasks", "arithmetic", "--samples", "0"];
    is_refused(&samples, 2, &["--samples is 0", "at least 1"]);
}

#[test]
fn ids_that_cannot_be_scored_are_named() {
    let model = model("llama");
    let ids = model.path().join("ids.jsonl");
    #[track_caller]
    fn check(model: &TempDir, line: &str, words: &[&str]) {
        let lines = format!("{{\"ids\": [3]}}\n{line}\n");
        check_refusal(&score(model.path(), &lines), 1, &[&["ids.jsonl"][..], words].concat());
    }
    check(&model, r#"{"ids": [3, 384]}"#, &["line 2", "the id 384 is not in the model's vocabulary of 384"]);
    check(&model, r#"{"ids": [3, -1]}"#, &["line 2", "the id -1 is not in"]);
    check(&model, r#"{"ids": []}"#, &["line 2", "`ids` is empty", "at least one token"]);
    check(&model, "nope", &["line 2", "expected {\"ids\": [1, 2, …]}"]);
    check(&model, "{}", &["line 2", "missing field `ids`"]);
    let long = json!({"ids": vec![3; 257]}).to_string();
    check(&model, &long, &["sequence 2 has 257 tokens", "context is 256"]);
    fs::remove_file(&ids).expect("a file");
    is_refused(&["score", "--model", text(model.path()), "--ids", text(&ids)], 1, &[text(&ids), "cannot be read"]);
}

#[test]
fn a_single_id_has_no_log_probability() {
    let model = model("llama");
    let finished = score(model.path(), "{\"ids\": [3]}\n");
    check_refusal(&finished, 0, &[]);
    assert_eq!(finished.json_lines(), [json!({"logprobs": []})]);
}

#[test]
fn a_completion_beyond_the_context_is_refused() {
    let model = model("llama");
    for n in ["1000", "18446744073709551615"] {
        let finished = sample(model.path(), &["--max-new-tokens", n]);
        check_refusal(&finished, 1, &[n, "context is 256", "lower `max_new_tokens`"]);
    }
}

#[test]
fn an_empty_prompt_to_sample_is_refused() {
    let model = model("llama");
    let args = ["sample", "--model", text(model.path()), "--prompt", "", "--device", "cpu", "--threads", "1"];
    is_refused(&args, 1, &["the prompt is empty"]);
}

#[test]
fn settings_of_sample_that_ask_for_nothing_are_refused() {
    let model = model("llama");
    check_refusal(&sample(model.path(), &["--max-new-tokens", "0"]), 1, &["`max_new_tokens`", "at least 1"]);
    check_refusal(&sample(model.path(), &["--top-p", "0"]), 1, &["`top_p` is 0", "above 0"]);
    check_refusal(&sample(model.path(), &["--temperature", "nan"]), 1, &["`temperature` is NaN"]);
    for args in [["--n", "0"], ["--stop", ""]] {
        let finished = sample(model.path(), &args);
        assert!(matches!(finished.code, Some(1 | 2)), "{args:?}: {finished:?}");
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }
}

#[test]
fn chats_that_cannot_be_rendered_are_named() {
    let model = model("qwen3");
    let chat = model.path().join("chat.json");
    let check = |content: &str, words: &[&str]| {
        write(&chat, content);
        let words = [&[text(&chat)][..], words].concat();
        is_refused(&["render", "--model", text(model.path()), "--chat", text(&chat)], 1, &words);
    };
    check("nope", &["not JSON"]);
    check("3", &["expected a list of messages"]);
    check("{}", &["there is no list of `messages`"]);
    check(r#"{"messages": "hi"}"#, &["`messages` is not understood", "`messages` (a list)"]);
    check(
        r#"{"messages": [{"role": "user", "content": "hi"}], "mesages": 1}"#,
        &["`mesages` is not understood", "the keys are `messages`"],
    );
}

#[test]
fn messages_that_a_template_cannot_use_are_refused() {
    let model = model("qwen3");
    let chat = model.path().join("chat.json");
    for content in ["[]", "[1]"] {
        write(&chat, content);
        is_refused(&["render", "--model", text(model.path()), "--chat", text(&chat)], 1, &["chat template"]);
    }
}
