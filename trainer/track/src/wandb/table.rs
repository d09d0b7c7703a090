//! A table of rollouts: a file of columns and rows, and the value of history that points at it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::row::number;
use crate::replay::Rollout;

/// The name of the table.
pub(super) const TABLE: &str = "rollouts";
/// Rollouts that a table shows: the first groups of the step, as far as they fit whole.
const MOST_ROWS: usize = 64;
const COLUMNS: [&str; 12] = [
    "step",
    "task_id",
    "source",
    "group",
    "sample",
    "prompt",
    "completion",
    "reference",
    "finding",
    "reward",
    "advantage",
    "n_tokens",
];

/// A table, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// The file, below `files/`.
    pub(super) path: String,
    /// What it holds.
    pub(super) content: Vec<u8>,
    /// The value of history that points at it.
    pub(super) reference: String,
}

impl Table {
    /// Makes the table of a step's rollouts for the row `row` of history.
    pub(super) fn of(step: u64, row: i64, rollouts: &[Rollout]) -> Self {
        let shown = &rollouts[..whole_groups(rollouts)];
        let data: Vec<Value> = shown.iter().map(|rollout| cells(step, rollout)).collect();
        let content = json!({"columns": COLUMNS, "data": data}).to_string().into_bytes();
        let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("media/table/{TABLE}_{row}_{}.table.json", &digest[..20]);
        let reference = json!({
            "_type": "table-file",
            "sha256": digest,
            "size": content.len(),
            "path": path,
            "ncols": COLUMNS.len(),
            "nrows": shown.len(),
            "log_mode": "IMMUTABLE",
        });
        Self { path, content, reference: reference.to_string() }
    }
}

/// How many of the first rollouts make whole groups that fit; of a single large group as many as fit.
fn whole_groups(rollouts: &[Rollout]) -> usize {
    if rollouts.len() <= MOST_ROWS {
        return rollouts.len();
    }
    let cut = rollouts[MOST_ROWS].group;
    let whole = rollouts[..MOST_ROWS].iter().position(|rollout| rollout.group == cut);
    whole.filter(|&n| n > 0).unwrap_or(MOST_ROWS)
}

fn cells(step: u64, rollout: &Rollout) -> Value {
    // A number that JSON lacks would make the file unreadable for the web page.
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    json!([
        step,
        rollout.task_id,
        rollout.source,
        rollout.group,
        rollout.sample,
        rollout.prompt,
        rollout.completion,
        rollout.reference,
        rollout.finding(),
        finite(rollout.reward),
        finite(rollout.advantage),
        rollout.n_tokens,
    ])
}

/// A histogram as a value of history.
pub(super) fn histogram(histogram: &crate::histogram::Histogram) -> String {
    let edges: Vec<String> = histogram.edges.iter().map(|&edge| number(edge)).collect();
    let counts: Vec<String> = histogram.counts.iter().map(u64::to_string).collect();
    format!(r#"{{"_type":"histogram","bins":[{}],"values":[{}]}}"#, edges.join(","), counts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(group: u64, reward: Option<f64>) -> Rollout {
        Rollout { group, reward, prompt: "1+1=".to_owned(), completion: "2\"\n".to_owned(), ..Rollout::default() }
    }

    #[test]
    fn a_table_is_a_file_and_a_value_that_points_at_it() {
        let table = Table::of(3, 7, &[rollout(0, Some(1.0)), rollout(0, Some(f64::NAN))]);
        let content: Value = serde_json::from_slice(&table.content).unwrap();
        let expected = json!([3, "", "", 0, 0, "1+1=", "2\"\n", null, "", 1.0, null, 0]);
        assert_eq!((&content["columns"][6], &content["data"][0]), (&json!("completion"), &expected));
        assert_eq!(content["data"][1][9], Value::Null);
        let reference: Value = serde_json::from_str(&table.reference).unwrap();
        let digest = reference["sha256"].as_str().unwrap();
        assert_eq!(table.path, format!("media/table/rollouts_7_{}.table.json", &digest[..20]));
        assert_eq!(reference["path"], table.path.as_str());
        assert_eq!((&reference["nrows"], &reference["ncols"]), (&json!(2), &json!(12)));
        assert_eq!(reference["size"], table.content.len());
    }

    #[test]
    fn groups_are_shown_whole() {
        let of = |sizes: &[usize]| -> Vec<Rollout> {
            let groups = sizes.iter().enumerate();
            groups.flat_map(|(group, &n)| vec![rollout(group as u64, None); n]).collect()
        };
        for (sizes, expected) in [(&[8; 4][..], 32), (&[24; 4], 48), (&[32; 4], 64), (&[100, 2], 64)] {
            assert_eq!(whole_groups(&of(sizes)), expected, "{sizes:?}");
        }
    }
}
