//! What the page can ask: each question is a path, its answer JSON.
//!
//! Runs, steps and groups are numbers that are looked up in what has been listed; tasks and words are looked up in the
//! index. Nothing of a URL ever becomes part of a file's path.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rlvr_curves::{Series, points};
use serde_json::{Value, json};

use super::decimate::decimate;
use super::distribution::{Measure, distribution};
use super::groups;
use super::lines::{read_rollouts, shorten, summary};
use super::metrics::finite;
use super::query::Query;
use super::run::Run;
use super::scaling::Scaling;
use super::search::{Bounds, search};
use super::select::{Filter, Order, Outcome, Page, page};
use super::{Dashboard, assets};

/// What is sent back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) content_type: &'static str,
    pub(super) body: Cow<'static, [u8]>,
}

/// Why something is not answered.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self { status: 400, why: why.into() }
    }

    pub(super) fn missing(why: impl Into<String>) -> Self {
        Self { status: 404, why: why.into() }
    }
}

/// The most rollouts of a page.
const MOST_ROLLOUTS: usize = 200;
/// The most points of a line.
const MOST_POINTS: usize = 4000;
/// How many steps "of late" are.
const RECENT: usize = 50;
/// How long one request may search.
const SEARCH_TIME: Duration = Duration::from_millis(400);

/// Answers a path and a query.
pub(super) fn answer(dashboard: &Dashboard, path: &str, query: &str) -> Result<Answer, Refusal> {
    if let Some((content_type, text)) = assets::find(path) {
        return Ok(Answer { content_type, body: Cow::Borrowed(text.as_bytes()) });
    }
    let query = Query::parse(query)?;
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    let json = match steps.as_slice() {
        ["api", "runs"] => runs(dashboard),
        ["api", "pulse"] => dashboard.runs().iter().map(|run| run.pulse()).collect(),
        ["api", "scaling"] => scaling(dashboard, &query)?.json.clone(),
        ["api", "scaling.svg"] => {
            let svg = scaling(dashboard, &query)?.svg.clone();
            return Ok(Answer { content_type: "image/svg+xml", body: svg.into_bytes().into() });
        }
        ["api", "runs", id, what] => of_run(run(dashboard, id)?.as_ref(), what, &query)?,
        _ => return Err(Refusal::missing("there is nothing here")),
    };
    Ok(Answer { content_type: "application/json", body: json.to_string().into_bytes().into() })
}

fn run(dashboard: &Dashboard, id: &str) -> Result<Arc<Run>, Refusal> {
    let found = id.parse::<usize>().ok().and_then(|id| dashboard.runs().get(id).cloned());
    found.ok_or_else(|| Refusal::missing("there is no such run"))
}

fn of_run(run: &Run, what: &str, query: &Query) -> Result<Value, Refusal> {
    match what {
        "series" => series(run, query),
        "events" => Ok(json!(run.log().events())),
        "facets" => Ok(facets(run)),
        "rollouts" => rollouts(run, query),
        "search" => find(run, query),
        "rollout" => rollout(run, query),
        "groups" => Ok(groups::of_step(&run.index.read(), query.needed("step")?).into()),
        "group" => {
            let (step, group) = (query.needed("step")?, query.needed("group")?);
            let found = groups::whole(&run.index.read(), step, group);
            found.ok_or_else(|| Refusal::missing(format!("step {step} has no group {group}")))
        }
        "task" => Ok(groups::of_task(&run.index.read(), query.text("id").unwrap_or("")).into()),
        "tasks" => {
            let limit = query.number("limit")?.unwrap_or(50).min(MOST_ROLLOUTS);
            Ok(groups::often_drawn(&run.index.read(), query.text("text"), limit).into())
        }
        "distribution" => {
            let measure = named(query, "of", Measure::of_name)?.unwrap_or(Measure::Reward);
            let index = run.index.read();
            Ok(distribution(&index, &filter(query)?.sieve(&index), measure))
        }
        _ => Err(Refusal::missing("there is nothing here")),
    }
}

fn runs(dashboard: &Dashboard) -> Value {
    let describe = |(id, run): (usize, &Arc<Run>)| {
        let names = run.log().names();
        json!({"id": id, "name": run.name(), "header": run.header(), "names": names, "pulse": run.pulse()})
    };
    dashboard.runs().iter().enumerate().map(describe).collect()
}

/// Lines of measurements, each called `name`, of the records of a `kind` against `x` within `from` to `to`; where only
/// `beside` was measured they are 0.
fn series(run: &Run, query: &Query) -> Result<Value, Refusal> {
    let kind = query.text("kind").unwrap_or("step");
    let x = query.text("x").unwrap_or("step");
    let most = query.number("points")?.unwrap_or(1000).min(MOST_POINTS);
    let (from, to) = (query.number("from")?.unwrap_or(f64::MIN), query.number("to")?.unwrap_or(f64::MAX));
    let log = run.log();
    let mut lines = serde_json::Map::new();
    for name in query.texts("name") {
        let Some(table) = log.table(kind) else { break };
        let mut points = match query.text("beside") {
            Some(beside) => table.points_or_zero(name, x, beside),
            None => table.points(name, x),
        };
        points.retain(|(x, _)| (from..=to).contains(x));
        if points.is_empty() {
            continue;
        }
        let last = points.last().and_then(|point| finite(point.1));
        let recent = finite(mean_of_last(&points));
        let line = decimate(points.into_iter(), most);
        lines.insert(
            name.to_owned(),
            json!({"x": line.x, "y": line.y, "n": line.n, "n_not_finite": line.n_not_finite, "last": last, "recent": recent}),
        );
    }
    Ok(lines.into())
}

/// The mean of the last finite values, at most [`RECENT`].
fn mean_of_last(points: &[(f64, f64)]) -> f64 {
    let last = points.iter().rev().map(|point| point.1).filter(|value| value.is_finite()).take(RECENT);
    let (sum, n) = last.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    sum / f64::from(n)
}

/// The words that can be filtered by.
fn facets(run: &Run) -> Value {
    let index = run.index.read();
    let words = &index.vocabulary;
    let joined = words.findings.all().iter().flat_map(|all| all.split(crate::rollouts::FINDINGS_APART));
    let findings: std::collections::BTreeSet<&str> = joined.collect();
    json!({"sources": words.sources.all(), "findings": findings, "stops": words.stops.all()})
}

fn filter(query: &Query) -> Result<Filter, Refusal> {
    let text = |name| query.text(name).map(str::to_owned);
    Ok(Filter {
        from: query.number("from")?,
        to: query.number("to")?,
        source: text("source"),
        finding: text("finding"),
        stop: text("stop"),
        task: text("task"),
        outcome: named(query, "outcome", Outcome::of_name)?,
    })
}

/// A value out of a fixed list.
fn named<T>(query: &Query, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
    let read = |text: &str| read(text).ok_or_else(|| Refusal::bad(format!("`{name}` cannot be `{text}`")));
    query.text(name).map(read).transpose()
}

fn rollouts(run: &Run, query: &Query) -> Result<Value, Refusal> {
    let order = named(query, "order", Order::of_name)?.unwrap_or(Order::Newest);
    let limit = query.number("limit")?.unwrap_or(50).min(MOST_ROLLOUTS);
    let at = Page { offset: query.number("offset")?.unwrap_or(0), limit };
    let index = run.index.read();
    let sieve = filter(query)?.sieve(&index);
    let (total, rows) = page(&index, &sieve, order, at);
    let mut rollouts = read_rollouts(&index, &rows);
    rollouts.iter_mut().for_each(shorten);
    Ok(json!({"total": total, "offset": at.offset, "rollouts": rollouts}))
}

/// Rollouts that contain a text; `next` says where to go on.
fn find(run: &Run, query: &Query) -> Result<Value, Refusal> {
    let text = query.text("text").ok_or_else(|| Refusal::bad("`text` is missing"))?;
    let bounds = Bounds {
        below: query.number("below")?.unwrap_or(u64::MAX),
        limit: query.number("limit")?.unwrap_or(50).min(MOST_ROLLOUTS),
        time: SEARCH_TIME,
    };
    let index = run.index.read();
    let found = search(&index, &filter(query)?.sieve(&index), text, bounds);
    let mut rollouts = read_rollouts(&index, &found.rows);
    rollouts.iter_mut().for_each(shorten);
    Ok(json!({"rollouts": rollouts, "next": found.next, "n_searched": found.n_searched}))
}

fn rollout(run: &Run, query: &Query) -> Result<Value, Refusal> {
    let (step, group, sample) = (query.needed("step")?, query.needed("group")?, query.needed::<u32>("sample")?);
    let index = run.index.read();
    let rows = index.group(step, group);
    let row = rows.into_iter().find(|row| row.sample == sample);
    let row = row.ok_or_else(|| Refusal::missing(format!("step {step}, group {group} has no sample {sample}")))?;
    let read = read_rollouts(&index, &[(step, row)]).pop();
    Ok(read.unwrap_or_else(|| summary(&index, step, row)))
}

fn scaling(dashboard: &Dashboard, query: &Query) -> Result<Arc<Scaling>, Refusal> {
    let wanted = query.text("runs").unwrap_or("0").split(',');
    let mut ids: Vec<usize> = wanted.filter_map(|id| id.parse().ok()).collect();
    let runs = dashboard.runs();
    ids.retain(|&id| id < runs.len());
    ids.sort_unstable();
    ids.dedup();
    let of_run = |&id: &usize| {
        let run = &runs[id];
        points::of_records(run.name(), run.log().evals())
    };
    let all: Vec<Series> = ids.iter().flat_map(of_run).collect();
    let first = all.first().ok_or_else(|| Refusal::missing("there is no evaluation yet"))?;
    let set = query.text("set").unwrap_or(&first.set).to_owned();
    let series: Vec<Series> = all.into_iter().filter(|one| one.set == set).collect();
    if series.is_empty() {
        return Err(Refusal::missing("there is no evaluation on this set"));
    }
    Ok(dashboard.fits().of(&ids, &set, &series))
}

#[cfg(test)]
mod tests {
    use super::super::tests::dashboard;
    use super::*;
    use crate::rollouts::tests::line;

    /// A run of two steps: in the first, one of two groups has one right.
    fn run_of_two_steps() -> (tempfile::TempDir, Dashboard) {
        dashboard(&[
            (1, line(1, 0, 0, Some(0.0), "<script>alert(1)</script>") + &line(1, 0, 1, Some(1.0), "four")),
            (2, line(2, 1, 0, None, "nothing \u{202e}")),
        ])
    }

    fn get(dashboard: &Dashboard, path: &str, query: &str) -> Value {
        let answer = answer(dashboard, path, query).unwrap_or_else(|refusal| panic!("{path}: {}", refusal.why));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What is said to a question that is not answered.
    fn refusal(dashboard: &Dashboard, path: &str, query: &str) -> (u16, String) {
        answer(dashboard, path, query).map_or_else(|refusal| (refusal.status, refusal.why), |_| (200, path.to_owned()))
    }

    #[test]
    fn a_run_describes_itself() {
        let (_folder, dashboard) = run_of_two_steps();
        let runs = get(&dashboard, "/api/runs", "");
        assert_eq!(
            runs[0]["pulse"]["rollouts"],
            json!({
                "n": 3, "n_damaged": 0, "n_steps": 2, "n_files": 2, "first_step": 1, "last_step": 2,
            })
        );
        assert_eq!(runs[0]["names"]["step"], json!(["compute/rollouts", "reward/mean"]));
        let facets = get(&dashboard, "/api/runs/0/facets", "");
        assert_eq!(facets["findings"], json!(["correct", "unjudged", "wrong_value"]));
    }

    #[test]
    fn series_are_of_a_kind_and_an_axis() {
        let (_folder, dashboard) = run_of_two_steps();
        let query = "kind=step&x=compute/rollouts&name=reward/mean&name=none/such&points=100";
        let expected = json!({"reward/mean": {"x": [8.0, 16.0], "y": [0.25, 0.5], "n": 2, "n_not_finite": 0, "last": 0.5, "recent": 0.375}});
        assert_eq!(get(&dashboard, "/api/runs/0/series", query), expected);
        assert_eq!(get(&dashboard, "/api/runs/0/series", "kind=eval&name=x"), json!({}));
        let within = get(&dashboard, "/api/runs/0/series", "name=reward/mean&from=2");
        assert_eq!(within["reward/mean"]["x"], json!([2.0]));
    }

    #[test]
    fn rollouts_come_in_pages_and_groups() {
        let (_folder, dashboard) = run_of_two_steps();
        let page = get(&dashboard, "/api/runs/0/rollouts", "order=worst&limit=1&offset=1");
        assert_eq!((&page["total"], &page["rollouts"][0]["completion"]), (&json!(3), &json!("four")));
        let wrong = get(&dashboard, "/api/runs/0/rollouts", "outcome=wrong&source=even");
        assert_eq!(wrong["rollouts"][0]["completion"], "<script>alert(1)</script>");
        let found = get(&dashboard, "/api/runs/0/search", "text=FOUR");
        assert_eq!((&found["rollouts"][0]["sample"], &found["next"]), (&json!(1), &Value::Null));
        let group = get(&dashboard, "/api/runs/0/group", "step=1&group=0");
        assert_eq!((&group["n_right"], &group["rollouts"][0]["sample"]), (&json!(1), &json!(1)));
        assert_eq!(get(&dashboard, "/api/runs/0/groups", "step=2")[0]["spread"], "unjudged");
        assert_eq!(get(&dashboard, "/api/runs/0/task", "id=sums-0")[0]["n"], 2);
        assert_eq!(get(&dashboard, "/api/runs/0/rollout", "step=2&group=1&sample=0")["completion"], "nothing \u{202e}");
        assert_eq!(get(&dashboard, "/api/runs/0/distribution", "of=outcome")["n_missing"], 1);
    }

    #[test]
    fn tricks_with_paths_find_nothing() {
        let (_folder, dashboard) = run_of_two_steps();
        for path in [
            "/../run.json",
            "/api/runs/../0/events",
            "/api/runs/0/../../metrics.jsonl",
            "/api/runs/%2e%2e/events",
            "/api/runs/-1/events",
            "/api/runs/1/events",
            "/api/runs/0x0/events",
            "/api/runs/0/events/",
            "/metrics.jsonl",
            "//etc/passwd",
            "/assets/../api/runs",
            "",
        ] {
            assert_eq!(refusal(&dashboard, path, "").0, 404, "{path}");
        }
        assert_eq!(get(&dashboard, "/api/runs/0/task", "id=../../etc/passwd"), json!([]));
    }

    #[test]
    fn questions_without_sense_are_refused() {
        let (_folder, dashboard) = run_of_two_steps();
        for (path, query, expected) in [
            ("/api/runs/0/rollouts", "order=random", (400, "`order` cannot be `random`")),
            ("/api/runs/0/rollouts", "limit=-1", (400, "`limit` is `-1`, which is not a number of its kind")),
            ("/api/runs/0/group", "step=1", (400, "`group` is missing")),
            ("/api/runs/0/group", "step=1&group=7", (404, "step 1 has no group 7")),
            ("/api/runs/0/rollout", "step=1&group=0&sample=9", (404, "step 1, group 0 has no sample 9")),
            ("/api/runs/0/search", "", (400, "`text` is missing")),
            ("/api/scaling", "runs=0", (404, "there is no evaluation yet")),
        ] {
            assert_eq!(refusal(&dashboard, path, query), (expected.0, expected.1.to_owned()));
        }
    }
}
