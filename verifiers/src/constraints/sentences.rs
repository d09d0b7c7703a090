//! Counting sentences.
//!
//! The published counts come from Punkt (Kiss and Strunk 2006, *Unsupervised Multilingual Sentence Boundary Detection*)
//! with parameters trained on newspapers. Here are its rules with short lists in place of the training: a sentence ends
//! at the last `.`, `?` or `!` of a word, unless the full stop belongs to an abbreviation, an initial, an ordinal or an
//! ellipsis and what follows does not look like a beginning. Line breaks alone end nothing, and `1.` before a capital is
//! a sentence, as it is to Punkt.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::text::is_space;

/// Abbreviations that keep their full stop, without it.
static ABBREVIATIONS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "a.d a.m adm ariz aug ave bros c calif cie co col colo conn corp d d.c dec dr e f feb fla fri ft g ga gen h \
    ill inc jan jr k l lt ltd m maj messrs mich minn mr mrs ms n n.y nov oct p p.m pa ph.d prof r rep s sen sep \
    sept sr st t tenn u.k u.n u.s u.s.a v va vs w wash wed wis yr"
        .split_whitespace()
        .collect()
});

/// Words that are written in lower case unless they begin a sentence.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "a about after all also although an and another any are as at be because been before both but by can could \
    despite do each even every finally first for from get had has have he here her his how however if in indeed \
    instead is it its just last let like make many maybe meanwhile more moreover most my never next no nor not \
    now of on once one only or other our she similarly since so some soon still such that the their then there \
    therefore these they this those though thus to today two under until use was we well were what when where \
    which while who why with yet you"
        .split_whitespace()
        .collect()
});

/// Counts the sentences of a text.
pub(super) fn count(text: &str) -> usize {
    let mut n_sentences = 0;
    let mut start = 0;
    for end in boundaries(text) {
        n_sentences += usize::from(!without_closing(&text[start..end]).is_empty());
        start = end;
    }
    n_sentences + usize::from(!without_closing(&text[start..]).is_empty())
}

/// Drops closing marks that stand alone at the beginning of a piece; they belong to the sentence before.
fn without_closing(piece: &str) -> &str {
    let piece = piece.trim_matches(is_space);
    let rest = piece.trim_start_matches(['"', '\'', ')', ']', '}']);
    if rest.len() < piece.len() && (rest.is_empty() || rest.starts_with(is_space) || rest.starts_with("--")) {
        rest.trim_start_matches(is_space)
    } else {
        piece
    }
}

/// Returns where sentences end, except for the last.
fn boundaries(text: &str) -> Vec<usize> {
    let mut words = text.split(is_space).filter(|word| !word.is_empty()).peekable();
    let mut found = vec![];
    while let Some(word) = words.next() {
        let following = words.peek().copied();
        if let Some(end) = end_in(word, following) {
            found.push(word.as_ptr() as usize - text.as_ptr() as usize + end);
        }
    }
    found
}

/// Returns where in a word, followed by another, a sentence ends.
fn end_in(word: &str, following: Option<&str>) -> Option<usize> {
    const AFTER_END: &str = "?!)\";}]*:@'({[";
    let candidate = word.char_indices().rev().filter(|(_, c)| ".?!".contains(*c)).find_map(|(at, c)| {
        let after = word[at + 1..].chars().next();
        match after {
            Some(mark) => AFTER_END.contains(mark).then_some((at, c, None)),
            None => following.map(|next| (at, c, Some(next))),
        }
    });
    let (at, mark, next) = candidate?;
    let ends = mark != '.' || full_stop_ends(&word[..at], next);
    ends.then_some(at + 1)
}

/// Whether a full stop after a word ends the sentence; `next` is the word behind it, unless a mark stands there.
fn full_stop_ends(before: &str, next: Option<&str>) -> bool {
    let word =
        before.trim_start_matches(['(', '"', '`', '{', '[', ':', ';', '&', '#', '*', '@', ')', '}', ']', '-', ',']);
    let word = word.to_lowercase();
    let mut letters = word.chars();
    let first = letters.next();
    let begins = next.is_some_and(looks_like_a_beginning);
    let lower = next.is_some_and(|next| next.starts_with(char::is_lowercase));
    let is_initial = first.is_some_and(char::is_alphabetic) && letters.next().is_none();
    if before.ends_with('.') {
        begins // an ellipsis
    } else if ABBREVIATIONS.contains(word.rsplit('-').next().unwrap_or_default()) {
        begins && !is_initial
    } else if first.is_some_and(|c| c.is_ascii_digit()) && word.chars().all(|c| c.is_ascii_digit() || ",.-".contains(c))
    {
        !lower
    } else if is_initial {
        next.is_none() || begins || !(lower || next.is_some_and(|next| next.starts_with(char::is_uppercase)))
    } else {
        true
    }
}

/// Whether a word is capital here though it is not by nature.
fn looks_like_a_beginning(word: &str) -> bool {
    let bare = word.trim_end_matches([',', '.', ';', ':', '!', '?']);
    word.starts_with(char::is_uppercase) && COMMON.contains(bare.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: usize) {
        assert_eq!(count(text), expected, "{text:?}");
    }

    #[test]
    fn ends() {
        check("", 0);
        check(" \n ", 0);
        check("No end", 1);
        check("One. Two! Three? Four", 4);
        check("A title\n\nA sentence.\nAnother one.", 2);
        check("What?! No.", 2);
        check("Pi is 3.14 exactly. Or not.", 2);
        check("one. two", 2);
    }

    #[test]
    fn abbreviations_initials_and_ordinals() {
        check("Dr. Smith met J. Doe in the U.S. Senate.", 1);
        check("He lives in the U.S. The house is small.", 2);
        check("At 5 p.m. Then he left.", 2);
        check("1. Apples are good. 2. pears are too.", 3);
        check("Plan B. The next.", 2);
        check("Wait... The end. Hmm... no", 3);
    }

    #[test]
    fn closing_marks() {
        check("He said \"Stop!\" and left. (Really?) Yes.", 4);
        check("\"A.\" B.", 2);
        check("(Fine.) And so on.", 2);
    }
}
