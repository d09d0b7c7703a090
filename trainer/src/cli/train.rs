//! `rlvr train` and `rlvr sft`: the main job.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use rlvr::config::{RunConfig, load};
use rlvr::run::{Outcome, start};
use rlvr::run_folder::Opening;
use rlvr::stop;
use rlvr_curves::points;
use rlvr_verifiers::Registry;

use super::output::{print, say};
use super::trace;

/// Arguments of `rlvr train` and `rlvr sft`.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// The config; that of a run folder repeats or goes on with the run.
    config: PathBuf,
    /// A setting in place of the file's, `section.key=value`; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The run folder; `runs/NAME` by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the newest checkpoint of the run folder.
    #[arg(long)]
    resume: bool,
    /// Write the phases of each step to this file, for chrome://tracing or ui.perfetto.dev.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print the complete config and stop.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn train(args: TrainArgs) -> anyhow::Result<()> {
    let config = load(&args.config, &args.set)?;
    run(config, args)
}

pub(super) fn sft(args: TrainArgs) -> anyhow::Result<()> {
    let mut config = load(&args.config, &args.set)?;
    if config.warm_start.is_none() {
        bail!("config `{}`: there is no `[warm_start]` section, so there is nothing to do", args.config.display());
    }
    config.run.steps = 0;
    run(config, args)
}

fn run(config: RunConfig, args: TrainArgs) -> anyhow::Result<()> {
    if args.dry_run {
        return print(&config.to_toml());
    }
    let folder = args.out.unwrap_or_else(|| PathBuf::from("runs").join(&config.run.name));
    let opening = if args.resume { Opening::Resume } else { Opening::New };
    let traced =
        args.trace.as_deref().map(|path| Ok::<_, anyhow::Error>((path, trace::recorder(path)?))).transpose()?;
    stop::listen().context("Ctrl-C cannot be listened for")?;
    let run = start(config, &Registry::default(), &folder, opening, &mut say)?;
    let Some((path, recorder)) = traced else { return summarise(&run.execute()?) };
    let outcome = recorder.record(|| run.execute())?;
    trace::finish(&recorder, path)?;
    summarise(&outcome)
}

/// Says in a few lines what the run came to and where things are.
fn summarise(outcome: &Outcome) -> anyhow::Result<()> {
    let folder = outcome.folder.display();
    for curve in &outcome.curves {
        let series = points::of_run(&outcome.folder)?;
        let points = series.iter().find(|series| series.set == curve.set).map(|series| &series.points);
        if let Some((first, last)) = points.and_then(|points| Some((points.first()?, points.last()?))) {
            say(&format!(
                "{}: held-out accuracy {:.1} % before the first step, {:.1} % after step {} ({:.2e} training FLOPs)",
                curve.set,
                first.y * 100.0,
                last.y * 100.0,
                last.step,
                last.compute
            ));
        }
        say(&format!("curve: {} — {}", curve.svg.display(), curve.fit.sentence));
    }
    if let Some(checkpoint) = &outcome.checkpoint {
        say(&format!("model: {}", checkpoint.display()));
    }
    say(&match outcome.is_complete {
        true => format!("log and rollouts: {folder}"),
        false => format!("stopped as asked; go on with: rlvr train {folder}/config.toml --out {folder} --resume"),
    });
    Ok(())
}
