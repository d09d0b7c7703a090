//! Letters of words: how often one occurs, and words read backwards.
//!
//! Models see tokens, not letters, so both are harder than they look and cheap to check. Words are made of syllables
//! and mean nothing; there are as many as wanted.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integer};
use crate::random::Random;

/// Count a letter in a few words.
#[derive(Debug)]
pub struct LetterCounting;

/// Spell words backwards.
#[derive(Debug)]
pub struct SpellBackward;

/// The knobs of [`LetterCounting`] and [`SpellBackward`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many words.
    n_words: i64,
    /// Fewest syllables of a word; a syllable has two or three letters.
    min_syllables: i64,
    /// Most syllables of a word.
    max_syllables: i64,
}

/// A text and the letter to count in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountSpec {
    text: String,
    letter: char,
}

/// The text to be spelt backwards.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackwardSpec {
    text: String,
}

impl Params {
    fn of(level: u32) -> Self {
        let level = i64::from(level.max(1));
        Self { n_words: (1 + level / 2).min(20), min_syllables: 2, max_syllables: (2 + level).min(6) }
    }

    fn check(&self) -> Result<(), String> {
        let Self { n_words, min_syllables, max_syllables } = self;
        if !(1..=100).contains(n_words) {
            return Err(format!("`n_words` is {n_words}, but must lie between 1 and 100"));
        }
        if *min_syllables < 1 || max_syllables < min_syllables || *max_syllables > 20 {
            return Err(format!(
                "`min_syllables` is {min_syllables} and `max_syllables` {max_syllables}, but they must rise from 1 to 20"
            ));
        }
        Ok(())
    }

    fn draw(&self, random: &mut Random) -> String {
        let word = |random: &mut Random| -> String {
            let n_syllables = random.range(self.min_syllables, self.max_syllables);
            (0..n_syllables).map(|_| syllable(random)).collect()
        };
        (0..self.n_words).map(|_| word(random)).collect::<Vec<_>>().join(" ")
    }
}

fn syllable(random: &mut Random) -> String {
    const BEFORE: [&str; 20] =
        ["b", "br", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "w", "z", "k"];
    const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
    format!("{}{}", random.pick(&BEFORE), random.pick(&VOWELS))
}

impl Puzzle for LetterCounting {
    const NAME: &'static str = "letter_counting";
    type Params = Params;
    type Spec = CountSpec;

    fn params(level: u32) -> Params {
        Params::of(level)
    }

    fn check(params: &Params) -> Result<(), String> {
        params.check()
    }

    /// Draws a letter that occurs three times out of four, or else any.
    fn draw(params: &Params, random: &mut Random) -> Instance<CountSpec> {
        let text = params.draw(random);
        let letters: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
        let anything = random.below(4) == 0;
        let letter = if anything { (b'a' + random.below(26) as u8) as char } else { *random.pick(&letters) };
        let answer = count(&text, letter).to_string();
        Instance {
            prompt: format!(
                "How many times does the letter \"{letter}\" occur in \"{text}\"? Answer with the number alone."
            ),
            problem: format!("{letter} in {text}"),
            solution: answer.clone(),
            identity: format!("{letter} {text}"),
            answer,
            spec: CountSpec { text, letter },
        }
    }

    fn judge(spec: &CountSpec, answer: &str) -> Judgement {
        integer(answer).map_or(Judgement::Unreadable, |n| (n == count(&spec.text, spec.letter)).into())
    }
}

fn count(text: &str, letter: char) -> i64 {
    text.chars().filter(|c| *c == letter).count() as i64
}

impl Puzzle for SpellBackward {
    const NAME: &'static str = "spell_backward";
    type Params = Params;
    type Spec = BackwardSpec;

    fn params(level: u32) -> Params {
        Params::of(level)
    }

    fn check(params: &Params) -> Result<(), String> {
        params.check()
    }

    fn draw(params: &Params, random: &mut Random) -> Instance<BackwardSpec> {
        let text = params.draw(random);
        let answer: String = text.chars().rev().collect();
        Instance {
            prompt: format!(
                "Spell \"{text}\" backwards, letter by letter from the last to the first. Answer with the result alone."
            ),
            identity: text.clone(),
            problem: text.clone(),
            solution: answer.clone(),
            answer,
            spec: BackwardSpec { text },
        }
    }

    fn judge(spec: &BackwardSpec, answer: &str) -> Judgement {
        let stated = answer.trim().trim_matches(['"', '\'', '.', '`', '*']).to_lowercase();
        if stated.is_empty() || !stated.chars().all(|c| c.is_ascii_lowercase() || c == ' ') {
            return Judgement::Unreadable;
        }
        stated.chars().eq(spec.text.chars().rev()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        #[track_caller]
        fn check(answer: &str, expected: Judgement) {
            let spec = CountSpec { text: "strawberry".to_owned(), letter: 'r' };
            assert_eq!(LetterCounting::judge(&spec, answer), expected, "{answer}");
        }
        check("3", Judgement::Right);
        check(" 3. ", Judgement::Right);
        check("2", Judgement::Wrong);
        check("three", Judgement::Unreadable);
        check("3 or 2", Judgement::Unreadable);
    }

    #[test]
    fn backwards() {
        #[track_caller]
        fn check(answer: &str, expected: Judgement) {
            let spec = BackwardSpec { text: "stone age".to_owned() };
            assert_eq!(SpellBackward::judge(&spec, answer), expected, "{answer}");
        }
        check("ega enots", Judgement::Right);
        check("\"Ega enots\".", Judgement::Right);
        check("egaenots", Judgement::Wrong);
        check("stone age", Judgement::Wrong);
        check("e-g-a", Judgement::Unreadable);
        check("", Judgement::Unreadable);
    }
}
