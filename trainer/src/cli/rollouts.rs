//! `rlvr rollouts`: what the policy wrote, in a terminal.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use rlvr_track::rollouts::{self, Look};

use super::output::print;

/// Arguments of `rlvr rollouts`.
#[derive(Debug, Args)]
pub(super) struct RolloutsArgs {
    /// A run folder.
    run: PathBuf,
    /// The step; the last one that has rollouts by default.
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// The lowest reward first.
    #[arg(long)]
    worst: bool,
    /// All rollouts of one prompt in full, the best first: the number of the group, or the id of its task.
    #[arg(long, value_name = "ID")]
    group: Option<String>,
}

pub(super) fn run(args: &RolloutsArgs) -> anyhow::Result<()> {
    super::check_run(&args.run)?;
    let (path, text) = rollouts::step_text(&args.run, args.step)?;
    let mut lines = rollouts::parse(&path, &text)?;
    let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let look = if wants_colour && std::io::stdout().is_terminal() { Look::Coloured } else { Look::Plain };
    if args.worst {
        rollouts::sort_worst_first(&mut lines);
    }
    match &args.group {
        Some(id) => {
            rollouts::keep_group(&mut lines, id)?;
            print(&rollouts::group(&lines, look))
        }
        None => print(&rollouts::table(&lines, look)),
    }
}
