//! The rollouts behind rows of the index, read from their files by place.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use serde_json::{Value, json};

use super::index::Index;
use super::metrics::finite;
use super::rows::Row;

/// How many characters of a text a list shows.
const PREVIEW: usize = 240;

/// Reads whole rollouts. A line that cannot be read any more, as when a resume has just removed its file, is left out; token
/// ids are left out as well.
pub(super) fn read_rollouts(index: &Index, rows: &[(u64, &Row)]) -> Vec<Value> {
    let mut files: HashMap<u64, File> = HashMap::new();
    let mut read = |step: u64, row: &Row| -> Option<Value> {
        let path = &index.steps.get(&step)?.path;
        let file = match files.entry(step) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(File::open(path).ok()?),
        };
        let mut bytes = vec![0; row.len as usize];
        file.seek(SeekFrom::Start(row.offset)).and_then(|_| file.read_exact(&mut bytes)).ok()?;
        let mut value: Value = serde_json::from_slice(&bytes).ok()?;
        let object = value.as_object_mut()?;
        object.remove("ids");
        object.remove("prompt_ids");
        Some(value)
    };
    rows.iter().filter_map(|&(step, row)| read(step, row)).collect()
}

/// Shortens what a list shows: the prompt to its end and the completion to both ends, where questions and answers stand.
pub(super) fn shorten(rollout: &mut Value) {
    for name in ["prompt", "completion"] {
        if let Some(text) = rollout.get(name).and_then(Value::as_str) {
            let short = middle_out(text);
            rollout[name] = Value::from(short);
        }
    }
}

fn middle_out(text: &str) -> String {
    let n = text.chars().count();
    if n <= PREVIEW {
        return text.to_owned();
    }
    let head: String = text.chars().take(PREVIEW / 2).collect();
    let tail: String = text.chars().skip(n - PREVIEW / 2).collect();
    format!("{head} … {tail}")
}

/// What the index alone knows of a rollout.
pub(super) fn summary(index: &Index, step: u64, row: &Row) -> Value {
    let words = &index.vocabulary;
    json!({
        "step": step, "group": row.group, "sample": row.sample,
        "task_id": words.tasks.word(row.task), "source": words.sources.word(row.source),
        "finding": words.findings.word(row.findings), "stop": words.stops.word(row.stop), "n_tokens": row.n_tokens,
        "reward": number(row.reward), "outcome": number(row.outcome), "advantage": number(row.advantage),
        "logp_mean": number(row.logp_mean), "entropy_mean": number(row.entropy_mean),
        "mismatch": number(row.mismatch), "verify_s": number(row.verify_s),
    })
}

/// A measurement as it was written, without the digits that single precision adds.
pub(super) fn number(value: f32) -> Option<f64> {
    finite(value.to_string().parse().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::index_of;
    use super::*;
    use crate::rollouts::tests::line;

    #[test]
    fn lines_are_found_by_place() {
        let (_folder, index) = index_of(&[(
            4,
            line(4, 0, 0, Some(0.1), "naïve") + &line(4, 0, 1, None, "two") + &line(4, 1, 0, None, "3"),
        )]);
        let index = index.read();
        let rows: Vec<_> = index.group(4, 0).into_iter().rev().map(|row| (4, row)).collect();
        let read = read_rollouts(&index, &rows);
        let completions: Vec<_> = read.iter().map(|rollout| rollout["completion"].as_str().unwrap()).collect();
        assert_eq!(completions, ["two", "naïve"]);
        assert!(read[0].get("ids").is_none());
        assert_eq!(summary(&index, 4, rows[1].1)["reward"], 0.1);
        assert_eq!(summary(&index, 4, rows[0].1)["reward"], Value::Null);
    }

    #[test]
    fn long_texts_keep_both_ends() {
        let text = "é".repeat(PREVIEW) + "end";
        let short = middle_out(&text);
        assert_eq!((short.chars().count(), short.ends_with("éend")), (PREVIEW + 3, true));
        assert_eq!(middle_out("short"), "short");
    }
}
