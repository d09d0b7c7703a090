//! Decoding by `rlvr-cpu`, for weights in float32 in the memory of the CPU.

use rlvr_cpu::draw::{Choice, draw};
use rlvr_cpu::{Model, NewToken, Prompt, Rows, Sequence, Team, Workspace};
use tch::Tensor;

use super::Decoder;
use crate::error::RolloutError;
use crate::sampler::{self, Drawn, Sampling};

pub(crate) struct CpuDecoder<'a> {
    model: Model<'a>,
    team: Team,
    rows: Vec<Sequence>,
    workspace: Workspace,
    logits: Rows,
}

/// The keys and values of a prompt and the logits after it.
pub(crate) struct CpuPrompt {
    prompt: Prompt,
    logits: Vec<f32>,
}

impl<'a> CpuDecoder<'a> {
    /// Works with as many threads as libtorch does.
    pub(crate) fn new(model: Model<'a>) -> Self {
        Self {
            model,
            team: Team::new(tch::get_num_threads().max(1) as usize),
            rows: vec![],
            workspace: Workspace::default(),
            logits: Rows::default(),
        }
    }

    fn draw(&self, logits: &Rows, sampling: &Sampling, uniform: &[f64]) -> Drawn {
        let choice = if sampling.temperature == 0.0 {
            Choice::Likeliest
        } else if sampling.is_uncut() {
            Choice::Uniform(uniform)
        } else {
            return sampler::draw(&as_tensor(logits), sampling, uniform);
        };
        let _span = tracing::info_span!("draw", rows = uniform.len()).entered();
        let draws = draw(&self.team, logits, sampling.score_temperature() as f32, choice);
        Drawn {
            ids: draws.iter().map(|draw| draw.id).collect(),
            logp: draws.iter().map(|draw| draw.logp).collect(),
            entropy: draws.iter().map(|draw| draw.entropy).collect(),
        }
    }
}

impl Decoder for CpuDecoder<'_> {
    type Prompt = CpuPrompt;

    fn prefill(&self, prompts: &[&[u32]]) -> Vec<CpuPrompt> {
        let (sequences, logits) = self.model.prefill(&self.team, prompts);
        let prompt =
            |(row, sequence): (usize, Sequence)| CpuPrompt { prompt: sequence.into_prompt(), logits: logits.row(row) };
        sequences.into_iter().enumerate().map(prompt).collect()
    }

    fn draw_first(&self, prompts: &[&CpuPrompt], sampling: &Sampling, uniform: &[f64]) -> Drawn {
        let logits = Rows::of(prompts.iter().map(|prompt| prompt.logits.as_slice()), self.model.head.n_out());
        self.draw(&logits, sampling, uniform)
    }

    fn push(&mut self, prompt: &CpuPrompt) {
        self.rows.push(Sequence::after(&prompt.prompt, &self.model.sizes));
    }

    fn swap_remove(&mut self, row: usize) {
        self.rows.swap_remove(row);
    }

    /// Looking costs nothing here.
    fn window(&self) -> usize {
        1
    }

    fn run(&mut self, ids: &[u32], sampling: &Sampling, uniform: &[f64]) -> Result<Drawn, RolloutError> {
        let tokens: Vec<NewToken> = ids.iter().enumerate().map(|(sequence, &id)| NewToken { id, sequence }).collect();
        let hidden = self.model.forward(&self.team, &mut self.workspace, &tokens, &mut self.rows);
        self.model.logits(&self.team, hidden, &mut self.logits);
        Ok(self.draw(&self.logits, sampling, uniform))
    }
}

/// Copies logits out for the sampler of libtorch, which knows every setting.
fn as_tensor(logits: &Rows) -> Tensor {
    let rows: Vec<Tensor> = (0..logits.n_rows()).map(|row| Tensor::from_slice(&logits.row(row))).collect();
    Tensor::stack(&rows, 0)
}
