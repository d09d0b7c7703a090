//! The room in which a fork server lives: what it sees of the host.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::filter::{Sockets, filter};
use super::interpreter::{Interpreter, is_system};
use crate::code::options::{CodeOptions, Isolation};

const LAUNCHER: &str = include_str!("../python/launcher.py");
const ZYGOTE: &str = include_str!("../python/zygote.py");
const DRIVER: &str = include_str!("../python/driver.py");
const TESTER: &str = include_str!("../python/tester.py");

/// The first of the uids that workers of a judge under root run as. No account has them.
const FIRST_UID: u32 = 47_000;

/// Where the work dir is inside a sandbox with a file system of its own.
pub(crate) const BOX: &str = "/box";

/// What makes the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Walls {
    /// The program `bwrap`.
    Bubblewrap(PathBuf),
    /// The same system calls, made by the launcher.
    Own,
    /// Nothing; the host is seen as it is.
    None,
}

/// All that is needed to start workers.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) walls: Walls,
    pub(crate) isolation: Isolation,
    pub(crate) interpreter: Interpreter,
    binds: Vec<(PathBuf, PathBuf)>,
    links: Vec<(PathBuf, PathBuf)>,
    path: String,
}

/// Modules that are loaded before any program asks for them.
const PRELOADED: &[&str] = &[
    "abc",
    "ast",
    "atexit",
    "bisect",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "random",
    "re",
    "string",
    "threading",
    "traceback",
    "typing",
];

/// Parts of `/etc` that programs and compilers look at.
const ETC: &[&str] = &["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime"];

impl Room {
    /// Plans a room with what this host has.
    pub(crate) fn plan(options: &CodeOptions, walls: Walls) -> Result<Self, String> {
        let interpreter = Interpreter::find(&options.python)?;
        let (mut binds, mut links) = (vec![], vec![]);
        for root in ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"] {
            let root = Path::new(root);
            match fs::read_link(root) {
                Ok(target) => links.push((target, root.to_owned())),
                Err(_) if root.is_dir() => binds.push((root.to_owned(), root.to_owned())),
                Err(_) => {}
            }
        }
        let etc = ETC.iter().map(|name| Path::new("/etc").join(name)).filter(|path| path.exists());
        let own = interpreter.folders();
        let asked = options.readable.iter().cloned().chain(options.tool_folders());
        binds.extend(etc.chain(own).chain(asked).map(|path| (path.clone(), path)));
        let tools = options.tool_folders();
        let beyond = tools.iter().filter(|folder| !is_system(folder)).map(|folder| folder.join("bin"));
        let path = beyond.map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        let path = [path, vec!["/usr/local/bin:/usr/bin:/bin".to_owned()]].concat().join(":");
        Ok(Self { walls, isolation: options.isolation, interpreter, binds, links, path })
    }

    /// Whether the sandbox has namespaces, and with them a file system of its own.
    pub(crate) fn has_namespaces(&self) -> bool {
        self.walls != Walls::None
    }

    /// Whether system calls are filtered.
    pub(crate) fn has_filter(&self) -> bool {
        self.isolation != Isolation::None && filter(Sockets::Allowed).is_some()
    }

    /// The uid that a worker takes under root.
    pub(crate) fn uid(&self, worker: usize) -> Option<u32> {
        let uid = FIRST_UID + worker as u32;
        (rustix::process::geteuid().is_root() && is_mapped(uid)).then_some(uid)
    }

    /// The command that starts a worker: interpreter and arguments.
    pub(crate) fn command(&self, worker: usize, work_dir: &Path) -> (PathBuf, Vec<String>) {
        let server = [ZYGOTE, DRIVER, TESTER, "main()\n"].concat();
        let executable = self.interpreter.executable.display().to_string();
        let (walls, bwrap) = match &self.walls {
            Walls::Bubblewrap(path) => ("bubblewrap", Some(path)),
            Walls::Own => ("own", None),
            Walls::None => ("none", None),
        };
        let plan = json!({
            "room": walls,
            "bwrap": bwrap,
            "judge": std::process::id(),
            "uid": self.uid(worker),
            "binds": self.binds,
            "links": self.links,
            "texts": [
                ["/etc/passwd", "root:x:0:0::/:/bin/sh\nsandbox:x:1000:1000::/box:/bin/sh\n"],
                ["/etc/group", "root:x:0:\nsandbox:x:1000:\n"],
            ],
            "folders": [BOX, "/tmp"],
            "command": [executable, "-s", "-B", "-c", server],
            "environment": self.environment(work_dir),
        });
        // The launcher may still be root: no user's site, no environment, nothing from the current folder.
        let arguments = ["-I", "-S", "-c", LAUNCHER].map(str::to_owned).into_iter().chain([plan.to_string()]);
        (self.interpreter.executable.clone(), arguments.collect())
    }

    /// All that a program finds in its environment.
    fn environment(&self, work_dir: &Path) -> Value {
        let temporary = if self.has_namespaces() { PathBuf::from("/tmp") } else { work_dir.to_owned() };
        json!({
            "PATH": self.path,
            "HOME": work_dir,
            "TMPDIR": temporary,
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0", // the order of a set is the same in every run
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        })
    }

    /// The first packet to a worker.
    pub(crate) fn configuration(&self, work_dir: &Path) -> Value {
        let namespaces: &[&str] =
            if self.has_namespaces() { &["user", "mount", "pid", "ipc", "uts", "net", "cgroup"] } else { &[] };
        let sockets = if self.has_namespaces() { Sockets::Allowed } else { Sockets::Denied };
        let filter = if self.has_filter() { filter(sockets) } else { None };
        let readable: Vec<PathBuf> = if self.has_namespaces() {
            vec!["/".into()]
        } else {
            let links = self.links.iter().map(|(_, path)| path);
            self.binds.iter().map(|(path, _)| path).chain(links).cloned().collect()
        };
        let writable: Vec<PathBuf> = if self.has_namespaces() {
            vec![BOX.into(), "/tmp".into(), "/dev/shm".into()]
        } else {
            vec![work_dir.to_owned()]
        };
        json!({
            "namespaces": namespaces,
            "sys_clone": libc::SYS_clone,
            "box": work_dir,
            "filter": filter.map_or_else(String::new, |bytes| hex(&bytes)),
            "landlock": self.isolation != Isolation::None,
            "readable": readable,
            "writable": writable,
            "devices": ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"],
            "preload": PRELOADED,
        })
    }
}

/// Whether the uid exists in the user namespace that we are in; the root of a small container may have no other.
fn is_mapped(uid: u32) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers[..], [first, _, n] if (first..first + n).contains(&u64::from(uid)))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Finds `bwrap` on the search path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file() && rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok())
}
