//! Token sequences laid end to end, with shared prompts and without padding.

use std::cell::OnceCell;

use rlvr_cpu::training::Span;
use tch::{Device, Tensor};

use crate::attention::completion_mask;

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
    pub layout: Layout,
}

/// Where the tokens of a batch stand and what they may look at.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Rows of the packed tokens for each prompt, `[P, T_prompt]`; padding repeats row 0.
    pub prompts: Tensor,
    /// The completions, if any token of theirs is forwarded.
    pub completions: Option<CompletionLayout>,
    /// For each packed token its row among the padded prompts followed by the padded completions, `[N]`.
    pub unpad: Tensor,
}

/// Where the completions of a batch stand.
#[derive(Debug)]
pub(crate) struct CompletionLayout {
    /// Rows of the packed tokens, `[B, T]`; padding repeats row 0.
    pub index: Tensor,
    /// The prompt that each continues, `[B]`.
    pub prompt_of: Tensor,
    /// What its queries may look at, `[B, 1, T, T_prompt + T]`, additive.
    pub mask: Tensor,
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
        Self { packing, device, tensors: OnceCell::new() }
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
            layout: self.layout(&tensor),
        }
    }

    fn layout(&self, tensor: &dyn Fn(&[i64]) -> Tensor) -> Layout {
        let of_kind = |is_prompt: bool| {
            self.spans.iter().copied().filter(|span| span.prompt.is_none() == is_prompt).collect::<Vec<Span>>()
        };
        let (prompts, completions) = (of_kind(true), of_kind(false));
        let (prompt_index, prompt_width) = padded_index(&prompts);
        let (completion_index, width) = padded_index(&completions);

        let mut unpad = vec![0; self.ids.len()];
        place(&prompts, 0, prompt_width, &mut unpad);
        place(&completions, prompts.len() * prompt_width, width, &mut unpad);

        let completions = (!completions.is_empty()).then(|| {
            let prompt_of = completions.iter().filter_map(|span| span.prompt);
            let lengths: Vec<i64> = prompt_of.clone().map(|prompt| self.spans[prompt].length as i64).collect();
            // The index among the prompts, of the index among all spans.
            let rank = |prompt: usize| self.spans[..prompt].iter().filter(|span| span.prompt.is_none()).count() as i64;
            CompletionLayout {
                index: tensor(&completion_index).view([-1, width as i64]),
                prompt_of: tensor(&prompt_of.map(rank).collect::<Vec<_>>()),
                mask: completion_mask(&tensor(&lengths), prompt_width as i64, width as i64),
            }
        });
        Layout { prompts: tensor(&prompt_index).view([-1, prompt_width as i64]), completions, unpad: tensor(&unpad) }
    }
}

/// Returns the rows of each span, padded with row 0 to the longest, and that width.
fn padded_index(spans: &[Span]) -> (Vec<i64>, usize) {
    let width = spans.iter().map(|span| span.length).max().unwrap_or(0);
    let mut index = vec![0; spans.len() * width];
    for (row, span) in index.chunks_exact_mut(width.max(1)).zip(spans) {
        for (i, slot) in row[..span.length].iter_mut().enumerate() {
            *slot = (span.start + i) as i64;
        }
    }
    (index, width)
}

/// Notes for each token of the spans its row in the padded view that starts at `offset`.
fn place(spans: &[Span], offset: usize, width: usize, unpad: &mut [i64]) {
    for (row, span) in spans.iter().enumerate() {
        for i in 0..span.length {
            unpad[span.start + i] = (offset + row * width + i) as i64;
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
        let batch = batch.tensors();
        assert_eq!(numbers(&batch.ids), [5, 6, 1, 2, 7]);
        assert_eq!(numbers(&batch.positions), [0, 1, 2, 3, 2]);
        assert_eq!(numbers(&batch.targets), [1, 2, 3, 4, 7, 8]);
        assert_eq!(numbers(&batch.predictors), [1, 2, 3, 1, 1, 4]);
        assert_eq!(numbers(&batch.layout.prompts), [0, 1]);
        let completions = batch.layout.completions.as_ref().unwrap();
        assert_eq!(numbers(&completions.index), [2, 3, 4, 0]);
        assert_eq!(numbers(&completions.prompt_of), [0, 0]);
        assert_eq!(numbers(&batch.layout.unpad), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_lone_completion_is_one_sequence() {
        let groups = [PromptGroup::sequence(&[5, 6, 7]), PromptGroup { prompt: &[9], completions: vec![] }];
        let batch = Batch::new(&groups, Device::Cpu);
        let batch = batch.tensors();
        assert_eq!(numbers(&batch.ids), [5, 6, 9]);
        assert_eq!(numbers(&batch.targets), [6, 7]);
        assert_eq!(numbers(&batch.predictors), [0, 1]);
        assert_eq!(numbers(&batch.layout.unpad), [0, 1, 2]);
        assert!(batch.layout.completions.is_none());
    }
}
