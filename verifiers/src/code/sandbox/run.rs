//! One run: cases sent to a worker, what they write collected, and what became of them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::pipe::PipeFlags;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Sandbox;
use super::cgroup::{Allowance, Group};
use super::worker::{Worker, lend};
use crate::code::spec::Bounds;

/// A process to be started in a sandbox of its own.
#[derive(Debug)]
pub(crate) struct Case {
    /// Which of the server's roles it plays.
    role: &'static str,
    bounds: Bounds,
    settings: Map<String, Value>,
    fds: Vec<(String, OwnedFd)>,
}

impl Case {
    pub(crate) fn new(role: &'static str, bounds: Bounds) -> Self {
        Self { role, bounds, settings: Map::new(), fds: vec![] }
    }

    /// Adds a setting of the role.
    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.settings.insert(key.to_owned(), value);
        self
    }

    /// Hands over a descriptor.
    pub(crate) fn give(mut self, name: impl Into<String>, fd: OwnedFd) -> Self {
        self.fds.push((name.into(), fd));
        self
    }

    /// Hands over a text, as a file that can only be read.
    pub(crate) fn give_text(self, name: impl Into<String>, text: &[u8]) -> Result<Self, String> {
        let fd = sealed(text).map_err(|error| format!("no memory file: {error}"))?;
        Ok(self.give(name, fd))
    }
}

fn sealed(text: &[u8]) -> rustix::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("text", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut written = 0;
    while written < text.len() {
        written += rustix::io::pwrite(&fd, &text[written..], written as u64)?;
    }
    rustix::fs::fcntl_add_seals(&fd, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(fd)
}

/// What happens when a program writes more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The run ends.
    Ends,
    /// The rest is thrown away.
    IsLost,
}

/// Something that a program writes.
#[derive(Debug)]
pub(crate) struct Sink {
    fd: OwnedFd,
    limit: usize,
    overflow: Overflow,
    text: Vec<u8>,
    is_over: bool,
}

impl Sink {
    /// Makes a pipe; the second part is for the program.
    pub(crate) fn new(limit: usize, overflow: Overflow) -> Result<(Self, OwnedFd), String> {
        let (fd, theirs) = pipe()?;
        // A program of another user may open `/dev/stdout` anew.
        let _ = rustix::fs::fchmod(&theirs, rustix::fs::Mode::from_raw_mode(0o666));
        Ok((Self { fd, limit, overflow, text: vec![], is_over: false }, theirs))
    }

    /// Reads what is there; false at the end.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        match rustix::io::read(&self.fd, &mut *buffer) {
            Ok(0) => false,
            Ok(n) => {
                let kept = n.min(self.limit.saturating_sub(self.text.len()));
                self.text.extend_from_slice(&buffer[..kept]);
                self.is_over |= kept < n;
                true
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => true,
            Err(_) => false,
        }
    }
}

/// Makes a pipe: the reading end, the writing end.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("no pipe: {error}"))
}

/// What a case's own pid 1 reported of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The sandbox was complete, and whatever happened then is the program's doing.
    pub(crate) is_ready: bool,
    /// The sandbox could not be made.
    pub(crate) failed: Option<String>,
    /// The compiler or interpreter of the options could not be started in it.
    pub(crate) missing: Option<String>,
    /// The program does not compile.
    pub(crate) syntax_error: Option<String>,
    /// How it ended; absent if it took its pid 1 with it.
    pub(crate) ended: Option<Ended>,
    /// Processes that the kernel killed for memory.
    pub(crate) n_oom_kills: u64,
    /// It wrote more than it may.
    pub(crate) is_over: bool,
}

/// The end of a case.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Ended {
    /// By itself, or at which limit.
    #[serde(rename = "ended")]
    pub(crate) why: Option<End>,
    /// The wait status of the program's first process, if it ended by itself.
    pub(crate) status: Option<i32>,
    /// Seconds of computing.
    pub(crate) cpu_s: f64,
    /// Seconds on the clock.
    pub(crate) wall_s: f64,
    /// Memory of the largest process.
    pub(crate) peak_mb: f64,
    /// Why the file asked for could not be had.
    #[serde(default)]
    pub(crate) no_export: Option<String>,
}

/// Why a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    Exit,
    Cpu,
    Wall,
    Memory,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Ready { ready: bool },
    Failed { failed: String },
    Missing { missing: String },
    SyntaxError { syntax_error: String },
    Ended(Ended),
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Of each case, in order.
    pub(crate) reports: Vec<Report>,
    /// What was written into each sink.
    pub(crate) texts: Vec<Vec<u8>>,
}

/// Time for what should take none: the last bytes of a pipe, the end of the other cases.
const DRAIN: Duration = Duration::from_millis(200);
/// Seconds that a program may be late because it waited for a core, and as long again for the sandbox itself.
pub(crate) const GRACE_S: f64 = 1.0;

impl Sandbox {
    /// Runs cases side by side until the first of them has ended, and the others soon after.
    ///
    /// The error is for what is not the program's fault; nothing of it has run then.
    pub(crate) fn run(&self, worker: &mut Worker, cases: Vec<Case>, sinks: Vec<Sink>) -> Result<Outcome, String> {
        if !worker.settle(Duration::from_secs(5)) {
            return Err("the last case did not end".to_owned());
        }
        let mut run = Run { reports: vec![], sinks: sinks.into_iter().map(|sink| (sink, true)).collect() };
        let mut groups = vec![];
        let mut requests = vec![];
        let mut fds: Vec<(String, OwnedFd)> = vec![];
        let wall_s = cases.iter().map(|case| case.bounds.wall_s).fold(0.0, f64::max);
        for mut case in cases {
            let (ours, theirs) = pipe()?;
            case.fds.push(("report".to_owned(), theirs));
            let group = self.group(&case.bounds)?;
            if let Some(group) = &group {
                let doors = group.doors().map_err(|error| format!("the control group cannot be opened: {error}"))?;
                case.fds.extend(doors.into_iter().enumerate().map(|(i, door)| (format!("cgroup{i}"), door)));
            }
            requests.push(self.request_of(&case));
            run.reports.push((Some(ours), vec![]));
            groups.push(group);
            fds.extend(case.fds);
        }
        worker.request(&json!({ "cases": requests }), &lend(&fds))?;
        drop(fds);
        let limit = Duration::from_secs_f64(wall_s + 2.0 * GRACE_S);
        if !run.collect(limit) {
            self.interventions.killed();
            worker.kill();
        }
        let mut reports: Vec<Report> = run.reports.iter().map(|(_, text)| read_report(text)).collect();
        let is_over = run.sinks.iter().any(|(sink, _)| sink.is_over && sink.overflow == Overflow::Ends);
        for (report, group) in reports.iter_mut().zip(groups) {
            report.is_over = is_over;
            if let Some(group) = group {
                report.n_oom_kills = group.n_oom_kills();
                self.retire(group);
            }
        }
        let texts = run.sinks.into_iter().map(|(sink, _)| sink.text).collect();
        Ok(Outcome { reports, texts })
    }

    fn group(&self, bounds: &Bounds) -> Result<Option<Group>, String> {
        let Some(hierarchy) = &self.cgroups else { return Ok(None) };
        let allowance = Allowance { memory_mb: bounds.memory_mb, pids: bounds.pids, cores: self.cores };
        hierarchy.group(allowance).map(Some).map_err(|error| format!("no control group can be made: {error}"))
    }

    fn request_of(&self, case: &Case) -> Value {
        let has_groups = self.cgroups.is_some();
        let limits: BTreeMap<&str, Value> = [
            ("cpu_s", json!(case.bounds.cpu_s)),
            ("wall_s", json!(case.bounds.wall_s)),
            ("grace_s", json!(GRACE_S)),
            ("memory_mb", json!(case.bounds.memory_mb)),
            ("pids", json!(case.bounds.pids)),
            ("file_mb", json!(case.bounds.file_mb)),
            ("disk_mb", json!(case.bounds.disk_mb)),
            ("watch_memory", json!(!has_groups)),
            ("watch_pids", json!(!has_groups)),
        ]
        .into();
        let mut request = case.settings.clone();
        request.insert("role".to_owned(), json!(case.role));
        request.insert("limits".to_owned(), json!(limits));
        let names: Vec<&str> = case.fds.iter().map(|(name, _)| name.as_str()).collect();
        request.insert("fds".to_owned(), json!(names));
        Value::Object(request)
    }
}

/// The descriptors of a run, with what came through them.
struct Run {
    reports: Vec<(Option<OwnedFd>, Vec<u8>)>,
    sinks: Vec<(Sink, bool)>,
}

/// A report is a few lines.
const LONGEST_REPORT: usize = 1 << 14;

impl Run {
    /// Reads until all is over; false if the time limit came first.
    fn collect(&mut self, limit: Duration) -> bool {
        let mut end = Instant::now() + limit;
        let mut buffer = vec![0; 1 << 16];
        let mut is_draining = false;
        loop {
            if !is_draining && self.reports[0].0.is_none() {
                is_draining = true;
                end = end.min(Instant::now() + DRAIN);
            }
            let is_open = self.sinks.iter().any(|(_, open)| *open) || self.reports.iter().any(|(fd, _)| fd.is_some());
            if !is_open {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return is_draining; // closing our ends ends the cases that are left
            }
            self.read_some(left, &mut buffer);
            if self.sinks.iter().any(|(sink, _)| sink.is_over && sink.overflow == Overflow::Ends) {
                return true;
            }
        }
    }

    fn read_some(&mut self, left: Duration, buffer: &mut [u8]) {
        let of_reports = self.reports.iter().enumerate().filter_map(|(i, (fd, _))| Some((i, fd.as_ref()?.as_fd())));
        let of_sinks = self.sinks.iter().enumerate().filter(|(_, (_, open))| *open);
        let n_reports = self.reports.len();
        let all: Vec<(usize, _)> =
            of_reports.chain(of_sinks.map(|(i, (sink, _))| (n_reports + i, sink.fd.as_fd()))).collect();
        let mut polled: Vec<PollFd<'_>> =
            all.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let timeout = rustix::event::Timespec::try_from(left).ok();
        if rustix::event::poll(&mut polled, timeout.as_ref()).is_err() {
            return;
        }
        let ready: Vec<usize> =
            all.iter().zip(&polled).filter(|(_, fd)| !fd.revents().is_empty()).map(|((i, _), _)| *i).collect();
        for i in ready {
            match i.checked_sub(n_reports) {
                Some(i) => {
                    let (sink, open) = &mut self.sinks[i];
                    *open = sink.read(buffer);
                }
                None => read_into(&mut self.reports[i], buffer),
            }
        }
    }
}

fn read_into((fd, text): &mut (Option<OwnedFd>, Vec<u8>), buffer: &mut [u8]) {
    match fd.as_ref().map(|fd| rustix::io::read(fd, &mut *buffer)) {
        Some(Ok(n)) if n > 0 && text.len() < LONGEST_REPORT => text.extend_from_slice(&buffer[..n]),
        Some(Err(rustix::io::Errno::INTR)) => {}
        _ => *fd = None,
    }
}

fn read_report(text: &[u8]) -> Report {
    let mut report = Report::default();
    for line in text.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Line::Ready { ready }) => report.is_ready = ready,
            Ok(Line::Failed { failed }) => report.failed = Some(failed),
            Ok(Line::Missing { missing }) => report.missing = Some(missing),
            Ok(Line::SyntaxError { syntax_error }) => report.syntax_error = Some(syntax_error),
            Ok(Line::Ended(ended)) => report.ended = Some(ended),
            Err(_) => {}
        }
    }
    report
}
