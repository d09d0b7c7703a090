//! Search in prompts, completions and references.
//!
//! There is no index of words: files are read, the newest first, for a bounded time; what is left is another request.

use std::time::{Duration, Instant};

use memchr::memmem::Finder;

use super::index::Index;
use super::rows::Row;
use super::select::Sieve;
use crate::rollouts::RolloutLine;

/// What was found, and where to go on.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) rows: Vec<(u64, &'a Row)>,
    /// The step below which nothing has been looked at yet, if any.
    pub(super) next: Option<u64>,
    /// Rollouts looked at.
    pub(super) n_searched: usize,
}

/// How much is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Only steps below this one.
    pub(super) below: u64,
    /// Stop after the step with which so many are found.
    pub(super) limit: usize,
    /// Stop after the step with which so much time has passed.
    pub(super) time: Duration,
}

/// Finds the rollouts that contain a text, upper and lower case of ASCII alike.
pub(super) fn search<'a>(index: &'a Index, sieve: &Sieve, text: &str, bounds: Bounds) -> Found<'a> {
    let needle = Needle::new(text);
    let start = Instant::now();
    let mut found = Found { rows: vec![], next: None, n_searched: 0 };
    for (&step, rows) in index.steps.range(..bounds.below).rev() {
        if found.rows.len() >= bounds.limit || start.elapsed() > bounds.time {
            found.next = Some(step + 1);
            break;
        }
        let wanted: Vec<&Row> = rows.rows.iter().filter(|row| sieve.lets(step, row)).collect();
        if wanted.is_empty() {
            continue;
        }
        found.n_searched += wanted.len();
        // A file that a resume has just removed holds nothing.
        let bytes = std::fs::read(&rows.path).unwrap_or_default();
        let folded = bytes.to_ascii_lowercase();
        let has = |row: &&Row| {
            let place = row.offset as usize..row.offset as usize + row.len as usize;
            folded.get(place.clone()).is_some_and(|line| needle.may_be_in(line)) && needle.is_in(&bytes[place])
        };
        found.rows.extend(wanted.into_iter().filter(has).map(|row| (step, row)));
    }
    found
}

struct Needle {
    folded: String,
    /// As it stands in JSON.
    finder: Finder<'static>,
}

impl Needle {
    fn new(text: &str) -> Self {
        let folded = text.to_ascii_lowercase();
        let escaped = serde_json::Value::from(folded.as_str()).to_string();
        let finder = Finder::new(&escaped.as_bytes()[1..escaped.len() - 1]).into_owned();
        Self { folded, finder }
    }

    fn may_be_in(&self, folded_line: &[u8]) -> bool {
        self.finder.find(folded_line).is_some()
    }

    fn is_in(&self, line: &[u8]) -> bool {
        let Ok(rollout) = serde_json::from_slice::<RolloutLine<'_>>(line) else { return false };
        let has = |text: &str| text.to_ascii_lowercase().contains(&self.folded);
        has(&rollout.completion) || has(&rollout.prompt) || rollout.reference.as_deref().is_some_and(has)
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::index_of;
    use super::super::select::Filter;
    use super::*;
    use crate::rollouts::tests::line;

    fn check(text: &str, limit: usize, below: u64, expected: (&[(u64, u32)], Option<u64>, usize)) {
        let (_folder, index) = index_of(&[
            (1, line(1, 0, 0, Some(1.0), "A \"quoted\" Word\nand more") + &line(1, 0, 1, None, "naïve ids")),
            (2, line(2, 0, 0, None, "nothing")),
            (3, line(3, 0, 0, None, "the word again") + &line(3, 0, 1, None, "a word")),
        ]);
        let index = index.read();
        let bounds = Bounds { below, limit, time: Duration::from_secs(60) };
        let found = search(&index, &Filter::default().sieve(&index), text, bounds);
        let rows: Vec<_> = found.rows.iter().map(|(step, row)| (*step, row.sample)).collect();
        assert_eq!((rows.as_slice(), found.next, found.n_searched), expected, "{text}");
    }

    #[test]
    fn texts_are_found_and_names_of_fields_are_not() {
        check("word", 10, u64::MAX, (&[(3, 0), (3, 1), (1, 0)], None, 5));
        check("\"QUOTED\" word\nand", 10, u64::MAX, (&[(1, 0)], None, 5));
        check("naïve", 10, u64::MAX, (&[(1, 1)], None, 5));
        check("ids", 10, u64::MAX, (&[(1, 1)], None, 5));
        check("what is 0", 10, 2, (&[(1, 0), (1, 1)], None, 2));
        check("n_tokens", 10, u64::MAX, (&[], None, 5));
    }

    #[test]
    fn a_search_goes_on_where_it_stopped() {
        check("word", 1, u64::MAX, (&[(3, 0), (3, 1)], Some(3), 2));
        check("word", 1, 3, (&[(1, 0)], None, 3));
    }
}
