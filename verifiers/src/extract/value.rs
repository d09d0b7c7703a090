//! What an announcing sentence says.
//!
//! A sentence that begins with a value is that value, with what belongs to it. Prose that contains one must leave no doubt
//! which it is.

use std::borrow::Cow;

use super::formula::{self, Formulas};
use super::number;
use super::phrases::{COMMENTS, FILLERS, HEDGES};
use super::sentence::Kind;

/// How far a sentence may reach, in bytes; a matrix of 20 × 20 fits.
const LONGEST: usize = 4096;

/// Returns the sentence that begins at a byte: to the end of the line, to a full stop, to a tag or a special token, but
/// never to one inside a formula.
pub(super) fn sentence(text: &str, start: usize) -> &str {
    let rest = &text[start..];
    let longest = (LONGEST.min(rest.len())..=rest.len()).find(|&i| rest.is_char_boundary(i)).unwrap_or(rest.len());
    let rest = &rest[..longest];
    let mut formulas = Formulas::new(rest).peekable();
    let mut at = 0;
    while at < rest.len() && !ends_sentence(&rest.as_bytes()[at..]) {
        while formulas.next_if(|formula| formula.outer.start < at).is_some() {}
        at = match formulas.next_if(|formula| formula.outer.start == at) {
            Some(formula) => formula.outer.end,
            None => at + 1,
        };
    }
    &rest[..at]
}

fn ends_sentence(here: &[u8]) -> bool {
    let is_end = |after: Option<&u8>| after.is_none_or(|b| b.is_ascii_whitespace() || b"<*)\"'".contains(b));
    here[0] == b'\n'
        || here[0] == b'.' && is_end(here.get(1))
        || here.starts_with(b"<|")
        || here.starts_with(b"</")
        || here.starts_with("。".as_bytes())
}

/// What a sentence says.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) is_percent: bool,
    /// Whether words stood before the value.
    pub(super) is_prose: bool,
}

impl<'a> Value<'a> {
    fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), is_percent: false, is_prose: false }
    }
}

/// Reads what a sentence announces, or none if it is a remark about the answer.
pub(super) fn value(sentence: &str, kind: Kind) -> Option<Value<'_>> {
    let trimmed = trim(sentence);
    let bare = without_fillers(trimmed);
    if is_direct(bare) {
        return Some(direct(bare));
    }
    let first = trimmed.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
    if kind == Kind::Copula && COMMENTS.contains(&first.as_str()) {
        return None;
    }
    let n_words = trimmed.split_whitespace().count();
    let has_value = trimmed.bytes().any(|b| b.is_ascii_digit()) || trimmed.contains(['$', '\\']);
    if !has_value {
        let is_name = trimmed.starts_with(char::is_uppercase);
        let n_most = match kind {
            Kind::Colon => 12,
            Kind::Copula if is_name => 6,
            Kind::Copula => 3,
        };
        return (n_words <= n_most).then(|| Value::new(trimmed));
    }
    match prose(trimmed) {
        Some(value) => Some(Value { is_prose: true, ..value }),
        None if kind == Kind::Colon && n_words > 8 => None,
        None => Some(Value { is_prose: true, ..Value::new(trimmed) }),
    }
}

/// Removes what stands round an answer in prose: space, quotation marks, bold type, a full stop.
pub(super) fn trim(sentence: &str) -> &str {
    let marks = |c: char| c.is_whitespace() || "*_`\"“”'’".contains(c);
    // The end of `{"answer": 7}`.
    let n = |brace| sentence.matches(brace).count();
    let sentence = if n('}') > n('{') { sentence.trim_end().trim_end_matches('}') } else { sentence };
    sentence.trim_matches(marks).trim_end_matches(['.', ',', ';', '。']).trim_matches(marks)
}

fn without_fillers(mut text: &str) -> &str {
    loop {
        let filler = FILLERS.iter().find(|filler| {
            text.get(..filler.len()).is_some_and(|head| head.eq_ignore_ascii_case(filler))
                && text[filler.len()..].starts_with([' ', ',', ':'])
        });
        let Some(filler) = filler else { return text };
        text = text[filler.len()..].trim_start_matches([' ', ',', ':', '*']);
    }
}

/// Whether a text begins with a value and not with a word.
pub(super) fn is_direct(text: &str) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return true };
    if !first.is_alphabetic() {
        return !first.is_whitespace();
    }
    let rest = chars.as_str().trim_start();
    let is_word = chars.next().is_some_and(|c| c.is_alphabetic() || c == '\'');
    // A variable, or the letter of a choice, and not the article of "a number".
    !is_word && !rest.starts_with(|c: char| c.is_alphabetic())
        || ["sqrt", "sin(", "cos(", "log", "ln(", "pi"].iter().any(|name| text.starts_with(name))
        || !first.is_ascii() && text.chars().count() == 1
}

/// Reads a sentence that begins with its value.
fn direct(text: &str) -> Value<'_> {
    if let Some(list) = formula::list_at_start(text) {
        let rest = text[list.outer.end..].trim_start();
        let is_percent = number::percent_end(rest).is_some();
        let says_more = rest.bytes().any(|b| b.is_ascii_digit() || b"$\\=".contains(&b)) || is_hedged(rest);
        return match says_more && !is_percent {
            true => Value::new(formula::without_delimiters(text)),
            false => Value { is_percent, ..Value::new(list.text) },
        };
    }
    if let Some(letter) = leading_choice(text) {
        return Value::new(letter);
    }
    let clause = [" because", " since ", ", which", ", since", ", as ", ", because", ", so ", " as required"];
    let end = clause.iter().filter_map(|word| text.find(word)).min().unwrap_or(text.len());
    let text = trim(&text[..end]);
    let Some((head, tail)) = text.split_once(' ') else { return Value::new(text) };
    let is_words = tail.chars().all(|c| c.is_alphabetic() || " -'’,()".contains(c)) && !is_hedged(tail);
    let is_long = tail.split_whitespace().count() > 2;
    if head.bytes().any(|b| b.is_ascii_digit()) && is_words && is_long {
        let is_percent = number::percent_end(tail).is_some();
        let head = &text[..head.len() + number::magnitude_end(&text[head.len()..])];
        return Value { is_percent, ..Value::new(head.trim_end_matches([',', ';'])) };
    }
    Value::new(text)
}

/// Returns the letter of a choice that a remark follows: "D, it cannot be A". A second choice is no remark.
fn leading_choice(text: &str) -> Option<&str> {
    const OTHERS: [&str; 10] = ["or", "and", "maybe", "perhaps", "possibly", "but", "either", "unless", "ou", "oder"];
    let letter = text.get(..1).filter(|letter| letter.as_bytes()[0].is_ascii_uppercase())?;
    let rest = text[1..].trim_start_matches([',', ';', '.', ')', ' ']);
    let word = &rest[..rest.find(|c: char| !c.is_lowercase()).unwrap_or(rest.len())];
    (word.chars().count() > 1 && rest.len() + 1 < text.len() && !OTHERS.contains(&word)).then_some(letter)
}

/// Reads prose that contains its value: what stands behind its last verb, or the one thing in it.
fn prose(text: &str) -> Option<Value<'_>> {
    let verbs = [" is ", " are ", " equals ", " was ", ": ", " be "];
    let tail =
        verbs.iter().filter_map(|verb| text.rfind(verb).map(|at| &text[at + verb.len()..])).min_by_key(|t| t.len());
    if let Some(tail) = tail.map(without_fillers)
        && is_direct(tail)
    {
        return Some(direct(tail));
    }
    if is_hedged(text) {
        return None;
    }
    let mut formulas = formula::Formulas::new(text);
    match (formulas.next(), formulas.next()) {
        (Some(only), None) => {
            let outside = text[..only.outer.start].bytes().chain(text[only.outer.end..].bytes());
            let is_alone = !outside.into_iter().any(|b| b.is_ascii_digit());
            is_alone.then(|| Value::new(text[only.inner].trim()))
        }
        (Some(_), Some(_)) => None,
        (None, _) => {
            let only = number::last(text)?;
            if let Some(run) = number::enclosing_command(text, only) {
                let outside = text.replacen(run, "", 1);
                return (!outside.bytes().any(|b| b.is_ascii_digit())).then(|| Value::new(run));
            }
            let is_alone = !text[..only.start].bytes().any(|b| b.is_ascii_digit());
            is_alone.then(|| Value { is_percent: only.is_percent, ..Value::new(&text[only.start..only.end]) })
        }
    }
}

/// Whether a text is words in small letters: no number, no formula and no name.
pub(super) fn is_plain_words(text: &str) -> bool {
    text.len() > 1 && text.chars().all(|c| c.is_lowercase() || c.is_whitespace() || ",-'’".contains(c))
}

/// Whether a text offers an alternative or takes something back.
pub(super) fn is_hedged(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'').any(|word| {
        let word = word.to_ascii_lowercase();
        HEDGES.contains(&word.as_str()) || word.ends_with("n't")
    })
}
