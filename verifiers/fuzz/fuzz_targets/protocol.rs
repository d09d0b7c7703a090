//! The JSON lines of judges elsewhere and of `rlvr verify`: whatever comes is answered, and nothing is kept of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rlvr_verifiers::Registry;
use rlvr_verifiers::cases::{CaseJudge, Options};
use rlvr_verifiers::foreign::protocol::parse_reply;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(line) = std::str::from_utf8(bytes) {
        let _ = parse_reply(line);
    }
    // Only verifiers that compute: a name such as `process:…` would start what it names.
    let mut judge = CaseJudge::new(only_math(), Options::new(), Some("math".to_owned())).expect("it can be made");
    let mut verdicts = vec![];
    judge.judge_all(bytes, &mut verdicts).expect("any input is answered");
    let n_cases = bytes.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    assert_eq!(verdicts.iter().filter(|&&byte| byte == b'\n').count(), n_cases, "one answer for each line");
});

fn only_math() -> Registry {
    let mut registry = Registry::empty();
    registry.add("math", |_| Ok(Box::new(rlvr_verifiers::math::Math::default())));
    registry
}
