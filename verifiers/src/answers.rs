//! Reference answers that are text: several spellings of one answer, and what counts as the same.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::task::Task;

/// What is set aside before texts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// White space at both ends and its amount elsewhere.
    #[default]
    Space,
    /// White space, and ASCII punctuation anywhere.
    Punctuation,
    /// White space, case, ASCII punctuation and the articles a, an, the: the rules of SQuAD (Rajpurkar et al. 2016,
    /// arXiv:1606.05250, evaluation script).
    Squad,
}

impl Normalise {
    /// Returns what is left of a text to be compared.
    ///
    /// # Examples
    ///
    /// ```
    /// use rlvr_verifiers::answers::Normalise;
    ///
    /// assert_eq!(Normalise::Space.apply(" The\n end. "), "The end.");
    /// assert_eq!(Normalise::Squad.apply("The  U.S.A.!"), "usa");
    /// ```
    pub fn apply(self, text: &str) -> String {
        static ARTICLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:a|an|the)\b").expect("valid"));
        let without_punctuation = |text: &str| text.replace(|c: char| c.is_ascii_punctuation(), "");
        let text = match self {
            Self::Space => text.to_owned(),
            Self::Punctuation => without_punctuation(text),
            Self::Squad => ARTICLE.replace_all(&without_punctuation(&text.to_lowercase()), " ").into_owned(),
        };
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The `spec` of a task with several right answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    answers: Vec<String>,
}

/// Returns the right answers of a task: its `reference` and the `answers` of its `spec`, at least one.
pub(crate) fn of(task: &Task) -> Result<Vec<String>, String> {
    let mut answers: Vec<String> = task.reference.iter().cloned().collect();
    if task.spec != Value::Null {
        let spec = Spec::deserialize(&task.spec).map_err(|error| format!("`spec`: {error}"))?;
        answers.extend(spec.answers);
    }
    if answers.is_empty() {
        Err("the task has neither a `reference` nor `answers` in its `spec`".to_owned())
    } else {
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn squad_rules() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(Normalise::Squad.apply(text), expected, "{text}");
        }
        check("A  Man, a plan: THE canal", "man plan canal");
        check("Jean-Luc's", "jeanlucs");
        check("an-other the", "another");
        check("naïve café – “so”", "naïve café – “so”");
        check("The", "");
        check("theatre", "theatre");
    }

    #[test]
    fn answers_of_a_task() {
        let task = Task::new("t", "?", "exact").with_reference("x").with_spec(json!({"answers": ["y"]}));
        assert_eq!(of(&task), Ok(vec!["x".to_owned(), "y".to_owned()]));
        let task = Task::new("t", "?", "exact").with_spec(json!({"answer": "y"}));
        assert_eq!(of(&task), Err("`spec`: unknown field `answer`, expected `answers`".to_owned()));
    }
}
