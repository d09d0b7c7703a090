//! Token sequences laid end to end, with shared prompts and without padding.

use std::cell::OnceCell;

use rlvr_cpu::training::Span;
use tch::{Device, Tensor};

use crate::padding::Padding;
use crate::sequences::PackedSequences;

/// A prompt with the completions that continue it; the prompt is forwarded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptGroup<'a> {
    /// The ids of the prompt, at least one.
    pub prompt: &'a [u32],
    /// The ids of each completion.
    pub completions: Vec<&'a [u32]>,
}

impl<'a> PromptGroup<'a> {
    /// A whole sequence: its first token is the prompt, the rest is scored.
    ///
    /// # Panics
    ///
    /// If `ids` is empty.
    pub fn sequence(ids: &'a [u32]) -> Self {
        let (prompt, rest) = ids.split_at(1);
        Self { prompt, completions: vec![rest] }
    }

    /// Returns how many tokens a forward pass over the group computes.
    ///
    /// The last token of a completion is a target only: nothing follows it.
    pub fn n_forward(&self) -> usize {
        self.prompt.len() + self.completions.iter().map(|completion| completion.len().saturating_sub(1)).sum::<usize>()
    }
}

/// Some groups, packed for one forward pass.
///
/// `N` forwarded tokens, `T` completion tokens in the order of the groups and their completions.
#[derive(Debug)]
pub struct Batch {
    packing: Packing,
    device: Device,
    /// What libtorch wants, made when it is asked for.
    tensors: OnceCell<Tensors>,
    padding: OnceCell<Padding>,
    sequences: OnceCell<PackedSequences>,
}

/// A batch as tensors.
#[derive(Debug)]
pub(crate) struct Tensors {
    /// The forwarded ids, `[N]`, int64.
    pub ids: Tensor,
    /// Their positions, `[N]`, int64.
    pub positions: Tensor,
    /// The completion tokens, `[T]`, int64.
    pub targets: Tensor,
    /// For each of them the row of the hidden states that predicts it, `[T]`, int64.
    pub predictors: Tensor,
}

/// The packed tokens.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    /// The forwarded ids, `[N]`.
    pub ids: Vec<u32>,
    /// The prompts, each followed by its completions.
    pub spans: Vec<Span>,
    /// The completion tokens, `[T]`.
    pub targets: Vec<u32>,
    /// For each of them the row that predicts it, `[T]`.
    pub predictors: Vec<usize>,
}

impl Packing {
    /// Appends a span; returns its first row.
    fn push(&mut self, ids: &[u32], position: usize, prompt: Option<usize>) -> usize {
        let start = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.spans.push(Span { start, length: ids.len(), position, prompt });
        start
    }

    /// A lone completion needs no shared prompt: prompt and completion are one causal sequence.
    fn push_alone(&mut self, prompt: &[u32], completion: &[u32]) {
        let inputs = &completion[..completion.len().saturating_sub(1)];
        let last_of_prompt = self.push(&[prompt, inputs].concat(), 0, None) + prompt.len() - 1;
        self.predict(completion, |i| last_of_prompt + i);
    }

    fn push_shared(&mut self, group: &PromptGroup<'_>) {
        let prompt = self.spans.len();
        let last_of_prompt = self.push(group.prompt, 0, None) + group.prompt.len() - 1;
        for completion in &group.completions {
            let inputs = &completion[..completion.len().saturating_sub(1)];
            let start = self.ids.len();
            if !inputs.is_empty() {
                self.push(inputs, group.prompt.len(), Some(prompt));
            }
            self.predict(completion, |i| if i == 0 { last_of_prompt } else { start + i - 1 });
        }
    }

    fn predict(&mut self, completion: &[u32], predictor: impl Fn(usize) -> usize) {
        self.targets.extend_from_slice(completion);
        self.predictors.extend((0..completion.len()).map(predictor));
    }
}

impl Batch {
    /// Packs groups.
    ///
    /// # Panics
    ///
    /// If there is no group, or if a prompt is empty: its first completion token would have nothing to follow.
    pub fn new(groups: &[PromptGroup<'_>], device: Device) -> Self {
        assert!(!groups.is_empty(), "a batch needs at least one group");
        let mut packing = Packing::default();
        for group in groups {
            assert!(!group.prompt.is_empty(), "a prompt needs at least one token");
            match group.completions.as_slice() {
                [] => {
                    packing.push(group.prompt, 0, None);
                }
                [completion] => packing.push_alone(group.prompt, completion),
                _ => packing.push_shared(group),
            }
        }
        Self { packing, device, tensors: OnceCell::new(), padding: OnceCell::new(), sequences: OnceCell::new() }
    }

    /// Returns `N`, the number of tokens forwarded.
    pub fn n_forward(&self) -> i64 {
        self.packing.ids.len() as i64
    }

    /// Returns `T`, the number of completion tokens.
    pub fn n_targets(&self) -> i64 {
        self.packing.targets.len() as i64
    }

    /// Returns the packed tokens.
    pub(crate) fn packing(&self) -> &Packing {
        &self.packing
    }

    /// Returns the batch as tensors on its device.
    pub(crate) fn tensors(&self) -> &Tensors {
        self.tensors.get_or_init(|| self.packing.tensors(self.device))
    }

    /// Returns the padded views of the batch.
    pub(crate) fn padding(&self) -> &Padding {
        self.padding.get_or_init(|| self.packing.padding(self.device))
    }

    /// Returns the sequences of the batch.
    pub(crate) fn sequences(&self) -> &PackedSequences {
        self.sequences.get_or_init(|| self.packing.sequences(self.device))
    }
}

impl Packing {
    fn tensors(&self, device: Device) -> Tensors {
        let tensor = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        let integers = |ids: &[u32]| tensor(&ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>());
        let rows = |rows: &[usize]| tensor(&rows.iter().map(|&row| row as i64).collect::<Vec<_>>());
        let positions: Vec<usize> =
            self.spans.iter().flat_map(|span| span.position..span.position + span.length).collect();
        Tensors {
            ids: integers(&self.ids),
            positions: rows(&positions),
            targets: integers(&self.targets),
            predictors: rows(&self.predictors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<i64> {
        Vec::<i64>::try_from(tensor.view([-1])).unwrap()
    }

    #[test]
    fn a_prompt_is_forwarded_once() {
        let group = PromptGroup { prompt: &[5, 6], completions: vec![&[1, 2, 3], &[4], &[7, 8]] };
        assert_eq!(group.n_forward(), 5);
        let batch = Batch::new(&[group], Device::Cpu);
        let padding = batch.padding();
        let batch = batch.tensors();
        assert_eq!(numbers(&batch.ids), [5, 6, 1, 2, 7]);
        assert_eq!(numbers(&batch.positions), [0, 1, 2, 3, 2]);
        assert_eq!(numbers(&batch.targets), [1, 2, 3, 4, 7, 8]);
        assert_eq!(numbers(&batch.predictors), [1, 2, 3, 1, 1, 4]);
        assert_eq!(numbers(&padding.prompts), [0, 1]);
        let completions = padding.completions.as_ref().unwrap();
        assert_eq!(numbers(&completions.index), [2, 3, 4, 0]);
        assert_eq!(numbers(&completions.prompt_of), [0, 0]);
        assert_eq!(numbers(&padding.unpad), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_lone_completion_is_one_sequence() {
        let groups = [PromptGroup::sequence(&[5, 6, 7]), PromptGroup { prompt: &[9], completions: vec![] }];
        let batch = Batch::new(&groups, Device::Cpu);
        let padding = batch.padding();
        let batch = batch.tensors();
        assert_eq!(numbers(&batch.ids), [5, 6, 9]);
        assert_eq!(numbers(&batch.targets), [6, 7]);
        assert_eq!(numbers(&batch.predictors), [0, 1]);
        assert_eq!(numbers(&padding.unpad), [0, 1, 2]);
        assert!(padding.completions.is_none());
    }
}
