//! `rlvr config`: check, show or describe configs.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use rlvr::config::{RunConfig, RunFile, load};
use rlvr::setup::{self, Tasks};
use rlvr_verifiers::Registry;

use super::output::{print, say};

/// Arguments of `rlvr config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a config, its tasks and its model as far as they are there, and say what a run would do.
    Check(File),
    /// Print a config with every default filled in.
    Show(File),
    /// Print the JSON schema of configs.
    Schema,
}

/// A config file with settings.
#[derive(Debug, Args)]
struct File {
    /// The config.
    config: PathBuf,
    /// A setting in place of the file's, `section.key=value`; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(super) fn run(args: ConfigArgs) -> anyhow::Result<()> {
    match args.action {
        Action::Check(file) => check(&load(&file.config, &file.set)?),
        Action::Show(file) => print(&load(&file.config, &file.set)?.to_toml()),
        Action::Schema => {
            let schema = schemars::schema_for!(RunFile);
            print(&format!("{:#}\n", serde_json::to_value(schema)?))
        }
    }
}

fn check(config: &RunConfig) -> anyhow::Result<()> {
    say(&arithmetic(config));
    let mut faults = vec![];
    let tasks = Tasks::load(config, &Registry::default());
    let tokenizer = setup::tokenizer(config);
    match (tasks, tokenizer) {
        (Ok(mut tasks), Ok((tokenizer, context))) => {
            say(&format!("tasks: {} for training, {} held out", tasks.train.len(), tasks.eval.len()));
            if !tasks.eval.is_empty() {
                say(&eval_precision(tasks.eval.len(), config.eval.samples));
            }
            if let Err(error) = tasks.check_prompts(config, &tokenizer, context) {
                faults.push(error);
            }
            for warning in &tasks.warnings {
                say(&format!("warning: {warning}"));
            }
        }
        (tasks, tokenizer) => faults.extend(tasks.err().into_iter().chain(tokenizer.err())),
    }
    faults.extend(setup::check_model(config).err());
    if let Err(why) = config.run.device.resolve() {
        faults.push(anyhow::anyhow!("config: {why}"));
    }
    for fault in &faults {
        say(&format!("not ready: {fault:#}"));
    }
    if faults.is_empty() {
        say("the config is sound and everything it names is there");
        Ok(())
    } else {
        bail!("the config is sound, but the run cannot start yet")
    }
}

/// What a step does, in numbers.
fn arithmetic(config: &RunConfig) -> String {
    let rollouts = &config.rollouts;
    let n = rollouts.prompts_per_step * rollouts.group_size;
    format!(
        "run `{}`: {} steps of {} prompts × {} rollouts = {n} rollouts, at most {} tokens each; updates: {} a step, {} in all",
        config.run.name,
        config.run.steps,
        rollouts.prompts_per_step,
        rollouts.group_size,
        rollouts.max_new_tokens,
        config.optimizer.updates_per_batch,
        config.run.steps * config.optimizer.updates_per_batch as u64,
    )
}

/// How exact an evaluation can be: the largest standard error of its mean, at an accuracy of one half.
fn eval_precision(n_problems: usize, n_samples: usize) -> String {
    let points = 50.0 / (n_problems as f64).sqrt();
    format!("evaluation: {n_problems} problems × {n_samples} samples: a standard error of at most ±{points:.1} points")
}
