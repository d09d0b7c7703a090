//! The policy that is trained, and what is computed with it.

use std::sync::Arc;

use rlvr_policy::{Architecture, Kernels, Numerics, Transformer, Weights};
use tch::{Device, Kind};

use crate::optimizer::AdamW;

/// The trained policy: float32 weights that collect gradients, and the kind of numbers to compute in.
#[derive(Debug)]
pub struct Learner {
    architecture: Architecture,
    weights: Weights,
    compute: Kind,
    numerics: Numerics,
    kernels: Arc<Kernels>,
}

impl Learner {
    /// Takes over weights; computes in bfloat16 on GPUs and in float32 elsewhere.
    pub fn new(architecture: Architecture, weights: Weights, numerics: Numerics) -> Self {
        let weights = weights.trainable();
        let compute = if weights.head().device() == Device::Cpu { Kind::Float } else { Kind::BFloat16 };
        Self { architecture, weights, compute, numerics, kernels: Arc::default() }
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

    /// Returns the policy for sampling: no gradients, and no copy where the kind is float32 already.
    pub fn sampler(&self) -> Transformer {
        let weights = self.weights.detached().cast(self.compute);
        self.transformer(weights).with_numerics(self.numerics)
    }

    /// Returns the policy for a forward and backward pass; gradients flow into the float32 weights.
    pub fn trainee(&self) -> Transformer {
        self.transformer(self.weights.cast(self.compute))
    }

    /// Returns a copy that training does not change: a reference policy.
    pub fn frozen(&self) -> Transformer {
        self.transformer(self.weights.deep_copy().cast(self.compute))
    }

    fn transformer(&self, weights: Weights) -> Transformer {
        Transformer::new(self.architecture.clone(), weights).with_kernels(&self.kernels)
    }
}
