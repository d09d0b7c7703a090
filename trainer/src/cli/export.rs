//! `rlvr export`: a run in another tool, all of it, again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use rlvr::config::load;
use rlvr::run_folder::now_s;
use rlvr_curves::record::Kind;
use rlvr_curves::store::read_log;
use rlvr_track::replay::{Description, RunReader};
use rlvr_track::wandb::{Login, Offline, Online};
use rlvr_track::{Outcome, Sink, TensorBoard, WandbConfig};

use super::output::say;

/// Arguments of `rlvr export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A run folder.
    run: PathBuf,
    /// The tool.
    #[arg(long, value_enum)]
    to: Tool,
    /// Where the tool's files go; `RUN/wandb` or `RUN/tensorboard` by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Send to W&B's server what it lacks of the run, rather than write a log for `wandb sync`.
    #[arg(long, conflicts_with = "out")]
    send: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tool {
    /// An offline log for `wandb sync`, as `[track.wandb]` of the run's config says.
    Wandb,
    /// Event files for TensorBoard.
    Tensorboard,
}

/// How long a server that fails is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    super::check_run(&args.run)?;
    let log = read_log(&args.run.join("metrics.jsonl"))?;
    let Some(last) = log.records.last() else {
        bail!("run `{}`: nothing has been recorded yet", args.run.display());
    };
    let steps = log.records.iter().filter(|record| record.kind == Kind::Step).map(|record| record.step).max();
    let outcome = outcome(&args.run, steps.unwrap_or(last.step));
    let description = Description::read(&args.run)?;
    let n = log.records.len();
    match args.to {
        Tool::Wandb if args.send => {
            let login = Login::find().map_err(|why| anyhow!("--send: {why}"))?;
            let config = wandb_config(&args.run);
            let mut sink = Online::new(login, description, config, Arc::new(say), Box::new(|| {}));
            replay(&args.run, &mut sink, outcome)?;
            say(&format!("{n} records; the server has all of them"));
        }
        Tool::Wandb => {
            let folder = args.out.clone().unwrap_or_else(|| args.run.join("wandb"));
            let mut sink = Offline::create(&folder, &description, &wandb_config(&args.run), now_s())?;
            replay(&args.run, &mut sink, outcome)?;
            if outcome == Outcome::Open {
                say("the run is not complete: its end is left open, and W&B will call it crashed");
            }
            say(&format!("{n} records; send them with: wandb sync {}", sink.folder().display()));
        }
        Tool::Tensorboard if args.send => bail!("--send: TensorBoard has no server to send to; leave it out"),
        Tool::Tensorboard => {
            let folder = args.out.clone().unwrap_or_else(|| args.run.join("tensorboard"));
            replay(&args.run, &mut TensorBoard::create(&folder, &description)?, outcome)?;
            say(&format!("{n} records; look at them with: tensorboard --logdir {}", folder.display()));
        }
    }
    Ok(())
}

/// Gives a sink everything that a run has written.
fn replay(run: &Path, sink: &mut impl Sink, outcome: Outcome) -> anyhow::Result<()> {
    let mut reader = RunReader::new(run);
    while let Some(entry) = reader.next_entry()? {
        sink.write(&entry).context("the export is incomplete")?;
    }
    sink.finish(outcome, Instant::now() + PATIENCE).context("the export is incomplete")
}

/// A run that did all its steps is complete; of another nobody knows whether it goes on.
fn outcome(run: &Path, steps_done: u64) -> Outcome {
    let steps = load(&run.join("config.toml"), &[]).map(|config| config.run.steps);
    if steps.is_ok_and(|steps| steps_done >= steps) { Outcome::Complete } else { Outcome::Open }
}

/// What the run's config says, whatever the mode; the defaults without a section or of an older config.
fn wandb_config(run: &Path) -> WandbConfig {
    load(&run.join("config.toml"), &[]).ok().and_then(|config| config.track.wandb).unwrap_or_default()
}
