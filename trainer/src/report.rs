//! What is written down of a step: its record, its rollouts, and a line for people.

use std::collections::BTreeMap;

use rlvr_curves::record::{Compute, ExactFlops, Metrics};
use rlvr_rollouts::{Group, Rollout, Stop};
use rlvr_verifiers::{Interventions, Reward, Verdict};
use serde::Serialize;

use crate::energy::Energy;
use crate::filter::{Spread, spread};
use crate::step::StepOutcome;

/// One rollout, a line of `rollouts/step_NNNNNN.jsonl`.
#[derive(Debug, Serialize)]
pub struct RolloutRecord<'a> {
    step: u64,
    task_id: &'a str,
    source: &'a str,
    group: usize,
    sample: usize,
    policy_version: u64,
    prompt: String,
    reference: Option<&'a str>,
    completion: &'a str,
    prompt_ids: &'a [u32],
    ids: &'a [u32],
    n_prompt: usize,
    n_tokens: usize,
    stop: Stop,
    verdicts: BTreeMap<&'a str, &'a Verdict>,
    parts: BTreeMap<&'a str, f64>,
    reward: Option<f64>,
    outcome: Option<f64>,
    advantage: Option<f64>,
    logp_mean: f64,
    entropy_mean: f64,
    verify_s: f64,
}

impl<'a> RolloutRecord<'a> {
    /// Writes down a rollout of a step; `advantage` is none if it was not trained on.
    pub fn new(step: u64, (group_index, group): (usize, &'a Group), sample: usize, advantage: Option<f64>) -> Self {
        let Rollout { completion, verdict, part_verdicts, reward, verify_s, .. } = &group.rollouts[sample];
        let task = &group.task;
        let parts = reward.iter().flat_map(|reward| &reward.parts).map(|part| (part.name.as_str(), part.value));
        Self {
            step,
            task_id: &task.id,
            source: &task.source,
            group: group_index,
            sample,
            policy_version: step - 1,
            prompt: task.prompt.to_plain_text(),
            reference: task.reference.as_deref(),
            completion: &completion.text,
            prompt_ids: &group.prompt,
            ids: &completion.ids,
            n_prompt: group.prompt.len(),
            n_tokens: completion.ids.len(),
            stop: completion.stop,
            verdicts: std::iter::once((task.verifier.as_str(), verdict))
                .chain(part_verdicts.iter().map(|(name, verdict)| (name.as_str(), verdict)))
                .collect(),
            parts: parts.collect(),
            reward: reward.as_ref().map(|reward| reward.total),
            outcome: reward.as_ref().map(|reward| reward.outcome),
            advantage,
            logp_mean: mean(completion.logp.iter().map(|&x| f64::from(x))).unwrap_or(f64::NAN),
            entropy_mean: mean(completion.entropy.iter().map(|&x| f64::from(x))).unwrap_or(f64::NAN),
            verify_s: *verify_s,
        }
    }
}

/// Seconds spent in the phases of a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepTimes {
    /// Prompts and completions.
    pub generate_s: f64,
    /// Waiting for verdicts.
    pub verify_wait_s: f64,
    /// Scoring under old or reference weights.
    pub score_s: f64,
    /// Updating.
    pub update_s: f64,
    /// All of it.
    pub step_s: f64,
    /// CPU time of prompts, completions and the verifiers of this process, where the system tells.
    pub sample_cpu_s: Option<f64>,
    /// CPU time of scoring.
    pub score_cpu_s: Option<f64>,
    /// CPU time of updating.
    pub update_cpu_s: Option<f64>,
    /// CPU time of all of it.
    pub step_cpu_s: Option<f64>,
}

/// Everything that a step's record is made of.
#[derive(Debug)]
pub struct StepReport<'a> {
    /// All groups sampled, the dropped ones included.
    pub groups: &'a [Group],
    /// Groups trained on.
    pub n_kept: usize,
    /// Groups sampled in place of dropped ones.
    pub n_refilled: usize,
    /// Tasks that are no longer drawn.
    pub n_retired: usize,
    /// How often verifiers had to help themselves.
    pub interventions: &'a BTreeMap<String, Interventions>,
    /// Advantages of the rollouts trained on.
    pub advantages: &'a [f64],
    /// The update; none if no group was left.
    pub outcome: Option<&'a StepOutcome>,
    /// The learning rate.
    pub lr: f64,
    /// Where the time went.
    pub times: StepTimes,
    /// Operations a second of large matrix products on this machine.
    pub matmul_peak: f64,
    /// The largest memory so far, of the GPU where there is one, in gigabytes.
    pub memory_gb: Option<f64>,
    /// Operations of this step.
    pub flops: f64,
    /// Exact operations of this step by component.
    pub exact: ExactFlops,
    /// What this step took, where it could be measured.
    pub energy: Energy,
    /// The step.
    pub step: u64,
    /// Everything computed so far.
    pub compute: &'a Compute,
}

impl StepReport<'_> {
    fn rollouts(&self) -> impl Iterator<Item = &Rollout> {
        self.groups.iter().flat_map(|group| &group.rollouts)
    }

    fn rewards(&self) -> impl Iterator<Item = &Reward> {
        self.rollouts().filter_map(|rollout| rollout.reward.as_ref())
    }

    fn n_with(&self, wanted: Spread) -> usize {
        self.groups.iter().filter(|group| spread(group) == wanted).count()
    }

    /// Returns the step's measurements.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        self.write_rewards(&mut metrics);
        self.write_groups(&mut metrics);
        self.write_verdicts(&mut metrics);
        self.write_lengths(&mut metrics);
        self.write_update(&mut metrics);
        self.write_speed(&mut metrics);
        self.compute.write(self.step, &mut metrics);
        metrics
    }

    fn write_rewards(&self, metrics: &mut Metrics) {
        let totals: Vec<f64> = self.rewards().map(|reward| reward.total).collect();
        metrics.set_some("reward/mean", mean(totals.iter().copied()));
        metrics.set_some("reward/std", deviation(&totals));
        let mut parts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for part in self.rewards().flat_map(|reward| &reward.parts) {
            parts.entry(&part.name).or_default().push(part.value);
        }
        for (name, values) in parts {
            metrics.set_some(format!("reward/{name}/mean"), mean(values.into_iter()));
        }
        metrics.set_some("outcome/mean", mean(self.rewards().map(|reward| reward.outcome)));
        let mut sources: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for group in self.groups {
            sources.entry(&group.task.source).or_default().extend(group.outcomes());
        }
        for (source, outcomes) in sources {
            metrics.set_some(format!("outcome/{source}/mean"), mean(outcomes.into_iter()));
        }
        metrics.set_some("advantage/std", deviation(self.advantages));
    }

    fn write_groups(&self, metrics: &mut Metrics) {
        let n = self.groups.len() as f64;
        let (right, wrong, equal) =
            (self.n_with(Spread::AllRight), self.n_with(Spread::AllWrong), self.n_with(Spread::Equal));
        metrics.set("group/zero_std", (right + wrong + equal) as f64 / n);
        metrics.set("group/all_right", right as f64 / n);
        metrics.set("group/all_wrong", wrong as f64 / n);
        metrics.set("group/n_dropped", (self.groups.len() - self.n_kept) as f64);
        metrics.set("group/n_refilled", self.n_refilled as f64);
        metrics.set("group/n_retired", self.n_retired as f64);
    }

    /// The share of each finding among the rollouts of each verifier, and what judging took.
    fn write_verdicts(&self, metrics: &mut Metrics) {
        let mut judgings: BTreeMap<String, Judgings<'_>> = BTreeMap::new();
        for group in self.groups {
            let of_task = judgings.entry(metric_name(&group.task.verifier)).or_default();
            for rollout in &group.rollouts {
                of_task.add(&rollout.verdict);
                of_task.n_repeats += usize::from(rollout.is_repeat);
                if !rollout.is_repeat {
                    of_task.times_ms.push(rollout.verify_s * 1e3);
                }
            }
        }
        for (part, verdict) in self.rollouts().flat_map(|rollout| &rollout.part_verdicts) {
            judgings.entry(metric_name(part)).or_default().add(verdict);
        }
        for (name, judgings) in judgings {
            judgings.write(&name, metrics);
        }
        for (name, Interventions { restarts, killed }) in self.interventions {
            if restarts + killed > 0 {
                let name = metric_name(name);
                metrics.set(format!("verify/{name}/restarts"), *restarts as f64);
                metrics.set(format!("verify/{name}/killed"), *killed as f64);
            }
        }
    }

    fn write_lengths(&self, metrics: &mut Metrics) {
        let lengths: Vec<f64> = self.rollouts().map(|rollout| rollout.completion.ids.len() as f64).collect();
        let ended = self.rollouts().filter(|rollout| rollout.completion.stop != Stop::Length);
        metrics.set_some("length/mean", mean(lengths.iter().copied()));
        metrics.set_some("length/max", lengths.iter().copied().reduce(f64::max));
        metrics.set_some("length/min", lengths.iter().copied().reduce(f64::min));
        metrics.set_some("length/terminated_mean", mean(ended.map(|rollout| rollout.completion.ids.len() as f64)));
        metrics.set("length/truncated", self.truncated());
        let entropies = self.rollouts().flat_map(|rollout| &rollout.completion.entropy);
        metrics.set_some("policy/entropy", mean(entropies.map(|&h| f64::from(h))));
    }

    fn truncated(&self) -> f64 {
        let cut = self.rollouts().filter(|rollout| rollout.completion.stop == Stop::Length).count();
        cut as f64 / self.rollouts().count().max(1) as f64
    }

    fn write_update(&self, metrics: &mut Metrics) {
        metrics.set("optim/lr", self.lr);
        let Some(outcome) = self.outcome else { return };
        let sums = &outcome.sums;
        metrics.set("optim/loss", sums.loss);
        metrics.set_some("optim/grad_norm", outcome.update.map(|update| update.grad_norm));
        metrics.set_some("optim/update_ratio", outcome.update.map(|update| update.update_ratio));
        metrics.set("optim/skipped", f64::from(u8::from(outcome.update.is_none())));
        metrics.set("policy/clip_low", sums.clip_low / sums.n_units);
        metrics.set("policy/clip_high", sums.clip_high / sums.n_units);
        metrics.set("policy/cap_share", sums.capped / sums.n_units);
        metrics.set("policy/kl_ref", sums.kl / sums.n_tokens);
        metrics.set("policy/ratio/mean", sums.ratio / sums.n_units);
        metrics.set("policy/ratio/min", sums.ratio_min);
        metrics.set("policy/ratio/max", sums.ratio_max);
        let (sum, squares) = sums.correction;
        metrics.set("policy/ess", sum * sum / (sums.n_tokens * squares));
        let mismatch = &outcome.mismatch;
        metrics.set("policy/mismatch_kl", mismatch.k3 / mismatch.n_tokens);
        metrics.set("policy/mismatch_logp/mean", mismatch.absolute / mismatch.n_tokens);
        metrics.set("policy/mismatch_logp/max", mismatch.largest);
    }

    fn write_speed(&self, metrics: &mut Metrics) {
        let times = &self.times;
        metrics.set("time/generate_s", times.generate_s);
        metrics.set("time/verify_s", self.rollouts().map(|rollout| rollout.verify_s).sum());
        metrics.set("time/verify_wait_s", times.verify_wait_s);
        metrics.set("time/score_s", times.score_s);
        metrics.set("time/update_s", times.update_s);
        metrics.set("time/step_s", times.step_s);
        metrics.set_some("time/sample_cpu_s", times.sample_cpu_s);
        metrics.set_some("time/score_cpu_s", times.score_cpu_s);
        metrics.set_some("time/update_cpu_s", times.update_cpu_s);
        metrics.set_some("time/step_cpu_s", times.step_cpu_s);
        let threads = f64::from(tch::get_num_threads().max(1));
        metrics.set_some("perf/cpu_share", times.step_cpu_s.map(|cpu_s| cpu_s / times.step_s / threads));
        let mfu = |flops: f64, seconds: f64| (seconds > 0.0).then_some(flops / seconds / self.matmul_peak);
        metrics.set_some("perf/generate_mfu", mfu(self.exact.prefill + self.exact.decode, times.generate_s));
        metrics.set_some("perf/update_mfu", mfu(self.exact.forward + self.exact.backward, times.update_s));
        metrics.set_some("perf/energy_cpu_j", self.energy.cpu_j);
        metrics.set_some("perf/energy_gpu_j", self.energy.gpu_j);
        metrics.set("perf/tokens_per_s", self.tokens_per_s());
        metrics.set("perf/mfu", self.flops / times.step_s / self.matmul_peak);
        metrics.set_some("perf/memory_gb", self.memory_gb);
    }

    fn tokens_per_s(&self) -> f64 {
        self.groups.iter().map(Group::n_tokens).sum::<usize>() as f64 / self.times.generate_s
    }

    /// Returns the step in one line; zeros are explained.
    pub fn line(&self, held_out: Option<&str>) -> String {
        let right = mean(self.rewards().map(|reward| reward.outcome)).unwrap_or(f64::NAN) * 100.0;
        let reward = mean(self.rewards().map(|reward| reward.total)).unwrap_or(f64::NAN);
        let held_out = held_out.map_or(String::new(), |text| format!("{text}, "));
        let (all_right, all_wrong) = (self.n_with(Spread::AllRight), self.n_with(Spread::AllWrong));
        let groups = group_words(self.groups.len(), all_right, all_wrong, self.n_with(Spread::Equal));
        let length = mean(self.rollouts().map(|rollout| rollout.completion.ids.len() as f64)).unwrap_or(0.0);
        let update = update_words(self.outcome.map(|outcome| (outcome.sums.loss, outcome.update.is_some())));
        format!(
            "{held_out}right {right:.1} %, reward {reward:.3}; {groups}; {update}; {length:.1} tokens, {:.0} % cut off; \
             {:.0} tokens/s, {:.1} s",
            self.truncated() * 100.0,
            self.tokens_per_s(),
            self.times.step_s,
        )
    }
}

/// The groups that teach nothing, in words.
fn group_words(n: usize, all_right: usize, all_wrong: usize, equal: usize) -> String {
    let silent = all_right + all_wrong + equal;
    let share = silent as f64 / n.max(1) as f64 * 100.0;
    let why: Vec<String> = [(all_right, "all right"), (all_wrong, "all wrong"), (equal, "otherwise equal")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    match silent {
        0 => format!("zero variance 0 %: rewards differ in all {n} groups"),
        _ => format!("zero variance {share:.0} %: {silent} of {n} groups had equal outcomes ({})", why.join(", ")),
    }
}

/// The update in words, from its loss and whether it was made; none if nothing was left to learn from.
fn update_words(update: Option<(f64, bool)>) -> String {
    match update {
        None => "no update: no group was left to compare".to_owned(),
        Some((_, false)) => "UPDATE LEFT OUT: a gradient was not finite".to_owned(),
        Some((loss, true)) if loss.abs() < 5e-7 => {
            "loss 0: the ratio is 1 on the first pass and advantages cancel; the gradient is not 0".to_owned()
        }
        Some((loss, true)) => format!("loss {loss:.4}"),
    }
}

/// What one verifier did in a step.
#[derive(Default)]
struct Judgings<'a> {
    n: usize,
    n_judged: usize,
    n_repeats: usize,
    findings: BTreeMap<&'a str, usize>,
    /// Milliseconds of each verdict that was not a repeat.
    times_ms: Vec<f64>,
}

impl<'a> Judgings<'a> {
    fn add(&mut self, verdict: &'a Verdict) {
        self.n += 1;
        self.n_judged += usize::from(verdict.score().is_some());
        *self.findings.entry(verdict.finding()).or_default() += 1;
    }

    fn write(mut self, name: &str, metrics: &mut Metrics) {
        // A leak must be seen: its share is written even where it is 0.
        self.findings.entry("unjudged").or_default();
        let n = self.n as f64;
        for (finding, count) in &self.findings {
            metrics.set(format!("verify/{name}/{finding}"), *count as f64 / n);
        }
        metrics.set(format!("verify/{name}/judged"), self.n_judged as f64 / n);
        metrics.set(format!("verify/{name}/cache_hit"), self.n_repeats as f64 / n);
        self.times_ms.sort_by(f64::total_cmp);
        for (label, share) in [("p50", 0.5), ("p95", 0.95), ("max", 1.0)] {
            // The nearest rank: the smallest time that at least this share does not exceed.
            let rank = (share * self.times_ms.len() as f64).ceil() as usize;
            metrics.set_some(
                format!("verify/{name}/time_ms/{label}"),
                rank.checked_sub(1).map(|index| self.times_ms[index]),
            );
        }
    }
}

/// The name of a verifier in names of measurements, where slashes and blanks have a meaning: every word of a command
/// without its folder.
fn metric_name(verifier: &str) -> String {
    let (scheme, argument) = verifier.split_once(':').map_or((None, verifier), |(s, a)| (Some(s), a));
    let words = argument.split_whitespace().map(|word| word.trim_end_matches('/').rsplit('/').next().unwrap_or(word));
    let name = words.collect::<Vec<_>>().join("_");
    scheme.map_or(name.clone(), |scheme| format!("{scheme}:{name}"))
}

/// The mean; none of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u64), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f64)
}

/// The standard deviation with n − 1 in the denominator; none of fewer than two.
fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values.iter().copied()).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_measurements_have_no_slashes() {
        for (verifier, expected) in [
            ("math", "math"),
            ("process:/usr/bin/python3 judges/a.py --fast", "process:python3_a.py_--fast"),
            ("trl:/home/me/rewards.py:accuracy", "trl:rewards.py:accuracy"),
            ("http://127.0.0.1:8000/judge/", "http:judge"),
        ] {
            assert_eq!(metric_name(verifier), expected);
        }
    }

    #[test]
    fn zeros_are_explained() {
        assert_eq!(group_words(8, 0, 0, 0), "zero variance 0 %: rewards differ in all 8 groups");
        let words = "zero variance 97 %: 31 of 32 groups had equal outcomes (1 all right, 30 all wrong)";
        assert_eq!(group_words(32, 1, 30, 0), words);
        assert_eq!(update_words(None), "no update: no group was left to compare");
        assert_eq!(update_words(Some((0.01234, true))), "loss 0.0123");
        assert!(update_words(Some((-1e-9, true))).starts_with("loss 0: the ratio is 1 on the first pass"));
    }

    #[test]
    fn times_are_nearest_ranks_and_repeats_are_counted() {
        let verdicts = [Verdict::correct(), Verdict::wrong("timeout"), Verdict::unjudged("down"), Verdict::Abstained];
        let mut judgings = Judgings { times_ms: vec![4.0, 1.0, 2.0, 3.0], n_repeats: 1, ..Judgings::default() };
        verdicts.iter().for_each(|verdict| judgings.add(verdict));
        let mut metrics = Metrics::default();
        judgings.write("code", &mut metrics);
        for (key, expected) in [
            ("correct", 0.25),
            ("timeout", 0.25),
            ("unjudged", 0.25),
            ("abstained", 0.25),
            ("judged", 0.5),
            ("cache_hit", 0.25),
            ("time_ms/p50", 2.0),
            ("time_ms/p95", 4.0),
            ("time_ms/max", 4.0),
        ] {
            assert_eq!(metrics.get(&format!("verify/code/{key}")), Some(expected), "{key}");
        }
    }
}
