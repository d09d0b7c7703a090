//! One process that judges, seen from outside.
//!
//! All three pipes are served by the one thread that waits for the worker's next line, without blocking on any of
//! them: a worker that does not read, does not answer or fills its stderr costs that thread its time limit, and no
//! more. Nothing here waits for the end of a pipe, which a grandchild may hold open for ever.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::launch::Launch;
use super::protocol::{Message, parse_reply};

/// What is kept of the end of stderr, in bytes.
const STDERR_TAIL: usize = 2000;
/// What is read at a time, in bytes.
const CHUNK: usize = 1 << 16;
/// How often a worker whose pipes are silent is asked whether it still lives.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// What a worker has to say why it ended, after it closed its stdout.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Why a worker is of no use any longer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// It said nothing until its deadline.
    Silent,
    /// It ended, or closed its stdout.
    Ended,
    /// It said what nobody can understand.
    Nonsense(String),
}

/// A running process with its pipes.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// What the worker has not read yet.
    outgoing: VecDeque<u8>,
    /// Whole lines, and the beginning of another one.
    lines: VecDeque<Vec<u8>>,
    incoming: Vec<u8>,
    stderr_tail: VecDeque<u8>,
    longest_line: usize,
    n_issued: u64,
    /// Makes the ids of requests hard to guess for whoever writes completions: a judge that prints one would
    /// otherwise print a verdict.
    salt: u64,
    n_answered: u64,
    reaped: bool,
}

impl Worker {
    /// Starts a worker, and waits until it says that it is ready if a time is given for that.
    pub(super) fn start(launch: &Launch, ready: Option<Duration>, longest_line: usize) -> Result<Self, String> {
        let mut child = launch.start()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let salt = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), child.id());
        let mut worker = Self {
            child,
            stdin,
            stdout,
            stderr,
            outgoing: VecDeque::new(),
            lines: VecDeque::new(),
            incoming: vec![],
            stderr_tail: VecDeque::new(),
            longest_line,
            n_issued: 0,
            salt,
            n_answered: 0,
            reaped: false,
        };
        worker.unblock().map_err(|error| format!("the pipes of a worker cannot be set up ({error})"))?;
        if let Some(ready) = ready {
            worker.await_ready(ready)?;
        }
        Ok(worker)
    }

    fn unblock(&self) -> rustix::io::Result<()> {
        for pipe in [
            self.stdin.as_ref().map(AsFd::as_fd),
            self.stdout.as_ref().map(AsFd::as_fd),
            self.stderr.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(())
    }

    fn await_ready(&mut self, limit: Duration) -> Result<(), String> {
        let message = self.next_message(Instant::now() + limit);
        let fault = match message {
            Ok(Message::Ready) => return Ok(()),
            Ok(Message::Reply { .. }) => Fault::Nonsense("it answered before it was asked".to_owned()),
            Err(fault) => fault,
        };
        let what = match fault {
            Fault::Silent => format!("it did not write `{{\"ready\": true}}` within {} s", limit.as_secs_f64()),
            other => self.describe(&other, limit),
        };
        Err(format!("a worker did not start: {what}{}", self.last_words()))
    }

    /// Returns the id of the next request.
    pub(super) fn next_id(&mut self) -> String {
        self.n_issued += 1;
        format!("{:08x}-{}", self.salt as u32, self.n_issued)
    }

    /// Returns whether a request of this id was ever made.
    pub(super) fn has_issued(&self, id: &str) -> bool {
        let number = id.strip_prefix(&format!("{:08x}-", self.salt as u32)).and_then(|n| n.parse::<u64>().ok());
        number.is_some_and(|n| (1..=self.n_issued).contains(&n))
    }

    /// Hands over a request; it is written while answers are awaited.
    pub(super) fn send(&mut self, line: &[u8]) {
        self.outgoing.extend(line);
        self.outgoing.push_back(b'\n');
    }

    /// Counts an answer; what it said on stderr until then is of no interest any more.
    pub(super) fn note_answer(&mut self) {
        self.n_answered += 1;
        self.read_stderr();
        self.stderr_tail.clear();
    }

    /// Returns whether it has not answered anything yet, so that no earlier attempt can have spoilt it.
    pub(super) fn is_fresh(&self) -> bool {
        self.n_answered == 0
    }

    /// Returns whether it still runs.
    pub(super) fn is_alive(&self) -> bool {
        !has_exited(&self.child)
    }

    /// Waits for the worker's next message.
    pub(super) fn next_message(&mut self, deadline: Instant) -> Result<Message, Fault> {
        loop {
            if Instant::now() >= deadline {
                return Err(Fault::Silent);
            }
            let next = self.lines.pop_front();
            if next.as_ref().unwrap_or(&self.incoming).len() > self.longest_line {
                let longest = self.longest_line as f64 / 1e6;
                let why = format!("a reply is longer than {longest} MB; the option `max_reply_mb` allows more");
                return Err(Fault::Nonsense(why));
            }
            if let Some(line) = next {
                let line = String::from_utf8_lossy(&line);
                if !line.trim().is_empty() {
                    return parse_reply(&line).map_err(Fault::Nonsense);
                }
            } else if self.stdout.is_none() {
                return Err(Fault::Ended);
            } else {
                self.exchange(deadline);
            }
        }
    }

    /// Waits until one of the pipes can be served, and serves it.
    fn exchange(&mut self, deadline: Instant) {
        let wait = deadline.saturating_duration_since(Instant::now()).min(HEARTBEAT);
        let timeout = Timespec::try_from(wait).expect("a heartbeat is short");
        let mut polled = vec![];
        if let Some(stdin) = self.stdin.as_ref().filter(|_| !self.outgoing.is_empty()) {
            polled.push(PollFd::new(stdin, PollFlags::OUT));
        }
        polled.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        polled.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let n_ready = poll(&mut polled, Some(&timeout)).unwrap_or(0);
        drop(polled);
        if n_ready > 0 {
            self.write_some();
            self.read_stdout();
            self.read_stderr();
        } else if has_exited(&self.child) && !self.read_stdout() {
            self.stdout = None; // somebody else holds the pipe
        }
    }

    fn write_some(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        while !self.outgoing.is_empty() {
            match stdin.write(self.outgoing.as_slices().0) {
                Ok(n) => drop(self.outgoing.drain(..n)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    // It reads no more; what it wrote before may still answer.
                    self.outgoing.clear();
                    self.stdin = None;
                    return;
                }
            }
        }
    }

    /// Reads what there is, up to a chunk; returns whether there was anything.
    fn read_stdout(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        let n = read_some(&mut self.stdout, &mut chunk);
        let mut rest = &chunk[..n];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.incoming.extend(&rest[..end]);
            self.lines.push_back(std::mem::take(&mut self.incoming));
            rest = &rest[end + 1..];
        }
        self.incoming.extend(rest);
        n > 0
    }

    fn read_stderr(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        let n = read_some(&mut self.stderr, &mut chunk);
        self.stderr_tail.extend(&chunk[n.saturating_sub(STDERR_TAIL)..n]);
        let surplus = self.stderr_tail.len().saturating_sub(STDERR_TAIL);
        self.stderr_tail.drain(..surplus);
        n > 0
    }

    /// Says in words what a fault was. A worker that ended is waited for, briefly, to say how.
    pub(super) fn describe(&mut self, fault: &Fault, limit: Duration) -> String {
        match fault {
            Fault::Silent => format!(
                "there was no answer within {} s; a worker must flush its stdout after each line, and `timeout_s` \
                 allows more time",
                limit.as_secs_f64()
            ),
            Fault::Nonsense(why) => format!("{why}; stdout is for answers alone"),
            Fault::Ended => match self.exit_status() {
                Some(status) => format!("the worker ended ({status})"),
                None => "the worker closed its stdout".to_owned(),
            },
        }
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + LAST_WORDS;
        while !has_exited(&self.child) && Instant::now() < deadline {
            self.read_stderr();
            std::thread::sleep(Duration::from_millis(2));
        }
        if !has_exited(&self.child) {
            return None;
        }
        self.kill();
        self.reaped = true;
        self.child.wait().ok()
    }

    /// Returns the end of stderr as a clause of its own, or nothing where nothing was said.
    pub(super) fn last_words(&mut self) -> String {
        for _ in 0..256 {
            if !self.read_stderr() {
                break;
            }
        }
        let bytes: Vec<u8> = self.stderr_tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        match text.trim() {
            "" => String::new(),
            text => format!("; its stderr ends in:\n{text}"),
        }
    }

    /// Tells the worker that no more requests will come.
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Kills the whole process group. The head of it has not been waited for, so that its number is still its own.
    fn kill(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(pid, Signal::KILL); // a group whose members all ended is gone
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// Returns whether a process has ended, without taking notice of it: as long as nobody does, its number is its own.
fn has_exited(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Pid::from_raw(child.id() as i32).is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
}

/// Reads what there is, and forgets a pipe that has come to its end.
fn read_some(pipe: &mut Option<impl Read>, chunk: &mut [u8]) -> usize {
    let Some(open) = pipe else { return 0 };
    match open.read(chunk) {
        Ok(0) => *pipe = None,
        Ok(n) => return n,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => *pipe = None,
    }
    0
}
