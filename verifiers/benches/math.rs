//! How many verifications a second one core does: `cargo bench -p rlvr-verifiers`.
//!
//! Each line judges a set of completions; read the column of items a second.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rlvr_verifiers::math::Math;
use rlvr_verifiers::random::Random;
use rlvr_verifiers::{Attempt, Task, Verifier};

fn main() {
    divan::main();
}

/// Judges a set again and again; references are read before, which is done once a task.
fn judge(bencher: Bencher<'_, '_>, set: &[(Task, String)]) {
    let verifier = Math::default();
    let attempt = |(task, completion)| Attempt { task, completion, finished: true };
    for (task, completion) in set {
        let verdict = verifier.verify(attempt((task, completion)));
        assert!(verdict.score().is_some(), "{}: {verdict:?}", task.id);
    }
    bencher.counter(ItemsCount::new(set.len())).bench_local(|| {
        for (task, completion) in set {
            black_box(verifier.verify(attempt((task, black_box(completion)))));
        }
    });
}

const KINDS: [&str; 4] = ["boxed integers", "fractions", "thousands", "decimals"];

/// 500 tasks of a kind; every third answer is wrong.
fn simple(kind: &str, before: &str) -> Vec<(Task, String)> {
    let mut random = Random::keyed([0xbe9c, 0, 0, 0]);
    let mut below = |n: u64| random.below(n);
    (0..500)
        .map(|i| {
            let wrong = u64::from(i % 3 == 0);
            let (a, b) = (below(900) + 100, below(90) + 10);
            let (reference, answer) = match kind {
                "boxed integers" => (format!("{a}"), format!("\\boxed{{{}}}", a + wrong)),
                "fractions" => (format!("\\frac{{{a}}}{{{b}}}"), format!("\\boxed{{{}/{}}}", 3 * a + wrong, 3 * b)),
                "thousands" => (format!("{b},{a}"), format!("\\boxed{{{b}{{,}}{}}}", (a + wrong).min(999))),
                _ => (format!("{b}.{a}"), format!("The answer is {b}.{}0.", a + wrong)),
            };
            (Task::new(i.to_string(), "", "math").with_reference(reference), format!("{before}So we get ${answer}$."))
        })
        .collect()
}

#[divan::bench(args = KINDS)]
fn simple_answers(bencher: Bencher<'_, '_>, kind: &str) {
    judge(bencher, &simple(kind, ""));
}

#[divan::bench(args = KINDS)]
fn behind_20_kb_of_reasoning(bencher: Bencher<'_, '_>, kind: &str) {
    let step = "We multiply $a$ by 12 and note that the rest has $\\frac{1}{2}$ of it left. Then we go on.\n";
    judge(bencher, &simple(kind, &step.repeat(20_000 / step.len())));
}

/// A line of the crate's own cases.
#[derive(serde::Deserialize)]
struct Golden {
    id: String,
    reference: String,
    completion: Option<String>,
}

#[divan::bench]
fn golden_cases(bencher: Bencher<'_, '_>) {
    let lines = include_str!("../tests/golden/math.jsonl").lines();
    let cases = lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).expect("a case a line"));
    // Cases without a completion are bombs, given by parts; they are measured below.
    let set: Vec<(Task, String)> = cases
        .filter_map(|case: Golden| {
            Some((Task::new(case.id, "", "math").with_reference(case.reference), case.completion?))
        })
        .collect();
    judge(bencher, &set);
}

/// Completions made to cost as much as they can.
fn bombs() -> Vec<(&'static str, String)> {
    let boxed = |content: String| format!("\\boxed{{{content}}}");
    let nested = |open: &str, close: &str, n: usize| boxed(open.repeat(n) + "1" + &close.repeat(n));
    vec![
        ("power tower", boxed("9^{9^{9^{9^{9}}}}".into())),
        ("factorial tower", boxed("((9!)!)!".into())),
        ("100 k parentheses", nested("(", ")", 100_000)),
        ("100 k braces", nested("{", "}", 100_000)),
        ("3 k roots", nested("\\sqrt{", "}", 3_000)),
        ("1 MB of digits", boxed("7".repeat(1_000_000))),
        ("100 k summands", boxed("1+".repeat(100_000) + "1")),
        ("expansion", boxed("(a+b+c+d+e)^{400} - (e+d+c+b+a)^{399}".into())),
        ("matrix power", boxed("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^{100000000}".into())),
        ("long product", boxed("\\prod_{k=1}^{100000000} k".into())),
        ("nested functions", boxed("\\sin(".repeat(150) + "x" + &")".repeat(150))),
        ("20 k unclosed boxes", "\\boxed{".repeat(20_000)),
        ("5 k boxes", (0..5_000).map(|i| format!("\\boxed{{{i}}}, no, ")).collect()),
        ("1 MB of announcements", "the answer is 1 ".repeat(60_000)),
        ("1 MB of dollars", "$1 ".repeat(330_000)),
        ("1 MB of prose", "We do not know yet and go on, answer in hand. ".repeat(22_000) + "\\boxed{7}"),
    ]
}

#[divan::bench(args = bombs().into_iter().map(|(name, _)| name))]
fn bomb(bencher: Bencher<'_, '_>, name: &str) {
    let completion = bombs().into_iter().find(|(other, _)| *other == name).expect("the name is from the list").1;
    judge(bencher, &[(Task::new(name, "", "math").with_reference("11"), completion)]);
}
