//! The last number of a text, and other answers in plain prose.

use std::ops::Range;

use super::phrases::MAGNITUDES;

/// A number in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// Its first byte.
    pub(super) start: usize,
    /// Behind its last byte.
    pub(super) end: usize,
    /// Whether a percent sign or word follows.
    pub(super) is_percent: bool,
}

/// Words and signs for percent that may stand behind a number, the longer ones first.
const PERCENT: [&str; 9] =
    ["\\%", "%", "％", "percentage points", "percent", "per cent", "pct", "pour cent", "Prozent"];

/// Units that may touch their number: `27cm`.
const UNITS: [&str; 18] =
    ["mm", "cm", "km", "kg", "mg", "ml", "mL", "m", "g", "s", "h", "L", "l", "min", "ft", "in", "st", "th"];

/// Finds the last number: digits with an optional sign, thousands marks, decimals or a `/` between whole numbers.
///
/// A number is a whole token. Digits that touch a letter, as in `AZYUK2A`, are none, unless what they touch is a unit.
pub(super) fn last(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while let Some(last) = bytes[..end].iter().rposition(u8::is_ascii_digit) {
        let start = bytes[..last].iter().rposition(|b| !is_inner(*b)).map_or(0, |i| i + 1);
        let token = text[start..=last].trim_start_matches([',', '/']);
        let token = if token.starts_with("..") { token.trim_start_matches('.') } else { token };
        let start = last + 1 - token.len();
        let before = text[..start].chars().next_back();
        let starts_token = !before.is_some_and(|c| c.is_alphanumeric() && !joins_words(c));
        if starts_token && ends_token(&text[last + 1..]) {
            let sign = before.filter(|&c| "-+−".contains(c)).map_or(0, char::len_utf8);
            let sign = if follows_operand(&text[..start - sign]) { 0 } else { sign };
            let is_percent = percent_end(text[last + 1..].trim_start_matches(['$', ' ', '}'])).is_some();
            return Some(Number { start: start - sign, end: last + 1, is_percent });
        }
        end = start;
    }
    None
}

/// Returns the length of the percent sign or word with which a text begins.
pub(super) fn percent_end(text: &str) -> Option<usize> {
    let rest = text.trim_start_matches([' ', '$', '~', '\u{a0}']);
    let rest = ["\\)", "\\]", "\\text{"].iter().find_map(|mark| rest.strip_prefix(mark)).unwrap_or(rest).trim_start();
    let word = PERCENT.iter().find(|word| rest.starts_with(**word))?;
    let after = &rest[word.len()..];
    (!after.starts_with(char::is_alphabetic)).then(|| text.len() - after.len())
}

/// Returns the length of the words with which a text multiplies the number before it: of " thousand people" 9.
pub(super) fn magnitude_end(text: &str) -> usize {
    let mut end = 0;
    loop {
        let rest = text[end..].trim_start_matches(' ');
        let word = &rest[..rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len())];
        if !MAGNITUDES.contains(&word) {
            return end;
        }
        end = text.len() - rest.len() + word.len();
    }
}

/// Returns the number and those before it that `or` joins to it: of "it is 7 or 8" the `7 or 8`.
pub(super) fn with_alternatives(text: &str, number: Number) -> Range<usize> {
    let mut start = number.start;
    while let Some(rest) = text[..start].trim_end().strip_suffix("or").filter(|rest| rest.ends_with(' ')) {
        match last(rest) {
            Some(before) if text[before.end..start].trim() == "or" => start = before.start,
            _ => break,
        }
    }
    start..number.end + magnitude_end(&text[number.end..])
}

/// Whether the word before a byte takes back what follows: "not 7".
pub(super) fn is_negated(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '$', '\\', '(', '*']);
    let word = before.rsplit(|c: char| !c.is_alphabetic() && c != '\'').next().unwrap_or_default();
    word.eq_ignore_ascii_case("not") || word.ends_with("n't")
}

/// Returns the run of text without spaces that a number is part of, if the number stands inside a LaTeX command:
/// of "so (\frac{2}{5}) of it" the `(\frac{2}{5})`.
pub(super) fn enclosing_command(text: &str, number: Number) -> Option<&str> {
    let touches = |c: char| "{}^_".contains(c);
    let is_inside = text[..number.start].ends_with(touches) || text[number.end..].starts_with(touches);
    if !is_inside {
        return None;
    }
    let start = text[..number.start].rfind(char::is_whitespace).map_or(0, |i| i + 1);
    let start = (start..=number.start).find(|&i| text.is_char_boundary(i))?;
    let end = text[number.end..].find(char::is_whitespace).map_or(text.len(), |i| number.end + i);
    let run = text[start..end].trim_end_matches(['.', ',', ';', '。']);
    run.contains('\\').then_some(run)
}

fn is_inner(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b',' | b'.' | b'/')
}

/// Whether a number may end before this text.
fn ends_token(after: &str) -> bool {
    if !after.starts_with(char::is_alphabetic) {
        return true;
    }
    if after.starts_with(joins_words) {
        return true;
    }
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphabetic() || c.is_ascii_digit());
    UNITS.iter().any(|unit| after.strip_prefix(unit).is_some_and(is_end))
}

/// Whether a letter belongs to a script without spaces, such as Chinese, which joins words to numbers.
fn joins_words(letter: char) -> bool {
    ('\u{2e80}'..'\u{a000}').contains(&letter)
}

/// Whether a sign after this text is an operator between two operands and not the sign of a number.
///
/// After a word and a space, as in "it is -5", it is a sign.
fn follows_operand(before_sign: &str) -> bool {
    let operand = before_sign.trim_end();
    let Some(last) = operand.chars().next_back() else { return false };
    let is_word = last.is_alphabetic() && operand[..operand.len() - last.len_utf8()].ends_with(char::is_alphabetic);
    let is_parted = operand.len() < before_sign.len();
    (last.is_alphanumeric() || last == ')' || last == '}') && !(is_word && is_parted)
}

/// Returns the tuple or interval that ends with a number: of "it is (1, 2)" the `(1, 2)`.
pub(super) fn enclosing_tuple(text: &str, number: Number) -> Option<&str> {
    const LONGEST: usize = 200;
    let close = text[number.end..].chars().next().filter(|c| ")]".contains(*c))?;
    let start = (number.start.saturating_sub(LONGEST)..).find(|&i| text.is_char_boundary(i))?;
    let open = start + text[start..number.start].rfind(['(', '['])?;
    let tuple = &text[open..number.end + close.len_utf8()];
    let has_words = tuple.split(|c: char| !c.is_alphabetic()).any(|word| word.chars().count() > 1);
    (tuple.contains(", ") && !has_words).then_some(tuple)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(last(text).map(|found| &text[found.start..found.end]), expected, "{text:?}");
    }

    #[test]
    fn last_numbers() {
        check("from 3 to 18.", Some("18"));
        check("$1,234.50", Some("1,234.50"));
        check("x = -3", Some("-3"));
        check("5 - 3", Some("3"));
        check("5-3", Some("3"));
        check("3/4 of it", Some("3/4"));
        check("AZYUK2A", None);
        check("room 12b, 7 rows", Some("7"));
        check(".5", Some(".5"));
        check("so ...5", Some("5"));
        check("", None);
        check("−7", Some("−7"));
        check("it is -5 degrees", Some("-5"));
        check("x -5", Some("5"));
        check("from 3–5", Some("5"));
        check("é9", None);
        check("it is 27cm long", Some("27"));
        check("about 1,000.99m²", Some("1,000.99"));
        check("the 12x rule", None);
        check("共有13只鸟", Some("13"));
        check("共有 13只鸟", Some("13"));
    }

    #[test]
    fn percents() {
        let is_percent = |text: &str| last(text).unwrap().is_percent;
        assert!(is_percent("28%") && is_percent("28 pct") && is_percent("28 \\%") && is_percent("28 percent."));
        assert!(!is_percent("28 percentiles") && !is_percent("28"));
    }

    #[test]
    fn alternatives() {
        let text = "it is 6, 7 or 8 apples";
        assert_eq!(&text[with_alternatives(text, last(text).unwrap())], "7 or 8");
        let text = "it is for 8";
        assert_eq!(&text[with_alternatives(text, last(text).unwrap())], "8");
    }

    #[test]
    fn tuples() {
        let check = |text: &str, expected| assert_eq!(enclosing_tuple(text, last(text).unwrap()), expected, "{text}");
        check("it is (1, 2).", Some("(1, 2)"));
        check("in [0, 1)", Some("[0, 1)"));
        check("it is 7 (see 2, or 3)", None);
        check("it is 7 (3)", None);
    }

    #[test]
    fn negations() {
        assert!(is_negated("it is not 7", 10) && is_negated("it isn't 7", 9));
        assert!(!is_negated("it is 7", 6) && !is_negated("a knot 7", 7));
    }

    #[test]
    fn commands() {
        let check = |text: &str, expected| assert_eq!(enclosing_command(text, last(text).unwrap()), expected, "{text}");
        check("so (\\frac{2}{5}) of it", Some("(\\frac{2}{5})"));
        check("x^2", None);
        check("it is 7", None);
    }
}
