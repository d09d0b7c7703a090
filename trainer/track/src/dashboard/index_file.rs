//! The index on disk: `RUN/dashboard/rollouts.index`, derived and free to be deleted.
//!
//! A header, then a block for each rollout file: one line of JSON with the step, the file's stamp and the words, then the
//! rows as bytes. A later block of a step stands for the earlier; a torn or foreign end is cut off.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::index::Stamp;
use super::rows::{FileRows, Row, Vocabulary, WordLists};

const HEADER: &[u8] = b"rlvr rollout index 2\n";

/// Where an index is written down, if it can be.
#[derive(Debug)]
pub(super) struct IndexFile(Option<File>);

#[derive(Debug, Serialize, Deserialize)]
struct Block {
    step: u64,
    stamp: Stamp,
    n_rows: usize,
    n_damaged: u64,
    words: WordLists,
    /// CRC-32C of the words as JSON and the bytes of the rows.
    checksum: u32,
}

impl Block {
    fn checksum_of(words: &WordLists, rows: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&serde_json::to_vec(words).unwrap_or_default()), rows)
    }
}

impl IndexFile {
    /// The index file of a run. A folder that cannot be written, as of a copy on a read-only disk, has none; nor has a
    /// second dashboard on the same run, or a folder with links in it.
    pub(super) fn beside(run: &Path) -> Self {
        let folder = run.join("dashboard");
        let path = folder.join("rollouts.index");
        // A run that somebody sent must not lead to another file, which would be cut off here.
        if [&folder, &path].iter().any(|path| path.is_symlink()) {
            return Self(None);
        }
        let open = || {
            std::fs::create_dir_all(&folder)?;
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
        };
        Self(open().ok().filter(|file| file.try_lock().is_ok()))
    }

    /// Writes nothing down.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self(None)
    }

    /// Reads all blocks, and goes on behind the last whole one.
    pub(super) fn load(&mut self) -> Vec<Indexed> {
        let Some(file) = &mut self.0 else { return vec![] };
        let mut bytes = vec![];
        if file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).is_err() {
            self.0 = None;
            return vec![];
        }
        let (blocks, whole) = read_blocks(&bytes);
        let cut = file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0)));
        if cut.is_err() {
            self.0 = None;
        }
        blocks
    }

    /// Writes a block down. What fails is given up: the index is then built again the next time.
    pub(super) fn append(&mut self, step: u64, stamp: Stamp, rows: &FileRows) {
        let Some(file) = &mut self.0 else { return };
        let words = rows.vocabulary.lists();
        let mut row_bytes = Vec::with_capacity(rows.rows.len() * Row::SIZE);
        rows.rows.iter().for_each(|row| row.write(&mut row_bytes));
        let checksum = Block::checksum_of(&words, &row_bytes);
        let block = Block { step, stamp, n_rows: rows.rows.len(), n_damaged: rows.n_damaged, words, checksum };
        let mut bytes =
            if file.metadata().is_ok_and(|metadata| metadata.len() == 0) { HEADER.to_vec() } else { vec![] };
        let written = serde_json::to_writer(&mut bytes, &block).map_err(std::io::Error::from).and_then(|()| {
            bytes.push(b'\n');
            bytes.extend_from_slice(&row_bytes);
            file.seek(SeekFrom::End(0))?;
            file.write_all(&bytes)
        });
        if written.is_err() {
            self.0 = None;
        }
    }
}

/// The step of a rollout file, how the file was, and its rollouts.
type Indexed = (u64, Stamp, FileRows);

/// The blocks and where the last whole one ends.
fn read_blocks(bytes: &[u8]) -> (Vec<Indexed>, usize) {
    let mut blocks = vec![];
    let Some(mut rest) = bytes.strip_prefix(HEADER) else { return (blocks, 0) };
    while let Some((block, after)) = read_block(rest) {
        blocks.push(block);
        rest = after;
    }
    (blocks, bytes.len() - rest.len())
}

fn read_block(bytes: &[u8]) -> Option<(Indexed, &[u8])> {
    let end = bytes.iter().position(|&b| b == b'\n')?;
    let block: Block = serde_json::from_slice(&bytes[..end]).ok()?;
    let (rows, rest) = bytes[end + 1..].split_at_checked(block.n_rows.checked_mul(Row::SIZE)?)?;
    if Block::checksum_of(&block.words, rows) != block.checksum {
        return None;
    }
    let vocabulary = Vocabulary::from_lists(block.words);
    let rows: Vec<Row> = rows.as_chunks().0.iter().map(Row::read).collect();
    let knows = |row: &Row| {
        let all = [
            (row.task, &vocabulary.tasks),
            (row.source, &vocabulary.sources),
            (row.findings, &vocabulary.findings),
            (row.stop, &vocabulary.stops),
        ];
        let is_within = row.offset.checked_add(row.len.into()).is_some_and(|end| end <= block.stamp.bytes);
        is_within && all.iter().all(|(place, words)| (*place as usize) < words.all().len())
    };
    if !rows.iter().all(knows) {
        return None;
    }
    Some(((block.step, block.stamp, FileRows { vocabulary, rows, n_damaged: block.n_damaged }), rest))
}

#[cfg(test)]
mod tests {
    use super::super::rows::index_file;
    use super::*;
    use crate::rollouts::tests::line;

    fn steps(run: &Path) -> Vec<(u64, usize)> {
        IndexFile::beside(run).load().iter().map(|(step, _, rows)| (*step, rows.rows.len())).collect()
    }

    #[test]
    fn torn_and_foreign_ends_are_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let rows = index_file((line(1, 0, 0, None, "a") + &line(1, 0, 1, None, "b")).as_bytes());
        let stamp = Stamp { bytes: 5000, modified_ns: 6 };
        assert_eq!(steps(folder.path()), []);
        let mut file = IndexFile::beside(folder.path());
        file.append(1, stamp, &rows);
        file.append(2, stamp, &rows);
        drop(file);
        let path = folder.path().join("dashboard/rollouts.index");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(steps(folder.path()), [(1, 2)]);
        let mut file = IndexFile::beside(folder.path());
        assert_eq!(file.load()[0].1, stamp);
        file.append(3, stamp, &rows);
        drop(file);
        assert_eq!(steps(folder.path()), [(1, 2), (3, 2)]);
        let mut flipped = std::fs::read(&path).unwrap();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(steps(folder.path()), [(1, 2)]);
        std::fs::write(&path, "something else\n").unwrap();
        assert_eq!(steps(folder.path()), []);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_run_that_cannot_be_written_has_no_index_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dashboard"), "in the way").unwrap();
        assert!(IndexFile::beside(folder.path()).0.is_none());
        assert_eq!(steps(folder.path()), []);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("precious");
        std::fs::write(&other, "text").unwrap();
        std::fs::create_dir(folder.path().join("dashboard")).unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("dashboard/rollouts.index")).unwrap();
        assert_eq!(steps(folder.path()), []);
        assert_eq!(std::fs::read(&other).unwrap(), b"text");
    }

    #[test]
    fn one_dashboard_writes_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = IndexFile::beside(folder.path());
        assert!(first.0.is_some() && IndexFile::beside(folder.path()).0.is_none());
    }
}
