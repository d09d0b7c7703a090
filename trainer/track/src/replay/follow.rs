//! A tracker that follows a run on a thread of its own.
//!
//! There is no queue between the run and its trackers but the run folder itself: the run writes its records, and the
//! follower reads them when it comes to it. So a tracker can neither slow the run nor lose a record.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::RunReader;
use crate::{Outcome, Sink, SinkError};

/// How often a follower looks for something new.
const POLL: Duration = Duration::from_millis(300);

/// Where followers say what people should know; may be called from any thread.
pub type Notices = Arc<dyn Fn(&str) + Send + Sync>;

/// A sink that is given what a run writes.
#[derive(Debug)]
pub struct Follower {
    name: String,
    end: Sender<(Outcome, Instant)>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Follower {
    /// Starts following a run folder from its beginning.
    ///
    /// The sink is made on the thread too, since that may take a while. When it fails, that is said once and the run goes
    /// on without it.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn start<S, F>(name: &str, folder: &Path, make: F, say: Notices) -> std::io::Result<Self>
    where
        S: Sink,
        F: FnOnce() -> Result<S, SinkError> + Send + 'static,
    {
        let (end, ended) = channel();
        let (finished, done) = channel();
        let (reader, label) = (RunReader::new(folder), name.to_owned());
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = make().and_then(|sink| follow(reader, sink, &ended)) {
                say(&format!("warning: {label}: {}; the run goes on without it", chain(&error)));
            }
            let _ = finished.send(()); // nobody may be waiting any more
        })?;
        Ok(Self { name: name.to_owned(), end, done, thread })
    }

    /// Lets the sink take the rest and end, for at most `patience`; returns what people should know if that was too short.
    pub fn finish(self, outcome: Outcome, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        let _ = self.end.send((outcome, deadline)); // it has ended already if nobody receives this
        match self.done.recv_timeout(patience) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                self.thread.join().map_err(|_| format!("{}: it broke down; the run is not affected", self.name))
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("{}: not finished after {} s and left alone", self.name, patience.as_secs()))
            }
        }
    }
}

/// Gives the sink everything that is written, until the end is told.
fn follow(mut reader: RunReader, mut sink: impl Sink, ended: &Receiver<(Outcome, Instant)>) -> Result<(), SinkError> {
    loop {
        let end = match ended.recv_timeout(POLL) {
            Ok(end) => Some(end),
            Err(RecvTimeoutError::Timeout) => None,
            // The run broke down without a word.
            Err(RecvTimeoutError::Disconnected) => Some((Outcome::Failed, Instant::now() + Duration::from_secs(5))),
        };
        while sink.wants_more() || end.is_some() {
            let Some(entry) = reader.next_entry()? else { break };
            sink.write(&entry)?;
        }
        sink.flush()?;
        if let Some((outcome, deadline)) = end {
            return sink.finish(outcome, deadline);
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;
    use crate::replay::Entry;

    /// Remembers what it was given, and fails on a line that says so.
    struct Memory(Arc<Mutex<Vec<String>>>);

    impl Sink for Memory {
        fn write(&mut self, entry: &Entry) -> Result<(), SinkError> {
            let Entry::Console { line, .. } = entry else { return Ok(()) };
            if line == "fail" {
                let source = std::io::Error::other("full");
                return Err(SinkError::Io { path: PathBuf::from("x"), source });
            }
            self.0.lock().unwrap().push(line.clone());
            Ok(())
        }
        fn flush(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
        fn finish(&mut self, outcome: Outcome, _deadline: Instant) -> Result<(), SinkError> {
            self.0.lock().unwrap().push(format!("{outcome:?}"));
            Ok(())
        }
    }

    fn followed(console: &str) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let (seen, said) = (Arc::new(Mutex::new(vec![])), Arc::new(Mutex::new(vec![])));
        let (memory, notes) = (Memory(seen.clone()), said.clone());
        let say: Notices = Arc::new(move |text| notes.lock().unwrap().push(text.to_owned()));
        let follower = Follower::start("memory", folder.path(), move || Ok(memory), say).unwrap();
        std::fs::write(folder.path().join("console.log"), console).unwrap();
        follower.finish(Outcome::Complete, Duration::from_secs(20)).unwrap();
        let (seen, said) = (seen.lock().unwrap().clone(), said.lock().unwrap().clone());
        (seen, said)
    }

    #[test]
    fn everything_up_to_the_end_is_given() {
        assert_eq!(followed("a\nb\n"), (vec!["a".to_owned(), "b".to_owned(), "Complete".to_owned()], vec![]));
    }

    #[test]
    fn a_sink_that_fails_is_switched_off_with_one_warning() {
        let (seen, said) = followed("a\nfail\nb\n");
        assert_eq!(seen, ["a"]);
        assert_eq!(said, ["warning: memory: `x` cannot be written: full; the run goes on without it"]);
    }
}
