//! Prefill, against matrix products.

use serde::Serialize;

use super::Bench;
use super::measure::{Timing, measured, median};

/// Speed of prefill.
#[derive(Clone, Debug, Serialize)]
pub struct PrefillFigures {
    /// Prompts.
    pub prompts: usize,
    /// Their tokens.
    pub n_tokens: usize,
    /// Seconds.
    #[serde(flatten)]
    pub timing: Timing,
    /// Prompt tokens a second.
    pub tokens_per_s: f64,
    /// Model FLOPs of the prompts; the head counts once a prompt.
    pub flops: f64,
    /// Those a second over the rate of large matrix products.
    pub share_of_matmul_peak: f64,
    /// Operations a second of large matrix products in the same rounds.
    pub matmul_flops_per_s: f64,
    /// The largest memory of the process.
    pub peak_memory_bytes: Option<u64>,
}

impl Bench<'_> {
    pub(super) fn prefill(&self) -> PrefillFigures {
        let sampler = self.learner.policy();
        let prompts: Vec<&[u32]> = self.workload.prompts.iter().map(Vec::as_slice).collect();
        drop(sampler.prefill(&prompts));
        let flops = self.workload.prefill_flops(self.learner.architecture());
        let (mut rounds_s, mut peaks, mut memory) = (vec![], vec![], None);
        for _ in 0..self.settings.repeats {
            let before = self.probe.flops_per_s();
            let done = measured(self.device, || sampler.prefill(&prompts));
            rounds_s.push(done.wall_s);
            peaks.push(before.max(self.probe.flops_per_s()));
            memory = memory.max(done.peak_memory_bytes);
        }
        let shares: Vec<f64> = rounds_s.iter().zip(&peaks).map(|(wall_s, peak)| flops / wall_s / peak).collect();
        let (n_tokens, timing) = (self.workload.n_prompt_tokens(), Timing::of(rounds_s));
        PrefillFigures {
            prompts: prompts.len(),
            n_tokens,
            tokens_per_s: n_tokens as f64 / timing.wall_s,
            timing,
            flops,
            share_of_matmul_peak: median(&shares),
            matmul_flops_per_s: median(&peaks),
            peak_memory_bytes: memory,
        }
    }
}
