//! Mathematical answers, compared by value.
//!
//! The answer is found in the completion ([`extract`]), read into a value ([`Answer`]) and compared with
//! the reference ([`compare`]). All of it takes bounded fuel and no clock, so that a verdict is the same on every
//! machine; nothing is evaluated by an interpreter.

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
mod numeral;
mod options;
mod parser;
pub mod policy;
mod postfix;
mod proportion;
mod range;
mod rational;
mod real;
mod reference;
mod region;
mod relation;
mod spelling;
mod tables;
mod tolerance;
mod units;
mod words;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::extract::{self, Candidate, Extractor, Statement, shorten, statement};
use crate::task::{Task, TaskError};
use crate::verifier::{Attempt, Verdict, Verifier};
use reference::{Reference, References};

pub use answer::{Answer, Comparison, ReadError, Rung, compare};
pub use options::MathOptions;
pub use policy::Policy;

/// Compares the value that a completion states with the reference.
///
/// Findings: `correct`; `wrong_value`; `no_answer`; `unparsable`, an answer without a reading; `refused`, one that
/// exceeds a limit or that no test can decide; `hedged`, several boxes that differ. The detail holds the `answer` as it
/// was found, `by` whom, the `rung` that decided or the `limit` that was exceeded, and `strict` and `lenient`, the scores
/// by the extractors of those names.
///
/// The `spec` of a task may change the keys of [`Policy`] for that task: `{"decimals": 2}`.
#[derive(Debug, Default)]
pub struct Math {
    options: MathOptions,
    references: References,
}

impl Math {
    /// Makes the verifier.
    pub fn new(options: MathOptions) -> Self {
        Self { options, references: References::default() }
    }

    fn wanted(&self, task: &Task) -> Result<Arc<Reference>, Arc<str>> {
        let reference = task.reference.as_ref().ok_or("the task has no `reference`")?;
        self.references.get(reference, &task.spec, &self.options.policy)
    }
}

impl Verifier for Math {
    fn name(&self) -> &'static str {
        "math"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let wanted = self.wanted(task).ok();
        let reference = wanted.as_ref().map_or(task.reference.as_deref()?, |wanted| &wanted.text);
        Some(match self.options.extract.first() {
            Some(Extractor::Boxed) | None => format!("\\boxed{{{reference}}}"),
            Some(Extractor::Anchor | Extractor::Hashes) => format!("#### {reference}"),
            Some(Extractor::LastMath) => format!("${reference}$"),
            Some(Extractor::LastNumber | Extractor::LastLine | Extractor::ChoiceLetter) => reference.to_owned(),
        })
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let wanted = match self.wanted(attempt.task) {
            Ok(wanted) => wanted,
            Err(why) => return Verdict::unjudged(why.as_ref()),
        };
        let text = match &self.options.reasoning_end {
            Some(end) => extract::after_reasoning(attempt.completion, end),
            None => Some(attempt.completion),
        };
        let Some(text) = text else { return Verdict::wrong("no_answer").with("strict", 0).with("lenient", 0) };
        let seed = seed(&attempt.task.id);
        let judge = |statement: &Statement<'_>| Judgement::of(statement, &wanted, seed);

        let several = self.options.several_boxes;
        let counted = statement(text, &self.options.extract, several);
        let judgement = judge(&counted);
        let by = |extractors: &[Extractor]| {
            if extractors == self.options.extract {
                return judgement.is_correct();
            }
            let found = statement(text, extractors, several);
            if found == counted { judgement.is_correct() } else { judge(&found).is_correct() }
        };
        let (strict, lenient) = (by(&self.options.extract_strict), by(&self.options.extract_lenient));
        judgement.verdict(&counted).with("strict", i64::from(strict)).with("lenient", i64::from(lenient))
    }

    fn validate(&self, task: &Task) -> Result<(), TaskError> {
        if task.reference.is_none() {
            return Err(TaskError::unusable(task, "verifier `math` needs a `reference`, such as \"18\""));
        }
        let wanted = self.wanted(task).map_err(|why| TaskError::unusable(task, format!("verifier `math`: {why}")))?;
        let completion = self.reference(task).unwrap_or_default();
        let verdict = self.verify(Attempt { task, completion: &completion, finished: true });
        if verdict.score() == Some(1.0) {
            return Ok(());
        }
        let why = format!(
            "verifier `math` reads the reference as `{}`, but judges the completion `{}`: {}",
            shorten(&wanted.text),
            shorten(&completion),
            verdict.finding()
        );
        Err(TaskError::unusable(task, why))
    }
}

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    Absent,
    Hedged,
    Unparsable,
    Refused(&'static str),
    Compared { is_equal: bool, rung: Rung },
}

impl Judgement {
    fn of(statement: &Statement<'_>, wanted: &Reference, seed: u64) -> Self {
        match statement {
            Statement::Absent => Self::Absent,
            Statement::One(candidate) => Self::of_candidate(candidate, wanted, seed),
            Statement::Several(boxes) => match boxes.split_last() {
                Some((last, earlier)) if are_equal(last, earlier, &wanted.policy, seed) => {
                    Self::of_candidate(last, wanted, seed)
                }
                _ => Self::Hedged,
            },
        }
    }

    /// Judges one answer. A percent word outside its frame may belong to the answer, or else to the question: "what
    /// percentage is it?".
    fn of_candidate(candidate: &Candidate<'_>, wanted: &Reference, seed: u64) -> Self {
        let plain = Self::of_text(&candidate.text, wanted, seed);
        if plain.is_correct() || !candidate.is_percent {
            return plain;
        }
        let percent = Self::of_text(&format!("{}\\%", candidate.text), wanted, seed);
        if percent.is_correct() { percent } else { plain }
    }

    fn of_text(text: &str, wanted: &Reference, seed: u64) -> Self {
        // Reading is most of the work, and the reference has a reading that equals itself.
        if text == wanted.text {
            return Self::Compared { is_equal: true, rung: Rung::Text };
        }
        // A mistake of ours that one answer uncovers is no way to go unjudged.
        catch_unwind(AssertUnwindSafe(|| Self::of_value(text, wanted, seed))).unwrap_or(Self::Refused("defect"))
    }

    fn of_value(text: &str, wanted: &Reference, seed: u64) -> Self {
        let answer = match Answer::read(text, &wanted.policy) {
            Ok(answer) => answer,
            Err(ReadError::Unparsable(_)) => return Self::Unparsable,
            Err(ReadError::Refused(limit)) => return Self::Refused(limit),
        };
        match compare(&wanted.answer, &answer, &wanted.policy, seed) {
            Comparison::Equal { rung } => Self::Compared { is_equal: true, rung },
            Comparison::Different { rung } => Self::Compared { is_equal: false, rung },
            Comparison::Refused(limit) => Self::Refused(limit),
        }
    }

    fn is_correct(self) -> bool {
        matches!(self, Self::Compared { is_equal: true, .. })
    }

    fn verdict(self, statement: &Statement<'_>) -> Verdict {
        let verdict = match self {
            Self::Absent => Verdict::wrong("no_answer"),
            Self::Hedged => Verdict::wrong("hedged"),
            Self::Unparsable => Verdict::wrong("unparsable"),
            Self::Refused(limit) => Verdict::wrong("refused").with("limit", limit),
            Self::Compared { is_equal: true, rung } => Verdict::correct().with("rung", rung.name()),
            Self::Compared { is_equal: false, rung } => Verdict::wrong("wrong_value").with("rung", rung.name()),
        };
        match statement {
            Statement::Absent => verdict,
            Statement::One(found) => verdict.with("answer", shorten(&found.text)).with("by", found.by.name()),
            Statement::Several(boxes) => {
                let texts: Vec<Cow<'_, str>> = boxes.iter().map(|found| found.text.clone()).collect();
                verdict.with("answer", shorten(&texts.join(" | "))).with("by", Extractor::Boxed.name())
            }
        }
    }
}

/// Whether boxes of different texts state one value: `\boxed{1000}` and later `\boxed{1{,}000}`.
fn are_equal(last: &Candidate<'_>, earlier: &[Candidate<'_>], policy: &Policy, seed: u64) -> bool {
    let equal = || {
        let Ok(value) = Answer::read(&last.text, policy) else { return false };
        earlier.iter().all(|other| {
            Answer::read(&other.text, policy)
                .is_ok_and(|other| matches!(compare(&value, &other, policy, seed), Comparison::Equal { .. }))
        })
    };
    catch_unwind(AssertUnwindSafe(equal)).unwrap_or(false)
}

/// Hashes the name of a task by FNV-1a, which is the same everywhere and for ever.
fn seed(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        check("18", "no idea", "no_answer");
        check("-2", "x = -2", "correct");
    }

    #[test]
    fn hedges_do_not_pay() {
        check("7", r"\boxed{7}, or perhaps \boxed{8}", "hedged");
        check("7", r"\boxed{7}, that is \boxed{7.0}", "correct");
        check("1000", r"\boxed{1000}, written \boxed{1{,}000}", "correct");
        check("7", r"I write \boxed{} for it. \boxed{7}", "correct");
        check("8", r"\boxed{7}. The final answer is 8.", "correct");
    }

    #[test]
    fn percent_words_may_stand_outside() {
        check("28%", r"$\boxed{28}$ percent", "correct");
        check("0.28", r"$\boxed{28}$ pct", "correct");
        check("28", r"$\boxed{28}\%$", "correct");
        check("0.28", r"$\boxed{28}$", "wrong_value");
    }

    #[test]
    fn a_reference_that_cannot_be_read_is_never_a_zero() {
        let task = Task::new("7", "?", "math").with_reference("\\frac{1}{");
        let attempt = Attempt { task: &task, completion: "\\frac{1}{", finished: true };
        assert_eq!(Math::default().verify(attempt).finding(), "unjudged");
        let error = Math::default().validate(&task).unwrap_err().to_string();
        assert!(error.starts_with("task `7`: verifier `math`: cannot read the reference `\\frac{1}{`: "), "{error}");
    }

    #[test]
    fn a_task_may_ask_for_less() {
        let task = Task::new("t", "?", "math").with_reference("0.333").with_spec(json!({"decimals": 2}));
        let score =
            |completion: &str| Math::default().verify(Attempt { task: &task, completion, finished: true }).score();
        assert_eq!((score("#### 0.3333"), score("#### 0.34")), (Some(1.0), Some(0.0)));
        let task = Task::new("t", "?", "math").with_reference("1").with_spec(json!({"digits": 2}));
        let error = Math::default().validate(&task).unwrap_err().to_string();
        assert!(error.starts_with("task `t`: verifier `math`: `spec`: unknown field `digits`"), "{error}");
    }

    #[test]
    fn a_box_in_the_reasoning_is_no_answer() {
        let math = Math::new(MathOptions { reasoning_end: Some("</think>".to_owned()), ..MathOptions::default() });
        let task = Task::new("t", "?", "math").with_reference("7");
        let finding =
            |completion: &str| math.verify(Attempt { task: &task, completion, finished: true }).finding().to_owned();
        assert_eq!(finding("<think>\\boxed{7}"), "no_answer");
        assert_eq!(finding("<think>\\boxed{7}</think> It is clear."), "no_answer");
        assert_eq!(finding("<think>\\boxed{8}</think> \\boxed{7}"), "correct");
        assert_eq!(finding("\\boxed{7}"), "correct");
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
