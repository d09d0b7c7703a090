//! How a worker is started.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Variables that a program needs to find itself and to know its language.
const ALWAYS: [&str; 6] = ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR"];

/// A program with its arguments and environment.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    /// The variables that it gets besides [`ALWAYS`]; all, if none are named.
    pub(super) env: Option<Vec<String>>,
    /// What to do if there is no such program in `PATH`.
    pub(super) remedy: &'static str,
}

impl Launch {
    /// Makes a launch of the words of a command, split as a shell would, but without a shell: nothing is expanded.
    pub(super) fn from_command(command: &str, env: Option<Vec<String>>) -> Result<Self, String> {
        let words = shlex::split(command)
            .ok_or_else(|| format!("the command `{command}` ends within a quotation or behind a backslash"))?;
        let mut words = words.into_iter().map(OsString::from);
        let program =
            words.next().ok_or("there is no command; write `process:COMMAND`, as in `process:./judge --fast`")?;
        let remedy = "give a path, and for pipes and variables use `sh -c '…'`";
        Ok(Self { program, args: words.collect(), env, remedy })
    }

    /// Starts the program as the head of a process group of its own, with pipes for all three streams.
    pub(super) fn start(&self) -> Result<Child, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).process_group(0);
        if let Some(names) = &self.env {
            command.env_clear();
            let named = names.iter().map(String::as_str).chain(ALWAYS);
            command.envs(named.filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        // Python holds back what it prints to a pipe until a buffer is full, which would look like a worker that hangs.
        command.env("PYTHONUNBUFFERED", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| self.explained(&error))
    }

    fn explained(&self, error: &std::io::Error) -> String {
        let program = self.program.display();
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound if self.program.to_string_lossy().contains('/') => {
                "there is no such file, or its first line names an interpreter that there is not; \
                 a relative path starts at the current folder"
            }
            std::io::ErrorKind::NotFound => &format!("it is not in `PATH`; {}", self.remedy),
            std::io::ErrorKind::PermissionDenied => "it is not executable; `chmod +x` it, or name its interpreter",
            _ => "the system refused",
        };
        format!("`{program}` cannot be started ({error}): {remedy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: &str) {
        let found = Launch::from_command(command, None).and_then(|launch| match launch.start() {
            Ok(mut child) => child.wait().map(|_| "started".to_owned()).map_err(|error| error.to_string()),
            Err(why) => Err(why),
        });
        assert_eq!(found.unwrap_or_else(|why| why), expected);
    }

    #[test]
    fn commands() {
        check("true", "started");
        check("sh -c 'exit \"$0\"' 3", "started");
        check("", "there is no command; write `process:COMMAND`, as in `process:./judge --fast`");
        check("judge 'a", "the command `judge 'a` ends within a quotation or behind a backslash");
        check(
            "no-such-judge --fast",
            "`no-such-judge` cannot be started (No such file or directory (os error 2)): it is not in `PATH`; give a \
             path, and for pipes and variables use `sh -c '…'`",
        );
        check(
            "/etc/passwd",
            "`/etc/passwd` cannot be started (Permission denied (os error 13)): it is not executable; `chmod +x` it, \
             or name its interpreter",
        );
    }
}
