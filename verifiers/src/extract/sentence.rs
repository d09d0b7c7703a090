//! Sentences that announce the answer: "the final answer is 7", "**Answer:** 7", "Answer \[ 7 \]".
//!
//! The word is searched backwards from the end, a bounded number of times. What follows it must announce something: "the
//! answer is correct" and "if the answer is 7" do not. Where the announced sentence is prose, such as "the largest $n$
//! is 34", it must leave no doubt about its value; otherwise it stands for itself, and does not parse.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::formula;
use super::phrases::{COPULAS, HYPOTHETICAL, OTHER_WORDS};
use super::value::{is_direct, is_hedged, is_plain_words, sentence, trim, value};

/// An announced answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced<'a> {
    /// Where the announcing word begins.
    pub(super) at: usize,
    /// The answer.
    pub(super) text: Cow<'a, str>,
    /// Whether a percent sign or word follows the answer.
    pub(super) is_percent: bool,
}

/// How often the word may occur in vain before the search is given up.
const MAX_TRIES: usize = 64;

/// Other words, looked for only among this many last bytes.
const LAST_BYTES: usize = 2000;

/// Finds the last announced answer at or after the byte `from`.
pub(super) fn last(text: &str, from: usize) -> Option<Announced<'_>> {
    let last_digit = LazyLock::new(|| text.bytes().rposition(|b| b.is_ascii_digit()).unwrap_or(0));
    words(text, from).into_iter().rev().find_map(|word| {
        let lead = Lead::read(text, word)?;
        let sentence = sentence(text, lead.value);
        let end = lead.value + sentence.len();
        let value = value(sentence, lead.kind)?;
        // "The answer is boxed above" says nothing beside the box.
        let is_aside = from > 0 && lead.kind == Kind::Copula && is_plain_words(&value.text);
        if is_aside {
            return None;
        }
        // "Answer: He sold 48. Then …" opens a solution and states no answer.
        let opens = lead.kind == Kind::Colon && value.is_prose && !is_final(text, word.start) && *last_digit > end;
        (!opens).then_some(Announced { at: word.start, text: value.text, is_percent: value.is_percent })
    })
}

/// Finds the last `####` at or after the byte `from`, and what follows it on its line.
///
/// In Markdown `####` is also a heading; one of several words, such as "#### Step 2: multiply", announces nothing.
pub(super) fn last_hashes(text: &str, from: usize) -> Option<Announced<'_>> {
    static HASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"####"));
    // Most texts have none, which the forward search sees faster.
    HASHES.find(&text.as_bytes()[from..])?;
    let mut end = text.len();
    for _ in 0..MAX_TRIES {
        let at = from + text[from..end].rfind("####")?;
        let line = text[at..].trim_start_matches('#');
        let line = trim(&line[..line.find('\n').unwrap_or(line.len())]);
        let first = line.chars().next();
        let is_heading = first.is_some_and(char::is_alphabetic)
            && !is_direct(line)
            && (line.split_whitespace().count() > 2
                || line.ends_with(':')
                || line.starts_with("Final")
                || line.contains("nswer"));
        if !is_heading {
            let text = formula::list_at_start(line).filter(|list| list.outer.end == line.len());
            return Some(match text {
                Some(list) => Announced { at, text: list.text, is_percent: false },
                None => Announced { at, text: Cow::Borrowed(line), is_percent: false },
            });
        }
        end = text[..at].trim_end_matches('#').len();
    }
    None
}

/// Whether the answer that begins at a byte, behind the byte `from`, is the one that a sentence announces.
pub(super) fn announces(text: &str, from: usize, at: usize) -> bool {
    words(&text[..at], from).last().is_some_and(|&word| {
        // "**Final Answer** \\boxed{7}"
        if is_final(text, word.start) && !text[word.end..at].contains(char::is_alphanumeric) {
            return true;
        }
        Lead::read(text, word).is_some_and(|lead| {
            let between = text.get(lead.value..at).unwrap_or_default();
            lead.value <= at && !between.contains("\n\n") && !between.contains(". ") && !is_hedged(between)
        })
    })
}

/// An occurrence of a word that may announce.
#[derive(Clone, Copy, Debug)]
struct Word {
    start: usize,
    end: usize,
}

/// The last occurrences of announcing words, in order.
fn words(text: &str, from: usize) -> Vec<Word> {
    static ANSWER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"nswer"));
    static OTHERS: LazyLock<Vec<(Finder<'static>, usize)>> =
        LazyLock::new(|| OTHER_WORDS.iter().map(|(word, n_before)| (Finder::new(*word), *n_before)).collect());
    let bytes = text.as_bytes();
    let mut found: Vec<Word> = vec![];
    for at in ANSWER.find_iter(&bytes[from..]).map(|at| from + at) {
        let starts_word = at >= 1 && matches!(bytes[at - 1], b'a' | b'A') && !is_letter_before(bytes, at - 1);
        if starts_word {
            let end = at + 5 + usize::from(bytes.get(at + 5) == Some(&b's'));
            found.push(Word { start: at - 1, end });
        }
        if found.len() >= 2 * MAX_TRIES {
            found.drain(..MAX_TRIES);
        }
    }
    let tail = from.max(text.len().saturating_sub(LAST_BYTES));
    for (finder, n_before) in OTHERS.iter() {
        for at in finder.find_iter(&bytes[tail..]).map(|at| tail + at) {
            if at >= *n_before && !is_letter_before(bytes, at - n_before) && text.is_char_boundary(at - n_before) {
                found.push(Word { start: at - n_before, end: at + finder.needle().len() });
            }
        }
    }
    found.sort_by_key(|word| (word.start, std::cmp::Reverse(word.end)));
    found.dedup_by_key(|word| word.start);
    found.split_off(found.len().saturating_sub(MAX_TRIES))
}

fn is_letter_before(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1].is_ascii_alphanumeric()
}

fn is_final(text: &str, at: usize) -> bool {
    before(text, at).to_ascii_lowercase().trim_end().ends_with("final")
}

/// The end of the line before a word, as far as it matters.
fn before(text: &str, at: usize) -> &str {
    let line = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let start = line.max(at.saturating_sub(60));
    let start = (start..=at).find(|&i| text.is_char_boundary(i)).unwrap_or(at);
    &text[start..at]
}

/// How an answer is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// "Answer: 7", or "Answer" as a heading.
    Colon,
    /// "the answer is 7".
    Copula,
}

/// An announcement, and where what it announces begins.
#[derive(Clone, Copy, Debug)]
struct Lead {
    kind: Kind,
    value: usize,
}

impl Lead {
    fn read(text: &str, word: Word) -> Option<Self> {
        const MARKUP: [char; 6] = [' ', '*', '_', '`', '"', '\u{a0}'];
        let before = before(text, word.start).to_ascii_lowercase();
        if is_taken_back(&before) {
            return None;
        }
        // `<answer>7</answer>`, as some prompts ask for; the closing tag announces nothing.
        if before.ends_with('/') {
            return None;
        }
        if before.ends_with('<') && text[word.end..].starts_with('>') {
            return Some(Self {
                kind: Kind::Colon,
                value: text.len() - next_line_if_empty(&text[word.end + 1..]).len(),
            });
        }
        let after = text[word.end..].trim_start_matches(MARKUP);
        let offset = |rest: &str| text.len() - rest.len();
        let colon = |rest: &str| -> Option<Self> {
            let rest = rest.trim_start_matches([' ', '*', '_', '`', '"', ':', '：', '=', '\u{a0}']);
            Some(Self { kind: Kind::Colon, value: offset(next_line_if_empty(rest)) })
        };
        if after.starts_with([':', '：', '=']) {
            return colon(after);
        }
        let opens_line = before.chars().all(|c| !c.is_alphanumeric())
            || ["the", "final", "the final", "my final"].contains(&before.trim_matches(|c: char| !c.is_alphabetic()));
        let goes_on = ["\n", "$", "-", "\\(", "\\["].iter().any(|mark| after.starts_with(mark));
        if opens_line && (goes_on || after.starts_with(|c: char| c.is_ascii_digit())) {
            return colon(after);
        }
        let rest = copula(after).or_else(|| copula(behind_object(after)?))?;
        let rest = rest.trim_start_matches([' ', '*', '_', '`', '"', ':', '：', '\u{a0}']);
        Some(Self { kind: Kind::Copula, value: offset(next_line_if_empty(rest)) })
    }
}

/// Whether the words before "answer" announce nothing: "if the final answer", "the wrong answer".
fn is_taken_back(before: &str) -> bool {
    let clause = before.rsplit(['.', ':', ';', ',']).next().unwrap_or_default();
    let mut words = clause.rsplit(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let word = words.find(|word| !["the", "my", "our", "final", "correct", "your"].contains(word));
    word.is_some_and(|word| HYPOTHETICAL.contains(&word))
}

/// Skips "to the question" and "(in metres)".
fn behind_object(after: &str) -> Option<&str> {
    const LONGEST: usize = 80;
    let object = ["to ", "of ", "for ", "in ", "(", "choice", "option", "letter"];
    let rest = after.trim_start();
    if !object.iter().any(|word| rest.starts_with(word)) {
        return None;
    }
    let line = &rest[..rest.find(['\n', '.']).unwrap_or(rest.len())];
    let at =
        [" is ", " are ", ") is", ": "].iter().filter_map(|word| line.find(word)).min().filter(|&at| at < LONGEST)?;
    Some(rest[at + 1..].trim_start_matches([' ', ':']))
}

/// Splits a copula off the head of a text.
fn copula(text: &str) -> Option<&str> {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = COPULAS.iter().find(|word| {
        let head = text.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word)) && ends(&text[word.len()..])
    })?;
    let rest = &text[word.len()..];
    Some(rest.trim_start_matches(':'))
}

fn next_line_if_empty(rest: &str) -> &str {
    match rest.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n') {
        Some(_) => rest.trim_start().trim_start_matches("**").trim_start(),
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(last(text, 0).as_ref().map(|found| found.text.as_ref()), expected, "{text:?}");
    }

    #[test]
    fn announced() {
        check("The answer is 7.", Some("7"));
        check("the final answer is $\\frac{1}{2}$. I hope it is correct.", Some("\\frac{1}{2}"));
        check("**Answer:** 7", Some("7"));
        check("**Answer**: 7", Some("7"));
        check("ANSWER: 7", Some("7"));
        check("Final Answer: The final answer is $10,455$. I hope so. <|im_start|>user", Some("10,455"));
        check("**Final Answer**\n\n42\n", Some("42"));
        check("### Final answer\n\\[ 7 \\]", Some("7"));
        check("Answer \\[ 9 \\]", Some("9"));
        check("The answer is\n$$\n9\n$$", Some("9"));
        check("The answer is (C).", Some("(C)"));
        check("The answer is option C.", Some("C"));
        check("The answer is for sure D, it cannot be A or B", Some("D"));
        check("The answer is D or A", Some("D or A"));
        check("The answer is: **7**.", Some("7"));
        check("The answer to the question is 7", Some("7"));
        check("Answer: x = 5, y = 6", Some("x = 5, y = 6"));
        check("The answer is Evelyn.", Some("Evelyn"));
        check("so the answer is therefore 3.5.", Some("3.5"));
        check("La réponse est 12.", Some("12"));
        check("答案是 12。", Some("12"));
        check("答案：12", Some("12"));
        check("The answer is 18 dollars.", Some("18 dollars"));
        check("The answer is $5. We had 3 left.", Some("$5"));
        check("The answer is 18 dollars every single day.", Some("18"));
        check("The answers are $3$ and $4$.", Some("3, 4"));
        check("The answer is $3$ or $4$.", Some("3 \\text{ or } 4"));
        check("Answer: ", Some(""));
        check("so <answer>\n42\n</answer>", Some("42"));
        check("{\"answer\": \"42\"}", Some("42"));
    }

    #[test]
    fn prose_with_one_value() {
        check("Final Answer: The largest $n$ is 34.", Some("34"));
        check("Final Answer: The volume of $ABCD$ is 120. I hope it is correct.", Some("120"));
        check("Final Answer: Jane started 3 hours ago.", Some("3"));
        check("Final answer: it takes either 3 or 4 hours", Some("it takes either 3 or 4 hours"));
    }

    #[test]
    fn hedges_are_kept_whole() {
        check("The answer is 7 or 8.", Some("7 or 8"));
        check("The answer is not 7.", Some("not 7"));
        check("The answer is $7$, maybe $8$.", Some("7, maybe 8"));
    }

    #[test]
    fn nothing_announced() {
        check("I think this answer is correct.", None);
        check("The answer is in the form a/b.", None);
        check("If the answer is 7, then so be it", None);
        check("we answer 7", None);
        check("the wrong answer is 7", None);
        check("whether the final answer is 7 is open", None);
        check("If we add them, the answer is 7.", Some("7"));
        check("It is no square, so the answer is 7.", Some("7"));
        check("This answer is 3 more than before.", None);
        check("the answer is the sum of all of them", None);
        check("Answer: He sold 48 clips in April. Then he sold 24. That makes 72.", None);
        check("7", None);
    }

    #[test]
    fn the_last_one_counts() {
        check("The answer is 7. No, the answer is 8.", Some("8"));
        check("The answer is 7. This answer is correct.", Some("7"));
    }

    #[test]
    fn percent_words() {
        assert!(last("the answer is $28$ percent", 0).unwrap().is_percent);
        assert!(!last("the answer is $28$ apples", 0).unwrap().is_percent);
    }
}
