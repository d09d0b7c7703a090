//! Models agree with transformers: log-probabilities, greedy continuations, encodings, rendered chats.

use std::fs;
use std::path::{Path, PathBuf};

use rlvr::step::score;
use rlvr_rollouts::engine::{DEFAULT_MAX_ROWS, Request};
use rlvr_rollouts::tokenizer::SpecialTokens;
use rlvr_rollouts::{Engine, GenerationLimits, Model, Noise, Sampling};
use serde_json::{Map, Value};
use tch::Device;
use tempfile::TempDir;

const MODELS: [&str; 4] = ["llama", "llama_llama3rope", "qwen2", "qwen3"];

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models").join(name)
}

/// Calls `check` for each model in the spelling of transformers 5, and in the older one.
fn for_each_model(check: impl Fn(&str, &Path, &Value)) {
    for name in MODELS {
        let folder = fixture(name);
        let expected = fs::read_to_string(folder.join("expected.json")).expect("a readable fixture");
        let expected = serde_json::from_str(&expected).expect("JSON");
        check(name, &folder, &expected);
        let older = copy_of(name);
        fs::rename(older.path().join("config-v4.json"), older.path().join("config.json")).expect("a writable folder");
        check(&format!("{name}, older spelling"), older.path(), &expected);
    }
}

/// A copy of a model folder, to be changed.
pub(crate) fn copy_of(name: &str) -> TempDir {
    let copy = TempDir::new().expect("a temporary folder");
    for entry in fs::read_dir(fixture(name)).expect("the fixture") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a writable folder");
    }
    copy
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).expect("a list")
}

fn cases<'a>(expected: &'a Value, key: &str) -> &'a [Value] {
    expected[key].as_array().expect("cases")
}

#[test]
fn log_probabilities_are_those_of_transformers() {
    for_each_model(|name, folder, expected| {
        let model = Model::read(folder, Device::Cpu).expect("a model");
        for case in cases(expected, "sequences") {
            let ids: Vec<u32> = list(&case["ids"]);
            let reference: Vec<f32> = list(&case["logprobs"]);
            // A small budget cuts the sequences apart; the values must not notice.
            let (found, _) = score(&model.transformer, &[(&ids[..1], vec![&ids[1..]])], 1.0, 16);
            for (t, (found, reference)) in found[0][0].iter().zip(&reference).enumerate() {
                assert!((found - reference).abs() < 1e-4, "{name}: token {}: {found}, not {reference}", t + 1);
            }
        }
    });
}

#[test]
fn greedy_continuations_are_those_of_transformers() {
    for_each_model(|name, folder, expected| {
        let model = Model::read(folder, Device::Cpu).expect("a model");
        let sequences = cases(expected, "sequences");
        let prompts: Vec<Vec<u32>> = sequences.iter().map(|case| list(&case["ids"])).collect();
        let requests: Vec<Request<'_>> = prompts.iter().map(|prompt| Request { id: "greedy", prompt, n: 1 }).collect();
        let limits = GenerationLimits {
            max_new_tokens: 12,
            stop_strings: vec![],
            ignore_stop_ids: true,
            max_rows: DEFAULT_MAX_ROWS,
        };
        let sampling = Sampling::greedy();
        let engine = Engine::new(&model.transformer, &model.tokenizer, &sampling, &limits).expect("good settings");
        let noise = Noise { seed: 0, step: 0 };
        let found = engine.generate(&requests, noise, &mut |_| {}).expect("prompts that fit");
        for (case, found) in sequences.iter().zip(found) {
            assert_eq!(found[0].ids, list::<u32>(&case["greedy"]), "{name}: after {}", case["ids"]);
        }
    });
}

#[test]
fn text_becomes_the_same_ids_and_comes_back() {
    for_each_model(|name, folder, expected| {
        let tokenizer = Model::read(folder, Device::Cpu).expect("a model").tokenizer;
        for case in cases(expected, "encode") {
            let text = case["text"].as_str().expect("text");
            assert_eq!(tokenizer.encode(text, SpecialTokens::Omit), list::<u32>(&case["ids"]), "{name}: {text:?}");
            let with_special = tokenizer.encode(text, SpecialTokens::Add);
            assert_eq!(with_special, list::<u32>(&case["ids_with_special"]), "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&with_special), case["decoded_skip_special"], "{name}: {text:?}");
        }
    });
}

#[test]
fn chats_are_rendered_as_by_transformers() {
    for_each_model(|name, folder, expected| {
        let tokenizer = Model::read(folder, Device::Cpu).expect("a model").tokenizer;
        let template = tokenizer.template().expect("a chat template");
        for case in cases(expected, "chat") {
            let variables: Map<String, Value> = serde_json::from_value(case["kwargs"].clone()).unwrap_or_default();
            let with_generation_prompt = case["add_generation_prompt"] == true;
            let rendered = template.render(&case["messages"], with_generation_prompt, &variables);
            if case["error"] == true {
                assert!(rendered.is_err(), "{name}: {} must fail", case["name"]);
                continue;
            }
            let text = rendered.unwrap_or_else(|error| panic!("{name}: {}: {error}", case["name"]));
            assert_eq!(text, case["text"], "{name}: {}", case["name"]);
            assert_eq!(tokenizer.encode(&text, SpecialTokens::Omit), list::<u32>(&case["ids"]), "{name}");
        }
    });
}

#[test]
fn a_written_folder_reads_back_the_same() {
    for_each_model(|name, folder, _| {
        let model = Model::read(folder, Device::Cpu).expect("a model");
        let copy = TempDir::new().expect("a temporary folder");
        model.write(copy.path()).expect("a writable folder");
        let again = Model::read(copy.path(), Device::Cpu).expect("what was written");
        assert_eq!(again.transformer.architecture(), model.transformer.architecture(), "{name}");
        let (before, after) = (model.transformer.weights().parameters(), again.transformer.weights().parameters());
        assert_eq!(before.len(), after.len(), "{name}");
        for (a, b) in before.iter().zip(&after) {
            assert_eq!(a.name, b.name, "{name}");
            assert!(a.tensor.equal(&b.tensor), "{name}: {}", a.name);
        }
        assert_eq!(again.tokenizer.stop_ids(), model.tokenizer.stop_ids(), "{name}");
    });
}
