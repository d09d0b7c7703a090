//! The records of a run.
//!
//! One flat JSON object a line: `kind`, `schema`, `step`, `time_s`, then measurements by name, with their unit in it. A
//! missing key means "not measured", never 0. Names are never changed; readers ignore what they do not know. Numbers
//! that JSON lacks are written as the texts `"NaN"`, `"Infinity"` and `"-Infinity"`.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The version of the record format.
pub const SCHEMA: u32 = 1;

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What the record is about.
    pub kind: Kind,
    /// The version of the format, [`SCHEMA`].
    pub schema: u32,
    /// The optimiser step, from 1; 0 is before the first.
    pub step: u64,
    /// Seconds since 1970.
    pub time_s: f64,
    /// What happened, in words; events only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The measurements.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A step of reinforcement learning.
    Step,
    /// A step of supervised training.
    Sft,
    /// An evaluation on held-out tasks.
    Eval,
    /// The machine.
    System,
    /// Something that happened once, such as a resume.
    Event,
    /// A kind of a newer version.
    #[serde(other)]
    Unknown,
}

/// Measurements by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Sets a measurement.
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Sets a measurement where there is one.
    pub fn set_some(&mut self, name: impl Into<String>, value: Option<f64>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Returns a measurement, if it was made.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Returns all measurements in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, &value)| (name.as_str(), value))
    }

    /// Adds all measurements of another set.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.clone());
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, &value)| (name, to_json(value))))
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let mut metrics = Self::default();
        for (name, value) in all {
            match &value {
                Value::Number(number) => {
                    metrics.set(name, number.as_f64().ok_or_else(|| D::Error::custom("a number"))?);
                }
                Value::String(text) => metrics.set_some(name, from_word(text)),
                _ => {} // of a newer version
            }
        }
        Ok(metrics)
    }
}

/// Writes whole numbers without a decimal point, and what JSON lacks as a word.
fn to_json(value: f64) -> Value {
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        Value::from("NaN")
    } else if value.is_infinite() {
        Value::from(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else if value.fract() == 0.0 && value.abs() < LARGEST_EXACT {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

fn from_word(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// What a run has computed so far. Cumulative through restarts; evaluation stands apart and is not in the total.
///
/// Model FLOPs, not hardware FLOPs: see the formula in `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compute {
    /// Completions sampled, the dropped ones included.
    pub rollouts: u64,
    /// Prompt tokens prefilled, once a group.
    pub tokens_prompt: u64,
    /// Tokens sampled.
    pub tokens_gen: u64,
    /// Completion tokens trained on.
    pub tokens_train: u64,
    /// Operations of sampling.
    pub flops_gen: f64,
    /// Operations of scoring under old or reference weights.
    pub flops_score: f64,
    /// Operations of forward and backward passes in updates.
    pub flops_train: f64,
    /// Operations of supervised training before the first step; not in the total.
    pub flops_sft: f64,
    /// Completion tokens of supervised training.
    pub sft_tokens: u64,
    /// Seconds of supervised training.
    pub sft_wall_s: f64,
    /// Operations of evaluation; not in the total.
    pub eval_flops: f64,
    /// Tokens sampled in evaluation.
    pub eval_tokens: u64,
    /// Seconds of evaluation.
    pub eval_wall_s: f64,
    /// Seconds of CPU time spent in verifiers.
    pub verify_cpu_s: f64,
    /// Seconds of reinforcement learning, evaluation excluded.
    pub wall_s: f64,
    /// Seconds of CPU time of reinforcement learning, all threads of this process together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// Hours of reinforcement learning for which a GPU was held; none without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<f64>,
    /// Joules of the CPU packages in reinforcement learning, where they could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_cpu_j: Option<f64>,
    /// Joules of the GPU in reinforcement learning, where they could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_gpu_j: Option<f64>,
    /// Joules of the CPU packages in evaluation, where they could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_energy_cpu_j: Option<f64>,
    /// Joules of the GPU in evaluation, where they could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_energy_gpu_j: Option<f64>,
    /// Exact operations by component.
    pub exact: ExactFlops,
}

/// Operations by component, exact: attention by the keys that a query looks at, the head only where logits are wanted.
///
/// The axis of curves is the formula in `run.json`, which other people's figures can be compared with; these counts say
/// where operations go. Both are model FLOPs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExactFlops {
    /// Prompts of sampling.
    pub prefill: f64,
    /// Completions of sampling.
    pub decode: f64,
    /// Scoring under the weights of the step's start.
    pub score_old: f64,
    /// Scoring under the reference.
    pub score_reference: f64,
    /// Forward passes of updates.
    pub forward: f64,
    /// Backward passes of updates.
    pub backward: f64,
}

impl ExactFlops {
    /// Returns what was added since an earlier count.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            prefill: self.prefill - before.prefill,
            decode: self.decode - before.decode,
            score_old: self.score_old - before.score_old,
            score_reference: self.score_reference - before.score_reference,
            forward: self.forward - before.forward,
            backward: self.backward - before.backward,
        }
    }

    /// Returns all components with their names.
    pub fn components(&self) -> [(&'static str, f64); 6] {
        [
            ("prefill", self.prefill),
            ("decode", self.decode),
            ("score_old", self.score_old),
            ("score_reference", self.score_reference),
            ("forward", self.forward),
            ("backward", self.backward),
        ]
    }
}

impl Compute {
    /// Returns the operations of reinforcement learning: sampling, scoring and training.
    pub fn flops_total(&self) -> f64 {
        self.flops_gen + self.flops_score + self.flops_train
    }

    /// Writes the counters into a record, as `compute/…`.
    pub fn write(&self, step: u64, metrics: &mut Metrics) {
        let whole = |n: u64| n as f64;
        let all = [
            ("step", whole(step)),
            ("rollouts", whole(self.rollouts)),
            ("tokens_prompt", whole(self.tokens_prompt)),
            ("tokens_gen", whole(self.tokens_gen)),
            ("tokens_train", whole(self.tokens_train)),
            ("flops_gen", self.flops_gen),
            ("flops_score", self.flops_score),
            ("flops_train", self.flops_train),
            ("flops_total", self.flops_total()),
            ("flops_sft", self.flops_sft),
            ("sft_tokens", whole(self.sft_tokens)),
            ("sft_wall_s", self.sft_wall_s),
            ("eval_flops", self.eval_flops),
            ("eval_tokens", whole(self.eval_tokens)),
            ("eval_wall_s", self.eval_wall_s),
            ("verify_cpu_s", self.verify_cpu_s),
            ("wall_s", self.wall_s),
        ];
        for (name, value) in all {
            metrics.set(format!("compute/{name}"), value);
        }
        for (name, value) in self.exact.components() {
            metrics.set(format!("compute/flops_exact/{name}"), value);
        }
        let measured = [
            ("cpu_s", self.cpu_s),
            ("gpu_hours", self.gpu_hours),
            ("energy_cpu_j", self.energy_cpu_j),
            ("energy_gpu_j", self.energy_gpu_j),
            ("eval_energy_cpu_j", self.eval_energy_cpu_j),
            ("eval_energy_gpu_j", self.eval_energy_gpu_j),
        ];
        for (name, value) in measured {
            metrics.set_some(format!("compute/{name}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: f64) -> Record {
        let mut metrics = Metrics::default();
        metrics.set("reward/mean", value);
        Record { kind: Kind::Step, schema: SCHEMA, step: 3, time_s: 1.5, message: None, metrics }
    }

    #[test]
    fn a_record_is_one_flat_object() {
        let line = serde_json::to_string(&record(0.25)).unwrap();
        assert_eq!(line, r#"{"kind":"step","schema":1,"step":3,"time_s":1.5,"reward/mean":0.25}"#);
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record(0.25));
    }

    #[test]
    fn numbers_that_json_lacks_survive() {
        for value in [f64::INFINITY, f64::NEG_INFINITY] {
            let line = serde_json::to_string(&record(value)).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record(value));
        }
        let line = serde_json::to_string(&record(f64::NAN)).unwrap();
        assert!(line.contains("\"NaN\""));
        let read: Record = serde_json::from_str(&line).unwrap();
        assert!(read.metrics.get("reward/mean").unwrap().is_nan());
    }

    #[test]
    fn newer_versions_are_read_as_far_as_they_are_known() {
        let line = r#"{"kind":"dream","schema":9,"step":1,"time_s":0,"new":{"a":1},"old/x":2,"word":"w"}"#;
        let read: Record = serde_json::from_str(line).unwrap();
        assert_eq!((read.kind, read.metrics.get("old/x"), read.metrics.get("new")), (Kind::Unknown, Some(2.0), None));
    }

    #[test]
    fn what_was_not_measured_is_not_written() {
        let compute = Compute {
            energy_gpu_j: Some(3.0),
            eval_energy_cpu_j: Some(4.0),
            exact: ExactFlops { decode: 5.0, ..ExactFlops::default() },
            ..Compute::default()
        };
        let mut metrics = Metrics::default();
        compute.write(1, &mut metrics);
        assert_eq!(metrics.get("compute/energy_gpu_j"), Some(3.0));
        assert_eq!(metrics.get("compute/eval_energy_cpu_j"), Some(4.0));
        assert_eq!((metrics.get("compute/energy_cpu_j"), metrics.get("compute/gpu_hours")), (None, None));
        assert_eq!(metrics.get("compute/flops_exact/decode"), Some(5.0));
        let text = serde_json::to_string(&compute).unwrap();
        assert_eq!(serde_json::from_str::<Compute>(&text).unwrap(), compute);
        // A checkpoint of before these were counted.
        assert_eq!(serde_json::from_str::<Compute>("{\"rollouts\":2}").unwrap().rollouts, 2);
    }

    #[test]
    fn evaluation_is_not_on_the_training_axis() {
        let compute = Compute {
            flops_gen: 1.0,
            flops_score: 2.0,
            flops_train: 4.0,
            flops_sft: 8.0,
            eval_flops: 16.0,
            ..Compute::default()
        };
        assert_eq!(compute.flops_total(), 7.0);
    }
}
