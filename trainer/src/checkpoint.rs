//! Checkpoints: complete or absent.
//!
//! A checkpoint is a Hugging Face model folder with the optimiser's moments and the state of the run beside it. It is
//! written under another name, synchronised to the disk and renamed; a list of hashes tells whether it is whole. Older
//! ones are removed only afterwards, so that a full disk or a kill at any moment leaves the last good one.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rlvr_curves::record::Compute;
use rlvr_policy::safetensors_io::{TensorFiles, write_file};
use rlvr_rollouts::Tokenizer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Device;

use crate::learner::Learner;
use crate::optimizer::AdamW;
use crate::order::OrderState;
use crate::run_folder::{Position, step_name};

/// What a run needs to go on, besides weights and moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// The version of this file.
    pub schema: u32,
    /// How far the run has come.
    pub position: Position,
    /// The optimiser's updates so far.
    pub n_updates: u64,
    /// Which tasks come next.
    pub order: OrderState,
    /// What has been computed.
    pub compute: Compute,
    /// Updates in a row that were left out since a gradient was not finite.
    pub n_skipped: u32,
}

const STATE: &str = "state.json";
const MOMENTS: &str = "optimizer.safetensors";
const HASHES: &str = "checksums.json";

/// Which checkpoints are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// How many of the newest.
    pub newest: usize,
    /// Whether that of step 0 is kept besides.
    pub first: bool,
}

/// Writes the checkpoint of a state into `folder`, then removes those that are not to be kept.
///
/// # Errors
///
/// If it cannot be written, as on a full disk; earlier checkpoints are untouched then.
pub fn save(
    folder: &Path,
    (learner, tokenizer, optimizer): (&Learner, &Tokenizer, &AdamW),
    state: &RunState,
    keep: Keep,
) -> anyhow::Result<PathBuf> {
    let path = folder.join(name_of(state));
    let part = folder.join(format!(".{}.part", name_of(state)));
    let written = write_whole(&part, (learner, tokenizer, optimizer), state)
        .and_then(|()| replace(&part, &path))
        .with_context(|| format!("checkpoint `{}` could not be written; earlier ones are untouched", path.display()));
    if written.is_err() {
        // Half a checkpoint on a full disk helps nobody; that it cannot be removed either is not news.
        let _ = std::fs::remove_dir_all(&part);
    }
    written?;
    prune(folder, keep)?;
    Ok(path)
}

fn name_of(state: &RunState) -> String {
    match state.position {
        Position::Start => step_name(0),
        Position::WarmStart(n) => format!("warm_{n:06}"),
        Position::Step(step) => step_name(step),
    }
}

fn write_whole(
    part: &Path,
    (learner, tokenizer, optimizer): (&Learner, &Tokenizer, &AdamW),
    state: &RunState,
) -> anyhow::Result<()> {
    if part.exists() {
        std::fs::remove_dir_all(part)?;
    }
    std::fs::create_dir_all(part)?;
    learner.weights().write(part, learner.architecture())?;
    tokenizer.write(part)?;
    let (n_updates, moments) = optimizer.state();
    write_file(&part.join(MOMENTS), &moments)?;
    let state = RunState { n_updates, ..state.clone() };
    std::fs::write(part.join(STATE), serde_json::to_string_pretty(&state)?)?;
    let hashes = hash_files(part)?;
    std::fs::write(part.join(HASHES), serde_json::to_string_pretty(&hashes)?)?;
    for entry in std::fs::read_dir(part)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_folder(part)
}

/// Puts a finished folder in place; one of the same name is kept until the new one stands.
fn replace(part: &Path, path: &Path) -> anyhow::Result<()> {
    let old = path.with_extension("old");
    if old.exists() {
        std::fs::remove_dir_all(&old)?;
    }
    if path.exists() {
        std::fs::rename(path, &old)?;
    }
    std::fs::rename(part, path)?;
    sync_folder(path.parent().context("a checkpoint has a folder")?)?;
    if old.exists() {
        std::fs::remove_dir_all(&old)?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

fn hash_files(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a checkpoint has plain names")?.to_owned();
        if name != HASHES {
            let mut hasher = Sha256::new();
            std::io::copy(&mut File::open(&path)?, &mut HashWriter(&mut hasher))?;
            let digest = hasher.finalize();
            hashes.insert(name, digest.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    Ok(hashes)
}

/// Feeds a hash with what is written.
struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the checkpoints of a folder, oldest first.
fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all: Vec<(Position, PathBuf)> = vec![];
    for entry in std::fs::read_dir(folder).with_context(|| format!("`{}` cannot be read", folder.display()))? {
        let path = entry?.path();
        if let Some(position) = path.file_name().and_then(|name| name.to_str()).and_then(position_of) {
            all.push((position, path));
        }
    }
    all.sort();
    Ok(all.into_iter().map(|(_, path)| path).collect())
}

fn position_of(name: &str) -> Option<Position> {
    let number = |prefix: &str| name.strip_prefix(prefix)?.parse().ok();
    number("step_").map(Position::Step).or_else(|| number("warm_").map(Position::WarmStart))
}

fn prune(folder: &Path, keep: Keep) -> anyhow::Result<()> {
    let all = list(folder)?;
    let first = folder.join(step_name(0));
    for path in &all[..all.len().saturating_sub(keep.newest)] {
        if !(keep.first && *path == first) {
            std::fs::remove_dir_all(path)
                .with_context(|| format!("old checkpoint `{}` cannot be removed", path.display()))?;
        }
    }
    Ok(())
}

/// A checkpoint that was found whole.
#[derive(Debug)]
pub struct Found {
    /// Its folder, which is a Hugging Face model folder too.
    pub path: PathBuf,
    /// The state of the run.
    pub state: RunState,
    /// Newer checkpoints that are damaged, with what is wrong.
    pub damaged: Vec<String>,
}

/// Finds the newest checkpoint that is whole.
///
/// # Errors
///
/// If the folder cannot be read, or if there are checkpoints but all are damaged.
pub fn newest(folder: &Path) -> anyhow::Result<Option<Found>> {
    let mut damaged = vec![];
    for path in list(folder)?.into_iter().rev() {
        match verified_state(&path) {
            Ok(state) => return Ok(Some(Found { path, state, damaged })),
            Err(error) => damaged.push(format!("checkpoint `{}`: {error:#}", path.display())),
        }
    }
    if damaged.is_empty() { Ok(None) } else { bail!("no checkpoint is whole:\n  {}", damaged.join("\n  ")) }
}

fn verified_state(path: &Path) -> anyhow::Result<RunState> {
    let listed = std::fs::read_to_string(path.join(HASHES)).context("the list of hashes is missing")?;
    let listed: BTreeMap<String, String> = serde_json::from_str(&listed).context("the list of hashes is damaged")?;
    let found = hash_files(path)?;
    for (name, hash) in &listed {
        if found.get(name) != Some(hash) {
            bail!("`{name}` is not what was written");
        }
    }
    let state = std::fs::read_to_string(path.join(STATE))?;
    Ok(serde_json::from_str(&state)?)
}

/// Reads the moments of a checkpoint into an optimiser.
///
/// # Errors
///
/// If they are missing or do not fit.
pub fn restore_optimizer(found: &Found, optimizer: &mut AdamW, device: Device) -> anyhow::Result<()> {
    let mut files = TensorFiles::open_file(&found.path.join(MOMENTS))?;
    optimizer.restore(found.state.n_updates, |name, shape| files.read(name, shape, device))?;
    Ok(())
}
