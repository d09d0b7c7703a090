//! Exact rational numbers: two machine words where they suffice, big integers elsewhere.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// A rational number in lowest terms.
///
/// `Big` holds only what does not fit `Small`, so that equal values have equal representations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rational {
    /// Numerator and positive denominator; the numerator is never `i64::MIN`.
    Small(i64, i64),
    /// Anything larger.
    Big(Box<BigRational>),
}

impl Rational {
    pub(super) const ZERO: Self = Self::Small(0, 1);
    pub(super) const ONE: Self = Self::Small(1, 1);

    /// The quotient, unless the denominator is zero.
    pub(super) fn new(numerator: BigInt, denominator: BigInt) -> Option<Self> {
        if denominator.is_zero() {
            return None;
        }
        let divisor = big_gcd(&numerator, &denominator);
        let divisor = if denominator.is_negative() { -divisor } else { divisor };
        if divisor.is_one() {
            return Some(Self::from_big(BigRational::new_raw(numerator, denominator)));
        }
        Some(Self::from_big(BigRational::new_raw(numerator / &divisor, denominator / divisor)))
    }

    pub(super) fn from_big(value: BigRational) -> Self {
        match (value.numer().to_i64(), value.denom().to_i64()) {
            (Some(n), Some(d)) if n != i64::MIN => Self::Small(n, d),
            _ => Self::Big(Box::new(value)),
        }
    }

    pub(super) fn integer(value: BigInt) -> Self {
        Self::from_big(BigRational::from_integer(value))
    }

    /// `n / 2^k`, for `k < 63`.
    pub(super) fn from_dyadic(n: i64, k: u32) -> Self {
        let zeros = n.trailing_zeros().min(k);
        Self::Small(n >> zeros, 1 << (k - zeros))
    }

    /// `n · 2^e`.
    pub(super) fn from_scaled(n: &BigInt, e: i64) -> Self {
        if e >= 0 {
            return Self::integer(n << e.unsigned_abs());
        }
        let zeros = n.trailing_zeros().unwrap_or(u64::MAX).min(e.unsigned_abs());
        let denominator = BigInt::one() << (e.unsigned_abs() - zeros);
        Self::from_big(BigRational::new_raw(n >> zeros, denominator))
    }

    pub(super) fn to_big(&self) -> BigRational {
        match self {
            Self::Small(n, d) => BigRational::new_raw((*n).into(), (*d).into()),
            Self::Big(value) => (**value).clone(),
        }
    }

    /// Numerator and denominator.
    pub(super) fn parts(&self) -> (BigInt, BigInt) {
        match self {
            Self::Small(n, d) => ((*n).into(), (*d).into()),
            Self::Big(value) => (value.numer().clone(), value.denom().clone()),
        }
    }

    /// The quotient of two products, reduced; the denominator must be positive.
    fn reduced(n: i128, d: i128) -> Self {
        let (n, d) = if d == 1 { (n, d) } else { reduce(n, d) };
        match (i64::try_from(n), i64::try_from(d)) {
            (Ok(n), Ok(d)) if n != i64::MIN => Self::Small(n, d),
            _ => Self::Big(Box::new(BigRational::new_raw(n.into(), d.into()))),
        }
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Small(a, b), Self::Small(c, d)) => {
                let (a, b, c, d) = (i128::from(*a), i128::from(*b), i128::from(*c), i128::from(*d));
                // |ad| and |cb| stay below 2¹²⁶, so the sum fits.
                Self::reduced(a * d + c * b, b * d)
            }
            _ => {
                let ((a, b), (c, d)) = (self.parts(), other.parts());
                if b.is_one() && d.is_one() {
                    return Self::integer(a + c);
                }
                Self::new(a * &d + c * &b, b * d).expect("denominators are positive")
            }
        }
    }

    pub(super) fn neg(&self) -> Self {
        match self {
            Self::Small(n, d) => Self::Small(-n, *d),
            Self::Big(value) => Self::from_big(-&**value),
        }
    }

    pub(super) fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    pub(super) fn mul(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Small(a, b), Self::Small(c, d)) => {
                Self::reduced(i128::from(*a) * i128::from(*c), i128::from(*b) * i128::from(*d))
            }
            _ => {
                let ((a, b), (c, d)) = (self.parts(), other.parts());
                Self::new(a * c, b * d).expect("denominators are positive")
            }
        }
    }

    /// The reciprocal, unless this is zero.
    pub(super) fn recip(&self) -> Option<Self> {
        match self {
            Self::Small(0, _) => None,
            Self::Small(n, d) => Some(if *n < 0 { Self::Small(-d, -n) } else { Self::Small(*d, *n) }),
            Self::Big(value) => Some(Self::from_big(value.recip())),
        }
    }

    pub(super) fn div(&self, other: &Self) -> Option<Self> {
        other.recip().map(|r| self.mul(&r))
    }

    /// An integral power; the caller has bounded the bits of the result.
    pub(super) fn pow(&self, exponent: u32) -> Self {
        if let Self::Small(n, d) = self
            && let (Some(n), Some(d)) = (n.checked_pow(exponent), d.checked_pow(exponent))
            && n != i64::MIN
        {
            return Self::Small(n, d);
        }
        let value = self.to_big();
        Self::from_big(BigRational::new_raw(value.numer().pow(exponent), value.denom().pow(exponent)))
    }

    pub(super) fn is_zero(&self) -> bool {
        matches!(self, Self::Small(0, _))
    }

    pub(super) fn is_negative(&self) -> bool {
        match self {
            Self::Small(n, _) => *n < 0,
            Self::Big(value) => value.is_negative(),
        }
    }

    pub(super) fn is_integer(&self) -> bool {
        match self {
            Self::Small(_, d) => *d == 1,
            Self::Big(value) => value.is_integer(),
        }
    }

    pub(super) fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// The value, if it is an integer of one word.
    pub(super) fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Small(n, 1) => Some(*n),
            _ => None,
        }
    }

    /// Bits of the larger of numerator and denominator.
    pub(super) fn bits(&self) -> u64 {
        match self {
            Self::Small(n, d) => u64::from(64 - n.unsigned_abs().max(d.unsigned_abs()).leading_zeros()),
            Self::Big(value) => value.numer().bits().max(value.denom().bits()),
        }
    }

    pub(super) fn floor(&self) -> Self {
        match self {
            Self::Small(n, d) => Self::Small(n.div_euclid(*d), 1),
            Self::Big(value) => Self::from_big(value.floor()),
        }
    }

    /// The nearest integer, halves away from zero.
    pub(super) fn round(&self) -> Self {
        let half = Self::Small(1, 2);
        let magnitude = self.abs().add(&half).floor();
        if self.is_negative() { magnitude.neg() } else { magnitude }
    }

    /// The greatest rational of which both are integral multiples.
    pub(super) fn gcd(&self, other: &Self) -> Self {
        let (a, b) = (self.to_big(), other.to_big());
        let above = big_gcd(&(a.numer() * b.denom()), &(b.numer() * a.denom()));
        Self::new(above, a.denom() * b.denom()).expect("denominators are positive")
    }

    /// The exact root, if it is rational; negative numbers have one of odd degree.
    pub(super) fn root(&self, degree: u32) -> Option<Self> {
        if self.is_negative() && degree.is_multiple_of(2) {
            return None;
        }
        if let Self::Small(n, 1) = self
            && degree == 2
        {
            let root = n.isqrt();
            return (root * root == *n).then_some(Self::Small(root, 1));
        }
        let value = self.to_big();
        let exact = |x: &BigInt| {
            let root = x.nth_root(degree);
            (root.pow(degree) == *x).then_some(root)
        };
        Self::new(exact(value.numer())?, exact(value.denom())?)
    }
}

fn reduce(n: i128, d: i128) -> (i128, i128) {
    let g = match (u64::try_from(n.unsigned_abs()), u64::try_from(d)) {
        (Ok(a), Ok(b)) => i128::from(gcd_words(a, b)),
        _ => gcd_wide(n.unsigned_abs(), d.unsigned_abs()) as i128,
    };
    (n / g, d / g)
}

fn gcd_words(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn gcd_wide(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The greatest common divisor by Euclid's steps, which also serve numbers of very different sizes.
fn big_gcd(a: &BigInt, b: &BigInt) -> BigInt {
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        if let (Some(x), Some(y)) = (a.to_u64(), b.to_u64()) {
            return gcd_words(x, y).into();
        }
        if b.is_one() {
            return b;
        }
        let remainder = &a % &b;
        (a, b) = (b, remainder);
    }
    a
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Small(a, b), Self::Small(c, d)) => {
                (i128::from(*a) * i128::from(*d)).cmp(&(i128::from(*c) * i128::from(*b)))
            }
            _ => self.to_big().cmp(&other.to_big()),
        }
    }
}

impl std::fmt::Display for Rational {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Small(n, 1) => write!(f, "{n}"),
            Self::Small(n, d) => write!(f, "{n}/{d}"),
            Self::Big(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &Rational, expected: &str) {
        assert_eq!(value.to_string(), expected);
    }

    #[test]
    fn words_overflow_into_big_numbers_and_come_back() {
        let large = Rational::Small(i64::MAX, 1);
        let sum = large.add(&Rational::ONE);
        check(&sum, "9223372036854775808");
        assert_eq!(sum.sub(&Rational::ONE), large);
        check(&large.mul(&large), "85070591730234615847396907784232501249");
        assert_eq!(large.mul(&large).div(&large), Some(large.clone()));
        check(&Rational::Small(2, 3).pow(50).mul(&Rational::Small(3, 2).pow(50)), "1");
    }

    #[test]
    fn roots_are_exact_or_absent() {
        assert_eq!(Rational::Small(49, 4).root(2), Some(Rational::Small(7, 2)));
        assert_eq!(Rational::Small(50, 1).root(2), None);
        assert_eq!(Rational::Small(-8, 27).root(3), Some(Rational::Small(-2, 3)));
        assert_eq!(Rational::Small(-4, 1).root(2), None);
    }

    #[test]
    fn divisors_of_rationals() {
        check(&Rational::Small(18, 5).gcd(&Rational::Small(12, 5)), "6/5");
        check(&Rational::Small(-12, 1).gcd(&Rational::Small(0, 1)), "12");
        check(&Rational::ZERO.gcd(&Rational::Small(4, 1)), "4");
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        check(&Rational::Small(-5, 2).round(), "-3");
        check(&Rational::Small(7, 3).round(), "2");
    }
}
