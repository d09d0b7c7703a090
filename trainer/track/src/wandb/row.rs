//! Rows of history: one for every record of a step or an evaluation, offline and online the same.

use std::collections::BTreeMap;

use rlvr_curves::record::{Kind, Record};

use super::axes::Definitions;
use super::table::{self, TABLE, Table};
use crate::histogram;
use crate::replay::Rollout;

/// A row of history; values are JSON texts, in which `NaN` and `Infinity` may stand bare.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Its number from 0, the `_step` of W&B.
    pub(super) number: i64,
    /// The values by name.
    pub(super) values: Vec<(String, String)>,
    /// The file that one of the values points at.
    pub(super) table: Option<Table>,
    /// Names that occur for the first time, with what they are drawn over.
    pub(super) new_metrics: Vec<(String, &'static str)>,
}

impl Row {
    /// Returns the row as one JSON object.
    pub(super) fn to_json(&self) -> String {
        object(self.values.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// Makes rows out of records. Which row a record becomes depends on the records before it alone, so that a replay makes
/// the same rows.
#[derive(Debug)]
pub(super) struct Rows {
    started_s: f64,
    table_every: u64,
    n: i64,
    definitions: Definitions,
}

impl Rows {
    /// Starts at the row 0 of a run that began at `started_s`.
    pub(super) fn new(started_s: f64, table_every: u64) -> Self {
        Self { started_s, table_every, n: 0, definitions: Definitions::default() }
    }

    /// Makes the next row; none of records that are not rows.
    pub(super) fn next(&mut self, record: &Record, rollouts: &[Rollout]) -> Option<Row> {
        if !matches!(record.kind, Kind::Step | Kind::Sft | Kind::Eval) {
            return None;
        }
        let mut values: Vec<(String, String)> =
            record.metrics.iter().map(|(name, value)| (name.to_owned(), number(value))).collect();
        let histograms = histogram::of_rollouts(rollouts);
        values.extend(histograms.iter().map(|(name, of)| ((*name).to_owned(), table::histogram(of))));
        let table = self.shows_table(record.step, rollouts).then(|| Table::of(record.step, self.n, rollouts));
        values.extend(table.iter().map(|table| (TABLE.to_owned(), table.reference.clone())));
        let new_metrics = self.definitions.new_among(values.iter().map(|(name, _)| name.as_str()));
        values.extend([
            ("_step".to_owned(), self.n.to_string()),
            ("_timestamp".to_owned(), number(record.time_s)),
            ("_runtime".to_owned(), number(seconds(record.time_s - self.started_s))),
        ]);
        self.n += 1;
        Some(Row { number: self.n - 1, values, table, new_metrics })
    }

    fn shows_table(&self, step: u64, rollouts: &[Rollout]) -> bool {
        !rollouts.is_empty() && self.table_every > 0 && (step == 1 || step.is_multiple_of(self.table_every))
    }
}

/// The newest value of every name.
#[derive(Debug, Default)]
pub(super) struct Summary(BTreeMap<String, String>);

impl Summary {
    /// Takes over the values of a row.
    pub(super) fn take(&mut self, row: &Row) {
        self.0.extend(row.values.iter().cloned());
    }

    /// Returns all of it.
    pub(super) fn into_values(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter()
    }

    /// Returns all of it as one JSON object.
    pub(super) fn to_json(&self) -> String {
        object(self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// What the system panel knows, by the names of W&B, with the factor from our unit to theirs.
const SYSTEM: [(&str, &str, f64); 5] = [
    ("system/cpu", "cpu", 100.0),
    ("system/memory", "memory_percent", 100.0),
    ("system/process_memory_gb", "proc.memory.rssMB", 1024.0),
    ("system/memory_available_gb", "proc.memory.availableMB", 1024.0),
    ("system/threads", "proc.cpu.threads", 1.0),
];

/// The measurements of the machine that a record holds; those of a name that W&B does not know keep theirs.
pub(super) fn system(record: &Record) -> Vec<(String, String)> {
    let of = |(name, value): (&str, f64)| match SYSTEM.iter().find(|(ours, ..)| *ours == name) {
        Some((_, theirs, factor)) => ((*theirs).to_owned(), number(value * factor)),
        None => (name.trim_start_matches("system/").replace('/', "."), number(value)),
    };
    record.metrics.iter().map(of).collect()
}

/// A JSON object of values that are JSON texts already.
pub(super) fn object<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let members: Vec<String> =
        values.map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// A number as the Python client writes it: whole ones without a point, and what JSON lacks as bare words.
pub(super) fn number(value: f64) -> String {
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if value.fract() == 0.0 && value.abs() < LARGEST_EXACT {
        format!("{value:.0}")
    } else {
        serde_json::Value::from(value).to_string()
    }
}

/// Seconds without the noise beyond a millisecond.
fn seconds(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use rlvr_curves::record::{Metrics, SCHEMA};

    use super::*;

    pub(crate) fn record(kind: Kind, step: u64, metrics: &[(&str, f64)]) -> Record {
        let mut all = Metrics::default();
        metrics.iter().for_each(|(name, value)| all.set(*name, *value));
        Record { kind, schema: SCHEMA, step, time_s: 100.25, message: None, metrics: all }
    }

    #[test]
    fn numbers_are_written_as_the_client_does() {
        for (value, expected) in [
            (2.0, "2"),
            (-0.5, "-0.5"),
            (1e-7, "1e-7"),
            (2e11, "200000000000"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(number(value).replace("e300", "e+300"), expected);
        }
    }

    #[test]
    fn steps_and_evaluations_are_rows_in_order() {
        let mut rows = Rows::new(100.0, 2);
        let first = rows.next(&record(Kind::Eval, 0, &[("eval/s/mean@1", 0.5)]), &[]).unwrap();
        assert_eq!(first.to_json(), r#"{"eval/s/mean@1":0.5,"_step":0,"_timestamp":100.25,"_runtime":0.25}"#);
        assert_eq!(rows.next(&record(Kind::Event, 0, &[]), &[]), None);
        assert_eq!(rows.next(&record(Kind::System, 0, &[("system/cpu", 1.0)]), &[]), None);
        let rollouts = [Rollout { reward: Some(1.0), ..Rollout::default() }];
        let tables: Vec<(i64, bool)> = (1..=4)
            .map(|step| rows.next(&record(Kind::Step, step, &[("reward/mean", 1.0)]), &rollouts).unwrap())
            .map(|row| (row.number, row.table.is_some()))
            .collect();
        assert_eq!(tables, [(1, true), (2, true), (3, false), (4, true)]);
    }

    #[test]
    fn the_summary_is_the_newest_of_each() {
        let mut rows = Rows::new(100.0, 0);
        let mut summary = Summary::default();
        for (name, value) in [("a", 1.0), ("b", f64::NAN), ("a", 3.0)] {
            summary.take(&rows.next(&record(Kind::Step, 1, &[(name, value)]), &[]).unwrap());
        }
        assert_eq!(summary.to_json(), r#"{"_runtime":0.25,"_step":2,"_timestamp":100.25,"a":3,"b":NaN}"#);
    }

    #[test]
    fn the_machine_has_the_names_of_the_system_panel() {
        let found = system(&record(Kind::System, 1, &[("system/cpu", 0.5), ("system/gpu/0/powerWatts", 70.5)]));
        assert_eq!(found, [("cpu".to_owned(), "50".to_owned()), ("gpu.0.powerWatts".to_owned(), "70.5".to_owned())]);
    }
}
