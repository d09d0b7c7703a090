//! `trl:FILE.py:FUNCTION` and `verl:FILE.py:FUNCTION`, with functions that do whatever can go wrong.

use std::path::Path;

use rlvr_verifiers::{Attempt, Message, Prompt, Task, Verdict, conformance};
use serde_json::json;

use super::{build, has_python, judge, said, write};

/// Reward functions, each the whole of a file together with the line above them all.
const TRL: &str = r#"
import asyncio, json, math, os, signal, sys, threading, time
import helper

def equal(prompts, completions, answer, **kwargs):
    print("a reward function may print")
    return [1.0 if c == a else 0.0 for c, a in zip(completions, answer)]

async def later(completions, answer, **kwargs):
    await asyncio.sleep(0.001)
    return [c == a for c, a in zip(completions, answer)]

def strict(completions, level):
    return [0.5 if x is None else x / 10 for x in level]

def chat(prompts, completions, **kwargs):
    return [float(c[0]["content"] == "right" and c[0]["role"] == "assistant" and p[-1]["role"] == "user")
            for p, c in zip(prompts, completions)]

def callbacks(completions, trainer_state, log_extra, log_metric, **kwargs):
    log_extra("column", completions); log_metric("mean", 0.5)
    return [float(trainer_state.global_step == 0 and trainer_state.anything is None and "completion_ids" not in kwargs)
            for _ in completions]

def everything(completions, **kwargs):
    return [float(sorted(kwargs) == ["answer", "colour", "ground_truth", "level", "log_extra", "log_metric", "prompts",
                                     "reference", "solution", "trainer_state"]
                  and kwargs["colour"] == [None] * len(completions[:-1]) + ["red"])] * len(completions)

def main_thread(completions, **kwargs):
    signal.signal(signal.SIGALRM, lambda *_: None); signal.alarm(100)
    return [float(threading.current_thread() is threading.main_thread() and __name__ == "rewards"
                  and helper.VALUE == 1 and sys.path[0] == os.path.dirname(os.path.abspath(__file__))
                  and sys.stdin.read() == "")] * len(completions)

def picky(completions, **kwargs):
    rewards = []
    for c in completions:
        if c == "raise": raise ValueError("I do not like " + c)
        if c == "exit": sys.exit(3)
        if c == "die": os._exit(4)
        if c == "hang": time.sleep(1000)
        rewards.append({"none": None, "nan": math.nan, "inf": math.inf, "text": "1", "much": 2, "half": 0.5}.get(c, 1))
    return rewards

def short(completions, **kwargs):
    return [1.0] if len(completions) > 1 else []

def best(completions, **kwargs):
    if "raise" in completions: raise ValueError("no")
    return [float(len(c) == max(map(len, completions))) for c in completions]

def ids(completions, completion_ids, **kwargs):
    return [len(i) / 10 for i in completion_ids]

class Configured:
    def __init__(self, value): self.value = value
    def __call__(self, completions, **kwargs): return [self.value] * len(completions)

configured = Configured(0.25)
number = 7

if __name__ == "__main__":
    raise RuntimeError("this is no script")
"#;

fn rewards(folder: &Path, function: &str) -> String {
    write(folder, "helper.py", "VALUE = 1\n");
    format!("trl:{}:{function}", write(folder, "rewards.py", TRL).display())
}

#[test]
fn trl_functions_get_what_trl_gives_them() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    #[track_caller]
    fn check(folder: &Path, function: &str, task: &Task, completions: &[&str], expected: &[&str]) {
        let trl = build(&rewards(folder, function), "workers = 1").unwrap();
        let found: Vec<String> = judge(&*trl, task, completions).iter().map(said).collect();
        assert_eq!(found, expected, "{function}");
    }
    let check = |function, task: &Task, completions: &[&str], expected: &[&str]| {
        check(folder.path(), function, task, completions, expected);
    };
    let mut task = Task::new("t", "What?", "trl").with_reference("right");
    check("equal", &task, &["right", "wrong", "right"], &["1 correct", "0 wrong", "1 correct"]);
    check("later", &task, &["right", "wrong"], &["1 correct", "0 wrong"]);
    check("callbacks", &task, &["x"], &["1 correct"]);
    check("main_thread", &task, &["x"], &["1 correct"]);
    check("configured", &task, &["x"], &["0.25 partial"]);
    task.meta.insert("level".into(), json!(3));
    check("strict", &task, &["x"], &["0.3 partial"]);
    task.spec = json!({"level": 7});
    check("strict", &task, &["x"], &["0.7 partial"]);
    let chat = Task::new("t", Prompt::Chat(vec![Message::new("user", "What?")]), "trl");
    check("chat", &chat, &["right", "wrong"], &["1 correct", "0 wrong"]);
}

#[test]
fn a_column_that_a_task_lacks_holds_none() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trl = build(&rewards(folder.path(), "everything"), "workers = 1").unwrap();
    let mut tasks = ["a", "b", "c"].map(|id| Task::new(id, "?", "trl").with_reference("1"));
    tasks[0].meta.insert("level".into(), json!(1));
    tasks[2].meta.insert("colour".into(), json!("red"));
    let attempts: Vec<Attempt<'_>> =
        tasks.iter().map(|task| Attempt { task, completion: "x", finished: true }).collect();
    assert!(trl.verify_batch(&attempts).iter().all(|verdict| said(verdict) == "1 correct"));
}

#[test]
fn one_poisonous_completion_costs_nobody_else() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let task = Task::new("t", "?", "trl");
    for options in ["workers = 1", "workers = 2\nbatch = 3"] {
        let trl = build(&rewards(folder.path(), "picky"), &format!("{options}\ntimeout_s = 1.2")).unwrap();
        let texts = ["a", "raise", "half", "none", "nan", "exit", "b", "die", "inf", "text", "hang", "much", "c"];
        let found: Vec<String> = judge(&*trl, &task, &texts).iter().map(said).collect();
        let starts = [
            "1 correct",
            "ValueError: I do not like raise",
            "0.5 partial",
            "abstained",
            "`picky` returned nan, which is no score",
            "SystemExit: 3",
            "1 correct",
            "the worker ended (exit status: 4)",
            "`picky` returned inf, which is no score",
            "`picky` returned '1', not a number",
            "there was no answer within 1.2 s",
            "the score 2 is outside 0 to 1; name the scale of the judge in the option `range = [lo, hi]`",
            "1 correct",
        ];
        for (found, start) in found.iter().zip(starts) {
            assert!(found.starts_with(start), "{options}: {found}");
        }
    }
}

#[test]
fn a_traceback_is_shown_once() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trl = build(&rewards(folder.path(), "picky"), "workers = 1").unwrap();
    let found: Vec<String> =
        judge(&*trl, &Task::new("t", "?", "trl"), &["raise", "x", "raise"]).iter().map(said).collect();
    let path = folder.path().join("rewards.py");
    assert!(
        found[0].starts_with("ValueError: I do not like raise\nTraceback (most recent call last):\n"),
        "{}",
        found[0]
    );
    assert!(found[0].contains(&format!("File \"{}\", line 39, in picky\n", path.display())), "{}", found[0]);
    assert!(!found[0].contains("<string>"), "{}", found[0]);
    assert_eq!(found[2], "ValueError: I do not like raise");
}

#[test]
fn a_list_of_the_wrong_length_is_an_error() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trl = build(&rewards(folder.path(), "short"), "workers = 1").unwrap();
    let verdicts = judge(&*trl, &Task::new("t", "?", "trl"), &["x", "y"]);
    assert!(verdicts.iter().all(|v| said(v).starts_with("ValueError: `short` returned 0 values for 1 completions")));
}

#[test]
fn rows_that_depend_stay_together() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tasks = ["a", "b", "c"].map(|id| Task::new(id, "?", "trl"));
    let texts = ["1", "1", "raise", "22", "333", "4"];
    let attempts: Vec<Attempt<'_>> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| Attempt { task: &tasks[i % 3], completion: text, finished: true })
        .collect();
    let trl = build(&rewards(folder.path(), "best"), "workers = 1\nrows_depend = true").unwrap();
    let scores: Vec<Option<f32>> = trl.verify_batch(&attempts).iter().map(Verdict::score).collect();
    assert_eq!(scores, [Some(0.0), Some(0.0), None, Some(1.0), Some(1.0), None]);
}

const VERL: &str = r#"
import asyncio, math
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    assert data_source == "gsm8k" and extra_info["level"] == 3, (data_source, extra_info)
    if solution_str == "raise": raise RuntimeError("no")
    return float(solution_str == ground_truth)
def keywords(data_source, solution_str, ground_truth, extra_info, **kw): return kw["bonus"] * (solution_str == ground_truth)
def both(solution_str, ground_truth):
    right = solution_str == ground_truth
    return {"score": 1.0 if right else -1.0, "acc": right, "pred": solution_str, "odd": math.nan, "set": {1}}
def shaped(solution_str, ground_truth): return {"score": 1.0 if solution_str == ground_truth else -1.0}
def renamed(predict_str, ground_truth): return int(predict_str == ground_truth)
def first_of(solution_str, ground_truth): return solution_str == ground_truth, ["metadata"]
async def later(data_source, solution_str, ground_truth, extra_info=None):
    await asyncio.sleep(0)
    return solution_str == ground_truth
def typed(solution_str, ground_truth): return float(solution_str in ground_truth["any"])
def empty(solution_str, ground_truth): return {}
"#;

#[test]
fn verl_functions_get_what_verl_gives_them() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "score.py", VERL);
    let mut task = Task::new("t", "?", "verl").with_reference("right");
    task.source = "gsm8k".to_owned();
    task.meta.insert("level".into(), json!(3));
    let check = |function: &str, options: &str, task: &Task, expected: [&str; 2]| {
        let verl = build(&format!("verl:{}{function}", path.display()), options).unwrap();
        let found: Vec<String> = judge(&*verl, task, &["right", "wrong"]).iter().map(said).collect();
        assert_eq!(found, expected, "{function}");
    };
    check("", "", &task, ["1 correct", "0 wrong"]);
    check(":compute_score", "", &task, ["1 correct", "0 wrong"]);
    check(":keywords", "kwargs = { bonus = 0.5 }", &task, ["0.5 partial", "0 wrong"]);
    check(":both", "", &task, ["1 correct", "0 wrong"]);
    check(":both", "judge_by = 'score'\nrange = [-1, 3]", &task, ["0.5 partial", "0 wrong"]);
    check(":shaped", "range = [-1, 1]", &task, ["1 correct", "0 wrong"]);
    check(":renamed", "", &task, ["1 correct", "0 wrong"]);
    check(":first_of", "", &task, ["1 correct", "0 wrong"]);
    check(":later", "", &task, ["1 correct", "0 wrong"]);
    task.meta.insert("reward_model".into(), json!({"style": "rule", "ground_truth": {"any": ["right"]}}));
    check(":typed", "", &task, ["1 correct", "0 wrong"]);
    let without_acc = "KeyError: '`empty` returned a dict without `score`'";
    let verl = build(&format!("verl:{}:empty", path.display()), "").unwrap();
    assert!(said(&judge(&*verl, &task, &["x"])[0]).starts_with(without_acc));
}

#[test]
fn what_else_a_dict_holds_is_detail() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "score.py", VERL);
    let verl = build(&format!("verl:{}:both", path.display()), "").unwrap();
    let task = Task::new("t", "?", "verl").with_reference("right");
    let Verdict::Judged { detail, .. } = judge(&*verl, &task, &["right"]).remove(0) else { panic!("it is judged") };
    let detail = serde_json::to_value(detail).unwrap();
    assert_eq!(detail, json!({"score": 1.0, "pred": "right", "odd": "nan", "set": "{1}"}));
}

#[test]
fn files_inside_a_package_and_files_named_as_modules() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("outer/inner");
    std::fs::create_dir_all(&package).unwrap();
    write(&folder.path().join("outer"), "__init__.py", "");
    write(&package, "__init__.py", "");
    write(&folder.path().join("outer"), "near.py", "def same(a, b): return a == b\n");
    let text = "from ..near import same\ndef compute_score(solution_str, ground_truth): return same(solution_str, ground_truth)\n";
    let relative = write(&package, "math.py", text);
    let text = "import json, math\ndef compute_score(solution_str, ground_truth): return math.floor(1.5)\n";
    let shadowing = write(folder.path(), "json.py", text);
    let task = Task::new("t", "?", "verl").with_reference("right");
    for path in [relative, shadowing] {
        let verl = build(&format!("verl:{}", path.display()), "").unwrap();
        assert_eq!(said(&judge(&*verl, &task, &["right"])[0]), "1 correct", "{}", path.display());
    }
}

#[test]
fn refusals() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    #[track_caller]
    fn check(name: &str, options: &str, expected: &str) {
        let why = build(name, options).err().expect("it must be refused");
        assert!(why.contains(expected), "{why}");
    }
    let broken = write(folder.path(), "broken.py", "import no_such_module\n");
    check(
        &format!("trl:{}:f", broken.display()),
        "",
        "a worker did not start: the worker ended (exit status: 2); its stderr ends in:\n",
    );
    check(&format!("trl:{}:f", broken.display()), "", "ModuleNotFoundError: No module named 'no_such_module'");
    check(&rewards(folder.path(), "equals"), "", "has no function `equals`; it has best, callbacks, chat, equal");
    check(&rewards(folder.path(), "number"), "", "has no function `number`; it has");
    check(
        &rewards(folder.path(), "ids"),
        "",
        "`ids` asks for `completion_ids`, but a verifier sees text; name the model's",
    );
    check("trl:rewards.py", "", "`rewards.py` does not name a function; write `trl:FILE.py:FUNCTION`");
    check("verl:no/such.py", "", "there is no file `no/such.py`; a relative path starts at the current folder");
    check(
        &rewards(folder.path(), "equal"),
        "python = 'no-such-python'",
        "`no-such-python` cannot be started (No such file or directory (os error 2)): it is not in `PATH`; name the \
         interpreter in the option `python`",
    );
    check(
        &rewards(folder.path(), "equal"),
        "batches = 1",
        "unknown field `batches`, expected one of `batch`, `columns`",
    );
}

#[test]
fn tasks_are_tried_before_a_run() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "score.py", VERL);
    let name = format!("verl:{}:typed", path.display());
    let task = Task::new("t", "?", "verl").with_reference("right");
    let faults = |options: &str| build(&name, options).unwrap().validate(&task).map_err(|error| error.to_string());
    assert!(faults("").unwrap_err().starts_with("task `t`: TypeError: string indices must be integers"));
    assert_eq!(faults("validate = false"), Ok(()));
    let equal = build(&rewards(folder.path(), "equal"), "reference_as = '#### {reference}'").unwrap();
    let why = equal.validate(&task).unwrap_err().to_string();
    assert!(why.ends_with("rejects the task's own reference `#### right`: wrong"), "{why}");
}

#[test]
fn they_obey_the_laws() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tasks = [Task::new("1", "?", "p").with_reference("Paris"), Task::new("2", "?", "p").with_reference("7")];
    let options = "workers = 2\nreference_as = '{reference}'";
    conformance::check(&*build(&rewards(folder.path(), "equal"), options).unwrap(), &tasks).unwrap();
    let path = write(folder.path(), "score.py", VERL);
    let verl = build(&format!("verl:{}:both", path.display()), options).unwrap();
    conformance::check(&*verl, &tasks).unwrap();
}
