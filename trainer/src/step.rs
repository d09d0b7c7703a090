//! The update: from rollouts with advantages to new weights.

use rlvr_policy::logprob::ScoreGradient;
use rlvr_policy::{Batch, PromptGroup, Transformer};
use tch::{Kind, Tensor};

use crate::aggregate::StepCounts;
use crate::learner::Learner;
use crate::loss::{LossConfig, LossSums, LossTokens, loss};
use crate::micro_batch::{GroupLengths, Slice, micro_batches};
use crate::optimizer::{AdamW, OptimizerConfig, UpdateStats};

/// A completion to train on.
#[derive(Clone, Debug)]
pub struct TrainingRollout<'a> {
    /// Its ids.
    pub ids: &'a [u32],
    /// What the sampler wrote for each, in nats.
    pub sampler_logp: &'a [f32],
    /// Log-probabilities at the start of the step, where they were computed; else the sampler's stand for them.
    pub old_logp: Option<Vec<f32>>,
    /// Log-probabilities under the reference policy, where there is one.
    pub reference_logp: Option<Vec<f32>>,
    /// Its advantage.
    pub advantage: f64,
}

/// A prompt with the completions to train on.
#[derive(Clone, Debug)]
pub struct TrainingGroup<'a> {
    /// The ids of the prompt.
    pub prompt: &'a [u32],
    /// The completions.
    pub rollouts: Vec<TrainingRollout<'a>>,
}

impl TrainingGroup<'_> {
    fn lengths(&self) -> GroupLengths {
        GroupLengths { prompt: self.prompt.len(), completions: self.rollouts.iter().map(|r| r.ids.len()).collect() }
    }
}

/// Settings of an update.
#[derive(Clone, Copy, Debug)]
pub struct UpdateSettings<'a> {
    /// The loss.
    pub loss: &'a LossConfig,
    /// The optimiser.
    pub optimizer: &'a OptimizerConfig,
    /// The learning rate of this step.
    pub lr: f64,
    /// The temperature at which the completions were drawn.
    pub temperature: f64,
    /// The configured limit of a completion.
    pub max_new_tokens: usize,
}

/// How far the sampler's log-probabilities are from the trainer's, at equal weights.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mismatch {
    /// Tokens compared.
    pub n_tokens: f64,
    /// Σ |ℓ − ℓ_gen|.
    pub absolute: f64,
    /// The largest.
    pub largest: f64,
    /// Σ of the k3 estimate of the divergence.
    pub k3: f64,
}

impl Mismatch {
    fn add(&mut self, logp: &Tensor, sampler_logp: &Tensor) {
        let x = (logp - sampler_logp).to_kind(Kind::Double);
        let total = |tensor: Tensor| tensor.sum(Kind::Double).double_value(&[]);
        self.n_tokens += x.numel() as f64;
        self.absolute += total(x.abs());
        self.largest = self.largest.max(x.abs().max().double_value(&[]));
        self.k3 += total(x.exp() - 1.0 - &x);
    }
}

/// What the updates of a step did.
#[derive(Clone, Debug, Default)]
pub struct StepOutcome {
    /// Sums over all updates.
    pub sums: LossSums,
    /// The last update; none if it was left out because a gradient was not finite.
    pub update: Option<UpdateStats>,
    /// Sampler against trainer, from the first update.
    pub mismatch: Mismatch,
    /// Operations of the forward and backward passes.
    pub flops: f64,
    /// Exact operations of the forward passes; the backward passes take twice as many.
    pub exact_forward: f64,
    /// Completion tokens trained on.
    pub n_tokens: u64,
}

/// Updates the weights once or several times by the completions of a step.
///
/// The completions are split over the updates by prompts, in order. Every update has its own counts, taken before its
/// first micro-batch.
pub fn update(
    learner: &Learner,
    optimizer: &mut AdamW,
    groups: &[TrainingGroup<'_>],
    settings: &UpdateSettings<'_>,
) -> StepOutcome {
    let _span = tracing::info_span!("update", groups = groups.len()).entered();
    let mut outcome = StepOutcome::default();
    let n_updates = settings.optimizer.updates_per_batch.clamp(1, groups.len().max(1));
    let mut rest = groups;
    for i in 0..n_updates {
        let (now, later) = rest.split_at(rest.len().div_ceil(n_updates - i));
        rest = later;
        optimizer.zero_gradients();
        accumulate(learner, now, settings, i == 0, &mut outcome);
        outcome.update = tracing::info_span!("optimizer").in_scope(|| optimizer.step(settings.optimizer, settings.lr));
        if outcome.update.is_none() {
            break;
        }
    }
    outcome
}

/// Adds up the gradient of one update over its micro-batches.
fn accumulate(
    learner: &Learner,
    groups: &[TrainingGroup<'_>],
    settings: &UpdateSettings<'_>,
    is_first: bool,
    outcome: &mut StepOutcome,
) {
    let counts = StepCounts {
        n_tokens: groups.iter().map(|group| group.lengths().completions).collect(),
        max_new_tokens: settings.max_new_tokens,
    };
    let weights = settings.loss.aggregation.token_weights(&counts);
    let n_tokens: usize = counts.n_tokens.iter().flatten().sum();
    let entropy_weight = 1.0 / n_tokens.max(1) as f64;
    let lengths: Vec<GroupLengths> = groups.iter().map(TrainingGroup::lengths).collect();
    for slices in micro_batches(&lengths, settings.optimizer.tokens_per_micro_batch) {
        let trainee = learner.trainee(settings.optimizer.activations());
        let batch = batch_of(groups, &slices, &trainee);
        let scored =
            tracing::info_span!("forward").in_scope(|| trainee.score_for_training(&batch, settings.temperature));
        let span = tracing::info_span!("loss").entered();
        let logp = scored.scores.logp.copy().set_requires_grad(true);
        let entropy = scored.scores.entropy.copy().set_requires_grad(settings.loss.entropy != 0.0);
        let tokens = loss_tokens(groups, &slices, &weights, (logp, entropy), entropy_weight);
        if is_first {
            outcome.mismatch.add(&tokens.logp.detach(), &tokens.sampler_logp);
        }
        let loss = loss(&tokens, settings.loss);
        loss.value.backward();
        outcome.sums.add(&loss.sums);
        let entropy_gradient = tokens.entropy.requires_grad().then(|| tokens.entropy.grad());
        drop(span);
        let gradient = ScoreGradient { logp: tokens.logp.grad(), entropy: entropy_gradient };
        tracing::info_span!("backward").in_scope(|| scored.backward(&gradient));
    }
    outcome.n_tokens += n_tokens as u64;
    outcome.flops += 3.0 * forward_flops(learner, &lengths);
    let exact =
        |group: &GroupLengths| learner.architecture().scoring_flops(group.prompt, group.completions.iter().copied());
    outcome.exact_forward += lengths.iter().map(exact).sum::<f64>();
}

/// Model FLOPs of one forward pass over all groups, prompts shared.
fn forward_flops(learner: &Learner, groups: &[GroupLengths]) -> f64 {
    let architecture = learner.architecture();
    groups.iter().map(|group| architecture.group_flops(group.prompt, group.completions.iter().copied())).sum()
}

fn batch_of(groups: &[TrainingGroup<'_>], slices: &[Slice], transformer: &Transformer) -> Batch {
    let groups: Vec<PromptGroup<'_>> = slices
        .iter()
        .map(|slice| {
            let group = &groups[slice.group];
            let completions = slice.completions.iter().map(|&i| group.rollouts[i].ids).collect();
            PromptGroup { prompt: group.prompt, completions }
        })
        .collect();
    Batch::new(&groups, transformer.device())
}

/// Gathers what the loss needs of the completions in some slices, in the order of the batch.
fn loss_tokens(
    groups: &[TrainingGroup<'_>],
    slices: &[Slice],
    weights: &[Vec<f64>],
    (logp, entropy): (Tensor, Tensor),
    entropy_weight: f64,
) -> LossTokens {
    let (mut sampler, mut old, mut reference) = (vec![], vec![], vec![]);
    let (mut advantage, mut weight, mut rollout) = (vec![], vec![], vec![]);
    let mut n_rollouts = 0;
    for slice in slices {
        for &i in &slice.completions {
            let one = &groups[slice.group].rollouts[i];
            let n = one.ids.len();
            sampler.extend_from_slice(one.sampler_logp);
            old.extend_from_slice(one.old_logp.as_deref().unwrap_or(one.sampler_logp));
            reference.extend(one.reference_logp.iter().flatten());
            advantage.extend(std::iter::repeat_n(one.advantage as f32, n));
            weight.extend(std::iter::repeat_n(weights[slice.group][i] as f32, n));
            rollout.extend(std::iter::repeat_n(n_rollouts, n));
            n_rollouts += 1;
        }
    }
    let device = logp.device();
    let tensor = |values: &[f32]| Tensor::from_slice(values).to_device(device);
    LossTokens {
        logp,
        entropy,
        old_logp: tensor(&old),
        sampler_logp: tensor(&sampler),
        reference_logp: (!reference.is_empty()).then(|| tensor(&reference)),
        advantage: tensor(&advantage),
        weight: tensor(&weight),
        rollout: Tensor::from_slice(&rollout).to_device(device),
        n_rollouts,
        entropy_weight,
    }
}

/// Scores completions under a policy that does not learn: log-probabilities for each group and completion, and the
/// operations spent.
pub fn score(
    transformer: &Transformer,
    groups: &[(&[u32], Vec<&[u32]>)],
    temperature: f64,
    tokens_per_micro_batch: usize,
) -> (Vec<Vec<Vec<f32>>>, f64) {
    let lengths: Vec<GroupLengths> = groups
        .iter()
        .map(|(prompt, completions)| GroupLengths {
            prompt: prompt.len(),
            completions: completions.iter().map(|completion| completion.len()).collect(),
        })
        .collect();
    let mut found: Vec<Vec<Vec<f32>>> = groups.iter().map(|(_, completions)| vec![vec![]; completions.len()]).collect();
    for slices in micro_batches(&lengths, tokens_per_micro_batch) {
        let packed: Vec<PromptGroup<'_>> = slices
            .iter()
            .map(|slice| {
                let (prompt, completions) = &groups[slice.group];
                PromptGroup { prompt, completions: slice.completions.iter().map(|&i| completions[i]).collect() }
            })
            .collect();
        let scores = transformer.score(&Batch::new(&packed, transformer.device()), temperature);
        let logp = Vec::<f32>::try_from(scores.logp).expect("log-probabilities are a vector of floats");
        let mut rest = logp.as_slice();
        for slice in &slices {
            for &i in &slice.completions {
                let (own, others) = rest.split_at(lengths[slice.group].completions[i]);
                found[slice.group][i] = own.to_vec();
                rest = others;
            }
        }
    }
    let architecture = transformer.architecture();
    let flops = lengths.iter().map(|g| architecture.group_flops(g.prompt, g.completions.iter().copied())).sum();
    (found, flops)
}
