//! The Python that runs programs: where it is, and which folders it needs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// An interpreter, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Interpreter {
    /// The program itself; never a shim that looks for one.
    pub(crate) executable: PathBuf,
    /// The folders of its library and of an environment around it.
    pub(crate) prefixes: Vec<PathBuf>,
    /// Such as `[3, 11]`.
    pub(crate) version: (u32, u32),
}

const DESCRIBE: &str = "\
import ctypes, json, os, socket, sys
real = os.path.realpath(sys.executable)
prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
prefixes |= {os.path.dirname(os.path.dirname(real))} | {os.path.realpath(prefix) for prefix in prefixes}
print(json.dumps({'executable': sys.executable, 'prefixes': sorted(prefixes), 'version': sys.version_info[:2]}))
";

impl Interpreter {
    /// Asks an interpreter about itself.
    pub(crate) fn find(command: &str) -> Result<Self, String> {
        let output = Command::new(command)
            .args(["-s", "-c", DESCRIBE])
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("the interpreter `{command}` cannot be run: {error}; set `python`"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim_end().lines().next_back().unwrap_or("it said nothing");
            return Err(format!("the interpreter `{command}` does not work: {last}; set `python` to another one"));
        }
        let interpreter: Self = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("the interpreter `{command}` describes itself oddly: {error}"))?;
        match interpreter.version {
            (major, minor) if (major, minor) < (3, 9) => {
                Err(format!("the interpreter `{command}` is Python {major}.{minor}, but 3.9 or later is needed"))
            }
            _ => Ok(interpreter),
        }
    }

    /// The folders that a sandbox must show beside the system's own.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = vec![];
        let outside = self.prefixes.iter().filter(|prefix| !is_system(prefix) && prefix.is_dir());
        for prefix in outside {
            if !folders.iter().any(|known| prefix.starts_with(known)) {
                folders.push(prefix.clone());
            }
        }
        folders
    }
}

/// Whether a path is below what every sandbox shows.
pub(crate) fn is_system(path: &Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix/store", "/gnu/store"].iter().any(|root| path.starts_with(root))
}
