//! `rlvr verify`: judge completions, or check that tasks can be judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use rlvr::config::load;
use rlvr_verifiers::cases::{CaseJudge, Options, parse_options};
use rlvr_verifiers::dataset;
use rlvr_verifiers::generators::Split;
use rlvr_verifiers::{Attempt, Panel, Registry, Task};
use serde::Deserialize;
use serde_json::json;

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
    /// Check that the reference of every task scores 1, instead of judging cases: a task file, `gsm8k:FILE`, `humaneval:FILE`, `mbpp:FILE`, or a
    /// generator as in `arithmetic:n=200,level=2`.
    #[arg(long, value_name = "TASKS", conflicts_with = "rerun")]
    validate: Option<String>,
    /// Judge the recorded rollouts of a run again and print every verdict that changed.
    #[arg(long, value_name = "RUN")]
    rerun: Option<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let options = parse_options(&args.set).map_err(|why| WrongUse(format!("--set: {why}")))?;
    match (&args.validate, &args.rerun) {
        (Some(spec), _) => validate(spec, args.verifier.as_deref(), &options),
        (None, Some(run)) => rerun(run, &options),
        (None, None) => judge(args.verifier.as_deref(), options),
    }
}

fn warn(panel: &Panel) {
    panel.exposed().iter().for_each(|warning| say(&format!("warning: {warning}")));
}

fn judge(default: Option<&str>, options: Options) -> anyhow::Result<()> {
    let mut judge = CaseJudge::new(Registry::default(), options, default.map(str::to_owned))?;
    warn(judge.panel());
    let n_bad = judge.judge_all(std::io::stdin().lock(), std::io::stdout().lock())?;
    if n_bad > 0 {
        bail!("{n_bad} lines are not cases; each has a verdict `unjudged` that says why");
    }
    Ok(())
}

fn validate(spec: &str, verifier: Option<&str>, options: &Options) -> anyhow::Result<()> {
    let mut source = task_spec::parse(spec)?;
    source.verifier = verifier.map(str::to_owned).or(source.verifier);
    let tasks = dataset::load(&source, Path::new(""), Split::Train)?;
    let total = tasks.len();
    let panel = Panel::new(&Registry::default(), options, &tasks)?;
    warn(&panel);
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
    warn(&panel);
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
