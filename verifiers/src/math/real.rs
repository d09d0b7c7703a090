//! Real numbers known to lie in an interval: a midpoint with a radius, both scaled by a power of two.
//!
//! Every operation returns an interval that contains all results of arguments in the given intervals (Moore 1966;
//! midpoints and radii as in Johansson 2017, arXiv:1611.02831). Disjoint intervals therefore prove a difference.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::rational::Rational;

/// All numbers from `(mid − rad) · 2^exp` to `(mid + rad) · 2^exp`.
#[derive(Clone, Debug)]
pub(super) struct Real {
    pub(super) mid: BigInt,
    pub(super) rad: BigUint,
    pub(super) exp: i64,
}

/// Radii are kept below this many bits, by giving up bits of the midpoint.
const RADIUS_BITS: u64 = 30;

/// Exponents beyond this are no longer calculated with.
const EXPONENT: i64 = 1 << 50;

/// Rounds down to a multiple of 2^n, in units of it.
pub(super) fn shift(value: &BigInt, n: i64) -> BigInt {
    if n >= 0 { value << (n as u64) } else { value >> (n.unsigned_abs()) }
}

impl Real {
    pub(super) fn zero() -> Self {
        Self::exact(BigInt::ZERO, 0)
    }

    pub(super) fn exact(mid: BigInt, exp: i64) -> Self {
        Self { mid, rad: BigUint::ZERO, exp }
    }

    pub(super) fn integer(value: i64) -> Self {
        Self::exact(value.into(), 0)
    }

    /// An interval with few enough bits, or nothing where the exponent is out of range.
    pub(super) fn new(mid: BigInt, rad: BigUint, exp: i64, precision: u64) -> Option<Self> {
        let excess = (mid.bits().saturating_sub(precision)).max(rad.bits().saturating_sub(RADIUS_BITS));
        let real = if excess == 0 {
            Self { mid, rad, exp }
        } else {
            // Rounding down moves the midpoint by less than one unit.
            let inexact = mid.trailing_zeros().is_some_and(|zeros| zeros < excess) || !rad.is_zero();
            let rad = if inexact { (rad >> excess) + 2_u32 } else { BigUint::ZERO };
            Self { mid: mid >> excess, rad, exp: exp + excess as i64 }
        };
        (real.exp.abs() < EXPONENT).then_some(real)
    }

    pub(super) fn from_rational(value: &Rational, precision: u64) -> Option<Self> {
        let (n, d) = value.parts();
        if d.is_one() {
            return Self::new(n, BigUint::ZERO, 0, precision);
        }
        let up = (precision as i64 + d.bits() as i64 - n.bits() as i64).max(0);
        Self::new(shift(&n, up) / d, BigUint::one(), -up, precision)
    }

    /// Whether the interval holds one number only.
    pub(super) fn is_exact(&self) -> bool {
        self.rad.is_zero()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.is_exact() && self.mid.is_zero()
    }

    pub(super) fn contains_zero(&self) -> bool {
        *self.mid.magnitude() <= self.rad
    }

    pub(super) fn is_positive(&self) -> bool {
        self.mid.is_positive() && !self.contains_zero()
    }

    pub(super) fn is_negative(&self) -> bool {
        self.mid.is_negative() && !self.contains_zero()
    }

    /// An exponent `e` with all numbers of the interval below 2^e in magnitude.
    pub(super) fn magnitude(&self) -> i64 {
        if self.is_zero() {
            return i64::MIN / 4;
        }
        self.exp + self.mid.bits().max(self.rad.bits()) as i64 + 1
    }

    pub(super) fn neg(&self) -> Self {
        Self { mid: -&self.mid, rad: self.rad.clone(), exp: self.exp }
    }

    pub(super) fn abs(&self) -> Self {
        if self.is_positive() || self.is_zero() {
            return self.clone();
        }
        if self.is_negative() {
            return self.neg();
        }
        // From 0 to |mid| + rad, with a midpoint in the middle.
        let top = self.mid.magnitude() + &self.rad;
        Self { mid: BigInt::from_biguint(Sign::Plus, top.clone()), rad: top, exp: self.exp - 1 }
    }

    pub(super) fn add(&self, other: &Self, precision: u64) -> Option<Self> {
        if self.is_zero() {
            return Some(other.clone());
        }
        if other.is_zero() {
            return Some(self.clone());
        }
        let (high, low) = if self.exp >= other.exp { (self, other) } else { (other, self) };
        // Bits far below the leading ones are replaced by one unit of radius.
        let top = high.magnitude().max(low.magnitude());
        let floor = (top - precision as i64 - 4).min(high.exp).max(low.exp);
        let up = (high.exp - floor) as u64;
        let down = (floor - low.exp) as u64;
        let mut rad = (&high.rad << up) + (&low.rad >> down);
        if down > 0 {
            rad += 2_u32;
        }
        Self::new((&high.mid << up) + (&low.mid >> down.min(low.mid.bits() + 2)), rad, floor, precision)
    }

    pub(super) fn sub(&self, other: &Self, precision: u64) -> Option<Self> {
        self.add(&other.neg(), precision)
    }

    pub(super) fn mul(&self, other: &Self, precision: u64) -> Option<Self> {
        if self.is_zero() || other.is_zero() {
            return Some(Self::zero());
        }
        let rad = match (self.is_exact(), other.is_exact()) {
            (true, true) => BigUint::ZERO,
            (true, false) => self.mid.magnitude() * &other.rad,
            (false, true) => other.mid.magnitude() * &self.rad,
            _ => self.mid.magnitude() * &other.rad + (other.mid.magnitude() + &other.rad) * &self.rad,
        };
        Self::new(&self.mid * &other.mid, rad, self.exp + other.exp, precision)
    }

    /// The quotient, unless the divisor may be zero.
    pub(super) fn div(&self, other: &Self, precision: u64) -> Option<Self> {
        if other.contains_zero() {
            return None;
        }
        if self.is_zero() {
            return Some(Self::zero());
        }
        let up = (precision as i64 + 2 + other.mid.bits() as i64 - self.mid.bits() as i64).max(0);
        let (a, b) = (self.mid.magnitude(), other.mid.magnitude());
        // |x/y − a/b| ≤ (r b + a s) / (b (b − s)).
        let rad = if self.is_exact() && other.is_exact() {
            BigUint::one()
        } else {
            let spread = (&self.rad * b + a * &other.rad) << (up as u64);
            spread / (b * (b - &other.rad)) + 2_u32
        };
        Self::new(shift(&self.mid, up) / &other.mid, rad, self.exp - other.exp - up, precision)
    }

    /// The square root of the part of the interval that is not negative; nothing if there is none.
    pub(super) fn sqrt(&self, precision: u64) -> Option<Self> {
        if self.is_negative() {
            return None;
        }
        if self.is_zero() {
            return Some(Self::zero());
        }
        if self.contains_zero() {
            let top = (self.mid.magnitude() + &self.rad) << (self.exp.rem_euclid(2) as u64);
            let root = top.sqrt() + 1_u32;
            let exp = self.exp.div_euclid(2) - 1;
            return Some(Self { mid: BigInt::from_biguint(Sign::Plus, root.clone()), rad: root, exp });
        }
        let mut up = (2 * precision as i64 + 4 - self.mid.bits() as i64).max(0);
        if (self.exp - up).rem_euclid(2) != 0 {
            up += 1;
        }
        let root = (self.mid.magnitude() << (up as u64)).sqrt();
        // |√x − √m| = |x − m| / (√x + √m) ≤ r / √m, as √x ≥ 0.
        let rad = if self.is_exact() { BigUint::one() } else { (&self.rad << (up as u64)) / &root + 2_u32 };
        Self::new(root.into(), rad, (self.exp - up) / 2, precision)
    }

    /// A power with an integral exponent, by squaring.
    pub(super) fn powi(&self, exponent: u64, precision: u64) -> Option<Self> {
        let (mut power, mut square, mut rest) = (Self::integer(1), self.clone(), exponent);
        while rest > 0 {
            if rest & 1 == 1 {
                power = power.mul(&square, precision)?;
            }
            rest >>= 1;
            if rest > 0 {
                square = square.mul(&square, precision)?;
            }
        }
        Some(power)
    }

    /// The smallest and the largest integer part of the numbers of the interval.
    pub(super) fn floors(&self) -> Option<(BigInt, BigInt)> {
        if self.magnitude() > 4096 {
            return None;
        }
        let rad = BigInt::from_biguint(Sign::Plus, self.rad.clone());
        Some((shift(&(&self.mid - &rad), self.exp), shift(&(&self.mid + &rad), self.exp)))
    }

    /// The midpoint as `m · 2^e` with `m` in double precision, `0.5 ≤ |m| < 1` unless zero.
    pub(super) fn approximate(&self) -> (f64, i64) {
        let bits = self.mid.bits() as i64;
        let top = shift(&self.mid, 60 - bits).to_i64().unwrap_or(0);
        (top as f64 / (1_u64 << 60) as f64, self.exp + bits)
    }

    /// The midpoint in double precision, where it fits.
    pub(super) fn to_f64(&self) -> f64 {
        let (m, e) = self.approximate();
        if e > 1000 {
            m.signum() * f64::MAX
        } else if e < -1000 {
            0.0
        } else {
            m * (e as f64).exp2()
        }
    }

    /// The midpoint as a rational number, where it is of moderate size.
    pub(super) fn to_rational(&self) -> Option<Rational> {
        if self.exp.abs() > 4096 {
            return None;
        }
        Some(Rational::from_scaled(&self.mid, self.exp))
    }

    /// The integer next to the midpoint, where that is of moderate size.
    pub(super) fn nearest(&self) -> Option<BigInt> {
        if self.magnitude() > 4096 {
            return None;
        }
        // Less than a half, perhaps by so much that the shift below would need more memory than there is.
        if self.magnitude() < 0 {
            return Some(BigInt::ZERO);
        }
        if self.exp >= 0 {
            return Some(shift(&self.mid, self.exp));
        }
        let half = BigInt::one() << (self.exp.unsigned_abs() - 1);
        Some(shift(&(&self.mid + half), self.exp))
    }

    /// Widens the interval by `2^exponent` on both sides.
    pub(super) fn widen(&self, exponent: i64, precision: u64) -> Option<Self> {
        self.add(&Self { mid: BigInt::ZERO, rad: BigUint::one(), exp: exponent }, precision)
    }
}

/// The double as an exact number.
pub(super) fn dyadic(value: f64) -> Real {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    if exponent == 0 || exponent == 0x7ff {
        return Real::zero();
    }
    let mantissa = fraction | (1 << 52);
    Real::exact((if value < 0.0 { -mantissa } else { mantissa }).into(), exponent - 1075)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the interval holds the rational number and is narrow.
    #[track_caller]
    fn check(value: Option<Real>, n: i64, d: i64) {
        let value = value.unwrap();
        let expected = Real::from_rational(&Rational::Small(n, d), 300).unwrap();
        let gap = value.sub(&expected, 300).unwrap();
        assert!(gap.contains_zero(), "{value:?} is not {n}/{d}");
        assert!(gap.magnitude() < -180, "{value:?} is wide");
    }

    fn real(n: i64, d: i64) -> Real {
        Real::from_rational(&Rational::Small(n, d), 200).unwrap()
    }

    #[test]
    fn arithmetic_encloses_the_exact_result() {
        check(real(1, 3).add(&real(1, 6), 200), 1, 2);
        check(real(1, 3).sub(&real(1, 3), 200), 0, 1);
        check(real(2, 3).mul(&real(-3, 7), 200), -2, 7);
        check(real(2, 3).div(&real(5, 7), 200), 14, 15);
        check(real(4, 9).sqrt(200), 2, 3);
        check(real(-2, 3).powi(5, 200), -32, 243);
        check(real(1, 1).add(&Real::exact(BigInt::one(), -1_000_000), 200), 1, 1);
    }

    #[test]
    fn what_may_be_zero_divides_nothing() {
        let near = real(1, 3).sub(&real(1, 3), 200).unwrap();
        assert!(near.contains_zero() && !near.is_zero());
        assert!(real(1, 1).div(&near, 200).is_none());
        assert!(near.sqrt(200).unwrap().contains_zero());
        assert!(real(-1, 1).sqrt(200).is_none());
    }

    #[test]
    fn exponents_stay_in_range() {
        assert!(Real::integer(2).powi(1 << 60, 64).is_none());
        assert!(Real::integer(10).powi(10_000_000_000, 64).unwrap().is_positive());
    }

    #[test]
    fn the_integer_next_to_a_number() {
        let nearest = |mid: i64, exp| Real::exact(mid.into(), exp).nearest().and_then(|n| n.to_i64());
        assert_eq!([nearest(11, -2), nearest(-11, -2), nearest(3, 1)], [Some(3), Some(-3), Some(6)]);
        assert_eq!([nearest(1, -(1 << 40)), nearest(1, 1 << 40)], [Some(0), None]);
    }

    #[test]
    fn doubles_are_taken_exactly() {
        for value in [0.0, 1.0, -0.375, 1e300, 3.5e-300] {
            assert_eq!(dyadic(value).to_f64(), value);
        }
    }
}
