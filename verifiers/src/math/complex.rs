//! Complex numbers with interval parts, and the principal branches of functions.

use super::elementary::{angle, arctan, exp, ln, pi, sin_cos};
use super::expression::Function;
use super::real::Real;

/// A rectangle in the complex plane.
#[derive(Clone, Debug)]
pub(super) struct Complex {
    pub(super) re: Real,
    pub(super) im: Real,
}

impl From<Real> for Complex {
    fn from(re: Real) -> Self {
        Self { re, im: Real::zero() }
    }
}

impl Complex {
    pub(super) fn i() -> Self {
        Self { re: Real::zero(), im: Real::integer(1) }
    }

    /// Whether the number is certainly real.
    pub(super) fn is_real(&self) -> bool {
        self.im.is_zero()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.re.is_zero() && self.im.is_zero()
    }

    pub(super) fn contains_zero(&self) -> bool {
        self.re.contains_zero() && self.im.contains_zero()
    }

    /// An exponent `e` with both parts below 2^e.
    pub(super) fn magnitude(&self) -> i64 {
        self.re.magnitude().max(self.im.magnitude())
    }

    pub(super) fn neg(&self) -> Self {
        Self { re: self.re.neg(), im: self.im.neg() }
    }

    fn times_i(&self) -> Self {
        Self { re: self.im.neg(), im: self.re.clone() }
    }

    fn over_i(&self) -> Self {
        Self { re: self.im.clone(), im: self.re.neg() }
    }

    pub(super) fn add(&self, other: &Self, p: u64) -> Option<Self> {
        Some(Self { re: self.re.add(&other.re, p)?, im: self.im.add(&other.im, p)? })
    }

    pub(super) fn sub(&self, other: &Self, p: u64) -> Option<Self> {
        self.add(&other.neg(), p)
    }

    pub(super) fn mul(&self, other: &Self, p: u64) -> Option<Self> {
        if self.is_real() && other.is_real() {
            return Some(self.re.mul(&other.re, p)?.into());
        }
        let re = self.re.mul(&other.re, p)?.sub(&self.im.mul(&other.im, p)?, p)?;
        let im = self.re.mul(&other.im, p)?.add(&self.im.mul(&other.re, p)?, p)?;
        Some(Self { re, im })
    }

    fn scale(&self, factor: &Real, p: u64) -> Option<Self> {
        Some(Self { re: self.re.mul(factor, p)?, im: self.im.mul(factor, p)? })
    }

    /// The quotient, unless the divisor may be zero.
    pub(super) fn div(&self, other: &Self, p: u64) -> Option<Self> {
        if other.is_real() {
            return Some(Self { re: self.re.div(&other.re, p)?, im: self.im.div(&other.re, p)? });
        }
        let norm = other.norm(p)?;
        let product = self.mul(&Self { re: other.re.clone(), im: other.im.neg() }, p)?;
        Some(Self { re: product.re.div(&norm, p)?, im: product.im.div(&norm, p)? })
    }

    /// The square of the absolute value.
    fn norm(&self, p: u64) -> Option<Real> {
        self.re.mul(&self.re, p)?.add(&self.im.mul(&self.im, p)?, p)
    }

    pub(super) fn abs(&self, p: u64) -> Option<Real> {
        if self.is_real() { Some(self.re.abs()) } else { self.norm(p)?.sqrt(p) }
    }

    pub(super) fn arg(&self, p: u64) -> Option<Real> {
        angle(&self.im, &self.re, p)
    }

    pub(super) fn exp(&self, p: u64) -> Option<Self> {
        let size = exp(&self.re, p)?;
        if self.is_real() {
            return Some(size.into());
        }
        let (sin, cos) = sin_cos(&self.im, p)?;
        Some(Self { re: size.mul(&cos, p)?, im: size.mul(&sin, p)? })
    }

    pub(super) fn ln(&self, p: u64) -> Option<Self> {
        if self.is_real() && self.re.is_positive() {
            return Some(ln(&self.re, p)?.into());
        }
        Some(Self { re: ln(&self.abs(p)?, p)?, im: self.arg(p)? })
    }

    pub(super) fn sqrt(&self, p: u64) -> Option<Self> {
        if self.is_real() {
            return if self.re.is_negative() {
                Some(Self { re: Real::zero(), im: self.re.neg().sqrt(p)? })
            } else if self.re.contains_zero() && !self.re.is_zero() {
                // The sign is not known, and with it whether the root is real: both parts may be up to the root.
                let root = self.re.abs().sqrt(p)?;
                let both = root.sub(&root, p)?;
                Some(Self { re: root, im: both })
            } else {
                Some(self.re.sqrt(p)?.into())
            };
        }
        // √z = √((|z| + x)/2) + i y / (2 √((|z| + x)/2)), where that divisor is not zero.
        let half = |x: Real| Real { exp: x.exp - 1, ..x };
        let size = self.abs(p)?;
        if self.re.is_negative() {
            let im = half(size.sub(&self.re, p)?).sqrt(p)?;
            let im = if self.im.is_positive() {
                im
            } else if self.im.is_negative() {
                im.neg()
            } else {
                return None;
            };
            return Some(Self { re: half(self.im.div(&im, p)?), im });
        }
        let re = half(size.add(&self.re, p)?).sqrt(p)?;
        Some(Self { im: half(self.im.div(&re, p)?), re })
    }

    /// An integral power.
    pub(super) fn powi(&self, exponent: u64, p: u64) -> Option<Self> {
        if self.is_real() {
            return Some(self.re.powi(exponent, p)?.into());
        }
        if exponent > 1 << 20 {
            return None;
        }
        let (mut power, mut square, mut rest) = (Self::from(Real::integer(1)), self.clone(), exponent);
        while rest > 0 {
            if rest & 1 == 1 {
                power = power.mul(&square, p)?;
            }
            rest >>= 1;
            if rest > 0 {
                square = square.mul(&square, p)?;
            }
        }
        Some(power)
    }

    /// The principal value of `self^other`.
    pub(super) fn pow(&self, other: &Self, p: u64) -> Option<Self> {
        self.ln(p)?.mul(other, p)?.exp(p)
    }

    /// `(e^z + s e^−z) / 2` for the sign `s`.
    fn hyperbolic(&self, is_even: bool, p: u64) -> Option<Self> {
        // Twice the bits make up for the cancellation near zero.
        let up = self.exp(2 * p)?;
        let down = Self::from(Real::integer(1)).div(&up, 2 * p)?;
        let sum = if is_even { up.add(&down, 2 * p)? } else { up.sub(&down, 2 * p)? };
        sum.scale(&Real::exact(1.into(), -1), p)
    }

    fn sin_cos(&self, p: u64) -> Option<(Self, Self)> {
        if self.is_real() {
            let (sin, cos) = sin_cos(&self.re, p)?;
            return Some((sin.into(), cos.into()));
        }
        let turned = self.times_i();
        Some((turned.hyperbolic(false, p)?.over_i(), turned.hyperbolic(true, p)?))
    }

    fn arctan(&self, p: u64) -> Option<Self> {
        if self.is_real() {
            return Some(arctan(&self.re, p)?.into());
        }
        // arctan z = (ln (1 + iz) − ln (1 − iz)) / 2i.
        let one = Self::from(Real::integer(1));
        let turned = self.times_i();
        let gap = one.add(&turned, p)?.ln(p)?.sub(&one.sub(&turned, p)?.ln(p)?, p)?;
        gap.over_i().scale(&Real::exact(1.into(), -1), p)
    }

    /// `−i ln (iz + √(1 − z²))`; for real `z` in −1..=1 through the arctangent.
    fn arcsin(&self, p: u64) -> Option<Self> {
        let one = Self::from(Real::integer(1));
        let rest = one.sub(self, p)?.mul(&one.add(self, p)?, p)?;
        if self.is_real() && !rest.re.is_negative() {
            let half = Real { exp: pi(p).exp - 1, ..pi(p) };
            if rest.re.is_zero() {
                return Some(if self.re.is_negative() { half.neg() } else { half }.into());
            }
            return Some(arctan(&self.re.div(&rest.re.sqrt(p)?, p)?, p)?.into());
        }
        Some(self.times_i().add(&rest.sqrt(p)?, p)?.ln(p)?.over_i())
    }

    /// The value of a function of one argument that is analytic off its cuts.
    pub(super) fn apply(&self, function: Function, p: u64) -> Option<Self> {
        let one = Self::from(Real::integer(1));
        match function {
            Function::Exp => self.exp(p),
            Function::Ln => self.ln(p),
            Function::Sin => Some(self.sin_cos(p)?.0),
            Function::Cos => Some(self.sin_cos(p)?.1),
            Function::Tan => {
                let (sin, cos) = self.sin_cos(p)?;
                sin.div(&cos, p)
            }
            Function::Arcsin => self.arcsin(p),
            Function::Arccos => {
                let quarter = Real { exp: pi(p).exp - 1, ..pi(p) };
                Self::from(quarter).sub(&self.arcsin(p)?, p)
            }
            Function::Arctan => self.arctan(p),
            Function::Sinh => self.hyperbolic(false, p),
            Function::Cosh => self.hyperbolic(true, p),
            Function::Tanh => self.hyperbolic(false, p)?.div(&self.hyperbolic(true, p)?, p),
            Function::Arsinh => {
                let root = self.mul(self, p)?.add(&one, p)?.sqrt(p)?;
                self.add(&root, p)?.ln(p)
            }
            Function::Arcosh => {
                let root = self.add(&one, p)?.sqrt(p)?.mul(&self.sub(&one, p)?.sqrt(p)?, p)?;
                self.add(&root, p)?.ln(p)
            }
            Function::Artanh => {
                let gap = one.add(self, p)?.ln(p)?.sub(&one.sub(self, p)?.ln(p)?, p)?;
                gap.scale(&Real::exact(1.into(), -1), p)
            }
            Function::Abs => Some(self.abs(p)?.into()),
            Function::Re => Some(self.re.clone().into()),
            Function::Im => Some(self.im.clone().into()),
            Function::Arg => Some(self.arg(p)?.into()),
            Function::Floor | Function::Ceiling | Function::Sign | Function::Factorial => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::rational::Rational;

    const P: u64 = 200;

    fn complex(re: (i64, i64), im: (i64, i64)) -> Complex {
        let part = |(n, d)| Real::from_rational(&Rational::Small(n, d), P).unwrap();
        Complex { re: part(re), im: part(im) }
    }

    #[track_caller]
    fn check(value: Option<Complex>, re: f64, im: f64) {
        let value = value.unwrap();
        let (x, y) = (value.re.to_f64(), value.im.to_f64());
        assert!((x - re).abs() < 1e-14 && (y - im).abs() < 1e-14, "{x} + {y}i is not {re} + {im}i");
    }

    #[test]
    fn principal_values() {
        check(complex((-4, 1), (0, 1)).sqrt(P), 0.0, 2.0);
        check(complex((3, 1), (-4, 1)).sqrt(P), 2.0, -1.0);
        check(complex((-3, 1), (4, 1)).sqrt(P), 1.0, 2.0);
        check(complex((-1, 1), (0, 1)).ln(P), 0.0, std::f64::consts::PI);
        check(complex((0, 1), (1, 1)).pow(&Complex::i(), P), (-std::f64::consts::FRAC_PI_2).exp(), 0.0);
        check(complex((2, 1), (0, 1)).apply(Function::Arcsin, P), std::f64::consts::FRAC_PI_2, -2.0_f64.acosh());
        check(complex((1, 2), (0, 1)).apply(Function::Arcsin, P), std::f64::consts::PI / 6.0, 0.0);
        check(
            complex((1, 1), (1, 1)).apply(Function::Sin, P),
            1.0_f64.sin() * 1.0_f64.cosh(),
            1.0_f64.cos() * 1.0_f64.sinh(),
        );
        check(
            complex((1, 1), (1, 1)).apply(Function::Cosh, P),
            1.0_f64.cosh() * 1.0_f64.cos(),
            1.0_f64.sinh() * 1.0_f64.sin(),
        );
        check(complex((1, 2), (0, 1)).apply(Function::Artanh, P), 0.5_f64.atanh(), 0.0);
        check(complex((1, 1), (2, 1)).div(&complex((3, 1), (-4, 1)), P), -0.2, 0.4);
    }
}
