//! Numerals: digits with marks of thousands, decimals, recurring decimals, and decimal exponents.

use num_bigint::BigInt;

use super::limits::{DIGITS, Fault, Reading};
use super::policy::Locale;
use super::rational::Rational;

/// A numeral as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numeral {
    pub(super) value: Rational,
    pub(super) end: usize,
    /// Whether it is digits alone, so that a fraction after it makes a mixed number.
    pub(super) is_plain: bool,
}

/// Whether a comma between groups of three digits may be a mark of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commas {
    /// Between members of a list a comma parts members, unless the group after it begins with 0.
    PartMembers,
    /// Elsewhere it may mark thousands.
    MarkThousands,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    digits: Digits,
}

/// The digits read so far, as a machine word while they fit.
#[derive(Default)]
struct Digits {
    word: u64,
    text: Vec<u8>,
    count: usize,
}

impl Digits {
    fn push(&mut self, digit: u8) {
        self.count += 1;
        if self.count <= 18 {
            self.word = self.word * 10 + u64::from(digit - b'0');
        } else {
            if self.text.is_empty() {
                self.text = self.word.to_string().into_bytes();
            }
            self.text.push(digit);
        }
    }

    fn value(&self) -> Reading<BigInt> {
        if self.text.is_empty() {
            return Ok(self.word.into());
        }
        BigInt::parse_bytes(&self.text, 10).ok_or(Fault::Unreadable("digits that are no number"))
    }
}

/// Reads the numeral that begins at a position of a text.
pub(super) fn read(text: &str, at: usize, locale: Locale, commas: Commas) -> Reading<Numeral> {
    let mut reader = Reader { bytes: text.as_bytes(), at, digits: Digits::default() };
    reader.whole(locale, commas)?;
    let is_word = reader.digits.text.is_empty();
    let decimals = reader.decimals(locale)?;
    let recurring = if decimals.is_some() { reader.recurring()? } else { None };
    let exponent = reader.exponent()?;
    let is_plain = decimals.is_none() && exponent.is_none();
    if is_plain && is_word {
        return Ok(Numeral { value: Rational::Small(reader.digits.word as i64, 1), end: reader.at, is_plain });
    }
    let shift = exponent.unwrap_or(0) - decimals.unwrap_or(0) as i64;
    let mut value = scaled(reader.digits.value()?, shift)?;
    if let Some((block, length)) = recurring {
        // The block b of n digits after the decimals adds b / (10ⁿ − 1) units of the last decimal.
        let nines = BigInt::from(10).pow(length as u32) - 1;
        let tail = Rational::new(block, nines).ok_or(Fault::Unreadable("a recurring block without digits"))?;
        value = value.add(&tail.mul(&scaled(1.into(), shift)?));
    }
    Ok(Numeral { value, end: reader.at, is_plain })
}

fn scaled(value: BigInt, shift: i64) -> Reading<Rational> {
    if shift.unsigned_abs() > DIGITS as u64 {
        return Err(Fault::Limit("digits"));
    }
    let power = BigInt::from(10).pow(shift.unsigned_abs() as u32);
    if shift >= 0 {
        return Ok(Rational::integer(value * power));
    }
    Rational::new(value, power).ok_or(Fault::Unreadable("digits that are no number"))
}

impl Reader<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn starts(&self, at: usize, with: &str) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(with.as_bytes()))
    }

    /// Reads digits in a row and returns their number.
    fn run(&mut self) -> Reading<usize> {
        let start = self.at;
        while self.byte(self.at).is_ascii_digit() {
            if self.digits.count >= DIGITS {
                return Err(Fault::Limit("digits"));
            }
            self.digits.push(self.byte(self.at));
            self.at += 1;
        }
        Ok(self.at - start)
    }

    fn whole(&mut self, locale: Locale, commas: Commas) -> Reading<()> {
        let start = self.at;
        let length = self.run()?;
        if length == 0 || length > 3 || self.byte(start) == b'0' {
            return Ok(());
        }
        while let Some(group) = self.group(locale, commas) {
            self.at = group;
            self.run()?;
        }
        Ok(())
    }

    /// The start of a further group of three digits, if a mark of thousands leads to one.
    fn group(&self, locale: Locale, commas: Commas) -> Option<usize> {
        let at = self.at;
        if !matches!(self.byte(at), b',' | b'{' | b'\\' | b'.' | b' ') {
            return None;
        }
        let is_group = |start: usize| {
            (0..3).all(|i| self.byte(start + i).is_ascii_digit()) && !self.byte(start + 3).is_ascii_digit()
        };
        for mark in ["{,}", "\\,", "\\!", "{\\,}", ",\\!", "{,}\\!", ",\\,"] {
            let mut start = at + mark.len();
            if self.starts(at, mark) {
                while mark.contains('!') && self.byte(start) == b' ' {
                    start += 1;
                }
                if is_group(start) && (locale == Locale::Us || !mark.contains(',') || mark.contains('\\')) {
                    return Some(start);
                }
            }
        }
        let may_be_tight = match locale {
            Locale::Us => self.byte(at) == b',' && (commas == Commas::MarkThousands || self.byte(at + 1) == b'0'),
            Locale::Eu => matches!(self.byte(at), b'.' | b' '),
        };
        (may_be_tight && is_group(at + 1)).then_some(at + 1)
    }

    /// Reads a decimal mark and the digits behind it, and returns their number.
    fn decimals(&mut self, locale: Locale) -> Reading<Option<usize>> {
        let mark = self.byte(self.at);
        let is_mark = match locale {
            Locale::Us => mark == b'.',
            Locale::Eu => mark == b',' || mark == b'.',
        };
        if is_mark && self.byte(self.at + 1).is_ascii_digit() {
            self.at += 1;
            return self.run().map(Some);
        }
        let begins_block = |at| {
            self.starts(at, "\\overline")
                || self.starts(at, "\\bar")
                || self.starts(at, "\\dot{")
                || (self.starts(at, "(") && self.byte(at + 1).is_ascii_digit())
        };
        if is_mark && (begins_block(self.at + 1)) && self.digits.count > 0 {
            self.at += 1;
            return Ok(Some(0));
        }
        Ok(None)
    }

    /// Reads a recurring block: `\overline{6}`, `\bar{6}`, `\dot{1}4\dot{2}`, `(6)`, or `333...`.
    fn recurring(&mut self) -> Reading<Option<(BigInt, usize)>> {
        let at = self.at;
        let after_point = self.byte(at.wrapping_sub(1)) == b'.';
        for (open, close) in [("\\overline{", b'}'), ("\\bar{", b'}'), ("(", b')')] {
            if self.starts(at, open) && (open != "(" || after_point) {
                let start = at + open.len();
                return self.block(start, |reader, at| (reader.byte(at) == close).then_some(at + 1));
            }
        }
        if self.starts(at, "\\dot{") {
            return self.dotted(at);
        }
        if self.starts(at, "...")
            || self.starts(at, "\\ldots")
            || self.starts(at, "\\dots")
            || self.starts(at, "\\cdots")
        {
            return self.continued(at);
        }
        Ok(None)
    }

    fn block(&mut self, start: usize, end: impl Fn(&Self, usize) -> Option<usize>) -> Reading<Option<(BigInt, usize)>> {
        let mut digits = Digits::default();
        let mut at = start;
        while self.byte(at).is_ascii_digit() && digits.count < DIGITS {
            digits.push(self.byte(at));
            at += 1;
        }
        let end = end(self, at).ok_or(Fault::Unreadable("a recurring block that does not end"))?;
        if digits.count == 0 {
            return Err(Fault::Unreadable("a recurring block without digits"));
        }
        self.at = end;
        Ok(Some((digits.value()?, digits.count)))
    }

    /// Dots over the first and the last digit of the block, or over its only one.
    fn dotted(&mut self, at: usize) -> Reading<Option<(BigInt, usize)>> {
        const FORM: Fault = Fault::Unreadable("a recurring block that does not end");
        let mut digits = Digits::default();
        let mut at = at;
        let mut dots = 0;
        while digits.count < DIGITS {
            if self.starts(at, "\\dot{") && self.byte(at + 5).is_ascii_digit() && self.byte(at + 6) == b'}' {
                digits.push(self.byte(at + 5));
                at += 7;
                dots += 1;
                if dots == 2 {
                    break;
                }
            } else if self.byte(at).is_ascii_digit() && dots == 1 {
                digits.push(self.byte(at));
                at += 1;
            } else {
                break;
            }
        }
        if dots == 0 || (dots == 1 && digits.count > 1) {
            return Err(FORM);
        }
        self.at = at;
        Ok(Some((digits.value()?, digits.count)))
    }

    /// `0.333...`: the shortest block that ends the decimals three times, or twice if it is longer than one digit.
    fn continued(&mut self, at: usize) -> Reading<Option<(BigInt, usize)>> {
        let start = self.bytes[..at].iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |i| i + 1);
        let decimals = &self.bytes[start..at];
        for length in 1..=decimals.len().min(12) / 2 {
            let times = if length == 1 { 3 } else { 2 };
            let block = &decimals[decimals.len() - length..];
            let repeats = decimals.len() >= length * times
                && decimals[decimals.len() - length * times..].chunks(length).all(|chunk| chunk == block);
            if repeats {
                let word = block.iter().fold(0_u64, |word, digit| word * 10 + u64::from(digit - b'0'));
                let command = if self.byte(at) == b'\\' { 1 } else { 3 };
                let name = self.bytes[at + command..].iter().take_while(|b| command == 1 && b.is_ascii_alphabetic());
                self.at = at + command + name.count();
                return Ok(Some((word.into(), length)));
            }
        }
        Err(Fault::Unreadable("decimals that go on in an unknown way"))
    }

    /// Reads `e-7` or `E+3` right after the digits.
    fn exponent(&mut self) -> Reading<Option<i64>> {
        if !matches!(self.byte(self.at), b'e' | b'E') {
            return Ok(None);
        }
        let sign = self.byte(self.at + 1);
        let mut at = self.at + 1 + usize::from(matches!(sign, b'+' | b'-'));
        if !self.byte(at).is_ascii_digit() {
            return Ok(None);
        }
        let mut exponent = 0_i64;
        while self.byte(at).is_ascii_digit() {
            exponent = (exponent * 10 + i64::from(self.byte(at) - b'0')).min(1 << 40);
            at += 1;
        }
        self.at = at;
        Ok(Some(if sign == b'-' { -exponent } else { exponent }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str, rest: &str) {
        let numeral = read(text, 0, Locale::Us, Commas::MarkThousands).unwrap();
        assert_eq!((numeral.value.to_string().as_str(), &text[numeral.end..]), (expected, rest), "{text}");
    }

    #[test]
    fn thousands() {
        check("1,234,567", "1234567", "");
        check("1{,}000", "1000", "");
        check("11,\\! 111,\\! 100", "11111100", "");
        check("12\\,345", "12345", "");
        check("12,34", "12", ",34");
        check("32, 349", "32", ", 349");
        check("1,2,3,4", "1", ",2,3,4");
        check("1234,567", "1234", ",567");
        check("0,123", "0", ",123");
        let member = |text| read(text, 0, Locale::Us, Commas::PartMembers).unwrap().value.to_string();
        assert_eq!((member("100,200"), member("1,000")), ("100".to_owned(), "1000".to_owned()));
    }

    #[test]
    fn decimals() {
        check(".5", "1/2", "");
        check("1.50", "3/2", "");
        check("18.", "18", ".");
        check("1.5e3", "1500", "");
        check("2E-1x", "1/5", "x");
        check("2e", "2", "e");
        check("0.\\overline{3}", "1/3", "");
        check("0.1\\overline{6}", "1/6", "");
        check("0.\\dot{1}4285\\dot{7}", "1/7", "");
        check("0.(09)", "1/11", "");
        check("0.5(2)", "1/2", "(2)");
        check("0.333...", "1/3", "");
        check("0.1666\\ldots x", "1/6", " x");
        assert!(read("3.14159...", 0, Locale::Us, Commas::MarkThousands).is_err());
    }

    #[test]
    fn decimal_commas() {
        let read = |text| read(text, 0, Locale::Eu, Commas::MarkThousands).unwrap().value.to_string();
        assert_eq!(
            (read("2,75"), read("1 000,5"), read("1.234.567")),
            ("11/4".into(), "2001/2".into(), "1234567".into())
        );
    }

    #[test]
    fn digits_are_bounded() {
        let limit = Err(Fault::Limit("digits"));
        assert_eq!(read(&"9".repeat(DIGITS + 1), 0, Locale::Us, Commas::MarkThousands), limit);
        assert_eq!(read("1e999999999999999999999", 0, Locale::Us, Commas::MarkThousands), limit);
        assert!(read(&"9".repeat(DIGITS), 0, Locale::Us, Commas::MarkThousands).is_ok());
    }
}
