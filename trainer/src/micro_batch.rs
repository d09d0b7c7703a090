//! Cutting a step into micro-batches by a budget of tokens.
//!
//! Completions of one prompt stay together as far as they fit, so that the prompt is forwarded once; micro-batches hold
//! completions of similar length, so that attention pads little. How a step is cut changes neither its loss nor its
//! gradient, since every token carries its weight.

/// The lengths of a prompt and of its completions.
#[derive(Clone, Debug)]
pub struct GroupLengths {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens of each completion.
    pub completions: Vec<usize>,
}

/// Some completions of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The group.
    pub group: usize,
    /// Which of its completions.
    pub completions: Vec<usize>,
}

/// Cuts groups into micro-batches of at most `budget` tokens each; a completion that alone exceeds it gets one of its own.
///
/// # Examples
///
/// ```
/// use rlvr::micro_batch::{GroupLengths, micro_batches};
///
/// let groups = [GroupLengths { prompt: 4, completions: vec![3, 9, 3] }];
/// let cut = micro_batches(&groups, 14);
/// let completions: Vec<_> = cut.iter().map(|batch| batch[0].completions.clone()).collect();
/// assert_eq!(completions, [vec![1], vec![0, 2]]);
/// ```
pub fn micro_batches(groups: &[GroupLengths], budget: usize) -> Vec<Vec<Slice>> {
    let mut slices: Vec<(Slice, usize, usize)> = vec![];
    for (i, group) in groups.iter().enumerate() {
        slices.extend(slices_of(i, group, budget));
    }
    // Longest first; the order of equals is that of the groups.
    slices.sort_by_key(|&(_, longest, _)| std::cmp::Reverse(longest));

    let mut batches: Vec<Vec<Slice>> = vec![];
    let mut used = 0;
    for (slice, _, cost) in slices {
        match batches.last_mut() {
            Some(batch) if used + cost <= budget => batch.push(slice),
            _ => {
                batches.push(vec![slice]);
                used = 0;
            }
        }
        used += cost;
    }
    batches
}

/// Cuts a group, longest completions first; each slice with its longest completion and its tokens.
fn slices_of(index: usize, group: &GroupLengths, budget: usize) -> Vec<(Slice, usize, usize)> {
    let mut order: Vec<usize> = (0..group.completions.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(group.completions[i]));
    let mut slices: Vec<(Slice, usize, usize)> = vec![];
    for i in order {
        let length = group.completions[i];
        match slices.last_mut() {
            Some((slice, _, cost)) if *cost + length <= budget => {
                slice.completions.push(i);
                *cost += length;
            }
            _ => slices.push((Slice { group: index, completions: vec![i] }, length, group.prompt + length)),
        }
    }
    for (slice, ..) in &mut slices {
        slice.completions.sort_unstable();
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_completion_is_in_one_micro_batch_and_budgets_hold() {
        let groups: Vec<GroupLengths> = (0..7)
            .map(|g| GroupLengths { prompt: 5 + g, completions: (0..9).map(|c| 1 + (g * 31 + c * 17) % 40).collect() })
            .collect();
        for budget in [1, 30, 100, 10_000] {
            let batches = micro_batches(&groups, budget);
            let mut seen: Vec<(usize, usize)> = vec![];
            for batch in &batches {
                let cost: usize = batch
                    .iter()
                    .map(|s| {
                        groups[s.group].prompt
                            + s.completions.iter().map(|&c| groups[s.group].completions[c]).sum::<usize>()
                    })
                    .sum();
                let lonely = batch.len() == 1 && batch[0].completions.len() == 1;
                assert!(cost <= budget || lonely, "{cost} tokens under a budget of {budget}");
                seen.extend(batch.iter().flat_map(|s| s.completions.iter().map(move |&c| (s.group, c))));
            }
            seen.sort_unstable();
            let all: Vec<(usize, usize)> = (0..7).flat_map(|g| (0..9).map(move |c| (g, c))).collect();
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(micro_batches(&[], 100).is_empty());
    }
}
