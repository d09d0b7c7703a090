//! Closeness, for tasks that ask for no more.

use super::expression::{Arena, Id};
use super::identity::{Steps, Subject};
use super::policy::Policy;
use super::rational::Rational;

/// Bits to which a constant is approximated before it is rounded.
const PRECISION: u64 = 256;

/// The value of a constant as a rational number: exact where it is one, and close otherwise.
pub(super) fn value(arena: &Arena, id: Id, steps: &mut Steps) -> Option<Rational> {
    if arena.is_infinite(id) {
        return None;
    }
    if let Some(value) = arena.known(id) {
        return Some(value);
    }
    let (value, _) = Subject::new(arena, id).constant(PRECISION, steps)?;
    if value.is_real() { value.re.to_rational() } else { None }
}

/// Whether a number is as close to the reference as the policy asks.
pub(super) fn is_near(gold: &Rational, given: &Rational, policy: &Policy) -> bool {
    let by_decimals = policy.decimals.is_some_and(|decimals| {
        let (a, b) = (rounded(gold, decimals), rounded(given, decimals));
        // Two numbers that vanish at this precision have nothing in common.
        a == b && !a.is_zero()
    });
    by_decimals || policy.rtol.is_some_and(|rtol| is_within(gold, given, rtol))
}

/// The number in units of the last decimal.
pub(super) fn rounded(value: &Rational, decimals: u32) -> Rational {
    value.mul(&Rational::Small(10, 1).pow(decimals.min(100))).round()
}

fn is_within(gold: &Rational, given: &Rational, rtol: f64) -> bool {
    let Some(rtol) = from_f64(rtol).filter(|rtol| !rtol.is_negative()) else { return false };
    !gold.is_zero() && gold.sub(given).abs() <= gold.abs().mul(&rtol)
}

fn from_f64(value: f64) -> Option<Rational> {
    if value.is_finite() { super::real::dyadic(value).to_rational() } else { None }
}

/// The decimals that a number needs, if it is a decimal number.
pub(super) fn decimals(value: &Rational) -> Option<u32> {
    (0..=30).find(|&n| value.mul(&Rational::Small(10, 1).pow(n)).is_integer())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_and_relative_distance() {
        let number = |n, d| Rational::Small(n, d);
        let policy = Policy { decimals: Some(2), ..Policy::default() };
        assert!(is_near(&number(1, 3), &number(33, 100), &policy));
        assert!(!is_near(&number(1, 3), &number(34, 100), &policy));
        assert!(!is_near(&number(1, 1000), &number(2, 1000), &policy));
        let policy = Policy { rtol: Some(0.01), ..Policy::default() };
        assert!(is_near(&number(100, 1), &number(101, 1), &policy));
        assert!(!is_near(&number(100, 1), &number(102, 1), &policy));
        assert!(!is_near(&number(0, 1), &number(0, 1), &Policy { rtol: Some(f64::NAN), ..policy }));
        assert_eq!(decimals(&number(5, 4)), Some(2));
        assert_eq!(decimals(&number(1, 3)), None);
    }
}
