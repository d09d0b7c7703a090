//! Units and words behind a number.

use super::expression::{Constant, Id, Node};
use super::form::Form;
use super::lexer::Token;
use super::limits::{Fault, Reading};
use super::names;
use super::parser::Parser;

/// The one spelling of a unit, for words and abbreviations that are units.
fn spelling(word: &str) -> Option<&'static str> {
    Some(match word {
        "mm" | "millimeter" | "millimeters" | "millimetre" | "millimetres" => "mm",
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => "cm",
        "m" | "meter" | "meters" | "metre" | "metres" => "m",
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" | "kms" => "km",
        "in" | "inch" | "inches" => "inch",
        "ft" | "foot" | "feet" => "foot",
        "yd" | "yds" | "yard" | "yards" => "yard",
        "mi" | "mile" | "miles" => "mile",
        "mg" | "milligram" | "milligrams" => "mg",
        "g" | "gram" | "grams" => "g",
        "kg" | "kgs" | "kilogram" | "kilograms" => "kg",
        "lb" | "lbs" | "pound" | "pounds" => "pound",
        "oz" | "ounce" | "ounces" => "ounce",
        "ml" | "mL" | "milliliter" | "milliliters" | "millilitre" | "millilitres" => "ml",
        "l" | "L" | "liter" | "liters" | "litre" | "litres" => "litre",
        "gal" | "gallon" | "gallons" => "gallon",
        "ms" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "second",
        "min" | "mins" | "minute" | "minutes" => "minute",
        "h" | "hr" | "hrs" | "hour" | "hours" => "hour",
        "day" | "days" => "day",
        "week" | "weeks" | "wk" | "wks" => "week",
        "month" | "months" | "mo" => "month",
        "year" | "years" | "yr" | "yrs" => "year",
        "mph" => "mile/hour",
        "kph" | "kmh" => "km/hour",
        "Hz" | "hertz" => "hertz",
        "kHz" => "kilohertz",
        "N" | "newton" | "newtons" => "newton",
        "J" | "joule" | "joules" => "joule",
        "kJ" => "kilojoule",
        "W" | "watt" | "watts" => "watt",
        "kW" => "kilowatt",
        "V" | "volt" | "volts" => "volt",
        "A" | "ampere" | "amperes" | "amp" | "amps" => "ampere",
        "Pa" | "pascal" | "pascals" => "pascal",
        "K" | "kelvin" | "kelvins" => "kelvin",
        "mol" | "mole" | "moles" => "mole",
        "deg" | "degs" | "degree" | "degrees" => "degree",
        "rad" | "radian" | "radians" => "radian",
        "dollar" | "dollars" | "USD" | "usd" => "dollar",
        "cent" | "cents" => "cent",
        "euro" | "euros" | "EUR" => "euro",
        "GBP" => "sterling",
        "rupee" | "rupees" | "Rs" => "rupee",
        "percent" | "pct" | "percentage" => "%",
        "unit" | "units" => "",
        _ => return None,
    })
}

/// Words of what is counted, such as `7 red marbles of each kind`.
const WORDS: usize = 10;

/// Whether a word is the name or the sign of a unit.
pub(super) fn is_unit(word: &str) -> bool {
    spelling(word).is_some()
}

/// What a word for a power of ten, or a dozen, multiplies the number before it by.
fn magnitude(word: &str) -> Option<i64> {
    Some(match word {
        "dozen" => 12,
        "hundred" => 100,
        "thousand" => 1_000,
        "million" => 1_000_000,
        "billion" => 1_000_000_000,
        "trillion" => 1_000_000_000_000,
        _ => return None,
    })
}

/// Whether a word behind a number makes another answer of it: "7 or eight", "7 is wrong", "7 squared".
fn changes_the_number(word: &str) -> bool {
    const WORDS: [&str; 57] = [
        "or",
        "nor",
        "not",
        "no",
        "never",
        "is",
        "isn",
        "isn't",
        "isnt",
        "are",
        "aren't",
        "was",
        "wasn't",
        "false",
        "wrong",
        "incorrect",
        "untrue",
        "maybe",
        "perhaps",
        "possibly",
        "if",
        "unless",
        "but",
        "than",
        "minus",
        "plus",
        "squared",
        "cubed",
        "half",
        "either",
        "neither",
        "except",
        "without",
        "factorial",
        "inverse",
        "be",
        "were",
        "none",
        "invalid",
        "when",
        "where",
        "otherwise",
        "else",
        "at",
        "least",
        "most",
        "about",
        "probably",
        "likely",
        "approximately",
        "nearly",
        "almost",
        "to",
        "through",
        "instead",
        "rather",
        "answer",
    ];
    let word = word.to_ascii_lowercase();
    WORDS.contains(&word.as_str()) || is_numeral(&word)
}

/// Whether a word is a number: "eight", "eighth".
fn is_numeral(word: &str) -> bool {
    const ROOTS: [&str; 24] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
        "thirty",
        "forty",
        "fifty",
    ];
    let is_root = |root: &str| ROOTS.contains(&root);
    is_root(word)
        || is_root(word.strip_suffix("th").unwrap_or(word))
        || magnitude(word).is_some()
        || matches!(word, "fifth" | "eighth" | "ninth" | "twelfth")
}

impl Parser<'_> {
    /// Reads what stands behind a number: a unit, the thing that was counted, a note in brackets.
    pub(super) fn with_unit(&mut self, form: Form) -> Reading<Form> {
        let id = match form {
            Form::Expression(id) => id,
            // `x = 5 cm`: the unit belongs to the last side.
            Form::Relation(mut relation) if !self.is_modulus_ahead() => {
                let last = relation.sides.pop().expect("a relation has sides");
                let last = self.with_unit(last)?;
                relation.sides.push(last);
                return Ok(Form::Relation(relation));
            }
            form => return self.with_modulus(form),
        };
        let currency = self.currency_before();
        if self.is_modulus_ahead() {
            return self.with_modulus(form);
        }
        let mut words = self.words_ahead()?;
        let id = self.with_magnitude(id, &mut words)?;
        if let Some(word) = words.iter().find(|word| changes_the_number(word)) {
            let why = if is_numeral(word) { "a number among words" } else { "words that take the number back" };
            return Err(Fault::Unreadable(why));
        }
        let mut unit = if words.is_empty() { None } else { Some(canonical(&words)) };
        if unit.is_none() {
            unit = currency.map(str::to_owned);
        }
        if let Node::Mul(value, degree) = *self.arena.node(id)
            && matches!(self.arena.node(degree), Node::Constant(Constant::Degree))
        {
            let unit = unit.map_or_else(|| "degree".to_owned(), |unit| format!("degree {unit}"));
            return Ok(Form::Quantity { value, unit: unit.into(), whole: Some(id) });
        }
        match unit.as_deref() {
            None | Some("") => Ok(Form::Expression(id)),
            Some("%") => self.arena.percent(id).map(Form::Expression),
            // A thing counted needs a number before it.
            Some(unit) if unit.starts_with('#') && !self.is_constant(id) => {
                Err(Fault::Unreadable("words behind a formula"))
            }
            Some(unit) => Ok(Form::Quantity { value: id, unit: unit.into(), whole: None }),
        }
    }

    /// The currency whose sign stands before the member.
    fn currency_before(&self) -> Option<&'static str> {
        let member = self.lexer.text[self.member_start..].trim_start_matches(['-', '+', ' ', '$', '(']);
        [("\\$", "dollar"), ("\\pounds", "sterling"), ("\\euro", "euro")]
            .iter()
            .find(|(sign, _)| member.starts_with(sign))
            .map(|&(_, unit)| unit)
    }

    fn is_modulus_ahead(&self) -> bool {
        let rest = self.lexer.text[self.ahead.start..].trim_start();
        self.token() == Token::Command("pmod")
            || ["(mod", "(\\mod", "(\\bmod", "\\text{ (mod", "(\\text{mod"].iter().any(|start| rest.starts_with(start))
    }

    /// `3 \pmod 5`.
    fn with_modulus(&mut self, form: Form) -> Reading<Form> {
        let modulus = match self.token() {
            Token::Command("pmod") => {
                self.advance();
                self.argument()?
            }
            Token::Sign(b'(') if self.is_modulus_ahead() => {
                self.advance();
                self.jump(if self.token() == Token::Command("text") {
                    self.lexer.group(self.ahead.end)?.1
                } else {
                    self.ahead.end
                });
                let modulus = self.expression(super::parser::Level::Sum)?;
                self.expect(Token::Sign(b')'))?;
                modulus
            }
            _ => return Ok(form),
        };
        Ok(Form::Modulo(Box::new(form), modulus))
    }

    /// Multiplies a number by the words for powers of ten behind it: `1.5 million`.
    fn with_magnitude(&mut self, id: Id, words: &mut Vec<String>) -> Reading<Id> {
        let mut id = id;
        while let Some(factor) = words.first().and_then(|word| magnitude(word)) {
            if self.arena.number(id).is_none() {
                return Err(Fault::Unreadable("words behind a formula"));
            }
            let factor = self.arena.small(factor)?;
            id = self.arena.mul(id, factor)?;
            words.remove(0);
        }
        Ok(id)
    }

    /// Reads words up to the next separator.
    fn words_ahead(&mut self) -> Reading<Vec<String>> {
        let mut words: Vec<String> = Vec::new();
        let mut n_brackets = 0;
        loop {
            match self.token() {
                Token::Word("and" | "or") => break,
                Token::Word(word) => {
                    words.push(word.to_owned());
                    self.advance();
                }
                Token::Command(name) if names::is_text(name) => {
                    let (text, end) = self.lexer.group(self.ahead.end)?;
                    if matches!(text.trim().trim_matches(',').trim(), "and" | "or" | "") {
                        if text.trim().is_empty() && !words.is_empty() {
                            self.jump(end);
                            continue;
                        }
                        break;
                    }
                    push_words(&mut words, text)?;
                    self.jump(end);
                }
                Token::Command("$") if words.is_empty() => {
                    words.push("dollar".to_owned());
                    self.advance();
                }
                Token::Sign(b'^') if !words.is_empty() => {
                    self.advance();
                    let exponent = self.exponent()?;
                    let exponent = self.small_exponent(exponent)?;
                    let last = words.last_mut().expect("there are words");
                    *last = format!("{}^{exponent}", spelling(last).unwrap_or(last));
                }
                Token::Digit if !words.is_empty() && self.follows_letter() => {
                    let exponent = self.exponent()?;
                    let exponent = self.small_exponent(exponent)?;
                    let last = words.last_mut().expect("there are words");
                    *last = format!("{}^{exponent}", spelling(last).unwrap_or(last));
                }
                Token::Sign(b'/') if !words.is_empty() => {
                    words.push("per".to_owned());
                    self.advance();
                }
                Token::Sign(b'-' | b'.') | Token::Command("cdot") if !words.is_empty() => self.advance(),
                Token::Sign(b'(') if n_brackets == 0 && (self.is_note() || !words.is_empty()) => {
                    n_brackets += 1;
                    self.advance();
                }
                Token::Sign(b')') if n_brackets == 1 => {
                    n_brackets = 2;
                    self.advance();
                }
                _ => break,
            }
            if words.len() > WORDS {
                return Err(Fault::Unreadable("many words behind a number"));
            }
        }
        Ok(words)
    }

    /// Whether the token ahead stands right behind a letter, as the exponent in `m2`.
    fn follows_letter(&self) -> bool {
        self.lexer.text[..self.ahead.start].ends_with(char::is_alphabetic)
    }

    fn small_exponent(&self, id: Id) -> Reading<i64> {
        self.arena.number(id).and_then(|n| n.to_i64()).ok_or(Fault::Unreadable("a unit with an odd exponent"))
    }
}

fn push_words(words: &mut Vec<String>, text: &str) -> Reading<()> {
    let text = text.replace("\\circ", " degree ").replace('/', " per ");
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '.' | ',' | '-' | '~')) {
        if word.bytes().any(|b| b.is_ascii_digit()) && !word.contains('^') {
            return Err(Fault::Unreadable("a number among words"));
        }
        if !word.is_empty() {
            words.push(word.replace(['{', '}'], ""));
        }
    }
    Ok(())
}

/// Known units in one spelling with `square` and `cubic` as exponents; otherwise the thing counted, in the singular.
fn canonical(words: &[String]) -> String {
    let mut unit = String::new();
    let mut exponent = "";
    let mut noun = "";
    for word in words {
        match word.to_lowercase().as_str() {
            "square" | "sq" => exponent = "^2",
            "cubic" | "cu" => exponent = "^3",
            "per" => unit.push('/'),
            "of" | "in" if !unit.is_empty() || !noun.is_empty() => break,
            lower => {
                let base = word.split('^').next().unwrap_or(word);
                match spelling(word).or_else(|| spelling(lower)).or_else(|| spelling(base).map(|_| word.as_str())) {
                    Some(known) => {
                        let separator = if unit.is_empty() || unit.ends_with('/') { "" } else { " " };
                        unit.push_str(separator);
                        unit.push_str(known);
                        unit.push_str(exponent);
                        exponent = "";
                    }
                    None => noun = word,
                }
            }
        }
    }
    let unit = unit.trim_matches('/');
    if unit.is_empty() && !words.iter().any(|word| is_unit(word)) {
        let noun = noun.to_lowercase();
        return format!("#{}", noun.strip_suffix('s').unwrap_or(&noun));
    }
    unit.to_owned()
}
