//! How a measurement is distributed, and how that changes over the steps.

use serde_json::{Value, json};

use super::groups::Tally;
use super::index::Index;
use super::rows::Row;
use super::select::Sieve;

/// What is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Reward,
    Outcome,
    Tokens,
    Advantage,
    Logp,
    Entropy,
    VerifyTime,
    /// The share of a group that is right: all right and all wrong are its ends.
    GroupRight,
}

impl Measure {
    /// Reads a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "reward" => Self::Reward,
            "outcome" => Self::Outcome,
            "n_tokens" => Self::Tokens,
            "advantage" => Self::Advantage,
            "logp_mean" => Self::Logp,
            "entropy_mean" => Self::Entropy,
            "verify_s" => Self::VerifyTime,
            "group_right" => Self::GroupRight,
            _ => return None,
        })
    }

    fn of_row(self, row: &Row) -> f64 {
        match self {
            Self::Reward => row.reward.into(),
            Self::Outcome => row.outcome.into(),
            Self::Tokens => row.n_tokens.into(),
            Self::Advantage => row.advantage.into(),
            Self::Logp => row.logp_mean.into(),
            Self::Entropy => row.entropy_mean.into(),
            Self::VerifyTime => row.verify_s.into(),
            Self::GroupRight => f64::NAN,
        }
    }
}

/// Steps drawn as one column, at most so many columns.
const COLUMNS: usize = 120;
const BINS: usize = 20;

/// Counts by stretches of steps and bins of the measurement.
pub(super) fn distribution(index: &Index, sieve: &Sieve, measure: Measure) -> Value {
    let values = match measure {
        Measure::GroupRight => group_values(index, sieve),
        _ => sieve.rows(index).map(|(step, row)| (step, measure.of_row(row))).collect(),
    };
    let n = values.len();
    let values: Vec<(u64, f64)> = values.into_iter().filter(|(_, value)| value.is_finite()).collect();
    let steps: Vec<u64> = index.steps.keys().copied().filter(|step| values_have(&values, *step)).collect();
    let per_column = steps.len().div_ceil(COLUMNS).max(1);
    let columns: Vec<(u64, u64)> = steps.chunks(per_column).map(|chunk| (chunk[0], chunk[chunk.len() - 1])).collect();
    let low = values.iter().map(|value| value.1).fold(f64::INFINITY, f64::min);
    let high = values.iter().map(|value| value.1).fold(f64::NEG_INFINITY, f64::max);
    let mut counts = vec![vec![0_u32; BINS]; columns.len()];
    let mut sums = vec![(0.0, 0_u32); columns.len()];
    let width = if high > low { (high - low) / BINS as f64 } else { 1.0 };
    for &(step, value) in &values {
        let column = columns.partition_point(|&(_, last)| last < step);
        counts[column][(((value - low) / width) as usize).min(BINS - 1)] += 1;
        sums[column].0 += value;
        sums[column].1 += 1;
    }
    let edges: Vec<f64> = if values.is_empty() { vec![] } else { (0..=BINS).map(|i| low + width * i as f64).collect() };
    let means: Vec<f64> = sums.iter().map(|(sum, n)| sum / f64::from(*n)).collect();
    json!({"columns": columns, "edges": edges, "counts": counts, "means": means, "n": n, "n_missing": n - values.len()})
}

/// Whether values, sorted by step, have some of a step.
fn values_have(values: &[(u64, f64)], step: u64) -> bool {
    values.binary_search_by_key(&step, |value| value.0).is_ok()
}

fn group_values(index: &Index, sieve: &Sieve) -> Vec<(u64, f64)> {
    let mut rows: Vec<(u64, &Row)> = sieve.rows(index).collect();
    rows.sort_by_key(|(step, row)| (*step, row.group));
    let groups = rows.chunk_by(|a, b| (a.0, a.1.group) == (b.0, b.1.group));
    let share = |group: &[(u64, &Row)]| {
        let tally = Tally::of(group.iter().map(|(_, row)| *row));
        (group[0].0, tally.n_right as f64 / tally.n_judged as f64)
    };
    groups.map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::index_of;
    use super::super::select::Filter;
    use super::*;
    use crate::rollouts::tests::line;

    fn check(measure: Measure, steps: &[(u64, String)], expected: &Value) {
        let (_folder, index) = index_of(steps);
        let index = index.read();
        let all = distribution(&index, &Filter::default().sieve(&index), measure);
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&all[key], value, "{measure:?} {key}");
        }
    }

    #[test]
    fn values_are_counted_in_their_bins() {
        let step = |step: u64, rewards: &[Option<f64>]| {
            (step, rewards.iter().zip(0..).map(|(&r, i)| line(step, i / 2, i % 2, r, "x")).collect::<String>())
        };
        let steps = [step(1, &[Some(0.0), Some(1.0), Some(0.5), None]), step(3, &[Some(1.0), Some(1.0)])];
        let bins = |counts: &[(usize, u32)]| {
            let mut bins = vec![0; BINS];
            counts.iter().for_each(|&(bin, n)| bins[bin] = n);
            bins
        };
        check(
            Measure::Reward,
            &steps,
            &json!({
                "columns": [[1, 1], [3, 3]], "n": 6, "n_missing": 1, "means": [0.5, 1.0],
                "counts": [bins(&[(0, 1), (10, 1), (19, 1)]), bins(&[(19, 2)])],
            }),
        );
        check(Measure::GroupRight, &steps, &json!({"n": 3, "means": [0.25, 1.0], "n_missing": 0}));
        check(Measure::Reward, &[], &json!({"columns": [], "edges": [], "n": 0}));
    }

    #[test]
    fn many_steps_share_columns() {
        let steps: Vec<_> = (1..=500).map(|step| (step, line(step, 0, 0, Some(1.0), "x"))).collect();
        let (_folder, index) = index_of(&steps);
        let index = index.read();
        let all = distribution(&index, &Filter::default().sieve(&index), Measure::Tokens);
        let columns = all["columns"].as_array().unwrap();
        assert_eq!((columns.len(), &columns[0], &columns[99]), (100, &json!([1, 5]), &json!([496, 500])));
        assert_eq!(all["edges"][0], 1.0);
    }
}
