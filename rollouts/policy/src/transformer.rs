//! The forward passes.

use std::sync::Arc;

use rlvr_cpu::training::Remember;
use rlvr_cpu::{HalfWeights, Model, Team};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::architecture::Architecture;
use crate::attention::{Attend, PackedAttention, attention, gather_rows};
use crate::batch::{Batch, PromptGroup};
use crate::cache::{KvCache, PromptKv};
use crate::checkpointing::{Activations, Checkpoints};
use crate::kernels::{Bfloat16, KernelPass, Kernels};
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
    activations: Activations,
    kernels: Option<Arc<Kernels>>,
    half: Option<HalfWeights>,
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
    /// The graph of libtorch that ends in the hidden states, `[T, D]`; and what lies below it, if that is not the weights.
    Graph(Tensor, Option<Checkpoints>),
    /// The tape of the CPU's kernels.
    Tape(KernelPass<'a>),
}

impl TrainingScores<'_> {
    /// Adds the gradient of a loss to the gradients of the weights, given its derivatives by the scores.
    pub fn backward(self, gradient: &ScoreGradient) {
        let (hidden, below) = match self.pass {
            ForwardPass::Graph(hidden, below) => (hidden, below),
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
        if let Some(checkpoints) = below {
            checkpoints.backward(self.transformer, self.batch);
        }
    }
}

impl Transformer {
    /// Joins an architecture and its weights.
    pub fn new(architecture: Architecture, weights: Weights) -> Self {
        let (numerics, activations) = (Numerics::default(), Activations::default());
        Self { architecture, weights, numerics, activations, kernels: None, half: None }
    }

    /// Chooses between speed and independence of the batch.
    #[must_use]
    pub fn with_numerics(mut self, numerics: Numerics) -> Self {
        self.numerics = numerics;
        self
    }

    /// Chooses what a forward pass keeps for its backward pass.
    #[must_use]
    pub fn with_activations(mut self, activations: Activations) -> Self {
        self.activations = activations;
        self
    }

    /// Scores and trains by kernels for the CPU instead of libtorch, where the weights are float32 in its memory.
    #[must_use]
    pub fn with_kernels(mut self, kernels: &Arc<Kernels>) -> Self {
        self.kernels = Some(Arc::clone(kernels));
        self
    }

    /// Decodes on the CPU with the matrices in bfloat16: faster, but not what the weights say; scores are as before.
    ///
    /// # Panics
    ///
    /// If the weights are not float32 in the memory of the CPU.
    #[must_use]
    pub fn decoding_in(mut self, bfloat16: Bfloat16) -> Self {
        let model = self.on_cpu().expect("float32 weights on the CPU");
        let half = match &self.kernels {
            Some(kernels) => HalfWeights::of(&model, kernels.team(), bfloat16),
            None => HalfWeights::of(&model, &Team::new(1), bfloat16),
        };
        self.half = Some(half);
        self
    }

    /// Returns the transformer for decoding on the CPU; none if its weights are elsewhere or not in float32.
    pub fn decoder(&self) -> Option<Model<'_>> {
        let model = self.on_cpu()?;
        Some(match &self.half {
            Some(half) => half.model(&model),
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
            let (scores, pass) = kernels.forward(self, batch, temperature, self.activations.into());
            (scores, ForwardPass::Tape(pass))
        } else {
            let (hidden, below) = match self.activations {
                Activations::Kept => (self.hidden(batch), None),
                Activations::Checkpointed => {
                    let checkpoints = Checkpoints::of(self, batch);
                    (checkpoints.hidden(self, batch), Some(checkpoints))
                }
            };
            let scores = logprob::score(&hidden, self.weights.head(), &batch.tensors().targets, temperature);
            (scores, ForwardPass::Graph(hidden, below))
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
        let rotation = self.rotation(positions);
        let mut x = self.embed(ids);
        for i in 0..self.weights.layers.len() {
            x = self.layer(i, &x, (&rotation, attend));
        }
        self.norm(&x)
    }

    pub(crate) fn rotation(&self, positions: &Tensor) -> Rotation {
        Rotation::at(positions, &self.architecture.rope, self.architecture.head_dim)
    }

    /// The residual stream before the first layer, `[N, D]`.
    pub(crate) fn embed(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.weights.embedding, ids, -1, false, false)
    }

    /// One layer, from the residual stream before it to that after it, `[N, D]`.
    pub(crate) fn layer(&self, i: usize, x: &Tensor, context: (&Rotation, &mut dyn Attend)) -> Tensor {
        let (layer, eps) = (&self.weights.layers[i], self.architecture.norm_eps);
        let normed = rms_norm(x, &layer.attention_norm, eps);
        let x = x + attention(&normed, i, &layer.attention, &self.architecture, context);
        let normed = rms_norm(&x, &layer.mlp_norm, eps);
        &x + mlp(&normed, &layer.mlp)
    }

    /// The final hidden states, from the residual stream after the last layer, `[N, D]`.
    pub(crate) fn norm(&self, x: &Tensor) -> Tensor {
        rms_norm(x, &self.weights.norm, self.architecture.norm_eps)
    }
}
