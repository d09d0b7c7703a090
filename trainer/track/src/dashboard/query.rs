//! What stands behind the `?` of a URL.

use std::str::FromStr;

use super::api::Refusal;

/// The names and values of a query, in order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=x%20y`.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// A value that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a name that may come several times.
    pub(super) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A number, if it is there.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let refuse = |_| Refusal::bad(format!("`{name}` is `{text}`, which is not a number of its kind"));
        text.parse().map(Some).map_err(refuse)
    }

    /// A number that must be there.
    pub(super) fn needed<T: FromStr>(&self, name: &str) -> Result<T, Refusal> {
        self.number(name)?.ok_or_else(|| Refusal::bad(format!("`{name}` is missing")))
    }
}

fn decode(text: &str) -> Result<String, Refusal> {
    let refuse = || Refusal::bad(format!("`{text}` is not percent-encoded UTF-8"));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (decoded, width) = match byte {
            b'+' => (b' ', 1),
            b'%' => {
                let digits = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
                let digits = std::str::from_utf8(digits.ok_or_else(refuse)?).map_err(|_| refuse())?;
                (u8::from_str_radix(digits, 16).map_err(|_| refuse())?, 3)
            }
            _ => (byte, 1),
        };
        out.push(decoded);
        at += width;
    }
    String::from_utf8(out).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Query::parse(text).ok().and_then(|query| query.text("q").map(str::to_owned)).as_deref(), expected);
    }

    #[test]
    fn values_are_decoded() {
        check("q=a%20b+c%C3%A9&r=1", Some("a b cé"));
        check("q=", None);
        check("r=1", None);
        for damaged in ["q=%", "q=%2", "q=%zz", "q=%+1", "q=%ff"] {
            check(damaged, None);
            assert!(Query::parse(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn numbers_are_of_their_kind() {
        let query = Query::parse("a=12&b=-1").unwrap();
        assert_eq!(query.number::<u64>("a").unwrap(), Some(12));
        assert_eq!(query.number::<u64>("c").unwrap(), None);
        assert_eq!(query.number::<u64>("b").unwrap_err().why, "`b` is `-1`, which is not a number of its kind");
        assert_eq!(query.needed::<u64>("c").unwrap_err().why, "`c` is missing");
    }
}
