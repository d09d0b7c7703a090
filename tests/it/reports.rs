//! `rlvr fit` and `rlvr report` over runs and tables as users have them, damaged ones included.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::command::{is_refused, rlvr, succeeds, text};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn write(path: &Path, content: &str) {
    fs::write(path, content).expect("a writable folder");
}

/// A run folder by hand: ten evaluations over two decades of two samples for each problem, of which more and more are
/// right.
fn run(folder: &Path, name: &str, problems: &[usize]) -> PathBuf {
    let run = folder.join(name);
    fs::create_dir_all(run.join("evals")).expect("a writable folder");
    let mut log = String::new();
    for step in 0..10_usize {
        let n_right = problems.len() * (step + 2) / 14;
        let record = json!({"kind": "eval", "schema": 1, "step": step, "time_s": 0,
            "compute/flops_total": if step == 0 { 0.0 } else { 10_f64.powf(15.0 + step as f64 / 4.0) },
            "compute/wall_s": 3 * step,
            "eval/sums/mean@2": n_right as f64 / problems.len() as f64, "eval/sums/n_samples": 2 * problems.len()});
        writeln!(log, "{record}").expect("writing into a string");
        let mut samples = String::new();
        for (i, problem) in problems.iter().enumerate() {
            for sample in 0..2 {
                let row = json!({"set": "sums", "task_id": problem.to_string(), "sample": sample,
                    "completion": "<script>alert(1)</script>\u{202e}", "n_tokens": 3, "stop": "eos",
                    "score": f64::from(u8::from(i < n_right)), "finding": "correct", "answer": "1"});
                writeln!(samples, "{row}").expect("writing into a string");
            }
        }
        write(&run.join(format!("evals/step_{step:06}.jsonl")), &samples);
    }
    write(&run.join("metrics.jsonl"), &log);
    run
}

fn points(path: &Path, content: &str) -> Value {
    write(path, content);
    succeeds(&["fit", text(path)]).json_lines().remove(0)
}

#[test]
fn a_fit_of_runs_has_intervals_over_problems_and_a_report_is_one_file() {
    let folder = folder();
    let problems: Vec<usize> = (0..56).collect();
    let (a, b) = (run(folder.path(), "a", &problems), run(folder.path(), "b", &problems));
    let finished = succeeds(&["fit", text(&a), "--held-out", "0.5", "--theme", "dark"]);
    let fit = &finished.json_lines()[0];
    assert_eq!((&fit["bootstrap"][0]["over"], &fit["bootstrap"][0]["problems"]), (&json!("problems"), &json!(56)));
    assert!(finished.stderr.contains("95 % over 56 problems: slope"), "{}", finished.stderr);
    for file in ["fit.json", "curve.png", "curve.csv", "heldout.svg"] {
        assert!(a.join("curves").join(file).exists(), "{file} is missing");
    }
    assert!(fs::read_to_string(a.join("curves/curve.svg")).expect("a figure").contains("56 problems × 2 samples"));

    let (page, figures) = (folder.path().join("report.html"), folder.path().join("figures"));
    let finished = succeeds(&["report", text(&a), text(&b), "--out", text(&page), "--figures", text(&figures)]);
    assert_eq!(finished.stdout, "", "stdout is for data");
    let html = fs::read_to_string(&page).expect("a page");
    for words in ["Report on a and b", "Not replicated", "A reviewer&#39;s checklist", "&lt;script&gt;alert(1)"] {
        assert!(html.contains(words), "`{words}` is missing");
    }
    assert!(!html.contains("<script"), "text of the model has become a script");
    assert!(figures.join("difficulty-sums-2.png").exists());
    is_refused(&["report", text(&a), text(&b)], 1, &["name the page with --out"]);
}

#[test]
fn points_stand_over_any_counter_of_the_records() {
    let folder = folder();
    let a = run(folder.path(), "a", &[1, 2, 3, 4, 5, 6, 7]);
    succeeds(&["fit", text(&a), "--axis", "wall_s"]);
    let svg = fs::read_to_string(a.join("curves/curve.svg")).expect("a figure");
    assert!(svg.contains("time of training (seconds), log scale"));
    is_refused(&["fit", text(&a), "--axis", "flops"], 1, &["no `compute/flops`; choose one of flops_total, wall_s"]);
    is_refused(&["fit", text(&a), "--held-out", "50"], 1, &["`--held-out` is 50, but must be a share"]);
}

#[test]
fn damaged_and_unequal_runs_are_named() {
    let folder = folder();
    let (a, b) = (run(folder.path(), "a", &[1, 2, 3, 4]), run(folder.path(), "b", &[3, 4, 5]));
    let page = folder.path().join("report.html");
    let both = [text(&a), text(&b), "--out", text(folder.path())];
    let words =
        ["`a` and `b` were evaluated on different tasks of `sums` (4 and 3 problems, 2 in common)", "fit them apart"];
    is_refused(&[&["fit"], &both[..]].concat(), 1, &words);
    is_refused(&[&["report"], &both[..]].concat(), 1, &words);
    is_refused(&["fit", text(&a), text(&a)], 1, &["is given twice"]);
    is_refused(
        &["report", text(folder.path())],
        1,
        &["there is no `metrics.jsonl`; give the folder that `rlvr train` wrote"],
    );

    let log = a.join("metrics.jsonl");
    let whole = fs::read_to_string(&log).expect("a log");
    write(&log, whole.trim_end().strip_suffix('}').expect("a record"));
    for command in [vec!["fit", text(&a)], vec!["report", text(&a), "--out", text(&page)]] {
        let finished = succeeds(&command);
        let words = "run `a`: the last line of `metrics.jsonl` is torn";
        assert!(
            finished.stderr.contains(words) && finished.stderr.contains("9 records before it"),
            "{}",
            finished.stderr
        );
    }
    write(&log, &whole.replacen("\"schema\":1", "\"schema\":99", 1));
    is_refused(&["fit", text(&a)], 1, &["metrics.jsonl`, line 1", "schema 99", "knows schemas up to 1", "a newer one"]);
    write(&log, "{\"kind\":\n");
    is_refused(&["report", text(&a)], 1, &["metrics.jsonl`, line 1: not a record"]);
    write(&a.join("evals/step_000003.jsonl"), "{\"set\":\n");
    write(&log, &whole);
    is_refused(&["fit", text(&a)], 1, &["step_000003.jsonl`, line 1: not a sample"]);
}

#[test]
fn tables_are_refused_by_line_or_read_in_any_order() {
    let folder = folder();
    let path = folder.path().join("points.csv");
    for (table, words) in [
        ("a,b\n1,2\n", "line 1: there is no column `C` or `compute`"),
        ("C\n1\n", "line 1: there is no column `y` or `accuracy`"),
        ("C,y\n1,0.5\n2,NaN\n", "line 3: `y` is `NaN`, but must be a number"),
        ("C,y\n1,0.5\n2,56\n", "line 3: accuracy is 56, but must lie between 0 and 1; divide percentages by 100"),
        ("C,y\n1,-0.5\n", "line 2: accuracy is -0.5"),
        ("C,y\n", "line 2: there is no point below the header"),
        ("", "line 1: the file is empty"),
    ] {
        write(&path, table);
        is_refused(&["fit", text(&path)], 1, &["points.csv`, ", words]);
    }
    for few in ["C,y\n5,0.5\n", "C,y\n5,0.5\n5,0.6\n5,0.4\n"] {
        assert_eq!(points(&path, few)["verdict"]["label"], "undetermined");
    }
    let rows: Vec<String> = (1..20).map(|i| format!("1e{i},{}", 0.04 * f64::from(i))).collect();
    let sorted = points(&path, &format!("C,y\n{}\n", rows.join("\n")));
    let turned: Vec<String> = rows.into_iter().rev().collect();
    assert_eq!(sorted, points(&path, &format!("C,y\n{}\n", turned.join("\n"))));
}

#[test]
fn a_million_rows_take_seconds() {
    let folder = folder();
    let path = folder.path().join("points.csv");
    let mut table = String::from("C,k,n\n");
    for i in 0..1_000_000_u32 {
        writeln!(table, "{:e},{},200", 10_f64.powf(18.0 + f64::from(i) / 400_000.0), 30 + i / 25_000 + i % 7)
            .expect("writing into a string");
    }
    write(&path, &table);
    let start = Instant::now();
    let finished = rlvr(&["fit", text(&path), "--out", text(&folder.path().join("out"))]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.json_lines()[0]["points"], 1_000_000);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let size = fs::metadata(folder.path().join("out/curve.svg")).expect("a figure").len();
    assert!(size < 1_000_000, "the figure has {size} bytes");
}
