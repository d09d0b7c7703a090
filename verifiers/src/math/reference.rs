//! References, read once a task.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::answer::{Answer, Comparison, ReadError, compare};
use super::options::changed;
use super::policy::Policy;
use crate::extract::{Extractor, SeveralBoxes, Statement, shorten, statement};

/// The answer that a task wants.
#[derive(Debug)]
pub(super) struct Reference {
    /// How it was written, without its frame.
    pub(super) text: String,
    /// Its value.
    pub(super) answer: Answer,
    /// How it is compared.
    pub(super) policy: Policy,
}

impl Reference {
    /// Reads the reference of a task, which may be a whole worked solution, under the `spec` of the task.
    ///
    /// # Errors
    ///
    /// Says why no answer can be compared with it.
    pub(super) fn read(reference: &str, spec: &Value, policy: &Policy) -> Result<Self, String> {
        let policy = match spec {
            Value::Null => policy.clone(),
            Value::Object(changes) => changed(policy, changes, &[]).map_err(|why| format!("`spec`: {why}"))?,
            other => return Err(format!("`spec` is `{other}`, but must be a table, such as {{\"decimals\": 2}}")),
        };
        let (text, answer) = read(reference, &policy)?;
        match compare(&answer, &answer, &policy, 0) {
            Comparison::Equal { .. } => Ok(Self { text, answer, policy }),
            Comparison::Different { .. } => Err(format!("the reference `{}` does not equal itself", shorten(&text))),
            Comparison::Refused(limit) => {
                Err(format!("the reference `{}` exceeds the limit of {limit}", shorten(&text)))
            }
        }
    }
}

/// Reads what is framed; without a frame the whole text; and if that has no reading, its last formula or number.
fn read(reference: &str, policy: &Policy) -> Result<(String, Answer), String> {
    use Extractor::{Anchor, Boxed, LastMath, LastNumber};
    let one = |extractors: &[Extractor]| match statement(reference, extractors, SeveralBoxes::Last) {
        Statement::One(found) if found.is_percent => Some(format!("{}\\%", found.text)),
        Statement::One(found) => Some(found.text.into_owned()),
        Statement::Absent | Statement::Several(_) => None,
    };
    let stated = one(&[Boxed, Anchor]);
    let whole = stated.unwrap_or_else(|| whole(reference));
    let error = match Answer::read(&whole, policy) {
        Ok(answer) => return Ok((whole, answer)),
        Err(error) => error,
    };
    if let Some(guess) = one(&[LastMath, LastNumber])
        && let Ok(answer) = Answer::read(&guess, policy)
    {
        return Ok((guess, answer));
    }
    Err(match error {
        ReadError::Unparsable(why) => format!("cannot read the reference `{}`: {why}", shorten(&whole)),
        ReadError::Refused(limit) => format!("the reference `{}` exceeds the limit of {limit}", shorten(&whole)),
    })
}

/// A text without the delimiters of the formula that it is.
fn whole(reference: &str) -> String {
    match statement(reference, &[Extractor::LastMath], SeveralBoxes::Last) {
        Statement::One(found) if is_all(reference, &found.text) => found.text.into_owned(),
        _ => reference.trim().to_owned(),
    }
}

/// Whether nothing but delimiters and a full stop stand around a part of a text.
fn is_all(text: &str, part: &str) -> bool {
    let without =
        |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace() && !"$\\[]().".contains(*c)).collect() };
    without(text) == without(part)
}

/// The references read so far.
///
/// They are found by what they were made of, not by the task's name, so that two tasks of one name never share one.
#[derive(Debug, Default)]
pub(super) struct References {
    known: RwLock<Known>,
}

type Entry = (Value, Result<Arc<Reference>, Arc<str>>);

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<String, Vec<Entry>>,
    n_bytes: usize,
}

impl References {
    /// How much text is kept; beyond it the memory starts anew, which costs time and changes no verdict.
    const MAX_BYTES: usize = 32 << 20;

    /// Returns the reference that a text and a `spec` make, reading it at the first time.
    pub(super) fn get(&self, reference: &str, spec: &Value, policy: &Policy) -> Result<Arc<Reference>, Arc<str>> {
        if let Some(known) = self.find(reference, spec) {
            return known;
        }
        let read = catch_unwind(AssertUnwindSafe(|| Reference::read(reference, spec, policy))).unwrap_or_else(|_| {
            Err(format!("the reference `{}` uncovers a defect of the verifier", shorten(reference)))
        });
        let read = read.map(Arc::new).map_err(Arc::from);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // A value takes a few times the room of its text.
        known.n_bytes += 200 + 4 * reference.len() + spec.to_string().len();
        if known.n_bytes > Self::MAX_BYTES {
            *known = Known::default();
        }
        known.entries.entry(reference.to_owned()).or_default().push((spec.clone(), read.clone()));
        read
    }

    fn find(&self, reference: &str, spec: &Value) -> Option<Result<Arc<Reference>, Arc<str>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entries = known.entries.get(reference)?;
        entries.iter().find(|(other, _)| other == spec).map(|(_, read)| read.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(reference: &str, expected: &str) {
        let read = Reference::read(reference, &Value::Null, &Policy::default());
        assert_eq!(read.map(|reference| reference.text).unwrap_or_else(|why| why), expected, "{reference:?}");
    }

    #[test]
    fn frames() {
        check("18", "18");
        check("$18$", "18");
        check("$$18$$.", "18");
        check("so we get $\\boxed{18}$.", "18");
        check("6 * 3 = 18\n#### 18", "18");
        check("Final Answer: The final answer is $18$. I hope it is correct.", "18");
        check("or $\\boxed{20}$ percent", "20\\%");
        check("first \\boxed{3}, then \\boxed{4}", "4");
    }

    #[test]
    fn one_name_may_have_two_references() {
        let references = References::default();
        let text = |reference: &str, spec: Value| {
            references.get(reference, &spec, &Policy::default()).map(|r| (r.text.clone(), r.policy.decimals))
        };
        for _ in 0..2 {
            assert_eq!(text("1", Value::Null), Ok(("1".to_owned(), None)));
            assert_eq!(text("2", Value::Null), Ok(("2".to_owned(), None)));
            assert_eq!(text("1", json!({"decimals": 1})), Ok(("1".to_owned(), Some(1))));
        }
    }

    #[test]
    fn refusals() {
        let why = |spec: Value| Reference::read("1", &spec, &Policy::default()).unwrap_err();
        assert!(why(json!({"decimal": 1})).starts_with("`spec`: unknown field `decimal`, expected one of `locale`, "));
        assert_eq!(why(json!([1])), "`spec` is `[1]`, but must be a table, such as {\"decimals\": 2}");
    }
}
