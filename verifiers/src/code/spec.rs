//! What a task says about how its programs are judged: the `spec`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `spec` of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// `python`, or a language of the options.
    #[serde(default = "python")]
    pub language: String,
    /// The tests, all of which must pass.
    pub tests: Tests,
    /// Limits of one run of the program; those left out come from the options.
    #[serde(default)]
    pub limits: Limits,
    /// Code that the prompt shows and the completion continues or repeats, such as the header of a function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The function that the tests are about. Of several blocks of code the last that defines it is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
}

fn python() -> String {
    "python".to_owned()
}

/// How a program is tested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tests {
    /// The program reads its standard input and writes the answer to its standard output.
    Stdin {
        /// The input of a single case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
        /// The output of a single case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<String>,
        /// Several cases, each in a fresh sandbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cases: Option<Vec<StdinCase>>,
        /// How far a finite number may be off, absolutely or relatively. Without it output is text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance: Option<f64>,
    },
    /// A function is called with plain values, and what it returns is compared.
    Calls {
        /// The function.
        entry: String,
        /// The calls, all in one sandbox, in order.
        cases: Vec<CallCase>,
        /// How far a finite float may be off, absolutely or relatively.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance: Option<f64>,
    },
    /// Python code that calls the program's functions and asserts what they do.
    Asserts {
        /// The code.
        code: String,
    },
}

/// One run of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdinCase {
    /// What it reads.
    #[serde(default)]
    pub input: String,
    /// What it must write; blanks at line ends and empty lines at the end do not matter.
    pub expected: String,
}

/// One call of a function. A JSON object `{"$py": "(1, {2})"}` stands for the Python literal in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallCase {
    /// Positional arguments.
    #[serde(default)]
    pub args: Vec<Value>,
    /// Arguments by name.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub kwargs: serde_json::Map<String, Value>,
    /// What the call must return.
    pub expected: Value,
}

/// Limits of one run of a program. CPU time decides; wall-clock time is for programs that sleep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Seconds on the clock. By default twice `cpu_s` plus 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_s: Option<f64>,
    /// Seconds of computing, of all processes together. By default `wall_s`, or 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// Memory of all processes together, files in the work dir included, in units of 2^20 bytes; 512 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// Processes and threads at once; 64 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Standard output, or all that a function returns, in units of 2^20 bytes; 4 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_mb: Option<f64>,
    /// The largest file, in units of 2^20 bytes; 64 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mb: Option<u64>,
    /// All files together, in units of 2^20 bytes; 128 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_mb: Option<u64>,
}

/// Limits with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Bounds {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) memory_mb: u64,
    pub(crate) pids: u64,
    pub(crate) output_mb: f64,
    pub(crate) file_mb: u64,
    pub(crate) disk_mb: u64,
}

const DEFAULT_CPU_S: f64 = 10.0;

impl Limits {
    /// The longest that a limit in seconds may be: a day.
    const LONGEST_S: f64 = 86_400.0;

    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, value) in [("wall_s", self.wall_s), ("cpu_s", self.cpu_s), ("output_mb", self.output_mb)] {
            if let Some(value) = value.filter(|value| !(*value > 0.0 && *value <= Self::LONGEST_S)) {
                return Err(format!("`{name}` is {value}, but must be more than 0 and at most {}", Self::LONGEST_S));
            }
        }
        let whole = [("memory_mb", self.memory_mb, 16), ("pids", self.pids, 1), ("file_mb", self.file_mb, 1)];
        for (name, value, least) in whole.into_iter().chain([("disk_mb", self.disk_mb, 1)]) {
            if let Some(value) = value.filter(|value| !(least..=1 << 24).contains(value)) {
                return Err(format!("`{name}` is {value}, but must be {least} to {}", 1 << 24));
            }
        }
        Ok(())
    }

    /// Fills in what is left open from the options, and from the defaults.
    pub(crate) fn or(&self, options: &Self) -> Bounds {
        let (wall_s, cpu_s) = match (self.wall_s, self.cpu_s) {
            (None, None) => (options.wall_s, options.cpu_s),
            stated => stated,
        };
        let cpu = cpu_s.or(wall_s).unwrap_or(DEFAULT_CPU_S);
        Bounds {
            wall_s: wall_s.unwrap_or(2.0 * cpu + 1.0),
            cpu_s: cpu,
            memory_mb: self.memory_mb.or(options.memory_mb).unwrap_or(512),
            pids: self.pids.or(options.pids).unwrap_or(64),
            output_mb: self.output_mb.or(options.output_mb).unwrap_or(4.0),
            file_mb: self.file_mb.or(options.file_mb).unwrap_or(64),
            disk_mb: self.disk_mb.or(options.disk_mb).unwrap_or(128),
        }
    }
}

impl Bounds {
    /// The limits of trusted tests, which wait for the program and must never end first.
    pub(crate) fn for_tests(&self) -> Self {
        Self { wall_s: self.wall_s + 0.5, memory_mb: self.memory_mb.max(256), ..*self }
    }

    /// The limit on output in bytes.
    pub(crate) fn output_bytes(&self) -> usize {
        (self.output_mb * f64::from(1 << 20)) as usize
    }
}

impl Spec {
    /// Reads a spec; the error says what is wrong and what would be right.
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        if value.is_null() {
            return Err("verifier `code` needs a `spec`, such as {\"tests\": {\"type\": \"stdin\", \"cases\": \
                        [{\"input\": \"1 2\\n\", \"expected\": \"3\\n\"}]}}"
                .to_owned());
        }
        let spec = Self::deserialize(value).map_err(|error| format!("`spec`: {error}"))?;
        spec.limits.check().map_err(|why| format!("`spec.limits`: {why}"))?;
        spec.tests.check().map_err(|why| format!("`spec.tests`: {why}"))?;
        if spec.language != "python" && !matches!(spec.tests, Tests::Stdin { .. }) {
            return Err(format!("`spec.tests`: tests of `{}` must be of type \"stdin\"", spec.language));
        }
        Ok(spec)
    }

    /// The function that the tests are about, as far as it is known.
    pub(crate) fn entry(&self) -> Option<&str> {
        match (&self.entry_point, &self.tests) {
            (Some(entry), _) => Some(entry),
            (None, Tests::Calls { entry, .. }) => Some(entry),
            _ => None,
        }
    }
}

impl Tests {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Stdin { input, expected, cases, tolerance } => {
                check_tolerance(*tolerance)?;
                match (input, expected, cases) {
                    (_, Some(_), None) => Ok(()),
                    (None, None, Some(cases)) if !cases.is_empty() => Ok(()),
                    (None, None, Some(_)) => Err("`cases` is empty, and a program without tests always passes".into()),
                    _ => Err("give `input` and `expected`, or a list of such as `cases`".into()),
                }
            }
            Self::Calls { entry, cases, tolerance } => {
                check_tolerance(*tolerance)?;
                let is_name = !entry.is_empty() && entry.chars().all(|c| c.is_alphanumeric() || c == '_');
                if !is_name {
                    return Err(format!("`entry` is `{entry}`, but must be the name of a function"));
                }
                if cases.is_empty() {
                    return Err("`cases` is empty, and a program without tests always passes".into());
                }
                Ok(())
            }
            Self::Asserts { code } if code.trim().is_empty() => {
                Err("`code` is empty, and a program without tests always passes".into())
            }
            Self::Asserts { .. } => Ok(()),
        }
    }
}

fn check_tolerance(tolerance: Option<f64>) -> Result<(), String> {
    match tolerance {
        Some(value) if value.is_nan() || value < 0.0 => Err(format!("`tolerance` is {value}, but must be at least 0")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refused(spec: &Value, expected: &str) {
        assert_eq!(Spec::parse(spec).unwrap_err(), expected);
    }

    #[test]
    fn specs_are_checked() {
        refused(
            &json!({"tests": {"type": "stdin"}}),
            "`spec.tests`: give `input` and `expected`, or a list of such as `cases`",
        );
        refused(
            &json!({"tests": {"type": "stdin", "cases": []}}),
            "`spec.tests`: `cases` is empty, and a program without tests always passes",
        );
        refused(
            &json!({"tests": {"type": "stdin", "expected": "1"}, "limits": {"wall_s": -1}}),
            "`spec.limits`: `wall_s` is -1, but must be more than 0 and at most 86400",
        );
        refused(
            &json!({"language": "c", "tests": {"type": "asserts", "code": "assert f()"}}),
            "`spec.tests`: tests of `c` must be of type \"stdin\"",
        );
        let error = Spec::parse(&json!({"tests": {"type": "stdin", "expected": "1"}, "limit": {}})).unwrap_err();
        assert!(error.starts_with("`spec`: unknown field `limit`"), "{error}");
    }

    #[track_caller]
    fn check_times(limits: Value, options: Value, wall_s: f64, cpu_s: f64) {
        let read = |value| serde_json::from_value::<Limits>(value).unwrap();
        let bounds = read(limits).or(&read(options));
        assert_eq!((bounds.wall_s, bounds.cpu_s), (wall_s, cpu_s));
    }

    #[test]
    fn one_time_limit_gives_the_other() {
        check_times(json!({}), json!({}), 21.0, 10.0);
        check_times(json!({"wall_s": 2}), json!({}), 2.0, 2.0);
        check_times(json!({"cpu_s": 2}), json!({"wall_s": 1}), 5.0, 2.0);
        check_times(json!({}), json!({"cpu_s": 3}), 7.0, 3.0);
        check_times(json!({"wall_s": 9, "cpu_s": 2}), json!({"cpu_s": 3}), 9.0, 2.0);
    }
}
