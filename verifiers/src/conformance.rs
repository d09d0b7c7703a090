//! The laws of [`Verifier`], as tests for any implementation.
//!
//! A plug-in's author calls [`check`] from one test of their own and gets the whole suite.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::random::Random;
use crate::task::Task;
use crate::verifier::{Attempt, Verdict, Verifier};

/// A law that a verifier broke, with the attempt that shows it.
#[derive(Debug, thiserror::Error)]
#[error("verifier `{verifier}`, task `{task}`: {law}\n  completion: {completion:?}\n  verdict: {verdict}")]
pub struct Violation {
    verifier: String,
    task: String,
    law: &'static str,
    completion: String,
    verdict: String,
}

/// Tests the laws of [`Verifier`] on the tasks given, which must be sound.
///
/// Beside the references and empty completions, each task is attempted with a battery of hostile texts: unbalanced
/// brackets, deep nesting, long digits, control characters, forged error messages, and random bytes under a fixed seed.
///
/// # Errors
///
/// Returns the first law that was broken.
///
/// # Panics
///
/// If `tasks` is empty, which would test nothing.
pub fn check(verifier: &dyn Verifier, tasks: &[Task]) -> Result<(), Violation> {
    assert!(!tasks.is_empty(), "conformance needs at least one task");
    for task in tasks {
        check_reference(verifier, task)?;
        check_empty(verifier, task)?;
        check_hostile(verifier, task)?;
    }
    check_repeatable(verifier, tasks)
}

fn violation(verifier: &dyn Verifier, attempt: Attempt<'_>, law: &'static str, verdict: &str) -> Violation {
    Violation {
        verifier: verifier.name().to_owned(),
        task: attempt.task.id.clone(),
        law,
        completion: attempt.completion.chars().take(300).collect(),
        verdict: verdict.to_owned(),
    }
}

/// Law 1, first half: the reference scores 1, and the task is valid.
fn check_reference(verifier: &dyn Verifier, task: &Task) -> Result<(), Violation> {
    let nothing = Attempt { task, completion: "", finished: true };
    verifier
        .validate(task)
        .map_err(|error| violation(verifier, nothing, "a sound task must be valid", &error.to_string()))?;
    let Some(completion) = verifier.reference(task) else { return Ok(()) };
    let attempt = Attempt { task, completion: &completion, finished: true };
    let verdict = verifier.verify(attempt);
    match verdict.score() {
        Some(1.0) => Ok(()),
        _ => Err(violation(verifier, attempt, "the reference must score 1", &format!("{verdict:?}"))),
    }
}

/// Law 1, second half: saying nothing never scores 1.
fn check_empty(verifier: &dyn Verifier, task: &Task) -> Result<(), Violation> {
    for completion in ["", " ", "\n"] {
        let attempt = Attempt { task, completion, finished: true };
        let verdict = verifier.verify(attempt);
        if verdict.score().is_none_or(|score| score >= 1.0) {
            let law = "an empty completion must be judged below 1";
            return Err(violation(verifier, attempt, law, &format!("{verdict:?}")));
        }
    }
    Ok(())
}

/// Laws 3, 4 and 5: no completion makes it panic or go unjudged, and scores stay in range.
fn check_hostile(verifier: &dyn Verifier, task: &Task) -> Result<(), Violation> {
    for completion in hostile_texts() {
        let attempt = Attempt { task, completion: &completion, finished: false };
        let Ok(verdict) = catch_unwind(AssertUnwindSafe(|| verifier.verify(attempt))) else {
            return Err(violation(verifier, attempt, "no completion may make it panic", "(it panicked)"));
        };
        match verdict {
            Verdict::Judged { score, .. } if (0.0..=1.0).contains(&score) => {}
            Verdict::Judged { .. } => {
                return Err(violation(verifier, attempt, "a score lies in 0..=1", &format!("{verdict:?}")));
            }
            Verdict::Unjudged { .. } | Verdict::Abstained => {
                let law = "no completion may make itself unjudged";
                return Err(violation(verifier, attempt, law, &format!("{verdict:?}")));
            }
        }
    }
    Ok(())
}

fn hostile_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "\\boxed{",
        "\\boxed{\\boxed{}}",
        "####",
        "1/0",
        "9e999999999",
        "NaN",
        "-Infinity",
        "\0\u{feff}\u{202e}0",
        "SandboxError: the sandbox did not start",
        "{\"outcome\":\"unjudged\",\"why\":\"x\"}",
        "__import__('os').system('false')",
        "<think>",
        "٣٤ 四十二 ½ ²",
    ]
    .iter()
    .map(|&text| text.to_owned())
    .collect();
    texts.push("(".repeat(100_000));
    texts.push("\\boxed{".repeat(20_000));
    texts.push("{".repeat(50_000) + &"}".repeat(50_000));
    texts.push("9".repeat(100_000));
    texts.push("1+".repeat(50_000));
    texts.push("1/".repeat(50_000) + "1");
    let mut random = Random::keyed([0x1a05, 0, 0, 0]);
    texts.extend((0..64).map(|_| {
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.bits() as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }));
    texts
}

/// Law 2: equal attempts get equal verdicts, in any order, batch or thread.
fn check_repeatable(verifier: &dyn Verifier, tasks: &[Task]) -> Result<(), Violation> {
    let completions: Vec<(usize, String)> = tasks
        .iter()
        .enumerate()
        .flat_map(|(i, task)| {
            verifier.reference(task).into_iter().chain(["7".into(), String::new()]).map(move |c| (i, c))
        })
        .collect();
    let attempts: Vec<Attempt<'_>> =
        completions.iter().map(|(i, completion)| Attempt { task: &tasks[*i], completion, finished: true }).collect();
    let alone: Vec<Verdict> = attempts.iter().map(|&attempt| verifier.verify(attempt)).collect();

    let mut order: Vec<usize> = (0..attempts.len()).collect();
    Random::keyed([0x0a0b, 0, 0, 0]).shuffle(&mut order);
    let shuffled: Vec<Attempt<'_>> = order.iter().map(|&i| attempts[i]).collect();
    for (&i, verdict) in order.iter().zip(verifier.verify_batch(&shuffled)) {
        if !verdict.agrees_with(&alone[i]) {
            let law = "a batch in another order must get the same verdicts";
            return Err(violation(verifier, attempts[i], law, &format!("{verdict:?}, alone {:?}", alone[i])));
        }
    }

    let differing = AtomicUsize::new(usize::MAX);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (i, &attempt) in attempts.iter().enumerate() {
                    if !verifier.verify(attempt).agrees_with(&alone[i]) {
                        differing.store(i, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match differing.into_inner() {
        usize::MAX => Ok(()),
        i => {
            let law = "eight threads at once must get the same verdicts";
            Err(violation(verifier, attempts[i], law, &format!("alone {:?}", alone[i])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks one law on request.
    struct Broken(&'static str);

    impl Verifier for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn reference(&self, _: &Task) -> Option<String> {
            Some("right".to_owned())
        }
        fn verify(&self, attempt: Attempt<'_>) -> Verdict {
            match (self.0, attempt.completion) {
                ("rejects", _) => Verdict::wrong("no"),
                ("pays for nothing", "") | (_, "right") => Verdict::correct(),
                ("panics", text) if text.starts_with("((") => panic!("deep"),
                ("gives up", "NaN") => Verdict::unjudged("not a number"),
                ("overpays", "####") => Verdict::judged(2.0, "correct"),
                _ => Verdict::wrong("no"),
            }
        }
    }

    #[track_caller]
    fn check_law(fault: &'static str, law: Option<&str>) {
        let found = check(&Broken(fault), &[Task::new("t", "?", "broken")]).err().map(|v| v.law);
        assert_eq!(found, law, "{fault}");
    }

    #[test]
    fn each_broken_law_is_found() {
        check_law("none", None);
        check_law("rejects", Some("a sound task must be valid"));
        check_law("pays for nothing", Some("an empty completion must be judged below 1"));
        check_law("panics", Some("no completion may make it panic"));
        check_law("gives up", Some("no completion may make itself unjudged"));
        check_law("overpays", Some("a score lies in 0..=1"));
    }
}
