//! The invariants of ARCHITECTURE.md that the tree itself can show.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// The direct dependencies, without those of tests, of each package of the workspace.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().expect("a list").iter();
        all.filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().expect("packages").iter().map(|package| (name(package), of(package))).collect()
}

/// The source files below a folder, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (vec![root().join(folder)], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// No source file below `folder` outside `except` contains `word`.
#[track_caller]
fn assert_absent(word: &str, folder: &str, except: &[&str]) {
    for (path, text) in sources(folder) {
        let is_exempt = except.iter().any(|part| path.to_string_lossy().contains(part));
        assert!(is_exempt || !text.contains(word), "{} mentions `{word}`", path.display());
    }
}

#[test]
fn dependencies_point_one_way() {
    let graph = dependencies();
    let ours = |name: &str| -> Vec<&str> {
        graph[name].iter().filter(|dependency| dependency.starts_with("rlvr")).map(String::as_str).collect()
    };
    assert!(ours("rlvr-verifiers").is_empty());
    assert!(ours("rlvr-cpu").is_empty());
    assert_eq!(ours("rlvr-policy"), ["rlvr-cpu"]);
    assert!(ours("rlvr-curves").is_empty());
    assert_eq!(ours("rlvr-track"), ["rlvr-curves"]);
    assert_eq!(ours("rlvr-rollouts"), ["rlvr-cpu", "rlvr-policy", "rlvr-verifiers"]);
}

#[test]
fn records_text_and_curves_need_no_libtorch() {
    let graph = dependencies();
    for name in ["rlvr-cpu", "rlvr-verifiers", "rlvr-curves", "rlvr-track"] {
        let torch: Vec<_> = graph[name].iter().filter(|dependency| dependency.contains("tch")).collect();
        assert!(torch.is_empty(), "{name} depends on {torch:?}");
    }
}

#[test]
fn only_rollouts_knows_tokenizers() {
    for (name, dependencies) in dependencies() {
        assert!(name == "rlvr-rollouts" || !dependencies.contains(&"tokenizers".to_owned()), "{name}");
    }
}

#[test]
fn rollouts_are_plain_data() {
    assert_absent("Tensor", "rollouts/src", &["sampler.rs", "decoder"]);
}

#[test]
fn gradients_are_the_trainers() {
    for word in [".backward()", "set_requires_grad"] {
        assert_absent(word, "rollouts/src", &[]);
        assert_absent(word, "verifiers/src", &[]);
    }
}

#[test]
fn randomness_is_keyed() {
    for folder in ["verifiers/src", "rollouts/src", "trainer/src"] {
        for word in ["thread_rng", "rand::rng", "manual_seed", ".multinomial(", "Tensor::rand"] {
            assert_absent(word, folder, &[]);
        }
    }
    // The weights of a preset are the one exception: libtorch draws them, from a seed.
    assert_absent("manual_seed", "rollouts/policy/src", &["preset.rs"]);
}

#[test]
fn only_the_command_line_prints() {
    for folder in ["verifiers/src", "rollouts/src", "rollouts/policy/src", "trainer/curves/src", "trainer/src"] {
        for word in ["println!", "eprintln!", "print!(", "dbg!"] {
            assert_absent(word, folder, &["/cli/", "progress.rs"]);
        }
    }
}

#[test]
fn every_config_is_shown_in_the_documents() {
    let documents = ["README.md", "docs/EVALUATION.md"].map(|name| fs::read_to_string(root().join(name)).expect(name));
    for folder in ["configs", "configs/scaling"] {
        for entry in fs::read_dir(root().join(folder)).expect(folder) {
            let path = entry.expect("an entry").path();
            let name = format!("{folder}/{}", path.file_name().expect("a name").to_string_lossy());
            let is_shown = path.is_dir() || documents.iter().any(|text| text.contains(&name));
            assert!(is_shown, "no document mentions {name}");
        }
    }
}
