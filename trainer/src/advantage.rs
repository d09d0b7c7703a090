//! From rewards to advantages.
//!
//! Plain numbers in task order, in float64, so that the result does not depend on the order in which rollouts arrived.
//! A rollout without a reward, because nothing could be judged, takes no part in any statistic and gets no advantage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How advantages are made: reward minus a baseline, over a scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvantageConfig {
    /// What is subtracted.
    pub baseline: Baseline,
    /// What is divided by.
    pub scale: Scale,
    /// Added to the scale.
    pub epsilon: f64,
    /// Whether the parts of a reward are normalised each before they are summed.
    pub parts: Parts,
    /// β of the divergence from the reference policy that is subtracted from rewards, as `β Σ_t (ℓ − ℓ_ref)`; 0 is off.
    pub reward_kl: f64,
}

/// What is subtracted from a reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Nothing (REINFORCE++, arXiv:2501.03262).
    None,
    /// The mean of the group (GRPO, arXiv:2402.03300).
    Mean,
    /// The mean of the others of the group (RLOO, arXiv:2402.14740).
    LeaveOneOut,
}

/// What the difference is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Nothing (Dr. GRPO, arXiv:2503.20783).
    None,
    /// The deviation of the group's rewards, n − 1 in the denominator (GRPO).
    Group,
    /// The deviation of all rewards of the step, n − 1 in the denominator (Lite PPO, arXiv:2508.08221).
    BatchRaw,
    /// The deviation of all differences of the step, n in the denominator (ScaleRL, arXiv:2510.13786).
    BatchCentred,
    /// Mean and variance over all completion tokens of the step; the mean is subtracted too (REINFORCE++).
    Tokens,
}

/// How the parts of a reward are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parts {
    /// Weighted and summed, then normalised.
    Sum,
    /// Each normalised in its group, weighted, summed, then normalised over the step (GDPO, arXiv:2601.05242).
    NormaliseEach,
}

/// One part of the rewards of all rollouts, groups one after another.
#[derive(Clone, Debug)]
pub struct PartRewards {
    /// Its weight.
    pub weight: f64,
    /// The value for each rollout, before weighting; none where the part does not apply.
    pub values: Vec<Option<f64>>,
}

/// A spread below this counts as none: equal rewards differ by rounding.
const FLAT: f64 = 1e-6;

/// Computes the advantage of every rollout.
///
/// `sizes` are the rollouts of each group, which stand one after another in every part; `n_tokens` are the completion
/// tokens of each rollout, which [`Scale::Tokens`] weighs by. A rollout to which no part applies has no advantage; nor
/// has one that is alone in its group where a baseline needs company.
///
/// # Examples
///
/// One right answer of eight, in units of the group's deviation:
///
/// ```
/// use rlvr::advantage::{AdvantageConfig, Baseline, PartRewards, Parts, Scale, advantages};
///
/// let mut values = vec![Some(0.0); 8];
/// values[2] = Some(1.0);
/// let config = AdvantageConfig {
///     baseline: Baseline::Mean,
///     scale: Scale::Group,
///     epsilon: 0.0,
///     parts: Parts::Sum,
///     reward_kl: 0.0,
/// };
/// let found = advantages(&[PartRewards { weight: 1.0, values }], &[8], &[1; 8], &config);
/// assert!((found[2].unwrap() - 2.4749).abs() < 1e-4);
/// assert!((found[0].unwrap() + 0.3536).abs() < 1e-4);
/// ```
///
/// # Panics
///
/// If the lengths disagree, which is a mistake of the caller.
pub fn advantages(
    parts: &[PartRewards],
    sizes: &[usize],
    n_tokens: &[usize],
    config: &AdvantageConfig,
) -> Vec<Option<f64>> {
    let total: usize = sizes.iter().sum();
    assert!(parts.iter().all(|part| part.values.len() == total), "each part has a value for each rollout");
    assert_eq!(n_tokens.len(), total, "each rollout has a length");
    match config.parts {
        Parts::Sum => normalise(&weighted_sum(parts, total), sizes, n_tokens, config),
        Parts::NormaliseEach => normalise_each(parts, sizes, config.epsilon),
    }
}

/// Sums the weighted parts that apply; none where none does.
fn weighted_sum(parts: &[PartRewards], total: usize) -> Vec<Option<f64>> {
    (0..total)
        .map(|i| {
            let applying = parts.iter().filter_map(|part| part.values[i].map(|value| part.weight * value));
            applying.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
        })
        .collect()
}

fn normalise(
    rewards: &[Option<f64>],
    sizes: &[usize],
    n_tokens: &[usize],
    config: &AdvantageConfig,
) -> Vec<Option<f64>> {
    let mut advantages = vec![];
    for group in groups(rewards, sizes) {
        advantages.extend(centre(group, config.baseline));
    }
    let epsilon = config.epsilon;
    match config.scale {
        Scale::None => {}
        Scale::Group => {
            let mut rest = advantages.as_mut_slice();
            for group in groups(rewards, sizes) {
                let (of_group, others) = rest.split_at_mut(group.len());
                let deviation = deviation(&present(group), 1);
                divide(of_group, deviation + epsilon);
                rest = others;
            }
        }
        Scale::BatchRaw => divide(&mut advantages, deviation(&present(rewards), 1) + epsilon),
        Scale::BatchCentred => {
            let spread = deviation(&present(&advantages), 0);
            divide(&mut advantages, spread + epsilon);
        }
        Scale::Tokens => whiten(&mut advantages, n_tokens),
    }
    advantages
}

fn groups<'a>(values: &'a [Option<f64>], sizes: &'a [usize]) -> impl Iterator<Item = &'a [Option<f64>]> {
    let mut rest = values;
    sizes.iter().map(move |&size| {
        let (group, others) = rest.split_at(size);
        rest = others;
        group
    })
}

fn present(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().flatten().copied().collect()
}

fn centre(group: &[Option<f64>], baseline: Baseline) -> Vec<Option<f64>> {
    let rewards = present(group);
    let n = rewards.len() as f64;
    let sum: f64 = rewards.iter().sum();
    group
        .iter()
        .map(|reward| {
            let reward = (*reward)?;
            match baseline {
                Baseline::None => Some(reward),
                _ if rewards.len() < 2 => None,
                Baseline::Mean => Some(reward - sum / n),
                Baseline::LeaveOneOut => Some(reward - (sum - reward) / (n - 1.0)),
            }
        })
        .collect()
}

/// The standard deviation with `n − missing` in the denominator; 0 for equal values, rounding aside.
fn deviation(values: &[f64], missing: usize) -> f64 {
    let spread =
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - values.iter().copied().fold(f64::INFINITY, f64::min);
    if values.len() <= missing || spread <= FLAT {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - missing) as f64).sqrt()
}

/// Divides by a scale; where there is no spread at all, every advantage is 0.
fn divide(advantages: &mut [Option<f64>], scale: f64) {
    for advantage in advantages.iter_mut().flatten() {
        *advantage = if advantage.abs() <= FLAT && scale <= FLAT { 0.0 } else { *advantage / scale };
    }
}

/// Subtracts the mean over tokens and divides by the root of the variance over tokens.
fn whiten(advantages: &mut [Option<f64>], n_tokens: &[usize]) {
    let weigh = |f: &dyn Fn(f64) -> f64| -> f64 {
        advantages.iter().zip(n_tokens).filter_map(|(a, &n)| a.map(|a| f(a) * n as f64)).sum()
    };
    let n = weigh(&|_| 1.0);
    let mean = weigh(&|a| a) / n;
    let variance = weigh(&|a| (a - mean).powi(2)) / n;
    for advantage in advantages.iter_mut().flatten() {
        *advantage = (*advantage - mean) / (variance + 1e-8).sqrt();
    }
}

/// GDPO: z-scores of each part in its group, weighted and summed, then a z-score over the step.
fn normalise_each(parts: &[PartRewards], sizes: &[usize], epsilon: f64) -> Vec<Option<f64>> {
    let scores = |values: &[Option<f64>]| -> Vec<Option<f64>> {
        let rewards = present(values);
        let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
        let scale = deviation(&rewards, 1) + epsilon;
        values.iter().map(|value| value.map(|v| if rewards.len() < 2 { 0.0 } else { (v - mean) / scale })).collect()
    };
    let normalised: Vec<PartRewards> = parts
        .iter()
        .map(|part| PartRewards {
            weight: part.weight,
            values: groups(&part.values, sizes).flat_map(&scores).collect(),
        })
        .collect();
    scores(&weighted_sum(&normalised, sizes.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(baseline: Baseline, scale: Scale) -> AdvantageConfig {
        AdvantageConfig { baseline, scale, epsilon: 0.0, parts: Parts::Sum, reward_kl: 0.0 }
    }

    #[track_caller]
    fn check(rewards: &[Option<f64>], sizes: &[usize], config: &AdvantageConfig, expected: &[Option<f64>]) {
        let part = PartRewards { weight: 1.0, values: rewards.to_vec() };
        let found = advantages(&[part], sizes, &vec![1; rewards.len()], config);
        for (a, b) in found.iter().zip(expected) {
            match (a, b) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-12, "{found:?} is not {expected:?}"),
                _ => assert_eq!(a, b, "{found:?} is not {expected:?}"),
            }
        }
        assert_eq!(found.len(), expected.len());
    }

    const RIGHT: Option<f64> = Some(1.0);
    const WRONG: Option<f64> = Some(0.0);

    #[test]
    fn an_unjudged_rollout_takes_no_part() {
        let rewards = [RIGHT, None, WRONG];
        check(&rewards, &[3], &config(Baseline::Mean, Scale::None), &[Some(0.5), None, Some(-0.5)]);
        check(&rewards, &[3], &config(Baseline::LeaveOneOut, Scale::None), &[Some(1.0), None, Some(-1.0)]);
    }

    #[test]
    fn alone_in_a_group_is_no_comparison() {
        check(&[RIGHT, None], &[2], &config(Baseline::Mean, Scale::None), &[None, None]);
        check(&[RIGHT, None], &[2], &config(Baseline::None, Scale::None), &[RIGHT, None]);
    }

    #[test]
    fn equal_rewards_give_no_advantage_in_spite_of_rounding() {
        let nearly = Some(0.1 + 0.2);
        check(&[nearly, Some(0.3)], &[2], &config(Baseline::Mean, Scale::Group), &[WRONG, WRONG]);
    }

    #[test]
    fn permuting_a_group_permutes_its_advantages() {
        let config = config(Baseline::Mean, Scale::BatchCentred);
        let of = |values: [f64; 4]| {
            let values = values.iter().map(|&v| Some(v)).collect();
            advantages(&[PartRewards { weight: 1.0, values }], &[4], &[1; 4], &config)
        };
        let (a, b) = (of([0.0, 1.0, 0.5, 0.25]), of([0.25, 0.5, 1.0, 0.0]));
        for i in 0..4 {
            assert!((a[i].unwrap() - b[3 - i].unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn whitening_weighs_by_tokens() {
        // Three tokens of 1 and one of -1: mean 1/2, variance 3/4.
        let config = config(Baseline::None, Scale::Tokens);
        let part = PartRewards { weight: 1.0, values: vec![Some(1.0), Some(-1.0)] };
        let found = advantages(&[part], &[2], &[3, 1], &config);
        assert!((found[0].unwrap() - 0.5 / 0.75_f64.sqrt()).abs() < 1e-6);
        assert!((found[1].unwrap() + 1.5 / 0.75_f64.sqrt()).abs() < 1e-6);
    }
}
