//! Decoding by libtorch, on any device.

use rlvr_policy::decoding::{DecodingGuard, WINDOW};
use rlvr_policy::{PromptKv, Transformer};
use tch::Tensor;

use super::Decoder;
use crate::error::RolloutError;
use crate::sampler::{Drawn, Sampling, draw};

pub(crate) struct TorchDecoder<'a> {
    transformer: &'a Transformer,
    decoding: DecodingGuard<'a>,
}

/// The cache of a prompt and the logits after it.
pub(crate) struct TorchPrompt {
    cache: PromptKv,
    logits: Tensor,
}

impl<'a> TorchDecoder<'a> {
    pub(crate) fn new(transformer: &'a Transformer, max_rows: usize) -> Self {
        Self { transformer, decoding: transformer.decoding(max_rows) }
    }
}

impl Decoder for TorchDecoder<'_> {
    type Prompt = TorchPrompt;

    fn prefill(&self, prompts: &[&[u32]]) -> Vec<TorchPrompt> {
        let (caches, logits) = self.transformer.prefill(prompts);
        let prompt = |(row, cache)| TorchPrompt { cache, logits: logits.get(row as i64) };
        caches.into_iter().enumerate().map(prompt).collect()
    }

    fn draw_first(&self, prompts: &[&TorchPrompt], sampling: &Sampling, uniform: &[f64]) -> Drawn {
        let logits: Vec<&Tensor> = prompts.iter().map(|prompt| &prompt.logits).collect();
        draw(&Tensor::stack(&logits, 0), sampling, uniform)
    }

    fn push(&mut self, prompt: &TorchPrompt) {
        self.decoding.push(&prompt.cache);
    }

    fn swap_remove(&mut self, row: usize) {
        self.decoding.swap_remove(row);
    }

    fn window(&self) -> usize {
        WINDOW
    }

    fn run(&mut self, ids: &[u32], sampling: &Sampling, uniform: &[f64]) -> Result<Drawn, RolloutError> {
        Ok(Drawn::of(&self.decoding.run(self.transformer, ids, uniform, sampling)?))
    }
}
