//! Whether a text follows an instruction.

use std::sync::LazyLock;

use regex::Regex;
use serde::de::IgnoredAny;

use super::instruction::Instruction;
use super::language::ENGLISH;
use super::sentences;
use super::text::{Case, count_capital_words, is_all, is_blank, is_space, strip, words};

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a valid expression"));
    };
}

pattern!(PLACEHOLDER, r"\[.*?\]");
pattern!(STAR_BULLET, r"(?m)^[\s\x1c-\x1f]*\*[^*].*$");
pattern!(DASH_BULLET, r"(?m)^[\s\x1c-\x1f]*-.*$");
pattern!(HIGHLIGHT, r"\*[^\n*]*\*");
pattern!(DOUBLE_HIGHLIGHT, r"\*\*[^\n*]*\*\*");
pattern!(DIVIDER, r"[\s\x1c-\x1f]?\*\*\*[\s\x1c-\x1f]?");
pattern!(TITLE, r"<<[^\n]+>>");

/// The sentences of which a constrained response must contain one.
const RESPONSES: [&str; 3] = ["My answer is yes.", "My answer is no.", "My answer is maybe."];

impl Instruction {
    /// Whether a text that is not blank follows the instruction.
    pub(super) fn is_followed_by(&self, text: &str) -> bool {
        match self {
            Self::Keywords(keywords) => keywords.iter().all(|keyword| keyword.is_match(text)),
            Self::KeywordFrequency(keyword, bound) => bound.holds(keyword.find_iter(text).count()),
            Self::ForbiddenWords(words) => !words.iter().any(|word| word.is_match(text)),
            Self::LetterFrequency(letter, bound) => {
                bound.holds(text.to_lowercase().chars().filter(|c| c == letter).count())
            }
            Self::ResponseLanguage(language) => language.is_of(text),
            Self::Sentences(bound) => bound.holds(sentences::count(text)),
            Self::Words(bound) => bound.holds(words(text).count()),
            Self::Paragraphs(n) => count_paragraphs(text) == Some(*n),
            Self::FirstWord { n_paragraphs, nth, word } => first_word(text, *n_paragraphs, *nth).as_ref() == Some(word),
            Self::Placeholders(n) => PLACEHOLDER.find_iter(text).count() >= *n,
            Self::Postscript(marker) => marker.is_match(&text.to_lowercase()),
            Self::Bullets(n) => STAR_BULLET.find_iter(text).count() + DASH_BULLET.find_iter(text).count() == *n,
            Self::ConstrainedResponse => RESPONSES.iter().any(|response| text.contains(response)),
            Self::Highlights(n) => count_highlights(text) >= *n,
            Self::Sections(heading, n) => heading.find_iter(text).count() >= *n,
            Self::Json => is_json(text),
            Self::Title => TITLE
                .find_iter(text)
                .any(|title| !is_blank(title.as_str().trim_start_matches('<').trim_end_matches('>'))),
            Self::TwoResponses => are_two_responses(text),
            Self::RepeatPrompt(prompt) => strip(text).to_lowercase().starts_with(prompt),
            Self::End(phrase) => strip(text).trim_matches('"').to_lowercase().ends_with(phrase),
            Self::Quotation => strip(text).len() > 1 && strip(text).starts_with('"') && strip(text).ends_with('"'),
            Self::CapitalWords(bound) => bound.holds(count_capital_words(text)),
            Self::EnglishCapital => is_all(text, Case::Capital) && ENGLISH.is_of(text),
            Self::EnglishLowercase => is_all(text, Case::Lower) && ENGLISH.is_of(text),
            Self::NoComma => !text.contains(','),
        }
    }
}

/// Counts the paragraphs between `***`; none if one in the middle is empty.
fn count_paragraphs(text: &str) -> Option<usize> {
    count_parts(&DIVIDER.split(text).collect::<Vec<_>>())
}

/// Counts the parts that are not blank; none if a blank one stands between others.
fn count_parts(parts: &[&str]) -> Option<usize> {
    let blank: Vec<usize> = (0..parts.len()).filter(|&i| is_blank(parts[i])).collect();
    let at_an_end = |i: &usize| *i == 0 || *i == parts.len() - 1;
    blank.iter().all(at_an_end).then(|| parts.len() - blank.len())
}

/// Returns the first word of the n-th part between empty lines, in lower case, if the number of parts is right.
///
/// Blank parts do not count, but they do when the n-th is looked up, as in the published code.
fn first_word(text: &str, n_paragraphs: usize, nth: usize) -> Option<String> {
    let paragraphs: Vec<&str> = text.split("\n\n").collect();
    if paragraphs.iter().filter(|paragraph| !is_blank(paragraph)).count() != n_paragraphs {
        return None;
    }
    let word = strip(paragraphs.get(nth - 1)?).split(is_space).next()?;
    let word = word.trim_start_matches('\'').trim_start_matches('"');
    let end = word.find(['.', ',', '?', '!', '\'', '"']).unwrap_or(word.len());
    Some(word[..end].to_lowercase())
}

/// Counts `*…*` and `**…**` with something between.
fn count_highlights(text: &str) -> usize {
    let single = HIGHLIGHT.find_iter(text).filter(|found| !is_blank(found.as_str().trim_matches('*'))).count();
    let double = DOUBLE_HIGHLIGHT.find_iter(text).filter(|found| {
        let inner = &found.as_str()[2..found.as_str().len() - 2];
        !is_blank(inner)
    });
    single + double.count()
}

/// Whether a text is JSON, with or without a fence around it.
fn is_json(text: &str) -> bool {
    let mut inner = strip(text);
    for fence in ["```json", "```Json", "```JSON", "```"] {
        inner = inner.strip_prefix(fence).unwrap_or(inner);
    }
    serde_json::from_str::<IgnoredAny>(strip(inner.strip_suffix("```").unwrap_or(inner))).is_ok()
}

fn are_two_responses(text: &str) -> bool {
    let parts: Vec<&str> = text.split("******").collect();
    let responses: Vec<&str> = parts.iter().map(|part| strip(part)).filter(|part| !part.is_empty()).collect();
    count_parts(&parts) == Some(2) && responses[0] != responses[1]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(kind: &str, arguments: &Value, followed: &[&str], broken: &[&str]) {
        let instruction = Instruction::new(kind, arguments.as_object().unwrap()).unwrap();
        for text in followed {
            assert!(instruction.is_followed_by(text), "{kind} {arguments} is followed by {text:?}");
        }
        for text in broken {
            assert!(!instruction.is_followed_by(text), "{kind} {arguments} is broken by {text:?}");
        }
    }

    #[test]
    fn keywords() {
        check("keywords:existence", &json!({"keywords": ["cat", "d.g"]}), &["Concatenate a DOG", "cat dig"], &["cat"]);
        let at_least = json!({"keyword": "an", "frequency": 2, "relation": "at least"});
        check("keywords:frequency", &at_least, &["banana", "an AN"], &["an", "n"]);
        let less = json!({"keyword": "an", "frequency": 2, "relation": "less than"});
        check("keywords:frequency", &less, &["an", "n"], &["banana"]);
        check("keywords:forbidden_words", &json!({"forbidden_words": ["cat"]}), &["cats", "concat"], &["a Cat."]);
        let letters = json!({"letter": "E", "let_frequency": 3, "let_relation": "at least"});
        check("keywords:letter_frequency", &letters, &["EeE", "even tree"], &["tree"]);
        let marks = json!({"letter": "!", "let_frequency": 2, "let_relation": "less than"});
        check("keywords:letter_frequency", &marks, &["Oh!"], &["Oh!!"]);
    }

    #[test]
    fn lengths() {
        let words = json!({"num_words": 3, "relation": "at least"});
        check("length_constraints:number_words", &words, &["a b c", "it's ok"], &["a b"]);
        let none = json!({"num_words": 0, "relation": "less than"});
        check("length_constraints:number_words", &none, &[], &["a", "."]);
        let sentences = json!({"num_sentences": 2, "relation": "less than"});
        check("length_constraints:number_sentences", &sentences, &["One only."], &["One. Two."]);
        let paragraphs = json!({"num_paragraphs": 2});
        check(
            "length_constraints:number_paragraphs",
            &paragraphs,
            &["a\n***\nb", "***a***b***", "a\n\nb *** c"],
            &["a\n\nb", "a *** *** b", "a", "a***b***c"],
        );
        let first = json!({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"});
        check(
            "length_constraints:nth_paragraph_first_word",
            &first,
            &["a\n\nthen, b", "a\n\n\"Then\" b", "a\n\n\nTHEN"],
            &["a\n\nb", "then", "a\n\nthenb", "a\n\n\n\nthen", "a\n\nthen\n\nc"],
        );
    }

    #[test]
    fn content_and_format() {
        let two = json!({"num_placeholders": 2});
        check("detectable_content:number_placeholders", &two, &["[a] [b]", "[][]"], &["[a]", "[a\n] [b]"]);
        check(
            "detectable_content:postscript",
            &json!({"postscript_marker": "P.S."}),
            &["x\nP.S. y", "p. s. y"],
            &["x\nPS y", "P.P.S y"],
        );
        check("detectable_content:postscript", &json!({"postscript_marker": "P.P.S"}), &["P.P.S", "p. p.s"], &["P.S."]);
        check(
            "detectable_format:number_bullet_lists",
            &json!({"num_bullets": 2}),
            &["* a\n* b", "- a\n  * b", "-\n--"],
            &["* a", "** a\n** b", "a * b\nc - d"],
        );
        check(
            "detectable_format:constrained_response",
            &json!({}),
            &["So: My answer is no. Yes."],
            &["my answer is no."],
        );
        let highlights = json!({"num_highlights": 2});
        check(
            "detectable_format:number_highlighted_sections",
            &highlights,
            &["*a* *b*", "*a* b **c**"],
            &["*a*", "**a**", "** **"],
        );
        let sections = json!({"section_spliter": "Section", "num_sections": 2});
        check(
            "detectable_format:multiple_sections",
            &sections,
            &["Section 1\na\nSection2 b"],
            &["Section 1", "SECTION 1 SECTION 2", "Section A Section B"],
        );
        check(
            "detectable_format:json_format",
            &json!({}),
            &["{\"a\": [1]}", "```json\n{}\n```", "``` 5 ```", "{\"a\":1,\"a\":2}"],
            &["{'a': 1}", "{} x", "```json\n```", "NaN"],
        );
        check("detectable_format:title", &json!({}), &["<<a>>", "x <<<a>>> y"], &["<< >>", "<<>>", "<<a\nb>>", "<a>"]);
    }

    #[test]
    fn combinations_starts_and_ends() {
        check(
            "combination:two_responses",
            &json!({}),
            &["a******b", "******a******b"],
            &["a******a ", "a******b******c", "a", "a************b"],
        );
        check("combination:repeat_prompt", &json!({"prompt_to_repeat": " Say Hi "}), &[" say hi. Hi"], &["Hi. Say hi"]);
        check(
            "startend:end_checker",
            &json!({"end_phrase": "The end."}),
            &["x the END.", "\"x The end.\" "],
            &["The end. x"],
        );
        check("startend:quotation", &json!({}), &[" \"a\" ", "\"\""], &["\"", "\"a", "'a'", "“a”"]);
    }

    #[test]
    fn cases_language_and_commas() {
        let capitals = json!({"capital_frequency": 2, "capital_relation": "at least"});
        check("change_case:capital_word_frequency", &capitals, &["NASA and ESA", "I'M"], &["NASA", "Nasa Esa"]);
        check(
            "change_case:english_capital",
            &json!({}),
            &["THIS IS THE ANSWER TO THE QUESTION."],
            &["This is the answer.", "DAS IST DIE ANTWORT AUF DIE FRAGE.", "1"],
        );
        check(
            "change_case:english_lowercase",
            &json!({}),
            &["this is the answer to the question."],
            &["This is the answer.", "das ist die antwort auf die frage.", "1"],
        );
        check(
            "language:response_language",
            &json!({"language": "de"}),
            &["Das ist die Antwort auf die Frage."],
            &["This is the answer.", "42"],
        );
        check("punctuation:no_comma", &json!({}), &["a; b"], &["a, b"]);
    }
}
