//! From a config to the things a run works with: tasks, verifiers, tokenizer, weights.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use anyhow::{Context, bail};
use rayon::prelude::*;
use rlvr_policy::{Numerics, Preset};
use rlvr_rollouts::{Model, Tokenizer};
use rlvr_verifiers::dataset::{self, TaskSource};
use rlvr_verifiers::generators::Split;
use rlvr_verifiers::random::key_of;
use rlvr_verifiers::text::shown;
use rlvr_verifiers::{Panel, Registry, Task};
use tch::Device;

use crate::config::{LongPrompts, PolicySection, RunConfig, TokenizerChoice};
use crate::evaluate::contamination::{NGRAM, overlap};

/// The tasks of a run and who judges them.
#[derive(Debug)]
pub struct Tasks {
    /// For training.
    pub train: Vec<Task>,
    /// Held out.
    pub eval: Vec<Task>,
    /// Judges both.
    pub panel: Panel,
    /// What was left out or looks wrong, in words.
    pub warnings: Vec<String>,
}

impl Tasks {
    /// Loads and checks the tasks of a config.
    ///
    /// Tasks whose reference their verifier does not accept are left out and reported.
    ///
    /// # Errors
    ///
    /// If a source cannot be read, if a verifier does not exist, or if no task is left.
    pub fn load(config: &RunConfig, registry: &Registry) -> anyhow::Result<Self> {
        let train = load_all(&config.tasks, Split::Train)?;
        let eval = load_all(&config.eval.tasks, Split::Eval)?;
        let panel = panel(config, registry, &train.iter().chain(&eval))?;
        let mut warnings: Vec<String> = unannounced(config, train.iter().chain(&eval)).collect();
        warnings.extend(panel.exposed());
        let train = sound(&panel, train, "training", &mut warnings)?;
        let eval = if eval.is_empty() { eval } else { sound(&panel, eval, "held-out", &mut warnings)? };
        if train.len() < config.rollouts.prompts_per_step {
            bail!(
                "config: `rollouts.prompts_per_step` is {}, but there are only {} training tasks; lower it or add tasks",
                config.rollouts.prompts_per_step,
                train.len()
            );
        }
        warnings.extend(overlap(&train, &eval, NGRAM).sentence());
        Ok(Self { train, eval, panel, warnings })
    }

    /// Checks that every prompt can be rendered and leaves room for a completion; leaves out those that do not, if the
    /// config says so.
    ///
    /// # Errors
    ///
    /// Names the first task whose prompt cannot be used.
    pub fn check_prompts(&mut self, config: &RunConfig, tokenizer: &Tokenizer, context: usize) -> anyhow::Result<()> {
        let skip = config.rollouts.long_prompts == LongPrompts::Skip;
        let limits = [config.rollouts.max_new_tokens, config.eval_max_new_tokens()];
        for (tasks, limit) in [&mut self.train, &mut self.eval].into_iter().zip(limits) {
            let lengths: Vec<usize> =
                tasks.par_iter().map(|task| tokenizer.prompt(task).map(|ids| ids.len())).collect::<Result<_, _>>()?;
            let before = tasks.len();
            let mut fits = lengths.iter().map(|length| length.saturating_add(limit) <= context);
            if skip {
                tasks.retain(|_| fits.next().unwrap_or(false));
            } else if let Some(i) = fits.position(|fits| !fits) {
                bail!(
                    "task `{}`: the prompt has {} tokens and may be continued by {limit}, but the model's context is \
                     {context}; shorten it, lower `max_new_tokens`, or set `rollouts.long_prompts = \"skip\"`",
                    tasks[i].id,
                    lengths[i]
                );
            }
            if tasks.len() < before {
                self.warnings.push(format!("{} tasks are left out: their prompts are too long", before - tasks.len()));
            }
        }
        if self.train.len() < config.rollouts.prompts_per_step {
            bail!("only {} training tasks fit into the model's context of {context} tokens", self.train.len());
        }
        Ok(())
    }
}

/// Makes the verifiers that the tasks and the reward name.
fn panel<'a>(
    config: &RunConfig,
    registry: &Registry,
    tasks: &(impl Iterator<Item = &'a Task> + Clone),
) -> anyhow::Result<Panel> {
    let mut panel = Panel::new(registry, &config.verifiers, tasks.clone()).map_err(|error| {
        match tasks.clone().find(|task| !registry.knows(&task.verifier)) {
            Some(task) => anyhow::anyhow!("task `{}`: {error}", task.id),
            None => error.into(),
        }
    })?;
    for name in config.reward.verifiers() {
        panel.add(registry, &config.verifiers, name).context("`reward.parts`")?;
    }
    Ok(panel)
}

/// Reports verifiers outside this process that only lines of task files name: whoever wrote the file chose what runs here.
fn unannounced<'a>(config: &RunConfig, tasks: impl Iterator<Item = &'a Task>) -> impl Iterator<Item = String> {
    let sources = config.tasks.iter().chain(&config.eval.tasks).filter_map(|source| source.verifier.as_deref());
    let named: HashSet<&str> =
        sources.chain(config.verifiers.keys().map(String::as_str)).chain(config.reward.verifiers()).collect();
    let foreign = tasks.map(|task| task.verifier.as_str()).filter(|name| name.contains(':') && !named.contains(name));
    let unannounced: BTreeSet<String> = foreign.map(str::to_owned).collect();
    unannounced.into_iter().map(|name| {
        format!(
            "a task file names the verifier `{}`, which runs with your rights; a section `[verifiers.\"{0}\"]` says that you know",
            shown(&name)
        )
    })
}

fn load_all(sources: &[TaskSource], split: Split) -> anyhow::Result<Vec<Task>> {
    let mut all: Vec<Task> = vec![];
    let mut ids = HashSet::new();
    for source in sources {
        // Paths are resolved already.
        for task in dataset::load(source, Path::new(""), split)? {
            if !ids.insert(task.id.clone()) {
                bail!(
                    "tasks `{}`: the id `{}` is in another source too; ids must be unique over all sources",
                    source.label(),
                    task.id
                );
            }
            all.push(task);
        }
    }
    Ok(all)
}

fn sound(panel: &Panel, tasks: Vec<Task>, kind: &str, warnings: &mut Vec<String>) -> anyhow::Result<Vec<Task>> {
    let total = tasks.len();
    let (tasks, faults) = panel.validate(tasks);
    if let Some(first) = faults.first() {
        let text = format!("{} of {total} {kind} tasks are left out; the first: {first}", faults.len());
        if tasks.is_empty() {
            bail!("{text}");
        }
        warnings.push(text);
    }
    Ok(tasks)
}

/// Loads or makes the model of a config.
///
/// # Errors
///
/// If the folder cannot be read or the preset makes no model.
pub fn model(config: &RunConfig, device: Device) -> anyhow::Result<Model> {
    match &config.policy.path {
        Some(path) => Ok(Model::read(path, device).with_context(|| format!("policy `{}`", path.display()))?),
        None => Ok(Model::random(&preset(&config.policy), preset_tokenizer(&config.policy)?, config.run.seed, device)?),
    }
}

/// Checks that the model of a config is there and whole, as far as that can be told without reading weights.
///
/// # Errors
///
/// As those of [`model`].
pub fn check_model(config: &RunConfig) -> anyhow::Result<()> {
    match &config.policy.path {
        Some(path) => Model::check(path).with_context(|| format!("policy `{}`", path.display()))?,
        None => drop(Model::architecture(&preset(&config.policy), &preset_tokenizer(&config.policy)?)?),
    }
    Ok(())
}

/// Returns the tokenizer of a config and the context of its model, without reading weights.
///
/// # Errors
///
/// If the model's folder cannot be read.
pub fn tokenizer(config: &RunConfig) -> anyhow::Result<(Tokenizer, usize)> {
    match &config.policy.path {
        Some(path) => {
            let architecture = rlvr_policy::Architecture::read(path)?;
            Ok((Tokenizer::read(path)?, architecture.max_positions as usize))
        }
        None => Ok((preset_tokenizer(&config.policy)?, preset(&config.policy).max_positions as usize)),
    }
}

fn preset(policy: &PolicySection) -> Preset {
    policy.sizes.clone().unwrap_or_default()
}

fn preset_tokenizer(policy: &PolicySection) -> anyhow::Result<Tokenizer> {
    Ok(match &policy.tokenizer {
        None | Some(TokenizerChoice::Bytes {}) => Tokenizer::bytes(),
        Some(TokenizerChoice::Characters { list }) => Tokenizer::characters(list)?,
    })
}

/// Returns the numerics that a config asks for.
pub fn numerics(config: &RunConfig) -> Numerics {
    if config.run.deterministic { Numerics::BatchInvariant } else { Numerics::Fast }
}

/// Summarises tasks for the header: their number by source, and a hash of all that is asked.
pub fn fingerprint(tasks: &[Task]) -> serde_json::Value {
    let mut sources: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = String::new();
    for task in tasks {
        *sources.entry(&task.source).or_default() += 1;
        all.push_str(&serde_json::to_string(task).expect("a task is plain data"));
    }
    serde_json::json!({"n": tasks.len(), "sources": sources, "hash": format!("{:016x}", key_of(&all))})
}
