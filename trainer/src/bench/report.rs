//! What is reported beside the figures: the machine, the model, the settings.

use std::collections::BTreeMap;

use serde::Serialize;
use tch::Device;

use super::measure::memory_method;
use super::{
    Bench, BenchSettings, DecodeFigures, PrefillFigures, PromptFacts, StepFigures, TrainFigures, VerifyFigures,
};
use crate::device;

/// The version of the report's keys; it grows when one changes its meaning.
pub const SCHEMA: u32 = 1;

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of rlvr.
    pub version: &'static str,
    /// Where.
    pub machine: Machine,
    /// With which model.
    pub model: ModelFacts,
    /// With which sizes.
    pub settings: BenchSettings,
    /// With which prompts.
    pub prompts: PromptFacts,
    /// Prefill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<PrefillFigures>,
    /// Generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<DecodeFigures>,
    /// Verification, by verifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<BTreeMap<String, VerifyFigures>>,
    /// Updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<TrainFigures>,
    /// A whole step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepFigures>,
}

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The name of the CPU.
    pub cpu: Option<String>,
    /// Where it was computed.
    pub device: String,
    /// Threads of the CPU.
    pub threads: i32,
    /// The version of libtorch.
    pub libtorch: &'static str,
    /// The kind of numbers that matrices are multiplied in.
    pub kind: &'static str,
    /// Operations a second of large matrix products, before anything else was measured.
    pub matmul_flops_per_s: f64,
    /// Bytes a second that memory carries.
    pub memory_bytes_per_s: f64,
    /// How `peak_memory_bytes` is measured.
    pub peak_memory: &'static str,
}

/// The model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelFacts {
    /// Its folder or preset.
    pub name: String,
    /// Its family.
    pub family: String,
    /// All parameters.
    pub parameters: usize,
    /// Those in matrix products, the head included, the embedding not.
    pub matmul_parameters: u64,
    /// Longest sequence, in tokens.
    pub context: i64,
}

impl Bench<'_> {
    /// A report in which nothing has been measured but the machine.
    pub(super) fn report(&self, name: &str) -> Report {
        Report {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            machine: self.machine(),
            model: self.model(name),
            settings: self.settings.clone(),
            prompts: self.workload.facts(self.has_tasks),
            prefill: None,
            decode: None,
            verify: None,
            train: None,
            step: None,
        }
    }

    fn machine(&self) -> Machine {
        Machine {
            cpu: device::cpu_name(),
            device: device::name(self.device),
            threads: tch::get_num_threads(),
            libtorch: device::LIBTORCH,
            kind: if self.device == Device::Cpu { "float32" } else { "bfloat16" },
            matmul_flops_per_s: self.probe.flops_per_s(),
            memory_bytes_per_s: self.memory_bytes_per_s,
            peak_memory: memory_method(self.device),
        }
    }

    fn model(&self, name: &str) -> ModelFacts {
        let architecture = self.learner.architecture();
        ModelFacts {
            name: name.to_owned(),
            family: architecture.model_type.clone(),
            parameters: self.learner.weights().n_parameters(),
            matmul_parameters: architecture.n_matmul_parameters(),
            context: architecture.max_positions,
        }
    }
}
