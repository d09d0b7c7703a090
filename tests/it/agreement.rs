//! Ways to compute the same thing give the same numbers.

use std::sync::Arc;

use rlvr::config::Recipe;
use rlvr::learner::Learner;
use rlvr::loss::LossConfig;
use rlvr::optimizer::OptimizerConfig;
use rlvr::step::{TrainingGroup, TrainingRollout, UpdateSettings, update};
use rlvr_policy::logprob::ScoreGradient;
use rlvr_policy::{Batch, Numerics, PromptGroup, Transformer, Weights};
use tch::{Device, Kind, Tensor};

use crate::tiny::tiny_transformer;

/// Two groups: three completions of one prompt, one of them a single token; and a lone completion.
const PROMPTS: [&[u32]; 2] = [&[3, 14, 15, 9], &[2, 7]];
const COMPLETIONS: [&[&[u32]]; 2] = [&[&[1, 8, 2, 8], &[11], &[18, 28, 4]], &[&[5, 9, 0]]];

fn shared() -> Vec<PromptGroup<'static>> {
    let group = |i: usize| PromptGroup { prompt: PROMPTS[i], completions: COMPLETIONS[i].to_vec() };
    vec![group(0), group(1)]
}

fn apart() -> Vec<PromptGroup<'static>> {
    shared()
        .into_iter()
        .flat_map(|group| {
            let one = move |completion| PromptGroup { prompt: group.prompt, completions: vec![completion] };
            group.completions.into_iter().map(one).collect::<Vec<_>>()
        })
        .collect()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// Scores the groups and returns log-probabilities, entropies, and the gradients of `Σ (a_t ℓ_t + b_t H_t)`.
fn scores_and_gradients(transformer: Transformer, groups: &[PromptGroup<'_>]) -> (Tensor, Tensor, Vec<Tensor>) {
    let trainee = transformer.map_weights(|weights| weights.deep_copy().trainable());
    let batch = Batch::new(groups, Device::Cpu);
    let scored = trainee.score_for_training(&batch, 0.9);
    let (logp, entropy) = (scored.scores.logp.copy(), scored.scores.entropy.copy());
    let n = batch.n_targets();
    let ramp = Tensor::arange(n, (Kind::Float, Device::Cpu));
    scored.backward(&ScoreGradient { logp: (&ramp + 1.0).sin(), entropy: Some((ramp * 2.0).cos()) });
    let gradients = trainee.weights().parameters().iter().map(|parameter| parameter.tensor.grad()).collect();
    (logp, entropy, gradients)
}

#[test]
fn a_shared_prompt_changes_neither_scores_nor_gradients() {
    for family in ["llama", "qwen2", "qwen3"] {
        let (logp, entropy, gradients) = scores_and_gradients(tiny_transformer(family, 1), &shared());
        let (logp2, entropy2, gradients2) = scores_and_gradients(tiny_transformer(family, 1), &apart());
        assert!(largest_difference(&logp, &logp2) < 1e-5, "{family}: log-probabilities");
        assert!(largest_difference(&entropy, &entropy2) < 1e-5, "{family}: entropies");
        for (i, (a, b)) in gradients.iter().zip(&gradients2).enumerate() {
            let scale = b.abs().max().double_value(&[]).max(1e-3);
            assert!(largest_difference(a, b) < 1e-5 * scale, "{family}: gradient {i}");
        }
    }
}

/// Prompts and completions that fill blocks of sixteen and do not.
fn of_many_lengths() -> Vec<(Vec<u32>, Vec<Vec<u32>>)> {
    let ids = |n: usize, seed: usize| (0..n).map(|i| ((i * 7 + seed * 13 + i * i) % 29) as u32).collect();
    let group = |(prompt, completions): (usize, &[usize])| {
        (ids(prompt, prompt), completions.iter().enumerate().map(|(i, &n)| ids(n, prompt + i)).collect())
    };
    [(5, &[1, 20, 40][..]), (33, &[17, 2]), (16, &[16, 33, 1, 1]), (40, &[70]), (3, &[90, 5])].map(group).to_vec()
}

#[test]
fn kernels_and_libtorch_give_the_same_scores_and_gradients() {
    let lengths = of_many_lengths();
    let groups: Vec<PromptGroup<'_>> = lengths
        .iter()
        .map(|(prompt, completions)| PromptGroup {
            prompt,
            completions: completions.iter().map(Vec::as_slice).collect(),
        })
        .collect();
    let kernels = Arc::default();
    for family in ["llama", "qwen2", "qwen3"] {
        let (logp, entropy, gradients) = scores_and_gradients(tiny_transformer(family, 3), &groups);
        let by_kernels = tiny_transformer(family, 3).with_kernels(&kernels);
        let (logp2, entropy2, gradients2) = scores_and_gradients(by_kernels, &groups);
        assert!(largest_difference(&logp, &logp2) < 1e-5, "{family}: {}", largest_difference(&logp, &logp2));
        assert!(largest_difference(&entropy, &entropy2) < 1e-5, "{family}: entropies");
        for (i, (a, b)) in gradients.iter().zip(&gradients2).enumerate() {
            let scale = a.abs().max().double_value(&[]).max(1e-3);
            let difference = largest_difference(a, b) / scale;
            assert!(difference < 2e-5, "{family}: gradient {i}: {difference}");
        }
    }
}

/// The gradient against central differences, along random directions, in float64-like steps.
#[test]
fn gradients_are_those_of_finite_differences() {
    for family in ["llama", "qwen2", "qwen3"] {
        let value = |weights: &Weights| -> f64 {
            let transformer =
                Transformer::new(tiny_transformer(family, 2).architecture().clone(), weights.cast(Kind::Float));
            let batch = Batch::new(&shared(), Device::Cpu);
            let scores = transformer.score(&batch, 0.9);
            let ramp = Tensor::arange(batch.n_targets(), (Kind::Float, Device::Cpu));
            let sum = scores.logp * (&ramp + 1.0).sin() + scores.entropy * (ramp * 2.0).cos();
            sum.sum(Kind::Double).double_value(&[])
        };
        let (_, _, gradients) = scores_and_gradients(tiny_transformer(family, 2), &shared());
        let weights = tiny_transformer(family, 2).into_weights();
        for (parameter, gradient) in weights.parameters().iter().zip(&gradients) {
            let tensor = parameter.tensor.detach();
            let direction =
                (Tensor::arange(tensor.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7).sin().view_as(&tensor);
            let expected = (gradient * &direction).sum(Kind::Double).double_value(&[]);
            let step = 2e-3 / direction.norm().double_value(&[]);
            let original = tensor.copy();
            let at = |factor: f64| {
                tensor.shallow_clone().copy_(&(&original + &direction * (factor * step)));
                value(&weights)
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * step);
            at(0.0);
            let tolerance = 2e-2 * expected.abs() + 2e-2 * gradient.norm().double_value(&[]);
            assert!((slope - expected).abs() < tolerance, "{family}: {}: {slope} is not {expected}", parameter.name);
        }
    }
}

/// One update by hand-made rollouts, cut into micro-batches by `budget`: the loss and the gradients.
fn update_with_budget(family: &str, loss: &LossConfig, budget: usize) -> (f64, Vec<Tensor>) {
    let transformer = tiny_transformer(family, 7);
    let architecture = transformer.architecture().clone();
    let learner = Learner::new(architecture, transformer.into_weights(), Numerics::Fast);
    let mut optimizer = learner.optimizer();
    let advantages = [1.5, -0.5, 0.25, -1.0];
    let sampler_logp: Vec<f32> = (0..8).map(|t| -2.0 - 0.1 * t as f32).collect();
    let mut n = 0;
    let groups: Vec<TrainingGroup<'_>> = PROMPTS
        .iter()
        .zip(COMPLETIONS)
        .map(|(&prompt, completions)| {
            let rollouts = completions
                .iter()
                .map(|&ids| {
                    n += 1;
                    let logp = &sampler_logp[..ids.len()];
                    TrainingRollout {
                        ids,
                        sampler_logp: logp,
                        old_logp: None,
                        reference_logp: Some(logp.iter().map(|l| l - 0.3).collect()),
                        advantage: advantages[n - 1],
                    }
                })
                .collect();
            TrainingGroup { prompt, rollouts }
        })
        .collect();
    // No step is taken: the gradients are what is compared.
    let config = OptimizerConfig { tokens_per_micro_batch: budget, clip_norm: 0.0, ..OptimizerConfig::default() };
    let settings = UpdateSettings { loss, optimizer: &config, lr: 0.0, temperature: 0.9, max_new_tokens: 8 };
    let outcome = update(&learner, &mut optimizer, &groups, &settings);
    let gradients = learner.weights().parameters().iter().map(|parameter| parameter.tensor.grad().copy()).collect();
    (outcome.sums.loss, gradients)
}

#[test]
fn micro_batches_change_neither_loss_nor_gradients() {
    use Recipe::{Cispo, Dapo, DrGrpo, Grpo, Gspo, Luspo, Reinforce, Rloo, Sapo, Scalerl};
    for recipe in [Scalerl, Cispo, Grpo, DrGrpo, Dapo, Gspo, Luspo, Sapo, Rloo, Reinforce] {
        let loss = LossConfig { entropy: 0.01, ..recipe.loss() };
        let (whole, gradients) = update_with_budget("llama", &loss, 10_000);
        for budget in [1, 9, 14] {
            let (cut, others) = update_with_budget("llama", &loss, budget);
            assert!(
                (whole - cut).abs() < 1e-6 * whole.abs().max(1.0),
                "{recipe:?}: {whole} and {cut} at {budget} tokens"
            );
            for (i, (a, b)) in gradients.iter().zip(&others).enumerate() {
                let scale = a.abs().max().double_value(&[]).max(1e-3);
                assert!(largest_difference(a, b) < 1e-5 * scale, "{recipe:?}: gradient {i} at {budget} tokens");
            }
        }
    }
}
