//! The update, against matrix products.

use serde::Serialize;

use super::Bench;
use super::measure::{Timing, measured, median};
use crate::optimizer::{AdamW, OptimizerConfig};
use crate::step::{StepOutcome, TrainingGroup, TrainingRollout, UpdateSettings, score, update};

/// Speed of an update: forward, backward, optimiser.
#[derive(Clone, Debug, Serialize)]
pub struct TrainFigures {
    /// Completions.
    pub completions: usize,
    /// Tokens of prompts, each once, and completions; padding is none.
    pub n_tokens: usize,
    /// Completion tokens among them.
    pub n_completion_tokens: usize,
    /// Seconds.
    #[serde(flatten)]
    pub timing: Timing,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// Model FLOPs of forward and backward passes.
    pub flops: f64,
    /// Model FLOP utilisation: those a second over the rate of large matrix products.
    pub share_of_matmul_peak: f64,
    /// The same without the head's products at prompt tokens, which nobody needs.
    pub share_of_matmul_peak_without_prompt_head: f64,
    /// Operations a second of large matrix products in the same rounds.
    pub matmul_flops_per_s: f64,
    /// The largest memory of the process.
    pub peak_memory_bytes: Option<u64>,
}

/// Completions to train on, with what the sampler would have written down.
pub(super) struct Batch {
    prompts: Vec<Vec<u32>>,
    completions: Vec<Vec<Written>>,
}

/// The ids of a completion and their log-probabilities.
pub(super) type Written = (Vec<u32>, Vec<f32>);

impl Batch {
    /// Joins prompts with their completions.
    pub(super) fn new(prompts: Vec<Vec<u32>>, completions: Vec<Vec<Written>>) -> Self {
        Self { prompts, completions }
    }

    /// The prompts, each with its completions.
    pub(super) fn ids(&self) -> Vec<(&[u32], Vec<&[u32]>)> {
        let groups = self.prompts.iter().zip(&self.completions);
        groups.map(|(prompt, all)| (prompt.as_slice(), all.iter().map(|(ids, _)| ids.as_slice()).collect())).collect()
    }

    /// The log-probabilities of each completion.
    fn written(&self) -> Vec<Vec<Vec<f32>>> {
        self.completions.iter().map(|all| all.iter().map(|(_, logp)| logp.clone()).collect()).collect()
    }

    /// The tokens of each completion, group after group.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.completions.iter().flatten().map(|(ids, _)| ids.len()).collect()
    }

    /// Completion tokens in all.
    pub(super) fn n_tokens(&self) -> usize {
        self.lengths().into_iter().sum()
    }

    /// Joins completions with their advantages and, where there is a reference policy, their log-probabilities under it.
    pub(super) fn groups<'a>(
        &'a self,
        advantage: impl Fn(usize, usize) -> f64,
        reference: Option<&[Vec<Vec<f32>>]>,
    ) -> Vec<TrainingGroup<'a>> {
        let rollout = |g: usize, i: usize| {
            let (ids, logp) = &self.completions[g][i];
            TrainingRollout {
                ids,
                sampler_logp: logp,
                old_logp: None,
                reference_logp: reference.map(|reference| reference[g][i].clone()),
                advantage: advantage(g, i),
            }
        };
        let group = |(g, prompt): (usize, &'a Vec<u32>)| TrainingGroup {
            prompt,
            rollouts: (0..self.completions[g].len()).map(|i| rollout(g, i)).collect(),
        };
        self.prompts.iter().enumerate().map(group).collect()
    }
}

/// An advantage for completions that nobody judged: 1 for every second one and −1 for the others, so that all count.
pub(super) fn alternating(_: usize, index: usize) -> f64 {
    if index.is_multiple_of(2) { 1.0 } else { -1.0 }
}

impl Bench<'_> {
    pub(super) fn train(&self) -> TrainFigures {
        let batch = self.made_up();
        let needs_reference = self.settings.recipe.loss().kl.is_some();
        let reference: Option<Vec<Vec<Vec<f32>>>> = needs_reference.then(|| batch.written());
        let groups = batch.groups(alternating, reference.as_deref());
        let mut optimizer = self.learner.optimizer();
        self.update(&mut optimizer, &[first_of(&groups[0])]);

        let (mut rounds_s, mut peaks, mut memory, mut flops) = (vec![], vec![], None, 0.0);
        for _ in 0..self.settings.repeats {
            let before = self.probe.flops_per_s();
            let done = measured(self.device, || self.update(&mut optimizer, &groups));
            peaks.push(before.max(self.probe.flops_per_s()));
            flops = done.value.flops;
            rounds_s.push(done.wall_s);
            memory = memory.max(done.peak_memory_bytes);
        }
        self.train_figures(flops, Timing::of(rounds_s), &peaks, memory)
    }

    fn train_figures(&self, flops: f64, timing: Timing, peaks: &[f64], memory: Option<u64>) -> TrainFigures {
        let (workload, architecture) = (&self.workload, self.learner.architecture());
        let n_tokens = workload.n_prompt_tokens() + workload.n_tokens();
        let of_head = 6.0 * (architecture.vocab_size * architecture.hidden_size) as f64;
        let unneeded = of_head * (workload.n_prompt_tokens() - workload.prompts.len()) as f64;
        let shares: Vec<f64> = timing.rounds_s.iter().zip(peaks).map(|(s, peak)| flops / s / peak).collect();
        let share = median(&shares);
        TrainFigures {
            completions: workload.n_completions(),
            n_tokens,
            n_completion_tokens: workload.n_tokens(),
            tokens_per_s: n_tokens as f64 / timing.wall_s,
            timing,
            flops,
            share_of_matmul_peak: share,
            share_of_matmul_peak_without_prompt_head: share * (flops - unneeded) / flops,
            matmul_flops_per_s: median(peaks),
            peak_memory_bytes: memory,
        }
    }

    /// Completions of random tokens, scored as the sampler would have.
    fn made_up(&self) -> Batch {
        let (workload, architecture) = (&self.workload, self.learner.architecture());
        let ids: Vec<Vec<Vec<u32>>> = (workload.lengths.iter().enumerate())
            .map(|(p, lengths)| (0..lengths.len()).map(|i| workload.completion(p, i, architecture)).collect())
            .collect();
        let groups: Vec<(&[u32], Vec<&[u32]>)> = (workload.prompts.iter().zip(&ids))
            .map(|(prompt, ids)| (prompt.as_slice(), ids.iter().map(Vec::as_slice).collect()))
            .collect();
        let budget = self.settings.tokens_per_micro_batch;
        let (logp, _) = score(&self.learner.policy(), &groups, 1.0, budget);
        let completions = ids.into_iter().zip(logp).map(|(ids, logp)| ids.into_iter().zip(logp).collect()).collect();
        Batch::new(workload.prompts.clone(), completions)
    }

    /// Updates the weights as a step does.
    pub(super) fn update(&self, optimizer: &mut AdamW, groups: &[TrainingGroup<'_>]) -> StepOutcome {
        let config = OptimizerConfig {
            tokens_per_micro_batch: self.settings.tokens_per_micro_batch,
            checkpoint_activations: self.settings.checkpoint_activations,
            ..OptimizerConfig::default()
        };
        let settings = UpdateSettings {
            loss: &self.settings.recipe.loss(),
            optimizer: &config,
            lr: config.lr,
            temperature: 1.0,
            max_new_tokens: self.settings.longest(),
        };
        update(self.learner, optimizer, groups, &settings)
    }
}

/// A group with its first completion alone, to warm up with.
fn first_of<'a>(group: &TrainingGroup<'a>) -> TrainingGroup<'a> {
    TrainingGroup { prompt: group.prompt, rollouts: group.rollouts[..1].to_vec() }
}
