//! Every file under configs/ is a good config, and what it promises holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rlvr::config::{RunConfig, load};
use rlvr::loss::Bound;
use rlvr::sweep;
use serde_json::json;
use tempfile::TempDir;

use crate::command::{succeeds, text};
use crate::golden::fixture;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn read(name: &str) -> RunConfig {
    load(&folder().join(name), &[]).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_config_loads_and_its_full_form_means_the_same() {
    let mut n = 0;
    for entry in fs::read_dir(folder()).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let config = load(&path, &[]).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let copy = TempDir::new().expect("a temporary folder");
            let written = copy.path().join("config.toml");
            fs::write(&written, config.to_toml()).expect("a writable folder");
            assert_eq!(load(&written, &[]).expect("what was written"), config, "{}", path.display());
            n += 1;
        }
    }
    assert!(n >= 3, "only {n} configs");
}

#[test]
fn every_sweep_loads() {
    for (name, n_runs, groups) in [("arithmetic", 6, 2), ("gsm8k", 3, 1)] {
        let path = folder().join(format!("scaling/{name}.toml"));
        let plan = sweep::load(&path).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let found: BTreeSet<&str> = plan.runs.iter().map(|run| run.group.as_str()).collect();
        assert_eq!((plan.runs.len(), found.len()), (n_runs, groups), "{name}");
        let seeds: BTreeSet<u64> = plan.runs.iter().map(|run| run.config.run.seed).collect();
        assert_eq!(seeds, BTreeSet::from([0, 1, 2]), "{name}");
        let inference = plan.inference.expect("a part on inference");
        let most = *inference.k.iter().max().expect("some k");
        assert!(inference.samples >= 2 * most, "{name}: pass@{most} from {} samples", inference.samples);
        for run in &plan.runs {
            assert!(run.config.eval.per_decade >= 6, "{name}: too few points a decade");
            // The first step passes a mark, so that log10(steps) decades are seen.
            assert!((run.config.run.steps as f64).log10() >= 1.5, "{name}");
        }
    }
    succeeds(&["sweep", text(&folder().join("scaling/arithmetic.toml")), "--check"]);
}

/// The sweep trains by the recipe of the published run, longer.
#[test]
fn the_sweep_on_gsm8k_is_the_published_recipe() {
    let single = read("gsm8k-qwen2.5-0.5b.toml");
    let plan = sweep::load(&folder().join("scaling/gsm8k.toml")).expect("a sweep");
    let one = &plan.runs[0].config;
    assert_eq!((&one.loss, &one.advantage, &one.reward), (&single.loss, &single.advantage, &single.reward));
    assert_eq!((&one.optimizer, &one.policy, &one.tasks), (&single.optimizer, &single.policy, &single.tasks));
    assert_eq!((&one.eval.tasks, &one.verifiers), (&single.eval.tasks, &single.verifiers));
    assert_eq!(one.eval.sampling.temperature, 0.0);
    let n_rollouts = |config: &RunConfig| config.rollouts.prompts_per_step * config.rollouts.group_size;
    assert_eq!((n_rollouts(one), n_rollouts(one) * one.run.steps as usize), (n_rollouts(&single), 112_000));
}

#[test]
fn gsm8k_is_the_published_recipe() {
    let config = read("gsm8k-qwen2.5-0.5b.toml");
    let rollouts = &config.rollouts;
    assert_eq!((rollouts.prompts_per_step, rollouts.group_size, config.run.steps), (20, 8, 100));
    assert!((config.optimizer.lr - 1e-6).abs() < 1e-18);
    let Bound::Clip(clip) = config.loss.bound else { panic!("{:?}", config.loss.bound) };
    assert_eq!((clip.low, clip.high), (0.2, 0.28));
    assert!(!config.needs_reference());
    assert!((config.eval.sampling.temperature - 0.0).abs() < 1e-18, "greedy");
}

/// The GSM8K config runs for two steps on a Qwen2 model with random weights and a few problems in GSM8K's own format.
#[test]
fn gsm8k_runs_on_random_weights() {
    let work = TempDir::new().expect("a temporary folder");
    for (name, n) in [("train", 8), ("test", 3)] {
        let lines: Vec<String> = (0..n)
            .map(|i| {
                let answer = format!("{i} and 4 is <<{i}+4={0}>>{0}.\n#### {0}", i + 4);
                json!({"question": format!("{i} + 4?"), "answer": answer}).to_string()
            })
            .collect();
        fs::create_dir_all(work.path().join("data/gsm8k")).expect("a writable folder");
        fs::write(work.path().join(format!("data/gsm8k/{name}.jsonl")), lines.join("\n")).expect("a writable folder");
    }
    fs::create_dir_all(work.path().join("configs")).expect("a writable folder");
    let config = work.path().join("configs/gsm8k.toml");
    fs::copy(folder().join("gsm8k-qwen2.5-0.5b.toml"), &config).expect("a writable folder");
    let model = format!("policy.path={}", fixture("qwen2").display());
    let run = work.path().join("run");
    let settings =
        ["run.steps=2", "run.device=cpu", &model, "rollouts.max_new_tokens=12", "rollouts.prompts_per_step=4"];
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    succeeds(&[&["config", "check", text(&config)], set.as_slice()].concat());
    succeeds(&[&["train", text(&config), "--out", text(&run)], set.as_slice()].concat());
    let rollouts = fs::read_to_string(run.join("rollouts/step_000002.jsonl")).expect("rollouts");
    assert_eq!(rollouts.lines().count(), 4 * 8);
    assert!(rollouts.contains("output the final answer after"), "the prompt is the recipe's");
}
