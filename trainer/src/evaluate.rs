//! Evaluation on held-out tasks: samples on disk, estimates in the record.

pub mod contamination;
pub mod examination;
pub mod fingerprint;
pub mod result;
pub mod sample;
mod votes;

use std::collections::BTreeMap;
use std::time::Instant;

use rlvr_curves::estimate::{Votes, majority_at_k, pass_at_k};
use rlvr_curves::record::{Compute, Metrics};
use rlvr_policy::Architecture;
use rlvr_rollouts::collect::Collector;
use rlvr_rollouts::{Group, Noise, RolloutError, Stop};
use rlvr_verifiers::Task;

pub use sample::EvalSample;

/// An evaluation: estimates by set, and the samples behind them.
#[derive(Debug)]
pub struct Evaluation {
    /// The estimates, `eval/SET/…`.
    pub metrics: Metrics,
    /// Every sample, enough to recompute the estimates.
    pub samples: Vec<EvalSample>,
}

/// Separates the noise of evaluation from that of training.
const NOISE: u64 = 0x6576_616c;

/// The noise of an evaluation. It does not depend on the step, so that checkpoints answer under equal luck.
pub fn noise(seed: u64) -> Noise {
    Noise { seed: seed ^ NOISE, step: 0 }
}

/// Evaluates a policy: `n` samples of every task.
///
/// Operations, tokens and seconds go into the `eval_…` counters of `compute`.
///
/// # Errors
///
/// If a prompt cannot be rendered or does not fit.
pub fn evaluate(
    collector: &Collector<'_>,
    tasks: &[Task],
    n: usize,
    noise: Noise,
    (compute, progress): (&mut Compute, &mut dyn FnMut(usize)),
) -> Result<Evaluation, RolloutError> {
    let start = Instant::now();
    let tasks: Vec<&Task> = tasks.iter().collect();
    let collected = collector.collect(&tasks, n, noise, progress)?;
    let architecture = collector.transformer.architecture();
    compute.eval_flops += flops(architecture, &collected.groups);
    compute.eval_tokens += collected.groups.iter().map(|group| group.n_tokens() as u64).sum::<u64>();
    compute.eval_wall_s += start.elapsed().as_secs_f64();
    Ok(of_groups(&collected.groups, n, collector))
}

/// Model FLOPs of sampling some groups, prompts shared.
pub fn flops(architecture: &Architecture, groups: &[Group]) -> f64 {
    groups
        .iter()
        .map(|group| {
            let lengths = group.rollouts.iter().map(|rollout| rollout.completion.ids.len());
            architecture.group_flops(group.prompt.len(), lengths)
        })
        .sum()
}

/// Estimates from judged groups, by source.
fn of_groups(groups: &[Group], n: usize, collector: &Collector<'_>) -> Evaluation {
    let of_group = |group: &Group| {
        let mut samples = sample::of_group(group, collector.transformer.architecture());
        votes::mark_equal(collector.panel, &group.task, &mut samples);
        samples
    };
    let samples: Vec<EvalSample> = groups.iter().flat_map(of_group).collect();
    let mut sets: BTreeMap<&str, Vec<&EvalSample>> = BTreeMap::new();
    for sample in &samples {
        sets.entry(&sample.set).or_default().push(sample);
    }
    let mut metrics = Metrics::default();
    for (set, samples) in sets {
        estimate(set, &samples, n, &mut metrics);
    }
    Evaluation { metrics, samples }
}

/// Estimates of one set: means, pass@k, maj@k, lengths. Samples that were not judged are left out and counted.
fn estimate(set: &str, samples: &[&EvalSample], n: usize, metrics: &mut Metrics) {
    let mut key = |name: &str, value: f64| metrics.set(format!("eval/{set}/{name}"), value);
    let judged: Vec<&EvalSample> = samples.iter().copied().filter(|sample| sample.score.is_some()).collect();
    let mut problems: BTreeMap<&str, Vec<&EvalSample>> = BTreeMap::new();
    for sample in &judged {
        problems.entry(&sample.task_id).or_default().push(sample);
    }
    key("n_samples", judged.len() as f64);
    key("n_problems", problems.len() as f64);
    key("unjudged", (samples.len() - judged.len()) as f64 / samples.len() as f64);
    if judged.is_empty() {
        return;
    }
    let over_samples = |f: &dyn Fn(&EvalSample) -> f64| judged.iter().map(|s| f(s)).sum::<f64>() / judged.len() as f64;
    key(&format!("mean@{n}"), over_samples(&|s| f64::from(s.score.unwrap_or(0.0))));
    key("strict", over_samples(&|s| s.strict.unwrap_or_else(|| f64::from(s.score.unwrap_or(0.0)))));
    if judged.iter().all(|s| s.lenient.is_some()) {
        key("lenient", over_samples(&|s| s.lenient.unwrap_or(0.0)));
    }
    key("length", over_samples(&|s| s.n_tokens as f64));
    key("truncated", over_samples(&|s| f64::from(u8::from(s.stop == Stop::Length))));

    let over_problems = |f: &dyn Fn(&[&EvalSample]) -> Option<f64>| -> Option<f64> {
        let values: Option<Vec<f64>> = problems.values().map(|samples| f(samples)).collect();
        values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
    };
    for k in std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k > 1 && k <= n || k == 1 && n > 1) {
        let pass = over_problems(&|samples| {
            pass_at_k(samples.len() as u64, samples.iter().filter(|s| s.is_right()).count() as u64, k as u64)
        });
        let majority = over_problems(&|samples| {
            majority_at_k(&Votes::count(samples.iter().map(|s| (s.vote(), s.is_right()))), k as u64)
        });
        if let Some(pass) = pass {
            key(&format!("pass@{k}"), pass);
        }
        if let Some(majority) = majority {
            key(&format!("maj@{k}"), majority);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::tests::sample;
    use super::*;

    #[test]
    fn estimates_by_hand() {
        let samples = [
            sample("a", 0, Some(1.0), "1"),
            sample("a", 1, Some(0.0), "2"),
            sample("b", 0, Some(0.0), "3"),
            sample("b", 1, Some(0.0), "3"),
            sample("c", 0, None, "?"),
        ];
        let mut metrics = Metrics::default();
        estimate("s", &samples.iter().collect::<Vec<_>>(), 2, &mut metrics);
        let get = |name: &str| metrics.get(&format!("eval/s/{name}"));
        assert_eq!(get("mean@2"), Some(0.25));
        assert_eq!(get("lenient"), Some(1.0));
        assert_eq!(get("n_samples"), Some(4.0));
        assert_eq!(get("unjudged"), Some(0.2));
        assert_eq!(get("pass@1"), Some(0.25));
        assert_eq!(get("pass@2"), Some(0.5));
        assert_eq!(get("maj@2"), Some(0.25)); // one vote each for a: half
    }

    #[test]
    fn nothing_judged_gives_no_accuracy() {
        let samples = [sample("a", 0, None, "?")];
        let mut metrics = Metrics::default();
        estimate("s", &[&samples[0]], 1, &mut metrics);
        assert_eq!(metrics.get("eval/s/mean@1"), None);
        assert_eq!(metrics.get("eval/s/unjudged"), Some(1.0));
    }
}
