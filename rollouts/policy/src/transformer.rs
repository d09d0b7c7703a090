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
use crate::cache::{CachedAttention, PromptKv};
use crate::checkpointing::{Activations, Checkpoints};
use crate::decoding::{DecodingGuard, DecodingMemory};
use crate::kernels::{KernelPass, Kernels, Reduced};
use crate::logprob::{self, ScoreGradient, Scores, logits};
use crate::mlp::mlp;
use crate::norm::rms_norm;
use crate::rope::{Rotation, frequencies};
use crate::weights::Weights;

/// An architecture with weights, ready to compute.
///
/// Matrices may be in bfloat16 (on GPUs); the head and everything after it are float32.
#[derive(Debug)]
pub struct Transformer {
    architecture: Architecture,
    weights: Weights,
    /// Angular frequencies of the rotation, `[head_dim / 2]`, where the weights are.
    frequencies: Tensor,
    numerics: Numerics,
    activations: Activations,
    kernels: Option<Arc<Kernels>>,
    reduced: Option<ReducedWeights>,
    decoding: Arc<DecodingMemory>,
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
        let frequencies = Tensor::from_slice(&frequencies(&architecture.rope, architecture.head_dim));
        let frequencies = frequencies.to_device(weights.embedding.device());
        Self {
            architecture,
            weights,
            frequencies,
            numerics: Numerics::default(),
            activations: Activations::default(),
            kernels: None,
            reduced: None,
            decoding: Arc::default(),
        }
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

    /// Decodes in memory that outlives the transformer.
    #[must_use]
    pub fn with_memory(mut self, decoding: &Arc<DecodingMemory>) -> Self {
        self.decoding = Arc::clone(decoding);
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
        let mut attend = PackedAttention::new(batch);
        let batch = batch.tensors();
        let hidden = self.forward(&batch.ids, &batch.positions, &mut attend); // [N, D]
        gather_rows(&hidden, &batch.predictors)
    }

    /// Returns the memory that at most `max_rows` sequences are decoded in by libtorch; nobody else has it meanwhile.
    pub fn decoding(&self, max_rows: usize) -> DecodingGuard<'_> {
        self.decoding.ready(self, max_rows)
    }

    pub(crate) fn is_batch_invariant(&self) -> bool {
        self.numerics == Numerics::BatchInvariant
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
        let mut attend = PackedAttention::keeping(&batch);
        let batch = batch.tensors();
        let hidden = self.forward(&batch.ids, &batch.positions, &mut attend);
        let layers = attend.into_kept();

        let mut start = 0;
        let mut last = vec![];
        let caches = prompts.iter().map(|prompt| {
            let kept = PromptKv::of(&layers, start, prompt.len());
            start += prompt.len() as i64;
            last.push(start - 1);
            kept
        });
        let caches = caches.collect();
        let last = Tensor::from_slice(&last).to_device(self.device());
        (caches, logits(&hidden.index_select(0, &last), self.weights.head()))
    }

    /// Computes the logits `[n, V]` after one more token of `n` sequences, given its id and position, `[n]` each.
    pub(crate) fn decode(&self, ids: &Tensor, positions: &Tensor, mut attend: CachedAttention<'_>) -> Tensor {
        match self.numerics {
            Numerics::Fast => logits(&self.forward(ids, positions, &mut attend), self.weights.head()),
            Numerics::BatchInvariant => {
                let rows = (0..ids.size()[0]).map(|row| {
                    let of_row = |tensor: &Tensor| tensor.narrow(0, row, 1);
                    let hidden = self.forward(&of_row(ids), &of_row(positions), &mut attend.row(row));
                    logits(&hidden, self.weights.head())
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
        Rotation::at(positions, &self.frequencies)
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
