//! Boxes: `\boxed{…}`, `\fbox{…}` and `\framebox{…}`.
//!
//! One pass finds all of them with a stack of open braces. Boxes with nothing but separators between them state one
//! list; what is left are groups, and a completion with several groups that differ hedges.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memchr3;
use memchr::memmem::Finder;

use super::gap::{Gap, Joint};

/// A box whose braces balance, without the boxes inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boxed {
    /// From the backslash to behind the closing brace.
    pub(super) outer: Range<usize>,
    /// What is in the box; where that is again a box and nothing else, what is in that one.
    pub(super) inner: Range<usize>,
    holds_boxes: bool,
}

/// Boxes that state one answer together.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    /// From the first box to the last.
    pub(super) outer: Range<usize>,
    /// The answer: what is in the box, or a list.
    pub(super) text: Cow<'a, str>,
}

/// Finds the boxes of a text in order. A box inside a box belongs to the outer one; an unclosed one is passed over.
///
/// An escaped brace is text. A doubled backslash before the name is taken for an accident of escaping.
pub(super) fn scan(text: &str) -> Vec<Boxed> {
    let bytes = text.as_bytes();
    let mut boxes: Vec<Boxed> = vec![];
    let Some(mut at) = first_command(bytes) else { return boxes };
    let mut open: Vec<Open> = vec![];
    while let Some(next) = memchr3(b'\\', b'{', b'}', &bytes[at..]) {
        at += next;
        match bytes[at] {
            b'{' => {
                open.push(Open { brace: at, command: None });
                at += 1;
            }
            b'}' => {
                if let Some(Open { brace, command: Some(command) }) = open.pop() {
                    close(text, &mut boxes, command..at + 1, brace + 1..at);
                }
                at += 1;
            }
            _ => match command_end(bytes, at) {
                Some(end) if bytes.get(end) == Some(&b'{') => {
                    open.push(Open { brace: end, command: Some(at) });
                    at = end + 1;
                }
                Some(end) => {
                    let inner = unbraced(text, end);
                    if !inner.is_empty() {
                        boxes.push(Boxed { outer: at..inner.end, inner: inner.clone(), holds_boxes: false });
                    }
                    at = inner.end.max(end);
                }
                None => at = (at + 2).min(bytes.len()),
            },
        }
    }
    boxes
}

struct Open {
    brace: usize,
    command: Option<usize>,
}

/// Adds a box, taking back those that turn out to be inside it.
fn close(text: &str, boxes: &mut Vec<Boxed>, outer: Range<usize>, inner: Range<usize>) {
    let first_inside = boxes.iter().rposition(|b| b.outer.start < outer.start).map_or(0, |i| i + 1);
    let mut inside = boxes.drain(first_inside..);
    let content = &text[inner.clone()];
    let start = inner.start + (content.len() - content.trim_start().len());
    let end = inner.end - (content.len() - content.trim_end().len());
    let closed = match (inside.next(), inside.next()) {
        (None, _) => Boxed { outer, inner, holds_boxes: false },
        (Some(only), None) if only.outer == (start..end) => Boxed { outer, ..only },
        _ => Boxed { outer, inner, holds_boxes: true },
    };
    drop(inside);
    boxes.push(closed);
}

/// Where the first box command might stand; before it no brace matters.
fn first_command(bytes: &[u8]) -> Option<usize> {
    static COMMANDS: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| [b"\\boxed".as_slice(), b"\\fbox", b"\\framebox"].map(Finder::new));
    let first = |finder: &Finder<'_>| finder.find_iter(bytes).find(|&at| command_end(bytes, at).is_some());
    let first = COMMANDS.iter().filter_map(first).min()?;
    // The accident of a doubled backslash belongs to the command.
    Some(first - usize::from(first > 0 && bytes[first - 1] == b'\\'))
}

/// Where the argument of a box command begins, if there is a command at `at`.
fn command_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes[at..].strip_prefix(b"\\")?;
    let rest = rest.strip_prefix(b"\\").filter(|rest| rest.first() != Some(&b'\\')).unwrap_or(rest);
    let rest = [&b"boxed"[..], b"fbox", b"framebox"].iter().find_map(|name| rest.strip_prefix(*name))?;
    if rest.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    let rest = without_options(rest.trim_ascii_start()).trim_ascii_start();
    Some(bytes.len() - rest.len())
}

/// Skips the width and position of `\framebox[3cm][c]{…}`, which are short.
fn without_options(mut rest: &[u8]) -> &[u8] {
    while let Some(option) = rest.strip_prefix(b"[") {
        match option.iter().take(30).position(|&b| b == b']') {
            Some(end) => rest = &option[end + 1..],
            None => break,
        }
    }
    rest
}

/// The argument of `\boxed 7`: up to the end of the formula, or else one word. Empty if it is plain prose, as in "put
/// it into \boxed please".
fn unbraced(text: &str, start: usize) -> Range<usize> {
    const LONGEST: usize = 100;
    let rest = &text[start..];
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let formula = line.find('$').or_else(|| line.find("\\)")).or_else(|| line.find("\\]"));
    let word = line.find(char::is_whitespace).unwrap_or(line.len());
    let end = formula.filter(|&end| end <= LONGEST).unwrap_or(word);
    let argument = line[..end].trim_end_matches(['.', ',', ';', ' ', '*']);
    let is_value = argument.starts_with(|c: char| c.is_ascii_digit() || "-+\\(.".contains(c))
        || (argument.len() == 1 && argument.as_bytes()[0].is_ascii_alphabetic());
    start..start + if is_value { argument.len() } else { 0 }
}

/// Joins boxes that are separated by nothing but separators.
///
/// Boxes that all hold the same text are one. `or` between them makes alternatives, which equal no single value.
pub(super) fn groups<'a>(text: &'a str, boxes: &[Boxed]) -> Vec<Group<'a>> {
    let mut groups = vec![];
    let mut first = 0;
    let mut gaps: Vec<Gap<'a>> = vec![];
    for i in 0..boxes.len() {
        let gap = boxes.get(i + 1).and_then(|next| Gap::read(&text[boxes[i].outer.end..next.outer.start]));
        match gap {
            Some(gap) => gaps.push(gap),
            None => {
                groups.push(group(text, &boxes[first..=i], &gaps));
                first = i + 1;
                gaps.clear();
            }
        }
    }
    groups
}

fn group<'a>(text: &'a str, boxes: &[Boxed], gaps: &[Gap<'a>]) -> Group<'a> {
    let outer = boxes[0].outer.start..boxes[boxes.len() - 1].outer.end;
    let contents: Vec<Cow<'a, str>> = boxes.iter().map(|b| content(text, b)).collect();
    let first = contents[0].clone();
    if contents.iter().all(|content| is_same(content, &first)) {
        return Group { outer, text: first };
    }
    let before = &text[..boxes[0].outer.start];
    let label = Gap::label_before(before);
    let labels: Vec<Option<&str>> = std::iter::once(label).chain(gaps.iter().map(|gap| gap.label)).collect();
    let is_labelled = labels.iter().all(Option::is_some);
    let joint = if gaps.iter().any(|gap| gap.joint == Joint::Or) { " \\text{ or } " } else { ", " };
    let mut joined = String::new();
    for (i, (content, label)) in contents.iter().zip(labels).enumerate() {
        joined.push_str(if i == 0 { "" } else { joint });
        if let Some(label) = label.filter(|_| is_labelled) {
            joined.push_str(label);
        }
        joined.push_str(content);
    }
    Group { outer, text: Cow::Owned(joined) }
}

/// What is in a box, with the commands of further boxes removed.
fn content<'a>(text: &'a str, boxed: &Boxed) -> Cow<'a, str> {
    let inner = &text[boxed.inner.clone()];
    if !boxed.holds_boxes {
        return Cow::Borrowed(trimmed(inner));
    }
    let bytes = inner.as_bytes();
    let mut plain = String::new();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\\', &bytes[from..]).map(|at| from + at) {
        plain.push_str(&inner[from..at]);
        from = match command_end(bytes, at) {
            Some(end) => end,
            None => {
                let end = at + 1 + inner[at + 1..].chars().next().map_or(0, char::len_utf8);
                plain.push_str(&inner[at..end]);
                end
            }
        };
    }
    plain.push_str(&inner[from..]);
    Cow::Owned(trimmed(&plain).to_owned())
}

/// Removes space at both ends, but not what a backslash escapes.
fn trimmed(content: &str) -> &str {
    let short = content.trim();
    if short.ends_with('\\') { content.trim_start() } else { short }
}

/// Whether two answers are the same text but for space and the marks of formulas.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    let bare = |text: &str| -> Vec<u8> { text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'$').collect() };
    a == b || bare(a) == bare(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let groups = groups(text, &scan(text));
        let texts: Vec<&str> = groups.iter().map(|group| group.text.as_ref()).collect();
        assert_eq!(texts, expected, "{text:?}");
    }

    #[test]
    fn contents() {
        check(r"so \boxed{12}.", &["12"]);
        check(r"\boxed{\frac{1}{2}}", &[r"\frac{1}{2}"]);
        check(r"\boxed{a\}b}", &[r"a\}b"]);
        check(r"\boxed{a\\}b}", &[r"a\\"]);
        check(r"\boxed{7} and then \boxed{8", &["7"]);
        check(r"\boxed{7 and then \boxed{8}", &["8"]);
        check(r"\boxed{}", &[""]);
        check("12", &[]);
        check(r"\fbox{3} and so \framebox[2cm][c]{3}", &["3", "3"]);
        check(r"\\boxed{840}", &["840"]);
        check("a box of \\boxed {\n4 }", &["4"]);
        check(r"\boxedin{4} \mbox{4}", &[]);
    }

    #[test]
    fn without_braces() {
        check(r"$\boxed 7$", &["7"]);
        check(r"\boxed7.", &["7"]);
        check(r"$\boxed \frac12$.", &[r"\frac12"]);
        check(r"Use \boxed for it. \boxed -3 holds", &["-3"]);
        check(r"\boxed", &[]);
        check(r"in \boxed.", &[]);
    }

    #[test]
    fn nested() {
        check(r"\boxed{\boxed{3}}", &["3"]);
        check(r"\boxed{ \fbox{ \boxed{3} } }", &["3"]);
        check(r"\boxed{x = \boxed{3}}", &["x = {3}"]);
        check(r"\boxed{\boxed{1}, \boxed{2}}", &["{1}, {2}"]);
        check(r"\boxed{é\é \boxed{1}}", &[r"é\é {1}"]);
    }

    #[test]
    fn neighbours_form_a_list() {
        check(r"$\boxed{2}, \boxed{3}$", &["2, 3"]);
        check(r"\(\boxed{1}\) and \(\boxed{-2}\).", &["1, -2"]);
        check(r"$$\boxed{(98, 2)} \quad \text{and} \quad \boxed{(99, 503)}$$", &["(98, 2), (99, 503)"]);
        check(r"\boxed{7} or \boxed{8}", &[r"7 \text{ or } 8"]);
        check(r"\boxed{7} \text{ or } \boxed{8}", &[r"7 \text{ or } 8"]);
        check(r"$x = \boxed{3}$, $y = \boxed{4}$", &["x = 3, y = 4"]);
        check(r"it is \boxed{3}$, $y = \boxed{4}$", &["3, 4"]);
        check("- $\\boxed{1}$\n- $\\boxed{2}$", &["1, 2"]);
        check(r"\boxed{7}, \boxed{ 7}", &["7"]);
        check(r"\boxed{7}, no, \boxed{8}", &["7", "8"]);
    }

    #[test]
    fn linear_in_hostile_texts() {
        let text = "\\boxed{".repeat(100_000);
        assert!(scan(&text).is_empty());
        let text = "\\boxed{".repeat(20_000) + "7" + &"}".repeat(20_000);
        check(&text, &["7"]);
    }
}
