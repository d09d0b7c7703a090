//! Generation, against matrix products and memory.

use std::time::Instant;

use rlvr_policy::Transformer;
use rlvr_rollouts::engine::Request;
use rlvr_rollouts::rollout::Completion;
use rlvr_rollouts::{Engine, GenerationLimits, Noise, RolloutError, Sampling};
use serde::Serialize;
use tch::Device;

use super::measure::{Timing, measured, median, median_of};
use super::workload::{Lengths, Workload};
use super::{Bench, BenchError};

/// Speed of generation.
#[derive(Clone, Debug, Serialize)]
pub struct DecodeFigures {
    /// The most completions decoded at a time.
    pub rows: usize,
    /// Completions.
    pub completions: usize,
    /// Completion tokens in all.
    pub n_tokens: usize,
    /// The tokens of the longest completion.
    pub longest: usize,
    /// Seconds from prompts to texts.
    #[serde(flatten)]
    pub timing: Timing,
    /// Completion tokens a second over that time.
    pub tokens_per_s: f64,
    /// Seconds to the first tokens: prefill and the first draw.
    pub first_token_s: f64,
    /// Completion tokens a second after that, the prefill of prompts that come later included; none if all is done then.
    pub decode_tokens_per_s: Option<f64>,
    /// Model FLOPs of decoding.
    pub decode_flops: f64,
    /// Those a second over the rate of large matrix products.
    pub share_of_matmul_peak: Option<f64>,
    /// Operations a second of large matrix products in the same rounds.
    pub matmul_flops_per_s: f64,
    /// Seconds of the weight matrices alone, multiplied as often, each time with as many rows.
    pub matmul_limit_s: f64,
    /// Those over the seconds of decoding.
    pub share_of_matmul_limit: Option<f64>,
    /// Bytes that decoding must read: for each token of all rows the weights, and the keys and values of every row, as if
    /// no prompt were shared.
    pub decode_bytes: f64,
    /// Those a second over the bandwidth of memory.
    pub share_of_memory_bandwidth: Option<f64>,
    /// The same completions with the mean length each, in the same rounds, where lengths are geometric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal_lengths: Option<EqualLengths>,
    /// The largest memory of the process.
    pub peak_memory_bytes: Option<u64>,
}

/// What comes of completions that are all alike.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EqualLengths {
    /// Completion tokens a second.
    pub tokens_per_s: f64,
    /// Tokens a second of lengths that differ, over these.
    pub ratio: f64,
}

/// One generation of everything.
pub(super) struct Generated {
    pub completions: Vec<Vec<Completion>>,
    /// Seconds to the first tokens, and their number.
    first: (f64, usize),
}

impl Generated {
    /// The tokens of each completion.
    pub(super) fn lengths(&self) -> Vec<Vec<usize>> {
        self.completions.iter().map(|group| group.iter().map(|completion| completion.ids.len()).collect()).collect()
    }
}

/// One round: what was generated, in which time, and what was measured beside it.
struct Round {
    workload: Workload,
    wall_s: f64,
    first: (f64, usize),
    peak_memory_bytes: Option<u64>,
    matmul_flops_per_s: f64,
    matmul_limit_s: f64,
    equal_tokens_per_s: Option<f64>,
}

impl Round {
    fn tokens_per_s(&self) -> f64 {
        self.workload.n_tokens() as f64 / self.wall_s
    }

    /// Seconds of decoding, after the first tokens, and the tokens decoded.
    fn decoded(&self) -> Option<(f64, f64)> {
        let (first_s, n_first) = self.first;
        let n_tokens = self.workload.n_tokens();
        (n_tokens > n_first).then(|| (self.wall_s - first_s, (n_tokens - n_first) as f64))
    }
}

/// The median of what `of` says of the seconds and tokens of decoding; none if there was no decoding.
fn over_decoding(rounds: &[Round], of: impl Fn(&Round, f64, f64) -> f64) -> Option<f64> {
    let decoded = rounds.iter().filter_map(|round| round.decoded().map(|(s, n)| of(round, s, n)));
    let values: Vec<f64> = decoded.collect();
    (!values.is_empty()).then(|| median(&values))
}

impl Bench<'_> {
    pub(super) fn decode(&self) -> Result<DecodeFigures, BenchError> {
        let sampler = self.learner.sampler();
        self.warm_up(&sampler)?;
        let rounds = (0..self.settings.repeats).map(|_| self.decode_round(&sampler)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.decode_figures(&rounds))
    }

    /// Generates two tokens of everything, so that threads and kernels are there.
    pub(super) fn warm_up(&self, sampler: &Transformer) -> Result<(), BenchError> {
        self.generate(sampler, &self.workload.with_length(self.settings.new_tokens.min(2)))?;
        Ok(())
    }

    fn decode_round(&self, sampler: &Transformer) -> Result<Round, BenchError> {
        let before = self.probe.flops_per_s();
        let done = measured(self.device, || self.generate(sampler, &self.workload));
        let after = self.probe.flops_per_s();
        let generated = done.value?;
        let workload = self.workload.with_lengths(generated.lengths());
        Ok(Round {
            matmul_limit_s: self.matmul_limit_s(sampler, &workload),
            workload,
            wall_s: done.wall_s,
            first: generated.first,
            peak_memory_bytes: done.peak_memory_bytes,
            matmul_flops_per_s: before.max(after),
            equal_tokens_per_s: self.equal_tokens_per_s(sampler)?,
        })
    }

    /// Seconds of the weight matrices alone for all that was decoded.
    fn matmul_limit_s(&self, sampler: &Transformer, workload: &Workload) -> f64 {
        let counts = workload.decoded_rows(self.settings.rows);
        let repeats = if counts.len() > 4 { 3 } else { 9 };
        let typical = |rows: usize| {
            let mut multiply = sampler.matmuls(rows);
            multiply(); // once to warm up
            median(&(0..repeats).map(|_| measured(self.device, &mut multiply).wall_s).collect::<Vec<_>>())
        };
        counts.into_iter().map(|(rows, n)| n as f64 * typical(rows)).sum()
    }

    /// Tokens a second of completions that all have the mean length, where lengths are geometric.
    fn equal_tokens_per_s(&self, sampler: &Transformer) -> Result<Option<f64>, BenchError> {
        if self.settings.lengths != Lengths::Geometric {
            return Ok(None);
        }
        let workload = self.workload.with_length(self.settings.new_tokens);
        let done = measured(self.device, || self.generate(sampler, &workload));
        done.value?;
        Ok(Some(workload.n_tokens() as f64 / done.wall_s))
    }

    /// Generates a workload through the engine.
    pub(super) fn generate(&self, sampler: &Transformer, workload: &Workload) -> Result<Generated, RolloutError> {
        let limits = GenerationLimits {
            max_new_tokens: workload.lengths.iter().flatten().copied().max().unwrap_or(1),
            stop_strings: vec![],
            ignore_stop_ids: self.settings.lengths != Lengths::Natural,
            max_rows: self.settings.rows,
        };
        let requests: Vec<Request<'_>> = (workload.prompts.iter().zip(&self.tasks).zip(&workload.lengths))
            .map(|((prompt, task), lengths)| Request { id: &task.id, prompt, n: lengths.len() })
            .collect();
        let sampling = Sampling::default();
        let engine = Engine::new(sampler, self.tokenizer, &sampling, &limits)?.with_lengths(&workload.lengths);
        let start = Instant::now();
        let mut first = None;
        let completions = engine.generate(&requests, Noise { seed: 0, step: 0 }, &mut |n| {
            first.get_or_insert_with(|| (start.elapsed().as_secs_f64(), n));
        })?;
        Ok(Generated { completions, first: first.unwrap_or_default() })
    }

    fn decode_figures(&self, rounds: &[Round]) -> DecodeFigures {
        let workload = &rounds[0].workload; // every round draws the same tokens
        let flops = workload.decode_flops(self.learner.architecture());
        let bytes = self.decode_bytes(workload);
        let bandwidth = self.memory_bytes_per_s;
        DecodeFigures {
            rows: self.settings.rows,
            completions: workload.n_completions(),
            n_tokens: workload.n_tokens(),
            longest: workload.lengths.iter().flatten().copied().max().unwrap_or(0),
            timing: Timing::of(rounds.iter().map(|round| round.wall_s).collect()),
            tokens_per_s: median_of(rounds, Round::tokens_per_s),
            first_token_s: median_of(rounds, |round| round.first.0),
            decode_tokens_per_s: over_decoding(rounds, |_, seconds, tokens| tokens / seconds),
            decode_flops: flops,
            share_of_matmul_peak: over_decoding(rounds, |round, s, _| flops / s / round.matmul_flops_per_s),
            matmul_flops_per_s: median_of(rounds, |round| round.matmul_flops_per_s),
            matmul_limit_s: median_of(rounds, |round| round.matmul_limit_s),
            share_of_matmul_limit: over_decoding(rounds, |round, s, _| round.matmul_limit_s / s),
            decode_bytes: bytes,
            share_of_memory_bandwidth: over_decoding(rounds, |_, s, _| bytes / s / bandwidth),
            equal_lengths: equal_lengths(rounds),
            peak_memory_bytes: rounds.iter().filter_map(|round| round.peak_memory_bytes).max(),
        }
    }

    /// Bytes that decoding must read.
    fn decode_bytes(&self, workload: &Workload) -> f64 {
        let a = self.learner.architecture();
        let size = if self.device == Device::Cpu { 4.0 } else { 2.0 };
        let head = (a.vocab_size * a.hidden_size) as f64; // float32 everywhere
        let weights = (a.n_matmul_parameters() as f64 - head) * size + 4.0 * head;
        let steps: usize = workload.decoded_rows(self.settings.rows).into_values().sum();
        let of_token = (2 * a.n_layers * a.n_kv_heads * a.head_dim) as f64 * size;
        steps as f64 * weights + workload.tokens_read() * of_token
    }
}

fn equal_lengths(rounds: &[Round]) -> Option<EqualLengths> {
    let pairs: Option<Vec<(f64, f64)>> =
        rounds.iter().map(|round| Some((round.equal_tokens_per_s?, round.tokens_per_s()))).collect();
    let pairs = pairs?;
    Some(EqualLengths {
        tokens_per_s: median_of(&pairs, |(equal, _)| *equal),
        ratio: median_of(&pairs, |(equal, geometric)| geometric / equal),
    })
}
