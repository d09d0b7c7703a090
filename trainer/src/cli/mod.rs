//! Commands. Each is a file with its arguments and what it does; data goes to stdout, words for people to stderr.

mod bench;
mod compare;
mod config;
mod dashboard;
mod doctor;
mod eval;
mod export;
mod fit;
mod model;
mod output;
mod render;
mod report;
mod rollouts;
mod sample;
mod score;
mod sweep;
mod task_spec;
mod tasks;
mod trace;
mod train;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use rlvr::console::{LogFormat, say, set_format};

/// Reinforcement learning with verifiable rewards for small language models.
#[derive(Debug, Parser)]
#[command(name = "rlvr", version, disable_help_subcommand = true)]
struct Cli {
    /// How lines on stderr look.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormatArg,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormatArg {
    /// For people.
    Text,
    /// An object a line, for programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a policy as a config says.
    Train(train::TrainArgs),
    /// Train many policies from one file, and fit what they show together.
    Sweep(sweep::SweepArgs),
    /// Do only the supervised part of a config, its `[warm_start]`.
    Sft(train::TrainArgs),
    /// Evaluate a model: pass@k, maj@k, best-of-k and mean@n with intervals, as JSON.
    Eval(Box<eval::EvalArgs>),
    /// Compare two evaluations of the same tasks, problem by problem.
    Compare(compare::CompareArgs),
    /// Continue prompts.
    Sample(sample::SampleArgs),
    /// Log-probabilities of given tokens.
    Score(score::ScoreArgs),
    /// Show what the chat template makes of messages.
    Render(render::RenderArgs),
    /// Judge completions, or check that tasks can be judged.
    Verify(verify::VerifyArgs),
    /// Generate tasks.
    Tasks(tasks::TasksArgs),
    /// Fit and draw accuracy against compute.
    Fit(fit::FitArgs),
    /// Say on one page what runs show: verdict, figures, samples, and what is left open.
    Report(report::ReportArgs),
    /// Look at runs in a browser: curves, and every rollout.
    Dashboard(dashboard::DashboardArgs),
    /// Look at the rollouts of a run here.
    Rollouts(rollouts::RolloutsArgs),
    /// Show a run in another tool.
    Export(export::ExportArgs),
    /// Check, show or describe configs.
    Config(config::ConfigArgs),
    /// Measure the speed of generation, verification and training, as JSON.
    Bench(bench::BenchArgs),
    /// Explain this machine.
    Doctor(doctor::DoctorArgs),
}

/// Runs the command line and returns its exit code: 0 done, 1 failed, 2 wrong use.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    set_format(match cli.log_format {
        LogFormatArg::Text => LogFormat::Text,
        LogFormatArg::Json => LogFormat::Json,
    });
    let result = match cli.command {
        Command::Train(args) => train::train(args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Sft(args) => train::sft(args),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Sample(args) => sample::run(args),
        Command::Score(args) => score::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Tasks(args) => tasks::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Dashboard(args) => dashboard::run(&args),
        Command::Rollouts(args) => rollouts::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Config(args) => config::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(if error.is::<WrongUse>() { 2 } else { 1 })
        }
    }
}

/// Arguments that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

/// Refuses what is not the folder of a run.
fn check_run(folder: &Path) -> anyhow::Result<()> {
    let what = match folder {
        folder if !folder.exists() => "there is no such folder",
        folder if ["metrics.jsonl", "rollouts"].iter().all(|name| !folder.join(name).exists()) => {
            "it holds no run, neither `metrics.jsonl` nor `rollouts/`"
        }
        _ => return Ok(()),
    };
    anyhow::bail!("run `{}`: {what}; give the folder that `rlvr train` wrote, such as `runs/NAME`", folder.display())
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
