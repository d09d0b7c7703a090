//! The index of the rollouts of one step: where each line stands, and what is filtered and sorted by.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::rollouts::RolloutLine;

/// One rollout in the index. Measurements are NaN where there is none; words are places in [`Words`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    /// Where its line begins, in bytes from the start of the file.
    pub(super) offset: u64,
    /// The line's bytes, without its end.
    pub(super) len: u32,
    pub(super) group: u32,
    pub(super) sample: u32,
    pub(super) task: u32,
    pub(super) source: u32,
    pub(super) findings: u32,
    pub(super) stop: u32,
    pub(super) n_tokens: u32,
    pub(super) reward: f32,
    pub(super) outcome: f32,
    pub(super) advantage: f32,
    pub(super) logp_mean: f32,
    pub(super) entropy_mean: f32,
    pub(super) mismatch: f32,
    pub(super) verify_s: f32,
}

impl Row {
    /// Bytes of a row in the index file.
    pub(super) const SIZE: usize = 8 + 15 * 4;

    /// Writes a row, least significant bytes first.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.offset.to_le_bytes());
        let whole =
            [self.len, self.group, self.sample, self.task, self.source, self.findings, self.stop, self.n_tokens];
        whole.iter().for_each(|value| out.extend(value.to_le_bytes()));
        let measured = [
            self.reward,
            self.outcome,
            self.advantage,
            self.logp_mean,
            self.entropy_mean,
            self.mismatch,
            self.verify_s,
        ];
        measured.iter().for_each(|value| out.extend(value.to_le_bytes()));
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(super) fn read(bytes: &[u8; Self::SIZE]) -> Self {
        let four = |i: usize| [8, 9, 10, 11].map(|at: usize| bytes[at + 4 * i]);
        let whole = |i| u32::from_le_bytes(four(i));
        let measured = |i| f32::from_le_bytes(four(i));
        Self {
            offset: u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at: usize| bytes[at])),
            len: whole(0),
            group: whole(1),
            sample: whole(2),
            task: whole(3),
            source: whole(4),
            findings: whole(5),
            stop: whole(6),
            n_tokens: whole(7),
            reward: measured(8),
            outcome: measured(9),
            advantage: measured(10),
            logp_mean: measured(11),
            entropy_mean: measured(12),
            mismatch: measured(13),
            verify_s: measured(14),
        }
    }
}

/// Words by number, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    all: Vec<String>,
    places: HashMap<String, u32>,
}

impl Words {
    /// The number of a word, a new one if it is new.
    pub(super) fn place(&mut self, word: &str) -> u32 {
        if let Some(&place) = self.places.get(word) {
            return place;
        }
        let place = self.all.len() as u32;
        self.all.push(word.to_owned());
        self.places.insert(word.to_owned(), place);
        place
    }

    /// The number of a word that is known.
    pub(super) fn find(&self, word: &str) -> Option<u32> {
        self.places.get(word).copied()
    }

    /// The word of a number.
    pub(super) fn word(&self, place: u32) -> &str {
        self.all.get(place as usize).map_or("", String::as_str)
    }

    /// All words in order of their numbers.
    pub(super) fn all(&self) -> &[String] {
        &self.all
    }

    fn from_all(all: Vec<String>) -> Self {
        let places = all.iter().enumerate().map(|(place, word)| (word.clone(), place as u32)).collect();
        Self { all, places }
    }
}

/// The four vocabularies of an index.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary {
    pub(super) tasks: Words,
    pub(super) sources: Words,
    pub(super) findings: Words,
    pub(super) stops: Words,
}

/// The words of a [`Vocabulary`], as they are written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WordLists {
    tasks: Vec<String>,
    sources: Vec<String>,
    findings: Vec<String>,
    stops: Vec<String>,
}

impl Vocabulary {
    pub(super) fn lists(&self) -> WordLists {
        let of = |words: &Words| words.all.clone();
        let (tasks, sources) = (of(&self.tasks), of(&self.sources));
        WordLists { tasks, sources, findings: of(&self.findings), stops: of(&self.stops) }
    }

    pub(super) fn from_lists(lists: WordLists) -> Self {
        let of = Words::from_all;
        let (tasks, sources) = (of(lists.tasks), of(lists.sources));
        Self { tasks, sources, findings: of(lists.findings), stops: of(lists.stops) }
    }

    fn row(&mut self, line: &RolloutLine<'_>, offset: u64, len: usize) -> Row {
        let number = |value: Option<f64>| value.map_or(f32::NAN, |value| value as f32);
        Row {
            offset,
            len: len as u32,
            group: line.group,
            sample: line.sample,
            task: self.tasks.place(&line.task_id),
            source: self.sources.place(&line.source),
            findings: self.findings.place(&line.findings()),
            stop: self.stops.place(&line.stop),
            n_tokens: line.n_tokens,
            reward: number(line.reward),
            outcome: number(line.outcome),
            advantage: number(line.advantage),
            logp_mean: line.logp_mean.0 as f32,
            entropy_mean: line.entropy_mean.0 as f32,
            mismatch: line.mismatch.0 as f32,
            verify_s: line.verify_s.0 as f32,
        }
    }
}

/// The rollouts of one file, in a vocabulary of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct FileRows {
    pub(super) vocabulary: Vocabulary,
    pub(super) rows: Vec<Row>,
    /// Lines that are not rollouts.
    pub(super) n_damaged: u64,
}

/// Indexes a rollout file as far as it is whole.
pub(super) fn index_file(bytes: &[u8]) -> FileRows {
    let mut file = FileRows::default();
    let mut offset = 0;
    for line in bytes.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")) {
        let text = &line[..line.len() - 1];
        match serde_json::from_slice::<RolloutLine<'_>>(text) {
            Ok(rollout) => file.rows.push(file.vocabulary.row(&rollout, offset, text.len())),
            Err(_) if text.is_empty() => {}
            Err(_) => file.n_damaged += 1,
        }
        offset += line.len() as u64;
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollouts::tests::line;

    #[test]
    fn each_row_knows_its_line() {
        let (first, second) = (line(1, 0, 0, Some(1.0), "four"), line(1, 1, 3, None, "x"));
        let text = format!("{first}{{damaged}}\n{second}{{\"torn");
        let file = index_file(text.as_bytes());
        assert_eq!((file.rows.len(), file.n_damaged), (2, 1));
        let row = file.rows[1];
        let at = row.offset as usize;
        assert_eq!(&text[at..at + row.len as usize], second.trim_end());
        assert_eq!((row.group, row.sample, row.n_tokens, row.reward.is_nan()), (1, 3, 1, true));
        assert_eq!(file.vocabulary.tasks.word(row.task), "sums-1");
        assert_eq!(file.vocabulary.findings.all(), ["correct", "unjudged"]);
    }

    #[test]
    fn rows_survive_being_written() {
        let mut row = index_file(line(1, 2, 3, Some(0.25), "abc").as_bytes()).rows[0];
        (row.offset, row.mismatch) = (u64::MAX - 7, -0.5);
        let mut bytes = vec![];
        row.write(&mut bytes);
        assert_eq!(Row::read(bytes.as_slice().try_into().unwrap()), row);
    }
}
