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

/// Checks what a config names, and says what a run would do.
pub(super) fn check(config: &RunConfig) -> anyhow::Result<()> {
    say(&arithmetic(config));
    let mut faults = vec![];
    let tasks = Tasks::load(config, &Registry::default());
    let tokenizer = setup::tokenizer(config);
    match (tasks, tokenizer) {
        (Ok(mut tasks), Ok((tokenizer, context))) => {
            say(&format!("tasks: {} for training, {} held out", tasks.train.len(), tasks.eval.len()));
            if !tasks.eval.is_empty() {
                say(&eval_precision(tasks.eval.len(), config.eval.samples));
                say(&eval_schedule(config));
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

/// When evaluations happen.
fn eval_schedule(config: &RunConfig) -> String {
    let every = (config.eval.every > 0).then(|| format!("every {} steps", config.eval.every));
    let marks = (config.eval.per_decade > 0)
        .then(|| format!("{} times for every tenfold of training compute", config.eval.per_decade));
    let all: Vec<String> = every.into_iter().chain(marks).collect();
    format!(
        "evaluated: {} before the first step and after the last",
        all.join(", ").to_owned() + if all.is_empty() { "" } else { ", and" }
    )
}

/// How exact an evaluation is: the standard error of its mean at an accuracy of one half.
///
/// Of n problems with s samples each it is √([V + (¼ − V) / s] / n), V being the variance of the problems' own rates: 0 if
/// all are equally hard, ¼ if each is solved always or never, and 1/12 if the rates are spread evenly from 0 to 1.
fn eval_precision(n_problems: usize, n_samples: usize) -> String {
    let points = |variance: f64| 100.0 * ((variance + (0.25 - variance) / n_samples as f64) / n_problems as f64).sqrt();
    let what = format!("evaluation: {n_problems} problems × {n_samples} samples");
    let (likely, least, most) = (points(1.0 / 12.0), points(0.0), points(0.25));
    match n_samples {
        1 => format!("{what}: a standard error of ±{most:.1} points"),
        _ => format!(
            "{what}: a standard error of ±{likely:.1} points with difficulties spread evenly; ±{least:.1} if all problems are \
             alike, ±{most:.1} if each is solved always or never"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precision_of_an_evaluation_is_stated() {
        let expected = "evaluation: 200 problems × 4 samples: a standard error of ±2.5 points with difficulties spread evenly; \
                        ±1.8 if all problems are alike, ±3.5 if each is solved always or never";
        assert_eq!(eval_precision(200, 4), expected);
        assert_eq!(eval_precision(100, 1), "evaluation: 100 problems × 1 samples: a standard error of ±5.0 points");
    }
}
