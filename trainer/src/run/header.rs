//! `run.json`: under which circumstances a run was made.

use std::path::Path;
use std::process::Command;

use rlvr_curves::record::SCHEMA;
use rlvr_track::replay::new_id;
use serde::Deserialize;
use serde_json::{Value, json};
use tch::Device;

use crate::config::RunConfig;
use crate::device;
use crate::learner::Learner;
use crate::run_folder::now_s;
use crate::setup::{Tasks, fingerprint};

/// Which run it is, the same after a resume.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Identity {
    /// Its name in trackers.
    id: String,
    /// When it began, in seconds since 1970.
    started_s: f64,
}

impl Identity {
    /// That of the run in a folder; a new one if there is none yet.
    pub(super) fn of_run(path: &Path) -> Self {
        let saved = std::fs::read(path.join("run.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
        saved.unwrap_or_else(|| {
            let started_s = now_s();
            let nanos =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
            Self { id: new_id(&format!("{} {nanos} {}", path.display(), std::process::id())), started_s }
        })
    }
}

/// Describes a run for its readers; the machine is a device and its operations a second of large matrix products.
pub(super) fn header(
    config: &RunConfig,
    tasks: &Tasks,
    learner: &Learner,
    (device, matmul_peak): (Device, f64),
    identity: &Identity,
) -> Value {
    let architecture = learner.architecture();
    json!({
        "schema": SCHEMA,
        "id": identity.id,
        "name": config.run.name,
        "started_s": identity.started_s,
        "seed": config.run.seed,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": commit(),
        "libtorch": "2.11.0",
        "host": std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()),
        "device": device::name(device),
        "threads": tch::get_num_threads(),
        "matmul_flops_per_s": matmul_peak,
        "model": {
            "type": architecture.model_type,
            "parameters": learner.weights().n_parameters(),
            "matmul_parameters": architecture.n_matmul_parameters(),
            "layers": architecture.n_layers,
        },
        "compute": {
            "formula": "F(T) = 2 N T + 2 L d_attn T^2 for a forward pass over T tokens; a backward pass is 2 F",
            "n": "matmul parameters with the head, without the embedding",
            "prefill_shared": true,
            "exact": "compute/flops_exact/…: a query at position i looks at i + 1 keys, the head is applied where logits are \
                      wanted, the last token of a completion is no input",
            "device_seconds": "compute/cpu_s: CPU time of all threads of this process; compute/gpu_hours: time a GPU was held",
            "total": "sampling + scoring + updates of reinforcement learning; warm start and evaluation apart",
        },
        "tasks": {"train": fingerprint(&tasks.train), "eval": fingerprint(&tasks.eval)},
        "warnings": tasks.warnings,
        "verifier_layers": tasks.panel.layers(),
    })
}

/// The commit of the source tree that this program was built from, where it still exists.
fn commit() -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git").arg("-C").arg(source).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let is_changed = git(&["status", "--porcelain"]).is_some_and(|text| !text.is_empty());
    Some(if is_changed { format!("{commit} with changes") } else { commit })
}
