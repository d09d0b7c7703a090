//! AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), and the learning rate over time.
//!
//! Moments and weights are float32 whatever the model computes in: at the learning rates of reinforcement learning, a
//! bfloat16 weight would swallow most steps.

use std::sync::Arc;

use rlvr_policy::kernels::{AdamW as Step, Moments, Squares};
use rlvr_policy::weights::Parameter;
use rlvr_policy::{Activations, Kernels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How weights are updated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The learning rate after warm-up.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment; small, since gradients of reinforcement learning are.
    pub epsilon: f64,
    /// Decay of matrices inside layers; norms, biases and embeddings do not decay.
    pub weight_decay: f64,
    /// Largest norm of the gradient; larger ones are scaled down. 0 is off.
    pub clip_norm: f64,
    /// Steps over which the learning rate rises to its value.
    pub warmup_steps: u64,
    /// What it does afterwards. A decayed run's points are not points of a longer run: constant for scaling curves.
    pub schedule: Schedule,
    /// Optimiser steps for each batch of rollouts.
    pub updates_per_batch: usize,
    /// Tokens forwarded at a time; the result does not depend on it, memory and speed do. About 1,000 suit the caches of
    /// CPUs, 16,000 and more suit GPUs.
    pub tokens_per_micro_batch: usize,
    /// Whether a layer keeps only what it starts from, and is computed again in the backward pass (Chen et al. 2016,
    /// arXiv:1604.06174): less memory for each token forwarded at a time, up to a third more time, the same numbers. Model
    /// FLOPs, and with them `perf/mfu`, count what the model takes, not what is computed again.
    pub checkpoint_activations: bool,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            lr: 1e-6,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-15,
            weight_decay: 0.01,
            clip_norm: 1.0,
            warmup_steps: 0,
            schedule: Schedule::Constant,
            updates_per_batch: 1,
            tokens_per_micro_batch: 1024,
            checkpoint_activations: false,
        }
    }
}

/// The learning rate after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays.
    Constant,
    /// Falls in a straight line to 0 at the last step.
    Linear,
    /// Falls along half a cosine to 0 at the last step.
    Cosine,
}

impl OptimizerConfig {
    /// Returns what forward passes keep for their backward passes.
    pub fn activations(&self) -> Activations {
        if self.checkpoint_activations { Activations::Checkpointed } else { Activations::Kept }
    }

    /// Returns the learning rate of a step, counted from 1, of `n_steps`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rlvr::optimizer::{OptimizerConfig, Schedule};
    ///
    /// let config = OptimizerConfig { lr: 8.0, warmup_steps: 4, schedule: Schedule::Linear, ..OptimizerConfig::default() };
    /// let rates: Vec<f64> = (1..=8).map(|step| config.lr_at(step, 8)).collect();
    /// assert_eq!(rates, [2.0, 4.0, 6.0, 8.0, 8.0, 6.0, 4.0, 2.0]);
    /// ```
    pub fn lr_at(&self, step: u64, n_steps: u64) -> f64 {
        if step <= self.warmup_steps {
            return self.lr * step as f64 / self.warmup_steps as f64;
        }
        let falling = n_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = (step - self.warmup_steps - 1) as f64 / falling;
        match self.schedule {
            Schedule::Constant => self.lr,
            Schedule::Linear => self.lr * (1.0 - done),
            Schedule::Cosine => self.lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        }
    }
}

/// The optimiser: two moments for each parameter.
#[derive(Debug)]
pub struct AdamW {
    parameters: Vec<Parameter>,
    /// First and second moment of each, float32.
    moments: Vec<(Tensor, Tensor)>,
    /// Updates so far, for the correction of the moments' bias.
    n_updates: u64,
    /// In the place of libtorch, for float32 in the memory of the CPU.
    kernels: Option<Arc<Kernels>>,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateStats {
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Norm of the change over the norm of the weights.
    pub update_ratio: f64,
}

impl AdamW {
    /// Makes an optimiser for parameters that collect gradients.
    pub fn new(parameters: Vec<Parameter>) -> Self {
        let zeros = |parameter: &Parameter| {
            let zeros = parameter.tensor.detach().zeros_like();
            (zeros.shallow_clone(), zeros.copy())
        };
        let moments = parameters.iter().map(zeros).collect();
        Self { parameters, moments, n_updates: 0, kernels: None }
    }

    /// Computes by kernels for the CPU, all parameters being float32 in its memory.
    #[must_use]
    pub fn with_kernels(self, kernels: Arc<Kernels>) -> Self {
        Self { kernels: Some(kernels), ..self }
    }

    /// Sets all gradients to zero.
    pub fn zero_gradients(&self) {
        for parameter in &self.parameters {
            let mut gradient = parameter.tensor.grad();
            if gradient.defined() {
                let _ = gradient.zero_();
            }
        }
    }

    /// Updates the parameters by their gradients.
    ///
    /// Returns none, and changes nothing, if a gradient is not finite.
    pub fn step(&mut self, config: &OptimizerConfig, lr: f64) -> Option<UpdateStats> {
        let _guard = tch::no_grad_guard();
        let grad_norm = self.gradient_norm();
        if !grad_norm.is_finite() {
            return None;
        }
        let scale = if config.clip_norm > 0.0 { (config.clip_norm / (grad_norm + 1e-12)).min(1.0) } else { 1.0 };
        self.n_updates += 1;
        let step = Step {
            lr,
            beta1: config.beta1,
            beta2: config.beta2,
            epsilon: config.epsilon,
            decay: 0.0,
            scale,
            corrections: (
                1.0 - config.beta1.powi(self.n_updates as i32),
                1.0 - config.beta2.powi(self.n_updates as i32),
            ),
        };
        let (mut change, mut size) = (0.0, 0.0);
        let mut norms = vec![];
        for (parameter, (first, second)) in self.parameters.iter().zip(&mut self.moments) {
            let gradient = parameter.tensor.grad();
            if !gradient.defined() {
                continue;
            }
            let step = Step { decay: if parameter.is_inner_matrix { config.weight_decay } else { 0.0 }, ..step };
            let of = Moments { weight: &mut parameter.tensor.shallow_clone(), gradient: &gradient, first, second };
            match &self.kernels {
                Some(kernels) => {
                    let Squares { change: of_change, weight } = kernels.adamw(&step, of);
                    change += of_change;
                    size += weight;
                }
                None => norms.extend(by_libtorch(&step, of)),
            }
        }
        for of_parameter in squares(&norms).chunks_exact(2) {
            change += of_parameter[0];
            size += of_parameter[1];
        }
        let change = change * lr * lr;
        Some(UpdateStats { grad_norm, update_ratio: (change / size.max(f64::MIN_POSITIVE)).sqrt() })
    }

    fn gradient_norm(&self) -> f64 {
        let gradients = self.parameters.iter().map(|parameter| parameter.tensor.grad()).filter(Tensor::defined);
        let squares = match &self.kernels {
            Some(kernels) => gradients.map(|gradient| kernels.square_sum(&gradient)).collect(),
            None => squares(&gradients.map(|gradient| norm(&gradient)).collect::<Vec<_>>()),
        };
        squares.iter().sum::<f64>().sqrt()
    }

    /// Returns the state by name, for a checkpoint.
    pub fn state(&self) -> (u64, Vec<(String, Tensor)>) {
        let named = self.parameters.iter().zip(&self.moments).flat_map(|(parameter, (first, second))| {
            [
                (format!("first.{}", parameter.name), first.shallow_clone()),
                (format!("second.{}", parameter.name), second.shallow_clone()),
            ]
        });
        (self.n_updates, named.collect())
    }

    /// Takes over a state that [`AdamW::state`] returned; `read` yields a tensor by name and shape.
    ///
    /// # Errors
    ///
    /// Whatever `read` returns.
    pub fn restore<E>(
        &mut self,
        n_updates: u64,
        mut read: impl FnMut(&str, &[i64]) -> Result<Tensor, E>,
    ) -> Result<(), E> {
        for (parameter, (first, second)) in self.parameters.iter().zip(&mut self.moments) {
            let size = parameter.tensor.size();
            first.copy_(&read(&format!("first.{}", parameter.name), &size)?);
            second.copy_(&read(&format!("second.{}", parameter.name), &size)?);
        }
        self.n_updates = n_updates;
        Ok(())
    }
}

/// Updates a parameter and its moments; returns the norms of the change before it is scaled by the learning rate, and of
/// the weight.
fn by_libtorch(step: &Step, of: Moments<'_>) -> [Tensor; 2] {
    let Moments { weight, gradient, first, second } = of;
    let gradient = gradient * step.scale;
    let _ = first.lerp_(&gradient, 1.0 - step.beta1);
    let _ = second.lerp_(&gradient.square(), 1.0 - step.beta2);
    let mut root = second.sqrt();
    let _ = root.g_mul_scalar_(step.corrections.1.sqrt().recip()).g_add_scalar_(step.epsilon);
    let mut change = &*first / root;
    let _ = change.g_mul_scalar_(step.corrections.0.recip());
    if step.decay > 0.0 {
        change += &*weight * step.decay;
    }
    let norms = [norm(&change), norm(weight)];
    let _ = weight.g_sub_(&(change * step.lr));
    norms
}

/// Computes a norm where the tensor is, without a copy of it in float64.
fn norm(tensor: &Tensor) -> Tensor {
    tensor.norm_scalaropt_dtype(2.0, Kind::Double)
}

/// Fetches norms, all at once since the device must be waited for, and squares them.
fn squares(norms: &[Tensor]) -> Vec<f64> {
    if norms.is_empty() {
        return vec![];
    }
    let norms = Vec::<f64>::try_from(Tensor::stack(norms, 0)).expect("norms are float64");
    norms.into_iter().map(|norm| norm * norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(values: &[f32], is_inner_matrix: bool) -> Parameter {
        let tensor = Tensor::from_slice(values).set_requires_grad(true);
        Parameter { name: "p".to_owned(), tensor, is_inner_matrix }
    }

    /// Sets the gradient of a parameter to the given values.
    fn give_gradient(parameter: &Tensor, values: &[f32]) {
        (parameter * Tensor::from_slice(values)).sum(Kind::Float).backward();
    }

    #[test]
    fn three_steps_by_hand() {
        let config = OptimizerConfig {
            beta1: 0.5,
            beta2: 0.75,
            epsilon: 0.0,
            weight_decay: 0.1,
            clip_norm: 0.0,
            ..OptimizerConfig::default()
        };
        let p = parameter(&[1.0], true);
        let weight = p.tensor.shallow_clone();
        let mut adam = AdamW::new(vec![p]);
        let (mut w, mut m, mut v) = (1.0_f64, 0.0_f64, 0.0_f64);
        for (t, g) in [(1, 3.0_f64), (2, -1.0), (3, 0.5)] {
            adam.zero_gradients();
            give_gradient(&weight, &[g as f32]);
            adam.step(&config, 0.01).unwrap();
            m = 0.5 * m + 0.5 * g;
            v = 0.75 * v + 0.25 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.5_f64.powi(t)), v / (1.0 - 0.75_f64.powi(t)));
            w -= 0.01 * (m_hat / v_hat.sqrt() + 0.1 * w);
            assert!((weight.double_value(&[0]) - w).abs() < 1e-6, "after step {t}");
        }
    }

    #[test]
    fn large_gradients_are_scaled_down_and_the_norm_is_that_before() {
        let config =
            OptimizerConfig { clip_norm: 1.0, beta1: 0.0, beta2: 0.0, epsilon: 1.0, ..OptimizerConfig::default() };
        let p = parameter(&[0.0, 0.0], false);
        let weight = p.tensor.shallow_clone();
        give_gradient(&weight, &[3.0, 4.0]);
        let stats = AdamW::new(vec![p]).step(&config, 1.0).unwrap();
        assert!((stats.grad_norm - 5.0).abs() < 1e-9);
        // Clipped to (0.6, 0.8); with epsilon 1 the step is g / (|g| + 1).
        assert!((weight.double_value(&[0]) + 0.6 / 1.6).abs() < 1e-6);
        assert!((weight.double_value(&[1]) + 0.8 / 1.8).abs() < 1e-6);
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let p = parameter(&[1.0], true);
        let weight = p.tensor.shallow_clone();
        give_gradient(&weight, &[f32::NAN]);
        assert_eq!(AdamW::new(vec![p]).step(&OptimizerConfig::default(), 1.0), None);
        assert_eq!(weight.double_value(&[0]), 1.0);
    }

    #[test]
    fn small_steps_are_not_swallowed() {
        // At a learning rate of 1e-6 a float32 weight of 0.02 moves; a bfloat16 one would not.
        let values = vec![0.02_f32; 1000];
        let p = parameter(&values, true);
        let weight = p.tensor.shallow_clone();
        give_gradient(&weight, &vec![1e-6; 1000]);
        AdamW::new(vec![p]).step(&OptimizerConfig::default(), 1e-6).unwrap();
        let moved = weight.ne_tensor(&Tensor::from_slice(&values)).to_kind(Kind::Float).mean(Kind::Float);
        assert!(moved.double_value(&[]) > 0.99);
    }

    #[test]
    fn a_restored_state_goes_on_alike() {
        let steps = |adam: &mut AdamW, weight: &Tensor, n: usize| {
            for _ in 0..n {
                adam.zero_gradients();
                (weight.square() * Tensor::from_slice(&[1.0_f32, 3.0])).sum(Kind::Float).backward();
                adam.step(&OptimizerConfig { lr: 0.1, ..OptimizerConfig::default() }, 0.1).unwrap();
            }
        };
        let straight = parameter(&[1.0, -2.0], true);
        let w = straight.tensor.shallow_clone();
        let mut adam = AdamW::new(vec![straight]);
        steps(&mut adam, &w, 2);
        let (n, state) = adam.state();
        let resumed = Parameter {
            tensor: w.detach().copy().set_requires_grad(true),
            name: "p".to_owned(),
            is_inner_matrix: true,
        };
        let w2 = resumed.tensor.shallow_clone();
        let mut other = AdamW::new(vec![resumed]);
        let find = |name: &str, _: &[i64]| state.iter().find(|(n, _)| n == name).map(|(_, t)| t.copy()).ok_or(());
        other.restore(n, find).unwrap();
        steps(&mut adam, &w, 2);
        steps(&mut other, &w2, 2);
        assert_eq!(Vec::<f32>::try_from(w).unwrap(), Vec::<f32>::try_from(w2).unwrap());
    }
}
