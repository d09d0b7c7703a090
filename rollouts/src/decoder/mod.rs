//! What the engine asks of a model: prompts, then one token after another for many rows.

mod cpu;
mod torch;

pub(crate) use cpu::CpuDecoder;
pub(crate) use torch::TorchDecoder;

use crate::error::RolloutError;
use crate::sampler::{Drawn, Sampling};

/// A model with the rows that it is decoding.
pub(crate) trait Decoder {
    /// A prompt that rows can be made to continue.
    type Prompt;

    /// Computes prompts.
    fn prefill(&self, prompts: &[&[u32]]) -> Vec<Self::Prompt>;

    /// Draws a first token after each prompt, given a number of `[0, 1)` for each.
    fn draw_first(&self, prompts: &[&Self::Prompt], sampling: &Sampling, uniform: &[f64]) -> Drawn;

    /// Adds a row that continues a prompt; it becomes the last.
    fn push(&mut self, prompt: &Self::Prompt);

    /// Removes a row; the last one takes its place.
    fn swap_remove(&mut self, row: usize);

    /// The most tokens that are decoded at a time.
    fn window(&self) -> usize;

    /// Appends a token to each row and draws the next, given a number of `[0, 1)` for each; then that one and the next, as
    /// often as `uniform` has numbers for all rows. Returns the tokens of all rows after each other, one time after another.
    ///
    /// # Errors
    ///
    /// If the device refuses.
    fn run(&mut self, ids: &[u32], sampling: &Sampling, uniform: &[f64]) -> Result<Drawn, RolloutError>;
}
