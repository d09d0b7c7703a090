//! Finding the answer in a completion.
//!
//! Each extractor is a linear scan over the bytes and returns a slice of the completion, so that hostile text costs no
//! more than reading it. Which extractors count is an option of the verifier: *strict* ones find an answer in the form
//! that the prompt asks for, *lenient* ones anywhere. The two are reported side by side, because much of what looks
//! like learning at small scale is learning the form (Qwen2.5-1.5B-Instruct on GSM8K: strict 2 → 49 %, lenient
//! 38 → 55 %).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to find the answer in a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extractor {
    /// The content of the last balanced `\boxed{…}`.
    Boxed,
    /// What follows the last `####` on its line, the form of GSM8K.
    Anchor,
    /// The last number anywhere.
    LastNumber,
    /// The last line that is not empty, without a label such as `Answer:`.
    LastLine,
}

/// Finds the answer of a completion, by the extractors allowed.
///
/// Of a box and an anchor the later one counts. An answer in either form is never passed over in favour of a number in
/// the prose, even if it cannot be read: that is the best known false positive of other checkers.
pub fn answer<'a>(completion: &'a str, extractors: &[Extractor]) -> Option<&'a str> {
    let allowed = |extractor| extractors.contains(&extractor);
    let boxed = allowed(Extractor::Boxed).then(|| last_box(completion)).flatten();
    let anchored = allowed(Extractor::Anchor).then(|| last_anchor(completion)).flatten();
    let stated = match (boxed, anchored) {
        (Some(a), Some(b)) => Some(if a.as_ptr() > b.as_ptr() { a } else { b }),
        (a, b) => a.or(b),
    };
    stated
        .or_else(|| allowed(Extractor::LastNumber).then(|| last_number(completion)).flatten())
        .or_else(|| allowed(Extractor::LastLine).then(|| last_line(completion)).flatten())
}

/// Returns the text after the reasoning, given the marker that ends it, such as `</think>`.
///
/// None if the marker's opening counterpart appears and is never closed: what stands inside the reasoning is not an
/// answer.
pub fn after_reasoning<'a>(completion: &'a str, end: &str) -> Option<&'a str> {
    if let Some(at) = completion.rfind(end) {
        return Some(&completion[at + end.len()..]);
    }
    let opening = end.replacen("</", "<", 1);
    if opening != end && completion.contains(&opening) { None } else { Some(completion) }
}

/// Returns the content of the last `\boxed{…}` whose braces balance; of a box inside a box, the inner one.
///
/// One pass with a stack of open braces; an escaped brace is text.
pub fn last_box(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut open = vec![];
    let mut last: Option<(usize, usize)> = None;
    let mut escaped = false;
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => open.push(i),
            b'}' => {
                if let Some(start) = open.pop()
                    && bytes[..start].ends_with(b"\\boxed")
                    && last.is_none_or(|(other, _)| start > other)
                {
                    last = Some((start, i));
                }
            }
            _ => {}
        }
    }
    last.map(|(start, end)| &text[start + 1..end])
}

/// Returns the rest of the line after the last `####`.
pub fn last_anchor(text: &str) -> Option<&str> {
    let at = text.rfind("####")?;
    let line = text[at..].trim_start_matches('#');
    Some(line[..line.find('\n').unwrap_or(line.len())].trim())
}

/// Returns the last number: digits with an optional sign, thousands marks, decimals or a `/` between whole numbers.
///
/// A number is a whole token. Digits that touch a letter, as in `AZYUK2A`, are none.
pub fn last_number(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while let Some(last) = bytes[..end].iter().rposition(u8::is_ascii_digit) {
        let start = bytes[..last].iter().rposition(|b| !is_inner(*b)).map_or(0, |i| i + 1);
        let token = text[start..=last].trim_start_matches([',', '.', '/']);
        let start = last + 1 - token.len();
        let before = text[..start].chars().next_back();
        let after = text[last + 1..].chars().next();
        if !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphabetic) {
            let sign = before.is_some_and(|c| c == '-' || c == '+') && !follows_operand(&text[..start - 1]);
            return Some(&text[start - usize::from(sign)..=last]);
        }
        end = start;
    }
    None
}

/// Returns the last line that is not empty, from behind its last `:`.
pub fn last_line(text: &str) -> Option<&str> {
    let line = text.trim_end().rsplit('\n').next()?;
    let answer = line.rsplit(':').next()?.trim();
    (!answer.is_empty()).then_some(answer)
}

/// Cuts a text for the record; answers of interest are short.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

fn is_inner(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b',' | b'.' | b'/')
}

/// Whether a sign after this text is an operator between two operands and not the sign of a number.
fn follows_operand(before_sign: &str) -> bool {
    before_sign.trim_end().chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == ')' || c == '}')
}

#[cfg(test)]
mod tests {
    use super::Extractor::{Anchor, Boxed, LastNumber};
    use super::*;

    #[track_caller]
    fn check(completion: &str, extractors: &[Extractor], expected: Option<&str>) {
        assert_eq!(answer(completion, extractors), expected, "{completion:?}");
    }

    #[test]
    fn boxes() {
        check(r"so \boxed{12}.", &[Boxed], Some("12"));
        check(r"\boxed{1} or \boxed{2}", &[Boxed], Some("2"));
        check(r"\boxed{\frac{1}{2}}", &[Boxed], Some(r"\frac{1}{2}"));
        check(r"\boxed{\boxed{3}}", &[Boxed], Some("3"));
        check(r"\boxed{a\}b}", &[Boxed], Some(r"a\}b"));
        check(r"\boxed{7} and then \boxed{8", &[Boxed], Some("7"));
        check("12", &[Boxed], None);
        check(r"\boxed{}", &[Boxed], Some(""));
    }

    #[test]
    fn anchors() {
        check("6 * 7 = 42\n#### 42", &[Anchor], Some("42"));
        check("#### 1\n#### 2\nthanks", &[Anchor], Some("2"));
        check("##### 5", &[Anchor], Some("5"));
        check("####", &[Anchor], Some(""));
        check("# 5", &[Anchor], None);
    }

    #[test]
    fn the_later_of_box_and_anchor_counts() {
        check("\\boxed{1}\n#### 2", &[Boxed, Anchor], Some("2"));
        check("#### 2 \n\\boxed{1}", &[Boxed, Anchor], Some("1"));
    }

    #[test]
    fn prose_never_replaces_a_stated_answer() {
        check(r"between 3 and 5: \boxed{four}", &[Boxed, LastNumber], Some("four"));
        check("#### none\n7", &[Anchor, LastNumber], Some("none"));
        check("it is 7", &[Boxed, Anchor, LastNumber], Some("7"));
    }

    #[test]
    fn last_numbers() {
        check("from 3 to 18.", &[LastNumber], Some("18"));
        check("$1,234.50", &[LastNumber], Some("1,234.50"));
        check("x = -3", &[LastNumber], Some("-3"));
        check("5 - 3", &[LastNumber], Some("3"));
        check("5-3", &[LastNumber], Some("3"));
        check("3/4 of it", &[LastNumber], Some("3/4"));
        check("AZYUK2A", &[LastNumber], None);
        check("room 12b, 7 rows", &[LastNumber], Some("7"));
        check(".5", &[LastNumber], Some("5"));
        check("", &[LastNumber], None);
        check("−7", &[LastNumber], Some("7"));
        check("é9", &[LastNumber], None);
    }

    #[test]
    fn last_lines() {
        check("12 + 3\n= 15\n", &[Extractor::LastLine], Some("= 15"));
        check("Answer: 1, 2\n \n", &[Extractor::LastLine], Some("1, 2"));
        check("Answer:", &[Extractor::LastLine], None);
        check(" \n", &[Extractor::LastLine], None);
    }

    #[test]
    fn reasoning_is_cut_off() {
        assert_eq!(after_reasoning("<think>1</think> 2", "</think>"), Some(" 2"));
        assert_eq!(after_reasoning("<think>1 2", "</think>"), None);
        assert_eq!(after_reasoning("1 2", "</think>"), Some("1 2"));
    }
}
