//! The file of `--trace`.

use std::path::Path;

use anyhow::Context;
use rlvr::trace::Recorder;

use super::output::say;

/// Makes a recorder that writes to a file.
pub(super) fn recorder(path: &Path) -> anyhow::Result<Recorder> {
    Recorder::to_file(path).with_context(|| {
        format!("the trace `{}` cannot be written; name a file in a folder that exists", path.display())
    })
}

/// Says where the trace is, or that it is not whole.
pub(super) fn finish(recorder: &Recorder, path: &Path) -> anyhow::Result<()> {
    recorder.finish().with_context(|| format!("the trace `{}` breaks off", path.display()))?;
    say(&format!("trace, for chrome://tracing or ui.perfetto.dev: {}", path.display()));
    Ok(())
}
