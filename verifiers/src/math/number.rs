//! Numbers as people and models write them, read into exact rationals.

use std::str::FromStr;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Pow, Zero};

/// A number with what its spelling says beyond its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    value: BigRational,
    percent: bool,
}

/// Why a text is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text has another form.
    #[error("expected a number such as `-3`, `1,234.5` or `2/3`")]
    Form,
    /// More digits than any answer needs; reading them would cost time for nothing.
    #[error("the number has more than {MAX_DIGITS} digits")]
    TooLong,
}

/// The fuel of the parser: beyond this many digits, or this decimal exponent, a number is refused.
const MAX_DIGITS: usize = 4000;

impl Number {
    /// Returns the exact value; that of `28%` is 28.
    pub fn value(&self) -> &BigRational {
        &self.value
    }

    /// Returns whether this is the number that `reference` asks for.
    ///
    /// A reference in percent accepts `28%`, `28` and `0.28`; a plain reference accepts its own value alone.
    pub fn answers(&self, reference: &Self) -> bool {
        self.value == reference.value
            || (reference.percent && !self.percent && &self.value * BigInt::from(100) == reference.value)
    }
}

impl FromStr for Number {
    type Err = NumberError;

    /// Reads an optional sign, a currency mark, digits with thousands marks and decimals, `a/b`, `\frac{a}{b}`, a
    /// decimal exponent, a percent sign, and words of a unit behind it.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        if text.len() > 2 * MAX_DIGITS {
            return Err(NumberError::TooLong);
        }
        let plain = undress(text);
        let (number, percent) = match plain.strip_suffix('%') {
            Some(rest) => (rest.trim_end().trim_end_matches('\\').trim_end().to_owned(), true),
            None => (plain, false),
        };
        Ok(Self { value: rational(&number)?, percent })
    }
}

/// Removes what stands around a number: `$`, spaces, a final full stop, `\text{…}`, a unit.
fn undress(text: &str) -> String {
    let mut text = text.replace(['−', '–'], "-").replace("\\!", "").replace("{,}", ",").replace("\\,", "");
    for word in ["\\left", "\\right", "\\displaystyle", "\\$", "$", "€", "£"] {
        text = text.replace(word, "");
    }
    let mut text = text.trim();
    if let Some(at) = text.find("\\text{").or_else(|| text.find("\\mathrm{")) {
        text = text[..at].trim_end();
    }
    text = text.trim_end_matches(['.', ' ']);
    let unit = text.trim_end_matches(|c: char| c.is_alphabetic() || c.is_whitespace() || c == '°');
    let is_unit = unit.ends_with(|c: char| c.is_ascii_digit()) && unit.len() < text.len();
    // `3e5` ends in digits, `3 m` in a unit after a digit; `12b` is neither a number nor a quantity.
    let text = if is_unit && text[unit.len()..].starts_with([' ', '°']) { unit } else { text };
    text.to_owned()
}

fn rational(text: &str) -> Result<BigRational, NumberError> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    };
    let magnitude = match fraction(text) {
        Some((above, below)) => {
            let below = decimal(below)?;
            if below.is_zero() {
                return Err(NumberError::Form);
            }
            decimal(above)? / below
        }
        None => decimal(text)?,
    };
    Ok(if negative { -magnitude } else { magnitude })
}

/// Splits `a/b`, `\frac{a}{b}` and its variants, and `\frac12`.
fn fraction(text: &str) -> Option<(&str, &str)> {
    let rest = ["\\frac", "\\dfrac", "\\tfrac", "\\cfrac"].iter().find_map(|name| text.strip_prefix(name));
    let Some(rest) = rest else {
        return text.split_once('/').map(|(a, b)| (a.trim_end(), b.trim_start()));
    };
    let rest = rest.trim_start();
    if let Some((above, below)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
        return Some((above.trim(), below.trim().strip_prefix('{')?.strip_suffix('}')?.trim()));
    }
    let is_short = rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit());
    is_short.then(|| rest.split_at(1))
}

/// Reads digits with optional thousands marks, decimals and a decimal exponent.
fn decimal(text: &str) -> Result<BigRational, NumberError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| NumberError::Form)?),
        None => (text, 0),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{decimals}", without_thousands_marks(whole).ok_or(NumberError::Form)?);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NumberError::Form);
    }
    let shift = exponent - decimals.len() as i64;
    if digits.len() > MAX_DIGITS || shift.unsigned_abs() > MAX_DIGITS as u64 {
        return Err(NumberError::TooLong);
    }
    let value = digits.parse::<BigInt>().map_err(|_| NumberError::Form)?;
    let scale = BigInt::from(10).pow(shift.unsigned_abs());
    Ok(if shift < 0 { BigRational::new(value, scale) } else { BigRational::from(value * scale) })
}

/// Removes thousands marks where they part groups of three; `12,34` is not a number.
fn without_thousands_marks(whole: &str) -> Option<String> {
    if !whole.contains(',') {
        return Some(whole.to_owned());
    }
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    ((1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3)).then(|| whole.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(i64, i64)>) {
        let read = text.parse::<Number>().ok().map(|n| n.value);
        assert_eq!(read, expected.map(|(a, b)| BigRational::new(a.into(), b.into())), "{text:?}");
    }

    #[test]
    fn readable() {
        check("18", Some((18, 1)));
        check("-18.", Some((-18, 1)));
        check("27.0", Some((27, 1)));
        check("$1,234.50", Some((2469, 2)));
        check("\\$5", Some((5, 1)));
        check("3/4", Some((3, 4)));
        check("- 3 / 4", Some((-3, 4)));
        check("\\frac{1}{2}", Some((1, 2)));
        check("-\\dfrac{10}{4}", Some((-5, 2)));
        check("\\frac12", Some((1, 2)));
        check("1.5e3", Some((1500, 1)));
        check("2e-1", Some((1, 5)));
        check("28\\%", Some((28, 1)));
        check("12 apples", Some((12, 1)));
        check("12\\text{ cm}", Some((12, 1)));
        check("90°", Some((90, 1)));
        check(".5", Some((1, 2)));
        check("11,\\!111", Some((11_111, 1)));
        check("1{,}000", Some((1000, 1)));
    }

    #[test]
    fn not_numbers() {
        for text in [
            "", "abc", "12,34", "1,2345", "1.2.3", "1/0", "1/", "--2", "12b", "0x10", "1_0", "٣", "e5", "1e", "NaN",
            "inf",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn fuel_is_bounded() {
        assert_eq!("9".repeat(5000).parse::<Number>(), Err(NumberError::TooLong));
        assert_eq!("1e999999999".parse::<Number>(), Err(NumberError::TooLong));
        assert_eq!("1e99999999999999999999".parse::<Number>(), Err(NumberError::Form));
    }

    #[test]
    fn percent_references_accept_both_readings() {
        let answers = |answer: &str, reference: &str| {
            answer.parse::<Number>().unwrap().answers(&reference.parse::<Number>().unwrap())
        };
        assert!(answers("28%", "28%") && answers("28", "28%") && answers("0.28", "28%"));
        assert!(!answers("28", "0.28") && !answers("0.28%", "28%"));
    }
}
