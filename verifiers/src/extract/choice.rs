//! The letter of a multiple-choice answer.

/// Returns the last *anchored* letter among the first `n_choices` of the alphabet, in upper case.
///
/// A letter is anchored if it stands where a choice is stated: alone or in a box, in parentheses, in bold type, behind
/// "answer is", "option" or "choice", or at the head of the text before a full stop. "A" is also an article, and a
/// letter that is negated ("not A") or one of several ("A or B", "ABCD") states nothing.
///
/// # Examples
///
/// ```
/// # use rlvr_verifiers::extract::choice_letter;
/// assert_eq!(choice_letter("The answer is (C).", 4), Some('C'));
/// assert_eq!(choice_letter("\\boxed{\\text{(B)}}", 4), Some('B'));
/// assert_eq!(choice_letter("A number is needed", 4), None);
/// assert_eq!(choice_letter("It is A or B", 4), None);
/// ```
pub fn choice_letter(text: &str, n_choices: usize) -> Option<char> {
    let scan = Scan { n_choices: n_choices.min(26) };
    let boxes = super::boxes::scan(text);
    let groups = super::boxes::groups(text, &boxes);
    let from = groups.last().map_or(0, |group| group.outer.end);
    if let Some(announced) = super::sentence::last(text, from)
        && let Some(found) = scan.stated(&announced.text)
    {
        return found.letter();
    }
    if let Some(group) = groups.last() {
        let differ = groups.iter().any(|other| !super::boxes::is_same(&other.text, &group.text));
        return if differ { None } else { scan.stated(&group.text).and_then(Choice::letter) };
    }
    scan.whole(text).or_else(|| scan.head(text)).or_else(|| scan.last_anchored(text)).and_then(Choice::letter)
}

/// What a place that states a choice states.
enum Choice {
    Letter(char),
    /// Several letters, or one that is taken back.
    Undecided,
}

impl Choice {
    fn letter(self) -> Option<char> {
        match self {
            Self::Letter(letter) => Some(letter),
            Self::Undecided => None,
        }
    }
}

struct Scan {
    n_choices: usize,
}

impl Scan {
    /// Reads what an answer states: ``Undecided` if that is several letters or a negated one.
    fn stated(&self, answer: &str) -> Option<Choice> {
        let plain = undressed(answer);
        let first = self.letters(&plain).next()?;
        if first.at > 0 && !is_lead(&plain[..first.at]) {
            return None;
        }
        let rest = &plain[first.at + 1..];
        if first.is_negated(&plain) || offers_another(rest) {
            return Some(Choice::Undecided);
        }
        // `C Cecile`, `(C) 12 apples` and `C, because …` state C; `A number` does not.
        let is_marked =
            first.is_marked || rest.trim_start().is_empty() || rest.starts_with([',', '.', ':', ';', '-', ')']);
        (is_marked || first.letter != 'A' && first.letter != 'I').then_some(Choice::Letter(first.letter))
    }

    /// Reads a text that is a letter and nothing else.
    fn whole(&self, text: &str) -> Option<Choice> {
        let plain = undressed(text);
        let letter = plain.trim_matches(['.', ':', ' ']).trim_matches(['(', ')', '[', ']']);
        let mut chars = letter.chars();
        let only = chars.next().filter(|_| chars.next().is_none())?;
        self.is_choice(only.to_ascii_uppercase()).then_some(Choice::Letter(only.to_ascii_uppercase()))
    }

    /// Reads a text that opens with its letter: "D. It can't be A".
    fn head(&self, text: &str) -> Option<Choice> {
        let plain = undressed(text);
        let first = self.letters(&plain).next().filter(|first| first.at == 0)?;
        let rest = &plain[first.at + 1..];
        let opens = first.is_marked
            || rest.starts_with(['.', ')', ':', ',', '。', '，', '、', '：', '\n'])
            || rest.starts_with(|c: char| c >= '\u{2e80}');
        let another = offers_another(rest);
        (opens && !another).then_some(Choice::Letter(first.letter))
    }

    /// Finds the last letter behind a word that announces one, or in marks that set it apart.
    fn last_anchored(&self, text: &str) -> Option<Choice> {
        const MAX_LETTERS: usize = 256;
        let letters: Vec<Letter> = self.letters(text).collect();
        let recent = &letters[letters.len().saturating_sub(MAX_LETTERS)..];
        let last = recent.iter().rev().find(|letter| {
            let before = text[..letter.at].trim_end_matches(['(', '*', ' ', '[', '"', '$']);
            !letter.is_negated(text) && (letter.is_marked || ANNOUNCING.iter().any(|word| ends_with_word(before, word)))
        })?;
        let rest = &text[last.at + 1..];
        let is_article = last.letter == 'A' && !last.is_marked && rest.trim_start().starts_with(char::is_alphabetic);
        if is_article {
            return None;
        }
        let joined_before = recent.iter().any(|other| other.at < last.at && is_joint(&text[other.at + 1..last.at]));
        let joined = joined_before || offers_another(rest);
        Some(if joined { Choice::Undecided } else { Choice::Letter(last.letter) })
    }

    /// The letters that stand alone, in order.
    fn letters<'t>(&self, text: &'t str) -> impl Iterator<Item = Letter> + use<'t, '_> {
        let bytes = text.as_bytes();
        let is_word = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        bytes.iter().enumerate().filter(|(_, b)| self.is_choice(char::from(**b))).filter_map(move |(at, &byte)| {
            let before = at.checked_sub(1);
            let alone = !is_word(before) && !is_word(Some(at + 1)) && bytes.get(at + 1) != Some(&b'\'');
            let is_marked = matches!(
                (before.map(|b| bytes[b]), bytes.get(at + 1)),
                (Some(b'('), Some(b')')) | (Some(b'*'), Some(b'*' | b'.' | b':' | b')')) | (Some(b'['), Some(b']'))
            );
            // `\A` is a command and no letter.
            (alone && before.map(|b| bytes[b]) != Some(b'\\')).then_some(Letter {
                at,
                letter: char::from(byte),
                is_marked,
            })
        })
    }

    fn is_choice(&self, letter: char) -> bool {
        letter.is_ascii_uppercase() && (letter as usize - 'A' as usize) < self.n_choices
    }
}

/// A letter that stands alone.
#[derive(Clone, Copy, Debug)]
struct Letter {
    at: usize,
    letter: char,
    /// In parentheses, brackets or bold type.
    is_marked: bool,
}

impl Letter {
    fn is_negated(&self, text: &str) -> bool {
        let before = text[..self.at].trim_end_matches(['(', '*', ' ', '[', '"', '$']);
        ["not", "n't", "non", "不是", "nicht", "be", "neither", "nor", "rule out", "eliminate"]
            .iter()
            .any(|word| before.ends_with(word) && (*word != "be" || is_denied(before)))
    }
}

fn is_denied(before: &str) -> bool {
    ["can't be", "cannot be", "not be", "couldn't be", "won't be"].iter().any(|words| before.ends_with(words))
}

/// Words before a letter that announce it.
const ANNOUNCING: [&str; 18] = [
    "answer is",
    "option",
    "choice",
    "choose",
    "pick",
    "select",
    "it's",
    "it is",
    "answer:",
    "Answer:",
    "Option",
    "Choice",
    "correct is",
    "think is",
    "option is",
    "choice is",
    "letter is",
    "therefore",
];

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric()))
}

/// Whether a text before the first letter is what people put there: nothing, an opening mark, "option".
fn is_lead(before: &str) -> bool {
    let words = before.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    ["", "option", "choice", "letter", "for sure", "definitely", "clearly", "the option", "not", "non"]
        .contains(&words.as_str())
}

/// Whether the first letter goes on into another: "A or B", "A, B", "A and (B)", "A/B".
fn offers_another(rest: &str) -> bool {
    let joint = rest.trim_start_matches([')', ']', '*', '.', ' ', '}']);
    let tail = ["or", "and", "/", ",", "&", "|", "oder", "ou", "、"].iter().find_map(|word| joint.strip_prefix(word));
    tail.is_some_and(|tail| {
        let tail = tail.trim_start_matches(['(', '[', '*', ' ', '{']).trim_start_matches("or ").trim_start();
        let mut chars = tail.chars();
        chars.next().is_some_and(|c| c.is_ascii_uppercase()) && !chars.next().is_some_and(char::is_alphanumeric)
    })
}

fn is_joint(between: &str) -> bool {
    let between = between.trim_matches(|c: char| "()[]*,. ".contains(c));
    between.len() < 8 && ["or", "and", "/", "&", "|", "or maybe"].contains(&between)
}

/// Removes `\text{…}`, dollar signs and the like around a letter.
fn undressed(text: &str) -> String {
    let mut plain = text.trim().to_owned();
    for command in
        ["\\textbf{", "\\textit{", "\\text{", "\\mathrm{", "\\mathbf{", "\\mbox{", "\\rm{", "\\rm ", "$", "{", "}"]
    {
        plain = plain.replace(command, "");
    }
    plain.trim().trim_matches(['*', '"', '\'', '`', '_']).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<char>) {
        assert_eq!(choice_letter(text, 4), expected, "{text:?}");
    }

    #[test]
    fn stated() {
        check("The answer is (C).", Some('C'));
        check("\\boxed{C}", Some('C'));
        check("\\boxed{\\text{(B)}}", Some('B'));
        check("\\boxed{\\textbf{(D) } 12}", Some('D'));
        check("**Answer: B**", Some('B'));
        check("Answer: B) 12 apples", Some('B'));
        check("D", Some('D'));
        check("(D)", Some('D'));
        check("d", Some('D'));
        check("D. It can't be A or B", Some('D'));
        check("So I think it's B", Some('B'));
        check("It's not A because that is odd, therefore I think it's B.", Some('B'));
        check("The answer is for sure D, it can't be A or B", Some('D'));
        check("The correct option is C.", None.or(Some('C')));
        check("B。不是 A", Some('B'));
        check("B不是 A", Some('B'));
        check("la réponse est C non A", Some('C'));
        check("First (A) looked right. Hence **B** holds.", Some('B'));
    }

    #[test]
    fn not_stated() {
        check("A number is needed", None);
        check("ABCD", None);
        check("\\boxed{ABCD}", None);
        check("A or B", None);
        check("The answer is A or B.", None);
        check("The answer is A, B.", None);
        check("\\boxed{A \\text{ or } B}", None);
        check("\\boxed{A} and then \\boxed{B}", None);
        check("The answer is not A.", None);
        check("The answer is E.", None);
        check("The answer is A number.", None);
        check("", None);
    }

    #[test]
    fn a_later_sentence_outranks_the_box() {
        check("\\boxed{A}. The final answer is B.", Some('B'));
        check("\\boxed{A}. This answer is consistent.", Some('A'));
    }
}
