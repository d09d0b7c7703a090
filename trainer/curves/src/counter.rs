//! What may stand on the axis of compute: any counter that the records carry.

use std::collections::BTreeSet;

use crate::record::Record;

/// A counter of compute by its name in the records, `compute/NAME`. Model FLOPs of training by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter(String);

impl Default for Counter {
    fn default() -> Self {
        Self("flops_total".to_owned())
    }
}

impl Counter {
    /// Takes the name of a counter, such as `tokens_gen`, with or without `compute/` before it.
    pub fn new(name: &str) -> Self {
        Self(name.strip_prefix("compute/").unwrap_or(name).to_owned())
    }

    /// Returns the name without `compute/`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Returns what the counter says in a record.
    pub fn of(&self, record: &Record) -> Option<f64> {
        record.metrics.get(&format!("compute/{}", self.0))
    }

    /// Returns the names of all counters in some records, in alphabetical order.
    pub fn known<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
        let names = records.into_iter().flat_map(|record| record.metrics.iter().map(|(name, _)| name));
        let counters: BTreeSet<String> =
            names.filter_map(|name| name.strip_prefix("compute/")).map(str::to_owned).collect();
        counters.into_iter().collect()
    }

    /// Returns what it counts, with its unit, as it stands at an axis.
    pub fn label(&self) -> String {
        let known = match self.0.as_str() {
            "flops_total" => "training compute (model FLOPs)",
            "flops_gen" => "compute of sampling (model FLOPs)",
            "flops_score" => "compute of scoring (model FLOPs)",
            "flops_train" => "compute of updates (model FLOPs)",
            "eval_flops" => "compute of evaluation (model FLOPs)",
            "rollouts" => "completions sampled",
            "step" => "optimiser steps",
            "tokens_gen" => "tokens sampled",
            "tokens_prompt" => "prompt tokens",
            "tokens_train" => "tokens trained on",
            "wall_s" => "time of training (seconds)",
            "gpu_hours" => "device time (GPU hours)",
            "cpu_s" => "CPU time (seconds, all threads)",
            "energy_cpu_j" => "energy of the CPU (joules)",
            "energy_gpu_j" => "energy of the GPU (joules)",
            "eval_energy_cpu_j" => "energy of the CPU in evaluation (joules)",
            "eval_energy_gpu_j" => "energy of the GPU in evaluation (joules)",
            "kwh" => "energy (kWh)",
            "verify_cpu_s" => "CPU time of verification (seconds)",
            other => return format!("compute/{other}"),
        };
        known.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_carry_units_and_unknown_counters_their_names() {
        assert_eq!(Counter::default().label(), "training compute (model FLOPs)");
        assert_eq!(Counter::new("compute/wall_s"), Counter::new("wall_s"));
        assert_eq!(Counter::new("joules").label(), "compute/joules");
    }
}
