//! Short answers in words, scored by the words they share with the reference.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::{self, Normalise};
use crate::extract::{self, Extractor, shorten};
use crate::task::Task;
use crate::verifier::{Attempt, Verdict, Verifier};

/// Where the answer stands, and how long it may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct F1Options {
    /// What is set aside before words are compared.
    pub normalise: Normalise,
    /// Longest answer that is scored, in words; a longer one scores 0, so that naming everything does not pay. A right
    /// answer longer than a quarter of this raises the limit to four times its length.
    pub max_words: usize,
    /// Where the answer stands; by default the whole completion is the answer.
    pub extract: Vec<Extractor>,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

impl Default for F1Options {
    fn default() -> Self {
        Self { normalise: Normalise::Squad, max_words: 64, extract: vec![], reasoning_end: None }
    }
}

/// Scores a completion by the harmonic mean of precision and recall over words, the F1 of SQuAD.
///
/// With `s` words in common, counted as often as they occur in both, an answer of `n` words to a reference of `m` scores
/// `2 s / (n + m)` (Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1). The right answers are the `reference` and
/// those of the `spec`, `{"answers": [...]}`; the best score counts.
///
/// Findings: `correct` for 1, `partial`, `wrong_text` for 0, `too_long`, `no_answer`.
#[derive(Clone, Debug, Default)]
pub struct F1 {
    options: F1Options,
}

impl F1 {
    /// Makes the verifier.
    pub fn new(options: F1Options) -> Self {
        Self { options }
    }

    fn answer<'a>(&self, completion: &'a str) -> Option<&'a str> {
        let text = match &self.options.reasoning_end {
            Some(end) => extract::after_reasoning(completion, end)?,
            None => completion,
        };
        if self.options.extract.is_empty() { Some(text) } else { extract::answer(text, &self.options.extract) }
    }
}

impl Verifier for F1 {
    fn name(&self) -> &'static str {
        "f1"
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
        let right: Vec<String> = right.iter().map(|answer| self.options.normalise.apply(answer)).collect();
        if right.iter().any(String::is_empty) {
            return Verdict::unjudged("a right answer is empty, or nothing is left of it to compare");
        }
        let Some(answer) = self.answer(attempt.completion) else { return Verdict::wrong("no_answer") };
        let normalised = self.options.normalise.apply(answer);
        let n_words = normalised.split(' ').count();
        if normalised.is_empty() {
            return Verdict::wrong("no_answer");
        }
        let longest = right.iter().map(|answer| answer.split(' ').count()).max().unwrap_or(0);
        if n_words > self.options.max_words.max(4 * longest) {
            return Verdict::wrong("too_long").with("words", n_words);
        }
        let score = right.iter().map(|right| f1(&normalised, right)).fold(0.0, f64::max) as f32;
        let finding = match score {
            1.0 => "correct",
            0.0 => "wrong_text",
            _ => "partial",
        };
        Verdict::judged(score, finding).with("answer", shorten(answer.trim()))
    }
}

/// The harmonic mean of precision and recall over words that stand between single blanks.
fn f1(answer: &str, right: &str) -> f64 {
    let mut left: HashMap<&str, usize> = HashMap::new();
    let mut n_right = 0;
    for word in right.split(' ') {
        *left.entry(word).or_default() += 1;
        n_right += 1;
    }
    let mut n_answer = 0;
    let mut n_shared = 0;
    for word in answer.split(' ') {
        n_answer += 1;
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            n_shared += 1;
        }
    }
    f64::from(2 * n_shared) / f64::from(n_answer + n_right)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(right: &[&str], completion: &str, score: f32, finding: &str) {
        let task = Task::new("t", "?", "f1").with_spec(json!({"answers": right}));
        let verdict = F1::default().verify(Attempt { task: &task, completion, finished: true });
        assert_eq!((verdict.score(), verdict.finding()), (Some(score), finding), "{completion:?}");
    }

    #[test]
    fn scores() {
        check(&["Denver Broncos"], "the Denver broncos!", 1.0, "correct");
        check(&["Denver Broncos"], "Broncos", 2.0 / 3.0, "partial");
        check(&["Denver Broncos"], "Denver Denver Denver", 0.4, "partial"); // one word shared of 3 and 2
        check(&["Denver Broncos", "Broncos"], "Broncos", 1.0, "correct");
        check(&["Denver Broncos"], "Carolina", 0.0, "wrong_text");
        check(&["1 2 3"], "3 2 1", 1.0, "correct"); // order plays no part
        check(&["Paris"], "It is the city of Paris", 2.0 / 6.0, "partial");
        check(&["Paris"], "The", 0.0, "no_answer");
    }

    #[test]
    fn naming_everything_does_not_pay() {
        check(&["Paris"], &"Paris Rome Bern Wien ".repeat(17), 0.0, "too_long");
        let long = "word ".repeat(100);
        check(&[&long], &"word ".repeat(200), 2.0 / 3.0, "partial");
    }

    #[test]
    fn unusable_references() {
        let task = Task::new("t", "?", "f1").with_reference("the");
        let error = F1::default().validate(&task).unwrap_err().to_string();
        assert_eq!(error, "task `t`: a right answer is empty, or nothing is left of it to compare");
    }

    #[test]
    fn it_obeys_the_laws() {
        let tasks = [
            Task::new("1", "?", "f1").with_reference("in the middle of the night"),
            Task::new("2", "?", "f1").with_spec(json!({"answers": ["Rome", "Roma"]})),
        ];
        crate::conformance::check(&F1::default(), &tasks).unwrap();
    }
}
