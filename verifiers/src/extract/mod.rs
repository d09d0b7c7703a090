//! Finding the answer in a completion.
//!
//! Each extractor is a linear scan over the bytes and returns a slice of the completion, so that hostile text costs no
//! more than reading it. Which extractors count is an option of the verifier: *strict* ones find an answer in the form
//! that the prompt asks for, *lenient* ones anywhere. The two are reported side by side, because much of what looks
//! like learning at small scale is learning the form (Qwen2.5-1.5B-Instruct on GSM8K: strict 2 → 49 %, lenient
//! 38 → 55 %).
//!
//! An answer that is *stated*, in a box or behind an announcement such as `####` or "the answer is", is never passed
//! over in favour of a number in the prose, even if it cannot be read: that is the best known false positive of other
//! checkers. A completion that states several answers states none, or else guessing twice would pay.

mod boxes;
mod choice;
mod formula;
mod gap;
mod number;
mod phrases;
mod prose;
mod sentence;
mod value;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use choice::choice_letter;

/// A way to find the answer in a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extractor {
    /// The content of the last balanced `\boxed{…}`, `\fbox{…}` or `\framebox{…}`, or the list that neighbouring boxes
    /// form.
    Boxed,
    /// What an announcement announces: `####`, the form of GSM8K, or a sentence such as "the answer is 7" or
    /// "**Answer:** 7". One that follows the last box outranks the boxes.
    Anchor,
    /// What follows the last `####` on its line, and no other announcement.
    Hashes,
    /// The last formula anywhere: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`.
    LastMath,
    /// The last number anywhere.
    LastNumber,
    /// The last line that is not empty, without a label such as `Answer:`.
    LastLine,
    /// The last anchored letter of a multiple choice ([`choice_letter`]).
    ChoiceLetter,
}

impl Extractor {
    /// The word for records and configs, such as `last_math`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boxed => "boxed",
            Self::Anchor => "anchor",
            Self::Hashes => "hashes",
            Self::LastMath => "last_math",
            Self::LastNumber => "last_number",
            Self::LastLine => "last_line",
            Self::ChoiceLetter => "choice_letter",
        }
    }
}

/// What counts if a completion has several boxes that differ and are no list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeveralBoxes {
    /// Nothing: a hedge must not pay.
    #[default]
    Reject,
    /// The last one.
    Last,
}

/// What a completion states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement<'a> {
    /// No answer in any of the places allowed.
    Absent,
    /// One answer.
    One(Candidate<'a>),
    /// Boxes whose texts differ, in order. They are one answer only if their values are equal.
    Several(Vec<Candidate<'a>>),
}

/// The text of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// What was stated, without its frame.
    pub text: Cow<'a, str>,
    /// Who found it.
    pub by: Extractor,
    /// Whether a percent sign or word follows outside the frame: `$\boxed{28}$ percent`.
    pub is_percent: bool,
}

impl<'a> Candidate<'a> {
    fn new(text: impl Into<Cow<'a, str>>, by: Extractor) -> Self {
        Self { text: text.into(), by, is_percent: false }
    }
}

/// Finds what a completion states, by the extractors allowed.
///
/// Boxes and announcements come first, whatever the order of the list; an announcement counts if it follows the last
/// box. Prose ([`Extractor::LastMath`], [`Extractor::LastNumber`], [`Extractor::LastLine`]) is looked at only where
/// there is neither, so who allows prose allows the stated answer too. A completion that is nothing but an expression
/// is, as prose, its own answer; of the last formula and the last number the later one counts.
///
/// # Examples
///
/// ```
/// use rlvr_verifiers::extract::{Extractor, SeveralBoxes, Statement, statement};
///
/// let text = "We get $\\boxed{3}$. Checking again, the final answer is $4$.";
/// let Statement::One(found) = statement(text, &[Extractor::Boxed, Extractor::Anchor], SeveralBoxes::Reject) else {
///     panic!("one answer is stated")
/// };
/// assert_eq!(found.text, "4");
/// ```
pub fn statement<'a>(text: &'a str, extractors: &[Extractor], several: SeveralBoxes) -> Statement<'a> {
    let places = Places::of(extractors);
    let boxes = if places.boxes { boxes::scan(text) } else { vec![] };
    let behind_boxes = boxes.last().map_or(0, |last| last.outer.end);
    if let Some(announced) = announcement(text, behind_boxes, places) {
        return Statement::One(announced);
    }
    if !boxes.is_empty() {
        return boxed(text, &boxes, several, places);
    }
    let choice = || choice_letter(text, 26).map(|letter| Candidate::new(letter.to_string(), Extractor::ChoiceLetter));
    extractors
        .contains(&Extractor::ChoiceLetter)
        .then(choice)
        .flatten()
        .or_else(|| prose::last(text, extractors))
        .map_or(Statement::Absent, Statement::One)
}

/// Finds what a completion states, as a slice of it: of several boxes the last one, and of a list as it stands there.
///
/// For answers that are compared as text; [`statement`] tells hedges from answers and reads lists.
pub fn answer<'a>(completion: &'a str, extractors: &[Extractor]) -> Option<&'a str> {
    let places = Places::of(extractors);
    let boxes = if places.boxes { boxes::scan(completion) } else { vec![] };
    let behind_boxes = boxes.last().map_or(0, |last| last.outer.end);
    if let Some(announced) = announcement(completion, behind_boxes, places) {
        return match announced.text {
            Cow::Borrowed(text) => Some(text),
            Cow::Owned(_) => last_line(completion),
        };
    }
    if let Some(last) = boxes.last() {
        return Some(completion[last.inner.clone()].trim());
    }
    let allowed = |extractor| extractors.contains(&extractor);
    let number = || allowed(Extractor::LastNumber).then(|| last_number(completion)).flatten();
    let formula = || match prose::last(completion, &[Extractor::LastMath])?.text {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    };
    let formula = || allowed(Extractor::LastMath).then(formula).flatten();
    formula().or_else(number).or_else(|| allowed(Extractor::LastLine).then(|| last_line(completion)).flatten())
}

/// Where an answer may stand.
#[derive(Clone, Copy, Debug)]
struct Places {
    boxes: bool,
    hashes: bool,
    sentences: bool,
}

impl Places {
    fn of(extractors: &[Extractor]) -> Self {
        use Extractor::{Anchor, Boxed, Hashes, LastLine, LastMath, LastNumber};
        let has = |these: &[Extractor]| extractors.iter().any(|extractor| these.contains(extractor));
        let prose = has(&[LastMath, LastNumber, LastLine]);
        Self {
            boxes: prose || has(&[Boxed]),
            hashes: prose || has(&[Anchor, Hashes]),
            sentences: prose || has(&[Anchor]),
        }
    }
}

/// Finds the last announcement at or after a byte.
fn announcement<'a>(text: &'a str, from: usize, places: Places) -> Option<Candidate<'a>> {
    let hashes = if places.hashes { sentence::last_hashes(text, from) } else { None };
    let sentence = if places.sentences { sentence::last(text, from) } else { None };
    let announced = match (hashes, sentence) {
        (Some(hashes), Some(sentence)) if sentence.at > hashes.at => sentence,
        (Some(hashes), _) => hashes,
        (None, sentence) => sentence?,
    };
    Some(Candidate { text: announced.text, by: Extractor::Anchor, is_percent: announced.is_percent })
}

/// Reads the boxes of a text that has some.
fn boxed<'a>(text: &'a str, boxes: &[boxes::Boxed], several: SeveralBoxes, places: Places) -> Statement<'a> {
    /// Beyond this many lists of boxes that differ a completion only hedges.
    const MAX_GROUPS: usize = 16;
    let mut groups = boxes::groups(text, boxes);
    let Some(last) = groups.pop() else { return Statement::Absent };
    let is_percent = number::percent_end(&text[last.outer.end..]).is_some();
    let candidate = Candidate { is_percent, ..Candidate::new(last.text, Extractor::Boxed) };
    let before = groups.last().map_or(0, |group| group.outer.end);
    if several == SeveralBoxes::Last || (places.sentences && sentence::announces(text, before, last.outer.start)) {
        return Statement::One(candidate);
    }
    // "I will put it into \\boxed{}" states nothing yet.
    groups.retain(|group| !is_placeholder(&group.text) && !boxes::is_same(&group.text, &candidate.text));
    if groups.is_empty() {
        return Statement::One(candidate);
    }
    let first_kept = groups.len().saturating_sub(MAX_GROUPS);
    let earlier = groups.drain(first_kept..).map(|group| Candidate::new(group.text, Extractor::Boxed));
    Statement::Several(earlier.chain([candidate]).collect())
}

fn is_placeholder(text: &str) -> bool {
    [
        "",
        "...",
        "…",
        "\\dots",
        "\\ldots",
        "\\cdots",
        "answer",
        "\\text{answer}",
        "\\text{your answer}",
        "your answer",
        " ",
    ]
    .contains(&text.trim())
}

/// Returns the text after the reasoning, given the marker that ends it, such as `</think>`.
///
/// None if the marker's opening counterpart appears and is not closed: what stands inside the reasoning is not an
/// answer.
pub fn after_reasoning<'a>(completion: &'a str, end: &str) -> Option<&'a str> {
    use memchr::memmem::{find, rfind};
    let rest = rfind(completion.as_bytes(), end.as_bytes()).map_or(completion, |at| &completion[at + end.len()..]);
    let opening = end.replacen("</", "<", 1);
    let is_open = opening != end && find(rest.as_bytes(), opening.as_bytes()).is_some();
    (!is_open).then_some(rest)
}

/// Returns the content of the last `\boxed{…}` whose braces balance; of a box that holds a box and nothing else, the
/// content of the inner one.
pub fn last_box(text: &str) -> Option<&str> {
    boxes::scan(text).pop().map(|last| &text[last.inner])
}

/// Returns the rest of the line after the last `####`.
pub fn last_anchor(text: &str) -> Option<&str> {
    let at = text.rfind("####")?;
    let line = text[at..].trim_start_matches('#');
    Some(line[..line.find('\n').unwrap_or(line.len())].trim())
}

/// Returns the last number: digits with an optional sign, thousands marks, decimals or a `/` between whole numbers.
///
/// A number is a whole token. Digits that touch a letter, as in `AZYUK2A`, are none, unless the letters are a unit.
pub fn last_number(text: &str) -> Option<&str> {
    number::last(text).map(|number| &text[number.start..number.end])
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

#[cfg(test)]
mod tests {
    use super::Extractor::{Anchor, Boxed, Hashes, LastLine, LastMath, LastNumber};
    use super::*;

    /// What a statement says, for comparison: hedges as a list.
    fn said(text: &str, extractors: &[Extractor]) -> Vec<String> {
        match statement(text, extractors, SeveralBoxes::Reject) {
            Statement::Absent => vec![],
            Statement::One(found) => vec![found.text.into_owned()],
            Statement::Several(all) => all.into_iter().map(|found| found.text.into_owned()).collect(),
        }
    }

    #[track_caller]
    fn check(text: &str, extractors: &[Extractor], expected: &[&str]) {
        assert_eq!(said(text, extractors), expected, "{text:?}");
    }

    #[test]
    fn boxes() {
        check(r"so \boxed{12}.", &[Boxed], &["12"]);
        check(r"\boxed{1}, no, \boxed{2}", &[Boxed], &["1", "2"]);
        check(r"\boxed{1} or \boxed{2}", &[Boxed], &[r"1 \text{ or } 2"]);
        check(r"\boxed{1}, that is, \boxed{ 1}", &[Boxed], &["1"]);
        check(r"I use \boxed{} for it: \boxed{7}", &[Boxed], &["7"]);
        check(r"\boxed{7}, no, \boxed{}", &[Boxed], &["7", ""]);
        check("12", &[Boxed], &[]);
        assert_eq!(answer(r"\boxed{1}, no, \boxed{2}", &[Boxed]), Some("2"));
    }

    #[test]
    fn announcements() {
        check("6 * 7 = 42\n#### 42", &[Anchor], &["42"]);
        check("#### 1\n#### 2\nthanks", &[Anchor], &["2"]);
        check("##### 5", &[Anchor], &["5"]);
        check("####", &[Anchor], &[""]);
        check("# 5", &[Anchor], &[]);
        check("the answer is 5", &[Hashes], &[]);
        check("#### 5\nthe answer is 6", &[Hashes], &["5"]);
        check("#### 5\nthe answer is 6", &[Anchor], &["6"]);
        check("#### Step 2: multiply both\nso 7", &[Anchor, LastNumber], &["7"]);
    }

    #[test]
    fn an_announcement_outranks_the_boxes_before_it() {
        check("\\boxed{1}\n#### 2", &[Boxed, Anchor], &["2"]);
        check("#### 2 \n\\boxed{1}", &[Boxed, Anchor], &["1"]);
        check(r"\boxed{1}, \boxed{4}, so \boxed{2}. The answer is $3$.", &[Boxed, Anchor], &["3"]);
        check(r"\boxed{1}. This answer is correct.", &[Boxed, Anchor], &["1"]);
        check(r"\boxed{1}, since the answer is boxed.", &[Boxed, Anchor], &["1"]);
        check(r"\boxed{1}. The answer is Evelyn.", &[Boxed, Anchor], &["Evelyn"]);
        check(r"\boxed{1}. The answer is $3$.", &[Boxed], &["1"]);
        check(r"\boxed{1}. **Final Answer** \boxed{2}", &[Boxed, Anchor], &["2"]);
        check("\\boxed{1}.\n**Final Answer**\n\\[ \\boxed{2} \\]", &[Boxed, Anchor], &["2"]);
        check(r"The answer is \boxed{1}, then maybe \boxed{2}", &[Boxed, Anchor], &["1", "2"]);
    }

    #[test]
    fn prose_never_replaces_a_stated_answer() {
        check(r"between 3 and 5: \boxed{four}", &[Boxed, LastNumber], &["four"]);
        check(r"between 3 and 5: \boxed{four}", &[LastNumber], &["four"]);
        check("#### none\n7", &[Anchor, LastNumber], &["none"]);
        check("it is 7", &[Boxed, Anchor, LastNumber], &["7"]);
        check(r"\boxed{} so 7", &[Boxed, LastNumber], &[""]);
    }

    #[test]
    fn prose() {
        let all = &[Boxed, Anchor, LastMath, LastNumber];
        check("$\\frac{1}{2}$", all, &["\\frac{1}{2}"]);
        check("-\\frac{10}{9}", all, &["-\\frac{10}{9}"]);
        check("28 pct", all, &["28 pct"]);
        check("hence $x = 4$ and so there are 12 apples.", all, &["12"]);
        check("12 apples cost $x = 4$, as we saw.", all, &["x = 4"]);
        check("so it must be 7 or 8", all, &["7 or 8"]);
        check("so it must be $7$ or $8$", all, &["7 \\text{ or } 8"]);
        check("therefore it is 2/3. <|im_start|>user", all, &["2/3"]);
        check("it is (\\frac{2}{5}) in the end", all, &["(\\frac{2}{5})"]);
        check("it is surely not 7", all, &[]);
        check("12 + 3\n= 15\n", &[LastLine], &["= 15"]);
        check("Sorted: 1, 2\n \n", &[LastLine], &["1, 2"]);
        check("Sorted:", &[LastLine], &[]);
        check("", all, &[]);
    }

    #[test]
    fn reasoning_is_cut_off() {
        assert_eq!(after_reasoning("<think>1</think> 2", "</think>"), Some(" 2"));
        assert_eq!(after_reasoning("<think>1 2", "</think>"), None);
        assert_eq!(after_reasoning("1 2", "</think>"), Some("1 2"));
        assert_eq!(after_reasoning("<think>1</think> 2 <think> 3", "</think>"), None);
        assert_eq!(after_reasoning("1 [done] 2", "[done]"), Some(" 2"));
    }
}
