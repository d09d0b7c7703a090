//! Scoring and training by `rlvr-cpu`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rlvr_cpu::Team;
pub use rlvr_cpu::training::adam::{AdamW, Squares};
use rlvr_cpu::training::{self, HeadTape, Packed, Remember, Tape, Targets, adam};
pub use rlvr_cpu::{Bfloat16, Int8, Reduced};
use tch::Tensor;

use crate::batch::{Batch, Packing};
use crate::logprob::{ScoreGradient, Scores};
use crate::native::{floats, floats_mut, gradients};
use crate::transformer::Transformer;

/// The threads and the memory of forward and backward passes on the CPU; one pass at a time.
#[derive(Debug)]
pub struct Kernels {
    team: Team,
    memory: Mutex<Memory>,
}

/// What passes leave behind; the next ones use its memory again.
#[derive(Debug, Default)]
struct Memory {
    tape: Tape,
    head: HeadTape,
}

/// A forward pass that waits for its backward pass.
#[derive(Debug)]
pub(crate) struct KernelPass<'a> {
    team: &'a Team,
    memory: MutexGuard<'a, Memory>,
}

impl Default for Kernels {
    /// Works with as many threads as libtorch does.
    fn default() -> Self {
        Self { team: Team::new(tch::get_num_threads().max(1) as usize), memory: Mutex::default() }
    }
}

impl Kernels {
    pub(crate) fn team(&self) -> &Team {
        &self.team
    }

    /// Scores a batch.
    ///
    /// # Panics
    ///
    /// If the weights are not float32 in the memory of the CPU.
    pub(crate) fn forward(
        &self,
        transformer: &Transformer,
        batch: &Batch,
        temperature: f64,
        remember: Remember,
    ) -> (Scores, KernelPass<'_>) {
        let model = transformer.on_cpu().expect("float32 weights on the CPU");
        let mut guard = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Memory { tape, head } = &mut *guard;
        let (packed, targets) = views(batch.packing(), temperature);
        let hidden = model.forward_packed(&self.team, &packed, tape, remember);
        let training::Scores { logp, entropy } = model.score(&self.team, hidden, targets, head);
        let scores = Scores { logp: Tensor::from_slice(&logp), entropy: Tensor::from_slice(&entropy) };
        (scores, KernelPass { team: &self.team, memory: guard })
    }
}

/// A parameter with its gradient and moments, float32 tensors of one shape in the memory of the CPU.
#[derive(Debug)]
pub struct Moments<'a> {
    /// The parameter.
    pub weight: &'a mut Tensor,
    /// Its gradient.
    pub gradient: &'a Tensor,
    /// The first moment.
    pub first: &'a mut Tensor,
    /// The second moment.
    pub second: &'a mut Tensor,
}

impl Kernels {
    /// Updates a parameter and its moments.
    ///
    /// # Panics
    ///
    /// If a tensor is of another kind, device or size.
    pub fn adamw(&self, step: &AdamW, of: Moments<'_>) -> Squares {
        let Moments { weight, gradient, first, second } = of;
        let of = adam::Moments {
            weight: floats_mut(weight),
            gradient: floats(gradient),
            first: floats_mut(first),
            second: floats_mut(second),
        };
        step.step(&self.team, of)
    }

    /// Computes the sum of the squares of a tensor.
    ///
    /// # Panics
    ///
    /// If it is of another kind or device.
    pub fn square_sum(&self, tensor: &Tensor) -> f64 {
        adam::square_sum(&self.team, floats(tensor))
    }
}

impl KernelPass<'_> {
    /// Adds the gradient of a loss to those of the weights.
    pub(crate) fn backward(
        mut self,
        transformer: &Transformer,
        batch: &Batch,
        temperature: f64,
        gradient: &ScoreGradient,
    ) {
        let model = transformer.on_cpu().expect("float32 weights on the CPU");
        let Memory { tape, head } = &mut *self.memory;
        let (packed, targets) = views(batch.packing(), temperature);
        let (logp, entropy) = (numbers(&gradient.logp), gradient.entropy.as_ref().map(numbers));
        let gradient = training::ScoreGradient { logp: &logp, entropy: entropy.as_deref() };
        let mut tensors = vec![];
        let mut gradients = gradients(transformer.weights(), &mut tensors);
        let by_hidden = model.score_backward(self.team, (tape.hidden(), targets), gradient, head, &mut gradients);
        model.backward_packed(self.team, &packed, tape, &by_hidden, &mut gradients);
    }
}

fn views(packing: &Packing, temperature: f64) -> (Packed<'_>, Targets<'_>) {
    let packed = Packed { ids: &packing.ids, spans: &packing.spans };
    let temperature = temperature as f32;
    (packed, Targets { ids: &packing.targets, predictors: &packing.predictors, temperature })
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor).expect("a vector of floats")
}
