//! Python literals, in which some data sets write their constraints.
//!
//! `[{'instruction_id': ['punctuation:no_comma'], 'kwargs': [None]}]` is what Python prints for a list, and it is not
//! JSON. This reader knows texts, numbers, `None`, `True`, `False`, lists, tuples and dictionaries with text for keys,
//! and evaluates nothing.

use serde_json::{Map, Number, Value};

/// Deeper nesting is refused.
const DEEPEST: usize = 32;

/// Reads a whole text as one literal.
///
/// # Errors
///
/// Says what was expected, and at which character.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = reader.value()?;
    reader.skip_blanks();
    if reader.at < text.len() { Err(reader.expected("nothing more")) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn expected(&self, what: &str) -> String {
        let place = self.text[..self.at].chars().count() + 1;
        match self.rest().chars().next() {
            Some(found) => format!("character {place}: expected {what}, found `{found}`"),
            None => format!("character {place}: expected {what}, found the end"),
        }
    }

    fn take(&mut self, mark: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(mark);
        if found {
            self.at += mark.len();
        }
        found
    }

    fn is_at(&mut self, mark: &str) -> bool {
        self.skip_blanks();
        self.rest().starts_with(mark)
    }

    fn value(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("a literal may be nested {DEEPEST} deep, not deeper"));
        }
        self.skip_blanks();
        let value = match self.rest().chars().next() {
            Some('[') => self.items("[", "]"),
            Some('(') => self.items("(", ")"),
            Some('{') => self.dictionary(),
            Some('\'' | '"') => self.string().map(Value::String),
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn items(&mut self, open: &str, close: &str) -> Result<Value, String> {
        self.take(open);
        let mut items = vec![];
        while !self.take(close) {
            items.push(self.value()?);
            if !self.take(",") && !self.is_at(close) {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
        }
        Ok(Value::Array(items))
    }

    fn dictionary(&mut self) -> Result<Value, String> {
        self.take("{");
        let mut map = Map::new();
        while !self.take("}") {
            self.skip_blanks();
            let key = self.string()?;
            if !self.take(":") {
                return Err(self.expected("`:`"));
            }
            let value = self.value()?;
            if map.contains_key(&key) {
                return Err(format!("the key `{key}` stands twice"));
            }
            map.insert(key, value);
            if !self.take(",") && !self.is_at("}") {
                return Err(self.expected("`,` or `}`"));
            }
        }
        Ok(Value::Object(map))
    }

    fn string(&mut self) -> Result<String, String> {
        let Some(quote @ ('\'' | '"')) = self.rest().chars().next() else {
            return Err(self.expected("a text in quotes"));
        };
        self.at += 1;
        let mut string = String::new();
        while let Some(c) = self.rest().chars().next() {
            self.at += c.len_utf8();
            match c {
                '\n' => break,
                '\\' => string.extend(self.escape()?),
                c if c == quote => return Ok(string),
                c => string.push(c),
            }
        }
        Err(self.expected("a closing quote"))
    }

    /// Reads what follows a backslash; a backslash at the end of a line joins lines, and an unknown escape is itself.
    fn escape(&mut self) -> Result<Vec<char>, String> {
        let Some(c) = self.rest().chars().next() else { return Err(self.expected("an escape")) };
        self.at += c.len_utf8();
        let plain = |c| Ok(vec![c]);
        match c {
            '\n' => Ok(vec![]),
            'n' => plain('\n'),
            't' => plain('\t'),
            'r' => plain('\r'),
            'a' => plain('\u{7}'),
            'b' => plain('\u{8}'),
            'f' => plain('\u{c}'),
            'v' => plain('\u{b}'),
            '\\' | '\'' | '"' => plain(c),
            'x' => self.code(2).map(|c| vec![c]),
            'u' => self.code(4).map(|c| vec![c]),
            'U' => self.code(8).map(|c| vec![c]),
            '0'..='7' => {
                self.at -= 1;
                let length = self.rest().bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                self.digits(length, 8).map(|c| vec![c])
            }
            other => Ok(vec!['\\', other]),
        }
    }

    fn code(&mut self, length: usize) -> Result<char, String> {
        self.digits(length, 16)
    }

    fn digits(&mut self, length: usize, radix: u32) -> Result<char, String> {
        let code = self.rest().get(..length).and_then(|digits| u32::from_str_radix(digits, radix).ok());
        let c = code.and_then(char::from_u32).ok_or_else(|| self.expected("the code of a character"))?;
        self.at += length;
        Ok(c)
    }

    fn number(&mut self) -> Result<Value, String> {
        let length = self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
        let digits = self.rest()[..length].trim_start_matches('+');
        let whole = digits.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| digits.parse::<f64>().ok().and_then(Number::from_f64));
        let number = number.ok_or_else(|| self.expected("a number"))?;
        self.at += length;
        Ok(Value::Number(number))
    }

    fn word(&mut self) -> Result<Value, String> {
        const WORDS: [(&str, Value); 6] = [
            ("None", Value::Null),
            ("True", Value::Bool(true)),
            ("False", Value::Bool(false)),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ];
        let length = self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let word = &self.rest()[..length];
        let known = WORDS.iter().find(|(name, _)| *name == word).map(|(_, value)| value.clone());
        let value = known.ok_or_else(|| self.expected("a literal"))?;
        self.at += length;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Value, &str>) {
        assert_eq!(parse(text), expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn literals() {
        check(
            "[{'instruction_id': ['a:b', \"c\"], 'kwargs': [None, {'n': 0, 'x': -2.5, 'y': True}]}]",
            Ok(json!([{"instruction_id": ["a:b", "c"], "kwargs": [null, {"n": 0, "x": -2.5, "y": true}]}])),
        );
        check(" ('it\\'s', \"a\\n\\u00e9\\x41\\101\\d\",) ", Ok(json!(["it's", "a\né\u{41}A\\d"])));
        check("{}", Ok(json!({})));
        check("[1, null, true]", Ok(json!([1, null, true])));
    }

    #[test]
    fn refusals() {
        check("[1", Err("character 3: expected `,` or `]`, found the end"));
        check("__import__('os')", Err("character 1: expected a literal, found `_`"));
        check("{'a': 1, 'a': 2}", Err("the key `a` stands twice"));
        check("'a", Err("character 3: expected a closing quote, found the end"));
        check("[1] 2", Err("character 5: expected nothing more, found `2`"));
        check(&"[".repeat(100_000), Err("a literal may be nested 32 deep, not deeper"));
        check("{1: 2}", Err("character 2: expected a text in quotes, found `1`"));
        check("'\\ud800'", Err("character 4: expected the code of a character, found `d`"));
    }
}
