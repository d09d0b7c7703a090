//! The runs, a row each.

use serde_json::Value;

use super::page::Page;
use super::sets::{SetReport, short};
use crate::estimate::paired_difference;
use crate::figure::problem_interval;
use crate::fit::Kind;
use crate::outcomes::{Checkpoint, RunOutcomes};
use crate::points::Point;
use crate::record::{self, Record};
use crate::runs::Run;

const RUNS: [&str; 9] =
    ["run", "seed", "model", "parameters", "device", "steps", "training FLOPs", "tokens sampled", "training seconds"];
const RESULTS: [&str; 8] =
    ["run", "first", "last", "change, paired", "lenient, first", "lenient, last", "cut off, last", "unjudged, last"];

pub(super) fn write(page: &mut Page, runs: &[&Run], sets: &[SetReport]) {
    page.heading("Runs");
    page.table(&RUNS, &runs.iter().map(|run| run_row(run)).collect::<Vec<_>>());
    // The runs of a frontier over groups stand with their groups.
    let has_groups = sets.iter().any(|set| set.fit.kind == Kind::Trajectory);
    for set in sets.iter().filter(|set| set.fit.kind == Kind::Trajectory || !has_groups) {
        page.subheading(&format!("{}: held-out accuracy, with 95 % intervals over problems", set.name));
        page.table(&RESULTS, &set.series.iter().map(|one| result_row(one, set, runs)).collect::<Vec<_>>());
    }
    let warnings: Vec<String> = runs.iter().flat_map(|run| header_warnings(run)).collect();
    page.list(&warnings);
}

fn header_warnings(run: &Run) -> Vec<String> {
    let all = run.header["warnings"].as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(|warning| format!("{}: {warning}", run.name)).collect()
}

fn run_row(run: &Run) -> Vec<String> {
    let header = &run.header;
    let last = run.records().iter().rev().find(|record| matches!(record.kind, record::Kind::Step | record::Kind::Eval));
    let counter = |name: &str| {
        last.and_then(|record| record.metrics.get(&format!("compute/{name}"))).map_or("–".to_owned(), short)
    };
    vec![
        run.name.clone(),
        shown(&header["seed"]),
        shown(&header["model"]["type"]),
        header["model"]["parameters"].as_f64().map_or("–".to_owned(), short),
        shown(&header["device"]),
        last.map_or("–".to_owned(), |record| record.step.to_string()),
        counter("flops_total"),
        counter("tokens_gen"),
        counter("wall_s"),
    ]
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn result_row(one: &crate::Series, set: &SetReport, runs: &[&Run]) -> Vec<String> {
    let outcomes = set.outcomes.iter().find(|outcomes| outcomes.name == one.name);
    let accuracy = |point: Option<&Point>| point.map_or("–".to_owned(), |point| with_interval(point, outcomes));
    let lenient = |point: Option<&Point>| {
        point.and_then(|p| p.lenient).map_or("–".to_owned(), |y| format!("{:.1} %", 100.0 * y))
    };
    let run = runs.iter().find(|run| run.name == one.name);
    let last_record = run.and_then(|run| last_evaluation(run, &set.set));
    let share = |name: &str| {
        let value = last_record.and_then(|record| record.metrics.get(&format!("eval/{}/{name}", set.set)));
        value.map_or("–".to_owned(), |value| format!("{:.1} %", 100.0 * value))
    };
    vec![
        one.name.clone(),
        accuracy(one.points.first()),
        accuracy(one.points.last()),
        outcomes.and_then(change).unwrap_or_else(|| "–".to_owned()),
        lenient(one.points.first()),
        lenient(one.points.last()),
        share("truncated"),
        share("unjudged"),
    ]
}

/// The last evaluation of a set.
pub(super) fn last_evaluation<'a>(run: &'a Run, set: &str) -> Option<&'a Record> {
    let key = format!("eval/{set}/n_samples");
    run.records().iter().rev().find(|record| record.kind == record::Kind::Eval && record.metrics.get(&key).is_some())
}

fn with_interval(point: &Point, outcomes: Option<&RunOutcomes>) -> String {
    let level = format!("{:.1} %", 100.0 * point.y);
    let interval = outcomes.and_then(|outcomes| problem_interval(outcomes, point));
    interval.map_or(level.clone(), |i| format!("{level} ({:.1}–{:.1})", 100.0 * i.low, 100.0 * i.high))
}

/// The difference of the last and the first checkpoint on the same problems.
fn change(outcomes: &RunOutcomes) -> Option<String> {
    let [first, .., last] = outcomes.checkpoints.as_slice() else { return None };
    let share = |checkpoint: &Checkpoint, id: &str| {
        checkpoint.problems.get(id).filter(|counts| counts.n > 0.0).map(|counts| counts.right / counts.n)
    };
    let pairs: Vec<(f64, f64)> =
        first.problems.keys().filter_map(|id| Some((share(first, id)?, share(last, id)?))).collect();
    let (before, after): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let found = paired_difference(&before, &after, 4000, 0)?;
    let points = |value: f64| format!("{:+.1}", 100.0 * value).replace('-', "−");
    Some(format!("{} points ({} to {})", points(found.mean), points(found.interval.low), points(found.interval.high)))
}
