//! Whether what a program wrote is what was expected.
//!
//! Only bytes are read, by a grammar that has no surprises: a number is ASCII digits with a sign, a point and an
//! exponent, and nothing else is one. Blanks at line ends, carriage returns there and empty lines at the end do not
//! matter; case, order and lines do.

/// Returns whether two outputs are the same, numbers within the tolerance if there is one.
///
/// With a tolerance, a pair of finite numbers agrees if it differs by at most `tolerance · max(1, |expected|)`;
/// all other words must be equal.
pub(crate) fn same_output(written: &[u8], expected: &[u8], tolerance: Option<f64>) -> bool {
    let (mut written, mut expected) = (lines(written), lines(expected));
    loop {
        match (written.next(), expected.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if same_line(a, b, tolerance) => {}
            _ => return false,
        }
    }
}

/// The lines without blanks at their ends, up to the last that is not empty.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.trim_ascii_end();
    let n = if text.is_empty() { 0 } else { usize::MAX };
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).take(n)
}

fn same_line(written: &[u8], expected: &[u8], tolerance: Option<f64>) -> bool {
    let Some(tolerance) = tolerance else { return written == expected };
    let (mut written, mut expected) = (words(written), words(expected));
    loop {
        match (written.next(), expected.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || is_near(a, b, tolerance) => {}
            _ => return false,
        }
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn is_near(written: &[u8], expected: &[u8], tolerance: f64) -> bool {
    match (number(written), number(expected)) {
        (Some(a), Some(b)) => near(a, b, tolerance),
        _ => false,
    }
}

/// Returns whether two finite numbers agree within a tolerance, absolute or relative.
pub(crate) fn near(written: f64, expected: f64, tolerance: f64) -> bool {
    written.is_finite() && expected.is_finite() && (written - expected).abs() <= tolerance * expected.abs().max(1.0)
}

/// `[+-] digits [. digits] [e [+-] digits]`, with digits on one side of the point at least, and finite.
fn number(word: &[u8]) -> Option<f64> {
    let unsigned = word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word);
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = mantissa.iter().filter(|byte| byte.is_ascii_digit()).count();
    let points = mantissa.iter().filter(|byte| **byte == b'.').count();
    let is_mantissa = digits > 0 && points <= 1 && digits + points == mantissa.len();
    let is_exponent = exponent.is_none_or(|text| {
        let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        !text.is_empty() && text.iter().all(u8::is_ascii_digit)
    });
    if !is_mantissa || !is_exponent {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: &str, tolerance: Option<f64>, same: bool) {
        let found = same_output(written.as_bytes(), expected.as_bytes(), tolerance);
        assert_eq!(found, same, "{written:?} against {expected:?}");
    }

    #[test]
    fn blanks_at_ends_do_not_matter() {
        check("5", "5\n", None, true);
        check("5 \t\r\n\n \n", "5\n", None, true);
        check("a\r\nb", "a\nb\n", None, true);
        check("", "\n\n", None, true);
        check(" 5", "5", None, false);
        check("\n5", "5", None, false);
        check("a\n\nb", "a\nb", None, false);
        check("1  2", "1 2", None, false);
        check("yes", "YES", None, false);
        check("5\n6", "5", None, false);
        check("5\0", "5", None, false);
        check("5\u{a0}", "5", None, false);
    }

    #[test]
    fn tolerances_are_for_finite_numbers() {
        check("0.30000000000000004", "0.3", Some(1e-9), true);
        check("0.30001", "0.3", Some(1e-9), false);
        check("1000001", "1000000", Some(1e-6), true);
        check("x 1.0", "x 1", Some(0.0), true);
        check("1  2", "1 2", Some(0.0), true);
        check("1 2", "1\n2", Some(1.0), false);
        check("1e3", "1000", Some(0.0), true);
        check("nan", "nan", Some(1.0), true);
        for odd in ["nan", "inf", "-inf", "infinity", "1e999", "0x1", "1_0", "٠", "1.", "--1", "1e", "1.2.3", ""] {
            check(odd, "0.3", Some(1e300), odd == "1.");
        }
    }
}
