//! Formulas in a text: `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and display environments.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

use super::gap::{Gap, Joint};

/// A formula with its delimiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Formula {
    /// With the delimiters.
    pub(super) outer: Range<usize>,
    /// Without them.
    pub(super) inner: Range<usize>,
}

/// Formulas that state one answer together.
#[derive(Clone, Debug)]
pub(super) struct List<'a> {
    /// From the first formula to the last.
    pub(super) outer: Range<usize>,
    /// The answer: what is in the formula, or a list.
    pub(super) text: Cow<'a, str>,
}

/// The formulas of a text, in order, found in one pass.
///
/// A dollar sign that a digit follows closes no formula, so that amounts of money are none: "$5 and $7". A blank line
/// ends what was no formula.
#[derive(Clone, Debug)]
pub(super) struct Formulas<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Formulas<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Formulas<'_> {
    type Item = Formula;

    fn next(&mut self) -> Option<Formula> {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at + memchr2(b'$', b'\\', &bytes[self.at..])?;
            let (open, close): (usize, &[u8]) = match &bytes[start..] {
                [b'$', b'$', ..] => (2, b"$$"),
                [b'$', ..] => (1, b"$"),
                [b'\\', b'(', ..] => (2, b"\\)"),
                [b'\\', b'[', ..] => (2, b"\\]"),
                _ => {
                    self.at = (start + 2).min(bytes.len());
                    continue;
                }
            };
            match closing(bytes, start + open, close) {
                Closing::At(end) => {
                    self.at = end + close.len();
                    return Some(Formula { outer: start..self.at, inner: start + open..end });
                }
                // Everything up to there has been read and is no formula; the next may begin there.
                Closing::Never(resume) => self.at = resume.max(start + open),
            }
        }
    }
}

enum Closing {
    At(usize),
    /// The formula does not close; the search goes on here.
    Never(usize),
}

fn closing(bytes: &[u8], start: usize, close: &[u8]) -> Closing {
    let mut at = start;
    let is_inline = close == b"$";
    while let Some(next) = memchr::memchr3(b'$', b'\\', b'\n', &bytes[at..]) {
        at += next;
        let here = &bytes[at..];
        if here.starts_with(close) {
            let is_amount = is_inline && (here.get(1).is_some_and(u8::is_ascii_digit) || is_money(&bytes[start..at]));
            return if is_amount { Closing::Never(at) } else { Closing::At(at) };
        }
        match here[0] {
            b'\n' if here.starts_with(b"\n\n") => return Closing::Never(at),
            // Brackets do not nest, and `\\[2pt]` is a line break: skip pairs of a backslash and what follows.
            b'\\' if matches!(here.get(1), Some(b'(' | b'[')) => return Closing::Never(at),
            b'$' if close == b"\\)" => return Closing::Never(at),
            b'\\' => at = (at + 2).min(bytes.len()),
            _ => at += 1,
        }
    }
    Closing::Never(bytes.len())
}

/// Whether what follows a dollar sign is an amount with words behind it: of "$5 and $x$" the `5 and `.
fn is_money(content: &[u8]) -> bool {
    content.first().is_some_and(u8::is_ascii_digit)
        && content.split(|&b| b == b' ').any(|word| word.len() > 1 && word.iter().all(u8::is_ascii_lowercase))
}

/// Returns the list that the last formulas of a text form with separators between them.
pub(super) fn last_list(text: &str) -> Option<List<'_>> {
    let mut list: Vec<Formula> = vec![];
    let mut gaps: Vec<Gap<'_>> = vec![];
    for formula in Formulas::new(text) {
        let gap = list.last().and_then(|last| Gap::read(&text[last.outer.end..formula.outer.start]));
        match gap {
            Some(gap) => gaps.push(gap),
            None => {
                list.clear();
                gaps.clear();
            }
        }
        list.push(formula);
    }
    join(text, &list, &gaps)
}

/// Returns the list of formulas with which a text begins.
pub(super) fn list_at_start(text: &str) -> Option<List<'_>> {
    let mut list: Vec<Formula> = vec![];
    let mut gaps: Vec<Gap<'_>> = vec![];
    for formula in Formulas::new(text) {
        let end = list.last().map_or(0, |last| last.outer.end);
        let gap = Gap::read(&text[end..formula.outer.start]);
        match gap {
            Some(gap) if !list.is_empty() => gaps.push(gap),
            None if !list.is_empty() => break,
            _ if formula.outer.start > 0 => break,
            _ => {}
        }
        list.push(formula);
    }
    join(text, &list, &gaps)
}

fn join<'a>(text: &'a str, list: &[Formula], gaps: &[Gap<'a>]) -> Option<List<'a>> {
    let outer = list.first()?.outer.start..list.last()?.outer.end;
    if let [only] = list {
        return Some(List { outer, text: Cow::Borrowed(without_stop(&text[only.inner.clone()])) });
    }
    let joint = if gaps.iter().any(|gap| gap.joint == Joint::Or) { " \\text{ or } " } else { ", " };
    let parts: Vec<&str> = list.iter().map(|formula| without_stop(&text[formula.inner.clone()])).collect();
    Some(List { outer, text: Cow::Owned(parts.join(joint)) })
}

/// Removes what ends a sentence or a list item and is no part of a formula.
fn without_stop(formula: &str) -> &str {
    formula.trim().trim_end_matches(['.', ',', ';']).trim_end()
}

/// Removes the delimiters of formulas from a text that is more than one formula.
pub(super) fn without_delimiters(text: &str) -> Cow<'_, str> {
    if !text.contains(['$', '\\']) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for formula in Formulas::new(text) {
        plain.push_str(&text[from..formula.outer.start]);
        plain.push_str(&text[formula.inner]);
        from = formula.outer.end;
    }
    plain.push_str(&text[from..]);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(last_list(text).as_ref().map(|list| list.text.as_ref()), expected, "{text:?}");
    }

    #[test]
    fn the_last_formula() {
        check("first $1$, hence we have $2$.", Some("2"));
        check("Answer \\[ 9 \\]", Some("9"));
        check("Answer $$ 9 $$", Some("9"));
        check("\\( x = 5. \\)", Some("x = 5"));
        check("Answer $ \\frac{1}{2} \\$ = \\frac{10}{9} $", Some("\\frac{1}{2} \\$ = \\frac{10}{9}"));
        check("no formula", None);
        check("one \\$5 and one $6", None);
    }

    #[test]
    fn amounts_are_no_formulas() {
        check("it costs $5 and then $7", None);
        check("it costs $5 and $x$ more", Some("x"));
        check("$5\n\nand $", None);
    }

    #[test]
    fn lists() {
        check("either $x=1$ or $x=2$", Some("x=1 \\text{ or } x=2"));
        check("$1$, $2$ and \\(3\\).", Some("1, 2, 3"));
        check("$1$ is not $2$", Some("2"));
    }

    #[test]
    fn linear_in_hostile_texts() {
        check(&"\\(".repeat(200_000), None);
        check(&"$1 ".repeat(200_000), None);
        check(&"$ x".repeat(200_001), Some("x"));
    }
}
