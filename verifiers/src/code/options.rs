//! The options of the verifier `code`: the table `[verifiers.code]` of a config.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sandbox::room::find_program;
use super::spec::Limits;

/// Which layers must stand between a program and the host.
///
/// There is no falling back: where the layers asked for cannot be had, the verifier does not start and says how to get
/// them. A weaker mode must be named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Namespaces for files, processes, network and users, made by bubblewrap or by the launcher; then Landlock,
    /// seccomp and limits.
    #[default]
    Full,
    /// Landlock, seccomp and limits alone, where user namespaces are off. No network and no files; other processes
    /// can be seen in principle, and programs share the host's limits.
    Landlock,
    /// Limits alone. A program can read what this process can read, and reach the network. For trusted programs only.
    None,
}

/// The options of the verifier `code`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CodeOptions {
    /// The layers that a program must be behind.
    pub isolation: Isolation,
    /// Whether bubblewrap makes the namespaces where it is installed; the launcher does otherwise.
    pub bubblewrap: bool,
    /// The interpreter, a name or a path. What is installed beside it can be imported by programs.
    pub python: String,
    /// Programs judged at once; 0 for one a core. More than cores turn load into timeouts.
    pub workers: usize,
    /// Cores that the processes of one program may use together, where there are control groups.
    pub cores: f64,
    /// Limits of tasks that state none of their own.
    pub limits: Limits,
    /// The marker that ends the reasoning part of a completion, such as `</think>`; code before it is not an answer.
    pub reasoning_end: Option<String>,
    /// Further folders that programs may read.
    pub readable: Vec<PathBuf>,
    /// Languages beside Python, by the name that tasks use.
    pub languages: BTreeMap<String, Language>,
}

impl Default for CodeOptions {
    fn default() -> Self {
        Self {
            isolation: Isolation::Full,
            bubblewrap: true,
            python: "python3".to_owned(),
            workers: 0,
            cores: 1.0,
            limits: Limits::default(),
            reasoning_end: None,
            readable: vec![],
            languages: BTreeMap::new(),
        }
    }
}

/// How programs of a language are compiled and run; `{source}` and `{exe}` stand for the two files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// The compiler with its arguments; absent for interpreted languages.
    #[serde(default)]
    pub compile: Vec<String>,
    /// The command that runs the program.
    pub run: Vec<String>,
    /// The ending of source files, without the dot.
    pub extension: String,
    /// The words after ``` that mark a block of this language; the language's name by default.
    #[serde(default)]
    pub fences: Vec<String>,
    /// Seconds that the compiler may take.
    #[serde(default = "compile_s")]
    pub compile_s: f64,
    /// Variables added to the environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

fn compile_s() -> f64 {
    30.0
}

impl CodeOptions {
    /// Checks what needs no sandbox.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.cores <= 0.0 || !self.cores.is_finite() {
            return Err(format!("`cores` is {}, but must be more than 0", self.cores));
        }
        if let Some(path) = self.readable.iter().find(|path| !path.is_absolute() || !path.exists()) {
            return Err(format!(
                "`readable` names `{}`, but must list folders that exist, from `/` on",
                path.display()
            ));
        }
        self.limits.check().map_err(|why| format!("`limits`: {why}"))?;
        for (name, language) in &self.languages {
            language.check().map_err(|why| format!("`languages.{name}`: {why}"))?;
        }
        Ok(())
    }

    /// How many programs are judged at once.
    pub(crate) fn n_workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }

    /// The folders of compilers and interpreters that are installed outside the system's own.
    pub(crate) fn tool_folders(&self) -> Vec<PathBuf> {
        let commands = self.languages.values().flat_map(|language| [language.compile.first(), language.run.first()]);
        let found = commands.flatten().filter_map(|command| find_program(command)?.canonicalize().ok());
        let mut folders: Vec<PathBuf> =
            found.filter_map(|path| path.parent().and_then(Path::parent).map(Path::to_owned)).collect();
        folders.retain(|folder| !super::sandbox::interpreter::is_system(folder) && folder != Path::new("/"));
        folders.sort();
        folders.dedup();
        folders
    }
}

impl Language {
    fn check(&self) -> Result<(), String> {
        if self.run.is_empty() {
            return Err("`run` is empty; give a command such as [\"{exe}\"] or [\"node\", \"{source}\"]".to_owned());
        }
        if self.extension.is_empty() || !self.extension.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
            return Err(format!("`extension` is `{}`, but must be an ending such as `c`", self.extension));
        }
        let uses_exe = self.run.iter().any(|word| word.contains("{exe}"));
        match (self.compile.is_empty(), uses_exe) {
            (true, true) => Err("`run` names `{exe}`, which only a `compile` command makes".to_owned()),
            (false, false) => Err("`run` does not name `{exe}`, the file that `compile` makes".to_owned()),
            _ if self.compile_s <= 0.0 || !self.compile_s.is_finite() => {
                Err(format!("`compile_s` is {}, but must be more than 0", self.compile_s))
            }
            _ => Ok(()),
        }
    }
}
