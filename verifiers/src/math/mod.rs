//! Answers that are numbers, compared exactly.
//!
//! The answer is extracted ([`extract`]), read into a rational number ([`number`]) and compared with the
//! reference. Nothing is rounded and nothing is evaluated: `0.1 + 0.2` in binary floating point plays no part.

pub mod answer;
mod atom;
mod complex;
mod elementary;
mod equal;
mod evaluate;
mod expression;
mod figures;
mod folding;
mod form;
mod identity;
mod letters;
mod lexer;
mod limits;
mod members;
mod modular;
mod names;
pub mod number;
mod numeral;
mod parser;
pub mod policy;
mod postfix;
mod proportion;
mod range;
mod rational;
mod real;
mod region;
mod relation;
mod spelling;
mod tables;
mod tolerance;
mod units;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::extract::{self, Extractor, shorten};
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};
use number::Number;

pub use answer::{Answer, Comparison, ReadError, Rung, compare};
pub use policy::Policy;

/// How answers are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MathOptions {
    /// Where an answer that counts may stand.
    pub extract: Vec<Extractor>,
    /// Where an answer may stand for the lenient score, which is recorded beside the one that counts.
    pub extract_lenient: Vec<Extractor>,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

impl Default for MathOptions {
    fn default() -> Self {
        let all = vec![Extractor::Boxed, Extractor::Anchor, Extractor::LastNumber];
        Self { extract: all.clone(), extract_lenient: all, reasoning_end: None }
    }
}

/// Compares the number that a completion states with the reference.
///
/// Findings: `correct`, `wrong_value`, `no_answer`, `unparsable`. The detail holds the `answer` as it was found and
/// `lenient`, the score by the lenient extractors.
#[derive(Clone, Debug, Default)]
pub struct Math {
    options: MathOptions,
}

impl Math {
    /// Makes the verifier.
    pub fn new(options: MathOptions) -> Self {
        Self { options }
    }

    fn judge(&self, text: &str, reference: &Number, extractors: &[Extractor]) -> Verdict {
        let Some(answer) = extract::answer(text, extractors) else { return Verdict::wrong("no_answer") };
        let verdict = match answer.parse::<Number>() {
            Ok(number) if number.answers(reference) => Verdict::correct(),
            Ok(_) => Verdict::wrong("wrong_value"),
            Err(_) => Verdict::wrong("unparsable"),
        };
        verdict.with("answer", shorten(answer))
    }
}

impl Verifier for Math {
    fn name(&self) -> &'static str {
        "math"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let reference = task.reference.as_ref()?;
        let form = self.options.extract.first().copied().unwrap_or(Extractor::Boxed);
        Some(match form {
            Extractor::Boxed => format!("\\boxed{{{reference}}}"),
            Extractor::Anchor => format!("#### {reference}"),
            Extractor::LastNumber | Extractor::LastLine => reference.clone(),
        })
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let Some(reference) = &attempt.task.reference else {
            return Verdict::unjudged("the task has no `reference`");
        };
        let Ok(number) = reference.parse::<Number>() else {
            return Verdict::unjudged(format!("the reference `{}` is not a number", shorten(reference)));
        };
        let text = match &self.options.reasoning_end {
            Some(end) => extract::after_reasoning(attempt.completion, end),
            None => Some(attempt.completion),
        };
        let Some(text) = text else { return Verdict::wrong("no_answer").with("lenient", 0) };
        let verdict = self.judge(text, &number, &self.options.extract);
        let lenient = if self.options.extract_lenient == self.options.extract {
            verdict.score()
        } else {
            self.judge(text, &number, &self.options.extract_lenient).score()
        };
        verdict.with("lenient", lenient.map_or(0, |score| score as i64))
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        let reference = task
            .reference
            .as_ref()
            .ok_or_else(|| TaskError::unusable(task, "verifier `math` needs a `reference`, such as \"18\""))?;
        reference.parse::<Number>().map(|_| ()).map_err(|why| {
            TaskError::unusable(
                task,
                format!("verifier `math` cannot read the reference `{}`: {why}", shorten(reference)),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, completion: &str, expected: &str) {
        let task = Task::new("t", "?", "math").with_reference(reference);
        let verdict = Math::default().verify(Attempt { task: &task, completion, finished: true });
        assert_eq!(verdict.finding(), expected, "{reference} against {completion}");
    }

    #[test]
    fn values_not_spellings_are_compared() {
        check("18", "#### 18", "correct");
        check("18", "#### 18.0", "correct");
        check("0.5", r"\boxed{\frac{1}{2}}", "correct");
        check("1/3", "0.333333", "wrong_value");
        check("1,234", "so 1234 in all", "correct");
        check("18", "\\boxed{eighteen}", "unparsable");
        check("18", "no idea", "no_answer");
        check("-2", "x = -2", "correct");
    }

    #[test]
    fn a_reference_that_is_no_number_is_never_a_zero() {
        check("a cat", "a cat", "unjudged");
        let error = Math::default().validate(&Task::new("7", "?", "math").with_reference("a cat")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "task `7`: verifier `math` cannot read the reference `a cat`: expected a number such as `-3`, `1,234.5` or \
             `2/3`"
        );
    }

    #[test]
    fn strict_and_lenient_are_reported_together() {
        let options = MathOptions { extract: vec![Extractor::Boxed], ..MathOptions::default() };
        let task = Task::new("t", "?", "math").with_reference("4");
        let verdict = Math::new(options).verify(Attempt { task: &task, completion: "it is 4", finished: true });
        let Verdict::Judged { score, finding, detail } = verdict else { panic!("unjudged") };
        assert_eq!((score, finding.as_ref(), &detail["lenient"]), (0.0, "no_answer", &1.into()));
    }

    #[test]
    fn it_obeys_the_laws() {
        let tasks: Vec<Task> = ["18", "-2", "1/3", "1,234.50", "28%"]
            .iter()
            .enumerate()
            .map(|(i, r)| Task::new(i.to_string(), "?", "math").with_reference(*r))
            .collect();
        crate::conformance::check(&Math::default(), &tasks).unwrap();
    }
}
