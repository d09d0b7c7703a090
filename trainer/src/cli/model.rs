//! Arguments of commands that use a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use rlvr::config::DeviceChoice;
use rlvr::device;
use rlvr_policy::decoding::Graphs;
use rlvr_policy::{DecodingMemory, Numerics, Transformer};
use rlvr_rollouts::{Model, Tokenizer};
use serde::Deserialize;
use tch::{Device, Kind};

use super::output::read_text;

/// Which model, and where to compute.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// A Hugging Face model folder, or a checkpoint of a run.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Where to compute.
    #[arg(long, value_enum, default_value = "auto")]
    pub device: DeviceArg,
    /// Threads of the CPU; 0 takes all physical cores.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Compute every sequence as if it were alone; slower.
    #[arg(long)]
    pub deterministic: bool,
    #[command(flatten)]
    pub decoding: DecodingArgs,
}

/// How a model decodes.
#[derive(Debug, Args)]
pub(super) struct DecodingArgs {
    /// On GPUs, ask for every kernel instead of repeating recorded ones.
    #[arg(long)]
    no_cuda_graphs: bool,
}

impl DecodingArgs {
    pub(super) fn graphs(&self) -> Graphs {
        if self.no_cuda_graphs { Graphs::Off } else { Graphs::Recorded }
    }
}

/// Where to compute.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DeviceArg {
    /// On a GPU if there is one.
    Auto,
    /// On the CPU.
    Cpu,
    /// On the first GPU.
    Cuda,
}

impl From<DeviceArg> for DeviceChoice {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Auto => Self::Auto,
            DeviceArg::Cpu => Self::Cpu,
            DeviceArg::Cuda => Self::Cuda,
        }
    }
}

impl ModelArgs {
    /// Reads the model, ready to sample and score.
    pub(super) fn load(&self) -> anyhow::Result<(Transformer, Tokenizer)> {
        let device = DeviceChoice::from(self.device).resolve().map_err(anyhow::Error::msg)?;
        device::set_threads(self.threads);
        let Model { transformer, tokenizer } = Model::read(&self.model, device)?;
        let architecture = transformer.architecture().clone();
        let kind = if device == Device::Cpu { Kind::Float } else { Kind::BFloat16 };
        let numerics = if self.deterministic { Numerics::BatchInvariant } else { Numerics::Fast };
        let weights = transformer.into_weights().cast(kind);
        let memory = Arc::new(DecodingMemory::new(self.decoding.graphs()));
        Ok((Transformer::new(architecture, weights).with_numerics(numerics).with_memory(&memory), tokenizer))
    }
}

/// A line with the ids of a sequence.
#[derive(Debug, Deserialize)]
struct IdsLine {
    ids: Vec<i64>,
}

/// Reads sequences of ids, one `{"ids": […]}` a line, and checks that the model knows them.
pub(super) fn read_ids(path: &Path, vocab_size: i64) -> anyhow::Result<Vec<Vec<u32>>> {
    let text = read_text(path)?;
    let mut sequences = vec![];
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let place = || format!("`{}`, line {number}", path.display());
        let IdsLine { ids } =
            serde_json::from_str(line).with_context(|| format!("{}: expected {{\"ids\": [1, 2, …]}}", place()))?;
        if ids.is_empty() {
            anyhow::bail!("{}: `ids` is empty; a policy needs at least one token", place());
        }
        if let Some(id) = ids.iter().find(|id| !(0..vocab_size).contains(id)) {
            anyhow::bail!("{}: the id {id} is not in the model's vocabulary of {vocab_size}", place());
        }
        sequences.push(ids.into_iter().map(|id| id as u32).collect());
    }
    Ok(sequences)
}
