//! Commands. Each is a file with its arguments and what it does; data goes to stdout, words for people to stderr.

mod config;
mod dashboard;
mod doctor;
mod eval;
mod export;
mod fit;
mod model;
mod output;
mod render;
mod rollouts;
mod sample;
mod score;
mod task_spec;
mod tasks;
mod train;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Reinforcement learning with verifiable rewards for small language models.
#[derive(Debug, Parser)]
#[command(name = "rlvr", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a policy as a config says.
    Train(train::TrainArgs),
    /// Do only the supervised part of a config, its `[warm_start]`.
    Sft(train::TrainArgs),
    /// Evaluate a model: pass@k, maj@k and mean@n with intervals, as JSON.
    Eval(eval::EvalArgs),
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
    /// Look at runs in a browser: curves, and every rollout.
    Dashboard(dashboard::DashboardArgs),
    /// Look at the rollouts of a run here.
    Rollouts(rollouts::RolloutsArgs),
    /// Show a run in another tool.
    Export(export::ExportArgs),
    /// Check, show or describe configs.
    Config(config::ConfigArgs),
    /// Explain this machine.
    Doctor(doctor::DoctorArgs),
}

/// Runs the command line and returns its exit code: 0 done, 1 failed, 2 wrong use.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train::train(args),
        Command::Sft(args) => train::sft(args),
        Command::Eval(args) => eval::run(&args),
        Command::Sample(args) => sample::run(args),
        Command::Score(args) => score::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Tasks(args) => tasks::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Dashboard(args) => dashboard::run(&args),
        Command::Rollouts(args) => rollouts::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Config(args) => config::run(args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // That nobody reads stderr changes nothing.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(if error.is::<WrongUse>() { 2 } else { 1 })
        }
    }
}

/// Arguments that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
