//! Comparison is symmetric where the policy is, repeatable, and never panics. The two answers are the halves of a text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rlvr_verifiers::math::policy::{Intervals, Labels, Percent, Units};
use rlvr_verifiers::math::{Answer, Comparison, Math, Policy, compare};
use rlvr_verifiers::{Attempt, Task, Verdict, Verifier};

fuzz_target!(|text: &str| {
    let (a, b) = text.split_once('\n').unwrap_or((text, ""));
    // What a reference allows and an answer does not, such as a percent sign, makes the default asymmetric on purpose.
    let policy = Policy {
        percent: Percent::Value,
        units: Units::Required,
        labels: Labels::Required,
        intervals: Intervals::Distinct,
        ..Policy::default()
    };
    if let (Ok(left), Ok(right)) = (Answer::read(a, &policy), Answer::read(b, &policy)) {
        let there = compare(&left, &right, &policy, 7);
        let back = compare(&right, &left, &policy, 7);
        assert_eq!(there, compare(&left, &right, &policy, 7), "{a:?} and {b:?} are judged by chance");
        let is_equal = |found| matches!(found, Comparison::Equal { .. });
        assert_eq!(is_equal(there), is_equal(back), "{a:?} and {b:?}: {there:?}, but back {back:?}");
    }
    let task = Task::new("t", "", "math").with_reference(a);
    let completion = format!("\\boxed{{{b}}}");
    let verifier = Math::default();
    let verdict = verifier.verify(Attempt { task: &task, completion: &completion, finished: true });
    let nothing = verifier.verify(Attempt { task: &task, completion: "", finished: true });
    // Whether something is judged depends on the task alone.
    assert_eq!(matches!(verdict, Verdict::Unjudged { .. }), matches!(nothing, Verdict::Unjudged { .. }), "{a:?} {b:?}");
});
