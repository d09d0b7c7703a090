//! The configuration of a run: one TOML file.
//!
//! A [`RunFile`] is what was written, a [`RunConfig`] what it means: recipes expanded, defaults filled in, paths
//! resolved, ranges checked. The latter is saved in the run folder and is itself a valid file that repeats the run.

mod overrides;
mod parse;
mod recipe;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rlvr_policy::Preset;
use rlvr_rollouts::Sampling;
use rlvr_rollouts::engine::DEFAULT_MAX_ROWS;
use rlvr_track::TrackConfig;
use rlvr_verifiers::RewardConfig;
use rlvr_verifiers::dataset::TaskSource;
use rlvr_verifiers::foreign::located;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::advantage::AdvantageConfig;
use crate::filter::FilterConfig;
use crate::loss::LossConfig;
use crate::optimizer::{OptimizerConfig, Schedule};

pub use overrides::{AdvantageOverrides, FilterOverrides, LossOverrides};
pub use parse::{ConfigError, load, parse};
pub use recipe::Recipe;

/// The configuration of a run, as written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// The published composition that `[advantage]`, `[loss]` and `[filter]` start from.
    #[serde(default)]
    pub recipe: Recipe,
    /// The run as a whole.
    pub run: RunSection,
    /// The model to be trained.
    pub policy: PolicySection,
    /// How rollouts are sampled.
    #[serde(default)]
    pub rollouts: RolloutsSection,
    /// Where training tasks come from.
    pub tasks: Vec<TaskSource>,
    /// Options of verifiers, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub verifiers: BTreeMap<String, toml::Table>,
    /// What is paid.
    #[serde(default)]
    pub reward: RewardConfig,
    /// How rewards become advantages, where it differs from the recipe.
    #[serde(default)]
    pub advantage: AdvantageOverrides,
    /// The loss, where it differs from the recipe.
    #[serde(default)]
    pub loss: LossOverrides,
    /// Which groups are trained on, where it differs from the recipe.
    #[serde(default)]
    pub filter: FilterOverrides,
    /// How weights are updated.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// Supervised training before the first step.
    pub warm_start: Option<WarmStartSection>,
    /// Evaluation on held-out tasks.
    #[serde(default)]
    pub eval: EvalSection,
    /// When and how much is saved.
    #[serde(default)]
    pub checkpoint: CheckpointSection,
    /// Where the run is shown besides its folder.
    #[serde(default)]
    pub track: TrackConfig,
}

/// The configuration of a run, complete.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunConfig {
    /// The composition that the rest started from.
    pub recipe: Recipe,
    /// The run as a whole.
    pub run: RunSection,
    /// The model to be trained.
    pub policy: PolicySection,
    /// How rollouts are sampled.
    pub rollouts: RolloutsSection,
    /// What is paid.
    pub reward: RewardConfig,
    /// How rewards become advantages.
    pub advantage: AdvantageConfig,
    /// The loss.
    pub loss: LossConfig,
    /// Which groups are trained on.
    pub filter: FilterConfig,
    /// How weights are updated.
    pub optimizer: OptimizerConfig,
    /// Supervised training before the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStartSection>,
    /// Evaluation on held-out tasks.
    pub eval: EvalSection,
    /// When and how much is saved.
    pub checkpoint: CheckpointSection,
    /// Where the run is shown besides its folder.
    pub track: TrackConfig,
    /// Options of verifiers, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub verifiers: BTreeMap<String, toml::Table>,
    /// Where training tasks come from.
    pub tasks: Vec<TaskSource>,
}

/// `[run]`: the run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSection {
    /// The name of the run, and of its folder under `runs/`; that of the config file by default.
    #[serde(default)]
    pub name: String,
    /// Where all randomness comes from.
    #[serde(default)]
    pub seed: u64,
    /// Steps of reinforcement learning.
    pub steps: u64,
    /// Where to compute.
    #[serde(default)]
    pub device: DeviceChoice,
    /// Threads of the CPU; 0 takes all physical cores.
    #[serde(default)]
    pub threads: usize,
    /// Whether a rollout must not depend on its batch even by rounding; slower.
    #[serde(default)]
    pub deterministic: bool,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceChoice {
    /// On a GPU if there is one, else on the CPU.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
    /// On the first GPU.
    Cuda,
}

/// `[policy]`: the model to be trained, a folder or a preset with random weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySection {
    /// A Hugging Face model folder; a relative path starts at the config's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A model with random weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetName>,
    /// Sizes that differ from the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Preset>,
    /// The tokenizer of a preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerChoice>,
}

/// A model with random weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresetName {
    /// Width 128, 4 layers; all sizes can be changed under `[policy.sizes]`.
    Tiny,
}

/// The tokenizer of a preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenizerChoice {
    /// Single bytes: encodes any text with 257 tokens.
    Bytes {},
    /// The characters listed; everything else becomes one unknown token.
    Characters {
        /// The characters.
        list: String,
    },
}

/// `[rollouts]`: how rollouts are sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutsSection {
    /// Prompts a step, P.
    pub prompts_per_step: usize,
    /// Rollouts a prompt, G.
    pub group_size: usize,
    /// The most tokens of a completion, the end token included.
    pub max_new_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Texts that end a completion.
    pub stop: Vec<String>,
    /// The most completions decoded at a time.
    pub max_rows: usize,
    /// What multiplies when rollouts are sampled.
    pub weights: SamplerWeights,
    /// On GPUs, record what a token takes once and repeat it by one call a token (CUDA graphs): faster, unless generations
    /// are short and their numbers of rows ever new.
    pub cuda_graphs: bool,
    /// Rollouts are recorded every so many steps; 0 is never.
    pub record_every: u64,
    /// What happens to tasks whose prompt leaves no room for a completion.
    pub long_prompts: LongPrompts,
}

/// What happens to tasks whose prompt leaves no room for a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LongPrompts {
    /// The run does not start.
    Refuse,
    /// They are left out and counted.
    Skip,
}

/// What multiplies when rollouts are sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SamplerWeights {
    /// The weights as they are trained.
    #[default]
    Trained,
    /// The matrices rounded to bfloat16, on CPUs with AVX512-BF16: faster, and off by about 0.01 nats a token, which
    /// the ratio of the loss corrects.
    Bfloat16,
    /// The matrices rounded to integers of eight bits, on CPUs with AVX512-VNNI or AVX-VNNI: faster still, and off by
    /// about 0.06 nats a token.
    Int8,
}

impl Default for RolloutsSection {
    fn default() -> Self {
        Self {
            prompts_per_step: 16,
            group_size: 8,
            max_new_tokens: 256,
            sampling: Sampling::default(),
            stop: vec![],
            max_rows: DEFAULT_MAX_ROWS,
            weights: SamplerWeights::Trained,
            cuda_graphs: true,
            record_every: 1,
            long_prompts: LongPrompts::Refuse,
        }
    }
}

/// `[warm_start]`: supervised training before the first step, on worked answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmStartSection {
    /// Optimiser steps.
    pub steps: u64,
    /// Examples a step.
    #[serde(default = "examples_per_step")]
    pub examples_per_step: usize,
    /// The learning rate after warm-up.
    pub lr: f64,
    /// Steps over which the learning rate rises to its value.
    #[serde(default)]
    pub warmup_steps: u64,
    /// What the learning rate does afterwards.
    #[serde(default = "cosine")]
    pub schedule: Schedule,
    /// A checkpoint every so many steps; 0 is at the end only.
    #[serde(default)]
    pub checkpoint_every: u64,
    /// What to learn from; the worked answers of the training tasks if nothing is listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<SftSource>,
}

fn examples_per_step() -> usize {
    32
}

fn cosine() -> Schedule {
    Schedule::Cosine
}

/// One source of supervised examples: a file of `messages`, a run's rollouts, or tasks with worked answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SftSource {
    /// JSON lines with `messages`; what the assistant says is learnt.
    Messages {
        /// The file; a relative path starts at the config's folder.
        path: PathBuf,
    },
    /// The right rollouts of a run.
    Rollouts {
        /// The run folder; a relative path starts at the config's folder.
        run: PathBuf,
    },
    /// Tasks with a worked answer.
    Tasks(Box<TaskSource>),
}

/// `[eval]`: evaluation on held-out tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvalSection {
    /// An evaluation every so many steps, besides those before the first and after the last; 0 is none.
    pub every: u64,
    /// So many evaluations for every tenfold of training compute, equally far apart on a logarithmic axis, besides those of
    /// `every`; 0 is none.
    pub per_decade: u32,
    /// Samples a task.
    pub samples: usize,
    /// How tokens are drawn; greedy by default.
    pub sampling: Sampling,
    /// The most tokens of a completion; that of `[rollouts]` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
    /// Where held-out tasks come from.
    pub tasks: Vec<TaskSource>,
}

impl Default for EvalSection {
    fn default() -> Self {
        Self { every: 0, per_decade: 0, samples: 1, sampling: Sampling::greedy(), max_new_tokens: None, tasks: vec![] }
    }
}

/// `[checkpoint]`: when and how much is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSection {
    /// A checkpoint every so many steps, besides the last; 0 is none.
    pub every: u64,
    /// How many of the newest are kept.
    pub keep: usize,
}

impl Default for CheckpointSection {
    fn default() -> Self {
        Self { every: 50, keep: 2 }
    }
}

impl RunFile {
    /// Works out what was written: expands the recipe, names the run, resolves paths against `folder`.
    ///
    /// # Errors
    ///
    /// Names the key that is out of range or contradicts another, and what would be right.
    pub fn resolve(self, folder: &Path, file_stem: &str) -> Result<RunConfig, ConfigError> {
        let recipe = self.recipe;
        let mut config = RunConfig {
            recipe,
            run: self.run,
            policy: self.policy,
            rollouts: self.rollouts,
            reward: self.reward,
            advantage: self.advantage.apply(recipe.advantage()),
            loss: self.loss.apply(recipe.loss()),
            filter: self.filter.apply(recipe.filter()),
            optimizer: self.optimizer,
            warm_start: self.warm_start,
            eval: self.eval,
            checkpoint: self.checkpoint,
            track: self.track,
            verifiers: self.verifiers,
            tasks: self.tasks,
        };
        if config.run.name.is_empty() {
            file_stem.clone_into(&mut config.run.name);
        }
        for path in config.paths_mut() {
            *path = resolved(folder, path);
        }
        let folder = resolved(folder, Path::new(""));
        for name in config.verifier_names_mut() {
            *name = located(name, &folder);
        }
        config.verifiers = config.verifiers.into_iter().map(|(name, table)| (located(&name, &folder), table)).collect();
        config.validate().map_err(ConfigError::Value)?;
        Ok(config)
    }
}

impl RunConfig {
    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let data = self.warm_start.iter_mut().flat_map(|warm_start| &mut warm_start.data);
        let of_data = data.filter_map(|source| match source {
            SftSource::Messages { path } | SftSource::Rollouts { run: path } => Some(path),
            SftSource::Tasks(source) => source.path.as_mut(),
        });
        let tasks = self.tasks.iter_mut().chain(&mut self.eval.tasks).filter_map(|source| source.path.as_mut());
        self.policy.path.iter_mut().chain(tasks).chain(of_data)
    }

    fn verifier_names_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let tasks = self.tasks.iter_mut().chain(&mut self.eval.tasks).filter_map(|source| source.verifier.as_mut());
        tasks.chain(self.reward.parts.iter_mut().map(|part| &mut part.verifier))
    }

    /// Returns the file that is saved in the run folder.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is plain data")
    }

    /// Returns whether divergences from the policy before the first step are measured.
    pub fn needs_reference(&self) -> bool {
        self.loss.kl.as_ref().is_some_and(|kl| kl.beta > 0.0) || self.advantage.reward_kl > 0.0
    }

    /// Returns the limit of a completion in evaluation.
    pub fn eval_max_new_tokens(&self) -> usize {
        self.eval.max_new_tokens.unwrap_or(self.rollouts.max_new_tokens)
    }
}

/// An absolute path without `..`, so that it holds from anywhere.
fn resolved(folder: &Path, path: &Path) -> PathBuf {
    let joined = folder.join(path);
    let absolute = std::path::absolute(&joined).unwrap_or(joined);
    absolute.components().fold(PathBuf::new(), |mut clean, component| {
        match component {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
        clean
    })
}
