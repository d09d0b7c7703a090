//! Functions of rational numbers whose values are rational.

use num_bigint::BigInt;

use super::expression::{Arena, Binary, Function, Id, Node};
use super::limits::{BITS, Fault, Reading};
use super::rational::Rational;

impl Arena {
    pub(super) fn call(&mut self, function: Function, a: Id) -> Reading<Id> {
        if self.is_infinite(a) {
            return Err(Fault::Unreadable("infinity is no number to calculate with"));
        }
        let value = match self.number(a).cloned() {
            Some(x) => self.function_of(function, &x)?,
            None => None,
        };
        match value {
            Some(value) => self.value(value),
            None => self.push(Node::Call(function, a)),
        }
    }

    fn function_of(&mut self, function: Function, x: &Rational) -> Reading<Option<Rational>> {
        let at_zero = |value| if x.is_zero() { Some(value) } else { None };
        Ok(match function {
            Function::Abs => Some(x.abs()),
            Function::Floor => Some(x.floor()),
            Function::Ceiling => Some(x.neg().floor().neg()),
            Function::Re => Some(x.clone()),
            Function::Im => Some(Rational::ZERO),
            Function::Sign => Some(Rational::Small(i64::from(!x.is_zero()) - 2 * i64::from(x.is_negative()), 1)),
            Function::Factorial => return self.factorial(x),
            Function::Ln if x.is_zero() => return Err(Fault::Unreadable("the logarithm of zero")),
            Function::Ln | Function::Arccos | Function::Arcosh => (*x == Rational::ONE).then_some(Rational::ZERO),
            Function::Exp | Function::Cos | Function::Cosh => at_zero(Rational::ONE),
            Function::Sin
            | Function::Tan
            | Function::Arcsin
            | Function::Arctan
            | Function::Sinh
            | Function::Tanh
            | Function::Arsinh
            | Function::Artanh => at_zero(Rational::ZERO),
            Function::Arg => None,
        })
    }

    fn factorial(&mut self, x: &Rational) -> Reading<Option<Rational>> {
        if x.is_negative() || !x.is_integer() {
            return Err(Fault::Unreadable("a factorial of what is no natural number"));
        }
        let Some(n) = x.to_i64() else { return Ok(None) };
        // Stirling: log₂ n! < n log₂ n.
        let bits = n as f64 * (n.max(2) as f64).log2();
        if bits > BITS as f64 {
            return Ok(None);
        }
        self.charge((bits as u64 / 64 + 1) * n as u64)?;
        Ok(Some(Rational::integer(product(1, n))))
    }

    pub(super) fn call2(&mut self, function: Binary, a: Id, b: Id) -> Reading<Id> {
        if self.is_infinite(a) || self.is_infinite(b) {
            return Err(Fault::Unreadable("infinity is no number to calculate with"));
        }
        let value = match (self.number(a).cloned(), self.number(b).cloned()) {
            (Some(x), Some(y)) => {
                self.charge((x.bits() / 64) * (y.bits() / 64) * 200)?;
                self.function_of2(function, &x, &y)?
            }
            _ => None,
        };
        match value {
            Some(value) => self.value(value),
            None => self.push(Node::Call2(function, a, b)),
        }
    }

    fn function_of2(&mut self, function: Binary, x: &Rational, y: &Rational) -> Reading<Option<Rational>> {
        Ok(match function {
            Binary::Log => {
                self.charge(300 * y.bits())?;
                if x.is_zero() || y.is_zero() || *x == Rational::ONE {
                    return Err(Fault::Unreadable("a logarithm without value"));
                }
                exact_log(x, y)
            }
            Binary::Binomial => return self.binomial(x, y),
            Binary::Gcd => Some(x.gcd(y)),
            Binary::Lcm => match x.mul(y).abs().div(&x.gcd(y)) {
                Some(value) => Some(value),
                None => Some(Rational::ZERO),
            },
            Binary::Min => Some(x.min(y).clone()),
            Binary::Max => Some(x.max(y).clone()),
            Binary::Mod => match x.div(y) {
                Some(quotient) => Some(x.sub(&quotient.floor().mul(y))),
                None => return Err(Fault::Unreadable("a remainder of a division by zero")),
            },
        })
    }

    /// `n (n − 1) … (n − k + 1) / k!`, for natural `k`.
    fn binomial(&mut self, n: &Rational, k: &Rational) -> Reading<Option<Rational>> {
        let (Some(n), Some(k)) = (n.to_i64(), k.to_i64()) else { return Ok(None) };
        if k < 0 || n < 0 {
            return Err(Fault::Unreadable("a binomial coefficient of negative numbers"));
        }
        if k > n {
            return Ok(Some(Rational::ZERO));
        }
        let k = k.min(n - k);
        let bits = (k as f64) * (n.max(2) as f64).log2();
        if bits > BITS as f64 {
            return Ok(None);
        }
        self.charge((bits as u64 / 64 + 1) * k as u64)?;
        Ok(Rational::new(product(n - k + 1, n), product(1, k)))
    }
}

/// The product of all integers from `low` to `high`, by halves so that factors have equal sizes.
fn product(low: i64, high: i64) -> BigInt {
    match high.saturating_sub(low) {
        i64::MIN..0 => 1.into(),
        0 => low.into(),
        span => {
            let middle = low + span / 2;
            product(low, middle) * product(middle + 1, high)
        }
    }
}

/// The logarithm of `value`, if it is an integral power of the integral base, or of its reciprocal.
fn exact_log(base: &Rational, value: &Rational) -> Option<Rational> {
    if !base.is_integer() || base.is_negative() || value.is_negative() || value.bits() > 4096 {
        return None;
    }
    let (mut rest, sign) = if *value < Rational::ONE { (value.recip()?, -1) } else { (value.clone(), 1) };
    let mut exponent = 0;
    while rest != Rational::ONE {
        rest = rest.div(base)?;
        exponent += 1;
        if !rest.is_integer() {
            return None;
        }
    }
    Some(Rational::Small(sign * exponent, 1))
}
