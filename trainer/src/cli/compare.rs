//! `rlvr compare`: two checkpoints on the same problems.

use std::path::PathBuf;

use clap::Args;
use rlvr_curves::evaluation::{compare, read};

use super::output::{JsonLines, say};

/// Arguments of `rlvr compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The problems of the first evaluation, `NAME.problems.jsonl`.
    first: PathBuf,
    /// The problems of the second.
    second: PathBuf,
    /// Where the randomness of the bootstrap comes from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let mut out = JsonLines::new();
    for comparison in compare(&read(&args.first)?, &read(&args.second)?, args.seed)? {
        say(&comparison.sentence);
        out.write(&comparison)?;
    }
    out.flush()
}
