//! Answers that are text, compared after light normalisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::task::Task;
use crate::verifier::{Attempt, Verdict, Verifier};

/// What counts as equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExactOptions {
    /// Whether capital letters matter. They do not by default.
    pub case_sensitive: bool,
}

/// Accepts a completion that is the reference, white space at both ends and its amount elsewhere aside.
///
/// The whole completion is compared, since containment would pay for long answers that name everything.
/// Findings: `correct`, `wrong_text`, `no_answer`.
#[derive(Clone, Debug, Default)]
pub struct Exact {
    options: ExactOptions,
}

impl Exact {
    /// Makes the verifier.
    pub fn new(options: ExactOptions) -> Self {
        Self { options }
    }

    fn normalised(&self, text: &str) -> String {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.options.case_sensitive { text } else { text.to_lowercase() }
    }
}

impl Verifier for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        task.reference.clone()
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let Some(reference) = &attempt.task.reference else {
            return Verdict::unjudged("the task has no `reference`");
        };
        let reference = self.normalised(reference);
        if reference.is_empty() {
            return Verdict::unjudged("the `reference` is empty");
        }
        match self.normalised(attempt.completion) {
            answer if answer == reference => Verdict::correct(),
            answer if answer.is_empty() => Verdict::wrong("no_answer"),
            _ => Verdict::wrong("wrong_text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(case_sensitive: bool, reference: &str, completion: &str, expected: &str) {
        let task = Task::new("t", "?", "exact").with_reference(reference);
        let exact = Exact::new(ExactOptions { case_sensitive });
        let verdict = exact.verify(Attempt { task: &task, completion, finished: true });
        assert_eq!(verdict.finding(), expected, "{reference:?} against {completion:?}");
    }

    #[test]
    fn white_space_and_case() {
        check(false, "New York", " new\n york ", "correct");
        check(true, "New York", "new york", "wrong_text");
        check(false, "New York", "It is New York", "wrong_text");
        check(false, "New York", " ", "no_answer");
        check(false, " ", " ", "unjudged");
    }

    #[test]
    fn it_obeys_the_laws() {
        let tasks = [Task::new("1", "?", "exact").with_reference("Paris")];
        crate::conformance::check(&Exact::default(), &tasks).unwrap();
    }
}
