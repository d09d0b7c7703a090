//! What a run does with verdicts: several verifiers pay, and what looks wrong is said aloud.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{check_refusal, rlvr, succeeds, text, tiny_config};

fn records(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn every_part_of_a_reward_is_paid_and_recorded() {
    let work = TempDir::new().expect("a temporary folder");
    let config = tiny_config(
        work.path(),
        "[reward]\nformat = 0.25\nformat_when = 'correct'\n\
         [[reward.parts]]\nverifier = 'regex'\nname = 'digits'\nweight = 0.5\nspec = { pattern = '[0-9]+', match = 'search' }\n\
         [reward.overlong]\nweight = 0.5\nbuffer = 2\n",
    );
    let run = work.path().join("run");
    succeeds(&["train", text(&config), "--out", text(&run)]);
    let rollouts = fs::read_to_string(run.join("rollouts/step_000001.jsonl")).expect("rollouts");
    for line in rollouts.lines() {
        let rollout: Value = serde_json::from_str(line).expect("JSON");
        let part = |name: &str| rollout["parts"][name].as_f64().unwrap_or_else(|| panic!("no `{name}` in {line}"));
        let outcome = rollout["outcome"].as_f64().expect("an outcome");
        assert!((part("correct") - outcome).abs() < 1e-9);
        assert!((part("format") - f64::from(u8::from(outcome >= 1.0))).abs() < 1e-9, "it is gated: {line}");
        let completion = rollout["completion"].as_str().expect("a text");
        let has_digits = completion.contains(|c: char| c.is_ascii_digit());
        assert!((part("digits") - f64::from(u8::from(has_digits))).abs() < 1e-9, "{line}");
        let total = part("correct") + 0.25 * part("format") + 0.5 * part("digits") + 0.5 * part("overlong");
        assert!((rollout["reward"].as_f64().expect("a reward") - total).abs() < 1e-6, "{line}");
        assert!(rollout["verdicts"]["digits"]["score"].is_number() && rollout["verdicts"]["arithmetic"].is_object());
    }
    let record = records(&run).into_iter().find(|record| record["kind"] == "step").expect("a step");
    for key in ["verify/arithmetic/judged", "verify/digits/judged"] {
        assert_eq!(record[key], 1.0, "{key}");
    }
    for key in ["verify/arithmetic/time_ms/p50", "verify/arithmetic/cache_hit", "reward/digits/mean"] {
        assert!(record[key].is_number(), "{key}: {record}");
    }
}

#[test]
fn a_verifier_that_scores_everything_zero_is_seen_at_the_first_step() {
    let work = TempDir::new().expect("a temporary folder");
    let tasks = work.path().join("wrong.jsonl");
    let lines: Vec<String> = (0..8)
        .map(|i| format!(r#"{{"id": "{i}", "prompt": "{i}+{i}=", "verifier": "math", "reference": "1000{i}"}}"#))
        .collect();
    fs::write(&tasks, lines.join("\n")).expect("a writable folder");
    let config = work.path().join("c.toml");
    let text_of_config = fs::read_to_string(tiny_config(work.path(), "")).expect("a config").replace(
        "generator = \"arithmetic\"\nn = 30\nprompt_template = \"{problem}=\"\nparams = { max_operand = 5 }",
        "path = \"wrong.jsonl\"",
    );
    let without_warm_start = text_of_config.split("[warm_start]").next().expect("a head").to_owned()
        + "[rollouts]\nprompts_per_step = 4\ngroup_size = 4\nmax_new_tokens = 6\n";
    fs::write(&config, without_warm_start).expect("a writable folder");
    let run = work.path().join("run");
    let finished = rlvr(&["train", text(&config), "--out", text(&run), "--set", "run.steps=1"]);
    check_refusal(&finished, 0, &["warning: verifier `math` scored all 16 answers to tasks of `wrong` 0"]);
    let event = records(&run).into_iter().find(|record| record["kind"] == "event").expect("an event");
    assert_eq!(event["step"], 1);
    assert!(event["message"].as_str().is_some_and(|message| message.contains("scored all 16 answers")), "{event}");
}
