//! `rlvr verify`: judge completions, or check that tasks can be judged.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use rlvr::config::load;
use rlvr_verifiers::dataset;
use rlvr_verifiers::generators::Split;
use rlvr_verifiers::{Attempt, Panel, Registry, Task, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use super::WrongUse;
use super::output::{JsonLines, say};
use super::task_spec;

/// Arguments of `rlvr verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The verifier of cases that name none.
    #[arg(long, value_name = "NAME")]
    verifier: Option<String>,
    /// An option of a verifier, `NAME.key=value`; may be given several times.
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    set: Vec<String>,
    /// Check that the reference of every task scores 1, instead of judging cases: a task file, `gsm8k:FILE`, or a
    /// generator as in `arithmetic:n=200,level=2`.
    #[arg(long, value_name = "TASKS", conflicts_with = "rerun")]
    validate: Option<String>,
    /// Judge the recorded rollouts of a run again and print every verdict that changed.
    #[arg(long, value_name = "RUN")]
    rerun: Option<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let options = options(&args.set)?;
    match (&args.validate, &args.rerun) {
        (Some(spec), _) => validate(spec, args.verifier.as_deref(), &options),
        (None, Some(run)) => rerun(run, &options),
        (None, None) => judge(args.verifier.as_deref(), &options),
    }
}

type Options = BTreeMap<String, toml::Table>;

fn options(settings: &[String]) -> anyhow::Result<Options> {
    let mut options = Options::new();
    for setting in settings {
        let parts = setting.split_once('=').and_then(|(path, value)| Some((path.split_once('.')?, value)));
        let ((name, key), value) =
            parts.ok_or_else(|| WrongUse(format!("--set `{setting}`: expected `NAME.key=value`")))?;
        let value = value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned()));
        options.entry(name.to_owned()).or_default().insert(key.to_owned(), value);
    }
    Ok(options)
}

/// A case as it comes in.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    id: Value,
    verifier: Option<String>,
    reference: Option<Value>,
    #[serde(default)]
    spec: Value,
    completion: String,
}

/// Cases read before they are judged together.
const BATCH: usize = 4096;

fn judge(default: Option<&str>, options: &Options) -> anyhow::Result<()> {
    let registry = Registry::default();
    let mut out = JsonLines::new();
    let mut lines = std::io::stdin().lock().lines().zip(1..);
    let mut n_bad = 0;
    loop {
        let batch: Vec<(String, usize)> = lines
            .by_ref()
            .map(|(line, number)| line.map(|line| (line, number)))
            .filter(|line| line.as_ref().map_or(true, |(text, _)| !text.trim().is_empty()))
            .take(BATCH)
            .collect::<Result<_, _>>()
            .context("stdin is not text")?;
        if batch.is_empty() {
            break;
        }
        n_bad += judge_batch(&batch, default, (&registry, options), &mut out)?;
        out.flush()?;
    }
    if n_bad > 0 {
        bail!("{n_bad} lines are not cases; each has a verdict `unjudged` that says why");
    }
    Ok(())
}

/// Judges some lines in their order; returns how many are not cases.
fn judge_batch(
    lines: &[(String, usize)],
    default: Option<&str>,
    (registry, options): (&Registry, &Options),
    out: &mut JsonLines,
) -> anyhow::Result<usize> {
    let cases: Vec<Result<(Value, Task, String), String>> =
        lines.iter().map(|(line, number)| parse_case(line, *number, default, registry)).collect();
    let sound = || cases.iter().flatten();
    let panel = Panel::new(registry, options, sound().map(|(_, task, _)| task))?;
    let attempts: Vec<Attempt<'_>> =
        sound().map(|(_, task, completion)| Attempt { task, completion, finished: true }).collect();
    let mut judged = panel.judge(&attempts).into_iter();
    for case in &cases {
        let (id, verdict) = match case {
            Ok((id, ..)) => (id, judged.next().expect("there is a verdict for every case").verdict),
            Err(why) => (&Value::Null, Verdict::unjudged(why.clone())),
        };
        out.write(&answer(id, &verdict))?;
    }
    Ok(cases.iter().filter(|case| case.is_err()).count())
}

fn parse_case(
    line: &str,
    number: usize,
    default: Option<&str>,
    registry: &Registry,
) -> Result<(Value, Task, String), String> {
    let case: Case = serde_json::from_str(line).map_err(|error| format!("line {number}: not a case: {error}"))?;
    let name = case
        .verifier
        .as_deref()
        .or(default)
        .ok_or_else(|| format!("line {number}: name a `verifier`, or use --verifier"))?;
    // An unknown name is this line's fault alone.
    registry
        .names()
        .find(|known| *known == name)
        .ok_or_else(|| format!("line {number}: there is no verifier `{name}`"))?;
    let mut task = Task::new(format!("line {number}"), "", name).with_spec(case.spec);
    task.reference = case.reference.map(|reference| match reference {
        Value::String(text) => text,
        other => other.to_string(),
    });
    Ok((case.id, task, case.completion))
}

fn answer(id: &Value, verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Judged { score, finding, detail } => {
            json!({"id": id, "outcome": "judged", "score": score, "finding": finding, "detail": detail, "why": null})
        }
        Verdict::Unjudged { why } => {
            json!({"id": id, "outcome": "unjudged", "score": null, "finding": null, "detail": null, "why": why})
        }
    }
}

fn validate(spec: &str, verifier: Option<&str>, options: &Options) -> anyhow::Result<()> {
    let mut source = task_spec::parse(spec)?;
    source.verifier = verifier.map(str::to_owned).or(source.verifier);
    let tasks = dataset::load(&source, Path::new(""), Split::Train)?;
    let total = tasks.len();
    let panel = Panel::new(&Registry::default(), options, &tasks)?;
    let (sound, faults) = panel.validate(tasks);
    let mut out = JsonLines::new();
    for fault in &faults {
        out.write(&json!({"fault": fault.to_string()}))?;
    }
    out.flush()?;
    say(&format!("{} of {total} tasks are sound", sound.len()));
    if faults.is_empty() { Ok(()) } else { bail!("{} tasks cannot be judged; a run leaves them out", faults.len()) }
}

/// A recorded rollout, as far as a verdict needs it.
#[derive(Deserialize)]
struct Recorded {
    step: u64,
    task_id: String,
    sample: usize,
    completion: String,
    stop: String,
    outcome: Option<f64>,
}

fn rerun(run: &Path, options: &Options) -> anyhow::Result<()> {
    let config = load(&run.join("config.toml"), &[])?;
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    for source in &config.tasks {
        tasks.extend(
            dataset::load(source, Path::new(""), Split::Train)?.into_iter().map(|task| (task.id.clone(), task)),
        );
    }
    let options = if options.is_empty() { &config.verifiers } else { options };
    let panel = Panel::new(&Registry::default(), options, tasks.values())?;
    let folder = run.join("rollouts");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("`{}` cannot be read", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    let (mut n, mut n_changed) = (0, 0);
    let mut out = JsonLines::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let recorded: Vec<Recorded> = text
            .lines()
            .zip(1..)
            .map(|(line, number)| {
                serde_json::from_str(line).with_context(|| format!("`{}`, line {number}", path.display()))
            })
            .collect::<Result<_, _>>()?;
        let known: Vec<(&Recorded, &Task)> =
            recorded.iter().filter_map(|rollout| Some((rollout, tasks.get(&rollout.task_id)?))).collect();
        let attempts: Vec<Attempt<'_>> = known
            .iter()
            .map(|(rollout, task)| Attempt {
                task,
                completion: &rollout.completion,
                finished: rollout.stop != "length",
            })
            .collect();
        for ((rollout, _), judged) in known.iter().zip(panel.judge(&attempts)) {
            n += 1;
            let now = judged.verdict.score().map(f64::from);
            if now != rollout.outcome {
                n_changed += 1;
                out.write(&json!({"step": rollout.step, "task_id": rollout.task_id, "sample": rollout.sample,
                                  "before": rollout.outcome, "now": now, "finding": judged.verdict.finding(),
                                  "completion": rollout.completion}))?;
            }
        }
    }
    out.flush()?;
    say(&format!("{n_changed} of {n} verdicts changed"));
    Ok(())
}
