//! The forward passes.

use std::sync::Arc;

use rlvr_cpu::training::Remember;
use rlvr_cpu::{Model, ReducedWeights, Team};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::architecture::Architecture;
use crate::attention::{Attend, PackedAttention, attention, gather_rows};
use crate::batch::{Batch, PromptGroup};
use crate::cache::{KvCache, PromptKv};
use crate::kernels::{KernelPass, Kernels, Reduced};
use crate::linear::linear;
use crate::logprob::{self, ScoreGradient, Scores};
use crate::mlp::mlp;
use crate::norm::rms_norm;
use crate::rope::Rotation;
use crate::weights::Weights;

/// An architecture with weights, ready to compute.
///
/// Matrices may be in bfloat16 (on GPUs); the head and everything after it are float32.
#[derive(Debug)]
pub struct Transformer {
    architecture: Architecture,
    weights: Weights,
    numerics: Numerics,
    kernels: Option<Arc<Kernels>>,
    reduced: Option<ReducedWeights>,
}

/// Whether a sequence may feel the others in its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Numerics {
    /// As fast as possible: sequences are computed together, and float rounding depends on their number.
    #[default]
    Fast,
    /// Each sequence is computed as if it were alone, bit for bit, at the price of speed.
    BatchInvariant,
}

/// The scores of a batch with what leads from the weights to them.
#[derive(Debug)]
pub struct TrainingScores<'a> {
    /// Log-probability and entropy of every completion token.
    pub scores: Scores,
    transformer: &'a Transformer,
    batch: &'a Batch,
    temperature: f64,
    pass: ForwardPass<'a>,
}

/// What a forward pass has left for the backward pass.
#[derive(Debug)]
enum ForwardPass<'a> {
    /// The graph of libtorch that ends in the hidden states, `[T, D]`.
    Graph(Tensor),
    /// The tape of the CPU's kernels.
    Tape(KernelPass<'a>),
}

impl TrainingScores<'_> {
    /// Adds the gradient of a loss to the gradients of the weights, given its derivatives by the scores.
    pub fn backward(self, gradient: &ScoreGradient) {
        let hidden = match self.pass {
            ForwardPass::Graph(hidden) => hidden,
            ForwardPass::Tape(pass) => return pass.backward(self.transformer, self.batch, self.temperature, gradient),
        };
        let head = self.transformer.weights.head();
        let mut head_gradient = logprob::gradient_of(head);
        let slope = logprob::accumulate_gradient(
            (&hidden.detach(), head),
            &self.batch.tensors().targets,
            self.temperature,
            gradient,
            &mut head_gradient,
        );
        (hidden * slope).sum(Kind::Float).backward();
    }
}

impl Transformer {
    /// Joins an architecture and its weights.
    pub fn new(architecture: Architecture, weights: Weights) -> Self {
        Self { architecture, weights, numerics: Numerics::Fast, kernels: None, reduced: None }
    }

    /// Chooses between speed and independence of the batch.
    #[must_use]
    pub fn with_numerics(mut self, numerics: Numerics) -> Self {
        self.numerics = numerics;
        self
    }

    /// Scores and trains by kernels for the CPU instead of libtorch, where the weights are float32 in its memory.
    #[must_use]
    pub fn with_kernels(mut self, kernels: &Arc<Kernels>) -> Self {
        self.kernels = Some(Arc::clone(kernels));
        self
    }

    /// Decodes on the CPU with the matrices in fewer bits: faster, but not what the weights say; scores are as before.
    ///
    /// # Panics
    ///
    /// If the weights are not float32 in the memory of the CPU, or a matrix has too many inputs for integers.
    #[must_use]
    pub fn decoding_in(mut self, reduced: Reduced) -> Self {
        let model = self.on_cpu().expect("float32 weights on the CPU");
        let weights = match &self.kernels {
            Some(kernels) => ReducedWeights::of(&model, kernels.team(), reduced),
            None => ReducedWeights::of(&model, &Team::new(1), reduced),
        };
        self.reduced = Some(weights);
        self
    }

    /// Returns the transformer for decoding on the CPU; none if its weights are elsewhere or not in float32.
    pub fn decoder(&self) -> Option<Model<'_>> {
        let model = self.on_cpu()?;
        Some(match &self.reduced {
            Some(reduced) => reduced.model(&model),
            None => model,
        })
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Returns the weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Exchanges the weights.
    #[must_use]
    pub fn map_weights(self, f: impl FnOnce(Weights) -> Weights) -> Self {
        Self { weights: f(self.weights), ..self }
    }

    /// Gives the weights away.
    pub fn into_weights(self) -> Weights {
        self.weights
    }

    /// Returns the device that the weights are on.
    pub fn device(&self) -> Device {
        self.weights.embedding.device()
    }

    /// Computes the log-probability and entropy of every completion token of a batch, `[T]` each, without gradients.
    pub fn score(&self, batch: &Batch, temperature: f64) -> Scores {
        if let Some(kernels) = self.usable_kernels() {
            return kernels.forward(self, batch, temperature, Remember::Nothing).0;
        }
        let targets = &batch.tensors().targets;
        tch::no_grad(|| logprob::score(&self.hidden(batch), self.weights.head(), targets, temperature))
    }

    /// The same, ready for a backward pass into the weights, which must be [trainable](Weights::trainable).
    pub fn score_for_training<'a>(&'a self, batch: &'a Batch, temperature: f64) -> TrainingScores<'a> {
        let (scores, pass) = if let Some(kernels) = self.usable_kernels() {
            let (scores, pass) = kernels.forward(self, batch, temperature, Remember::Everything);
            (scores, ForwardPass::Tape(pass))
        } else {
            let hidden = self.hidden(batch);
            let scores = logprob::score(&hidden, self.weights.head(), &batch.tensors().targets, temperature);
            (scores, ForwardPass::Graph(hidden))
        };
        TrainingScores { scores, transformer: self, batch, temperature, pass }
    }

    fn usable_kernels(&self) -> Option<&Kernels> {
        let is_float = self.device() == Device::Cpu && self.weights.kind() == Kind::Float;
        self.kernels.as_deref().filter(|_| is_float)
    }

    /// Computes the hidden states that predict the completion tokens of a batch, `[T, D]`.
    fn hidden(&self, batch: &Batch) -> Tensor {
        let batch = batch.tensors();
        let mut attend = PackedAttention::new(&batch.layout);
        let hidden = self.forward(&batch.ids, &batch.positions, &mut attend); // [N, D]
        gather_rows(&hidden, &batch.predictors)
    }

    /// Computes the logits `[M, V]` in float32 from hidden states `[M, D]`.
    pub fn logits(&self, hidden: &Tensor) -> Tensor {
        linear(&hidden.to_kind(Kind::Float), self.weights.head(), None)
    }

    /// Makes an empty cache for at most `max_rows` sequences.
    pub fn cache(&self, max_rows: usize) -> KvCache {
        KvCache::new(&self.architecture, max_rows, self.weights.kind(), self.device())
    }

    /// Computes keys, values and the logits `[P, V]` after the last token of each prompt.
    ///
    /// # Panics
    ///
    /// If a prompt is empty.
    pub fn prefill(&self, prompts: &[&[u32]]) -> (Vec<PromptKv>, Tensor) {
        match self.numerics {
            Numerics::Fast => self.prefill_together(prompts),
            Numerics::BatchInvariant => {
                let (mut caches, mut logits) = (vec![], vec![]);
                for prompt in prompts {
                    let (cache, row) = self.prefill_together(&[prompt]);
                    caches.extend(cache);
                    logits.push(row);
                }
                (caches, Tensor::cat(&logits, 0))
            }
        }
    }

    fn prefill_together(&self, prompts: &[&[u32]]) -> (Vec<PromptKv>, Tensor) {
        let _guard = tch::no_grad_guard();
        let groups: Vec<PromptGroup<'_>> =
            prompts.iter().map(|&prompt| PromptGroup { prompt, completions: vec![] }).collect();
        let batch = Batch::new(&groups, self.device());
        let batch = batch.tensors();
        let mut attend = PackedAttention::keeping(&batch.layout);
        let hidden = self.forward(&batch.ids, &batch.positions, &mut attend);
        let layers = attend.into_kept();

        let mut start = 0;
        let mut last = vec![];
        let caches = prompts.iter().map(|prompt| {
            let length = prompt.len() as i64;
            let of_prompt = |x: &Tensor| x.narrow(0, start, length).transpose(0, 1).contiguous();
            let layers = layers.iter().map(|(k, v)| (of_prompt(k), of_prompt(v))).collect();
            start += length;
            last.push(start - 1);
            PromptKv { layers, length: prompt.len() }
        });
        let caches = caches.collect();
        let last = Tensor::from_slice(&last).to_device(self.device());
        (caches, self.logits(&hidden.index_select(0, &last)))
    }

    /// Appends one token to every row of the cache and computes the logits `[rows, V]` after it.
    ///
    /// # Panics
    ///
    /// If there are not as many ids as rows.
    pub fn decode(&self, cache: &mut KvCache, ids: &[u32]) -> Tensor {
        assert_eq!(ids.len(), cache.n_rows(), "every row gets one token");
        let _guard = tch::no_grad_guard();
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let ids = Tensor::from_slice(&ids).to_device(self.device());
        let mut attend = cache.grow();
        match self.numerics {
            Numerics::Fast => {
                let positions = attend.positions.shallow_clone();
                let hidden = self.forward(&ids, &positions, &mut attend);
                self.logits(&hidden)
            }
            Numerics::BatchInvariant => {
                let n_rows = ids.size()[0] as usize;
                let rows = (0..n_rows).map(|row| {
                    let mut alone = attend.row(row);
                    let positions = alone.positions.shallow_clone();
                    let hidden = self.forward(&ids.narrow(0, row as i64, 1), &positions, &mut alone);
                    self.logits(&hidden)
                });
                Tensor::cat(&rows.collect::<Vec<_>>(), 0)
            }
        }
    }

    /// The transformer itself, whatever its tokens attend to.
    fn forward(&self, ids: &Tensor, positions: &Tensor, attend: &mut dyn Attend) -> Tensor {
        let Self { architecture, weights, .. } = self;
        let eps = architecture.norm_eps;
        let rotation = Rotation::at(positions, &architecture.rope, architecture.head_dim);
        let mut x = Tensor::embedding(&weights.embedding, ids, -1, false, false); // [N, D]
        for (i, layer) in weights.layers.iter().enumerate() {
            let normed = rms_norm(&x, &layer.attention_norm, eps);
            x = &x + attention(&normed, i, &layer.attention, architecture, (&rotation, attend));
            let normed = rms_norm(&x, &layer.mlp_norm, eps);
            x = &x + mlp(&normed, &layer.mlp);
        }
        rms_norm(&x, &weights.norm, eps)
    }
}
