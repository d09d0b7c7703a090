//! The messages of `wandb_internal.proto`, as far as a run needs them.
//!
//! A [`Record`] there is one of many kinds; here it is a message of optional fields, of which one is set. On the wire the
//! two are the same.

/// Seconds since 1970 and nanoseconds.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Timestamp {
    /// The moment `time_s` seconds after the beginning of 1970.
    pub(super) fn at(time_s: f64) -> Self {
        let seconds = time_s.floor();
        Self { seconds: seconds as i64, nanos: ((time_s - seconds) * 1e9) as i32 }
    }
}

/// A line of the log.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    #[prost(int64, tag = "1")]
    pub num: i64,
    #[prost(message, optional, tag = "2")]
    pub history: Option<History>,
    #[prost(message, optional, tag = "3")]
    pub summary: Option<Update>,
    #[prost(message, optional, tag = "6")]
    pub files: Option<Files>,
    #[prost(message, optional, tag = "7")]
    pub stats: Option<Stats>,
    #[prost(message, optional, tag = "12")]
    pub metric: Option<Metric>,
    #[prost(message, optional, tag = "13")]
    pub output_raw: Option<OutputRaw>,
    #[prost(message, optional, tag = "17")]
    pub run: Option<Run>,
    #[prost(message, optional, tag = "18")]
    pub exit: Option<Exit>,
    #[prost(message, optional, tag = "21")]
    pub header: Option<Header>,
}

/// A value by its name. History names it by `nested_key`, with one element, so that slashes stay in the name.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Item {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, repeated, tag = "2")]
    pub nested_key: Vec<String>,
    #[prost(string, tag = "16")]
    pub value_json: String,
}

/// A row of history.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct History {
    #[prost(message, repeated, tag = "1")]
    pub item: Vec<Item>,
    #[prost(message, optional, tag = "2")]
    pub step: Option<Step>,
}

/// The number of a row.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Step {
    #[prost(int64, tag = "1")]
    pub num: i64,
}

/// Values that take the place of those before: of the summary, or of the config.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Update {
    #[prost(message, repeated, tag = "1")]
    pub update: Vec<Item>,
}

/// Files to be uploaded.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Files {
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FilesItem>,
}

/// A file beside the log, below `files/`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FilesItem {
    #[prost(string, tag = "1")]
    pub path: String,
    /// 0 now, 1 at the end, 2 as it grows.
    #[prost(int32, tag = "2")]
    pub policy: i32,
    /// 1 is the client's own, 2 is media.
    #[prost(int32, tag = "3")]
    pub r#type: i32,
}

/// Measurements of the machine.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Stats {
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Timestamp>,
    #[prost(message, repeated, tag = "3")]
    pub item: Vec<Item>,
}

/// Over what a metric is drawn.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Metric {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub glob_name: String,
    #[prost(string, tag = "4")]
    pub step_metric: String,
    #[prost(message, optional, tag = "6")]
    pub options: Option<MetricOptions>,
    #[prost(bool, tag = "10")]
    pub expanded_from_glob: bool,
}

/// Switches of a metric.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct MetricOptions {
    #[prost(bool, tag = "1")]
    pub step_sync: bool,
    #[prost(bool, tag = "2")]
    pub hidden: bool,
    #[prost(bool, tag = "3")]
    pub defined: bool,
}

/// A line of the console.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OutputRaw {
    /// 0 is stderr, 1 is stdout.
    #[prost(int32, tag = "1")]
    pub output_type: i32,
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Timestamp>,
    #[prost(string, tag = "3")]
    pub line: String,
}

/// What the run is.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Run {
    #[prost(string, tag = "1")]
    pub run_id: String,
    #[prost(string, tag = "2")]
    pub entity: String,
    #[prost(string, tag = "3")]
    pub project: String,
    #[prost(message, optional, tag = "4")]
    pub config: Option<Update>,
    #[prost(string, tag = "6")]
    pub run_group: String,
    #[prost(string, tag = "8")]
    pub display_name: String,
    #[prost(string, repeated, tag = "10")]
    pub tags: Vec<String>,
    #[prost(string, tag = "13")]
    pub host: String,
    #[prost(message, optional, tag = "17")]
    pub start_time: Option<Timestamp>,
    #[prost(message, optional, tag = "21")]
    pub git: Option<Git>,
}

/// The source that the run was made from.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Git {
    #[prost(string, tag = "2")]
    pub commit: String,
}

/// How the run ended.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Exit {
    #[prost(int32, tag = "1")]
    pub exit_code: i32,
    #[prost(int32, tag = "2")]
    pub runtime: i32,
}

/// Who wrote the log, and what reads it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(message, optional, tag = "1")]
    pub version_info: Option<VersionInfo>,
}

/// Versions of writer and reader.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct VersionInfo {
    #[prost(string, tag = "1")]
    pub producer: String,
    #[prost(string, tag = "2")]
    pub min_consumer: String,
}
