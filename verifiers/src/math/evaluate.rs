//! The value of an expression at a point, as an interval.

use num_bigint::BigInt;

use super::complex::Complex;
use super::elementary::pi;
use super::expression::{Arena, Binary, Constant, Function, Id, Node};
use super::rational::Rational;
use super::real::Real;

/// What is known of the value of an expression at a point.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// It lies in the rectangle.
    Defined(Complex),
    /// There is certainly none.
    Undefined,
    /// The precision does not suffice, or nothing is known of the functions.
    Unknown,
}

/// Which numbers a function may have as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// The root of a negative number is undefined. For expressions of variables.
    Real,
    /// The root of a negative number is imaginary. For constants and where `i` occurs.
    Complex,
}

/// Where and how exactly to evaluate.
pub(super) struct Point<'a> {
    /// The value of a variable by the position of its name.
    pub(super) values: &'a [Rational],
    pub(super) domain: Domain,
    /// Bits of the midpoints.
    pub(super) precision: u64,
    /// A key for the values of unknown functions.
    pub(super) key: &'a dyn Fn(Id) -> Rational,
}

/// The exponents of two of all values met on the way to a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) high: i64,
    low: i64,
}

impl Extent {
    /// How many bits lie between the largest and the smallest value that is not zero.
    pub(super) fn bits(self, other: Self) -> u64 {
        self.high.max(other.high).saturating_sub(self.low.min(other.low)).max(0) as u64
    }

    fn include(&mut self, value: &Complex) {
        for part in [&value.re, &value.im] {
            if !part.contains_zero() {
                self.high = self.high.max(part.magnitude());
                self.low = self.low.min(part.magnitude());
            }
        }
    }
}

/// The value of an expression.
pub(super) fn evaluate(arena: &Arena, order: &[Id], point: &Point<'_>) -> (Value, Extent) {
    let low = order[0] as usize;
    let last = order[order.len() - 1] as usize;
    let mut values: Vec<Option<Complex>> = vec![None; last + 1 - low];
    let mut extent = Extent { high: 0, low: 0 };
    for &id in order {
        let at = |child: Id| values[child as usize - low].as_ref().expect("children come first");
        match step(arena, id, &at, point) {
            Value::Defined(value) => {
                extent.include(&value);
                values[id as usize - low] = Some(value);
            }
            other => return (other, extent),
        }
    }
    let value = values[last - low].take().expect("the root comes last");
    (Value::Defined(value), extent)
}

fn known(value: Option<Complex>) -> Value {
    value.map_or(Value::Unknown, Value::Defined)
}

fn step<'a>(arena: &Arena, id: Id, at: &impl Fn(Id) -> &'a Complex, point: &Point<'_>) -> Value {
    let p = point.precision;
    match *arena.node(id) {
        Node::Number(ref value) => known(Real::from_rational(value, p).map(Complex::from)),
        Node::Symbol(name) => known(Real::from_rational(&point.values[name as usize], p).map(Complex::from)),
        Node::Constant(constant) => of_constant(constant, p),
        Node::Sign(_) | Node::Pair(..) => known(Some(Real::integer(1).into())),
        Node::Neg(a) => Value::Defined(at(a).neg()),
        Node::Add(a, b) => known(at(a).add(at(b), p)),
        Node::Mul(a, b) => known(at(a).mul(at(b), p)),
        Node::Div(_, b) if at(b).is_zero() => Value::Undefined,
        Node::Div(a, b) => known(at(a).div(at(b), p)),
        Node::Percent(a) => known(at(a).div(&Real::integer(100).into(), p)),
        Node::Pow(a, b) => power(at(a), at(b), arena.number(b), point),
        Node::Root(a, b) => root(arena.number(a), at(a), at(b), point),
        Node::Call(function, a) => call(function, at(a), point),
        Node::Call2(Binary::Binomial, a, b) => binomial(at(a), at(b), arena.number(b).is_some(), p),
        Node::Call2(function, a, b) => call2(function, at(a), at(b), point),
        Node::Apply(..) => known(Real::from_rational(&(point.key)(id), p).map(Complex::from)),
    }
}

fn of_constant(constant: Constant, p: u64) -> Value {
    match constant {
        Constant::Pi => Value::Defined(pi(p).into()),
        Constant::E => known(super::elementary::exp(&Real::integer(1), p).map(Complex::from)),
        Constant::I => Value::Defined(Complex::i()),
        Constant::Degree => known(pi(p).div(&Real::integer(180), p).map(Complex::from)),
        Constant::Infinity => Value::Unknown,
    }
}

/// A power. A negative real base has a real power if the exponent has an odd denominator.
fn power(base: &Complex, exponent: &Complex, exact: Option<&Rational>, point: &Point<'_>) -> Value {
    let p = point.precision;
    let exact = match exact {
        Some(value) => Some(value.clone()),
        // An exponent that came out as an exact number, such as a variable at an integer.
        None if exponent.is_real() && exponent.re.is_exact() => exponent.re.to_rational(),
        None => None,
    };
    if base.is_zero() {
        return match &exact {
            Some(e) if !e.is_negative() && !e.is_zero() => Value::Defined(Real::zero().into()),
            _ if exponent.re.is_positive() => Value::Defined(Real::zero().into()),
            _ => Value::Undefined,
        };
    }
    let Some(exact) = exact else { return principal_power(base, exponent, point) };
    let size = exact.abs();
    if let Some(times) = size.to_i64() {
        let power = base.powi(times as u64, p);
        return known(if exact.is_negative() {
            power.and_then(|power| Complex::from(Real::integer(1)).div(&power, p))
        } else {
            power
        });
    }
    if let Rational::Small(n, d) = exact {
        if n == 1 || n == -1 {
            return match root(Some(&Rational::Small(d, 1)), &Real::integer(d).into(), base, point) {
                Value::Defined(value) if n < 0 => known(Complex::from(Real::integer(1)).div(&value, p)),
                value => value,
            };
        }
        if d % 2 == 1 && base.is_real() && base.re.is_negative() {
            let power = principal_power(&base.neg(), exponent, point);
            return match power {
                Value::Defined(value) if n % 2 != 0 => Value::Defined(value.neg()),
                value => value,
            };
        }
    }
    principal_power(base, exponent, point)
}

fn principal_power(base: &Complex, exponent: &Complex, point: &Point<'_>) -> Value {
    if point.domain == Domain::Real && base.is_real() && base.re.is_negative() {
        return Value::Undefined;
    }
    known(base.pow(exponent, point.precision))
}

fn root(exact: Option<&Rational>, degree: &Complex, of: &Complex, point: &Point<'_>) -> Value {
    let p = point.precision;
    if of.is_zero() {
        return if degree.re.is_positive() { Value::Defined(of.clone()) } else { Value::Unknown };
    }
    let is_negative = of.is_real() && of.re.is_negative();
    let degree_word = exact.and_then(Rational::to_i64);
    if is_negative && degree_word.is_some_and(|n| n % 2 != 0) {
        return match root(exact, degree, &of.neg(), point) {
            Value::Defined(value) => Value::Defined(value.neg()),
            value => value,
        };
    }
    if is_negative && point.domain == Domain::Real {
        return Value::Undefined;
    }
    if degree_word == Some(2) {
        return known(of.sqrt(p));
    }
    let inverse = Complex::from(Real::integer(1)).div(degree, p);
    known(inverse.and_then(|exponent| of.pow(&exponent, p)))
}

fn call(function: Function, x: &Complex, point: &Point<'_>) -> Value {
    let p = point.precision;
    let is_real = point.domain == Domain::Real && x.is_real();
    match function {
        Function::Ln if x.is_zero() => Value::Undefined,
        Function::Ln if is_real && x.re.is_negative() => Value::Undefined,
        Function::Arcsin | Function::Arccos if is_real && is_beyond_one(&x.re, p) => Value::Undefined,
        Function::Artanh if is_real && is_beyond_one(&x.re, p) => Value::Undefined,
        Function::Arcosh if is_real && x.re.sub(&Real::integer(1), p).is_some_and(|gap| gap.is_negative()) => {
            Value::Undefined
        }
        Function::Floor => known(integer_part(x)),
        Function::Ceiling => known(integer_part(&x.neg()).map(|value| value.neg())),
        Function::Sign => sign(x),
        Function::Factorial => factorial(x),
        _ => known(x.apply(function, p)),
    }
}

fn is_beyond_one(x: &Real, p: u64) -> bool {
    x.abs().sub(&Real::integer(1), p).is_some_and(|gap| gap.is_positive())
}

fn integer_part(x: &Complex) -> Option<Complex> {
    if !x.is_real() {
        return None;
    }
    let (low, high) = x.re.floors()?;
    (low == high).then(|| Real::exact(low, 0).into())
}

fn sign(x: &Complex) -> Value {
    if !x.is_real() {
        return Value::Unknown;
    }
    let value = if x.re.is_zero() {
        0
    } else if x.re.is_positive() {
        1
    } else if x.re.is_negative() {
        -1
    } else {
        return Value::Unknown;
    };
    Value::Defined(Real::integer(value).into())
}

/// What is known of a number as an integer.
enum Integer {
    Is(i64),
    IsNone,
    Unknown,
}

/// The argument as an integer, if it is known exactly.
fn exact_integer(x: &Complex) -> Integer {
    if !x.is_real() || !x.re.is_exact() {
        return Integer::Unknown;
    }
    match x.re.to_rational() {
        Some(value) if !value.is_integer() => Integer::IsNone,
        Some(value) => value.to_i64().map_or(Integer::Unknown, Integer::Is),
        None => Integer::Unknown,
    }
}

fn factorial(x: &Complex) -> Value {
    match exact_integer(x) {
        Integer::Is(n) if n < 0 => Value::Undefined,
        Integer::Is(n) if n <= 200 => Value::Defined(Real::exact((1..=n).map(BigInt::from).product(), 0).into()),
        Integer::IsNone => Value::Undefined,
        Integer::Is(_) | Integer::Unknown => Value::Unknown,
    }
}

fn call2(function: Binary, x: &Complex, y: &Complex, point: &Point<'_>) -> Value {
    let p = point.precision;
    match function {
        Binary::Log => {
            if x.is_zero() || y.is_zero() {
                return Value::Undefined;
            }
            let is_negative = |z: &Complex| z.is_real() && z.re.is_negative();
            if point.domain == Domain::Real && (is_negative(x) || is_negative(y)) {
                return Value::Undefined;
            }
            known(y.ln(p).and_then(|above| above.div(&x.ln(p)?, p)))
        }
        Binary::Binomial => Value::Unknown,
        Binary::Min | Binary::Max => {
            if !x.is_real() || !y.is_real() {
                return Value::Unknown;
            }
            let Some(gap) = x.re.sub(&y.re, p) else { return Value::Unknown };
            let takes_first = match function {
                Binary::Min => gap.is_negative(),
                _ => gap.is_positive(),
            };
            if gap.contains_zero() && !gap.is_zero() {
                return Value::Unknown;
            }
            Value::Defined(if takes_first { x.clone() } else { y.clone() })
        }
        Binary::Gcd | Binary::Lcm => match (exact_integer(x), exact_integer(y)) {
            (Integer::Is(a), Integer::Is(b)) => {
                let (a, b) = (Rational::Small(a, 1), Rational::Small(b, 1));
                let gcd = a.gcd(&b);
                let value = if function == Binary::Gcd { Some(gcd) } else { a.mul(&b).abs().div(&gcd) };
                known(value.and_then(|value| Real::from_rational(&value, p)).map(Complex::from))
            }
            (Integer::IsNone, _) | (_, Integer::IsNone) => Value::Undefined,
            _ => Value::Unknown,
        },
        Binary::Mod => {
            if y.is_zero() {
                return Value::Undefined;
            }
            // x − y ⌊x / y⌋.
            let quotient = x.div(y, p).and_then(|quotient| integer_part(&quotient));
            known(quotient.and_then(|quotient| x.sub(&y.mul(&quotient, p)?, p)))
        }
    }
}

/// The binomial coefficient: a polynomial in `n` for a given `k`, otherwise defined for `0 ≤ k ≤ n` only, so that it
/// agrees with its factorials.
fn binomial(n: &Complex, k: &Complex, is_given: bool, p: u64) -> Value {
    let k = match exact_integer(k) {
        Integer::Is(k) if (0..=200).contains(&k) => k,
        Integer::Is(0..) | Integer::Unknown => return Value::Unknown,
        Integer::Is(_) | Integer::IsNone => return Value::Undefined,
    };
    if !is_given && n.is_real() && n.re.is_exact() && n.re.to_rational().and_then(|n| n.to_i64()).is_some_and(|n| n < k)
    {
        return Value::Undefined;
    }
    let mut value = Complex::from(Real::integer(1));
    for j in 0..k {
        let next = n
            .sub(&Real::integer(j).into(), p)
            .and_then(|factor| value.mul(&factor, p))
            .and_then(|product| product.div(&Real::integer(j + 1).into(), p));
        let Some(next) = next else { return Value::Unknown };
        value = next;
    }
    Value::Defined(value)
}
