//! A transformer with its tokenizer: what a Hugging Face folder holds.

use std::path::Path;

use rlvr_policy::preset::Vocabulary;
use rlvr_policy::{Architecture, Preset, Transformer, Weights};
use tch::Device;

use crate::error::RolloutError;
use crate::tokenizer::Tokenizer;

/// A transformer with its tokenizer.
#[derive(Debug)]
pub struct Model {
    /// Ids to log-probabilities.
    pub transformer: Transformer,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
}

impl Model {
    /// Reads a Hugging Face folder, weights in float32.
    ///
    /// # Errors
    ///
    /// Names the file that is missing, damaged or unsupported, or says that tokenizer and weights do not belong together.
    pub fn read(folder: &Path, device: Device) -> Result<Self, RolloutError> {
        let (architecture, tokenizer) = read_description(folder)?;
        let weights = Weights::read(folder, &architecture, device)?;
        Ok(Self { transformer: Transformer::new(architecture, weights), tokenizer })
    }

    /// Checks that a Hugging Face folder is there and whole, without reading its weights.
    ///
    /// # Errors
    ///
    /// As those of [`Model::read`], but for the names and shapes of tensors.
    pub fn check(folder: &Path) -> Result<(), RolloutError> {
        read_description(folder)?;
        Ok(Weights::check_files(folder)?)
    }

    /// Works out the architecture of a preset for a tokenizer.
    ///
    /// # Errors
    ///
    /// If the sizes do not make a model.
    pub fn architecture(preset: &Preset, tokenizer: &Tokenizer) -> Result<Architecture, RolloutError> {
        let vocabulary = Vocabulary {
            size: tokenizer.vocabulary_size() as i64,
            eos: tokenizer.end_id().unwrap_or(0),
            pad: tokenizer.pad_id(),
        };
        Ok(preset.architecture(vocabulary)?)
    }

    /// Makes a model with random weights for a tokenizer.
    ///
    /// # Errors
    ///
    /// If the sizes do not make a model.
    pub fn random(preset: &Preset, tokenizer: Tokenizer, seed: u64, device: Device) -> Result<Self, RolloutError> {
        let architecture = Self::architecture(preset, &tokenizer)?;
        let weights = Weights::random(&architecture, seed, device);
        Ok(Self { transformer: Transformer::new(architecture, weights), tokenizer })
    }

    /// Writes a Hugging Face folder, weights in float32.
    ///
    /// # Errors
    ///
    /// Names the file that could not be written.
    pub fn write(&self, folder: &Path) -> Result<(), RolloutError> {
        self.transformer.weights().write(folder, self.transformer.architecture())?;
        self.tokenizer.write(folder)
    }
}

/// Reads all but the weights, and checks that tokenizer and model belong together.
fn read_description(folder: &Path) -> Result<(Architecture, Tokenizer), RolloutError> {
    let architecture = Architecture::read(folder)?;
    let tokenizer = Tokenizer::read(folder)?;
    let stops = tokenizer.stop_ids().iter().copied();
    let largest = stops.chain([tokenizer.largest_id()]).max().unwrap_or(0);
    if i64::from(largest) >= architecture.vocab_size {
        let why = format!(
            "it has the id {largest}, but the model's `vocab_size` is {}; tokenizer and weights do not belong together",
            architecture.vocab_size
        );
        return Err(RolloutError::tokenizer(&folder.join("tokenizer.json"), why));
    }
    Ok((architecture, tokenizer))
}
