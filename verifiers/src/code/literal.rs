//! Python literals, read without Python.

use num_bigint::BigInt;

use super::value::{DEEPEST, Value};

/// Reads a literal: numbers, texts, bytes, `None`, `True`, `False`, lists, tuples, sets and dictionaries of such.
///
/// # Errors
///
/// Says where it stops being one. Adjacent texts, `set()`, signs, and `10**20` are read; f-strings and names are not.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.blanks();
    if reader.rest().is_empty() { Ok(value) } else { Err(reader.error("the end")) }
}

/// Reads literals from the front of a text.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn error(&self, wanted: &str) -> String {
        let here: String = self.rest().chars().take(20).collect();
        format!("not a Python literal: expected {wanted} at `{here}`")
    }

    /// Skips blanks, and inside brackets line ends and comments too.
    pub(crate) fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            let is_blank = |c: char| c == ' ' || c == '\t' || c == '\r' || self.depth > 0 && c == '\n';
            let skipped = rest.len() - rest.trim_start_matches(is_blank).len();
            self.at += skipped;
            if self.depth > 0 && self.rest().starts_with('#') {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else {
                return;
            }
        }
    }

    /// Reads a word if it comes next.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        self.blanks();
        let is_next = self.rest().starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// Reads a name: letters, digits and underscores, not beginning with a digit.
    pub(crate) fn name(&mut self) -> Option<&'a str> {
        self.blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.at += end;
        Some(&rest[..end])
    }

    /// Reads what stands between brackets, the opening one having been read.
    pub(crate) fn inside<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST}"));
        }
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads a value.
    pub(crate) fn value(&mut self) -> Result<Value, String> {
        self.blanks();
        let first = self.rest().chars().next().ok_or_else(|| self.error("a value"))?;
        match first {
            '[' => Ok(Value::List(self.sequence('[', ']')?.0)),
            '(' => {
                let (mut items, has_comma) = self.sequence('(', ')')?;
                match items.pop() {
                    Some(only) if items.is_empty() && !has_comma => Ok(only),
                    Some(last) => {
                        items.push(last);
                        Ok(Value::Tuple(items))
                    }
                    None => Ok(Value::Tuple(items)),
                }
            }
            '{' => self.braces(),
            '\'' | '"' => self.texts(),
            '-' | '+' => {
                self.at += 1;
                let value = self.inside(Self::number)?;
                if first == '-' { negated(value).ok_or_else(|| self.error("a number")) } else { Ok(value) }
            }
            '0'..='9' | '.' => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let start = self.at;
        let word = self.name().unwrap_or_default();
        let after = self.rest().chars().next();
        match word {
            "None" => Ok(Value::None),
            "True" => Ok(Value::Bool(true)),
            "False" => Ok(Value::Bool(false)),
            "b" | "r" | "u" | "B" | "R" | "U" | "br" | "rb" if matches!(after, Some('\'' | '"')) => {
                self.at = start;
                self.texts()
            }
            "set" | "frozenset" if self.take("(") => {
                let closed = self.inside(|reader| Ok(reader.take(")")))?;
                match (closed, word) {
                    (true, "set") => Ok(Value::Set(vec![])),
                    (true, _) => Ok(Value::FrozenSet(vec![])),
                    (false, _) => Err(self.error("`)`")),
                }
            }
            _ => {
                self.at = start;
                Err(self.error("a value"))
            }
        }
    }

    /// Reads the items between two brackets, and whether a comma stands among them.
    fn sequence(&mut self, open: char, close: char) -> Result<(Vec<Value>, bool), String> {
        self.at += open.len_utf8();
        let mut closing = [0; 4];
        let close = close.encode_utf8(&mut closing);
        self.inside(|reader| {
            let (mut items, mut has_comma) = (vec![], false);
            loop {
                if reader.take(close) {
                    return Ok((items, has_comma));
                }
                items.push(reader.value()?);
                if reader.take(",") {
                    has_comma = true;
                } else if !reader.take(close) {
                    return Err(reader.error(&format!("`,` or `{close}`")));
                } else {
                    return Ok((items, has_comma));
                }
            }
        })
    }

    fn braces(&mut self) -> Result<Value, String> {
        self.at += 1;
        self.inside(|reader| {
            let (mut pairs, mut items) = (vec![], vec![]);
            while !reader.take("}") {
                let key = reader.value()?;
                if reader.take(":") {
                    pairs.push((key, reader.value()?));
                } else {
                    items.push(key);
                }
                if !reader.take(",") && !reader.rest().starts_with('}') {
                    return Err(reader.error("`,` or `}`"));
                }
            }
            match (pairs.is_empty(), items.is_empty()) {
                (_, true) => Ok(Value::Dict(pairs)),
                (true, false) => Ok(Value::Set(items)),
                (false, false) => Err(reader.error("a set or a dictionary, not both")),
            }
        })
    }

    fn number(&mut self) -> Result<Value, String> {
        self.blanks();
        let rest = self.rest();
        let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
        let mut end = 0;
        for (i, c) in rest.char_indices() {
            let follows_exponent = !is_hex && i > 0 && matches!(rest.as_bytes()[i - 1], b'e' | b'E');
            let is_part =
                c.is_ascii_alphanumeric() || c == '.' || c == '_' || (follows_exponent && (c == '-' || c == '+'));
            if !is_part {
                break;
            }
            end = i + 1;
        }
        let value = number(&rest[..end]).ok_or_else(|| self.error("a number"))?;
        self.at += end;
        self.power(value)
    }

    /// `10**20` is what people write for large numbers.
    fn power(&mut self, base: Value) -> Result<Value, String> {
        let before = self.at;
        if !self.take("**") {
            self.at = before;
            return Ok(base);
        }
        match (&base, self.number()?) {
            (Value::Int(base), Value::Int(exponent)) if base.bits() <= 64 => {
                let exponent = u32::try_from(&exponent).ok().filter(|exponent| *exponent <= 10_000);
                Ok(Value::Int(base.pow(exponent.ok_or_else(|| self.error("a smaller power"))?)))
            }
            _ => Err(self.error("a power of whole numbers")),
        }
    }

    /// Reads texts that stand side by side, which are one.
    fn texts(&mut self) -> Result<Value, String> {
        let mut whole: Option<Value> = None;
        loop {
            self.blanks();
            let rest = self.rest();
            let prefix = rest.len() - rest.trim_start_matches(|c| "bBrRuU".contains(c)).len();
            if prefix > 2 || !matches!(rest.as_bytes().get(prefix), Some(b'\'' | b'"')) {
                return whole.ok_or_else(|| self.error("a text"));
            }
            let letters = rest[..prefix].to_lowercase();
            self.at += prefix;
            let part = self.quoted(letters.contains('r'), letters.contains('b'))?;
            whole = Some(match (whole, part) {
                (None, part) => part,
                (Some(Value::Str(a)), Value::Str(b)) => Value::Str(a + &b),
                (Some(Value::Bytes(a)), Value::Bytes(b)) => Value::Bytes([a, b].concat()),
                _ => return Err(self.error("texts or bytes, not both")),
            });
        }
    }

    fn quoted(&mut self, is_raw: bool, is_bytes: bool) -> Result<Value, String> {
        let rest = self.rest();
        let quote = &rest[..1];
        let triple = quote.repeat(3);
        let quote = if rest.starts_with(&triple) { triple.as_str() } else { quote };
        self.at += quote.len();
        let mut text = String::new();
        let mut bytes = vec![];
        loop {
            let rest = self.rest();
            if rest.starts_with(quote) {
                self.at += quote.len();
                return Ok(if is_bytes { Value::Bytes(bytes) } else { Value::Str(text) });
            }
            let c = rest.chars().next().ok_or_else(|| self.error("the end of a text"))?;
            if c == '\n' && quote.len() == 1 {
                return Err(self.error("the end of a text"));
            }
            self.at += c.len_utf8();
            let c = match (c, is_raw) {
                ('\\', false) => self.escape(is_bytes)?,
                ('\\', true) => return Err(self.error("a text without raw escapes")),
                _ => Some(c),
            };
            match c {
                Some(c) if is_bytes => bytes.push(u8::try_from(u32::from(c)).map_err(|_| self.error("bytes"))?),
                Some(c) => text.push(c),
                None => {}
            }
        }
    }

    /// Reads what follows a backslash; none for a line end, which is skipped.
    fn escape(&mut self, is_bytes: bool) -> Result<Option<char>, String> {
        let c = self.rest().chars().next().ok_or_else(|| self.error("an escape"))?;
        self.at += c.len_utf8();
        Ok(Some(match c {
            '\n' => return Ok(None),
            '\\' | '\'' | '"' => c,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '0'..='7' => {
                let rest = self.rest();
                let more = rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let digits = format!("{c}{}", &rest[..more]);
                self.at += more;
                u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32).ok_or_else(|| self.error("an escape"))?
            }
            'x' => self.code_point(2)?,
            'u' if !is_bytes => self.code_point(4)?,
            'U' if !is_bytes => self.code_point(8)?,
            _ => return Err(self.error("a known escape")),
        }))
    }

    fn code_point(&mut self, n_digits: usize) -> Result<char, String> {
        let digits = self.rest().get(..n_digits).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| self.error("hexadecimal digits"))?;
        self.at += n_digits;
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or_else(|| self.error("a character"))
    }
}

fn negated(value: Value) -> Option<Value> {
    match value {
        Value::Int(value) => Some(Value::Int(-value)),
        Value::Float(value) => Some(Value::Float(-value)),
        Value::Complex(real, imaginary) => Some(Value::Complex(-real, -imaginary)),
        _ => None,
    }
}

/// Reads a number in Python's spelling, without sign.
fn number(text: &str) -> Option<Value> {
    let is_spaced = text.split('_').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.'));
    if text.contains('_') && !is_spaced {
        return None;
    }
    let plain = text.replace('_', "").to_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = plain.strip_prefix(prefix) {
            return BigInt::parse_bytes(digits.as_bytes(), radix).map(Value::Int);
        }
    }
    if let Some(imaginary) = plain.strip_suffix('j') {
        return Some(Value::Complex(0.0, decimal(imaginary)?));
    }
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_octal_of_old = plain.len() > 1 && plain.starts_with('0') && plain.bytes().any(|byte| byte != b'0');
        return if is_octal_of_old { None } else { plain.parse().ok().map(Value::Int) };
    }
    decimal(&plain).map(Value::Float)
}

fn decimal(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte));
    if is_decimal && text.bytes().any(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        assert_eq!(parse(text).as_ref(), Ok(expected), "{text}");
    }

    fn int(value: i64) -> Value {
        Value::Int(value.into())
    }

    #[test]
    fn scalars() {
        check("42", &int(42));
        check("-0x1F", &int(-31));
        check("1_000", &int(1000));
        check("10**3", &int(1000));
        check("1.5e-3", &Value::Float(0.0015));
        check(".5", &Value::Float(0.5));
        check("1e999", &Value::Float(f64::INFINITY));
        check("2j", &Value::Complex(0.0, 2.0));
        check("'a' \"b\"", &Value::Str("ab".to_owned()));
        check("'\\x41\\u00e9\\n\\''", &Value::Str("Aé\n'".to_owned()));
        check("'''a\nb'''", &Value::Str("a\nb".to_owned()));
        check("b'\\xff'", &Value::Bytes(vec![255]));
    }

    #[test]
    fn containers() {
        check("[1, [2], ]", &Value::List(vec![int(1), Value::List(vec![int(2)])]));
        check("(1)", &int(1));
        check("(1,)", &Value::Tuple(vec![int(1)]));
        check("()", &Value::Tuple(vec![]));
        check("{}", &Value::Dict(vec![]));
        check("{1: 2}", &Value::Dict(vec![(int(1), int(2))]));
        check("{1,\n # two\n 2}", &Value::Set(vec![int(1), int(2)]));
        check("set()", &Value::Set(vec![]));
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        for text in
            ["", "f(1)", "x", "[1", "1 2", "'a", "012", "1__0", "{1: 2, 3}", "f'a'", "r'\\d'", "lambda: 1", "1+1"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"-".repeat(100_000)).is_err());
        assert!(parse("9**99999999").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[({\\])}'\"\\\\xub0-9eE+\\-*._,: #\n٣é]{0,60}") {
            let _ = parse(&text);
            let _ = super::super::asserts::calls(&format!("assert f({text}) == {text}"));
            let _ = super::super::value::read_line(text.as_bytes());
            let _ = super::super::compare::same_output(text.as_bytes(), b"1 2\n3", Some(0.5));
        }
    }
}
