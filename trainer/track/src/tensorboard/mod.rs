//! TensorBoard event files.
//!
//! A file of frames, each a length, its checksum, an `Event` message and its checksum; checksums are CRC-32C, rotated and
//! shifted ("masked"), as in TFRecord files. Every measurement of a record becomes a scalar of its own name; rollouts
//! become histograms and a few of them text; the config becomes hyperparameters.
//!
//! The axis of TensorBoard is a whole number. So the scalars stand in further folders beside, which TensorBoard shows as
//! runs: `by_tokens` over the tokens sampled, and `by_gflops` over training compute.

mod hparams;
mod proto;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use prost::Message;
use rlvr_curves::record::Record;

use crate::histogram::{self, Histogram};
use crate::replay::{Description, Entry, Rollout};
use crate::{Outcome, Sink, SinkError};

/// Rollouts of a step that are shown as text: the first, whatever came of them.
const N_TEXTS: usize = 4;
/// A step has texts if its number is a multiple of this, and the first.
const TEXTS_EVERY: u64 = 10;
/// Further axes: the folder, the measurement, and how many of it make one step of the axis.
const AXES: [(&str, &str, f64); 2] =
    [("by_tokens", "compute/tokens_gen", 1.0), ("by_gflops", "compute/flops_total", 1e9)];

/// The event files of a run being written.
#[derive(Debug)]
pub struct TensorBoard {
    events: EventFile,
    axes: Vec<(EventFile, &'static str, f64)>,
    time_s: f64,
}

impl TensorBoard {
    /// Makes the event files of a run in `folder`.
    ///
    /// The same run makes the same names, so that a replay takes the place of the one before.
    ///
    /// # Errors
    ///
    /// If the folder or a file cannot be made.
    pub fn create(folder: &Path, run: &Description) -> Result<Self, SinkError> {
        let axis = |(name, measurement, unit): (&str, _, _)| {
            Ok((EventFile::create(&folder.join(name), run.started_s)?, measurement, unit))
        };
        let axes = AXES.into_iter().map(axis).collect::<Result<_, SinkError>>()?;
        let mut sink = Self { events: EventFile::create(folder, run.started_s)?, axes, time_s: run.started_s };
        for value in hparams::begin(run) {
            sink.events.write(run.started_s, 0, vec![value])?;
        }
        Ok(sink)
    }

    fn record(&mut self, record: &Record, rollouts: &[Rollout]) -> Result<(), SinkError> {
        self.time_s = record.time_s;
        let scalars: Vec<proto::Value> = record.metrics.iter().map(|(name, value)| scalar(name, value)).collect();
        if scalars.is_empty() {
            return Ok(());
        }
        // Steps of supervised training are counted beside those of reinforcement learning.
        let warm_start_step = record.metrics.get("sft/step");
        for (file, measurement, unit) in &mut self.axes {
            let at = record.metrics.get(measurement).filter(|_| warm_start_step.is_none());
            if let Some(at) = at {
                file.write(record.time_s, (at / *unit).round() as i64, scalars.clone())?;
            }
        }
        let step = warm_start_step.unwrap_or(record.step as f64) as i64;
        let histograms = histogram::of_rollouts(rollouts);
        let mut values = scalars;
        values.extend(histograms.iter().map(|(name, histogram)| histogram_value(name, histogram)));
        if record.step == 1 || record.step.is_multiple_of(TEXTS_EVERY) {
            let shown = rollouts.iter().take(N_TEXTS).enumerate();
            values.extend(shown.map(|(i, rollout)| text(&format!("rollouts/{i}"), &markdown(rollout))));
        }
        self.events.write(record.time_s, step, values)
    }
}

impl Sink for TensorBoard {
    fn write(&mut self, entry: &Entry) -> Result<(), SinkError> {
        match entry {
            Entry::Record { record, rollouts } => self.record(record, rollouts),
            Entry::Console { .. } => Ok(()), // there is no place for it
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.axes.iter_mut().try_for_each(|(file, ..)| file.flush())?;
        self.events.flush()
    }

    fn finish(&mut self, outcome: Outcome, _deadline: Instant) -> Result<(), SinkError> {
        if let Some(value) = hparams::end(outcome, self.time_s) {
            self.events.write(self.time_s, 0, vec![value])?;
        }
        self.flush()
    }
}

/// An event file being written.
#[derive(Debug)]
struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventFile {
    /// Makes the file of a run that started at `start_s`, in place of what may be there.
    fn create(folder: &Path, start_s: f64) -> Result<Self, SinkError> {
        let path = folder.join(format!("events.out.tfevents.{:010}.rlvr", start_s as u64));
        let io = |source| SinkError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        // A TensorBoard that reads the old file goes on with it, rather than in the middle of the new one.
        let _ = std::fs::remove_file(&path);
        let file = BufWriter::new(File::create(&path).map_err(io)?);
        let mut events = Self { path, file };
        let file_version = Some("brain.Event:2".to_owned());
        events.frame(&proto::Event { wall_time: start_s, file_version, ..proto::Event::default() })?;
        Ok(events)
    }

    fn write(&mut self, wall_time: f64, step: i64, value: Vec<proto::Value>) -> Result<(), SinkError> {
        self.frame(&proto::Event { wall_time, step, file_version: None, summary: Some(proto::Summary { value }) })
    }

    fn frame(&mut self, event: &proto::Event) -> Result<(), SinkError> {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let mut frame = Vec::with_capacity(data.len() + 16);
        frame.extend_from_slice(&length);
        frame.extend_from_slice(&masked_crc(&length).to_le_bytes());
        frame.extend_from_slice(&data);
        frame.extend_from_slice(&masked_crc(&data).to_le_bytes());
        self.file.write_all(&frame).map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.file.flush().map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }
}

fn scalar(name: &str, value: f64) -> proto::Value {
    proto::Value { tag: name.to_owned(), simple_value: Some(value as f32), ..proto::Value::default() }
}

fn histogram_value(name: &str, histogram: &Histogram) -> proto::Value {
    let histo = proto::Histogram {
        min: histogram.min,
        max: histogram.max,
        num: histogram.counts.iter().sum::<u64>() as f64,
        sum: histogram.sum,
        sum_squares: histogram.sum_squares,
        bucket_limit: histogram.edges[1..].to_vec(),
        bucket: histogram.counts.iter().map(|&count| count as f64).collect(),
    };
    proto::Value { tag: name.to_owned(), histo: Some(histo), ..proto::Value::default() }
}

fn text(tag: &str, text: &str) -> proto::Value {
    let tensor = proto::Tensor {
        dtype: 7,
        shape: Some(proto::Shape { dim: vec![proto::Dim { size: 1 }] }),
        string_val: vec![text.to_owned()],
    };
    let data = proto::PluginData { plugin_name: "text".to_owned(), content: vec![] };
    proto::Value {
        tag: tag.to_owned(),
        tensor: Some(tensor),
        metadata: Some(proto::Metadata { plugin_data: Some(data) }),
        ..proto::Value::default()
    }
}

/// A rollout as TensorBoard's text plugin shows it: Markdown, in which what the model wrote is indented as code, so that
/// none of it is read as markup.
fn markdown(rollout: &Rollout) -> String {
    let code = |text: &str| text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    let reward = rollout.reward.map_or("none".to_owned(), |reward| reward.to_string());
    format!(
        "reward {reward}, {}, {} tokens\n\nprompt:\n\n{}\n\ncompletion:\n\n{}",
        rollout.finding(),
        rollout.n_tokens,
        code(&rollout.prompt),
        code(&rollout.completion)
    )
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use rlvr_curves::record::{Kind, Metrics, SCHEMA};

    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // The check value of CRC-32C is 0xe3069283 for "123456789".
        assert_eq!(masked_crc(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    fn run() -> Description {
        let config = [("run".to_owned(), serde_json::json!({"steps": 3}))].into_iter().collect();
        Description { started_s: 1_700_000_000.5, config, ..Description::default() }
    }

    fn entry(metrics: &[(&str, f64)], rollouts: Vec<Rollout>) -> Entry {
        let mut all = Metrics::default();
        metrics.iter().for_each(|(name, value)| all.set(*name, *value));
        let record =
            Record { kind: Kind::Step, schema: SCHEMA, step: 10, time_s: 1_700_000_009.0, message: None, metrics: all };
        Entry::Record { record, rollouts }
    }

    /// The events of a file, whose frames are checked.
    fn events(path: &Path) -> Vec<proto::Event> {
        let bytes = std::fs::read(path.join("events.out.tfevents.1700000000.rlvr")).unwrap();
        let (mut rest, mut events) = (bytes.as_slice(), vec![]);
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(u32::from_le_bytes(rest[8..12].try_into().unwrap()), masked_crc(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(u32::from_le_bytes(rest[12 + length..16 + length].try_into().unwrap()), masked_crc(data));
            events.push(proto::Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    fn written(entries: &[Entry]) -> (tempfile::TempDir, Vec<proto::Event>) {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = TensorBoard::create(folder.path(), &run()).unwrap();
        entries.iter().for_each(|entry| sink.write(entry).unwrap());
        sink.finish(Outcome::Complete, Instant::now()).unwrap();
        let events = events(folder.path());
        (folder, events)
    }

    #[test]
    fn a_record_is_a_frame_of_scalars_over_each_axis() {
        let entry = entry(&[("outcome/mean", 0.25), ("compute/tokens_gen", 640.0)], vec![]);
        let (folder, found) = written(&[entry]);
        assert_eq!(found[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(found[3].step, 10);
        let value = &found[3].summary.as_ref().unwrap().value[1];
        assert_eq!((value.tag.as_str(), value.simple_value), ("outcome/mean", Some(0.25)));
        assert_eq!(events(&folder.path().join("by_tokens"))[1].step, 640);
        assert_eq!(events(&folder.path().join("by_gflops")).len(), 1, "what was not measured has no place there");
    }

    #[test]
    fn rollouts_are_histograms_and_text() {
        let rollout = Rollout {
            reward: Some(1.0),
            n_tokens: 3,
            prompt: "1+1=".to_owned(),
            completion: "2\n<b>".to_owned(),
            ..Rollout::default()
        };
        let (_folder, found) = written(&[entry(&[("outcome/mean", 0.25)], vec![rollout; 2])]);
        let values = &found[3].summary.as_ref().unwrap().value;
        let tags: Vec<&str> = values.iter().map(|value| value.tag.as_str()).collect();
        assert_eq!(tags, ["outcome/mean", "histogram/reward", "histogram/length", "rollouts/0", "rollouts/1"]);
        let lengths = values[2].histo.as_ref().unwrap();
        assert_eq!((lengths.num, lengths.sum, lengths.sum_squares), (2.0, 6.0, 18.0));
        let shown = &values[3].tensor.as_ref().unwrap().string_val[0];
        assert_eq!(shown, "reward 1, , 3 tokens\n\nprompt:\n\n    1+1=\n\ncompletion:\n\n    2\n    <b>");
    }

    #[test]
    fn the_config_is_hyperparameters() {
        let (_folder, found) = written(&[]);
        let value = &found[2].summary.as_ref().unwrap().value[0];
        assert_eq!(value.tag, "_hparams_/session_start_info");
        let data = value.metadata.as_ref().unwrap().plugin_data.as_ref().unwrap();
        let start = proto::Hparams::decode(data.content.as_slice()).unwrap().session_start.unwrap();
        assert_eq!(start.hparams["run.steps"].number, Some(3.0));
        assert_eq!(found[3].summary.as_ref().unwrap().value[0].tag, "_hparams_/session_end_info");
    }
}
