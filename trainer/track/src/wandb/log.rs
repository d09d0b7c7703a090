//! The frames of a `.wandb` file.
//!
//! The log format of LevelDB with two changes: a header of seven bytes, which counts in the offsets of blocks, and plain
//! CRC-32 in place of masked CRC-32C. A record is cut into fragments that do not cross blocks of 32 KiB.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;

use super::proto;
use crate::SinkError;

const BLOCK: usize = 32 * 1024;
/// Checksum, length and kind of a fragment.
const FRAGMENT_HEADER: usize = 7;
/// The name of the format, its magic number 0xBEE1 and its version.
const FILE_HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xe1, 0xbe, 0];

/// What part of a record a fragment is.
#[derive(Clone, Copy)]
enum Part {
    Full = 1,
    First = 2,
    Middle = 3,
    Last = 4,
}

/// A `.wandb` file being written; each record is one write, so that it can be read while it grows.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Where in its block the file ends.
    offset: usize,
    n_records: i64,
}

impl Log {
    /// Makes the file, which must not be there yet.
    pub(super) fn create(path: &Path) -> Result<Self, SinkError> {
        let io = |source| SinkError::Io { path: path.to_owned(), source };
        let mut file = File::options().write(true).create_new(true).open(path).map_err(io)?;
        file.write_all(&FILE_HEADER).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, offset: FILE_HEADER.len(), n_records: 0 })
    }

    /// Numbers a record and appends it.
    pub(super) fn append(&mut self, mut record: proto::Record) -> Result<(), SinkError> {
        record.num = self.n_records + 1;
        let frames = frame(&record.encode_to_vec(), &mut self.offset);
        self.file.write_all(&frames).map_err(|source| SinkError::Io { path: self.path.clone(), source })?;
        self.n_records += 1;
        Ok(())
    }
}

/// Cuts data into fragments, from `offset` in a block on, which it moves.
fn frame(data: &[u8], offset: &mut usize) -> Vec<u8> {
    let mut frames = Vec::with_capacity(data.len() + FRAGMENT_HEADER * (2 + data.len() / BLOCK));
    let mut rest = data;
    let mut is_first = true;
    loop {
        let mut left = BLOCK - *offset;
        if left < FRAGMENT_HEADER {
            frames.resize(frames.len() + left, 0);
            *offset = 0;
            left = BLOCK;
        }
        // With exactly a header's room left a first fragment is empty, as LevelDB has it.
        let (fragment, after) = rest.split_at(rest.len().min(left - FRAGMENT_HEADER));
        let part = match (is_first, after.is_empty()) {
            (true, true) => Part::Full,
            (true, false) => Part::First,
            (false, false) => Part::Middle,
            (false, true) => Part::Last,
        };
        write_fragment(&mut frames, part, fragment);
        *offset = (*offset + FRAGMENT_HEADER + fragment.len()) % BLOCK;
        (rest, is_first) = (after, false);
        if rest.is_empty() {
            return frames;
        }
    }
}

fn write_fragment(frames: &mut Vec<u8>, part: Part, data: &[u8]) {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&[part as u8]);
    checksum.update(data);
    let length = u16::try_from(data.len()).expect("a fragment is shorter than a block");
    frames.extend_from_slice(&checksum.finalize().to_le_bytes());
    frames.extend_from_slice(&length.to_le_bytes());
    frames.push(part as u8);
    frames.extend_from_slice(data);
}

/// Reads the records of a file as far as its frames are whole, as a writer that was killed leaves them.
pub(super) fn read(bytes: &[u8]) -> Vec<proto::Record> {
    let (mut at, mut records, mut data) = (FILE_HEADER.len(), vec![], vec![]);
    if !bytes.starts_with(&FILE_HEADER) {
        return records;
    }
    loop {
        let left = BLOCK - at % BLOCK;
        if left < FRAGMENT_HEADER {
            at += left;
        }
        let Some((part, fragment)) = read_fragment(bytes.get(at..).unwrap_or_default()) else { return records };
        data.extend_from_slice(fragment);
        at += FRAGMENT_HEADER + fragment.len();
        if part == Part::Full as u8 || part == Part::Last as u8 {
            let Ok(record) = proto::Record::decode(data.as_slice()) else { return records };
            records.push(record);
            data.clear();
        }
    }
}

/// The kind and the data of a fragment, if it is whole.
fn read_fragment(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<FRAGMENT_HEADER>()?;
    let [c0, c1, c2, c3, l0, l1, part] = *header;
    let data = rest.get(..usize::from(u16::from_le_bytes([l0, l1])))?;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&[part]);
    checksum.update(data);
    (checksum.finalize() == u32::from_le_bytes([c0, c1, c2, c3])).then_some((part, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_the_bytes_of_the_format() {
        // The checksum is zlib's: zlib.crc32(b"\x01abc") == 0x539d20a9.
        let mut offset = 7;
        let frames = frame(b"abc", &mut offset);
        assert_eq!(frames, [0xa9, 0x20, 0x9d, 0x53, 3, 0, 1, b'a', b'b', b'c']);
        assert_eq!(offset, 17);
    }

    /// Lengths of the fragments, with their kinds, and the zeros before them.
    #[track_caller]
    fn check(offset: usize, n: usize, expected: &[(usize, u8, usize)], end: usize) {
        let mut at = offset;
        let frames = frame(&vec![b'x'; n], &mut at);
        let mut found = vec![];
        let (mut rest, mut place) = (frames.as_slice(), offset);
        while !rest.is_empty() {
            let zeros = if BLOCK - place < FRAGMENT_HEADER { BLOCK - place } else { 0 };
            rest = &rest[zeros..];
            let length = usize::from(u16::from_le_bytes([rest[4], rest[5]]));
            found.push((zeros, rest[6], length));
            place = (place + zeros + FRAGMENT_HEADER + length) % BLOCK;
            rest = &rest[FRAGMENT_HEADER + length..];
        }
        assert_eq!((found.as_slice(), at), (expected, end));
    }

    #[test]
    fn records_are_cut_at_blocks() {
        check(7, 100, &[(0, 1, 100)], 114);
        check(7, 70_000, &[(0, 2, 32_754), (0, 3, 32_761), (0, 4, 4485)], 4492);
        check(BLOCK - 6, 1, &[(6, 1, 1)], 8); // no room for a header: zeros
        check(BLOCK - 7, 5, &[(0, 2, 0), (0, 4, 5)], 12); // room for a header alone: an empty first fragment
        check(BLOCK - 17, 10, &[(0, 1, 10)], 0); // to the last byte
    }

    #[test]
    fn records_are_numbered_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run-a.wandb");
        let mut log = Log::create(&path).unwrap();
        let console = |line: String| proto::Record {
            output_raw: Some(proto::OutputRaw { output_type: 1, timestamp: None, line }),
            ..proto::Record::default()
        };
        let lines = ["a".to_owned(), "b".repeat(100_000), "c".to_owned()];
        for line in &lines {
            log.append(console(line.clone())).unwrap();
        }
        let found = read(&std::fs::read(&path).unwrap());
        let of = |record: &proto::Record| (record.num, record.output_raw.clone().unwrap().line);
        assert_eq!(found.iter().map(of).collect::<Vec<_>>(), (1..).zip(lines).collect::<Vec<_>>());
        assert!(Log::create(&path).is_err(), "a log is never written over");
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(read(&bytes[..bytes.len() - 1]).len(), 2, "the last record is torn");
        assert_eq!(read(&bytes[..50_000]).len(), 1);
    }
}
