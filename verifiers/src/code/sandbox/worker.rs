//! A worker: the process of one fork server, and the channel to it.

use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Deserialize;
use serde_json::Value;

use super::room::{BOX, Room};

/// The most descriptors that a request carries.
const MOST_FDS: usize = 32;
const FAREWELL: Duration = Duration::from_millis(300);
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running fork server.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// None once the worker has been told to go.
    channel: Option<OwnedFd>,
    /// Whether a request has been sent whose processes may not all have ended.
    is_busy: bool,
    /// Version of Landlock that the kernel has; 0 for none.
    pub(crate) landlock_abi: u32,
    /// The work dir, where it is a folder of the host.
    folder: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Hello {
    landlock_abi: u32,
}

impl Worker {
    /// Starts one and waits until it is ready. Call it from a thread that outlives the worker: the kernel ends the
    /// worker with the thread that started it.
    pub(crate) fn start(room: &Room, index: usize) -> Result<Self, String> {
        let folder = if room.has_namespaces() { None } else { Some(make_folder(room, index)?) };
        let work_dir = folder.as_deref().unwrap_or(Path::new(BOX));
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| format!("no socket: {error}"))?;
        let (command, arguments) = room.command(index, work_dir);
        let child = Command::new(&command)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{}` cannot be run: {error}", command.display()))?;
        let mut worker = Self { child, channel: Some(ours), is_busy: false, landlock_abi: 0, folder: folder.clone() };
        worker.send(&room.configuration(work_dir), &[]).map_err(|_| worker.last_words())?;
        let hello = worker.receive(START_LIMIT).ok_or_else(|| worker.last_words())?;
        let hello: Hello = serde_json::from_slice(&hello).map_err(|error| format!("an odd greeting: {error}"))?;
        worker.landlock_abi = hello.landlock_abi;
        Ok(worker)
    }

    /// Sends a request.
    pub(crate) fn request(&mut self, request: &Value, fds: &[BorrowedFd<'_>]) -> Result<(), String> {
        self.is_busy = true;
        self.send(request, fds).map_err(|error| format!("the worker has gone: {error}"))
    }

    /// Waits until all processes of the last request have ended; false if they have not.
    pub(crate) fn settle(&mut self, limit: Duration) -> bool {
        if self.is_busy {
            self.is_busy = self.receive(limit).is_none();
        }
        !self.is_busy
    }

    fn send(&self, packet: &Value, fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
        let packet = packet.to_string();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(rustix::io::Errno::TOOBIG);
        }
        let channel = self.channel.as_ref().ok_or(rustix::io::Errno::PIPE)?;
        let parts = [std::io::IoSlice::new(packet.as_bytes())];
        rustix::net::sendmsg(channel, &parts, &mut ancillary, SendFlags::NOSIGNAL).map(|_| ())
    }

    fn receive(&self, limit: Duration) -> Option<Vec<u8>> {
        let channel = self.channel.as_ref()?;
        let mut fds = [PollFd::new(channel, PollFlags::IN)];
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = rustix::event::Timespec::try_from(left).ok()?;
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(0) => return None,
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        let mut packet = vec![0; 1 << 12];
        let (n, _) = rustix::net::recv(channel, &mut packet[..], RecvFlags::empty()).ok()?;
        packet.truncate(n);
        (n > 0).then_some(packet)
    }

    /// Ends the process and returns what it said last.
    fn last_words(&mut self) -> String {
        self.kill();
        let mut said = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(1 << 14).read_to_string(&mut said);
        }
        let last = said.trim_end().lines().next_back().unwrap_or("it ended without a word");
        last.to_owned()
    }

    /// Ends the process and with it everything in its namespaces.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    /// Lets the worker end by itself, which takes its children in; a worker that is killed leaves that to init.
    fn drop(&mut self) {
        self.channel = None;
        let end = Instant::now() + FAREWELL;
        while !self.is_busy && Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Makes the work dir of a worker that sees the host's files.
fn make_folder(room: &Room, index: usize) -> Result<PathBuf, String> {
    let base = std::env::temp_dir();
    let base = base.canonicalize().unwrap_or(base);
    for n in 0..10_000 {
        let folder = base.join(format!("rlvr-{}-{index}-{n}", std::process::id()));
        match std::fs::create_dir(&folder) {
            Ok(()) => {
                rustix::fs::chmod(&folder, rustix::fs::Mode::RWXU).map_err(|error| error.to_string())?;
                if let Some(uid) = room.uid(index) {
                    std::os::unix::fs::chown(&folder, Some(uid), Some(uid)).map_err(|error| error.to_string())?;
                }
                return Ok(folder);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("`{}` cannot be made: {error}", folder.display())),
        }
    }
    Err(format!("`{}` is full of old work dirs", base.display()))
}

/// Lends descriptors for a request.
pub(crate) fn lend(fds: &[(String, OwnedFd)]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(|(_, fd)| fd.as_fd()).collect()
}
