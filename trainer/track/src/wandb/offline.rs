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
use super::row::{Row, Rows, system};
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
    started_s: f64,
    /// The time of the newest entry.
    time_s: f64,
}

impl Offline {
    /// Makes the log of a run in `folder`, the `wandb/` of the run folder, in a folder that is named for the time `now_s`.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or if there is one of the same second already.
    pub fn create(folder: &Path, run: &Description, config: &WandbConfig, now_s: f64) -> Result<Self, SinkError> {
        let folder = folder.join(format!("offline-run-{}-{}", date(now_s), run.id));
        for name in ["files", "logs"] {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).map_err(|source| SinkError::Io { path, source })?;
        }
        let log = Log::create(&folder.join(format!("run-{}.wandb", run.id)))?;
        let rows = Rows::new(run.started_s, config.table_every);
        let mut offline = Self { folder, log, rows, started_s: run.started_s, time_s: run.started_s };
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
        for (name, axis) in row.new_metrics {
            self.define(proto::Metric {
                name,
                step_metric: axis.to_owned(),
                expanded_from_glob: true,
                ..proto::Metric::default()
            })?;
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
        let summary = Some(proto::Update { update: items(row.values) });
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

/// Tells `wandb sync --sync-all` to pass over the logs of earlier parts of a run, since a later one holds their rows too.
///
/// # Errors
///
/// If the folder cannot be written.
pub fn supersede(folder: &Path, id: &str) -> Result<(), SinkError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(&format!("-{id}"))) {
        let path = entry.path().join(format!("run-{id}.wandb.synced"));
        std::fs::write(&path, "").map_err(|source| SinkError::Io { path, source })?;
    }
    Ok(())
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
