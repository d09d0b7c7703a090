//! Plain Python values, outside of Python: how they cross, and when they are equal.
//!
//! Equality is Python's between exact builtin types, `1 == 1.0 == True` included, and it is computed here: no method of
//! the program has a say.

use std::collections::{HashMap, HashSet};

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive, Zero};
use serde_json::{Value as Json, json};

use super::compare::near;
use super::literal;

/// The deepest nesting of a value that crosses.
pub(crate) const DEEPEST: usize = 200;

/// A value of an exact builtin type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(BigInt),
    Float(f64),
    Complex(f64, f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    Tuple(Vec<Self>),
    Set(Vec<Self>),
    FrozenSet(Vec<Self>),
    Dict(Vec<(Self, Self)>),
    /// A JSON array of a task, which stands for a list as an argument and for a list or a tuple as a result.
    Array(Vec<Self>),
    /// Something else of the program's, which equals nothing.
    Object,
}

impl Value {
    /// Reads a value of a task: JSON, in which `{"$py": "…"}` is a Python literal.
    pub(crate) fn of_task(json: &Json) -> Result<Self, String> {
        Ok(match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), _, _) => Self::Int(value.into()),
                (_, Some(value), _) => Self::Int(value.into()),
                (_, _, Some(value)) => Self::Float(value),
                _ => return Err(format!("the number {number} cannot be read")),
            },
            Json::String(text) => Self::Str(text.clone()),
            Json::Array(items) => Self::Array(items.iter().map(Self::of_task).collect::<Result<_, _>>()?),
            Json::Object(object) => match object.get("$py") {
                Some(Json::String(text)) if object.len() == 1 => literal::parse(text)?,
                Some(_) => return Err("`$py` stands alone and holds the text of a Python literal".to_owned()),
                None => {
                    let pair = |(key, value): (&String, &Json)| Ok((Self::Str(key.clone()), Self::of_task(value)?));
                    Self::Dict(object.iter().map(pair).collect::<Result<_, String>>()?)
                }
            },
        })
    }

    /// Writes a value as it crosses: scalars as themselves, the rest as a list that begins with a letter for the type.
    pub(crate) fn to_wire(&self) -> Json {
        let all = |letter: &str, items: &[Self]| {
            Json::Array([json!(letter)].into_iter().chain(items.iter().map(Self::to_wire)).collect())
        };
        match self {
            Self::None | Self::Object => Json::Null,
            Self::Bool(value) => json!(value),
            Self::Int(value) => match value.to_i64().filter(|value| value.abs() < 1 << 53) {
                Some(small) => json!(small),
                None => json!(["i", format!("{value:#x}")]),
            },
            Self::Float(value) if value.is_finite() => json!(value),
            Self::Float(value) => json!(["f", value.to_string()]),
            Self::Complex(real, imaginary) => json!(["c", real.to_string(), imaginary.to_string()]),
            Self::Str(text) => json!(text),
            Self::Bytes(bytes) => json!(["b", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()]),
            Self::List(items) | Self::Array(items) => all("l", items),
            Self::Tuple(items) => all("t", items),
            Self::Set(items) => all("s", items),
            Self::FrozenSet(items) => all("F", items),
            Self::Dict(pairs) => {
                let items = pairs.iter().flat_map(|(key, value)| [key.to_wire(), value.to_wire()]);
                Json::Array([json!("d")].into_iter().chain(items).collect())
            }
        }
    }

    /// Reads what has crossed; none if it keeps to no form.
    pub(crate) fn of_wire(json: &Json) -> Option<Self> {
        Some(match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value.into()),
                None => Self::Float(number.as_f64()?),
            },
            Json::String(text) => Self::Str(text.clone()),
            Json::Array(items) => Self::of_letter(items.first()?.as_str()?, &items[1..])?,
            Json::Object(_) => return None,
        })
    }

    fn of_letter(letter: &str, rest: &[Json]) -> Option<Self> {
        let text = || rest.first()?.as_str();
        let items = || rest.iter().map(Self::of_wire).collect::<Option<Vec<Self>>>();
        Some(match letter {
            "l" => Self::List(items()?),
            "t" => Self::Tuple(items()?),
            "s" => Self::Set(items()?),
            "F" => Self::FrozenSet(items()?),
            "d" => {
                let mut items = items()?.into_iter();
                let mut pairs = vec![];
                while let Some(key) = items.next() {
                    pairs.push((key, items.next()?));
                }
                Self::Dict(pairs)
            }
            "i" => Self::Int(hexadecimal(text()?)?),
            "f" => Self::Float(special(text()?)?),
            "c" => Self::Complex(special(text()?)?, special(rest.get(1)?.as_str()?)?),
            "b" => Self::Bytes(bytes(text()?)?),
            _ => Self::Object,
        })
    }

    /// Returns whether the value that a call returned is the expected one, this one; finite floats within the tolerance
    /// if there is one.
    pub(crate) fn accepts(&self, found: &Self, tolerance: Option<f64>) -> bool {
        let all = |expected: &[Self], found: &[Self]| {
            expected.len() == found.len() && expected.iter().zip(found).all(|(e, f)| e.accepts(f, tolerance))
        };
        match (self, found) {
            (Self::Array(expected), Self::List(found) | Self::Tuple(found))
            | (Self::List(expected), Self::List(found))
            | (Self::Tuple(expected), Self::Tuple(found)) => all(expected, found),
            (Self::Set(expected) | Self::FrozenSet(expected), Self::Set(found) | Self::FrozenSet(found)) => {
                let keys = |items: &[Self]| items.iter().map(Self::key).collect::<HashSet<String>>();
                keys(expected) == keys(found)
            }
            (Self::Dict(expected), Self::Dict(found)) => {
                let index = |pairs: &[(Self, Self)]| -> HashMap<String, usize> {
                    pairs.iter().enumerate().map(|(i, (key, _))| (key.key(), i)).collect()
                };
                let (in_expected, in_found) = (index(expected), index(found));
                in_expected.len() == in_found.len()
                    && in_expected.iter().all(|(key, i)| {
                        in_found.get(key).is_some_and(|j| expected[*i].1.accepts(&found[*j].1, tolerance))
                    })
            }
            (Self::Str(expected), Self::Str(found)) => expected == found,
            (Self::Bytes(expected), Self::Bytes(found)) => expected == found,
            (Self::None, Self::None) => true,
            (Self::Complex(..), _) | (_, Self::Complex(..)) => match (self.as_complex(), found.as_complex()) {
                (Some(expected), Some(found)) => expected == found,
                _ => false,
            },
            _ => match (self.as_number(), found.as_number()) {
                (Some(expected), Some(found)) => expected.equals(&found, tolerance),
                _ => false,
            },
        }
    }

    fn as_number(&self) -> Option<Number> {
        match self {
            Self::Bool(value) => Some(Number::Int(BigInt::from(u8::from(*value)))),
            Self::Int(value) => Some(Number::Int(value.clone())),
            Self::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }

    fn as_complex(&self) -> Option<(f64, f64)> {
        match self {
            Self::Complex(real, imaginary) => Some((*real, *imaginary)),
            _ => Some((self.as_number()?.to_f64(), 0.0)),
        }
    }

    /// A text that equal hashable values share.
    fn key(&self) -> String {
        let all = |items: &[Self]| items.iter().map(Self::key).collect::<Vec<_>>();
        match self {
            Self::Str(text) => format!("{text:?}"),
            Self::Tuple(items) | Self::Array(items) => format!("({})", all(items).join(",")),
            Self::FrozenSet(items) | Self::Set(items) => {
                let mut keys = all(items);
                keys.sort();
                keys.dedup();
                format!("{{{}}}", keys.join(","))
            }
            other => match other.as_number() {
                Some(number) => number.key(),
                None => format!("{other:?}"),
            },
        }
    }
}

/// An integer or a float, which Python compares exactly.
enum Number {
    Int(BigInt),
    Float(f64),
}

impl Number {
    fn equals(&self, found: &Self, tolerance: Option<f64>) -> bool {
        let is_equal = match (self, found) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Int(a), Self::Float(b)) | (Self::Float(b), Self::Int(a)) => whole(*b).as_ref() == Some(a),
        };
        let is_exact = matches!((self, found), (Self::Int(_), Self::Int(_)));
        is_equal || !is_exact && tolerance.is_some_and(|t| near(found.to_f64(), self.to_f64(), t))
    }

    fn to_f64(&self) -> f64 {
        match self {
            Self::Int(value) => value.to_f64().unwrap_or(f64::INFINITY),
            Self::Float(value) => *value,
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Float(value) => whole(*value).map_or_else(|| format!("{value:?}"), |whole| whole.to_string()),
        }
    }
}

fn whole(value: f64) -> Option<BigInt> {
    if value.is_finite() && value.fract().is_zero() { BigInt::from_f64(value) } else { None }
}

fn hexadecimal(text: &str) -> Option<BigInt> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let digits = digits.strip_prefix("0x")?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(BigInt::parse_bytes(digits.as_bytes(), 16)? * sign)
}

/// A float in Python's spelling; only where JSON has none, hence the special ones too.
fn special(text: &str) -> Option<f64> {
    match text {
        "nan" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte)) => text.parse().ok(),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?).ok()).collect()
}

/// Reads one line that a program wrote; none if it is not JSON, or nested more deeply than a value may be.
pub(crate) fn read_line(line: &[u8]) -> Option<Json> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => depth += 1,
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST + 8 {
            return None;
        }
    }
    let mut reader = serde_json::Deserializer::from_slice(line);
    reader.disable_recursion_limit(); // we have just counted
    let json = serde::Deserialize::deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, found: &str, tolerance: Option<f64>, equal: bool) {
        let read = |text: &str| literal::parse(text).unwrap();
        assert_eq!(read(expected).accepts(&read(found), tolerance), equal, "{expected} against {found}");
    }

    #[test]
    fn equality_is_pythons() {
        check("1", "1.0", None, true);
        check("1", "True", None, true);
        check("10**0", "1", None, true);
        check("100000000000000000000", "1e20", None, true);
        check("100000000000000000001", "1e20", None, false);
        check("[1, 2]", "(1, 2)", None, false);
        check("{1, 2, 2}", "{2.0, True}", None, true);
        check("{1: 'a', 2: 'b'}", "{2: 'b', 1.0: 'a'}", None, true);
        check("{1: 'a'}", "{1: 'b'}", None, false);
        check("'1'", "1", None, false);
        check("b'a'", "'a'", None, false);
        check("None", "False", None, false);
        check("0", "False", None, true);
        check("[[1], {'a': (2,)}]", "[[1], {'a': (2,)}]", None, true);
    }

    #[test]
    fn tolerances_are_for_floats() {
        check("0.3", "0.30000000000000004", None, false);
        check("0.3", "0.30000000000000004", Some(1e-9), true);
        check("[1, 0.5]", "[1, 0.50001]", Some(1e-3), true);
        check("5", "6", Some(10.0), false);
        check("5", "6.0", Some(10.0), true);
    }

    #[test]
    fn json_arrays_accept_tuples() {
        let expected = Value::of_task(&json!([1, [2, 3]])).unwrap();
        assert!(expected.accepts(&literal::parse("(1, [2, 3])").unwrap(), None));
        let strict = Value::of_task(&json!({"$py": "[1, 2]"})).unwrap();
        assert!(!strict.accepts(&literal::parse("(1, 2)").unwrap(), None));
        assert!(Value::of_task(&json!({"$py": "f(1)"})).is_err());
    }

    #[test]
    fn what_crosses_comes_back() {
        let text = "[1, -2.5, None, True, 'é\\n', b'\\x00a', (1,), {2}, {'a': [3]}, 123456789012345678901234567890]";
        let value = literal::parse(text).unwrap();
        assert_eq!(Value::of_wire(&value.to_wire()), Some(value));
    }

    #[test]
    fn hostile_lines_are_no_values() {
        assert_eq!(read_line("[".repeat(100_000).as_bytes()), None);
        assert_eq!(read_line(b"\"\\ud800\""), None);
        assert_eq!(read_line(b"1 2"), None);
        for odd in [json!(["i", "0x"]), json!(["i", "12"]), json!(["f", "1_0"]), json!(["b", "0"]), json!({"v": 1})] {
            assert_eq!(Value::of_wire(&odd), None, "{odd}");
        }
        assert_eq!(Value::of_wire(&json!(["h", 3])), Some(Value::Object));
        assert!(!Value::Object.accepts(&Value::Object, None));
    }
}
