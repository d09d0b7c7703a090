//! The command line is a contract: what goes in, what comes out.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{rlvr_reading, succeeds, text, tiny_config};
use crate::golden::fixture;

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("numbers")
}

#[test]
fn score_gives_the_log_probability_of_each_token_but_the_first() {
    let work = TempDir::new().expect("a temporary folder");
    let model = fixture("qwen3");
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(model.join("expected.json")).expect("a fixture")).expect("JSON");
    let sequences = expected["sequences"].as_array().expect("sequences");
    let lines: Vec<String> = sequences.iter().map(|case| json!({"ids": case["ids"]}).to_string()).collect();
    let ids = work.path().join("ids.jsonl");
    fs::write(&ids, lines.join("\n")).expect("a writable folder");
    let found = succeeds(&["score", "--model", text(&model), "--ids", text(&ids)]).json_lines();
    assert_eq!(found.len(), sequences.len());
    for (found, case) in found.iter().zip(sequences) {
        let (found, expected) = (numbers(&found["logprobs"]), numbers(&case["logprobs"]));
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} is not {expected:?}");
    }
}

#[test]
fn sample_continues_ids_greedily_by_default() {
    let model = fixture("llama");
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(model.join("expected.json")).expect("a fixture")).expect("JSON");
    let case = &expected["sequences"][0];
    let arguments =
        ["sample", "--model", text(&model), "--ids", "-", "--max-new-tokens", "12", "--ignore-stop", "--json"];
    let finished = rlvr_reading(&arguments, &json!({"ids": case["ids"]}).to_string());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let line = &finished.json_lines()[0];
    assert_eq!((&line["ids"], &line["stop"]), (&case["greedy"], &json!("length")));
    assert!(line["text"].is_string());
}

#[test]
fn render_shows_text_and_ids() {
    let model = fixture("qwen2");
    let chat = json!({"messages": [{"role": "user", "content": "hello"}], "add_generation_prompt": true});
    let finished = rlvr_reading(&["render", "--model", text(&model), "--chat", "-"], &chat.to_string());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let line = &finished.json_lines()[0];
    let rendered = line["text"].as_str().expect("text");
    assert!(rendered.contains("hello") && rendered.trim_end().ends_with("assistant"), "{rendered}");
    assert!(line["ids"].as_array().is_some_and(|ids| !ids.is_empty()));
}

#[test]
fn tasks_are_repeatable_and_their_references_score_one() {
    let work = TempDir::new().expect("a temporary folder");
    for generator in rlvr_verifiers::generators::names() {
        let arguments = ["tasks", generator, "--seed", "3", "--n", "20"];
        let first = succeeds(&arguments);
        assert_eq!(first.json_lines().len(), 20, "{generator}");
        assert_eq!(succeeds(&arguments).stdout, first.stdout, "{generator}");
        let file = work.path().join(format!("{generator}.jsonl"));
        fs::write(&file, &first.stdout).expect("a writable folder");
        succeeds(&["verify", "--validate", text(&file)]);
    }
}

#[test]
fn verify_answers_in_order_and_says_what_it_could_not_judge() {
    let cases = [
        json!({"id": "a", "verifier": "math", "reference": "1/2", "completion": "so \\boxed{0.5}"}),
        json!({"id": "b", "verifier": "math", "reference": "1/2", "completion": "the answer is 2"}),
        json!({"id": "c", "verifier": "math", "reference": "\\frac{1}{", "completion": "2"}),
        json!({"id": "d", "verifier": "exact", "reference": "Yes", "completion": "yes"}),
    ];
    let input: Vec<String> = cases.iter().map(Value::to_string).collect();
    let finished = rlvr_reading(&["verify"], &input.join("\n"));
    let lines = finished.json_lines();
    let brief: Vec<Value> = lines.iter().map(|line| json!([line["id"], line["outcome"], line["score"]])).collect();
    assert_eq!(
        brief,
        [
            json!(["a", "judged", 1.0]),
            json!(["b", "judged", 0.0]),
            json!(["c", "unjudged", null]),
            json!(["d", "judged", 1.0])
        ]
    );
    assert!(lines[2]["why"].as_str().is_some_and(|why| why.contains("cannot read the reference")), "{}", lines[2]);
}

#[test]
fn programs_without_isolation_run_only_on_request_and_loudly() {
    let case = json!({"id": 1, "verifier": "code", "completion": "```python\nprint(2)\n```", "spec": {
        "language": "python", "tests": {"type": "stdin", "cases": [{"input": "", "expected": "2"}]}}});
    let finished = rlvr_reading(&["verify", "--set", "code.isolation=none"], &case.to_string());
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("`code` RUNS PROGRAMS OF THE MODEL WITHOUT ISOLATION"), "{}", finished.stderr);
    let line = &finished.json_lines()[0];
    assert_eq!(line["score"], 1.0, "{line}");
    assert!(line["detail"]["layers"].as_str().is_some_and(|layers| layers.starts_with("no isolation")), "{line}");
}

/// A run leaves everything that the design names, and its curve is a function of its log.
#[test]
fn a_run_folder_is_complete() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let run = work.path().join("run");
    let finished = succeeds(&["train", text(&config), "--out", text(&run)]);
    assert_eq!(finished.stdout, "", "stdout is for data");
    for path in [
        "config.toml",
        "run.json",
        "metrics.jsonl",
        "rollouts/step_000004.jsonl",
        "evals/step_000000.jsonl",
        "evals/step_000004.jsonl",
        "checkpoints/step_000004/model.safetensors",
        "checkpoints/step_000004/config.json",
        "checkpoints/step_000004/tokenizer.json",
        "curves/fit.json",
        "curves/curve.svg",
        "curves/curve.png",
    ] {
        assert!(run.join(path).exists(), "{path} is missing");
    }
    let records: Vec<Value> = fs::read_to_string(run.join("metrics.jsonl"))
        .expect("a log")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let evals: Vec<u64> =
        records.iter().filter(|record| record["kind"] == "eval").filter_map(|record| record["step"].as_u64()).collect();
    assert_eq!(evals, [0, 2, 4]);
    let steps: Vec<&Value> = records.iter().filter(|record| record["kind"] == "step").collect();
    assert_eq!(steps.len(), 4);
    for record in &steps {
        for key in ["compute/flops_total", "compute/tokens_gen", "compute/wall_s", "time/generate_s", "outcome/mean"] {
            assert!(record[key].is_number(), "{key} is missing");
        }
    }
    // Right and wrong answers were mixed, so that the policy was updated.
    assert!(steps.iter().any(|record| record["optim/grad_norm"].as_f64().is_some_and(|norm| norm > 0.0)));
    // Sampler and trainer share their log-probabilities up to rounding.
    assert!(steps.iter().all(|record| record["policy/mismatch_logp/max"].as_f64().is_none_or(|x| x < 1e-4)));

    let svg = fs::read(run.join("curves/curve.svg")).expect("a curve");
    fs::remove_dir_all(run.join("curves")).expect("a writable folder");
    succeeds(&["fit", text(&run)]);
    assert_eq!(fs::read(run.join("curves/curve.svg")).expect("a curve"), svg, "the curve is a function of the log");
}

/// Chats, through a model's own template: the same few over and over are learnt.
#[test]
fn sft_learns_what_the_assistant_says() {
    let work = TempDir::new().expect("a temporary folder");
    let chat = |question: &str, answer: &str| {
        json!({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]})
            .to_string()
    };
    let chats = [chat("hello", "the river"), chat("twelve?", "seven apples"), chat("and?", "stones")];
    fs::write(work.path().join("chats.jsonl"), chats.join("\n")).expect("a writable folder");
    let config = work.path().join("chats.toml");
    let text_of_config = format!(
        "[run]\nsteps = 0\n[policy]\npath = '{}'\n[[tasks]]\ngenerator = 'arithmetic'\nn = 20\n[warm_start]\n\
         steps = 30\nexamples_per_step = 3\nlr = 1e-2\n[[warm_start.data]]\nmessages = {{ path = 'chats.jsonl' }}\n",
        fixture("qwen2").display()
    );
    fs::write(&config, text_of_config).expect("a writable folder");
    let settings = ["--set", "rollouts.max_new_tokens=8"];
    let run = work.path().join("run");
    succeeds(&[&["sft", text(&config), "--out", text(&run)], settings.as_slice()].concat());
    let log = fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    let losses: Vec<f64> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).expect("JSON")["sft/loss"].as_f64())
        .collect();
    assert_eq!(losses.len(), 30);
    assert!(losses[29] < 0.1 * losses[0], "{losses:?}");
}

#[test]
fn eval_reports_pass_at_k_of_a_checkpoint() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(work.path(), "");
    let run = work.path().join("run");
    succeeds(&["sft", text(&config), "--out", text(&run)]);
    let model = run.join("checkpoints/step_000000");
    let tasks = work.path().join("tasks.jsonl");
    fs::write(&tasks, succeeds(&["tasks", "arithmetic", "--n", "5"]).stdout).expect("a writable folder");
    let arguments = ["eval", "--model", text(&model), "--tasks", text(&tasks), "--samples", "4", "--k", "1,2,4"];
    let arguments = [arguments.as_slice(), &["--max-new-tokens", "4", "--temperature", "1"]].concat();
    let found = succeeds(&arguments);
    let result = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let first = result(&found.stdout);
    let shown = first.to_string();
    assert!(shown.contains("pass@1") && shown.contains("pass@4"), "{shown}");
    assert_eq!(result(&succeeds(&arguments).stdout), first, "the same seed gives the same result");
}
