//! JSON in the text of a completion.
//!
//! Read strictly: an object that says a key twice means different things to different readers, so it is refused; so is
//! nesting beyond 128, where the parser's recursion ends.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Longest completion that is read, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// Reads a whole text as one JSON value.
///
/// # Errors
///
/// Says where it stops being JSON, or which key stands twice.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str::<Strict>(text.trim()).map(|strict| strict.0).map_err(|error| error.to_string())
}

/// Returns the contents of the fenced blocks of a text, in order; one that never closes is none.
///
/// A fence closes at the end of a line, so that backticks within a string of JSON do not.
pub(crate) fn fenced(text: &str) -> Vec<&str> {
    let mut blocks = vec![];
    let mut rest = text;
    while let Some((_, opened)) = rest.split_once(FENCE) {
        let ends_line = |at: &usize| opened[at + FENCE.len()..].trim_start_matches([' ', '\t', '\r']);
        let is_closing = |at: &usize| ends_line(at).is_empty() || ends_line(at).starts_with('\n');
        let Some(close) = opened.match_indices(FENCE).map(|(at, _)| at).filter(|at| *at > 0).find(is_closing) else {
            break;
        };
        blocks.push(without_language(&opened[..close]));
        rest = &opened[close + FENCE.len()..];
    }
    blocks
}

const FENCE: &str = "```";

/// Returns the content of the one fenced block that a text consists of.
pub(crate) fn only_fenced(text: &str) -> Option<&str> {
    text.trim().strip_prefix(FENCE)?.strip_suffix(FENCE).map(without_language)
}

/// Drops the name of a language behind the opening fence.
fn without_language(block: &str) -> &str {
    match block.split_once('\n') {
        Some((language, json)) if !language.contains(['{', '[', '"']) => json,
        _ => block.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
    }
}

/// Returns whether a text begins and ends as an object or a list does.
pub(crate) fn is_bracketed(text: &str) -> bool {
    bracketed(text).is_some_and(|json| json.len() == text.trim().len())
}

/// Returns what stands from the first opening bracket of a text to the last that closes one of its kind.
pub(crate) fn bracketed(text: &str) -> Option<&str> {
    let open = text.find(['{', '['])?;
    let close = text.rfind(if text[open..].starts_with('{') { '}' } else { ']' })?;
    text.get(open..=close)
}

/// A value without repeated keys.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = vec![];
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("the key `{key}` stands twice")));
            }
            let value = entries.next_value_seed(Self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Whether two values are the same: numbers by value, so that `1` is `1.0`, and objects in any order.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => equal_numbers(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn equal_numbers(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        (Some(whole), None) => b.as_f64().is_some_and(|b| b.fract() == 0.0 && b.abs() < 1e18 && b as i128 == whole),
        (None, Some(_)) => equal_numbers(b, a),
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
    fn strict_reading() {
        check(" {\"a\": [1, -2, 3.5, null, true, \"x\"]} ", Ok(json!({"a": [1, -2, 3.5, null, true, "x"]})));
        check("{\"a\": 1, \"a\": 1}", Err("the key `a` stands twice at line 1 column 12"));
        check("[{\"b\": {\"a\": 1, \"a\": 2}}]", Err("the key `a` stands twice at line 1 column 19"));
        check("{} {}", Err("trailing characters at line 1 column 4"));
        check("NaN", Err("expected value at line 1 column 1"));
        check("1e999", Err("number out of range at line 1 column 5"));
        assert!(parse(&"[".repeat(100_000)).unwrap_err().starts_with("recursion limit exceeded"));
    }

    #[test]
    fn fences() {
        assert_eq!(fenced("a ```json\n{}\n```\nb ```[1]``` \nc ``` d"), ["{}\n", "[1]"]);
        assert_eq!(fenced("```json5\n{\"a\": \"```\"}\n```"), ["{\"a\": \"```\"}\n"]);
        assert_eq!(fenced("a ``` b ``` c"), [""; 0]);
        assert_eq!(only_fenced(" ```json {} ``` "), Some(" {} "));
        assert_eq!(only_fenced("x ```{}```"), None);
    }

    #[test]
    fn brackets() {
        assert_eq!(bracketed("a {1} b [2] c} d"), Some("{1} b [2] c}"));
        assert_eq!(bracketed("} {"), None);
        assert_eq!(bracketed("none"), None);
        assert!(is_bracketed(" [{}] ") && !is_bracketed("so [{}]"));
    }

    #[test]
    fn equality() {
        for (a, b, expected) in [
            ("1", "1.0", true),
            ("1", "\"1\"", false),
            ("1", "true", false),
            ("1e2", "100", true),
            ("9007199254740993", "9007199254740992.0", false),
            ("{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true),
            ("[1,2]", "[2,1]", false),
            ("{\"a\":null}", "{}", false),
        ] {
            assert_eq!(equal(&parse(a).unwrap(), &parse(b).unwrap()), expected, "{a} and {b}");
        }
    }
}
