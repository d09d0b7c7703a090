//! `rlvr bench`: how fast, and how fast it could be.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use rlvr::bench::{self, BenchError, BenchSettings, Lengths, Part};
use rlvr::config::{DeviceChoice, Recipe, SamplerWeights};
use rlvr::device;
use rlvr::learner::Learner;
use rlvr::trace::Recorder;
use rlvr_policy::{Numerics, Preset};
use rlvr_rollouts::engine::DEFAULT_MAX_ROWS;
use rlvr_rollouts::{Model, Tokenizer};
use rlvr_verifiers::Task;
use rlvr_verifiers::dataset;
use rlvr_verifiers::generators::Split;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use tch::Device;

use super::model::{DecodingArgs, DeviceArg};
use super::output::{print, say};
use super::{WrongUse, task_spec, trace};

/// Arguments of `rlvr bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value = "all", value_name = "WHAT")]
    what: Vec<What>,
    #[command(flatten)]
    model: Subject,
    /// Where to compute.
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceArg,
    /// Threads of the CPU; 0 takes all physical cores.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    questions: Questions,
    #[command(flatten)]
    sizes: Sizes,
    /// Write the phases to this file too, for chrome://tracing or ui.perfetto.dev.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the JSON to this file, not to stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Which model.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// A Hugging Face model folder, or a checkpoint of a run.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A model with random weights.
    #[arg(long, value_enum)]
    preset: Option<PresetArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetArg {
    /// Width 128, 4 layers, single bytes for tokens.
    Tiny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Generation through the engine.
    Decode,
    /// Keys and values of prompts.
    Prefill,
    /// Updates of the weights.
    Train,
    /// Judgements of every built-in verifier.
    Verify,
    /// A whole step, by phase.
    Step,
    /// All of these.
    All,
}

/// What is asked.
#[derive(Debug, Args)]
struct Questions {
    /// Take the prompts of these tasks, and judge a step's completions by their verifiers: a task file, or a generator as
    /// in `arithmetic:level=2`; by default prompts are random tokens.
    #[arg(long, value_name = "SPEC", conflicts_with = "prompt_tokens")]
    tasks: Option<String>,
    /// The verifier of tasks that name none.
    #[arg(long, value_name = "NAME", requires = "tasks")]
    verifier: Option<String>,
    /// The prompt, with `{prompt}` and the task's other columns put in.
    #[arg(long, value_name = "TEXT", requires = "tasks")]
    prompt_template: Option<String>,
}

impl Questions {
    fn load(&self) -> anyhow::Result<Vec<Task>> {
        let Some(spec) = &self.tasks else { return Ok(vec![]) };
        let mut source = task_spec::parse(spec)?;
        source.verifier = self.verifier.clone().or(source.verifier);
        source.prompt_template.clone_from(&self.prompt_template);
        Ok(dataset::load(&source, Path::new(""), Split::Train)?)
    }
}

/// How much work is measured.
#[derive(Debug, Args)]
struct Sizes {
    /// The most completions decoded at a time; all of them by default, but not more than training takes by default.
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Prompts.
    #[arg(long, value_name = "N", default_value_t = 8)]
    prompts: usize,
    /// Completions of each prompt.
    #[arg(long, value_name = "N", default_value_t = 8)]
    group_size: usize,
    /// Tokens of a prompt.
    #[arg(long, value_name = "N", default_value_t = 45)]
    prompt_tokens: usize,
    /// Tokens of a completion; their mean where lengths are geometric, their limit where they are natural.
    #[arg(long, value_name = "N", default_value_t = 64)]
    new_tokens: usize,
    /// How long completions are.
    #[arg(long, value_enum, default_value = "equal")]
    lengths: LengthsArg,
    /// Rounds; figures are medians over them.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// Tokens forwarded at a time in training.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    tokens_per_micro_batch: usize,
    /// Compute layers again in the backward pass of training instead of keeping what they computed: less memory, more time.
    #[arg(long)]
    checkpoint_activations: bool,
    /// What multiplies when rollouts are sampled: `trained` or, on CPUs with instructions for it, `bfloat16` or `int8`.
    #[arg(long, value_name = "KIND", default_value = "trained", value_parser = weights)]
    weights: SamplerWeights,
    #[command(flatten)]
    decoding: DecodingArgs,
    /// The recipe whose loss is trained with; grpo scores under a reference policy, too.
    #[arg(long, value_name = "NAME", default_value = "grpo", value_parser = recipe)]
    recipe: Recipe,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LengthsArg {
    /// All alike.
    Equal,
    /// Geometric, with 8 times the mean for the limit.
    Geometric,
    /// As the model ends them.
    Natural,
}

fn weights(name: &str) -> Result<SamplerWeights, Error> {
    SamplerWeights::deserialize(name.into_deserializer())
}

/// Parses the name of a recipe; the error lists all.
fn recipe(name: &str) -> Result<Recipe, Error> {
    Recipe::deserialize(name.into_deserializer())
}

impl What {
    fn parts(self) -> Vec<Part> {
        match self {
            Self::Decode => vec![Part::Decode],
            Self::Prefill => vec![Part::Prefill],
            Self::Train => vec![Part::Train],
            Self::Verify => vec![Part::Verify],
            Self::Step => vec![Part::Step],
            Self::All => Part::ALL.to_vec(),
        }
    }
}

impl Sizes {
    fn settings(&self) -> BenchSettings {
        BenchSettings {
            rows: self.rows.unwrap_or(self.prompts.saturating_mul(self.group_size).min(DEFAULT_MAX_ROWS)),
            prompts: self.prompts,
            group_size: self.group_size,
            prompt_tokens: self.prompt_tokens,
            new_tokens: self.new_tokens,
            lengths: match self.lengths {
                LengthsArg::Equal => Lengths::Equal,
                LengthsArg::Geometric => Lengths::Geometric,
                LengthsArg::Natural => Lengths::Natural,
            },
            repeats: self.repeat,
            tokens_per_micro_batch: self.tokens_per_micro_batch,
            checkpoint_activations: self.checkpoint_activations,
            recipe: self.recipe,
            weights: self.weights,
        }
    }
}

impl Subject {
    /// Reads or makes the model; returns its name, too.
    fn load(&self, device: Device) -> anyhow::Result<(String, Model)> {
        let Some(folder) = &self.model else {
            return Ok(("preset tiny".to_owned(), Model::random(&Preset::default(), Tokenizer::bytes(), 0, device)?));
        };
        let name = folder.file_name().map_or_else(|| folder.to_string_lossy(), |name| name.to_string_lossy());
        Ok((name.into_owned(), Model::read(folder, device)?))
    }
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let device = DeviceChoice::from(args.device).resolve().map_err(anyhow::Error::msg)?;
    device::set_threads(args.threads);
    let tasks = args.questions.load()?;
    let recorder = args.trace.as_deref().map(trace::recorder).transpose()?.unwrap_or_else(Recorder::in_memory);
    let (name, model) = args.model.load(device)?;
    let architecture = model.transformer.architecture().clone();
    let learner = Learner::new(architecture, model.transformer.into_weights(), Numerics::Fast)
        .decoding_with(args.sizes.decoding.graphs())
        .sampling_with(args.sizes.weights)
        .map_err(anyhow::Error::msg)?;
    let parts: Vec<Part> = args.what.iter().flat_map(|what| what.parts()).collect();
    let subject = bench::Subject { name: &name, learner: &learner, tokenizer: &model.tokenizer, tasks: &tasks };
    let mut measuring = |what: &str| say(&format!("measuring {what}"));
    let report = bench::run(subject, &args.sizes.settings(), &parts, &recorder, &mut measuring).map_err(in_words)?;
    args.trace.as_deref().map(|path| trace::finish(&recorder, path)).transpose()?;
    say(&bench::table(&report));
    let json = serde_json::to_string_pretty(&report)? + "\n";
    match &args.out {
        Some(path) => std::fs::write(path, json).with_context(|| format!("`{}` cannot be written", path.display())),
        None => print(&json),
    }
}

fn in_words(error: BenchError) -> anyhow::Error {
    match error {
        BenchError::Settings(why) => WrongUse(why).into(),
        other => other.into(),
    }
}
