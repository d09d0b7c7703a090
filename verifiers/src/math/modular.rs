//! The value of an expression modulo a prime, at random points.
//!
//! A rational function that is not zero vanishes at a random point modulo a random prime of 61 bits with a chance below
//! its degree over 2⁶⁰ (Schwartz 1980, Zippel 1979). `i` is a root of −1, for which the primes leave remainder 1 modulo
//! 4. Any other function is taken for one of which nothing is known: its value is a hash of the values of its arguments.
//! Equal values then still prove equality, while different ones prove nothing.

use std::sync::OnceLock;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::expression::{Arena, Constant, Id, Node};
use super::rational::Rational;
use crate::random::Random;

/// A prime field, and what the values at its random point depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    prime: u64,
    root: u64,
    seed: u64,
}

/// Whether an expression is a rational function over the Gaussian numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Rational,
    Elementary,
}

impl Field {
    /// One of the fields for a seed.
    pub(super) fn choose(seed: u64, round: u64) -> Self {
        let word = mix(seed ^ mix(round));
        let (prime, root) = primes()[(word % N_PRIMES as u64) as usize];
        Self { prime, root, seed: word }
    }

    /// The same field at another random point.
    pub(super) fn at(self, round: u64) -> Self {
        Self { seed: mix(self.seed ^ mix(round)), ..self }
    }

    pub(super) fn product(self, a: u64, b: u64) -> u64 {
        self.mul(a, b)
    }

    fn add(self, a: u64, b: u64) -> u64 {
        let sum = a + b;
        if sum >= self.prime { sum - self.prime } else { sum }
    }

    fn neg(self, a: u64) -> u64 {
        if a == 0 { 0 } else { self.prime - a }
    }

    fn mul(self, a: u64, b: u64) -> u64 {
        mul(a, b, self.prime)
    }

    /// The inverse, unless the number is zero.
    fn inverse(self, a: u64) -> Option<u64> {
        (a != 0).then(|| pow(a, self.prime - 2, self.prime))
    }

    fn number(self, value: &Rational) -> Option<u64> {
        let residue = |n: &BigInt| {
            let prime = BigInt::from(self.prime);
            let rest = ((n % &prime) + &prime) % &prime;
            rest.to_u64().expect("a remainder is below the prime")
        };
        match value {
            Rational::Small(n, d) => {
                let above = n.rem_euclid(self.prime as i64) as u64;
                if *d == 1 { Some(above) } else { Some(self.mul(above, self.inverse(*d as u64 % self.prime)?)) }
            }
            Rational::Big(value) => Some(self.mul(residue(value.numer()), self.inverse(residue(value.denom()))?)),
        }
    }

    /// A fixed random number for a key.
    fn random(self, key: u64) -> u64 {
        mix(self.seed ^ mix(key)) % self.prime
    }
}

/// A mixer of 64 bits (Steele, Lea and Flood 2014, SplitMix).
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A key of a text, for values of variables and functions.
pub(super) fn key_of(text: &str) -> u64 {
    text.bytes().fold(text.len() as u64, |key, byte| mix(key ^ u64::from(byte)))
}

/// The values of all nodes of an expression; none where a denominator vanishes or the exponent of zero is no number.
pub(super) fn evaluate(arena: &Arena, order: &[Id], field: Field) -> Option<u64> {
    let low = order[0] as usize;
    let last = order[order.len() - 1] as usize;
    let mut values = vec![0; last + 1 - low];
    for &id in order {
        let at = |child: Id| values[child as usize - low];
        let value = match *arena.node(id) {
            Node::Number(ref value) => field.number(value)?,
            Node::Symbol(name) => field.random(key_of(&arena.names[name as usize])),
            Node::Constant(Constant::I) => field.root,
            Node::Constant(Constant::Degree) => field.mul(field.random(Constant::Pi as u64), field.inverse(180)?),
            Node::Constant(constant) => field.random(constant as u64),
            Node::Sign(n) => field.random(1000 + u64::from(n)),
            Node::Neg(a) => field.neg(at(a)),
            Node::Add(a, b) => field.add(at(a), at(b)),
            Node::Mul(a, b) => field.mul(at(a), at(b)),
            Node::Div(a, b) => field.mul(at(a), field.inverse(at(b))?),
            Node::Percent(a) => field.mul(at(a), field.inverse(100)?),
            Node::Pow(a, b) => match arena.number(b) {
                Some(e) if e.is_integer() => integral_power(field, at(a), e)?,
                _ => unknown(field, 1, at(a), at(b)),
            },
            Node::Root(a, b) => unknown(field, 2, at(a), at(b)),
            Node::Call(function, a) => unknown(field, 100 + function as u64, at(a), 0),
            Node::Call2(function, a, b) => unknown(field, 200 + function as u64, at(a), at(b)),
            Node::Apply(name, a) => unknown(field, 3, key_of(&arena.names[name as usize]), at(a)),
            Node::Pair(a, b) => unknown(field, 4, at(a), at(b)),
        };
        values[id as usize - low] = value;
    }
    values.pop()
}

fn unknown(field: Field, function: u64, a: u64, b: u64) -> u64 {
    field.random(mix(function) ^ mix(a.wrapping_add(1)).rotate_left(17) ^ mix(b.wrapping_add(2)).rotate_left(41))
}

fn integral_power(field: Field, base: u64, exponent: &Rational) -> Option<u64> {
    if base == 0 && (exponent.is_negative() || exponent.is_zero()) {
        return None;
    }
    if base == 0 {
        return Some(0);
    }
    // By Fermat, exponents count modulo p − 1.
    let order = Rational::Small(field.prime as i64 - 1, 1);
    let quotient = exponent.div(&order)?.floor();
    let rest = exponent.sub(&quotient.mul(&order)).to_i64()?;
    Some(pow(base, rest as u64, field.prime))
}

/// What kind of function an expression is; constants and `i` count as rational, π and e as variables do not.
pub(super) fn class(arena: &Arena, order: &[Id]) -> Class {
    let is_rational = order.iter().all(|&id| match arena.node(id) {
        Node::Number(_)
        | Node::Symbol(_)
        | Node::Sign(_)
        | Node::Neg(_)
        | Node::Add(..)
        | Node::Mul(..)
        | Node::Div(..)
        | Node::Percent(_) => true,
        // π is transcendental, so that it may stand for a variable; so may e, but the two together may not.
        Node::Constant(constant) => matches!(constant, Constant::I | Constant::Pi | Constant::Degree),
        Node::Pow(_, b) => arena.number(*b).is_some_and(Rational::is_integer),
        _ => false,
    });
    if is_rational { Class::Rational } else { Class::Elementary }
}

const N_PRIMES: usize = 32;

/// Primes of 61 bits that leave remainder 1 modulo 4, each with a square root of −1.
fn primes() -> &'static [(u64, u64); N_PRIMES] {
    static PRIMES: OnceLock<[(u64, u64); N_PRIMES]> = OnceLock::new();
    PRIMES.get_or_init(|| {
        let mut random = Random::keyed([0x7072_696d_6573, 0, 0, 0]);
        std::array::from_fn(|_| {
            loop {
                let candidate = (random.bits() >> 4) | (1 << 60) | 1;
                let candidate = candidate & !2;
                if is_prime(candidate) {
                    return (candidate, root_of_minus_one(candidate));
                }
            }
        })
    })
}

fn root_of_minus_one(prime: u64) -> u64 {
    (2..)
        .map(|base| pow(base, (prime - 1) / 4, prime))
        .find(|&root| mul(root, root, prime) == prime - 1)
        .expect("half of all bases are no squares")
}

fn mul(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

fn pow(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mut power = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = mul(power, base, modulus);
        }
        base = mul(base, base, modulus);
        exponent >>= 1;
    }
    power
}

/// Miller's test with the bases that decide all numbers of 64 bits (Sorenson and Webster 2015, arXiv:1509.00864).
fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if BASES.iter().any(|base| n.is_multiple_of(*base)) {
        return BASES.contains(&n);
    }
    let twos = (n - 1).trailing_zeros();
    BASES.iter().all(|&base| {
        let mut power = pow(base, (n - 1) >> twos, n);
        if power == 1 || power == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            power = mul(power, power, n);
            power == n - 1
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primality_is_decided() {
        let small: Vec<u64> = (2..60).filter(|&n| is_prime(n)).collect();
        assert_eq!(small, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]);
        assert!(is_prime((1 << 61) - 1) && !is_prime(3_215_031_751) && !is_prime(561));
    }

    #[test]
    fn every_field_has_a_root_of_minus_one() {
        for (prime, root) in primes() {
            assert!(*prime >> 60 == 1 && prime % 4 == 1);
            assert_eq!(mul(*root, *root, *prime), prime - 1);
        }
    }
}
