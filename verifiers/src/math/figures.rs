//! Numerals in their places: mixed numbers, times of the day, ordinals, digits in a base.

use super::form::{Form, Half};
use super::lexer::{Lexer, Token};
use super::limits::{Fault, Reading};
use super::numeral::{self, Commas};
use super::parser::Parser;
use super::rational::Rational;

impl Parser<'_> {
    pub(super) fn numeral(&mut self) -> Reading<Form> {
        let start = self.ahead.start;
        let numeral = numeral::read(self.lexer.text, start, self.locale, self.commas)?;
        self.jump(numeral.end);
        self.after_numeral = true;
        if self.token() == Token::Sign(b'_') {
            return self.in_base(start, numeral.end);
        }
        if matches!(self.token(), Token::Word("st" | "nd" | "rd" | "th")) && !self.ahead.is_spaced {
            self.advance();
        }
        if numeral.is_plain
            && let Some((fraction, end)) = self.fraction_ahead()
        {
            self.jump(end);
            return self.arena.value(numeral.value.add(&fraction)).map(Form::Expression);
        }
        if let Some(time) = self.time_ahead(&numeral.value) {
            return Ok(time);
        }
        self.arena.value(numeral.value).map(Form::Expression)
    }

    /// The proper fraction of a mixed number such as `3\frac12` or `3 1/2`, and its end.
    fn fraction_ahead(&self) -> Option<(Rational, usize)> {
        let rest = &self.lexer.text[self.ahead.start..];
        let (above, below, end) = match self.token() {
            Token::Command("frac" | "dfrac" | "tfrac" | "cfrac" | "sfrac" | "nicefrac") => {
                let (above, at) = small_argument(self.lexer.text, self.ahead.end)?;
                let (below, at) = small_argument(self.lexer.text, at)?;
                (above, below, at)
            }
            Token::Digit if self.ahead.is_spaced => {
                let length = rest.bytes().take_while(u8::is_ascii_digit).count();
                let after = rest[length..].trim_start().strip_prefix('/')?.trim_start();
                let below = after.bytes().take_while(u8::is_ascii_digit).count();
                let end = self.lexer.text.len() - after.len() + below;
                (rest[..length].parse().ok()?, after[..below].parse().ok()?, end)
            }
            _ => return None,
        };
        (0 < above && above < below).then_some(()).and_then(|()| {
            let value = Rational::Small(above, 1).div(&Rational::Small(below, 1))?;
            Some((value, end))
        })
    }

    /// `12:05` and `1:02:30 p.m.`: digits in pairs, the first of a pair a zero or the half of the day told.
    fn time_ahead(&mut self, first: &Rational) -> Option<Form> {
        let bytes = self.lexer.text.as_bytes();
        let mut at = self.lexer.at;
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        let mut parts = vec![first.to_i64()?];
        let digit = |at: usize| bytes.get(at).filter(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0'));
        let mut has_zero = false;
        while bytes.get(at) == Some(&b':') && digit(at + 3).is_none() {
            let (Some(tens), Some(ones)) = (digit(at + 1), digit(at + 2)) else { break };
            has_zero |= tens == 0;
            parts.push(tens * 10 + ones);
            at += 3;
        }
        let half = half_of_day(&self.lexer.text[at..]);
        if parts.len() < 2 || !(has_zero || half.is_some()) {
            return None;
        }
        self.jump(at + half.map_or(0, |(_, length)| length));
        Some(Form::Time(parts, half.map(|(half, _)| half)))
    }

    /// `204_5`: the digits in a base.
    fn in_base(&mut self, start: usize, end: usize) -> Reading<Form> {
        self.advance();
        let base = match self.token() {
            Token::Sign(b'{') => {
                let (text, end) = self.lexer.group(self.ahead.start)?;
                self.jump(end);
                text.trim().trim_matches(|c| c == '(' || c == ')').parse::<u32>().ok()
            }
            Token::Digit => {
                let numeral = numeral::read(self.lexer.text, self.ahead.start, self.locale, Commas::PartMembers)?;
                self.jump(numeral.end);
                numeral.value.to_i64().and_then(|base| u32::try_from(base).ok())
            }
            Token::Command("text" | "mathrm") => {
                let (text, end) = self.lexer.group(self.ahead.end)?;
                self.jump(end);
                number_word(text.trim())
            }
            _ => None,
        };
        let base = base.filter(|base| (2..=36).contains(base)).ok_or(Fault::Unreadable("an index that is no base"))?;
        let digits: Vec<u8> = self.lexer.text[start..end].bytes().filter(u8::is_ascii_digit).collect();
        if self.lexer.text[start..end].contains('.') {
            return Err(Fault::Unreadable("decimals in another base"));
        }
        let value =
            num_bigint::BigInt::parse_bytes(&digits, base).ok_or(Fault::Unreadable("digits above their base"))?;
        Ok(Form::Based(Rational::integer(value), base))
    }
}

/// `a.m.` or `p.m.` at the beginning of a text, and its length.
fn half_of_day(text: &str) -> Option<(Half, usize)> {
    let rest = text.trim_start_matches([' ', '~', '\\', ',']);
    let is_set = rest.starts_with("text{");
    let rest = rest.strip_prefix("text{").unwrap_or(rest).trim_start();
    let mut letters = rest.char_indices().filter(|(_, c)| *c != '.');
    let half = match letters.next()?.1.to_ascii_lowercase() {
        'a' => Half::Morning,
        'p' => Half::Evening,
        _ => return None,
    };
    let (at, m) = letters.next()?;
    let after = rest[at + m.len_utf8()..].trim_start_matches('.');
    if !m.eq_ignore_ascii_case(&'m') || after.starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    let after = if is_set { after.trim_start().strip_prefix('}')? } else { after };
    Some((half, text.len() - after.len()))
}

/// A natural number in braces, or one digit, at a position; and its end.
fn small_argument(text: &str, at: usize) -> Option<(i64, usize)> {
    let rest = text[at..].trim_start();
    let start = text.len() - rest.len();
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Some((rest[..1].parse().ok()?, start + 1));
    }
    let (inner, end) = Lexer { text, at }.group(start).ok()?;
    let inner = inner.trim();
    inner.bytes().all(|b| b.is_ascii_digit()).then(|| inner.parse().ok().map(|value| (value, end)))?
}

fn number_word(word: &str) -> Option<u32> {
    const WORDS: [&str; 17] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "thirteen", "fourteen", "fifteen", "sixteen",
    ];
    word.parse().ok().or_else(|| WORDS.iter().position(|name| *name == word).map(|n| n as u32))
}
