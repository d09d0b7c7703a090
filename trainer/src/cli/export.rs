//! `rlvr export`: a run in another tool.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rlvr_curves::store::read_log;
use rlvr_track::{Sink, TensorBoard};

use super::output::say;

/// Arguments of `rlvr export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A run folder.
    run: PathBuf,
    /// The tool.
    #[arg(long, value_enum)]
    to: Tool,
    /// Where the tool's files go; `RUN/tensorboard` by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tool {
    /// Event files for TensorBoard.
    Tensorboard,
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let log = read_log(&args.run.join("metrics.jsonl"))?;
    let Some(first) = log.records.first() else {
        bail!("run `{}`: nothing has been recorded yet", args.run.display());
    };
    let Tool::Tensorboard = args.to;
    let folder = args.out.clone().unwrap_or_else(|| args.run.join("tensorboard"));
    let mut sink = TensorBoard::create(&folder, first.time_s)?;
    for record in &log.records {
        sink.write(record)?;
    }
    sink.finish().context("the export is incomplete")?;
    say(&format!("{} records; look at them with: tensorboard --logdir {}", log.records.len(), folder.display()));
    Ok(())
}
