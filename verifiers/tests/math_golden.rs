//! The golden cases of mathematics: none may be judged wrongly, and all of them the same way twice.

use rlvr_verifiers::math::Math;
use rlvr_verifiers::{Attempt, Task, Verdict, Verifier};
use serde::Deserialize;

/// A line of `golden/math.jsonl`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    reference: String,
    /// What the policy wrote.
    completion: Option<String>,
    /// The same as texts, each with how often it is repeated.
    #[serde(default)]
    parts: Vec<(String, usize)>,
    accept: bool,
    /// The decimals that the task asks for.
    decimals: Option<u32>,
    /// A rejection of what is right would be no harm: limits, odd characters.
    #[serde(default)]
    tolerate: bool,
    #[serde(default)]
    why: String,
}

#[test]
fn no_case_is_judged_wrongly() {
    let mut wrong = vec![];
    for (i, line) in include_str!("golden/math.jsonl").lines().enumerate() {
        let case: Case = serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", i + 1));
        let completion = case.completion.clone().unwrap_or_else(|| {
            let parts: Vec<String> = case.parts.iter().map(|(text, times)| text.repeat(*times)).collect();
            parts.concat()
        });
        let spec = case.decimals.map_or(serde_json::Value::Null, |decimals| serde_json::json!({"decimals": decimals}));
        let task = Task::new(&case.id, "", "math").with_reference(&case.reference).with_spec(spec);
        let attempt = Attempt { task: &task, completion: &completion, finished: true };
        let verdict = Math::default().verify(attempt);
        assert_eq!(verdict, Math::default().verify(attempt), "{}", case.id);
        let is_right = match (&verdict, case.accept) {
            (Verdict::Unjudged { .. }, _) => false,
            (judged, true) => judged.score() == Some(1.0) || case.tolerate,
            (judged, false) => judged.score() == Some(0.0),
        };
        if !is_right {
            let Case { id, reference, completion, accept, why, .. } = case;
            wrong.push(format!("{id}: {reference:?} against {completion:?} should be {accept} ({why}): {verdict:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
