//! `rlvr tasks`: generate tasks.

use clap::{Args, ValueEnum};
use rlvr_verifiers::generators::{Split, TaskSet, generate};

use super::WrongUse;
use super::output::JsonLines;

/// Arguments of `rlvr tasks`.
#[derive(Debug, Args)]
pub(super) struct TasksArgs {
    /// `arithmetic`, `base_conversion`, `countdown`, `gcd_lcm`, `graph_colouring`, `knights_knaves`, `letter_counting`,
    /// `linear_equations`, `modular`, `n_queens`, `sorting`, `spell_backward` or `sudoku`.
    generator: String,
    /// Which tasks of the many.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many tasks.
    #[arg(long, default_value_t = 10)]
    n: usize,
    /// How hard, from 1 up.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    level: u32,
    /// Which of the two halves that never overlap.
    #[arg(long, value_enum, default_value = "train")]
    split: SplitArg,
    /// A knob that differs from the level's, `key=value`; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SplitArg {
    Train,
    Eval,
}

pub(super) fn run(args: &TasksArgs) -> anyhow::Result<()> {
    let mut params = toml::Table::new();
    for setting in &args.set {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| WrongUse(format!("--set `{setting}`: expected `key=value`")))?;
        params.insert(key.to_owned(), value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned())));
    }
    let split = match args.split {
        SplitArg::Train => Split::Train,
        SplitArg::Eval => Split::Eval,
    };
    let set =
        TaskSet { generator: &args.generator, n: args.n, seed: args.seed, level: args.level, params: &params, split };
    let mut out = JsonLines::new();
    for task in generate(&set)? {
        out.write(&task)?;
    }
    out.flush()
}
