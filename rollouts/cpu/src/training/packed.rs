//! Sequences laid end to end, and the same with every run of tokens in blocks of its own.

use crate::rows::{LANES, Rows};
use crate::team::Team;

/// A run of packed tokens: a prompt, or a completion that continues one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The row of its first token.
    pub start: usize,
    /// Its tokens.
    pub length: usize,
    /// The position of its first token in the sequence.
    pub position: usize,
    /// The index of the span that it continues and sees whole, for a completion.
    pub prompt: Option<usize>,
}

/// Tokens for one pass: `N` of them, in spans that follow each other without gaps.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// The ids, `[N]`.
    pub ids: &'a [u32],
    /// The spans; a prompt stands before its completions.
    pub spans: &'a [Span],
}

/// Where each span stands when it has blocks of sixteen rows of its own, as attention wants it.
#[derive(Debug)]
pub(super) struct Alignment<'a> {
    pub spans: &'a [Span],
    /// The first block of each span, and the number of all.
    pub first_block: Vec<usize>,
}

impl<'a> Alignment<'a> {
    pub(super) fn of(spans: &'a [Span]) -> Self {
        let ends = spans.iter().scan(0, |end, span| {
            *end += span.length.div_ceil(LANES);
            Some(*end)
        });
        Self { spans, first_block: std::iter::once(0).chain(ends).collect() }
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.first_block.last().copied().unwrap_or(0)
    }

    /// The blocks of a span.
    pub(super) fn blocks(&self, span: usize) -> std::ops::Range<usize> {
        self.first_block[span]..self.first_block[span + 1]
    }

    /// Copies packed rows to where their spans have blocks of their own; rows that fill a block up become 0.
    pub(super) fn spread(&self, team: &Team, packed: &Rows, aligned: &mut Rows) {
        aligned.fit(self.n_blocks() * LANES, packed.n_features());
        let mut rest = aligned.blocks.iter_mut();
        let mut pieces = vec![];
        for span in self.spans {
            for at in (0..span.length).step_by(LANES) {
                let n = LANES.min(span.length - at);
                pieces.extend(rest.next().map(|block| (span.start + at, n, block)));
            }
        }
        team.for_each(pieces, |(row, n, to)| {
            let (block, lane) = (row / LANES, row % LANES);
            let from = &packed.blocks[block];
            let after = packed.blocks.get(block + 1).unwrap_or(from);
            let mut window = [0.0; 2 * LANES];
            let features = from.chunks_exact(LANES).zip(after.chunks_exact(LANES));
            for (to, (from, after)) in to.chunks_exact_mut(LANES).zip(features) {
                window[..LANES].copy_from_slice(from);
                window[LANES..].copy_from_slice(after);
                to.copy_from_slice(&window[lane..lane + LANES]);
                to[n..].fill(0.0);
            }
        });
    }

    /// Copies rows back to where they are packed, `packed` having the right size.
    pub(super) fn gather(&self, team: &Team, aligned: &Rows, packed: &mut Rows) {
        let n_rows = packed.n_rows();
        team.for_each(packed.blocks.iter_mut().enumerate(), |(block, to)| {
            let rows = block * LANES..n_rows.min((block + 1) * LANES);
            for (i, span) in self.spans.iter().enumerate() {
                let (first, end) = (span.start.max(rows.start), (span.start + span.length).min(rows.end));
                for run in runs(first, end, span.start) {
                    let from = &aligned.blocks[self.first_block[i] + (run.start - span.start) / LANES];
                    let (lane, n) = ((run.start - span.start) % LANES, run.len());
                    let at = run.start - rows.start;
                    for (to, from) in to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)) {
                        for (to, &from) in to[at..at + n].iter_mut().zip(&from[lane..lane + n]) {
                            *to = from;
                        }
                    }
                }
            }
        });
        packed.clear_padding();
    }
}

/// Cuts the rows from `first` to `end` where blocks counted from `start` end.
fn runs(first: usize, end: usize, start: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = first;
    std::iter::from_fn(move || {
        let from = at;
        at = end.min(start + (from - start) / LANES * LANES + LANES);
        (from < end).then_some(from..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_from_blocks_of_their_own() {
        let lengths = [5, 16, 1, 40, 17, 3];
        let spans: Vec<Span> = lengths
            .iter()
            .scan(0, |start, &length| {
                *start += length;
                Some(Span { start: *start - length, length, position: 0, prompt: None })
            })
            .collect();
        let n: usize = lengths.iter().sum();
        let mut packed = Rows::zeros(n, 3);
        (0..n).for_each(|row| packed.set(row, &[row as f32, -1.0, 0.5 + row as f32]));
        let alignment = Alignment::of(&spans);
        assert_eq!(alignment.first_block, [0, 1, 2, 3, 6, 8, 9]);
        let (team, mut aligned) = (Team::new(2), Rows::default());
        alignment.spread(&team, &packed, &mut aligned);
        assert_eq!(aligned.row(LANES * 3 + 39), packed.row(22 + 39));
        assert_eq!(aligned.row(LANES * 2 + 1), [0.0; 3], "what fills a block up");
        let mut back = Rows::zeros(n, 3);
        alignment.gather(&team, &aligned, &mut back);
        (0..n).for_each(|row| assert_eq!(back.row(row), packed.row(row), "row {row}"));
    }
}
