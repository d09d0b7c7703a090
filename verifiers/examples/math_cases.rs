//! Runs files of cases through the verifier `math`, and reads the references of data sets.
//!
//! ```text
//! cargo run --release -p rlvr-verifiers --example math_cases -- DIR [--list] [--data DATA]
//! ```
//!
//! In DIR it looks for `math_cases.jsonl`, `math_adversarial.jsonl`, `math_cases_other.jsonl` (a `gold`, a `pred` or
//! `pred_parts`, the verdict `expected`) and `latex_parse_cases.jsonl` (`latex` and the same as `sympy` prints it). In
//! DATA every `.jsonl` file is read whose lines have an `answer`, `Answer` or `target`. It exits with 1 if a gate is
//! broken. Timings are of one core.

#![expect(clippy::print_stdout, reason = "a program that reports")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rlvr_verifiers::extract::{Extractor, SeveralBoxes};
use rlvr_verifiers::math::{Answer, Comparison, Math, MathOptions, Policy, compare};
use rlvr_verifiers::{Attempt, Task, Verdict, Verifier};
use serde::Deserialize;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    let usage = "usage: math_cases DIR [--list] [--data DATA]";
    let mut directory: Option<PathBuf> = None;
    let mut data: Option<PathBuf> = None;
    let mut list = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => list = true,
            "--data" => data = Some(arguments.next().ok_or(usage)?.into()),
            _ if argument.starts_with('-') || directory.is_some() => return Err(usage.into()),
            _ => directory = Some(argument.into()),
        }
    }
    if directory.is_none() && data.is_none() {
        return Err(usage.into());
    }
    let mut broken: Vec<String> = vec![];
    if let Some(directory) = directory {
        for name in ["math_cases", "math_adversarial", "math_cases_other"] {
            run_cases(&directory.join(format!("{name}.jsonl")), list, &mut broken)?;
        }
        read_latex(&directory.join("latex_parse_cases.jsonl"), list)?;
    }
    if let Some(data) = data {
        read_data(&data, list, &mut broken)?;
    }
    for gate in &broken {
        println!("BROKEN: {gate}");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line of a case file; keys that do not matter here are passed over.
#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    gold: String,
    pred: Option<String>,
    pred_parts: Option<Vec<(String, usize)>>,
    expected: bool,
    #[serde(default)]
    cls: Option<String>,
    #[serde(default)]
    cat: Option<String>,
    #[serde(default)]
    match_types: Vec<String>,
    #[serde(default)]
    float_rounding: Option<u32>,
    #[serde(default)]
    tolerate_reject: bool,
}

impl Case {
    fn class(&self) -> String {
        let prefix = self.id.rsplit_once('-').map_or("", |(prefix, _)| prefix);
        self.cls.clone().or_else(|| self.cat.clone()).unwrap_or_else(|| prefix.to_owned())
    }

    fn completion(&self) -> String {
        let parts = self.pred_parts.iter().flatten().map(|(text, times)| text.repeat(*times));
        self.pred.clone().unwrap_or_else(|| parts.collect())
    }

    fn task(&self) -> Task {
        let spec = self.float_rounding.map_or(Value::Null, |decimals| json!({"decimals": decimals}));
        Task::new(&self.id, "", "math").with_reference(&self.gold).with_spec(spec)
    }

    fn verifier(&self) -> Math {
        use Extractor::{Anchor, Boxed, ChoiceLetter, LastMath, LastNumber};
        let mut extract = vec![Boxed, Anchor];
        for kind in &self.match_types {
            match kind.as_str() {
                "latex" => extract.push(LastMath),
                "expr" => extract.push(LastNumber),
                _ => extract.extend([LastMath, LastNumber]),
            }
        }
        if self.match_types.is_empty() {
            extract.extend([LastMath, LastNumber]);
        }
        if self.id.contains("mcq") {
            extract.push(ChoiceLetter);
        }
        let (extract_strict, extract_lenient) = (extract.clone(), extract.clone());
        Math::new(MathOptions {
            extract,
            extract_strict,
            extract_lenient,
            several_boxes: SeveralBoxes::Reject,
            ..MathOptions::default()
        })
    }
}

/// What came out, for one class of cases.
#[derive(Debug, Default)]
struct Tally {
    n: usize,
    n_agree: usize,
    n_false_positive: usize,
    n_missed: usize,
    n_tolerated: usize,
    n_unjudged: usize,
    slowest: Duration,
    slowest_id: String,
    total: Duration,
}

fn run_cases(path: &Path, list: bool, broken: &mut Vec<String>) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    println!("\n{}", path.display());
    println!(
        "{:12} {:>5} {:>6} {:>9} {:>7} {:>9} {:>8} {:>9}  slowest",
        "class", "cases", "agree", "false pos", "missed", "tolerated", "unjudged", "a second"
    );
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for case in lines::<Case>(path)? {
        let tally = tallies.entry(case.class()).or_default();
        run_case(&case, tally, list);
    }
    let mut all = Tally::default();
    for (class, tally) in &tallies {
        print_tally(class, tally);
        all.n_false_positive += tally.n_false_positive;
        all.n_missed += tally.n_missed;
        if tally.slowest > all.slowest {
            (all.slowest, all.slowest_id) = (tally.slowest, tally.slowest_id.clone());
        }
    }
    check_gates(path, &tallies, &all, broken);
    Ok(())
}

fn check_gates(path: &Path, tallies: &BTreeMap<String, Tally>, all: &Tally, broken: &mut Vec<String>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut gate = |holds: bool, what: String| {
        if !holds {
            broken.push(format!("{name}: {what}"));
        }
    };
    if let Some(core) = tallies.get("core") {
        gate(core.n_false_positive == 0, format!("{} false positives in class core", core.n_false_positive));
        gate(core.n_missed <= 2, format!("{} missed in class core, at most 2 may be", core.n_missed));
        gate(core.a_second() >= 20_000.0, format!("{:.0} a second in class core, not 20000", core.a_second()));
    }
    if name.contains("adversarial") {
        gate(all.n_false_positive == 0, format!("{} false positives", all.n_false_positive));
        gate(all.n_missed <= 3, format!("{} missed, at most 3 may be", all.n_missed));
    }
    let slowest_ms = all.slowest.as_secs_f64() * 1e3;
    gate(slowest_ms < 10.0, format!("{} takes {slowest_ms:.1} ms, not under 10", all.slowest_id));
}

fn run_case(case: &Case, tally: &mut Tally, list: bool) {
    let (task, completion, verifier) = (case.task(), case.completion(), case.verifier());
    let attempt = Attempt { task: &task, completion: &completion, finished: true };
    let verdict = verifier.verify(attempt); // reads the reference, which is done once a task
    let taken = (0..7).map(|_| time(|| verifier.verify(attempt))).min().unwrap_or_default();
    tally.n += 1;
    tally.total += taken;
    if taken > tally.slowest {
        (tally.slowest, tally.slowest_id) = (taken, case.id.clone());
    }
    let accepted = verdict.score() == Some(1.0);
    let outcome = match (case.expected, accepted) {
        _ if verdict.score().is_none() => "unjudged",
        (expected, accepted) if expected == accepted => "agree",
        (false, _) => "false positive",
        (true, _) if case.tolerate_reject => "tolerated",
        (true, _) => "missed",
    };
    match outcome {
        "agree" => tally.n_agree += 1,
        "false positive" => tally.n_false_positive += 1,
        "tolerated" => tally.n_tolerated += 1,
        "unjudged" => tally.n_unjudged += 1,
        _ => {}
    }
    tally.n_missed += usize::from(outcome == "missed" || outcome == "unjudged" && case.expected);
    if list && outcome != "agree" {
        println!("  {} {} {outcome}: {}", case.id, case.class(), said(&verdict));
        println!("      gold {:?}\n      pred {:?}", tail(&case.gold), tail(&completion));
    }
}

fn time<T>(work: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Judged { finding, detail, .. } => {
            format!("{finding} {}", serde_json::to_string(detail).unwrap_or_default())
        }
        Verdict::Abstained => "abstained".to_owned(),
        Verdict::Unjudged { why } => format!("unjudged, {why}"),
    }
}

fn tail(text: &str) -> &str {
    let start = (text.len().saturating_sub(150)..=text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    &text[start..]
}

impl Tally {
    fn a_second(&self) -> f64 {
        self.n as f64 / self.total.as_secs_f64()
    }
}

fn print_tally(class: &str, tally: &Tally) {
    println!(
        "{class:12} {:5} {:6} {:9} {:7} {:9} {:8} {:9.0}  {:.3} ms {}",
        tally.n,
        tally.n_agree,
        tally.n_false_positive,
        tally.n_missed,
        tally.n_tolerated,
        tally.n_unjudged,
        tally.a_second(),
        tally.slowest.as_secs_f64() * 1e3,
        tally.slowest_id
    );
}

/// A line of the parser's case file.
#[derive(Debug, Deserialize)]
struct Latex {
    id: String,
    latex: String,
    sympy: String,
}

/// Counts what is read at all, and what equals what `sympy` prints for it, itself read as plain text.
fn read_latex(path: &Path, list: bool) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    println!("\n{}", path.display());
    println!(
        "{:12} {:>5} {:>6} {:>7} {:>6} {:>8} {:>9}",
        "construct", "cases", "read", "refused", "equal", "different", "no print"
    );
    let policy = Policy::default();
    let mut counts: BTreeMap<&str, [usize; 6]> = BTreeMap::new();
    for case in lines::<Latex>(path)? {
        let count = counts.entry(construct(&case.latex)).or_default();
        count[0] += 1;
        let read = match Answer::read(&case.latex, &policy) {
            Ok(read) => read,
            Err(error) => {
                count[2] += usize::from(matches!(error, rlvr_verifiers::math::ReadError::Refused(_)));
                if list {
                    println!("  {} {:?}: {error}", case.id, tail(&case.latex));
                }
                continue;
            }
        };
        count[1] += 1;
        match Answer::read(&case.sympy, &policy).map(|print| compare(&print, &read, &policy, 0)) {
            Ok(Comparison::Equal { .. }) => count[3] += 1,
            Ok(other) => {
                count[4] += 1;
                if list {
                    println!("  {} {:?} is not {:?}: {other:?}", case.id, tail(&case.latex), tail(&case.sympy));
                }
            }
            Err(_) => count[5] += 1,
        }
    }
    let total = counts.values().fold([0; 6], |sum, count| std::array::from_fn(|i| sum[i] + count[i]));
    for (construct, [n, read, refused, equal, different, no_print]) in counts.into_iter().chain([("all", total)]) {
        println!("{construct:12} {n:5} {read:6} {refused:7} {equal:6} {different:9} {no_print:9}");
    }
    Ok(())
}

fn construct(latex: &str) -> &'static str {
    let has = |marks: &[&str]| marks.iter().any(|mark| latex.contains(mark));
    match () {
        () if has(&["matrix", "array", "\\det", "\\trace", "\\tr", "^T"]) => "matrix",
        () if has(&["\\int"]) => "integral",
        () if has(&["\\lim"]) => "limit",
        () if has(&["\\sum", "\\prod"]) => "sum, product",
        () if has(&["\\partial", "{d}", "\\mathrm{d}", "{dx}", "\\dot"]) => "derivative",
        () if has(&["\\cup", "\\cap", "\\in", "\\{", "\\emptyset", "\\setminus", "\\subset"]) => "set",
        () if has(&["\\le", "\\ge", "\\lt", "\\gt", "<", ">", "=", "\\ne"]) => "relation",
        () if has(&["\\sin", "\\cos", "\\tan", "\\arc", "\\ar", "\\sec", "\\csc", "\\cot", "sinh", "cosh", "tanh"]) => {
            "trigonometry"
        }
        () if has(&["\\log", "\\ln", "\\exp", "e^", "\\lg"]) => "logarithm",
        () if has(&[
            "\\floor",
            "\\lfloor",
            "\\lceil",
            "\\ceil",
            "|",
            "vert",
            "\\min",
            "\\max",
            "\\gcd",
            "\\lcm",
            "operatorname",
        ]) =>
        {
            "function"
        }
        () if has(&["\\sqrt"]) => "root",
        () if has(&["!", "binom", "\\choose"]) => "factorial",
        () if has(&["frac"]) => "fraction",
        () if has(&["\\%", "%", "\\$"]) => "percent",
        () if has(&["^", "_"]) => "power, index",
        () if latex.bytes().any(|b| b.is_ascii_alphabetic()) => "letters",
        () => "number",
    }
}

/// Reads the references of data sets and compares each with itself.
fn read_data(directory: &Path, list: bool, broken: &mut Vec<String>) -> Result<()> {
    println!("\n{:28} {:>7} {:>7}", "references", "rows", "sound");
    let mut paths: Vec<PathBuf> = directory.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    let verifier = Math::default();
    let (mut n, mut n_sound) = (0, 0);
    for path in paths {
        let references: Vec<String> = lines::<Value>(&path)?.iter().filter_map(reference).collect();
        if references.is_empty() {
            continue;
        }
        let mut sound = 0;
        for (row, text) in references.iter().enumerate() {
            let task = Task::new(format!("row {}", row + 1), "", "math").with_reference(text);
            match verifier.validate(&task) {
                Ok(()) => sound += 1,
                Err(error) if list => println!("  {}: {error}", path.display()),
                Err(_) => {}
            }
        }
        println!("{:28} {:7} {sound:7}", path.file_name().unwrap_or_default().to_string_lossy(), references.len());
        n += references.len();
        n_sound += sound;
    }
    let share = n_sound as f64 / (n as f64).max(1.0);
    println!("{:28} {n:7} {n_sound:7}  {:.3} %", "all", share * 100.0);
    if share < 0.995 {
        broken.push(format!("{:.2} % of the references are sound, not 99.5 %", share * 100.0));
    }
    Ok(())
}

/// The reference of a row: what follows `####` where that occurs.
fn reference(row: &Value) -> Option<String> {
    let value = ["target", "Answer", "answer"].iter().find_map(|key| row.get(key))?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(text.rsplit_once("####").map_or(text.clone(), |(_, answer)| answer.trim().to_owned()))
}

fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parse = |(i, line)| {
        serde_json::from_str(line).map_err(|error| format!("{}, line {}: {error}", path.display(), i + 1).into())
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}
