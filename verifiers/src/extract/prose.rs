//! Answers that are stated nowhere, but can be guessed.

use std::borrow::Cow;

use super::Extractor::{LastLine, LastMath, LastNumber};
use super::{Candidate, Extractor, formula, last_line, number};

/// Finds the last formula, number or line, whichever of them are allowed.
///
/// Of formula and number the later one counts. One that is taken back ("not 7") is none.
pub(super) fn last<'a>(text: &'a str, extractors: &[Extractor]) -> Option<Candidate<'a>> {
    let allowed = |extractor| extractors.contains(&extractor);
    if (allowed(LastMath) || allowed(LastNumber))
        && let Some(expression) = lone_expression(text)
    {
        return Some(expression);
    }
    let formula = if allowed(LastMath) { formula::last_list(text) } else { None };
    let number = if allowed(LastNumber) { number::last(text) } else { None };
    let number = number.filter(|number| formula.as_ref().is_none_or(|formula| number.start >= formula.outer.end));
    if let Some(number) = number {
        return (!number::is_negated(text, number.start)).then(|| numeric(text, number));
    }
    if let Some(formula) = formula {
        let is_percent = number::percent_end(&text[formula.outer.end..]).is_some();
        return (!number::is_negated(text, formula.outer.start))
            .then(|| Candidate { is_percent, ..Candidate::new(formula.text, LastMath) });
    }
    if allowed(LastLine) { last_line(text).map(|line| Candidate::new(line, LastLine)) } else { None }
}

fn numeric(text: &str, number: number::Number) -> Candidate<'_> {
    if let Some(run) = number::enclosing_command(text, number) {
        return Candidate::new(run, LastMath);
    }
    if let Some(tuple) = number::enclosing_tuple(text, number) {
        return Candidate::new(tuple, LastMath);
    }
    let alternatives = number::with_alternatives(text, number);
    Candidate { is_percent: number.is_percent, ..Candidate::new(&text[alternatives], LastNumber) }
}

/// Names of functions and other words that belong to expressions.
const WORDS: [&str; 26] = [
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log", "ln", "exp",
    "sqrt", "pi", "mod", "max", "min", "and", "or", "pct", "percent", "infinity", "inf",
];

/// Returns a completion that is nothing but an expression: one line with at most one word of prose.
fn lone_expression(text: &str) -> Option<Candidate<'_>> {
    const LONGEST: usize = 1000;
    let line = text.trim();
    if line.is_empty()
        || line.len() > LONGEST
        || line.contains(['\n', '…', '?', '#'])
        || line.starts_with("..")
        || is_prose(line)
    {
        return None;
    }
    let list = formula::last_list(line);
    let text = match list {
        // One formula, perhaps with a full stop behind it.
        Some(list) if list.outer.start == 0 => match line[list.outer.end..].trim() {
            "" | "." => list.text,
            rest if number::percent_end(rest).is_some() => {
                return Some(Candidate { is_percent: true, ..Candidate::new(list.text, LastMath) });
            }
            _ => formula::without_delimiters(line),
        },
        // "Hence $x = 2$" is prose.
        Some(list) if line[..list.outer.start].split(|c: char| !c.is_alphabetic()).any(|word| word.len() > 1) => {
            return None;
        }
        Some(_) => formula::without_delimiters(line),
        None => Cow::Borrowed(line.trim_end_matches(['.', ' ']).trim_matches('$')),
    };
    Some(Candidate::new(text, LastMath))
}

/// Whether a line has more than one word that belongs to no expression.
fn is_prose(line: &str) -> bool {
    let mut n_words = 0;
    let mut before = ' ';
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("\\text") {
            rest = tail.split_once('}').map_or("", |(_, tail)| tail);
        } else if first.is_alphabetic() {
            let word = &rest[..rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len())];
            let is_name =
                before == '\\' || word.chars().count() == 1 || WORDS.contains(&word.to_ascii_lowercase().as_str());
            if first >= '\u{590}' && word.chars().count() > 1 {
                return true;
            }
            n_words += usize::from(!is_name);
            rest = &rest[word.len()..];
        } else {
            rest = &rest[first.len_utf8()..];
        }
        before = first;
    }
    n_words > 1
}
