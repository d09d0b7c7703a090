//! The offline log: `wandb/offline-run-DATE-ID/run-ID.wandb` with the files beside it.
//!
//! Every record is written through at once, so that `wandb beta sync --live` streams a run while it runs, and a run that
//! is killed leaves all but its end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::DateTime;
use rlvr_curves::record::{Kind, Record};
use serde_json::{Value, json};

use super::axes::{AXES, patterns};
use super::log::Log;
use super::proto;
use super::row::{Row, Rows, Summary, system};
use crate::config::WandbConfig;
use crate::replay::{Description, Entry};
use crate::{Outcome, Sink, SinkError};

/// Who the log says has written it.
const PRODUCER: &str = concat!("rlvr ", env!("CARGO_PKG_VERSION"));
/// The oldest client that reads it.
const MIN_CONSUMER: &str = "0.70.0";
/// `FilesItem`: upload now.
const NOW: i32 = 0;
/// `FilesItem`: the client's own.
const WANDB_FILE: i32 = 1;
/// `FilesItem`: media.
const MEDIA: i32 = 2;

/// An offline log being written.
#[derive(Debug)]
pub struct Offline {
    folder: PathBuf,
    log: Log,
    rows: Rows,
    /// Rows before this number stand in earlier logs of the run.
    first_row: i64,
    /// What they come to, as long as it is not written.
    summary: Summary,
    started_s: f64,
    /// The time of the newest entry.
    time_s: f64,
}

impl Offline {
    /// Makes a log of a whole run in `folder`, in a folder of its own that is named for the time `now_s`.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or if there is one of the same second already.
    pub fn create(folder: &Path, run: &Description, config: &WandbConfig, now_s: f64) -> Result<Self, SinkError> {
        Self::create_from(folder, run, config, now_s, 0)
    }

    /// Makes a log as [`Offline::create`], of the rows that earlier logs of the run in `folder` lack.
    ///
    /// The client appends to what the server has, so that rows must not come twice.
    ///
    /// # Errors
    ///
    /// As [`Offline::create`].
    pub fn go_on(folder: &Path, run: &Description, config: &WandbConfig, now_s: f64) -> Result<Self, SinkError> {
        Self::create_from(folder, run, config, now_s, n_rows(folder, &run.id))
    }

    fn create_from(
        folder: &Path,
        run: &Description,
        config: &WandbConfig,
        now_s: f64,
        first_row: i64,
    ) -> Result<Self, SinkError> {
        let folder = folder.join(format!("offline-run-{}-{}", date(now_s), run.id));
        for name in ["files", "logs"] {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).map_err(|source| SinkError::Io { path, source })?;
        }
        let log = Log::create(&folder.join(format!("run-{}.wandb", run.id)))?;
        let rows = Rows::new(run.started_s, config.table_every);
        let (summary, started_s) = (Summary::default(), run.started_s);
        let mut offline = Self { folder, log, rows, first_row, summary, started_s, time_s: started_s };
        offline.begin(run, config)?;
        Ok(offline)
    }

    /// Returns the folder of the log, what `wandb sync` is given.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn begin(&mut self, run: &Description, config: &WandbConfig) -> Result<(), SinkError> {
        let version = proto::VersionInfo { producer: PRODUCER.to_owned(), min_consumer: MIN_CONSUMER.to_owned() };
        let header = Some(proto::Header { version_info: Some(version) });
        self.log.append(proto::Record { header, ..proto::Record::default() })?;
        let run_record = Some(run_record(run, config));
        self.log.append(proto::Record { run: run_record, ..proto::Record::default() })?;
        for axis in AXES {
            self.define(proto::Metric { name: axis.to_owned(), ..proto::Metric::default() })?;
        }
        for (pattern, axis) in patterns() {
            self.define(proto::Metric {
                glob_name: pattern,
                step_metric: axis.to_owned(),
                ..proto::Metric::default()
            })?;
        }
        self.file("wandb-metadata.json", format!("{:#}\n", metadata(run)).as_bytes(), WANDB_FILE)
    }

    fn define(&mut self, metric: proto::Metric) -> Result<(), SinkError> {
        let options = proto::MetricOptions { step_sync: !metric.step_metric.is_empty(), hidden: false, defined: true };
        let metric = Some(proto::Metric { options: Some(options), ..metric });
        self.log.append(proto::Record { metric, ..proto::Record::default() })
    }

    /// Writes a file beside the log and asks for its upload.
    fn file(&mut self, name: &str, content: &[u8], kind: i32) -> Result<(), SinkError> {
        let path = self.folder.join("files").join(name);
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, content))
            .map_err(|source| SinkError::Io { path: path.clone(), source })?;
        let item = proto::FilesItem { path: name.to_owned(), policy: NOW, r#type: kind };
        let files = Some(proto::Files { files: vec![item] });
        self.log.append(proto::Record { files, ..proto::Record::default() })
    }

    fn row(&mut self, row: Row) -> Result<(), SinkError> {
        for (name, axis) in &row.new_metrics {
            self.define(proto::Metric {
                name: name.clone(),
                step_metric: (*axis).to_owned(),
                expanded_from_glob: true,
                ..proto::Metric::default()
            })?;
        }
        if row.number < self.first_row {
            self.summary.take(&row);
            return Ok(());
        }
        if let Some(table) = row.table {
            self.file(&table.path, &table.content, MEDIA)?;
        }
        let item = row.values.iter().map(|(name, value)| proto::Item {
            nested_key: vec![name.clone()],
            value_json: value.clone(),
            ..proto::Item::default()
        });
        let history = Some(proto::History { item: item.collect(), step: Some(proto::Step { num: row.number }) });
        self.log.append(proto::Record { history, ..proto::Record::default() })?;
        let before = std::mem::take(&mut self.summary).into_values();
        let summary = Some(proto::Update { update: items(before.chain(row.values).collect()) });
        self.log.append(proto::Record { summary, ..proto::Record::default() })
    }

    fn machine(&mut self, record: &Record) -> Result<(), SinkError> {
        let timestamp = Some(proto::Timestamp::at(record.time_s));
        let stats = Some(proto::Stats { timestamp, item: items(system(record)) });
        self.log.append(proto::Record { stats, ..proto::Record::default() })
    }
}

impl Sink for Offline {
    fn write(&mut self, entry: &Entry) -> Result<(), SinkError> {
        match entry {
            Entry::Record { record, rollouts } => {
                self.time_s = record.time_s;
                if record.kind == Kind::System {
                    return self.machine(record);
                }
                self.rows.next(record, rollouts).map_or(Ok(()), |row| self.row(row))
            }
            Entry::Console { time_s, line } => {
                let timestamp = Some(proto::Timestamp::at(*time_s));
                let output_raw = Some(proto::OutputRaw { output_type: 0, timestamp, line: format!("{line}\n") });
                self.log.append(proto::Record { output_raw, ..proto::Record::default() })
            }
        }
    }

    /// There is nothing to be done: every record is written through.
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn finish(&mut self, outcome: Outcome, _deadline: Instant) -> Result<(), SinkError> {
        let Some(exit_code) = outcome.exit_code() else { return Ok(()) };
        let runtime = (self.time_s - self.started_s).max(0.0) as i32;
        let exit = Some(proto::Exit { exit_code, runtime });
        self.log.append(proto::Record { exit, ..proto::Record::default() })
    }
}

/// How many rows the logs of a run in a folder hold, which begin where the ones before end.
fn n_rows(folder: &Path, id: &str) -> i64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let logs = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(&format!("-{id}")));
    let last_row = |path: PathBuf| {
        let records = super::log::read(&std::fs::read(path).ok()?);
        records.iter().rev().find_map(|record| Some(record.history.as_ref()?.step.as_ref()?.num))
    };
    logs.filter_map(|entry| last_row(entry.path().join(format!("run-{id}.wandb")))).max().map_or(0, |row| row + 1)
}

fn items(values: Vec<(String, String)>) -> Vec<proto::Item> {
    let item = |(key, value_json)| proto::Item { key, nested_key: vec![], value_json };
    values.into_iter().map(item).collect()
}

fn run_record(run: &Description, config: &WandbConfig) -> proto::Run {
    let settings = settings(run).into_iter().map(|(key, value)| (key, value.to_string())).collect();
    proto::Run {
        run_id: run.id.clone(),
        entity: config.entity.clone(),
        project: config.project.clone(),
        config: Some(proto::Update { update: items(settings) }),
        run_group: config.group.clone(),
        display_name: display_name(run, config).to_owned(),
        tags: config.tags.clone(),
        host: run.host.clone(),
        start_time: Some(proto::Timestamp::at(run.started_s)),
        git: Some(proto::Git { commit: run.commit.clone() }).filter(|git| !git.commit.is_empty()),
    }
}

/// What the run is called.
pub(super) fn display_name<'a>(run: &'a Description, config: &'a WandbConfig) -> &'a str {
    if config.name.is_empty() { &run.name } else { &config.name }
}

/// The config of the run as W&B shows it, with what runs are compared by of `run.json`.
pub(super) fn settings(run: &Description) -> Vec<(String, Value)> {
    let of_header = ["version", "commit", "device", "threads", "model"];
    let header: serde_json::Map<String, Value> =
        of_header.iter().filter_map(|&key| Some((key.to_owned(), run.header.get(key)?.clone()))).collect();
    let config = run.config.iter().map(|(key, value)| (key.clone(), value.clone()));
    config.chain([("rlvr".to_owned(), Value::Object(header))]).collect()
}

/// `wandb-metadata.json`: under which circumstances the run was made.
pub(super) fn metadata(run: &Description) -> Value {
    let started = DateTime::from_timestamp_millis((run.started_s * 1e3) as i64).unwrap_or_default();
    json!({
        "os": std::env::consts::OS,
        "host": run.host,
        "program": "rlvr train",
        "startedAt": started.to_rfc3339(),
        "git": {"commit": run.commit},
        "cpu_count": run.header.get("threads"),
        "rlvr": run.header,
    })
}

/// `YYYYMMDD_HHMMSS`, UTC.
fn date(time_s: f64) -> String {
    DateTime::from_timestamp(time_s as i64, 0).unwrap_or_default().format("%Y%m%d_%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use rlvr_curves::record::{Metrics, SCHEMA};

    use super::*;
    use crate::replay::Rollout;
    use crate::wandb::log;

    fn run() -> Description {
        let json = |value: Value| value.as_object().cloned().unwrap_or_default();
        Description {
            id: "abcd1234".to_owned(),
            name: "quick".to_owned(),
            started_s: 1_700_000_000.25,
            host: "h".to_owned(),
            commit: String::new(),
            header: json(json!({"version": "0.1.0", "seed": 3})),
            config: json(json!({"run": {"steps": 2}})),
        }
    }

    fn entry(kind: Kind, step: u64, metrics: &[(&str, f64)], rollouts: Vec<Rollout>) -> Entry {
        let mut all = Metrics::default();
        metrics.iter().for_each(|(name, value)| all.set(*name, *value));
        let time_s = 1_700_000_010.5 + step as f64;
        Entry::Record { record: Record { kind, schema: SCHEMA, step, time_s, message: None, metrics: all }, rollouts }
    }

    fn written(folder: &Path, outcome: Outcome) -> (PathBuf, Vec<proto::Record>) {
        let config = WandbConfig { tags: vec!["t".to_owned()], group: "g".to_owned(), ..WandbConfig::default() };
        let mut sink = Offline::create(folder, &run(), &config, 1_700_000_020.0).unwrap();
        let rollout = Rollout { completion: "x".repeat(100_000), n_tokens: 4, ..Rollout::default() };
        let metrics = [("reward/mean", f64::NAN), ("compute/flops_total", 2e11)];
        sink.write(&entry(Kind::Step, 1, &metrics, vec![rollout])).unwrap();
        sink.write(&entry(Kind::System, 1, &[("system/cpu", 0.5)], vec![])).unwrap();
        sink.write(&Entry::Console { time_s: 1_700_000_011.5, line: "y".repeat(70_000) }).unwrap();
        sink.write(&entry(Kind::Eval, 2, &[("eval/s/mean@1", 0.5)], vec![])).unwrap();
        sink.finish(outcome, Instant::now()).unwrap();
        let path = sink.folder().to_owned();
        let records = log::read(&std::fs::read(path.join("run-abcd1234.wandb")).unwrap());
        (path, records)
    }

    /// What kind of record it is, with what is worth telling.
    fn brief(record: &proto::Record) -> String {
        let proto::Record { history, summary, files, stats, metric, output_raw, run, exit, .. } = record;
        let of = |item: &proto::Item| format!("{}{}={}", item.key, item.nested_key.concat(), item.value_json);
        let all = |items: &[proto::Item]| items.iter().map(of).map(|text| text.chars().take(40).collect()).collect();
        let words: Vec<String> = if let Some(history) = history {
            all(&history.item)
        } else if let Some(summary) = summary {
            vec!["summary".to_owned(), summary.update.len().to_string()]
        } else if let Some(files) = files {
            vec!["file".to_owned(), files.files[0].path.chars().take(23).collect()]
        } else if let Some(stats) = stats {
            all(&stats.item)
        } else if let Some(metric) = metric {
            vec![metric.name.clone(), metric.glob_name.clone(), metric.step_metric.clone()]
        } else if let Some(output) = output_raw {
            vec!["console".to_owned(), output.line.len().to_string()]
        } else if let Some(run) = run {
            let config = all(&run.config.as_ref().unwrap().update);
            [vec![run.run_id.clone(), run.project.clone(), run.display_name.clone(), run.run_group.clone()], config]
                .concat()
        } else if let Some(exit) = exit {
            vec!["exit".to_owned(), exit.exit_code.to_string(), exit.runtime.to_string()]
        } else {
            vec!["header".to_owned()]
        };
        words.join(" ")
    }

    #[test]
    fn a_run_is_the_records_that_the_client_expects_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (path, records) = written(folder.path(), Outcome::Complete);
        assert!(path.ends_with("offline-run-20231114_221340-abcd1234"), "{}", path.display());
        assert!(records.iter().map(|record| record.num).eq(1..=records.len() as i64));
        let found: Vec<String> = records.iter().map(brief).collect();
        assert_eq!(
            found[..4],
            [
                "header",
                "abcd1234 rlvr quick g run={\"steps\":2} rlvr={\"version\":\"0.1.0\"}",
                "compute/flops_total  ",
                "compute/step  "
            ]
        );
        assert_eq!(found[5], " reward/* compute/flops_total");
        let rest = &found[18..];
        assert_eq!(
            rest,
            [
                "file wandb-metadata.json",
                "reward/mean  compute/flops_total",
                "histogram/length  compute/step",
                "file media/table/rollouts_0_",
                "compute/flops_total=200000000000 reward/mean=NaN histogram/length={\"_type\":\"histogram\",\"b \
                 rollouts={\"_type\":\"table-file\",\"sha256\": _step=0 _timestamp=1700000011.5 _runtime=11.25",
                "summary 7",
                "cpu=50",
                "console 70001",
                "eval/s/mean@1  compute/flops_total",
                "eval/s/mean@1=0.5 _step=1 _timestamp=1700000012.5 _runtime=12.25",
                "summary 4",
                "exit 0 12"
            ]
        );
        assert!(path.join("files/wandb-metadata.json").exists());
    }

    #[test]
    fn the_same_records_make_the_same_bytes() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [a, b] =
            folders.each_ref().map(|folder| written(folder.path(), Outcome::Failed).0.join("run-abcd1234.wandb"));
        assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap());
    }

    #[test]
    fn a_run_that_may_go_on_has_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let (path, records) = written(folder.path(), Outcome::Open);
        assert!(records.iter().all(|record| record.exit.is_none()));
        assert!(path.join("run-abcd1234.wandb").exists());
    }

    #[test]
    fn a_run_that_goes_on_writes_the_rows_that_are_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), Outcome::Open);
        let config = WandbConfig::default();
        let mut sink = Offline::go_on(folder.path(), &run(), &config, 1_700_000_099.0).unwrap();
        for (step, name) in [(1, "reward/mean"), (2, "eval/s/mean@1"), (3, "reward/mean")] {
            sink.write(&entry(Kind::Step, step, &[(name, step as f64)], vec![])).unwrap();
        }
        let records = log::read(&std::fs::read(sink.folder().join("run-abcd1234.wandb")).unwrap());
        let steps: Vec<i64> = records.iter().filter_map(|r| Some(r.history.as_ref()?.step.as_ref()?.num)).collect();
        assert_eq!(steps, [2], "rows 0 and 1 stand in the first log");
        let summaries: Vec<&proto::Update> = records.iter().filter_map(|r| r.summary.as_ref()).collect();
        let update = |name: &str| summaries[0].update.iter().rfind(|item| item.key == name).unwrap().value_json.clone();
        assert_eq!(
            (summaries.len(), update("eval/s/mean@1"), update("reward/mean")),
            (1, "2".to_owned(), "3".to_owned())
        );
        assert_eq!(n_rows(folder.path(), "abcd1234"), 3);
        assert_eq!(n_rows(folder.path(), "other"), 0);
    }
}
