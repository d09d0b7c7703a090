//! Groups: the rollouts of one prompt, in a step and across steps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::index::Index;
use super::lines::read_rollouts;
use super::metrics::finite;
use super::rows::Row;
use crate::rollouts::is_right;

/// What a group comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) n: usize,
    pub(super) n_judged: usize,
    pub(super) n_right: usize,
    outcomes: (f64, f64),
    rewards: f64,
    tokens: u64,
}

impl Tally {
    pub(super) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut tally = Self { outcomes: (f64::INFINITY, f64::NEG_INFINITY), ..Self::default() };
        for row in rows {
            tally.n += 1;
            tally.tokens += u64::from(row.n_tokens);
            if row.outcome.is_nan() {
                continue;
            }
            let outcome = f64::from(row.outcome);
            tally.n_judged += 1;
            tally.n_right += usize::from(is_right(outcome));
            tally.rewards += f64::from(row.reward);
            tally.outcomes = (tally.outcomes.0.min(outcome), tally.outcomes.1.max(outcome));
        }
        tally
    }

    /// How its outcomes differ, as the filter of the trainer sees them: a group without differences teaches nothing.
    fn spread(&self) -> &'static str {
        let (low, high) = self.outcomes;
        match self.n_judged {
            0 => "unjudged",
            _ if low < high => "mixed",
            n if n == self.n_right => "all right",
            _ if high <= 0.0 => "all wrong",
            _ => "equal",
        }
    }

    fn to_json(self) -> Value {
        json!({
            "n": self.n, "n_judged": self.n_judged, "n_right": self.n_right, "spread": self.spread(),
            "reward_mean": finite(self.rewards / self.n_judged as f64), "tokens_mean": self.tokens as f64 / self.n as f64,
        })
    }
}

/// The groups of a step, in order.
pub(super) fn of_step(index: &Index, step: u64) -> Vec<Value> {
    let mut groups: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    for row in index.steps.get(&step).map_or(&[][..], |rows| &rows.rows) {
        groups.entry(row.group).or_default().push(row);
    }
    groups.iter().map(|(&group, rows)| describe(index, step, group, rows)).collect()
}

fn describe(index: &Index, step: u64, group: u32, rows: &[&Row]) -> Value {
    let mut json = Tally::of(rows.iter().copied()).to_json();
    json["step"] = step.into();
    json["group"] = group.into();
    if let Some(row) = rows.first() {
        json["task_id"] = index.vocabulary.tasks.word(row.task).into();
        json["source"] = index.vocabulary.sources.word(row.source).into();
    }
    json
}

/// A group with its rollouts in full, the highest reward first, those that were not judged last.
pub(super) fn whole(index: &Index, step: u64, group: u32) -> Option<Value> {
    let mut rows = index.group(step, group);
    if rows.is_empty() {
        return None;
    }
    rows.sort_by(|a, b| {
        let missing = a.reward.is_nan().cmp(&b.reward.is_nan());
        missing.then(b.reward.total_cmp(&a.reward)).then(a.sample.cmp(&b.sample))
    });
    let mut json = describe(index, step, group, &rows);
    let rows: Vec<_> = rows.into_iter().map(|row| (step, row)).collect();
    json["rollouts"] = read_rollouts(index, &rows).into();
    Some(json)
}

/// The groups of a task across steps, in order.
pub(super) fn of_task(index: &Index, task: &str) -> Vec<Value> {
    let Some(task) = index.vocabulary.tasks.find(task) else { return vec![] };
    let mut groups: BTreeMap<(u64, u32), Vec<&Row>> = BTreeMap::new();
    for (&step, rows) in &index.steps {
        for row in rows.rows.iter().filter(|row| row.task == task) {
            groups.entry((step, row.group)).or_default().push(row);
        }
    }
    groups.iter().map(|(&(step, group), rows)| describe(index, step, group, rows)).collect()
}

/// The tasks that were drawn most often, with their first and last step.
pub(super) fn often_drawn(index: &Index, containing: Option<&str>, limit: usize) -> Vec<Value> {
    let words = &index.vocabulary.tasks;
    // Number of groups, first and last step.
    let mut tasks = vec![(0_u32, 0_u64, 0_u64); words.all().len()];
    for (&step, rows) in &index.steps {
        let groups = rows.rows.chunk_by(|a, b| (a.group, a.task) == (b.group, b.task));
        for row in groups.filter_map(<[Row]>::first) {
            let task = &mut tasks[row.task as usize];
            *task = (task.0 + 1, if task.0 == 0 { step } else { task.1 }, step);
        }
    }
    let named = tasks.iter().zip(words.all()).filter(|(task, _)| task.0 > 0);
    let mut drawn: Vec<_> = named.filter(|(_, name)| containing.is_none_or(|text| name.contains(text))).collect();
    drawn.sort_by_key(|(task, _)| std::cmp::Reverse(task.0));
    let describe = |(task, name): &(&(u32, u64, u64), &String)| json!({"task_id": name, "n_groups": task.0, "first_step": task.1, "last_step": task.2});
    drawn.iter().take(limit).map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::index_of;
    use super::*;
    use crate::rollouts::tests::line;

    fn rewards(group: &Value) -> Vec<Option<f64>> {
        group["rollouts"].as_array().unwrap().iter().map(|rollout| rollout["reward"].as_f64()).collect()
    }

    #[test]
    fn a_group_is_sorted_and_counted() {
        let text: String =
            [Some(0.5), None, Some(1.0), Some(0.0)].iter().zip(0..).map(|(r, i)| line(2, 1, i, *r, "ab")).collect();
        let (_folder, index) = index_of(&[(2, line(2, 0, 0, Some(1.0), "x") + &text)]);
        let group = whole(&index.read(), 2, 1).unwrap();
        assert_eq!(rewards(&group), [Some(1.0), Some(0.5), Some(0.0), None]);
        let seen =
            ["n", "n_judged", "n_right", "spread", "reward_mean", "tokens_mean", "task_id"].map(|key| &group[key]);
        assert_eq!(seen.map(Value::to_string), ["4", "3", "1", "\"mixed\"", "0.5", "2.0", "\"sums-1\""]);
        assert!(whole(&index.read(), 2, 9).is_none() && whole(&index.read(), 3, 1).is_none());
    }

    #[test]
    fn groups_without_differences_are_named() {
        let group = |id, rewards: [Option<f64>; 2]| line(1, id, 0, rewards[0], "x") + &line(1, id, 1, rewards[1], "x");
        let text = group(0, [Some(1.0), Some(1.0)])
            + &group(1, [Some(0.0), Some(0.0)])
            + &group(2, [Some(0.5), Some(0.5)])
            + &group(3, [None, None])
            + &group(4, [Some(0.5), Some(1.0)]);
        let (_folder, index) = index_of(&[(1, text)]);
        let spreads: Vec<_> = of_step(&index.read(), 1).iter().map(|group| group["spread"].clone()).collect();
        assert_eq!(spreads, ["all right", "all wrong", "equal", "unjudged", "mixed"]);
    }

    #[test]
    fn a_task_is_followed_across_steps() {
        let (_folder, index) = index_of(&[
            (1, line(1, 0, 0, Some(0.0), "x") + &line(1, 0, 1, Some(1.0), "x") + &line(1, 1, 0, Some(1.0), "x")),
            (5, line(5, 0, 0, Some(1.0), "x")),
        ]);
        let index = index.read();
        let seen: Vec<_> =
            of_task(&index, "sums-0").iter().map(|g| (g["step"].clone(), g["n_right"].clone())).collect();
        assert_eq!(seen, [(json!(1), json!(1)), (json!(5), json!(1))]);
        assert!(of_task(&index, "../etc/passwd").is_empty());
        let often = often_drawn(&index, None, 10);
        assert_eq!((&often[0]["task_id"], &often[0]["n_groups"], often.len()), (&json!("sums-0"), &json!(2), 2));
        assert_eq!(often_drawn(&index, Some("-1"), 10).len(), 1);
    }
}
