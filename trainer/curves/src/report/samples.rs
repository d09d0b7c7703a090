//! Tasks to look at: those that improved most, those that got worse, those that are solved and those that are not, and
//! rewarded rollouts of training, to be read for what earned the reward.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::page::{Mark, Page, Sample};
use super::sets::{Ends, SetReport};
use crate::evals::EvalRow;
use crate::runs::Run;

/// A task with its samples before and after.
#[derive(Debug)]
pub(super) struct TaskEnds<'a> {
    pub id: &'a str,
    pub before: Vec<&'a EvalRow>,
    pub after: Vec<&'a EvalRow>,
}

/// Tasks of each kind that are shown, and samples of each task.
const TASKS: usize = 3;
const SAMPLES: usize = 3;

impl TaskEnds<'_> {
    fn share(rows: &[&EvalRow]) -> Option<f64> {
        let scores: Vec<f64> = rows.iter().filter_map(|row| row.score).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    fn change(&self) -> f64 {
        Self::share(&self.after).unwrap_or(0.0) - Self::share(&self.before).unwrap_or(0.0)
    }

    fn last(&self) -> f64 {
        Self::share(&self.after).unwrap_or(0.0)
    }
}

/// The tasks that both evaluations judged, in order of their ids.
fn tasks(ends: &Ends) -> Vec<TaskEnds<'_>> {
    let mut all: BTreeMap<&str, TaskEnds<'_>> = BTreeMap::new();
    let entry = |id| TaskEnds { id, before: vec![], after: vec![] };
    for row in &ends.first.1 {
        all.entry(&row.task_id).or_insert_with(|| entry(&row.task_id)).before.push(row);
    }
    for row in &ends.last.1 {
        all.entry(&row.task_id).or_insert_with(|| entry(&row.task_id)).after.push(row);
    }
    let is_judged = |rows: &[&EvalRow]| TaskEnds::share(rows).is_some();
    all.into_values().filter(|task| is_judged(&task.before) && is_judged(&task.after)).collect()
}

/// Takes tasks out of what is left: most improved, worsened, best and worst, in this order; no task is in two.
pub(super) fn picked<'a>(mut left: Vec<TaskEnds<'a>>) -> [(&'static str, Vec<TaskEnds<'a>>); 4] {
    let mut take = |rank: &dyn Fn(&TaskEnds<'_>) -> f64, is_wanted: &dyn Fn(&TaskEnds<'_>) -> bool| {
        left.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then_with(|| a.id.cmp(b.id)));
        let n = left.iter().take(TASKS).take_while(|task| is_wanted(task)).count();
        left.drain(..n).collect::<Vec<_>>()
    };
    let improved = take(&|task| task.change(), &|task| task.change() > 0.0);
    let worsened = take(&|task| -task.change(), &|task| task.change() < 0.0);
    let best = take(&|task| task.last(), &|task| task.last() > 0.0);
    let worst = take(&|task| -task.last(), &|task| task.last() < 1.0);
    [("Most improved", improved), ("Got worse", worsened), ("Best", best), ("Worst", worst)]
}

pub(super) fn write(page: &mut Page, runs: &[&Run], sets: &[SetReport]) {
    page.heading("Samples");
    page.text(
        "Tasks with what the policy wrote before training and after. Characters that are not seen are written out and marked.",
    );
    let mut is_first = true;
    for set in sets {
        let several = set.single().len();
        if several > 0 {
            page.folded(&format!("{}: figures of single runs", set.name), |page| {
                set.single().iter().for_each(|drawn| page.figure(drawn));
            });
        }
        for ends in &set.ends {
            page.subheading(&format!("{}, {}: step {} and step {}", ends.run, set.set, ends.first.0, ends.last.0));
            for (kind, tasks) in picked(tasks(ends)) {
                for task in tasks {
                    write_task(page, kind, &task, ends);
                }
            }
            is_first = false;
        }
    }
    if is_first {
        page.text("No run kept the samples of two evaluations.");
    }
    runs.iter().for_each(|run| write_rollouts(page, run));
}

fn write_task(page: &mut Page, kind: &str, task: &TaskEnds<'_>, ends: &Ends) {
    let right = |rows: &[&EvalRow]| rows.iter().filter(|row| row.is_right()).count();
    let (before, after) = (task.before.len(), task.after.len());
    let summary = format!(
        "{kind}: {}, right {} of {before} before, {} of {after} after",
        task.id,
        right(&task.before),
        right(&task.after)
    );
    page.folded(&summary, |page| {
        let rows = || task.after.iter().chain(&task.before);
        if let Some(prompt) = rows().find_map(|row| row.prompt.as_deref()) {
            page.quotation("prompt", prompt);
        }
        if let Some(reference) = rows().find_map(|row| row.reference.as_deref()) {
            page.quotation("right answer", reference);
        }
        page.columns(&[
            (format!("step {}", ends.first.0), task.before.iter().take(SAMPLES).map(|row| sample(row)).collect()),
            (format!("step {}", ends.last.0), task.after.iter().take(SAMPLES).map(|row| sample(row)).collect()),
        ]);
    });
}

fn sample(row: &EvalRow) -> Sample<'_> {
    let mark = Mark::of(row.score);
    let cut = if row.stop == "length" { ", cut off" } else { "" };
    let note = format!("{}: {}, {} tokens{cut}", mark.word(), row.finding, row.n_tokens);
    Sample { mark, note, text: &row.completion }
}

/// A line of `rollouts/step_NNNNNN.jsonl`, as far as it is shown.
#[derive(Deserialize)]
struct Rollout {
    task_id: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    completion: String,
    reward: Option<f64>,
    outcome: Option<f64>,
}

/// The best paid rollouts of the last step that was written down, one a task.
fn write_rollouts(page: &mut Page, run: &Run) {
    let Some(path) = last_rollouts(&run.folder) else { return };
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    // What cannot be read, as a torn last line, is no rollout to look at.
    let mut rollouts: Vec<Rollout> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    rollouts.retain(|rollout| rollout.reward.is_some());
    rollouts.sort_by(|a, b| b.reward.unwrap_or(0.0).total_cmp(&a.reward.unwrap_or(0.0)));
    let mut seen = std::collections::BTreeSet::new();
    rollouts.retain(|rollout| seen.insert(rollout.task_id.clone()));
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let summary = format!("{}: best paid rollouts of training, {name}; read them for what earned the reward", run.name);
    page.folded(&summary, |page| {
        for rollout in rollouts.iter().take(2 * TASKS) {
            page.quotation(&rollout.task_id, &rollout.prompt);
            if let Some(reference) = &rollout.reference {
                page.quotation("right answer", reference);
            }
            let mark = Mark::of(rollout.outcome);
            let note = format!("{}: reward {:.3}", mark.word(), rollout.reward.unwrap_or(0.0));
            page.columns(&[("rollout".to_owned(), vec![Sample { mark, note, text: &rollout.completion }])]);
        }
    });
}

fn last_rollouts(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder.join("rollouts")).ok()?;
    let files = entries.flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, score: f64) -> EvalRow {
        serde_json::from_value(serde_json::json!({"set": "s", "task_id": id, "score": score})).unwrap()
    }

    #[test]
    fn every_kind_has_its_tasks_and_none_is_in_two() {
        let first = ["a", "b", "c", "d", "e", "f"].map(|id| row(id, if "be".contains(id) { 1.0 } else { 0.0 }));
        let last = ["a", "b", "c", "d", "e", "f"].map(|id| row(id, if "acde".contains(id) { 1.0 } else { 0.0 }));
        let ends = Ends { run: "r".to_owned(), first: (0, first.to_vec()), last: (9, last.to_vec()) };
        let shown: Vec<(&str, Vec<&str>)> = picked(tasks(&ends))
            .into_iter()
            .map(|(kind, tasks)| (kind, tasks.iter().map(|task| task.id).collect()))
            .collect();
        let expected = [
            ("Most improved", vec!["a", "c", "d"]),
            ("Got worse", vec!["b"]),
            ("Best", vec!["e"]),
            ("Worst", vec!["f"]),
        ];
        assert_eq!(shown, expected);
    }
}
