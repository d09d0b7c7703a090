//! A run: the loop that names each step of the algorithm, in order, once.

mod header;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use rlvr_curves::points;
use rlvr_curves::record::{Kind, Metrics};
use rlvr_policy::Transformer;
use rlvr_rollouts::collect::{Collected, Collector};
use rlvr_rollouts::{GenerationLimits, Group, Noise, Rollout, Sampling, Tokenizer};
use rlvr_verifiers::text::shown;
use rlvr_verifiers::{Interventions, RewardConfig, Task, Verdict, Watch};

use crate::advantage::{PartRewards, advantages};
use crate::checkpoint::{self, Keep, RunState};
use crate::config::{RunConfig, WarmStartSection};
use crate::console::Console;
use crate::curves::{self, Curve};
use crate::device;
use crate::energy::{Energy, EnergyMeter};
use crate::evaluate::{self, evaluate};
use crate::learner::Learner;
use crate::loss::Correction;
use crate::machine::Machine;
use crate::optimizer::{AdamW, OptimizerConfig};
use crate::order::TaskOrder;
use crate::progress::Progress;
use crate::report::{RolloutRecord, StepReport, StepTimes};
use crate::run_folder::{Position, RunFolder, WARM_START_STEP};
use crate::setup::Tasks;
use crate::sft::{self, Example};
use crate::step::{StepOutcome, TrainingGroup, TrainingRollout, UpdateSettings, score, update};
use crate::stop;
use crate::tracking::Trackers;

pub use start::start;

/// A run in progress.
#[derive(Debug)]
pub struct Run {
    config: RunConfig,
    console: Arc<Console>,
    folder: RunFolder,
    tasks: Tasks,
    tokenizer: Tokenizer,
    learner: Learner,
    optimizer: AdamW,
    /// The policy that divergences are measured from, if any are.
    reference: Option<Transformer>,
    order: TaskOrder,
    state: RunState,
    /// Operations a second of large matrix products on this machine.
    matmul_peak: f64,
    /// Whether the policy computes on a GPU.
    on_gpu: bool,
    /// Counts joules, where the machine tells.
    energy: EnergyMeter,
    /// Notices verdicts that look wrong as a whole.
    watch: Watch,
    /// Looks at the machine from time to time.
    machine: Machine,
    /// The newest held-out accuracy in a few words.
    held_out: Option<String>,
    /// Rollouts and unjudged ones of the last steps.
    recent: Vec<(usize, usize)>,
    /// Whether the policy has been evaluated as it is.
    evaluated: bool,
    /// The newest checkpoint and where it was written.
    saved: Option<(Position, PathBuf)>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Whether all steps were done; false after Ctrl-C.
    pub is_complete: bool,
    /// The run folder.
    pub folder: PathBuf,
    /// The newest checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// The curves, one for each evaluation set.
    pub curves: Vec<Curve>,
}

/// Updates in a row that may be left out before the run stops.
const MOST_SKIPPED: u32 = 3;
/// The share of unjudged rollouts in [`WINDOW`] steps above which the run stops.
const MOST_UNJUDGED: f64 = 0.05;
const WINDOW: usize = 10;

/// Whose log-probabilities are asked for.
#[derive(Clone, Copy)]
enum Policy {
    /// The policy as it was at the start of the step.
    Old,
    /// The frozen one.
    Reference,
}

/// Reads the time on the wall and on the CPU.
struct Clock {
    wall: Instant,
    cpu_s: Option<f64>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu_s: device::cpu_s() }
    }

    fn wall_s(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }

    fn cpu_s(&self) -> Option<f64> {
        Some(device::cpu_s()? - self.cpu_s?)
    }
}

/// What a step sampled.
#[derive(Default)]
struct Sampled {
    groups: Vec<Group>,
    n_refilled: usize,
    generate_s: f64,
    verify_wait_s: f64,
    interventions: BTreeMap<String, Interventions>,
}

impl Sampled {
    fn add(&mut self, collected: Collected) {
        self.generate_s += collected.generate_s;
        self.verify_wait_s += collected.verify_s;
        for (name, more) in collected.interventions {
            let of_verifier = self.interventions.entry(name).or_default();
            of_verifier.restarts += more.restarts;
            of_verifier.killed += more.killed;
        }
        self.groups.extend(collected.groups);
    }
}

impl Run {
    /// Does everything that is left to do, from wherever the run stands.
    ///
    /// # Errors
    ///
    /// If something cannot be read, written or sampled, or if the numbers make no sense any more.
    pub fn execute(self) -> anyhow::Result<Outcome> {
        let trackers = Trackers::start(&self.config.track, self.folder.path(), &self.console)?;
        let outcome = self.train();
        trackers.finish(match &outcome {
            Ok(outcome) if outcome.is_complete => rlvr_track::Outcome::Complete,
            Ok(_) => rlvr_track::Outcome::Stopped,
            Err(_) => rlvr_track::Outcome::Failed,
        });
        outcome
    }

    /// The loop.
    fn train(mut self) -> anyhow::Result<Outcome> {
        self.warm_start()?;
        self.evaluate_before_the_first_step()?;
        let progress = Progress::new(&self.console, self.config.run.steps, self.steps_done());
        while self.steps_done() < self.config.run.steps && !stop::is_asked() {
            let step = self.steps_done() + 1;
            let flops_before = self.state.compute.flops_total();
            self.step(step, &progress)?;
            let crossed = crosses_a_mark(self.config.eval.per_decade, flops_before, self.state.compute.flops_total());
            self.evaluated = crossed || self.is_due(self.config.eval.every, step);
            if self.evaluated {
                self.evaluate(step, &progress)?;
            }
            if self.is_due(self.config.checkpoint.every, step) || stop::is_asked() {
                progress.phase("checkpoint");
                self.save()?;
            }
        }
        progress.finish();
        self.finish()
    }

    /// Samples, judges, selects, updates, records.
    fn step(&mut self, step: u64, progress: &Progress) -> anyhow::Result<()> {
        let _span = tracing::info_span!("step", step).entered();
        let start = Clock::start();
        let energy_before = self.energy.read();
        let mut times = StepTimes::default();
        let (flops_before, exact_before) = (self.state.compute.flops_total(), self.state.compute.exact);

        let sampling = Clock::start();
        let sampler = self.learner.sampler();
        let Sampled { groups, n_refilled, generate_s, verify_wait_s, interventions } =
            self.sample(step, &sampler, progress)?;
        (times.generate_s, times.verify_wait_s) = (generate_s, verify_wait_s);
        times.sample_cpu_s = sampling.cpu_s();
        self.warn_of_verdicts(step, &groups, progress)?;
        self.check_unjudged(&groups)?;

        let scoring = Clock::start();
        progress.phase("score");
        let selected = self.select(&groups, &sampler);
        (times.score_s, times.score_cpu_s) = (scoring.wall_s(), scoring.cpu_s());
        drop(sampler); // a copy of the weights on GPUs

        let updating = Clock::start();
        progress.phase("update");
        let lr = self.config.optimizer.lr_at(step, self.config.run.steps);
        let outcome = (!selected.groups.is_empty()).then(|| self.update(&selected.groups, lr));
        (times.update_s, times.update_cpu_s) = (updating.wall_s(), updating.cpu_s());

        self.count(&groups, outcome.as_ref());
        (times.step_s, times.step_cpu_s) = (start.wall_s(), start.cpu_s());
        let energy = self.energy.read().since(energy_before);
        self.count_time(&times, energy);
        let report = StepReport {
            groups: &groups,
            n_kept: selected.groups.len(),
            n_refilled,
            n_retired: self.order.n_retired(),
            interventions: &interventions,
            advantages: &selected.advantages.iter().flatten().flatten().copied().collect::<Vec<f64>>(),
            outcome: outcome.as_ref(),
            lr,
            times,
            matmul_peak: self.matmul_peak,
            memory_gb: device::peak_memory_gb(self.learner.weights().head().device()),
            flops: self.state.compute.flops_total() - flops_before,
            exact: self.state.compute.exact.since(&exact_before),
            energy,
            step,
            compute: &self.state.compute,
        };
        let _recording = tracing::info_span!("record").entered();
        if self.is_due(self.config.rollouts.record_every, step) {
            self.folder.write_lines("rollouts", step, &rollout_records(step, &groups, &selected.advantages))?;
        }
        let (metrics, line) = (report.metrics(), report.line(self.held_out.as_deref()));
        progress.step(step, &line, &metrics);
        self.folder.record(Kind::Step, step, metrics)?;
        self.record_machine(step)?;
        self.state.position = Position::Step(step);
        self.check_skipped(step, outcome.as_ref())
    }

    /// Samples groups until the step is full or has been refilled often enough.
    fn sample(&mut self, step: u64, sampler: &Transformer, progress: &Progress) -> anyhow::Result<Sampled> {
        let _span = tracing::info_span!("collect").entered();
        let mut sampled = Sampled::default();
        let mut drawn: Vec<usize> = vec![];
        let mut n_live = 0;
        for round in 0..=self.config.filter.max_refills {
            let wanted = self.config.rollouts.prompts_per_step - n_live;
            let next = self.order.next(wanted, &drawn);
            if next.is_empty() {
                break;
            }
            drawn.extend(&next);
            let tasks: Vec<&Task> = next.iter().map(|&i| &self.tasks.train[i]).collect();
            let limits = self.limits(self.config.rollouts.max_new_tokens);
            let collector = self.collector(sampler, &self.config.rollouts.sampling, &self.config.reward, &limits);
            let noise = Noise { seed: self.config.run.seed, step };
            let mut n_tokens = 0;
            let collected = collector.collect(&tasks, self.config.rollouts.group_size, noise, &mut |n| {
                n_tokens += n;
                progress.phase(&format!("generate: {n_tokens} tokens"));
            })?;
            n_live += collected.groups.iter().filter(|group| self.config.filter.keeps(group)).count();
            sampled.n_refilled += if round > 0 { next.len() } else { 0 };
            sampled.add(collected);
            if n_live >= self.config.rollouts.prompts_per_step {
                break;
            }
        }
        if sampled.groups.is_empty() {
            bail!(
                "every training task is solved so often that it is no longer drawn (`filter.retire_at`); add harder tasks"
            );
        }
        for group in &sampled.groups {
            self.order.note(&group.task.id, group.outcomes());
        }
        Ok(sampled)
    }

    fn collector<'a>(
        &'a self,
        transformer: &'a Transformer,
        sampling: &'a Sampling,
        reward: &'a RewardConfig,
        limits: &'a GenerationLimits,
    ) -> Collector<'a> {
        Collector { transformer, tokenizer: &self.tokenizer, panel: &self.tasks.panel, reward, sampling, limits }
    }

    fn limits(&self, max_new_tokens: usize) -> GenerationLimits {
        GenerationLimits {
            max_new_tokens,
            stop_strings: self.config.rollouts.stop.clone(),
            ignore_stop_ids: false,
            max_rows: self.config.rollouts.max_rows,
        }
    }

    /// Drops what teaches nothing and gives every rollout that is left its advantage.
    fn select<'a>(&mut self, groups: &'a [Group], sampler: &Transformer) -> Selected<'a> {
        let filter = &self.config.filter;
        let kept: Vec<usize> = (0..groups.len()).filter(|&i| filter.keeps(&groups[i])).collect();
        let kept_groups: Vec<&Group> = kept.iter().map(|&i| &groups[i]).collect();
        let old = (self.config.loss.correction != Correction::None)
            .then(|| tracing::info_span!("old_logp").in_scope(|| self.score(sampler, &kept_groups, Policy::Old)));
        let reference = self.reference.take(); // `score` counts operations and needs the rest of the run
        let span = tracing::info_span!("reference_logp");
        let reference_logp = reference
            .as_ref()
            .map(|reference| span.in_scope(|| self.score(reference, &kept_groups, Policy::Reference)));
        self.reference = reference;

        let _span = tracing::info_span!("advantage").entered();
        let parts = part_rewards(&kept_groups, reference_logp.as_deref(), self.config.advantage.reward_kl);
        let sizes: Vec<usize> = kept_groups.iter().map(|group| group.rollouts.len()).collect();
        let n_tokens: Vec<usize> =
            kept_groups.iter().flat_map(|group| group.rollouts.iter().map(|r| r.completion.ids.len())).collect();
        let mut found = advantages(&parts, &sizes, &n_tokens, &self.config.advantage).into_iter();

        let mut selected =
            Selected { groups: vec![], advantages: groups.iter().map(|g| vec![None; g.rollouts.len()]).collect() };
        for (k, (&index, group)) in kept.iter().zip(&kept_groups).enumerate() {
            let mut rollouts = vec![];
            for (i, rollout) in group.rollouts.iter().enumerate() {
                let advantage = found.next().flatten();
                let Some(advantage) = advantage.filter(|_| self.config.filter.trains_on(rollout.completion.stop))
                else {
                    continue;
                };
                selected.advantages[index][i] = Some(advantage);
                rollouts.push(TrainingRollout {
                    ids: &rollout.completion.ids,
                    sampler_logp: &rollout.completion.logp,
                    old_logp: old.as_ref().map(|old| old[k][i].clone()),
                    reference_logp: reference_logp.as_ref().map(|reference| reference[k][i].clone()),
                    advantage,
                });
            }
            if !rollouts.is_empty() {
                selected.groups.push(TrainingGroup { prompt: &group.prompt, rollouts });
            }
        }
        selected
    }

    /// Scores the completions of groups under a policy that does not learn.
    fn score(&mut self, transformer: &Transformer, groups: &[&Group], policy: Policy) -> Vec<Vec<Vec<f32>>> {
        let groups: Vec<(&[u32], Vec<&[u32]>)> = groups
            .iter()
            .map(|group| (&*group.prompt, group.rollouts.iter().map(|r| &*r.completion.ids).collect()))
            .collect();
        let temperature = self.config.rollouts.sampling.temperature;
        let budget = self.config.optimizer.tokens_per_micro_batch;
        let (logp, flops) = score(transformer, &groups, temperature, budget);
        self.state.compute.flops_score += flops;
        let architecture = transformer.architecture();
        let exact =
            groups.iter().map(|(prompt, all)| architecture.scoring_flops(prompt.len(), all.iter().map(|c| c.len())));
        match policy {
            Policy::Old => self.state.compute.exact.score_old += exact.sum::<f64>(),
            Policy::Reference => self.state.compute.exact.score_reference += exact.sum::<f64>(),
        }
        logp
    }

    fn update(&mut self, groups: &[TrainingGroup<'_>], lr: f64) -> StepOutcome {
        let settings = UpdateSettings {
            loss: &self.config.loss,
            optimizer: &self.config.optimizer,
            lr,
            temperature: self.config.rollouts.sampling.temperature,
            max_new_tokens: self.config.rollouts.max_new_tokens,
        };
        update(&self.learner, &mut self.optimizer, groups, &settings)
    }

    /// Adds the step to the counters, dropped groups included.
    fn count(&mut self, groups: &[Group], outcome: Option<&StepOutcome>) {
        let compute = &mut self.state.compute;
        compute.rollouts += groups.iter().map(|group| group.rollouts.len() as u64).sum::<u64>();
        compute.tokens_prompt += groups.iter().map(|group| group.prompt.len() as u64).sum::<u64>();
        compute.tokens_gen += groups.iter().map(|group| group.n_tokens() as u64).sum::<u64>();
        let architecture = self.learner.architecture();
        compute.flops_gen += evaluate::flops(architecture, groups);
        for group in groups {
            let prompt = group.prompt.len();
            let decode = |rollout: &Rollout| architecture.decode_flops(prompt, rollout.completion.ids.len());
            compute.exact.prefill += architecture.prefill_flops(prompt);
            compute.exact.decode += group.rollouts.iter().map(decode).sum::<f64>();
        }
        compute.verify_cpu_s += groups.iter().flat_map(|group| &group.rollouts).map(|r| r.verify_s).sum::<f64>();
        if let Some(outcome) = outcome {
            compute.tokens_train += outcome.n_tokens;
            compute.flops_train += outcome.flops;
            compute.exact.forward += outcome.exact_forward;
            compute.exact.backward += 2.0 * outcome.exact_forward;
        }
    }

    /// Adds the time and the energy of a step to the counters.
    fn count_time(&mut self, times: &StepTimes, energy: Energy) {
        let compute = &mut self.state.compute;
        compute.wall_s += times.step_s;
        add(&mut compute.cpu_s, times.step_cpu_s);
        add(&mut compute.gpu_hours, self.on_gpu.then_some(times.step_s / 3600.0));
        add(&mut compute.energy_cpu_j, energy.cpu_j);
        add(&mut compute.energy_gpu_j, energy.gpu_j);
    }

    /// Says aloud what can hardly be the policy's doing, such as a verifier that scores everything 0.
    fn warn_of_verdicts(&mut self, step: u64, groups: &[Group], progress: &Progress) -> anyhow::Result<()> {
        let verdicts = groups.iter().flat_map(|group| {
            let (verifier, source) = (group.task.verifier.as_str(), group.task.source.as_str());
            let own = group.rollouts.iter().map(move |rollout| (verifier, source, &rollout.verdict));
            let of_parts = group.rollouts.iter().flat_map(|rollout| &rollout.part_verdicts);
            own.chain(of_parts.map(|(name, verdict)| (name.as_str(), "", verdict)))
        });
        for warning in self.watch.look(verdicts) {
            progress.say(&format!("warning: {warning}"));
            self.folder.event(step, warning)?;
        }
        Ok(())
    }

    /// Stops a run whose verifier leaks: unjudged rollouts are never rewarded, so nothing would be seen of it.
    fn check_unjudged(&mut self, groups: &[Group]) -> anyhow::Result<()> {
        let reason = |rollout: &Rollout| {
            let mut verdicts = std::iter::once(&rollout.verdict).chain(rollout.part_verdicts.values());
            verdicts.find_map(|verdict| match verdict {
                Verdict::Unjudged { why } => Some(why.clone()),
                Verdict::Judged { .. } | Verdict::Abstained => None,
            })
        };
        let rollouts = || groups.iter().flat_map(|group| &group.rollouts);
        let reasons: Vec<String> = rollouts().filter_map(reason).collect();
        self.recent.push((rollouts().count(), reasons.len()));
        let window = &self.recent[self.recent.len().saturating_sub(WINDOW)..];
        let (all, bad) = window.iter().fold((0, 0), |(a, b), &(all, bad)| (a + all, b + bad));
        if bad as f64 <= MOST_UNJUDGED * all as f64 {
            return Ok(());
        }
        bail!(
            "{bad} of the last {all} rollouts could not be judged (limit {:.0} %); the newest reason: {}",
            MOST_UNJUDGED * 100.0,
            reasons.last().map_or("(in an earlier step)".to_owned(), |why| shown(why))
        );
    }

    fn record_machine(&mut self, step: u64) -> anyhow::Result<()> {
        self.machine.look().map_or(Ok(()), |metrics| self.folder.record(Kind::System, step, metrics))
    }

    fn check_skipped(&mut self, step: u64, outcome: Option<&StepOutcome>) -> anyhow::Result<()> {
        let Some(outcome) = outcome else { return Ok(()) };
        if outcome.update.is_some() {
            self.state.n_skipped = 0;
            return Ok(());
        }
        self.state.n_skipped += 1;
        self.folder.event(
            step,
            format!("update left out: a gradient was not finite; the batch is in rollouts/ of step {step}"),
        )?;
        if self.state.n_skipped >= MOST_SKIPPED {
            bail!(
                "{MOST_SKIPPED} updates in a row had gradients that are not finite; lower `optimizer.lr` and go on with --resume"
            );
        }
        Ok(())
    }

    /// Learns from worked answers first, if the config says so.
    fn warm_start(&mut self) -> anyhow::Result<()> {
        let Some(config) = self.config.warm_start.clone() else { return Ok(()) };
        let done = match self.state.position {
            Position::Start => 0,
            Position::WarmStart(done) => done,
            Position::Step(_) => return Ok(()),
        };
        let examples = start::examples(&self.config, &self.tasks, &self.tokenizer)?;
        let progress = Progress::new(&self.console, config.steps, done);
        progress.say(&format!("warm start: {} steps on {} worked answers", config.steps, examples.len()));
        for step in done + 1..=config.steps {
            self.warm_start_step(step, &config, &examples, &progress)?;
            if self.is_due(config.checkpoint_every, step) || stop::is_asked() {
                self.save()?;
            }
            if stop::is_asked() {
                break;
            }
        }
        progress.finish();
        if self.state.position == Position::WarmStart(config.steps) {
            self.optimizer = self.learner.optimizer();
        }
        Ok(())
    }

    fn warm_start_step(
        &mut self,
        step: u64,
        config: &WarmStartSection,
        examples: &[Example],
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let _span = tracing::info_span!("warm_start", step).entered();
        let start = Instant::now();
        let optimizer = OptimizerConfig {
            lr: config.lr,
            warmup_steps: config.warmup_steps,
            schedule: config.schedule,
            ..self.config.optimizer.clone()
        };
        let lr = optimizer.lr_at(step, config.steps);
        let chosen = sft::batch(self.config.run.seed, step, config.examples_per_step, examples.len());
        let chosen: Vec<&Example> = chosen.into_iter().map(|i| &examples[i]).collect();
        let outcome = sft::update(&self.learner, &mut self.optimizer, &chosen, &optimizer, lr);
        let step_s = start.elapsed().as_secs_f64();
        let compute = &mut self.state.compute;
        compute.flops_sft += outcome.flops;
        compute.sft_tokens += outcome.n_tokens;
        compute.sft_wall_s += step_s;
        self.state.position = Position::WarmStart(step);
        let mut metrics = Metrics::default();
        metrics.set(WARM_START_STEP, step as f64);
        metrics.set("sft/loss", outcome.loss);
        metrics.set("sft/lr", lr);
        metrics.set("sft/tokens", outcome.n_tokens as f64);
        metrics.set_some("sft/grad_norm", outcome.update.map(|update| update.grad_norm));
        metrics.set("time/step_s", step_s);
        self.state.compute.write(0, &mut metrics);
        let text = format!("warm start: loss {:.4}", outcome.loss);
        let is_told = step.is_multiple_of((config.steps / 10).max(1)) || step == config.steps;
        if is_told {
            progress.step(step, &text, &metrics);
        } else {
            progress.phase(&text);
        }
        self.folder.record(Kind::Sft, 0, metrics)?;
        if outcome.update.is_none() {
            bail!("warm start, step {step}: a gradient is not finite; lower `warm_start.lr`");
        }
        Ok(())
    }

    /// Evaluates what the run starts from, once.
    fn evaluate_before_the_first_step(&mut self) -> anyhow::Result<()> {
        if matches!(self.state.position, Position::Step(_)) || stop::is_asked() {
            return Ok(());
        }
        let has_warmed_up = self.state.position != Position::Start;
        if self.config.needs_reference() {
            self.reference = Some(self.learner.frozen());
        }
        self.state.position = Position::Step(0);
        self.evaluate(0, &Progress::new(&self.console.clone(), 0, 0))?;
        if has_warmed_up {
            self.save()?;
        }
        Ok(())
    }

    fn evaluate(&mut self, step: u64, progress: &Progress) -> anyhow::Result<()> {
        if self.tasks.eval.is_empty() {
            return Ok(());
        }
        let _span = tracing::info_span!("evaluate", step).entered();
        progress.phase("evaluate");
        let energy_before = self.energy.read();
        let sampler = self.learner.policy();
        let limits = self.limits(self.config.eval_max_new_tokens());
        let mut compute = std::mem::take(&mut self.state.compute);
        let reward = RewardConfig::default(); // evaluation looks at outcomes alone
        let collector = self.collector(&sampler, &self.config.eval.sampling, &reward, &limits);
        let noise = evaluate::noise(self.config.run.seed);
        let evaluation =
            evaluate(&collector, &self.tasks.eval, self.config.eval.samples, noise, (&mut compute, &mut |_| {}));
        self.state.compute = compute;
        let evaluation = evaluation?;
        let energy = self.energy.read().since(energy_before);
        add(&mut self.state.compute.eval_energy_cpu_j, energy.cpu_j);
        add(&mut self.state.compute.eval_energy_gpu_j, energy.gpu_j);
        let mut metrics = evaluation.metrics;
        progress.say(&held_out_line(step, &metrics));
        self.held_out = Some(held_out_words(step, &metrics));
        self.state.compute.write(step, &mut metrics);
        self.folder.write_lines("evals", step, &evaluation.samples)?;
        self.folder.record(Kind::Eval, step, metrics)
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let position = self.state.position;
        if self.saved.as_ref().is_some_and(|(saved, _)| *saved == position) {
            return Ok(());
        }
        let _span = tracing::info_span!("checkpoint").entered();
        self.state.order = self.order.state().clone();
        let folder = self.folder.path().join("checkpoints");
        let parts = (&self.learner, &self.tokenizer, &self.optimizer);
        let keep = Keep {
            newest: self.config.checkpoint.keep,
            // A resumed run takes the reference policy from there.
            first: self.config.needs_reference() && self.config.warm_start.is_some(),
        };
        self.saved = Some((position, checkpoint::save(&folder, parts, &self.state, keep)?));
        Ok(())
    }

    fn steps_done(&self) -> u64 {
        match self.state.position {
            Position::Step(step) => step,
            Position::Start | Position::WarmStart(_) => 0,
        }
    }

    fn is_due(&self, every: u64, step: u64) -> bool {
        every > 0 && step.is_multiple_of(every)
    }

    /// Evaluates and saves the end, and draws the curves.
    fn finish(mut self) -> anyhow::Result<Outcome> {
        let step = self.steps_done();
        let is_complete = step >= self.config.run.steps && self.state.position >= Position::Step(0);
        if is_complete {
            if step > 0 && !self.evaluated {
                self.evaluate(step, &Progress::new(&self.console.clone(), 0, 0))?;
            }
            self.save()?;
        }
        let curves = match points::of_run(self.folder.path()) {
            Ok(_) => curves::of_run(self.folder.path()).context("the curves could not be drawn")?,
            Err(points::PointsError::NoEvaluation(_)) => vec![],
            Err(error) => return Err(error.into()),
        };
        let checkpoint = self.saved.map(|(_, path)| path);
        Ok(Outcome { is_complete, folder: self.folder.path().to_owned(), checkpoint, curves })
    }
}

/// Whether training compute passes a mark of a logarithmic axis with so many marks a decade. The first step passes one.
fn crosses_a_mark(per_decade: u32, before: f64, after: f64) -> bool {
    let mark = |flops: f64| (flops.log10() * f64::from(per_decade)).floor();
    per_decade > 0 && after > before && mark(after) > mark(before)
}

/// What a step trains on.
struct Selected<'a> {
    groups: Vec<TrainingGroup<'a>>,
    /// For every group and rollout sampled its advantage, none if it is not trained on.
    advantages: Vec<Vec<Option<f64>>>,
}

/// The parts of the rewards of some groups, and the divergence from the reference as one more.
fn part_rewards(groups: &[&Group], reference: Option<&[Vec<Vec<f32>>]>, reward_kl: f64) -> Vec<PartRewards> {
    let rollouts: Vec<_> = groups.iter().flat_map(|group| &group.rollouts).collect();
    let paid = |rollout: &Rollout, name: &str| {
        rollout.reward.as_ref()?.parts.iter().find(|part| part.name == name).map(|part| (part.weight, part.value))
    };
    let all = rollouts.iter().filter_map(|rollout| rollout.reward.as_ref()).flat_map(|reward| &reward.parts);
    let weights: BTreeMap<&str, f64> = all.map(|part| (part.name.as_str(), part.weight)).collect();
    let mut parts: Vec<PartRewards> = weights
        .into_iter()
        .map(|(name, weight)| PartRewards {
            weight,
            values: rollouts.iter().map(|rollout| paid(rollout, name).map(|(_, value)| value)).collect(),
        })
        .collect();
    if let Some(reference) = reference.filter(|_| reward_kl > 0.0) {
        let difference = |(rollout, reference): (&&Rollout, &Vec<f32>)| {
            let sum = rollout.completion.logp.iter().zip(reference).map(|(&l, &r)| f64::from(l) - f64::from(r)).sum();
            rollout.reward.as_ref().map(|_| sum)
        };
        let values = rollouts.iter().zip(reference.iter().flatten()).map(difference).collect();
        parts.push(PartRewards { weight: -reward_kl, values });
    }
    parts
}

fn rollout_records<'a>(step: u64, groups: &'a [Group], advantages: &[Vec<Option<f64>>]) -> Vec<RolloutRecord<'a>> {
    let of_group = |(g, group): (usize, &'a Group)| {
        (0..group.rollouts.len())
            .map(move |i| RolloutRecord::new(step, (g, group), i, advantages[g][i]))
            .collect::<Vec<_>>()
    };
    groups.iter().enumerate().flat_map(of_group).collect()
}

/// Adds what was measured, if it was, to a counter that is none until then.
fn add(counter: &mut Option<f64>, more: Option<f64>) {
    if let Some(more) = more {
        *counter = Some(counter.unwrap_or(0.0) + more);
    }
}

/// The held-out accuracy in a few words, for the lines of steps.
fn held_out_words(step: u64, metrics: &Metrics) -> String {
    let of = |(key, value): (&str, f64)| {
        key.strip_prefix("eval/")?.split_once("/mean@").map(|_| format!("{:.1} %", value * 100.0))
    };
    let sets: Vec<String> = metrics.iter().filter_map(of).collect();
    format!("held out {} (step {step})", sets.join(", "))
}

/// The held-out accuracy in words.
fn held_out_line(step: u64, metrics: &Metrics) -> String {
    let sets: Vec<String> = metrics
        .iter()
        .filter_map(|(key, value)| {
            let (set, _) = key.strip_prefix("eval/")?.split_once("/mean@")?;
            let n = metrics.get(&format!("eval/{set}/n_samples"))?;
            let interval = rlvr_curves::estimate::wilson(value * n, n);
            let range = format!("95 %: {:.1}–{:.1}", interval.low * 100.0, interval.high * 100.0);
            Some(format!("{set} {:.1} % of {n} ({range})", value * 100.0))
        })
        .collect();
    format!("step {step}: held-out accuracy {}", sets.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_equally_far_apart_in_log_compute() {
        // 1 000 steps of 1e9 operations: from 1e9 to 1e12 there are 3 decades with 4 marks each, and the first step.
        let passed: Vec<u64> =
            (1..=1000).filter(|&step| crosses_a_mark(4, (step - 1) as f64 * 1e9, step as f64 * 1e9)).collect();
        assert_eq!(passed, [1, 2, 4, 6, 10, 18, 32, 57, 100, 178, 317, 563, 1000]);
        assert!(!crosses_a_mark(0, 1.0, 1e9) && !crosses_a_mark(4, 5.0, 5.0));
    }
}
