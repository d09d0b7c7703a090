//! Judges that are Python functions, as other trainers take them: `trl:FILE.py:FUNCTION` and `verl:FILE.py:FUNCTION`.
//!
//! The file is loaded unchanged by the user's own Python, in processes that a driver of ours leads: imports are found
//! beside the file, what it prints goes to stderr, and the function runs in the main thread, as some need it.
//!
//! # TRL
//!
//! `f(prompts, completions, **columns) -> list[float | None]`, plain or `async`, is called with up to `batch`
//! completions; those of one task stay in one call. Columns are the keys of the tasks' `spec`, of their `meta`, and
//! `answer`, `solution`, `ground_truth` and `reference`, each with the reference, where neither has them; a task that
//! lacks a column has `None` in it. `trainer_state`, `log_extra` and `log_metric` are there and do nothing. A call that
//! fails is tried again for each completion alone, unless `rows_depend` says that the function compares them; then for
//! each task alone. `None` for a completion says that the function does not apply: it abstains.
//!
//! # verl
//!
//! `compute_score(data_source, solution_str, ground_truth, extra_info=None) -> float | dict`, plain or `async`. A key
//! of the task's `spec` comes first, then one of its `meta`, then `source`, `meta.reward_model.ground_truth` and
//! `reference`, and the whole of `meta` as `extra_info`. Of a dict `acc` is the outcome and `score` the shaped value,
//! which goes into the detail; without `acc`, `score` is the verdict.
//!
//! # Sources
//!
//! The signatures are those of `GRPOTrainer` in TRL 1.16 and of `NaiveRewardManager` in verl 0.9.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::WorkerJudge;
use super::launch::Launch;
use super::options::{TrlOptions, VerlOptions, positive};
use super::pool::{Calls, Pool};

/// Leads a function on the other side of the pipes.
const DRIVER: &str = include_str!("driver.py");

/// Makes the judge `trl:FILE.py:FUNCTION`, and loads the file.
///
/// # Errors
///
/// If the file cannot be loaded, there is no such function in it, or an option is out of range.
pub fn trl(place: &str, options: TrlOptions) -> Result<WorkerJudge, String> {
    let TrlOptions { python, batch, ready_s, columns, completions, tokenizer, rows_depend, worker } = options;
    let (path, function) = split_place("trl", place, None)?;
    let config = json!({"kind": "trl", "path": path, "function": function, "columns": columns,
        "completions": completions, "tokenizer": tokenizer});
    let launch = launch(python, &config, worker.env.clone())?;
    let calls = Calls::Several { most: positive("batch", batch)?, together: rows_depend };
    let pool = Pool::new(launch, calls, Some(ready_s), &worker)?;
    WorkerJudge::new(format!("trl:{place}"), pool, worker)
}

/// Makes the judge `verl:FILE.py:FUNCTION`, and loads the file; the function is `compute_score` if none is named.
///
/// # Errors
///
/// If the file cannot be loaded, there is no such function in it, or an option is out of range.
pub fn verl(place: &str, options: VerlOptions) -> Result<WorkerJudge, String> {
    let VerlOptions { python, batch, ready_s, kwargs, judge_by, worker } = options;
    let (path, function) = split_place("verl", place, Some("compute_score"))?;
    let config =
        json!({"kind": "verl", "path": path, "function": function, "kwargs": as_json(&kwargs)?, "judge_by": judge_by});
    let launch = launch(python, &config, worker.env.clone())?;
    let pool = Pool::new(launch, Calls::One { ahead: positive("batch", batch)? }, Some(ready_s), &worker)?;
    WorkerJudge::new(format!("verl:{place}"), pool, worker)
}

/// The file in `FILE.py:FUNCTION`, where the function may be missing.
pub(super) fn file_of(place: &str) -> &Path {
    let file =
        place.rsplit_once(':').map_or(place, |(file, function)| if function.contains('/') { place } else { file });
    Path::new(file)
}

/// Splits `FILE.py:FUNCTION`.
fn split_place<'a>(scheme: &str, place: &'a str, default: Option<&'a str>) -> Result<(PathBuf, &'a str), String> {
    let (path, function) = match (place.rsplit_once(':'), default) {
        (Some((path, function)), _) if !path.is_empty() && !function.is_empty() && !function.contains('/') => {
            (path, function)
        }
        (_, Some(default)) if !place.is_empty() => (place.trim_end_matches(':'), default),
        _ => return Err(format!("`{place}` does not name a function; write `{scheme}:FILE.py:FUNCTION`")),
    };
    let path = Path::new(path);
    if !path.is_file() {
        return Err(format!("there is no file `{}`; a relative path starts at the current folder", path.display()));
    }
    Ok((path.to_owned(), function))
}

fn as_json(table: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(table).map_err(|error| format!("`kwargs` cannot be passed on ({error})"))
}

fn launch(python: Option<String>, config: &Value, env: Option<Vec<String>>) -> Result<Launch, String> {
    let program = python.map_or_else(default_python, OsString::from);
    let args = vec!["-c".into(), DRIVER.into(), config.to_string().into()];
    Ok(Launch { program, args, env, remedy: "name the interpreter in the option `python`" })
}

/// The interpreter of the active virtual environment, or else the one in `PATH`.
fn default_python() -> OsString {
    let active = std::env::var_os("VIRTUAL_ENV").map(|folder| Path::new(&folder).join("bin/python"));
    active.filter(|python| python.is_file()).map_or_else(|| "python3".into(), OsString::from)
}
