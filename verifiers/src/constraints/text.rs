//! Words, blanks and capitals as the constraints count them.
//!
//! The published counts come from Python, whose classes of characters differ a little from Rust's: the four separators
//! U+001C to U+001F are white space there, and numerals such as `½` make words. Combining marks belong to their word, as
//! in nltk of today; that of 2023 cut a word of Hindi at each of them.

use std::sync::LazyLock;

use regex::Regex;

static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{L}\p{M}\p{N}_]+").expect("a valid expression"));

/// Whether a character is white space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Cuts white space off at both ends.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Whether there is nothing but white space.
pub(super) fn is_blank(text: &str) -> bool {
    strip(text).is_empty()
}

/// Returns the words of a text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    WORD.find_iter(text).map(|found| found.as_str())
}

/// Which capitals a text must be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// `LIKE THIS`.
    Capital,
    /// `like this`.
    Lower,
}

/// Whether every letter that has a case is of this one, and there is one.
pub(super) fn is_all(text: &str, case: Case) -> bool {
    let mut cased = text.chars().filter(|c| c.is_uppercase() || c.is_lowercase() || is_title(*c)).peekable();
    cased.peek().is_some()
        && cased.all(|c| match case {
            Case::Capital => c.is_uppercase(),
            Case::Lower => c.is_lowercase(),
        })
}

/// Whether a character is a digraph with only its first letter capital, such as `ǅ`.
fn is_title(c: char) -> bool {
    matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' | 'ᾈ'..='ᾏ' | 'ᾘ'..='ᾟ' | 'ᾨ'..='ᾯ' | 'ᾼ' | 'ῌ' | 'ῼ')
}

/// Counts the words in capitals, cut as a treebank cuts them.
///
/// A hyphenated word is one; `DON'T` is two, `DO` and `N'T`; brackets, quotes and most marks stand alone. The rules are
/// those of the Penn Treebank (Marcus et al. 1993) as far as they matter to capitals.
pub(super) fn count_capital_words(text: &str) -> usize {
    text.split(is_space).flat_map(|chunk| pieces(chunk)).map(count_in_piece).sum()
}

/// Cuts what stands between two blanks at the marks that are words of their own.
fn pieces(chunk: &str) -> Vec<&str> {
    let mut pieces = vec![];
    let mut start = 0;
    for (at, c) in chunk.char_indices() {
        let rest = &chunk[at..];
        let cuts = match c {
            ':' | ',' => rest[1..].chars().next().is_none_or(|next| !next.is_numeric()),
            '-' => rest.starts_with("--"),
            '.' => rest.starts_with("..") || chunk[..at].ends_with('.'),
            _ => "[](){}<>;@#$%&?!*\"`«»“”‘’„".contains(c),
        };
        if cuts {
            pieces.push(&chunk[start..at]);
            start = at + c.len_utf8();
        }
    }
    pieces.push(&chunk[start..]);
    pieces
}

/// Counts the words in capitals of a piece without marks: one, or two if it is a contraction.
fn count_in_piece(piece: &str) -> usize {
    let word = piece.trim_end_matches(['.', '\'']);
    let upper = |part: &str| usize::from(is_all(part, Case::Capital));
    let cut = contraction(word).unwrap_or(word.len());
    upper(&word[..cut]) + upper(&word[cut..])
}

/// Returns where a contraction is cut.
fn contraction(word: &str) -> Option<usize> {
    const ENDINGS: [&str; 7] = ["'S", "'M", "'D", "'LL", "'RE", "'VE", "N'T"];
    const WHOLE: [(&str, usize); 8] = [
        ("CANNOT", 3),
        ("GIMME", 3),
        ("GONNA", 3),
        ("GOTTA", 3),
        ("LEMME", 3),
        ("WANNA", 3),
        ("'TIS", 2),
        ("'TWAS", 2),
    ];
    let has_ending = |ending: &str| word.ends_with(ending) || word.ends_with(&ending.to_lowercase());
    let whole = WHOLE.iter().find(|(whole, _)| *whole == word).map(|(_, cut)| *cut);
    let ending = ENDINGS.iter().find(|ending| has_ending(ending)).map(|ending| word.len() - ending.len());
    whole.or(ending.filter(|cut| *cut > 0 && !word[..*cut].ends_with('\'')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, n_words: usize, n_capital: usize) {
        assert_eq!((words(text).count(), count_capital_words(text)), (n_words, n_capital), "{text:?}");
    }

    #[test]
    fn counts() {
        check("", 0, 0);
        check("one two-three it's", 5, 0);
        check("A GOOD dog", 3, 2);
        check("WELL-KNOWN", 2, 1);
        check("DON'T PANIC", 3, 3);
        check("I'M HERE, NOW", 4, 4);
        check("all CPU's and I'm", 6, 2);
        check("U.S. and NATO.", 4, 2);
        check("ONE,TWO 1,000 A1", 5, 3);
        check("(NASA)[ESA]", 2, 2);
        check("WAIT...WHAT", 2, 2);
        check("I CANNOT GO", 3, 4);
        check("123 4TH Ab", 3, 1);
        check("snake_case", 1, 0);
        check("हिन्दी भाषा ½", 3, 0);
    }

    #[test]
    fn capitals() {
        assert!(is_all("A-1 B!", Case::Capital) && !is_all("123", Case::Capital) && !is_all("Ab", Case::Capital));
        assert!(is_all("a b", Case::Lower) && !is_all("a B", Case::Lower) && !is_all("aǅ", Case::Lower));
    }

    #[test]
    fn blanks() {
        assert!(is_blank(" \n\u{1f}\u{a0}") && !is_blank("."));
        assert_eq!(strip("\u{2003} a \u{1c}"), "a");
    }
}
