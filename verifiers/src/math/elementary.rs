//! Elementary functions of real intervals.
//!
//! Exponential, sine and cosine are Taylor series in fixed point after a reduction of the argument. Logarithm and
//! arctangent start from double precision and correct by a series in what is left, which is small.

use std::sync::OnceLock;

use num_bigint::{BigInt, BigUint};
use num_traits::{One, ToPrimitive, Zero};

use super::real::{Real, dyadic, shift};

/// Bits beyond the precision asked for; a series has fewer than 2¹² terms, each off by less than one unit.
const GUARD: u64 = 24;

/// The largest precision for which π and ln 2 are kept.
const KEPT: u64 = 2_560;

/// π within the precision.
pub(super) fn pi(precision: u64) -> Real {
    static PI: OnceLock<BigInt> = OnceLock::new();
    // Machin 1706: π = 16 arctan 1/5 − 4 arctan 1/239.
    let machin = |bits: u64| arctan_of_reciprocal(5, bits) * 16 - arctan_of_reciprocal(239, bits) * 4;
    kept(&PI, precision, machin)
}

/// ln 2 within the precision.
pub(super) fn ln2(precision: u64) -> Real {
    static LN2: OnceLock<BigInt> = OnceLock::new();
    // ln 2 = 2 artanh 1/3.
    kept(&LN2, precision, |bits| artanh_of_third(bits) * 2)
}

/// A constant from its fixed-point value, which is off by less than 2¹² units.
fn kept(store: &OnceLock<BigInt>, precision: u64, compute: impl Fn(u64) -> BigInt) -> Real {
    let bits = precision + GUARD;
    let value = if bits <= KEPT { store.get_or_init(|| compute(KEPT)) >> (KEPT - bits) } else { compute(bits) };
    Real { mid: value, rad: BigUint::from(1_u32 << 14), exp: -(bits as i64) }
}

fn arctan_of_reciprocal(n: u32, bits: u64) -> BigInt {
    let square = n * n;
    let mut power: BigInt = (BigInt::one() << bits) / n;
    let (mut sum, mut k) = (power.clone(), 1_u32);
    while !power.is_zero() {
        power /= square;
        k += 2;
        let term = &power / k;
        sum = if k % 4 == 3 { sum - term } else { sum + term };
    }
    sum
}

fn artanh_of_third(bits: u64) -> BigInt {
    let mut power: BigInt = (BigInt::one() << bits) / 3;
    let (mut sum, mut k) = (power.clone(), 1_u32);
    while !power.is_zero() {
        power /= 9;
        k += 2;
        sum += &power / k;
    }
    sum
}

/// The midpoint in units of 2^−bits, off by at most one.
fn fixed(x: &Real, bits: u64) -> BigInt {
    shift(&x.mid, x.exp + bits as i64)
}

/// An exponent of two that bounds the radius.
fn radius_exponent(x: &Real) -> Option<i64> {
    (!x.rad.is_zero()).then(|| x.exp + x.rad.bits() as i64)
}

/// `e^x`.
pub(super) fn exp(x: &Real, precision: u64) -> Option<Real> {
    if x.is_zero() {
        return Some(Real::integer(1));
    }
    if x.magnitude() > 50 || radius_exponent(x).is_some_and(|e| e > 0) {
        return None;
    }
    let work = precision + x.magnitude().max(0) as u64;
    let turns = (x.to_f64() / std::f64::consts::LN_2).round() as i64;
    let rest = x.sub(&ln2(work).mul(&Real::integer(turns), work)?, work)?;
    // Halved often enough, the series is short; the result is squared as often.
    let halvings = (precision as f64).sqrt() as u64 / 2 + 2;
    let bits = precision + GUARD + 2 * halvings;
    let small = fixed(&rest, bits) >> halvings;
    let one = BigInt::one() << bits;
    let (mut sum, mut term, mut k) = (one.clone(), one, 0_u32);
    while !term.is_zero() && term != BigInt::from(-1) {
        k += 1;
        term = ((term * &small) >> bits) / k;
        sum += &term;
    }
    for _ in 0..halvings {
        sum = (&sum * &sum) >> bits;
    }
    // Each squaring doubles the error, which started below 2¹⁰ units.
    let rad = BigUint::one() << (halvings + 12);
    let power = Real::new(sum, rad, turns - bits as i64, precision)?;
    spread(&power, &rest, precision)
}

/// Multiplies an exponential of a midpoint by `e^±r`, which lies within `1 ± 2r` for `r ≤ 1`.
fn spread(power: &Real, argument: &Real, precision: u64) -> Option<Real> {
    match radius_exponent(argument) {
        None => Some(power.clone()),
        Some(e) if e > 0 => None,
        Some(e) => power.widen(power.magnitude() + e + 1, precision),
    }
}

/// Sine and cosine.
pub(super) fn sin_cos(x: &Real, precision: u64) -> Option<(Real, Real)> {
    if x.is_zero() {
        return Some((Real::zero(), Real::integer(1)));
    }
    if x.magnitude() > 512 || radius_exponent(x).is_some_and(|e| e > 0) {
        return None;
    }
    let work = precision + x.magnitude().max(0) as u64;
    let quarter = Real { exp: pi(work).exp - 1, ..pi(work) };
    let whole = x.div(&quarter, work)?.nearest()?;
    let rest = x.sub(&quarter.mul(&Real::exact(whole.clone(), 0), work)?, work)?;
    let bits = precision + GUARD;
    let (sin, cos) = series(&fixed(&rest, bits), bits);
    let widened = |value: BigInt| {
        let value = Real::new(value, BigUint::from(1_u32 << 13), -(bits as i64), precision)?;
        // Both functions move no faster than their argument.
        match radius_exponent(&rest) {
            Some(e) => value.widen(e, precision),
            None => Some(value),
        }
    };
    let (sin, cos) = (widened(sin)?, widened(cos)?);
    let quadrant = (whole & BigInt::from(3)).to_i64()?;
    Some(match quadrant {
        0 => (sin, cos),
        1 => (cos, sin.neg()),
        2 => (sin.neg(), cos.neg()),
        _ => (cos.neg(), sin),
    })
}

/// The series of sine and cosine in fixed point, for arguments below 1 in magnitude.
fn series(x: &BigInt, bits: u64) -> (BigInt, BigInt) {
    let square = (x * x) >> bits;
    let one = BigInt::one() << bits;
    let (mut sin, mut cos) = (x.clone(), one.clone());
    let (mut odd, mut even, mut k) = (x.clone(), one, 0_u32);
    while !odd.is_zero() || !even.is_zero() {
        even = -((even * &square) >> bits) / ((k + 1) * (k + 2));
        odd = -((odd * &square) >> bits) / ((k + 2) * (k + 3));
        k += 2;
        cos += &even;
        sin += &odd;
    }
    (sin, cos)
}

/// The natural logarithm of a positive interval.
pub(super) fn ln(x: &Real, precision: u64) -> Option<Real> {
    if !x.is_positive() {
        return None;
    }
    let (mantissa, exponent) = x.approximate();
    let work = precision + 64;
    // x = 2^e · m, and m · exp(−y) = 1 + d for the double y next to ln m.
    let start = dyadic(mantissa.ln());
    let scaled = Real { exp: x.exp - exponent, ..x.clone() };
    let near = scaled.mul(&exp(&start.neg(), work)?, work)?;
    let rest = near.sub(&Real::integer(1), work)?;
    let sum = ln2(work).mul(&Real::integer(exponent), work)?.add(&start, work)?;
    sum.add(&ln_near_one(&rest, work)?, precision)
}

/// `ln (1 + d) = 2 artanh (d / (2 + d))` for small `d`.
fn ln_near_one(d: &Real, precision: u64) -> Option<Real> {
    if d.is_zero() {
        return Some(Real::zero());
    }
    let ratio = d.div(&Real::integer(2).add(d, precision)?, precision)?;
    let half = odd_series(&ratio, false, precision)?;
    Some(Real { exp: half.exp + 1, ..half })
}

/// `x ± x³/3 + x⁵/5 ± …` for `|x| < 1/2`.
fn odd_series(x: &Real, is_alternating: bool, precision: u64) -> Option<Real> {
    if x.is_zero() {
        return Some(Real::zero());
    }
    if x.magnitude() > -1 {
        return None;
    }
    let square = x.mul(x, precision)?;
    let square = if is_alternating { square.neg() } else { square };
    let (mut sum, mut power, mut k) = (x.clone(), x.clone(), 1);
    let last = x.magnitude() - precision as i64;
    while power.magnitude() > last {
        power = power.mul(&square, precision)?;
        k += 2;
        sum = sum.add(&power.div(&Real::integer(k), precision)?, precision)?;
        if k > 4096 {
            return None;
        }
    }
    // What is left is at most the last power over 1 − 1/4.
    sum.widen(power.magnitude() + 1, precision)
}

/// The arctangent.
pub(super) fn arctan(x: &Real, precision: u64) -> Option<Real> {
    if x.is_zero() {
        return Some(Real::zero());
    }
    let work = precision + 16;
    if x.magnitude() > 3 && !x.contains_zero() {
        let other = arctan(&Real::integer(1).div(x, work)?, work)?;
        let quarter = Real { exp: pi(work).exp - 1, ..pi(work) };
        let quarter = if x.is_negative() { quarter.neg() } else { quarter };
        return quarter.sub(&other, precision);
    }
    if x.magnitude() < -20 {
        return odd_series(x, true, precision);
    }
    // arctan x = t + arctan ((x cos t − sin t) / (cos t + x sin t)).
    let start = dyadic(x.to_f64().atan());
    let (sin, cos) = sin_cos(&start, work)?;
    let above = x.mul(&cos, work)?.sub(&sin, work)?;
    let below = cos.add(&x.mul(&sin, work)?, work)?;
    start.add(&odd_series(&above.div(&below, work)?, true, work)?, precision)
}

/// The angle of the point `(x, y)`, from −π to π, unless it may lie on the cut or at the origin.
pub(super) fn angle(y: &Real, x: &Real, precision: u64) -> Option<Real> {
    let half = Real { exp: pi(precision).exp - 1, ..pi(precision) };
    if x.is_positive() {
        return arctan(&y.div(x, precision)?, precision);
    }
    if y.is_zero() {
        return x.is_negative().then(|| pi(precision));
    }
    if y.is_positive() {
        return half.sub(&arctan(&x.div(y, precision)?, precision)?, precision);
    }
    if y.is_negative() {
        return half.neg().sub(&arctan(&x.div(y, precision)?, precision)?, precision);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::rational::Rational;

    const PRECISION: u64 = 220;

    fn real(n: i64, d: i64) -> Real {
        Real::from_rational(&Rational::Small(n, d), PRECISION).unwrap()
    }

    #[track_caller]
    fn check_same(a: Option<Real>, b: Option<Real>) {
        let gap = a.unwrap().sub(&b.unwrap(), PRECISION).unwrap();
        assert!(gap.contains_zero() && gap.magnitude() < -180, "{gap:?}");
    }

    #[track_caller]
    fn check_double(value: Option<Real>, expected: f64) {
        let value = value.unwrap().to_f64();
        assert!((value - expected).abs() <= 4e-15 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    #[test]
    fn values_agree_with_double_precision() {
        for x in [0.001, 0.3, 0.999, 1.0, 1.5, 7.25, 31.0, 1e6, 1e-9] {
            for x in [x, -x] {
                let argument = dyadic(x);
                let (sin, cos) = sin_cos(&argument, PRECISION).unwrap();
                check_double(Some(sin), x.sin());
                check_double(Some(cos), x.cos());
                check_double(arctan(&argument, PRECISION), x.atan());
                if x.abs() < 100.0 {
                    check_double(exp(&argument, PRECISION), x.exp());
                }
                if x > 0.0 {
                    check_double(ln(&argument, PRECISION), x.ln());
                }
            }
        }
        check_double(Some(pi(PRECISION)), std::f64::consts::PI);
        check_double(Some(ln2(PRECISION)), std::f64::consts::LN_2);
    }

    #[test]
    fn functions_and_their_inverses_agree_to_full_precision() {
        for x in [real(1, 3), real(7, 2), real(22, 7), real(1, 1000), real(50, 1)] {
            check_same(ln(&exp(&x, PRECISION).unwrap(), PRECISION), Some(x.clone()));
            let (sin, cos) = sin_cos(&x, PRECISION).unwrap();
            let squares = sin.mul(&sin, PRECISION).unwrap().add(&cos.mul(&cos, PRECISION).unwrap(), PRECISION);
            check_same(squares, Some(Real::integer(1)));
        }
        let (sin, cos) = sin_cos(&real(2, 3), PRECISION).unwrap();
        check_same(arctan(&sin.div(&cos, PRECISION).unwrap(), PRECISION), Some(real(2, 3)));
        check_same(arctan(&real(1, 1), PRECISION), pi(PRECISION).div(&Real::integer(4), PRECISION));
        check_same(angle(&real(-1, 1), &real(-1, 1), PRECISION), pi(PRECISION).mul(&real(-3, 4), PRECISION));
    }

    #[test]
    fn wide_arguments_give_wide_results_or_none() {
        let wide = Real { mid: 1.into(), rad: BigUint::from(3_u32), exp: 0 };
        assert!(
            exp(&wide, PRECISION).is_none() && sin_cos(&wide, PRECISION).is_none() && ln(&wide, PRECISION).is_none()
        );
        let narrow = real(1, 3).widen(-40, PRECISION).unwrap();
        let power = exp(&narrow, PRECISION).unwrap();
        assert!(power.sub(&exp(&real(1, 3), PRECISION).unwrap(), PRECISION).unwrap().contains_zero());
        assert!(power.sub(&power, PRECISION).unwrap().magnitude() > -42);
    }

    #[test]
    fn high_precision_is_computed_afresh() {
        let (sin, _) = sin_cos(&pi(4000), 4000).unwrap();
        assert!(sin.contains_zero() && sin.magnitude() < -3900);
    }
}
