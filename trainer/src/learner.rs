//! The policy that is trained, and what is computed with it.

use std::cell::OnceCell;
use std::sync::Arc;

use rlvr_policy::decoding::Graphs;
use rlvr_policy::kernels::{Bfloat16, Int8, Reduced};
use rlvr_policy::{Activations, Architecture, DecodingMemory, Kernels, Numerics, Transformer, Weights};
use tch::{Device, Kind};

use crate::config::SamplerWeights;
use crate::optimizer::AdamW;

/// The trained policy: float32 weights that collect gradients, and the kind of numbers to compute in.
#[derive(Debug)]
pub struct Learner {
    architecture: Architecture,
    weights: Weights,
    compute: Kind,
    numerics: Numerics,
    kernels: Arc<Kernels>,
    /// Where rollouts are sampled in fewer bits on the CPU, in which.
    reduced: Option<Reduced>,
    /// The weights in the kind that GPUs compute in, always in the same memory, since graphs look there.
    rounded: OnceCell<Weights>,
    decoding: Arc<DecodingMemory>,
}

impl Learner {
    /// Takes over weights; computes in bfloat16 on GPUs and in float32 elsewhere.
    pub fn new(architecture: Architecture, weights: Weights, numerics: Numerics) -> Self {
        let weights = weights.trainable();
        let compute = if weights.head().device() == Device::Cpu { Kind::Float } else { Kind::BFloat16 };
        Self {
            architecture,
            weights,
            compute,
            numerics,
            kernels: Arc::default(),
            reduced: None,
            rounded: OnceCell::new(),
            decoding: Arc::default(),
        }
    }

    /// Chooses whether what a decoded token takes is recorded as a CUDA graph.
    #[must_use]
    pub fn decoding_with(mut self, graphs: Graphs) -> Self {
        self.decoding = Arc::new(DecodingMemory::new(graphs));
        self
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Returns the weights, float32.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Makes an optimiser for the weights.
    pub fn optimizer(&self) -> AdamW {
        let adam = AdamW::new(self.weights.parameters());
        if self.compute == Kind::Float { adam.with_kernels(Arc::clone(&self.kernels)) } else { adam }
    }

    /// Chooses what samples rollouts.
    ///
    /// # Errors
    ///
    /// If that is of fewer bits, and the policy is not on a CPU with instructions for it; with the key of the config.
    pub fn sampling_with(mut self, weights: SamplerWeights) -> Result<Self, String> {
        self.reduced = match weights {
            SamplerWeights::Trained => None,
            SamplerWeights::Bfloat16 => {
                Some(self.in_fewer_bits("bfloat16", Bfloat16::detect().map(Reduced::Bfloat16), "AVX512-BF16")?)
            }
            SamplerWeights::Int8 => {
                Some(self.in_fewer_bits("int8", Int8::detect().map(Reduced::Int8), "AVX512-VNNI or AVX-VNNI")?)
            }
        };
        Ok(self)
    }

    /// Says why rollouts cannot be sampled in numbers for which the CPU may have instructions.
    fn in_fewer_bits(&self, name: &str, found: Option<Reduced>, instructions: &str) -> Result<Reduced, String> {
        let why = if self.compute == Kind::Float {
            format!("this CPU has no instructions for it ({instructions})")
        } else {
            "the policy is on a GPU, which computes in bfloat16 anyway".to_owned()
        };
        found
            .filter(|_| self.compute == Kind::Float)
            .ok_or_else(|| format!("`rollouts.weights` is `{name}`, but {why}; set it to `trained`"))
    }

    /// Returns the policy for rollouts to train on.
    pub fn sampler(&self) -> Transformer {
        let policy = self.policy();
        match self.reduced {
            Some(reduced) => policy.decoding_in(reduced),
            None => policy,
        }
    }

    /// Returns the policy as it is now, without gradients. It does not outlive the next update: on CPUs it shares the
    /// weights, elsewhere all policies share one copy.
    pub fn policy(&self) -> Transformer {
        let weights = if self.compute == Kind::Float { self.weights.detached() } else { self.rounded() };
        self.transformer(weights).with_numerics(self.numerics).with_memory(&self.decoding)
    }

    fn rounded(&self) -> Weights {
        let rounded = self.rounded.get_or_init(|| self.weights.detached().cast(self.compute)); // the head is not rounded
        rounded.copy_from(&self.weights);
        rounded.detached()
    }

    /// Returns the policy for a forward and backward pass; gradients flow into the float32 weights.
    pub fn trainee(&self, activations: Activations) -> Transformer {
        self.transformer(self.weights.cast(self.compute)).with_activations(activations)
    }

    /// Returns a copy that training does not change: a reference policy.
    pub fn frozen(&self) -> Transformer {
        self.transformer(self.weights.deep_copy().cast(self.compute))
    }

    fn transformer(&self, weights: Weights) -> Transformer {
        Transformer::new(self.architecture.clone(), weights).with_kernels(&self.kernels)
    }
}

#[cfg(test)]
mod tests {
    use rlvr_policy::Preset;
    use rlvr_policy::preset::Vocabulary;
    use tch::Tensor;

    use super::*;

    #[test]
    fn rounded_weights_follow_the_trained_ones_in_place() {
        for tied_head in [true, false] {
            let preset = Preset { tied_head, ..Preset::default() };
            let architecture = preset.architecture(Vocabulary { size: 40, eos: 1, pad: 0 }).expect("good sizes");
            let weights = Weights::random(&architecture, 3, Device::Cpu);
            let learner =
                Learner { compute: Kind::BFloat16, ..Learner::new(architecture, weights, Numerics::default()) };
            let prompt: &[u32] = &[3, 1, 4];
            let logits = |policy: &Transformer| policy.prefill(&[prompt]).1;
            let before = logits(&learner.policy());
            for parameter in learner.weights().parameters() {
                let _ = tch::no_grad(|| parameter.tensor.shallow_clone().g_mul_scalar_(1.5));
            }
            let (after, policy) = (logits(&learner.policy()), learner.policy());
            let fresh = learner.trainee(Activations::Kept).prefill(&[prompt]).1;
            let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
            assert!(difference(&before, &after) > 0.01, "the policy is the trained one");
            assert_eq!(difference(&after, &fresh), 0.0, "rounding happens once");
            assert_eq!((policy.weights().kind(), policy.weights().head().kind()), (Kind::BFloat16, Kind::Float));
        }
    }
}
