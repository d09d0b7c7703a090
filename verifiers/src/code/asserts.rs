//! Assertions that are no more than calls with known results.
//!
//! `assert f(1, [2]) == 3` needs no interpreter for the tests: the values can be read here, the call made in the
//! program's sandbox alone, and the result compared here. That is the cheapest form of test and the safest.

use super::literal::Reader;
use super::value::Value;

/// A call and what it must return.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) entry: String,
    pub(crate) args: Vec<Value>,
    pub(crate) kwargs: Vec<(String, Value)>,
    pub(crate) expected: Value,
}

/// Reads test code as calls; none if a single statement of it is anything else.
pub(crate) fn calls(code: &str) -> Option<Vec<Call>> {
    let mut calls = vec![];
    let mut rest = code;
    loop {
        rest = match rest.strip_prefix(';') {
            Some(more) => more.trim_start_matches([' ', '\t']),
            None => rest.trim_start_matches(['\n', '\r']),
        };
        if let Some(comment) = rest.trim_start().strip_prefix('#') {
            rest = &comment[comment.find('\n').unwrap_or(comment.len())..];
            continue;
        }
        if rest.trim().is_empty() {
            return (!calls.is_empty()).then_some(calls);
        }
        let mut reader = Reader::new(rest);
        calls.push(assertion(&mut reader)?);
        reader.blanks();
        rest = reader.rest();
        if !(rest.is_empty() || rest.starts_with(['\n', ';', '#'])) {
            return None;
        }
    }
}

fn assertion(reader: &mut Reader<'_>) -> Option<Call> {
    // A statement that is indented belongs to another.
    if !reader.rest().starts_with("assert") || reader.name()? != "assert" {
        return None;
    }
    let entry = reader.name()?;
    if !reader.take("(") {
        return None;
    }
    let (args, kwargs) = reader.inside(|reader| arguments(reader).ok_or_else(String::new)).ok()?;
    if !reader.take("==") {
        return None;
    }
    let expected = reader.value().ok()?;
    if reader.take(",") {
        reader.value().ok().filter(|message| matches!(message, Value::Str(_)))?;
    }
    Some(Call { entry: entry.to_owned(), args, kwargs, expected })
}

type Arguments = (Vec<Value>, Vec<(String, Value)>);

fn arguments(reader: &mut Reader<'_>) -> Option<Arguments> {
    let (mut args, mut kwargs) = (vec![], vec![]);
    while !reader.take(")") {
        let before = reader.clone();
        match reader.name() {
            Some(name) if reader.take("=") && !reader.rest().starts_with('=') => {
                kwargs.push((name.to_owned(), reader.value().ok()?));
            }
            _ => {
                *reader = before;
                args.push(reader.value().ok()?);
            }
        }
        if !reader.take(",") && !reader.rest().starts_with(')') {
            return None;
        }
    }
    Some((args, kwargs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, expected: Option<usize>) {
        assert_eq!(calls(code).map(|calls| calls.len()), expected, "{code:?}");
    }

    #[test]
    fn calls_with_literals_are_read() {
        check("assert f(1) == 2", Some(1));
        check("assert f(1)==2\r\nassert f([1,\n 2], k='a') == {'b': (1,)} # why\n\n", Some(2));
        check("# two\nassert f() == -1; assert f((1)) == None, 'message'", Some(2));
        let call = &calls("assert add(2, y=[3]) == 5").unwrap()[0];
        assert_eq!((call.entry.as_str(), call.args.len(), call.kwargs[0].0.as_str()), ("add", 1, "y"));
        assert_eq!(call.expected, Value::Int(5.into()));
    }

    #[test]
    fn anything_else_is_left_to_an_interpreter() {
        for code in [
            "",
            "import math\nassert f(1) == 2",
            "assert f(1) == 2\nassert f(x) == 2",
            "assert f(1)",
            "assert not f(1)",
            "assert f(1) == 2 + 1",
            "assert f(1) == 2 or True",
            "assert f(1) == 2 == g(3)",
            "assert (f(1) == 2)",
            "assert f(*[1]) == 2",
            "assert a.f(1) == 2",
            "assert set(f(1)) == {2}",
            "if True:\n    assert f(1) == 2",
            "asserts(1) == 2",
            "assert f(1) == 2 if x else 3",
            "assert f(1) == [2][0]",
        ] {
            check(code, None);
        }
    }
}
