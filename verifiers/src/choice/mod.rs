//! Questions with a few answers to choose from.
//!
//! The verifier `choice` looks for the last place where a completion commits itself to an option: a box, `#### B`,
//! "the answer is (B)", "B is correct", 答案是B, a last line that is nothing but `B`, or the text of an option in place
//! of its letter. A letter in passing is no answer: "A" is also an article, and a policy that is paid for letters in
//! prose learns to strew them. Two letters joined by "or" are a hedge and worth nothing.

mod reading;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::extract::after_reasoning;
use crate::memo::Memo;
use crate::random::Random;
use crate::task::Task;
use crate::verifier::{Attempt, Verdict, Verifier};
use reading::{Reading, read, read_anywhere};

/// Where an answer may stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChoiceOptions {
    /// Whether a letter anywhere counts if none is stated as the answer. Off by default; recorded as `lenient`.
    pub anywhere: bool,
    /// The marker that ends the reasoning, such as `</think>`; only what follows it is looked at.
    pub reasoning_end: Option<String>,
}

/// Compares the option that a completion commits itself to with the reference.
///
/// The `spec` is `{"choices": ["Paris", "Rome"]}`, labelled A, B and so on, or `{"choices": {"A": "Paris", "B":
/// "Rome"}}`. Without `spec` the labels are the letters A to J, and answers must be letters. The `reference` is a label
/// or the text of an option.
///
/// Findings: `correct`, `wrong_choice`, `hedged` for several options at once or a letter with the text of another
/// option, `unparsable` for a box or an answer line that names no option, `no_answer`. The detail holds the `answer` as
/// a label and `lenient`, the score if a letter anywhere counts.
#[derive(Debug, Default)]
pub struct Choice {
    options: ChoiceOptions,
    memo: Memo<Prepared>,
}

/// What may be chosen.
#[derive(Debug)]
pub(crate) struct Choices {
    /// The names of the options, such as `A`.
    labels: Vec<String>,
    /// Their texts in lower case; empty where only letters are known.
    texts: Vec<String>,
}

#[derive(Debug)]
struct Prepared {
    choices: Choices,
    right: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    choices: Listed,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected `choices` to be a list of texts, or a map from labels to texts")]
enum Listed {
    InOrder(Vec<String>),
    Labelled(Map<String, Value>),
}

impl Choice {
    /// Makes the verifier.
    pub fn new(options: ChoiceOptions) -> Self {
        Self { options, memo: Memo::default() }
    }
}

impl Verifier for Choice {
    fn name(&self) -> &'static str {
        "choice"
    }

    fn reference(&self, task: &Task) -> Option<String> {
        let prepared = self.memo.of(task, prepare).ok()?;
        Some(format!("Answer: {}", prepared.choices.labels[prepared.right]))
    }

    fn validate(&self, task: &Task) -> Result<(), crate::TaskError> {
        self.memo.of(task, prepare).map(|_| ()).map_err(|why| crate::TaskError::unusable(task, why))
    }

    fn verify(&self, attempt: Attempt<'_>) -> Verdict {
        let prepared: Arc<Prepared> = match self.memo.of(attempt.task, prepare) {
            Ok(prepared) => prepared,
            Err(why) => return Verdict::unjudged(why),
        };
        let text = match &self.options.reasoning_end {
            Some(end) => after_reasoning(attempt.completion, end).unwrap_or_default(),
            None => attempt.completion,
        };
        let strict = read(text, &prepared.choices);
        let lenient = match strict {
            Reading::Nothing => read_anywhere(text, &prepared.choices),
            stated => stated,
        };
        let counted = if self.options.anywhere { lenient } else { strict };
        prepared.verdict(counted).with("lenient", i64::from(lenient == Reading::Option(prepared.right)))
    }
}

impl Prepared {
    fn verdict(&self, reading: Reading) -> Verdict {
        match reading {
            Reading::Option(i) => {
                let verdict = if i == self.right { Verdict::correct() } else { Verdict::wrong("wrong_choice") };
                verdict.with("answer", self.choices.labels[i].as_str())
            }
            Reading::Hedge => Verdict::wrong("hedged"),
            Reading::Unreadable => Verdict::wrong("unparsable"),
            Reading::Nothing | Reading::Not(_) => Verdict::wrong("no_answer"),
        }
    }
}

/// Puts the options into an order that the key decides, and returns them with the new place of the right one.
///
/// A policy that has learnt a favourite letter gains nothing where the order is drawn anew for each task; use a key
/// made of the seed and [`key_of`](crate::random::key_of) the task's id.
///
/// # Panics
///
/// If there is no option `right`.
///
/// # Examples
///
/// ```
/// use rlvr_verifiers::choice::shuffled;
///
/// let (choices, right) = shuffled(&["Paris", "Rome", "Bern"], 1, [7, 0, 0, 0]);
/// assert_eq!(choices[right], "Rome");
/// assert_eq!((choices, right), shuffled(&["Paris", "Rome", "Bern"], 1, [7, 0, 0, 0]));
/// ```
pub fn shuffled<'a>(choices: &[&'a str], right: usize, key: [u64; 4]) -> (Vec<&'a str>, usize) {
    assert!(right < choices.len(), "there is no option {right}");
    let mut order: Vec<usize> = (0..choices.len()).collect();
    Random::keyed(key).shuffle(&mut order);
    let place = order.iter().position(|&i| i == right).expect("a permutation holds every place");
    (order.into_iter().map(|i| choices[i]).collect(), place)
}

fn letters() -> impl Iterator<Item = String> {
    ('A'..='Z').map(String::from)
}

fn prepare(task: &Task) -> Result<Prepared, String> {
    let choices = match &task.spec {
        Value::Null => Choices { labels: letters().take(10).collect(), texts: vec![] },
        spec => Choices::new(Spec::deserialize(spec).map_err(|error| format!("`spec`: {error}"))?.choices)?,
    };
    let reference = task.reference.as_deref().ok_or("the task has no `reference`")?;
    let right = choices.right(reference)?;
    Ok(Prepared { choices, right })
}

impl Choices {
    fn new(listed: Listed) -> Result<Self, String> {
        let (labels, texts): (Vec<String>, Vec<String>) = match listed {
            Listed::InOrder(texts) => (letters().take(texts.len()).collect(), texts),
            Listed::Labelled(map) => {
                let texts = map.iter().map(|(label, text)| match text {
                    Value::String(text) => Ok((label.trim().to_uppercase(), text.clone())),
                    other => Err(format!("`choices`: the option `{label}` is {other}, but must be a text")),
                });
                texts.collect::<Result<Vec<_>, _>>()?.into_iter().unzip()
            }
        };
        if texts.len() < 2 || texts.len() > labels.len() {
            return Err(format!("`choices` has {} options, but must have 2 to 26", texts.len()));
        }
        let texts: Vec<String> = texts.iter().map(|text| reading::plain(text)).collect();
        for (i, label) in labels.iter().enumerate() {
            if label.is_empty() || !label.chars().all(|c| c.is_ascii_alphanumeric()) || labels[..i].contains(label) {
                return Err(format!(
                    "`choices`: the label `{label}` must be letters or digits, and different from others"
                ));
            }
            if texts[i].is_empty() || texts[..i].contains(&texts[i]) {
                return Err(format!("`choices`: the option {label} is empty or the same as another"));
            }
        }
        Ok(Self { labels, texts })
    }

    /// Returns the option that a reference means.
    fn right(&self, reference: &str) -> Result<usize, String> {
        let bare = reference.trim().trim_matches(['(', ')', '.', ' ']).to_uppercase();
        let by_label = self.labels.iter().position(|label| *label == bare);
        let by_text = self.texts.iter().position(|text| *text == reading::plain(reference));
        match (by_label, by_text) {
            (Some(label), Some(text)) if label != text => {
                let why = "is the label of one option and the text of another; give `choices` other labels";
                Err(format!("the `reference` `{reference}` {why}"))
            }
            (Some(i), _) | (None, Some(i)) => Ok(i),
            (None, None) => Err(format!(
                "the `reference` `{reference}` is neither a label, {}, nor the text of an option",
                self.labels.join(", ")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn capital() -> Task {
        let choices = json!({"choices": ["London", "Paris", "A town in Italy", "None of the above"]});
        Task::new("t", "What is the capital of France?", "choice").with_reference("B").with_spec(choices)
    }

    #[track_caller]
    fn check(completion: &str, finding: &str, answer: Option<&str>) {
        let task = capital();
        let verdict = Choice::default().verify(Attempt { task: &task, completion, finished: true });
        let Verdict::Judged { finding: found, detail, .. } = &verdict else { panic!("{verdict:?}") };
        let stated = detail.get("answer").and_then(Value::as_str);
        assert_eq!((found.as_ref(), stated), (finding, answer), "{completion:?}");
    }

    #[track_caller]
    fn right(completion: &str) {
        check(completion, "correct", Some("B"));
    }

    #[test]
    fn forms_of_an_answer() {
        for completion in [
            "B",
            "b",
            "(B)",
            "**B**",
            "B.",
            "B) Paris",
            "Paris",
            " paris. ",
            "Answer: B",
            "answer: b",
            "**Answer:** B",
            "Answer: (B) Paris",
            "Final Answer: **B**",
            "The answer is B.",
            "The answer is (B) because London is in England.",
            "The answer is B because A is in England.",
            "The correct answer is option B: Paris.",
            "The correct option is **(B)**.",
            "So the answer to the question must be B",
            "The answer is Paris.",
            "Option B is correct.",
            "B is the correct answer, not A.",
            "I would choose B.",
            r"\boxed{B}",
            r"\boxed{\text{(B)}}",
            r"$\boxed{\mathbf{B}}$",
            r"\boxed{\text{B. Paris}}",
            r"\boxed{Paris}",
            "#### B",
            "A is wrong, C is wrong.\n\nB",
            "B. Paris is the capital and has been for centuries.",
            "<answer>B</answer>",
            "La réponse est B.",
            "Die Antwort ist B",
            "答案是B",
            "答案：B。",
            "答案是B不是A",
            "B不是 A",
            "因此选B，因为巴黎是首都。",
            "答案為（Ｂ）",
            "正解はBです。",
            "정답은 B입니다",
            "B 选项正确",
            "الإجابة هي B",
            "सही उत्तर: B",
        ] {
            right(completion);
        }
    }

    #[test]
    fn the_last_statement_counts() {
        right("The answer is A. Wait, that is England. The answer is B.");
        right(r"\boxed{A}? No. Final answer: B");
        right(r"Answer: A, said I at first. \boxed{B}");
        check("Answer: B\n\nOn second thought:\nC", "wrong_choice", Some("C"));
        right("The answer is B. The answer is not A.");
        check("The answer is B. No: the answer is not B.", "no_answer", None);
        right("The answer is not A but B.");
    }

    #[test]
    fn hedges() {
        for completion in [
            "The answer is A or B.",
            "Answer: A, B",
            "Answer: B/C",
            "Answer: B and C",
            r"\boxed{A \text{ or } B}",
            r"\boxed{A} \boxed{B}",
            "The answer is either B or A.",
            "A or B",
            "A, B, C, D",
            "答案是A或B",
            "Answer: A. Paris",
        ] {
            check(completion, "hedged", None);
        }
    }

    #[test]
    fn no_answers() {
        check("", "no_answer", None);
        check("ABCD", "no_answer", None);
        check("Answer: ABCD", "unparsable", None);
        check(r"\boxed{ABCD}", "unparsable", None);
        check(r"It is Paris: \boxed{42}", "unparsable", None);
        check("not B", "no_answer", None);
        check("The answer is not B.", "no_answer", None);
        check("A. London\nB. Paris\nC. A town\nD. None", "no_answer", None);
        check("Paris is a city, as B says, but who knows", "no_answer", None);
        check("Bob went to B's house", "no_answer", None);
        check("The answer is a city on the Seine, b", "no_answer", None);
    }

    #[test]
    fn the_article_is_no_letter() {
        check("The answer is A town in Italy.", "wrong_choice", Some("C"));
        check("The answer is A city.", "no_answer", None);
        check("The answer is A because of the Thames.", "wrong_choice", Some("A"));
        check("A", "wrong_choice", Some("A"));
        check("A city in France", "no_answer", None);
    }

    #[test]
    fn a_letter_in_passing_is_lenient() {
        let task = capital();
        let judge = |anywhere, completion| {
            let choice = Choice::new(ChoiceOptions { anywhere, reasoning_end: None });
            let verdict = choice.verify(Attempt { task: &task, completion, finished: true });
            let Verdict::Judged { score, detail, .. } = verdict else { panic!("{verdict:?}") };
            (score, detail["lenient"].as_i64())
        };
        assert_eq!(judge(false, "I guess it could be B or so, a city"), (0.0, Some(1)));
        assert_eq!(judge(true, "I guess it could be B or so, a city"), (1.0, Some(1)));
        assert_eq!(judge(true, "A city"), (0.0, Some(0)));
    }

    #[test]
    fn long_texts_are_read_once() {
        let task = capital();
        for unit in ["Answer: ", "The answer is the ", "\\boxed{", "A or ", "not ", "B is ", "答案是"] {
            let completion = &unit.repeat(200_000);
            let verdict = Choice::default().verify(Attempt { task: &task, completion, finished: true });
            assert_eq!(verdict.score(), Some(0.0), "{unit}");
        }
    }

    #[test]
    fn references_and_labels() {
        #[track_caller]
        fn check(spec: Value, reference: &str, expected: Result<usize, &str>) {
            let task = Task::new("t", "?", "choice").with_reference(reference).with_spec(spec);
            assert_eq!(prepare(&task).map(|prepared| prepared.right), expected.map_err(str::to_owned));
        }
        check(json!({"choices": ["x", "y"]}), "(b)", Ok(1));
        check(json!({"choices": ["x", "y"]}), "Y.", Ok(1));
        check(json!({"choices": {"1": "x", "2": "y"}}), "2", Ok(1));
        check(Value::Null, "d", Ok(3));
        check(
            json!({"choices": ["x", "y"]}),
            "C",
            Err("the `reference` `C` is neither a label, A, B, nor the text of an option"),
        );
        check(
            json!({"choices": ["B", "A"]}),
            "A",
            Err("the `reference` `A` is the label of one option and the text of another; give `choices` other labels"),
        );
        check(json!({"choices": ["x"]}), "A", Err("`choices` has 1 options, but must have 2 to 26"));
        check(json!({"choices": ["x", "X"]}), "A", Err("`choices`: the option B is empty or the same as another"));
        check(json!({"choices": {"A": 1, "B": "y"}}), "A", Err("`choices`: the option `A` is 1, but must be a text"));
        check(
            json!({"choices": 5}),
            "A",
            Err("`spec`: expected `choices` to be a list of texts, or a map from labels to texts"),
        );
    }

    #[test]
    fn it_obeys_the_laws() {
        let numbered =
            Task::new("2", "?", "choice").with_reference("y").with_spec(json!({"choices": {"1": "x", "2": "y"}}));
        let tasks = [capital(), numbered, Task::new("3", "?", "choice").with_reference("E")];
        crate::conformance::check(&Choice::default(), &tasks).unwrap();
    }
}
