//! Activation checkpointing: layers are computed again rather than remembered.
//!
//! For its backward pass a layer leaves a dozen tensors behind, and the largest are several times as wide as the residual
//! stream. Kept here is the stream before each layer alone; on the way back, from the last layer to the first, each is
//! computed a second time and its graph used up at once. Memory is then that of one layer, and a row of the stream for each
//! of the others; time is that of one more forward pass.
//!
//! Chen et al. 2016, *Training Deep Nets with Sublinear Memory Cost* (arXiv:1604.06174), section 4.1, with segments of one
//! layer.

use rlvr_cpu::training::Remember;
use tch::{Kind, Tensor};

use crate::attention::{PackedAttention, gather_rows};
use crate::batch::Batch;
use crate::transformer::Transformer;

/// What a forward pass keeps for its backward pass of what it computes in the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// All that the backward pass looks at.
    #[default]
    Kept,
    /// What each layer starts from; the backward pass computes the rest again.
    Checkpointed,
}

impl From<Activations> for Remember {
    fn from(activations: Activations) -> Self {
        match activations {
            Activations::Kept => Self::Everything,
            Activations::Checkpointed => Self::Starts,
        }
    }
}

/// The residual stream of a forward pass by libtorch, between its layers.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// Before each layer, `[N, D]`.
    starts: Vec<Tensor>,
    /// After the last one, `[N, D]`: a leaf, so that the gradient by it is found where the way back through the layers
    /// begins.
    end: Tensor,
}

impl Checkpoints {
    /// Runs the layers over a batch, without a graph.
    pub(crate) fn of(transformer: &Transformer, batch: &Batch) -> Self {
        let _guard = tch::no_grad_guard();
        let tensors = batch.tensors();
        let (rotation, mut attend) = (transformer.rotation(&tensors.positions), PackedAttention::new(batch));
        let (mut starts, mut x) = (vec![], transformer.embed(&tensors.ids));
        for i in 0..transformer.weights().layers.len() {
            let after = transformer.layer(i, &x, (&rotation, &mut attend));
            starts.push(std::mem::replace(&mut x, after));
        }
        Self { starts, end: x.set_requires_grad(true) }
    }

    /// The hidden states that predict the completion tokens, `[T, D]`, with the graph from the end of the layers to them.
    pub(crate) fn hidden(&self, transformer: &Transformer, batch: &Batch) -> Tensor {
        gather_rows(&transformer.norm(&self.end), &batch.tensors().predictors)
    }

    /// Goes back through the layers and the embedding, once the graph of the hidden states has been gone through: adds to
    /// the gradients of the weights.
    ///
    /// Weights may be rounded copies of others. The gradient reaches the originals a layer at a time, since each has a
    /// copy of its own.
    pub(crate) fn backward(self, transformer: &Transformer, batch: &Batch) {
        let tensors = batch.tensors();
        let (rotation, mut attend) = (transformer.rotation(&tensors.positions), PackedAttention::new(batch));
        let mut gradient = self.end.grad();
        for (i, start) in self.starts.into_iter().enumerate().rev() {
            let start = start.set_requires_grad(true);
            let end = transformer.layer(i, &start, (&rotation, &mut attend));
            backward_from(&end, &gradient);
            gradient = start.grad();
        }
        backward_from(&transformer.embed(&tensors.ids), &gradient);
    }
}

/// Goes back through the graph of a tensor, given the gradient by it.
fn backward_from(end: &Tensor, gradient: &Tensor) {
    // The derivative of this sum by `end` is `gradient`, exactly.
    (end * gradient).sum(Kind::Float).backward();
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::batch::PromptGroup;
    use crate::logprob::ScoreGradient;
    use crate::preset::{Preset, Vocabulary};
    use crate::weights::Weights;

    const VOCABULARY: Vocabulary = Vocabulary { size: 30, eos: 29, pad: 29 };

    fn preset(family: &str, tied_head: bool) -> Preset {
        let family = family.to_owned();
        let (hidden_size, intermediate_size, n_layers) = (24, 40, 3);
        Preset { family, tied_head, hidden_size, intermediate_size, n_layers, ..Preset::default() }
    }

    /// Scores of two groups, and the gradients that a made-up loss leaves in the float32 weights, by name.
    fn pass(preset: &Preset, kind: Kind, activations: Activations) -> (Tensor, Vec<(String, Tensor)>) {
        let architecture = preset.architecture(VOCABULARY).unwrap();
        let originals = Weights::random(&architecture, 5, Device::Cpu);
        for parameter in originals.parameters().iter().filter(|parameter| parameter.tensor.dim() == 2) {
            // Random weights of deviation 0.02 hardly depend on their input.
            let _ = parameter.tensor.detach().g_mul_scalar_(8.0);
        }
        let originals = originals.trainable();
        let trainee = Transformer::new(architecture, originals.cast(kind)).with_activations(activations);
        let groups = [
            PromptGroup { prompt: &[3, 14, 15, 9], completions: vec![&[1, 8, 2, 8], &[11], &[18, 28, 4]] },
            PromptGroup { prompt: &[2, 7], completions: vec![&[5, 9, 0]] },
        ];
        let batch = Batch::new(&groups, Device::Cpu);
        let scored = trainee.score_for_training(&batch, 0.9);
        let logp = scored.scores.logp.copy();
        let ramp = Tensor::arange(batch.n_targets(), (Kind::Float, Device::Cpu));
        scored.backward(&ScoreGradient { logp: (&ramp + 1.0).sin(), entropy: Some((ramp * 2.0).cos()) });
        let gradients = originals.parameters().into_iter().map(|of| (of.name, of.tensor.grad()));
        (logp, gradients.collect())
    }

    /// Both ways give the same scores, and gradients that differ by at most so much of the largest.
    fn check(kind: Kind, tolerance: f64) {
        let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
        for (family, tied_head) in [("llama", true), ("qwen2", true), ("qwen3", false)] {
            let preset = preset(family, tied_head);
            let (logp, expected) = pass(&preset, kind, Activations::Kept);
            let (again, found) = pass(&preset, kind, Activations::Checkpointed);
            assert_eq!(largest(&(logp - again)), 0.0, "{family}: scores");
            assert_eq!(expected.len(), found.len());
            for ((name, expected), (_, found)) in expected.iter().zip(&found) {
                assert_eq!(found.kind(), Kind::Float, "{family}: {name}");
                let (size, difference) = (largest(expected), largest(&(expected - found)));
                assert!(size > 0.0 && difference <= tolerance * size, "{family}: {name}: {difference} of {size}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_the_whole_graph() {
        check(Kind::Float, 1e-6);
    }

    #[test]
    fn rounded_weights_hand_them_on_to_the_originals() {
        check(Kind::BFloat16, 1e-6);
    }

    #[test]
    fn gradients_add_up_over_passes() {
        let architecture = preset("llama", true).architecture(VOCABULARY).unwrap();
        let originals = Weights::random(&architecture, 5, Device::Cpu).trainable();
        let batch = Batch::new(&[PromptGroup { prompt: &[3, 14], completions: vec![&[1, 8, 2]] }], Device::Cpu);
        let norms = [1, 2].map(|_| {
            let trainee = Transformer::new(architecture.clone(), originals.cast(Kind::BFloat16));
            let trainee = trainee.with_activations(Activations::Checkpointed);
            let scored = trainee.score_for_training(&batch, 1.0);
            let gradient = scored.scores.logp.ones_like();
            scored.backward(&ScoreGradient { logp: gradient, entropy: None });
            originals.layers[1].mlp.down.grad().norm().double_value(&[])
        });
        assert!(norms[0] > 0.0 && (norms[1] / norms[0] - 2.0).abs() < 1e-6, "{norms:?}");
    }
}
