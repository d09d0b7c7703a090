//! A whole step, phase by phase.

use std::collections::BTreeMap;

use rlvr_policy::Transformer;
use rlvr_rollouts::Stop;
use rlvr_rollouts::rollout::Completion;
use rlvr_verifiers::Attempt;
use serde::Serialize;

use super::measure::{Measured, Timing, measured, median_of};
use super::training::{Batch, alternating};
use super::{Bench, BenchError};
use crate::advantage::{PartRewards, advantages};
use crate::optimizer::AdamW;
use crate::step::{StepOutcome, score};
use crate::trace::SpanTotal;

/// Speed of a step: sampling, verdicts, scores under the reference policy where the recipe has one, the update.
#[derive(Clone, Debug, Serialize)]
pub struct StepFigures {
    /// Seconds of all phases.
    #[serde(flatten)]
    pub timing: Timing,
    /// Each phase.
    pub phases: Phases,
    /// Completions.
    pub completions: usize,
    /// Completion tokens sampled and trained on, the median of the rounds.
    pub n_tokens: f64,
    /// Those a second of the step, the median of the rounds.
    pub tokens_per_s: f64,
    /// What came of each round; the weights move from one to the next.
    pub rounds: Vec<StepRound>,
    /// Seconds a round of each span, and of those within it; on a GPU, of asking for the work.
    pub spans: BTreeMap<String, SpanTotal>,
    /// The largest memory of the process in any phase.
    pub peak_memory_bytes: Option<u64>,
}

/// The phases of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Phases {
    /// Prompts to texts.
    pub generate: Phase,
    /// Texts to verdicts.
    pub verify: Phase,
    /// Log-probabilities under the reference policy; none if the recipe has none.
    pub score: Option<Phase>,
    /// Forward, backward, optimiser.
    pub update: Phase,
}

/// A phase.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Phase {
    /// Seconds, the median of the rounds.
    pub wall_s: f64,
    /// The largest memory of the process meanwhile, in the first round: later ones find what the allocator keeps.
    pub peak_memory_bytes: Option<u64>,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepRound {
    /// Seconds of all phases.
    pub wall_s: f64,
    /// Completion tokens.
    pub n_tokens: usize,
    /// The mean score of the completions that could be judged; none where prompts are made up.
    pub reward_mean: Option<f64>,
    /// The loss.
    pub loss: f64,
    /// Norm of the gradient before clipping; none if it was not finite.
    pub grad_norm: Option<f64>,
    /// Mean |Δlogp| between sampler and trainer at equal weights, in nats.
    pub mismatch_logp_mean: f64,
    /// The largest.
    pub mismatch_logp_max: f64,
}

impl Phase {
    fn of<T>(done: &Measured<T>) -> Self {
        Self { wall_s: done.wall_s, peak_memory_bytes: done.peak_memory_bytes }
    }

    fn median(rounds: &[Self]) -> Self {
        Self { wall_s: median_of(rounds, |phase| phase.wall_s), peak_memory_bytes: rounds[0].peak_memory_bytes }
    }
}

/// One step.
struct Round {
    generate: Phase,
    verify: Phase,
    score: Option<Phase>,
    update: Phase,
    n_tokens: usize,
    reward_mean: Option<f64>,
    outcome: StepOutcome,
}

impl Round {
    fn phases(&self) -> impl Iterator<Item = &Phase> {
        [&self.generate, &self.verify, &self.update].into_iter().chain(&self.score)
    }

    fn summary(&self) -> StepRound {
        let mismatch = self.outcome.mismatch;
        StepRound {
            wall_s: self.phases().map(|phase| phase.wall_s).sum(),
            n_tokens: self.n_tokens,
            reward_mean: self.reward_mean,
            loss: self.outcome.sums.loss,
            grad_norm: self.outcome.update.map(|update| update.grad_norm),
            mismatch_logp_mean: mismatch.absolute / mismatch.n_tokens.max(1.0),
            mismatch_logp_max: mismatch.largest,
        }
    }
}

/// The score of each completion of each group, none where it could not be judged.
type Scores = Vec<Vec<Option<f64>>>;

impl Bench<'_> {
    pub(super) fn step(&self) -> Result<StepFigures, BenchError> {
        let reference = self.settings.recipe.loss().kl.map(|_| self.learner.frozen());
        let mut optimizer = self.learner.optimizer();
        self.warm_up(&self.learner.sampler())?;
        self.recorder.take_totals();
        let rounds = (0..self.settings.repeats)
            .map(|_| self.step_round(reference.as_ref(), &mut optimizer))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.step_figures(&rounds))
    }

    fn step_round(&self, reference: Option<&Transformer>, optimizer: &mut AdamW) -> Result<Round, BenchError> {
        let _span = tracing::info_span!("step").entered();
        let generated = measured(self.device, || self.generate(&self.learner.sampler(), &self.workload));
        let generate = Phase::of(&generated);
        let completions = generated.value?.completions;

        let judged = measured(self.device, || self.judge(&completions));
        let of_group = |group: Vec<Completion>| group.into_iter().map(|c| (c.ids, c.logp)).collect();
        let batch = Batch::new(self.workload.prompts.clone(), completions.into_iter().map(of_group).collect());

        let budget = self.settings.tokens_per_micro_batch;
        let span = tracing::info_span!("reference_logp");
        let scored = reference
            .map(|policy| measured(self.device, || span.in_scope(|| score(policy, &batch.ids(), 1.0, budget).0)));

        let reference = scored.as_ref().map(|scored| scored.value.as_slice());
        let updated = measured(self.device, || {
            let advantages = self.advantages(&judged.value, &batch);
            self.update(optimizer, &batch.groups(|g, i| advantages[g][i], reference))
        });
        Ok(Round {
            generate,
            verify: Phase::of(&judged),
            score: scored.as_ref().map(Phase::of),
            update: Phase::of(&updated),
            n_tokens: batch.n_tokens(),
            reward_mean: if self.has_tasks { mean(&judged.value) } else { None },
            outcome: updated.value,
        })
    }

    fn judge(&self, completions: &[Vec<Completion>]) -> Scores {
        let _span = tracing::info_span!("verify").entered();
        let pairs =
            self.tasks.iter().zip(completions).flat_map(|(task, group)| group.iter().map(move |one| (task, one)));
        let attempt = |(task, one): (_, &'_ Completion)| (task, one.text.clone(), one.stop != Stop::Length);
        let texts: Vec<_> = pairs.map(attempt).collect();
        let attempts: Vec<Attempt<'_>> = texts
            .iter()
            .map(|(task, text, finished)| Attempt { task, completion: text, finished: *finished })
            .collect();
        let mut scores = self.panel.judge(&attempts).into_iter().map(|judged| judged.verdict.score().map(f64::from));
        completions.iter().map(|group| scores.by_ref().take(group.len()).collect()).collect()
    }

    /// Advantages as the recipe makes them of the scores; a completion that could not be judged counts as average, so that
    /// all are trained on. Made-up prompts have made-up advantages.
    fn advantages(&self, scores: &Scores, batch: &Batch) -> Vec<Vec<f64>> {
        let _span = tracing::info_span!("advantage").entered();
        if !self.has_tasks {
            let of_group = |(g, group): (usize, &Vec<_>)| (0..group.len()).map(|i| alternating(g, i)).collect();
            return scores.iter().enumerate().map(of_group).collect();
        }
        let sizes: Vec<usize> = scores.iter().map(Vec::len).collect();
        let parts = [PartRewards { weight: 1.0, values: scores.iter().flatten().copied().collect() }];
        let found = advantages(&parts, &sizes, &batch.lengths(), &self.settings.recipe.advantage());
        let mut found = found.into_iter().map(|advantage| advantage.unwrap_or(0.0));
        sizes.iter().map(|&n| found.by_ref().take(n).collect()).collect()
    }

    fn step_figures(&self, rounds: &[Round]) -> StepFigures {
        let over = |phase: fn(&Round) -> Phase| Phase::median(&rounds.iter().map(phase).collect::<Vec<_>>());
        let scored: Vec<Phase> = rounds.iter().filter_map(|round| round.score).collect();
        let summaries: Vec<StepRound> = rounds.iter().map(Round::summary).collect();
        StepFigures {
            timing: Timing::of(summaries.iter().map(|round| round.wall_s).collect()),
            phases: Phases {
                generate: over(|round| round.generate),
                verify: over(|round| round.verify),
                score: (!scored.is_empty()).then(|| Phase::median(&scored)),
                update: over(|round| round.update),
            },
            completions: self.workload.n_completions(),
            n_tokens: median_of(&summaries, |round| round.n_tokens as f64),
            tokens_per_s: median_of(&summaries, |round| round.n_tokens as f64 / round.wall_s),
            rounds: summaries,
            spans: per_round(self.recorder.take_totals(), rounds.len()),
            peak_memory_bytes: rounds.iter().flat_map(Round::phases).filter_map(|phase| phase.peak_memory_bytes).max(),
        }
    }
}

fn mean(scores: &Scores) -> Option<f64> {
    let judged: Vec<f64> = scores.iter().flatten().flatten().copied().collect();
    (!judged.is_empty()).then(|| judged.iter().sum::<f64>() / judged.len() as f64)
}

fn per_round(totals: BTreeMap<String, SpanTotal>, rounds: usize) -> BTreeMap<String, SpanTotal> {
    let of_round = |total: SpanTotal| SpanTotal { n: total.n / rounds as u64, wall_s: total.wall_s / rounds as f64 };
    totals.into_iter().map(|(path, total)| (path, of_round(total))).collect()
}
