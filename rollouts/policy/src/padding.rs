//! Padded views of a batch, for attention that knows no other.

use rlvr_cpu::training::Span;
use tch::{Device, Kind, Tensor};

use crate::batch::Packing;

/// Where the tokens of a batch stand in the padded views, and what they may look at.
#[derive(Debug)]
pub(crate) struct Padding {
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

impl Packing {
    pub(crate) fn padding(&self, device: Device) -> Padding {
        let tensor = |values: &[i64]| Tensor::from_slice(values).to_device(device);
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
        Padding { prompts: tensor(&prompt_index).view([-1, prompt_width as i64]), completions, unpad: tensor(&unpad) }
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

/// Builds the additive mask of completions: 0 where a query may look, -∞ where it may not.
///
/// `prompt_lengths[b]` keys of the first `prompt_width` are real; then a token sees its own completion up to itself.
/// The result is `[B, 1, T, prompt_width + T]`.
fn completion_mask(prompt_lengths: &Tensor, prompt_width: i64, width: i64) -> Tensor {
    let device = prompt_lengths.device();
    let rows = prompt_lengths.size()[0];
    let prompt_key = Tensor::arange(prompt_width, (Kind::Int64, device));
    let sees_prompt = prompt_key.unsqueeze(0).lt_tensor(&prompt_lengths.unsqueeze(1)); // [B, T_prompt]
    let sees_prompt = sees_prompt.view([rows, 1, 1, prompt_width]).expand([rows, 1, width, prompt_width], false);
    let at = Tensor::arange(width, (Kind::Int64, device));
    let sees_own = at.unsqueeze(0).le_tensor(&at.unsqueeze(1)); // [T, T]
    let sees_own = sees_own.view([1, 1, width, width]).expand([rows, 1, width, width], false);
    let sees = Tensor::cat(&[sees_prompt, sees_own], -1);
    Tensor::zeros(sees.size(), (Kind::Float, device)).masked_fill(&sees.logical_not(), f64::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_sees_its_prompt_and_its_past() {
        let mask = completion_mask(&Tensor::from_slice(&[1_i64, 2]), 2, 2);
        let seen = |row: i64, query: i64| -> Vec<bool> {
            (0..4).map(|key| mask.double_value(&[row, 0, query, key]) == 0.0).collect()
        };
        assert_eq!(seen(0, 0), [true, false, true, false]);
        assert_eq!(seen(0, 1), [true, false, true, true]);
        assert_eq!(seen(1, 0), [true, true, true, false]);
    }
}
