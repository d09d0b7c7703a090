//! `rlvr bench`: how fast this machine generates, judges and trains, and how fast it could.
//!
//! Every figure stands beside its limit, measured in the same rounds, so that a busy machine slows both: large matrix
//! products for everything that multiplies, the weight matrices alone for decoding, large copies for what memory
//! carries. Work is done by the parts that training uses, on the prompts of tasks or on made-up ones. All random numbers
//! have fixed keys: the same settings are the same work.

mod decode;
mod measure;
mod prefill;
mod report;
mod samples;
mod step;
mod table;
mod training;
mod verification;
mod workload;

use std::collections::BTreeMap;

use rlvr_rollouts::{RolloutError, Tokenizer};
use rlvr_verifiers::registry::RegistryError;
use rlvr_verifiers::{Panel, Registry, Task};
use serde::Serialize;
use tch::Device;

use crate::config::{Recipe, SamplerWeights};
use crate::learner::Learner;
use crate::trace::Recorder;
use measure::{MatmulProbe, memory_bytes_per_s};
use workload::Workload;

pub use decode::DecodeFigures;
pub use measure::Timing;
pub use prefill::PrefillFigures;
pub use report::{Machine, ModelFacts, Report, SCHEMA};
pub use step::{Phase, Phases, StepFigures, StepRound};
pub use table::table;
pub use training::TrainFigures;
pub use verification::VerifyFigures;
pub use workload::{LONGEST, Lengths, PromptFacts};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Keys and values of prompts.
    Prefill,
    /// Generation through the engine.
    Decode,
    /// Verdicts on completions.
    Verify,
    /// Updates of the weights.
    Train,
    /// A whole step, by phase.
    Step,
}

impl Part {
    /// Everything, in the order in which it is measured.
    pub const ALL: [Self; 5] = [Self::Prefill, Self::Decode, Self::Verify, Self::Train, Self::Step];

    /// Its name in words and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Verify => "verify",
            Self::Train => "train",
            Self::Step => "step",
        }
    }
}

/// What to measure with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchSettings {
    /// The most completions decoded at a time.
    pub rows: usize,
    /// Prompts, P.
    pub prompts: usize,
    /// Completions a prompt, G.
    pub group_size: usize,
    /// Tokens of a made-up prompt.
    pub prompt_tokens: usize,
    /// Tokens of a completion, or their mean, or their limit.
    pub new_tokens: usize,
    /// How they are spread.
    pub lengths: Lengths,
    /// Rounds; figures are medians over them.
    pub repeats: usize,
    /// Tokens forwarded at a time in training.
    pub tokens_per_micro_batch: usize,
    /// Whether training computes layers again in the backward pass.
    pub checkpoint_activations: bool,
    /// The loss that is trained with.
    pub recipe: Recipe,
    /// What multiplies when rollouts are sampled.
    pub weights: SamplerWeights,
}

/// Who is measured, and with which questions.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of the model in the report.
    pub name: &'a str,
    /// The policy.
    pub learner: &'a Learner,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The tasks whose prompts are asked; with none, prompts are made up of random tokens.
    pub tasks: &'a [Task],
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Sizes that are 0 or do not fit.
    #[error("{0}")]
    Settings(String),
    /// Generation refused.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The verifier could not be made.
    #[error(transparent)]
    Verifier(#[from] RegistryError),
}

/// What is measured: a policy that can sample and learn, the machine that it is on, and how to go about it.
struct Bench<'a> {
    learner: &'a Learner,
    tokenizer: &'a Tokenizer,
    device: Device,
    settings: &'a BenchSettings,
    workload: Workload,
    /// Those of the prompts; made up as these are where there are none.
    tasks: Vec<Task>,
    panel: Panel,
    has_tasks: bool,
    probe: MatmulProbe,
    memory_bytes_per_s: f64,
    recorder: &'a Recorder,
}

/// Measures some parts of a policy's life, one after another.
///
/// Spans go to `recorder`; `say` is told what is being done.
///
/// # Errors
///
/// If a size is 0 or does not fit into the model's context, or if a task cannot be used.
pub fn run(
    subject: Subject<'_>,
    settings: &BenchSettings,
    parts: &[Part],
    recorder: &Recorder,
    say: &mut dyn FnMut(&str),
) -> Result<Report, BenchError> {
    settings.check()?;
    let bench = Bench::new(subject, settings, recorder, say)?;
    let mut report = bench.report(subject.name);
    for part in Part::ALL.into_iter().filter(|part| parts.contains(part)) {
        say(part.name());
        recorder.record(|| bench.measure(part, &mut report))?;
    }
    Ok(report)
}

impl<'a> Bench<'a> {
    fn new(
        Subject { learner, tokenizer, tasks, .. }: Subject<'a>,
        settings: &'a BenchSettings,
        recorder: &'a Recorder,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, BenchError> {
        let workload = settings.workload(learner.architecture(), tokenizer, tasks)?;
        let has_tasks = !tasks.is_empty();
        let made_up = |i: usize| Task::new(i.to_string(), "", "math").with_reference(i.to_string());
        let tasks: Vec<Task> = match has_tasks {
            true => tasks[..settings.prompts].to_vec(),
            false => (0..settings.prompts).map(made_up).collect(),
        };
        let panel = Panel::new(&Registry::default(), &BTreeMap::new(), &tasks)?;
        let device = learner.weights().head().device();
        say("the machine: matrix products and memory");
        let (probe, memory_bytes_per_s) = (MatmulProbe::new(device), memory_bytes_per_s(device));
        Ok(Self {
            learner,
            tokenizer,
            device,
            settings,
            workload,
            tasks,
            panel,
            has_tasks,
            probe,
            memory_bytes_per_s,
            recorder,
        })
    }

    fn measure(&self, part: Part, report: &mut Report) -> Result<(), BenchError> {
        match part {
            Part::Prefill => report.prefill = Some(self.prefill()),
            Part::Decode => report.decode = Some(self.decode()?),
            Part::Verify => report.verify = Some(self.verify()?),
            Part::Train => report.train = Some(self.train()),
            Part::Step => report.step = Some(self.step()?),
        }
        Ok(())
    }
}
