//! Starting a run, or going on with one.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rlvr_policy::Transformer;
use rlvr_policy::decoding::Graphs;
use rlvr_rollouts::{Model, Tokenizer};
use rlvr_verifiers::dataset;
use rlvr_verifiers::generators::Split;
use rlvr_verifiers::{Registry, Task, Watch};
use tch::Device;

use super::Run;
use super::header::{self, Identity};
use crate::checkpoint::{self, Found, RunState};
use crate::config::{RunConfig, SftSource};
use crate::console::Console;
use crate::device;
use crate::energy::EnergyMeter;
use crate::learner::Learner;
use crate::machine::Machine;
use crate::order::TaskOrder;
use crate::run_folder::{Opening, Position, RunFolder, step_name};
use crate::setup::{self, Tasks};
use crate::sft::{self, Example};
use crate::tracking;

/// Makes a run ready in its folder, from the beginning or from its newest checkpoint.
///
/// `say` is told what people should know.
///
/// # Errors
///
/// If anything that the config names cannot be read or does not fit, or if the folder cannot be used.
pub fn start(
    config: RunConfig,
    registry: &Registry,
    path: &Path,
    opening: Opening,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<Run> {
    let device = config.run.device.resolve().map_err(|why| anyhow::anyhow!("config: {why}"))?;
    device::set_threads(config.run.threads);
    tracking::check(&config.track)?;
    let mut tasks = Tasks::load(&config, registry)?;
    let (tokenizer, context) = setup::tokenizer(&config)?;
    tasks.check_prompts(&config, &tokenizer, context)?;
    for warning in &tasks.warnings {
        say(&format!("warning: {warning}"));
    }
    if opening == Opening::Resume {
        check_same_config(&config, path)?;
    }
    // A new run's folder is made last, so that a start that fails leaves nothing in the way of the next one.
    RunFolder::check_free(path, opening)?;
    let resumed = (opening == Opening::Resume).then(|| RunFolder::open(path)).transpose()?;
    let found = match resumed {
        Some(_) => checkpoint::newest(&path.join("checkpoints"))?,
        None => None,
    };
    let model = match &found {
        Some(found) => Model::read(&found.path, device)?,
        None => setup::model(&config, device)?,
    };
    let architecture = model.transformer.architecture().clone();
    let learner = Learner::new(architecture, model.transformer.into_weights(), setup::numerics(&config));
    let graphs = if config.rollouts.cuda_graphs { Graphs::Recorded } else { Graphs::Off };
    let learner = learner.decoding_with(graphs);
    let learner = learner.sampling_with(config.rollouts.weights).map_err(|why| anyhow::anyhow!("config: {why}"))?;
    let mut optimizer = learner.optimizer();
    if let Some(found) = &found {
        checkpoint::restore_optimizer(found, &mut optimizer, device)?;
    }
    let mut folder = resumed.map_or_else(|| RunFolder::open(path), Ok)?;
    let state = go_on(&mut folder, found.as_ref(), opening, say)?;
    let started = found.as_ref().filter(|found| config.needs_reference() && found.state.position >= Position::Step(0));
    let reference = started.map(|found| reference_policy(&config, found, device)).transpose()?;
    let ids = tasks.train.iter().map(|task| task.id.clone()).collect();
    let order = TaskOrder::new(config.run.seed, ids, config.filter.retire_at, state.order.clone());
    let matmul_peak = device::matmul_peak(device);
    folder.write("config.toml", &config.to_toml())?;
    let energy = EnergyMeter::new(device);
    let mut header = header::header(&config, &tasks, &learner, (device, matmul_peak), &Identity::of_run(path));
    header["energy"] = energy.description();
    folder.write("run.json", &format!("{header:#}\n"))?;
    // A checkpoint is saved after the evaluation of its step, so that the log tells.
    let evaluated = folder.is_evaluated(state.position)?;
    let saved = found.map(|found| (state.position, found.path));
    Ok(Run {
        console: Arc::new(Console::open(path)?),
        machine: Machine::new(),
        held_out: None,
        config,
        folder,
        tasks,
        tokenizer: model.tokenizer,
        learner,
        optimizer,
        reference,
        order,
        state,
        matmul_peak,
        on_gpu: device.is_cuda(),
        energy,
        watch: Watch::default(),
        recent: vec![],
        evaluated,
        saved,
    })
}

/// Puts the folder back to where the newest checkpoint was written.
fn go_on(
    folder: &mut RunFolder,
    found: Option<&Found>,
    opening: Opening,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<RunState> {
    let state = found.map(|found| found.state.clone()).unwrap_or_default();
    if opening == Opening::New {
        return Ok(state);
    }
    for damaged in found.iter().flat_map(|found| &found.damaged) {
        say(&format!("warning: {damaged}; going back to the one before"));
    }
    let dropped = folder.rewind(state.position)?;
    let place = match state.position {
        Position::Start => "the beginning".to_owned(),
        Position::WarmStart(step) => format!("step {step} of the warm start"),
        Position::Step(step) => format!("step {step}"),
    };
    let text = format!("resumed from {place}; {dropped} records written after it were dropped");
    let step = if let Position::Step(step) = state.position { step } else { 0 };
    if state.position != Position::Start {
        folder.event(step, &text)?;
    }
    say(&text);
    Ok(state)
}

/// A run that goes on must be the same run; it may only become longer, or save and evaluate at other times.
fn check_same_config(config: &RunConfig, path: &Path) -> anyhow::Result<()> {
    let saved = path.join("config.toml");
    if !saved.exists() {
        return Ok(()); // killed before anything was written
    }
    let before = crate::config::load(&saved, &[])?;
    let comparable = |config: &RunConfig| {
        let mut config = config.clone();
        config.run.steps = 0;
        config.run.name = String::new();
        config.run.threads = 0;
        config.checkpoint = before.checkpoint.clone();
        config.eval.every = 0;
        config.eval.per_decade = 0;
        config.rollouts.record_every = 0;
        config.optimizer.checkpoint_activations = false;
        config.track = before.track.clone();
        config.to_toml()
    };
    let (now, then) = (comparable(config), comparable(&before));
    if now == then {
        return Ok(());
    }
    let changed: Vec<String> = now
        .lines()
        .filter(|line| !then.lines().any(|other| other == *line))
        .chain(then.lines().filter(|line| !now.lines().any(|other| other == *line)))
        .map(str::to_owned)
        .collect();
    bail!(
        "--resume: the config is not the one that the run in `{}` began with; it may change only in steps, threads, \
         `optimizer.checkpoint_activations`, when it evaluates and saves, and where it is tracked. What differs:\n  {}",
        path.display(),
        changed.join("\n  ")
    );
}

/// The reference is the policy before the first step: what the config names, or, after a warm start, the checkpoint of
/// step 0, which is kept for this.
fn reference_policy(config: &RunConfig, found: &Found, device: Device) -> anyhow::Result<Transformer> {
    let model = if config.warm_start.is_none() {
        setup::model(config, device)
    } else {
        Model::read(&found.path.with_file_name(step_name(0)), device).map_err(Into::into)
    };
    let transformer = model.context("the reference policy")?.transformer;
    let architecture = transformer.architecture().clone();
    Ok(Learner::new(architecture, transformer.into_weights(), setup::numerics(config)).frozen())
}

/// Gathers what the warm start learns from.
pub(super) fn examples(config: &RunConfig, tasks: &Tasks, tokenizer: &Tokenizer) -> anyhow::Result<Vec<Example>> {
    let data = config.warm_start.as_ref().map_or(&[][..], |warm_start| &warm_start.data);
    if data.is_empty() {
        return sft::of_tasks(&tasks.train, tokenizer);
    }
    let mut examples = vec![];
    for source in data {
        examples.extend(match source {
            SftSource::Messages { path } => sft::of_chats(path, tokenizer)?,
            SftSource::Rollouts { run } => sft::of_run(run)?,
            SftSource::Tasks(source) => {
                let tasks: Vec<Task> = dataset::load(source, Path::new(""), Split::Train)?;
                sft::of_tasks(&tasks, tokenizer)?
            }
        });
    }
    if examples.is_empty() {
        bail!("`warm_start.data` holds no example");
    }
    Ok(examples)
}
