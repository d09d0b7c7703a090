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
        let architecture = Architecture::read(folder)?;
        let tokenizer = Tokenizer::read(folder)?;
        if i64::from(tokenizer.largest_id()) >= architecture.vocab_size {
            let why = format!(
                "it has the id {}, but the model's `vocab_size` is {}; tokenizer and weights do not belong together",
                tokenizer.largest_id(),
                architecture.vocab_size
            );
            return Err(RolloutError::tokenizer(&folder.join("tokenizer.json"), why));
        }
        let weights = Weights::read(folder, &architecture, device)?;
        Ok(Self { transformer: Transformer::new(architecture, weights), tokenizer })
    }

    /// Makes a model with random weights for a tokenizer.
    ///
    /// # Errors
    ///
    /// If the sizes do not make a model.
    pub fn random(preset: &Preset, tokenizer: Tokenizer, seed: u64, device: Device) -> Result<Self, RolloutError> {
        let vocabulary = Vocabulary {
            size: tokenizer.vocabulary_size() as i64,
            eos: tokenizer.end_id().unwrap_or(0),
            pad: tokenizer.pad_id(),
        };
        let architecture = preset.architecture(vocabulary)?;
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
