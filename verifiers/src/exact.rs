//! Answers that are text, compared after light normalisation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::{self, Normalise};
use crate::extract::{self, Extractor, shorten};
use crate::task::Task;
use crate::verifier::{Attempt, Verdict, Verifier};

/// What counts as equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExactOptions {
    /// Whether capital letters matter. They do not by default, and never to `normalise = "squad"`.
    pub case_sensitive: bool,
    /// What else is set aside.
    pub normalise: Normalise,
    /// Where the answer stands; by default the whole completion is the answer.
    pub extract: Vec<Extractor>,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

/// Accepts a completion that is one of the right answers, white space at both ends and its amount elsewhere aside.
///
/// The right answers are the `reference` and those of the `spec`, `{"answers": ["NYC", "New York"]}`. The whole
/// completion is compared, since containment would pay for long answers that name everything.
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
        let text = self.options.normalise.apply(text);
        if self.options.case_sensitive { text } else { text.to_lowercase() }
    }

    fn answer<'a>(&self, completion: &'a str) -> Option<&'a str> {
        let text = match &self.options.reasoning_end {
            Some(end) => extract::after_reasoning(completion, end)?,
            None => completion,
        };
        if self.options.extract.is_empty() { Some(text) } else { extract::answer(text, &self.options.extract) }
    }
}

impl Verifier for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let answer = answers::of(task).ok()?.into_iter().next()?;
        Some(match self.options.extract.first() {
            Some(Extractor::Boxed) => format!("\\boxed{{{answer}}}"),
            Some(Extractor::Anchor) => format!("#### {answer}"),
            _ => answer,
        })
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let right = match answers::of(attempt.task) {
            Ok(right) => right,
            Err(why) => return Verdict::unjudged(why),
        };
        let right: Vec<String> = right.iter().map(|answer| self.normalised(answer)).collect();
        if right.iter().any(String::is_empty) {
            return Verdict::unjudged("a right answer is empty, or nothing is left of it to compare");
        }
        let Some(answer) = self.answer(attempt.completion) else { return Verdict::wrong("no_answer") };
        let verdict = match self.normalised(answer) {
            answer if right.contains(&answer) => Verdict::correct(),
            answer if answer.is_empty() => return Verdict::wrong("no_answer"),
            _ => Verdict::wrong("wrong_text"),
        };
        verdict.with("answer", shorten(answer.trim()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(case_sensitive: bool, reference: &str, completion: &str, expected: &str) {
        let task = Task::new("t", "?", "exact").with_reference(reference);
        let exact = Exact::new(ExactOptions { case_sensitive, ..ExactOptions::default() });
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
    fn aliases_extraction_and_normalisation() {
        #[track_caller]
        fn check(options: ExactOptions, completion: &str, expected: &str) {
            let spec = json!({"answers": ["The Big Apple!", "NYC"]});
            let task = Task::new("t", "?", "exact").with_reference("New York").with_spec(spec);
            let verdict = Exact::new(options).verify(Attempt { task: &task, completion, finished: true });
            assert_eq!(verdict.finding(), expected, "{completion:?}");
        }
        let options = |normalise| ExactOptions { normalise, ..ExactOptions::default() };
        check(options(Normalise::Space), "nyc", "correct");
        check(options(Normalise::Space), "nyc.", "wrong_text");
        check(options(Normalise::Punctuation), "N.Y.C.", "correct");
        check(options(Normalise::Squad), "big apple", "correct");
        check(options(Normalise::Squad), "the", "no_answer");
        let boxed = ExactOptions { extract: vec![Extractor::Boxed], ..ExactOptions::default() };
        check(boxed.clone(), "It is \\boxed{NYC}, of course", "correct");
        check(boxed, "NYC", "no_answer");
        let thinking = ExactOptions { reasoning_end: Some("</think>".to_owned()), ..ExactOptions::default() };
        check(thinking.clone(), "<think>LA?</think> NYC", "correct");
        check(thinking, "<think>NYC", "no_answer");
    }

    #[test]
    fn it_obeys_the_laws() {
        let aliases = Task::new("2", "?", "exact").with_spec(json!({"answers": ["Rome", "Roma"]}));
        let tasks = [Task::new("1", "?", "exact").with_reference("Paris"), aliases];
        crate::conformance::check(&Exact::default(), &tasks).unwrap();
    }
}
