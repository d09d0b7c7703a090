//! The 25 kinds of instructions, each with its arguments.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::language::Language;

/// One instruction to be followed.
#[derive(Debug)]
pub(super) enum Instruction {
    /// `keywords:existence`: each expression is found.
    Keywords(Vec<Regex>),
    /// `keywords:frequency`: how often an expression is found.
    KeywordFrequency(Regex, Bound),
    /// `keywords:forbidden_words`: none is found as a word.
    ForbiddenWords(Vec<Regex>),
    /// `keywords:letter_frequency`: how often a letter occurs, capital or not.
    LetterFrequency(char, Bound),
    /// `language:response_language`.
    ResponseLanguage(Language),
    /// `length_constraints:number_sentences`.
    Sentences(Bound),
    /// `length_constraints:number_words`.
    Words(Bound),
    /// `length_constraints:number_paragraphs`: parts between `***`.
    Paragraphs(usize),
    /// `length_constraints:nth_paragraph_first_word`: parts between empty lines, and how one of them begins.
    FirstWord {
        /// How many paragraphs there are.
        n_paragraphs: usize,
        /// Which one, counted from 1.
        nth: usize,
        /// Its first word, in lower case.
        word: String,
    },
    /// `detectable_content:number_placeholders`: at least so many `[…]`.
    Placeholders(usize),
    /// `detectable_content:postscript`: a line with this marker.
    Postscript(Regex),
    /// `detectable_format:number_bullet_lists`: exactly so many lines with a bullet.
    Bullets(usize),
    /// `detectable_format:constrained_response`: one of three fixed sentences.
    ConstrainedResponse,
    /// `detectable_format:number_highlighted_sections`: at least so many `*…*`.
    Highlights(usize),
    /// `detectable_format:multiple_sections`: at least so many headings with a number.
    Sections(Regex, usize),
    /// `detectable_format:json_format`.
    Json,
    /// `detectable_format:title`: a `<<title>>`.
    Title,
    /// `combination:two_responses`: two different ones with `******` between.
    TwoResponses,
    /// `combination:repeat_prompt`: begins with this, in lower case.
    RepeatPrompt(String),
    /// `startend:end_checker`: ends with this, in lower case.
    End(String),
    /// `startend:quotation`: in double quotation marks.
    Quotation,
    /// `change_case:capital_word_frequency`.
    CapitalWords(Bound),
    /// `change_case:english_capital`.
    EnglishCapital,
    /// `change_case:english_lowercase`.
    EnglishLowercase,
    /// `punctuation:no_comma`.
    NoComma,
}

/// How many there must be of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// Fewer than this.
    LessThan(usize),
    /// This many or more.
    AtLeast(usize),
}

impl Bound {
    pub(super) fn holds(self, n: usize) -> bool {
        match self {
            Self::LessThan(limit) => n < limit,
            Self::AtLeast(limit) => n >= limit,
        }
    }
}

/// The names of all kinds, in alphabetical order.
pub(super) const KINDS: [&str; 25] = [
    "change_case:capital_word_frequency",
    "change_case:english_capital",
    "change_case:english_lowercase",
    "combination:repeat_prompt",
    "combination:two_responses",
    "detectable_content:number_placeholders",
    "detectable_content:postscript",
    "detectable_format:constrained_response",
    "detectable_format:json_format",
    "detectable_format:multiple_sections",
    "detectable_format:number_bullet_lists",
    "detectable_format:number_highlighted_sections",
    "detectable_format:title",
    "keywords:existence",
    "keywords:forbidden_words",
    "keywords:frequency",
    "keywords:letter_frequency",
    "language:response_language",
    "length_constraints:nth_paragraph_first_word",
    "length_constraints:number_paragraphs",
    "length_constraints:number_sentences",
    "length_constraints:number_words",
    "punctuation:no_comma",
    "startend:end_checker",
    "startend:quotation",
];

impl Instruction {
    /// Makes an instruction of its kind and its arguments, of which those that are `null` count as absent.
    ///
    /// # Errors
    ///
    /// If the kind is unknown, or if an argument is missing, unknown or unusable. The published code draws a missing
    /// argument at random; no completion can be right by that.
    pub(super) fn new(kind: &str, arguments: &Map<String, Value>) -> Result<Self, String> {
        let given = arguments.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone()));
        let mut arguments = Arguments { rest: given.collect() };
        let refuse = |why: String| format!("instruction `{kind}`: {why}");
        let instruction = arguments.instruction(kind).map_err(refuse)?;
        match arguments.rest.keys().next() {
            Some(key) => Err(refuse(format!("there is no argument `{key}`"))),
            None => Ok(instruction),
        }
    }
}

/// The arguments of one instruction that have not been read yet.
struct Arguments {
    rest: Map<String, Value>,
}

impl Arguments {
    fn instruction(&mut self, kind: &str) -> Result<Instruction, String> {
        Ok(match kind {
            "change_case:capital_word_frequency" => {
                Instruction::CapitalWords(self.bound("capital_frequency", "capital_relation")?)
            }
            "change_case:english_capital" => Instruction::EnglishCapital,
            "change_case:english_lowercase" => Instruction::EnglishLowercase,
            "combination:repeat_prompt" => Instruction::RepeatPrompt(self.phrase("prompt_to_repeat")?.to_lowercase()),
            "combination:two_responses" => Instruction::TwoResponses,
            "detectable_content:number_placeholders" => Instruction::Placeholders(self.count("num_placeholders")?),
            "detectable_content:postscript" => self.postscript()?,
            "detectable_format:constrained_response" => Instruction::ConstrainedResponse,
            "detectable_format:json_format" => Instruction::Json,
            "detectable_format:multiple_sections" => self.sections()?,
            "detectable_format:number_bullet_lists" => Instruction::Bullets(self.count("num_bullets")?),
            "detectable_format:number_highlighted_sections" => Instruction::Highlights(self.count("num_highlights")?),
            "detectable_format:title" => Instruction::Title,
            "keywords:existence" => Instruction::Keywords(self.expressions("keywords", |word| word.to_owned())?),
            "keywords:forbidden_words" => {
                Instruction::ForbiddenWords(self.expressions("forbidden_words", |word| format!(r"\b{word}\b"))?)
            }
            "keywords:frequency" => {
                let keyword = expression(&self.phrase("keyword")?).map_err(|why| format!("`keyword`: {why}"))?;
                Instruction::KeywordFrequency(keyword, self.bound("frequency", "relation")?)
            }
            "keywords:letter_frequency" => {
                Instruction::LetterFrequency(self.letter()?, self.bound("let_frequency", "let_relation")?)
            }
            "language:response_language" => Instruction::ResponseLanguage(Language::of(&self.phrase("language")?)?),
            "length_constraints:nth_paragraph_first_word" => self.first_word()?,
            "length_constraints:number_paragraphs" => Instruction::Paragraphs(self.count("num_paragraphs")?),
            "length_constraints:number_sentences" => Instruction::Sentences(self.bound("num_sentences", "relation")?),
            "length_constraints:number_words" => Instruction::Words(self.bound("num_words", "relation")?),
            "punctuation:no_comma" => Instruction::NoComma,
            "startend:end_checker" => Instruction::End(self.phrase("end_phrase")?.to_lowercase()),
            "startend:quotation" => Instruction::Quotation,
            _ => return Err(format!("there is no such kind; known are {}", KINDS.join(", "))),
        })
    }

    fn value<T: for<'de> Deserialize<'de>>(&mut self, key: &str, expected: &str) -> Result<T, String> {
        let value = self.rest.remove(key).ok_or_else(|| format!("the argument `{key}` is missing"))?;
        T::deserialize(&value).map_err(|_| format!("`{key}` is {value}, but must be {expected}"))
    }

    /// A whole number that may be written as a float, as column formats do.
    fn count(&mut self, key: &str) -> Result<usize, String> {
        const EXPECTED: &str = "a whole number of at least 0";
        let number: f64 = self.value(key, EXPECTED)?;
        if number < 0.0 || number.fract() != 0.0 || number > f64::from(u32::MAX) {
            return Err(format!("`{key}` is {number}, but must be {EXPECTED}"));
        }
        Ok(number as usize)
    }

    fn bound(&mut self, count: &str, relation: &str) -> Result<Bound, String> {
        let n = self.count(count)?;
        match self.value::<String>(relation, "`less than` or `at least`")?.as_str() {
            "less than" => Ok(Bound::LessThan(n)),
            "at least" => Ok(Bound::AtLeast(n)),
            other => Err(format!("`{relation}` is `{other}`, but must be `less than` or `at least`")),
        }
    }

    fn phrase(&mut self, key: &str) -> Result<String, String> {
        let text: String = self.value(key, "a text")?;
        let phrase = super::text::strip(&text);
        if phrase.is_empty() { Err(format!("`{key}` is empty")) } else { Ok(phrase.to_owned()) }
    }

    fn letter(&mut self) -> Result<char, String> {
        let letter = self.phrase("letter")?.to_lowercase();
        let mut characters = letter.chars();
        match (characters.next(), characters.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(format!("`letter` is `{letter}`, but must be one character")),
        }
    }

    fn expressions(&mut self, key: &str, shape: impl Fn(&str) -> String) -> Result<Vec<Regex>, String> {
        let words: Vec<String> = self.value(key, "a list of texts")?;
        if words.is_empty() {
            return Err(format!("`{key}` is an empty list"));
        }
        words.iter().map(|word| expression(&shape(word)).map_err(|why| format!("`{key}`: {why}"))).collect()
    }

    fn postscript(&mut self) -> Result<Instruction, String> {
        let marker = self.phrase("postscript_marker")?;
        let pattern = match marker.as_str() {
            "P.P.S" => r"p\.[\s\x1c-\x1f]?p\.[\s\x1c-\x1f]?s".to_owned(),
            "P.S." => r"p\.[\s\x1c-\x1f]?s\.".to_owned(),
            other => other.to_lowercase(),
        };
        let marker = sensitive(&pattern).map_err(|why| format!("`postscript_marker`: {why}"))?;
        Ok(Instruction::Postscript(marker))
    }

    fn sections(&mut self) -> Result<Instruction, String> {
        let splitter = self.phrase("section_spliter")?;
        let heading = sensitive(&format!(r"[\s\x1c-\x1f]?{splitter}[\s\x1c-\x1f]?\d+[\s\x1c-\x1f]?"))
            .map_err(|why| format!("`section_spliter`: {why}"))?;
        Ok(Instruction::Sections(heading, self.count("num_sections")?))
    }

    fn first_word(&mut self) -> Result<Instruction, String> {
        let n_paragraphs = self.count("num_paragraphs")?;
        let nth = self.count("nth_paragraph")?;
        let word = self.phrase("first_word")?.to_lowercase();
        if nth == 0 || nth > n_paragraphs {
            return Err(format!(
                "`nth_paragraph` is {nth}, but must lie between 1 and `num_paragraphs`, {n_paragraphs}"
            ));
        }
        Ok(Instruction::FirstWord { n_paragraphs, nth, word })
    }
}

/// Compiled expressions take at most this much.
const MOST_BYTES: usize = 1 << 20;

fn expression(pattern: &str) -> Result<Regex, String> {
    compile(RegexBuilder::new(pattern).case_insensitive(true))
}

fn sensitive(pattern: &str) -> Result<Regex, String> {
    compile(RegexBuilder::new(pattern).multi_line(true))
}

fn compile(builder: &mut RegexBuilder) -> Result<Regex, String> {
    builder.size_limit(MOST_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("the regular expression takes more than {limit} bytes"),
        other => {
            let text = other.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("it is read as a regular expression without look-around and back-references: {why}")
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refuses(kind: &str, arguments: Value, expected: &str) {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let error = Instruction::new(kind, &arguments).unwrap_err();
        assert_eq!(error, format!("instruction `{kind}`: {expected}"));
    }

    #[test]
    fn refusals() {
        refuses("length_constraints:number_words", json!({"num_words": 3}), "the argument `relation` is missing");
        refuses(
            "length_constraints:number_words",
            json!({"num_words": 3, "relation": "at most"}),
            "`relation` is `at most`, but must be `less than` or `at least`",
        );
        refuses("length_constraints:number_paragraphs", json!({"num_paragraphs": null}), {
            "the argument `num_paragraphs` is missing"
        });
        refuses(
            "detectable_format:number_bullet_lists",
            json!({"num_bullets": -1}),
            "`num_bullets` is -1, but must be a whole number of at least 0",
        );
        refuses("punctuation:no_comma", json!({"relation": "at least"}), "there is no argument `relation`");
        refuses("keywords:existence", json!({"keywords": []}), "`keywords` is an empty list");
        refuses(
            "keywords:existence",
            json!({"keywords": ["(a"]}),
            "`keywords`: it is read as a regular expression without look-around and back-references: unclosed group",
        );
        refuses("keywords:letter_frequency", json!({"letter": "ab"}), "`letter` is `ab`, but must be one character");
        refuses(
            "length_constraints:nth_paragraph_first_word",
            json!({"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "x"}),
            "`nth_paragraph` is 3, but must lie between 1 and `num_paragraphs`, 2",
        );
        let error = Instruction::new("no:such", &Map::new()).unwrap_err();
        assert!(error.starts_with("instruction `no:such`: there is no such kind; known are change_case:"), "{error}");
    }

    #[test]
    fn nulls_are_absent_and_zeros_are_not() {
        let arguments = json!({"num_placeholders": 0.0, "relation": null});
        let made = Instruction::new("detectable_content:number_placeholders", arguments.as_object().unwrap());
        assert!(matches!(made, Ok(Instruction::Placeholders(0))), "{made:?}");
    }
}
