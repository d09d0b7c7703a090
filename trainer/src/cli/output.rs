//! Data on stdout, words on stderr, input from files or stdin.

use std::io::{BufWriter, Read, StdoutLock, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Writes JSON lines to stdout.
pub(super) struct JsonLines(BufWriter<StdoutLock<'static>>);

impl JsonLines {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(std::io::stdout().lock()))
    }

    pub(super) fn write(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.0, value).map_err(std::io::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.0.flush()?)
    }
}

/// Writes text to stdout.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Says something to people.
pub(super) fn say(text: &str) {
    rlvr::console::say(text);
}

/// Reads a file, or stdin if it is called `-`.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin is not text")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))
}
