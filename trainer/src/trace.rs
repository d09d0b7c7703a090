//! Where the time of a step goes: spans, added up by path and written as a trace.
//!
//! The phases of a step are spans of the crate `tracing`; while nobody records them, each costs an atomic load. A
//! [`Recorder`] adds them up, and writes them to a file in Chrome's trace format, which chrome://tracing and
//! ui.perfetto.dev open. Seconds are those of the thread that works: on a GPU, a span that does not wait for a result
//! is as long as it takes to ask for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Subscriber, subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// Records the spans of this project.
#[derive(Clone, Debug)]
pub struct Recorder {
    state: Arc<Mutex<State>>,
}

/// What the spans of one path came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SpanTotal {
    /// How many there were.
    pub n: u64,
    /// Their seconds, those of the spans within them included.
    pub wall_s: f64,
}

#[derive(Debug)]
struct State {
    start: Instant,
    totals: BTreeMap<String, SpanTotal>,
    threads: Vec<ThreadId>,
    file: Option<TraceFile>,
    /// The first error of the file, after which nothing is written any more.
    error: Option<io::Error>,
}

impl Recorder {
    /// Makes a recorder that only adds up.
    pub fn in_memory() -> Self {
        Self::new(None)
    }

    /// Makes a recorder that also writes to a file, which is replaced.
    ///
    /// The file is valid after every span, however the process ends.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Some(TraceFile::create(path)?)))
    }

    fn new(file: Option<TraceFile>) -> Self {
        let state = State { start: Instant::now(), totals: BTreeMap::new(), threads: vec![], file, error: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Does a piece of work and records the spans of this thread meanwhile.
    pub fn record<T>(&self, work: impl FnOnce() -> T) -> T {
        subscriber::with_default(Registry::default().with(self.clone()), work)
    }

    /// Takes out what the spans came to by path, such as `generate/decode`, since the last time.
    pub fn take_totals(&self) -> BTreeMap<String, SpanTotal> {
        std::mem::take(&mut self.state().totals)
    }

    /// Says whether all was written.
    ///
    /// # Errors
    ///
    /// The first error that kept spans from the file.
    pub fn finish(&self) -> io::Result<()> {
        self.state().error.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A span that is being recorded.
struct Open {
    path: String,
    /// When it was entered last.
    start: Instant,
    args: Map<String, Value>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() && metadata.target().starts_with("rlvr")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| parent.extensions().get::<Open>().map(|open| open.path.clone()));
        let path = parent.map_or(span.name().to_owned(), |parent| format!("{parent}/{}", span.name()));
        let mut args = Args(Map::new());
        attributes.record(&mut args);
        span.extensions_mut().insert(Open { path, start: Instant::now(), args: args.0 });
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            open.start = Instant::now();
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions().get::<Open>() {
            self.state().add(span.name(), open);
        }
    }
}

impl State {
    fn add(&mut self, name: &str, Open { path, start, args }: &Open) {
        let elapsed = start.elapsed();
        let total = self.totals.entry(path.clone()).or_default();
        total.n += 1;
        total.wall_s += elapsed.as_secs_f64();
        if self.file.is_none() {
            return;
        }
        let us = |duration: Duration| duration.as_nanos() as f64 / 1e3;
        let ts = us(start.saturating_duration_since(self.start));
        let event = json!({"name": name, "cat": "rlvr", "ph": "X", "ts": ts, "dur": us(elapsed), "pid": 1,
            "tid": self.thread(), "args": args});
        if let Some(Err(error)) = self.file.as_mut().map(|file| file.append(&event)) {
            (self.file, self.error) = (None, Some(error));
        }
    }

    /// Numbers this thread.
    fn thread(&mut self) -> usize {
        let this = thread::current().id();
        self.threads.iter().position(|id| *id == this).unwrap_or_else(|| {
            self.threads.push(this);
            self.threads.len() - 1
        })
    }
}

/// The fields of a span.
struct Args(Map<String, Value>);

impl Visit for Args {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

/// A JSON array that is whole after every event: its end is written over by the next one.
#[derive(Debug)]
struct TraceFile {
    file: File,
    is_empty: bool,
}

/// The end of the array.
const END: &str = "\n]\n";

impl TraceFile {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(format!("[{END}").as_bytes())?;
        Ok(Self { file, is_empty: true })
    }

    fn append(&mut self, event: &Value) -> io::Result<()> {
        let comma = if self.is_empty { "" } else { "," };
        self.is_empty = false;
        self.file.seek(SeekFrom::End(-(END.len() as i64)))?;
        self.file.write_all(format!("{comma}\n{event}{END}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use tracing::info_span;

    use super::*;

    fn work() {
        let _step = info_span!("step", step = 3_u64).entered();
        for rows in 0..2_u64 {
            info_span!("decode", rows).in_scope(|| ());
        }
        let _never_entered = info_span!("score");
        let _foreign = info_span!(target: "elsewhere", "noise").entered();
    }

    #[test]
    fn totals_are_by_path() {
        let recorder = Recorder::in_memory();
        recorder.record(work);
        let totals = recorder.take_totals();
        let counts: Vec<(&str, u64)> = totals.iter().map(|(path, total)| (path.as_str(), total.n)).collect();
        assert_eq!(counts, [("step", 1), ("step/decode", 2)]);
        assert!(totals["step"].wall_s >= totals["step/decode"].wall_s);
        assert!(recorder.take_totals().is_empty());
    }

    #[test]
    fn the_file_is_whole_at_any_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.json");
        let recorder = Recorder::to_file(&path).unwrap();
        let events = || serde_json::from_str::<Vec<Value>>(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(events().is_empty());
        recorder.record(|| {
            work();
            assert_eq!(events().len(), 3);
        });
        recorder.finish().unwrap();
        let shown: Vec<(Value, Value)> = events().iter().map(|e| (e["name"].clone(), e["args"].clone())).collect();
        let expected = [("decode", json!({"rows": 0})), ("decode", json!({"rows": 1})), ("step", json!({"step": 3}))];
        assert_eq!(shown, expected.map(|(name, args)| (json!(name), args)));
    }

    #[test]
    fn a_span_that_nobody_records_costs_next_to_nothing() {
        let start = Instant::now();
        let n = 100_000;
        for rows in 0..n {
            info_span!("decode", rows).in_scope(|| std::hint::black_box(rows));
        }
        let each = start.elapsed() / n as u32;
        assert!(each < Duration::from_micros(1), "{each:?}");
    }
}
