//! TensorBoard event files.
//!
//! A file of frames, each a length, its checksum, an `Event` message and its checksum; checksums are CRC-32C, rotated and
//! shifted ("masked"), as in TFRecord files. Every measurement of a record becomes a scalar of its own name.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use rlvr_curves::record::Record;

use crate::{Sink, SinkError};

/// The messages of TensorFlow's `event.proto` and `summary.proto`, as far as scalars need them.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Event {
        #[prost(double, tag = "1")]
        pub wall_time: f64,
        #[prost(int64, tag = "2")]
        pub step: i64,
        #[prost(string, optional, tag = "3")]
        pub file_version: Option<String>,
        #[prost(message, optional, tag = "5")]
        pub summary: Option<Summary>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Summary {
        #[prost(message, repeated, tag = "1")]
        pub value: Vec<Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Value {
        #[prost(string, tag = "1")]
        pub tag: String,
        #[prost(float, tag = "2")]
        pub simple_value: f32,
    }
}

/// An event file being written.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: BufWriter<File>,
}

impl TensorBoard {
    /// Makes the event file of a run that started at `start_s`, seconds since 1970, in `folder`.
    ///
    /// The same start makes the same name, so that a replay takes the place of the one before.
    ///
    /// # Errors
    ///
    /// If the folder or the file cannot be made.
    pub fn create(folder: &Path, start_s: f64) -> Result<Self, SinkError> {
        let path = folder.join(format!("events.out.tfevents.{:010}.rlvr", start_s as u64));
        let io = |source| SinkError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let file = BufWriter::new(File::create(&path).map_err(io)?);
        let mut sink = Self { path, file };
        let version = Some("brain.Event:2".to_owned());
        sink.frame(&proto::Event { wall_time: start_s, step: 0, file_version: version, summary: None })?;
        Ok(sink)
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
}

impl Sink for TensorBoard {
    fn write(&mut self, record: &Record) -> Result<(), SinkError> {
        let value: Vec<proto::Value> = record
            .metrics
            .iter()
            .map(|(name, value)| proto::Value { tag: name.to_owned(), simple_value: value as f32 })
            .collect();
        if value.is_empty() {
            return Ok(());
        }
        // Steps of supervised training are counted beside those of reinforcement learning.
        let step = record.metrics.get("sft/step").unwrap_or(record.step as f64) as i64;
        let summary = Some(proto::Summary { value });
        self.frame(&proto::Event { wall_time: record.time_s, step, file_version: None, summary })
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.file.flush().map_err(|source| SinkError::Io { path: self.path.clone(), source })
    }
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

    #[test]
    fn a_record_is_a_frame_of_scalars() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = TensorBoard::create(folder.path(), 1_700_000_000.5).unwrap();
        let mut metrics = Metrics::default();
        metrics.set("outcome/mean", 0.25);
        let record =
            Record { kind: Kind::Step, schema: SCHEMA, step: 7, time_s: 1_700_000_009.0, message: None, metrics };
        sink.write(&record).unwrap();
        sink.finish().unwrap();

        let bytes = std::fs::read(folder.path().join("events.out.tfevents.1700000000.rlvr")).unwrap();
        let mut rest = bytes.as_slice();
        let mut events = vec![];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(u32::from_le_bytes(rest[8..12].try_into().unwrap()), masked_crc(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(u32::from_le_bytes(rest[12 + length..16 + length].try_into().unwrap()), masked_crc(data));
            events.push(proto::Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!(events[1].step, 7);
        let value = &events[1].summary.as_ref().unwrap().value[0];
        assert_eq!((value.tag.as_str(), value.simple_value), ("outcome/mean", 0.25));
    }
}
