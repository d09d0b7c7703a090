//! Reading an answer never panics, under any policy, and what was read equals itself.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rlvr_verifiers::math::policy::{Intervals, Labels, ListOrder, Locale, Percent, Units, Variables};
use rlvr_verifiers::math::{Answer, Comparison, Policy, compare};

static STRICT: LazyLock<Policy> = LazyLock::new(|| Policy {
    locale: Locale::Eu,
    decimals: Some(3),
    rtol: Some(1e-6),
    percent: Percent::Value,
    units: Units::Required,
    list_order: ListOrder::Kept,
    labels: Labels::Required,
    intervals: Intervals::Distinct,
    variables: Variables::Free,
});

fuzz_target!(|text: &str| {
    for policy in [&Policy::default(), &*STRICT] {
        let Ok(read) = Answer::read(text, policy) else { continue };
        let again = Answer::read(text, policy).expect("the same text reads the same way");
        let found = compare(&read, &again, policy, 1);
        assert!(!matches!(found, Comparison::Different { .. }), "{text:?} differs from itself: {found:?}");
        assert_eq!(found, compare(&read, &again, policy, 1), "{text:?} is judged by chance");
    }
});
