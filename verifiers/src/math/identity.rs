//! Whether two expressions are the same function, decided by evaluation and never by simplification.
//!
//! Rational functions are decided modulo primes ([`modular`]). Elsewhere equal values modulo primes, with unknown
//! functions in place of the elementary ones, prove equality, and disjoint intervals at a point prove difference. What
//! neither decides counts as equal if the values agree to hundreds of bits at every point where both are defined.

use super::complex::Complex;
use super::evaluate::{self, Domain, Extent, Point, Value};
use super::expression::{Arena, Constant, Id, Node};
use super::modular::{self, Class, Field, key_of, mix};
use super::rational::Rational;

/// The outcome of a comparison of expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    Yes,
    No,
    /// Nothing decided within the limit that is named.
    Unknown(&'static str),
}

/// The steps that a comparison may still spend on evaluation; one is about a microsecond.
#[derive(Debug)]
pub(super) struct Steps(pub(super) u64);

impl Steps {
    pub(super) const ALL: u64 = 6_000;

    pub(super) fn spend(&mut self, steps: u64) -> bool {
        let can_afford = self.0 >= steps;
        self.0 = self.0.saturating_sub(steps);
        can_afford
    }
}

/// An expression with the order of its nodes and its class.
pub(super) struct Subject<'a> {
    pub(super) arena: &'a Arena,
    pub(super) order: Vec<Id>,
    pub(super) class: Class,
    pub(super) has_variables: bool,
    has_i: bool,
    n_calls: u64,
}

/// Bits of the first look at a point, of the second, and of the last for constants.
const COARSE: u64 = 64;
pub(super) const FINE: u64 = 320;
const FINEST: u64 = 2_048;

/// The most bits that are ever used; where values of more different sizes meet, nothing is decided.
pub(super) const BITS: u64 = 8_192;
/// Values agree if they differ, in relation to their size, by less than 2 to the power of this many bits less than the
/// precision.
pub(super) const SLACK: u64 = 112;

const N_FIELDS: u64 = 2;
pub(super) const N_ROUNDS: u64 = 24;
/// Points that must agree.
pub(super) const ENOUGH: u32 = 4;
/// Points that suffice where no more are defined.
const FEW: u32 = 3;
/// Rounds that are always tried: they hold points of both signs, small, large and integral ones.
pub(super) const ALWAYS: u64 = 8;

impl<'a> Subject<'a> {
    pub(super) fn new(arena: &'a Arena, root: Id) -> Self {
        let order = arena.reachable(root);
        let mut subject =
            Self { arena, class: modular::class(arena, &order), order, has_variables: false, has_i: false, n_calls: 0 };
        for &id in &subject.order {
            match arena.node(id) {
                Node::Symbol(_) | Node::Apply(..) => subject.has_variables = true,
                Node::Constant(Constant::I) => subject.has_i = true,
                Node::Pow(_, b) if arena.number(*b).is_some_and(Rational::is_integer) => {}
                Node::Call(..) | Node::Call2(..) | Node::Pow(..) | Node::Constant(Constant::E) => subject.n_calls += 1,
                _ => {}
            }
        }
        subject
    }

    /// About how many microseconds an evaluation takes.
    pub(super) fn cost(&self, precision: u64) -> u64 {
        let words = precision / 64;
        1 + self.order.len() as u64 * (2 + words) / 8 + self.n_calls * (4 + words * words / 3)
    }

    pub(super) fn value_at(&self, round: u64, seed: u64, domain: Domain, precision: u64) -> Sample {
        let names = &self.arena.names;
        let values: Vec<Rational> = names.iter().map(|name| coordinate(name, round, seed)).collect();
        let field = Field::choose(seed, 0);
        let key = |id: Id| {
            let order = self.arena.reachable(id);
            let word = modular::evaluate(self.arena, &order, field).unwrap_or(0);
            Rational::Small((mix(word) >> 44) as i64 + 1, 1 << 18)
        };
        evaluate::evaluate(self.arena, &self.order, &Point { values: &values, domain, precision, key: &key })
    }

    /// The value of a constant to a precision, which is raised above the one given where large terms hide small ones.
    pub(super) fn constant(&self, precision: u64, steps: &mut Steps) -> Option<(Complex, u64)> {
        let mut precision = precision;
        while !self.has_variables && precision <= BITS && steps.spend(self.cost(precision)) {
            let (value, extent) = self.value_at(0, 0, Domain::Complex, precision);
            let Value::Defined(value) = value else { return None };
            let needed = 2 * extent.bits(extent) + 2 * SLACK;
            if needed <= precision {
                return Some((value, precision));
            }
            precision = needed;
        }
        None
    }

    pub(super) fn is_constant(&self) -> bool {
        !self.has_variables
    }
}

/// The value of a variable in a round: a dyadic number, so that it is exact.
fn coordinate(name: &str, round: u64, seed: u64) -> Rational {
    let word = mix(key_of(name) ^ mix(seed ^ mix(round + 1)));
    let unit = 1_i64 << 20;
    let below = |limit: i64| (word >> 16) as i64 % limit;
    let sign = if word & 1 == 0 { 1 } else { -1 };
    // Integers differ from round to round, as steps of 5 pass through all remainders.
    let first = mix(key_of(name) ^ mix(seed)) >> 16;
    let integral = |n: u64| 1 + ((first + round / 8 * 5) % n) as i64;
    match round % 8 {
        // Up to 4, from −3 to 3, from −1 to 1, from −4 to 0.
        0 => Rational::from_dyadic(below(4 * unit) | 1, 20),
        1 => Rational::from_dyadic(sign * (below(3 * unit) | 1), 20),
        2 => Rational::from_dyadic(sign * (below(unit) | 1), 20),
        3 => Rational::from_dyadic(-(below(4 * unit) | 1), 20),
        4 => Rational::Small(integral(12), 1),
        5 => Rational::from_dyadic(below(50 * unit) | 1, 20),
        6 => Rational::Small(sign * integral(9), 1),
        _ => Rational::from_dyadic(below(unit) | 1, 20),
    }
}

/// Decides whether two expressions are the same function.
pub(super) fn same(a: &Subject<'_>, b: &Subject<'_>, seed: u64, steps: &mut Steps) -> Same {
    if !steps.spend((a.order.len() + b.order.len()) as u64 / 16) {
        return Same::Unknown("steps");
    }
    match in_fields(a, b, seed) {
        Some(true) if a.class == Class::Rational && b.class == Class::Rational => return Same::Yes,
        Some(true) if is_defined_somewhere(a, b, seed, steps) => return Same::Yes,
        Some(false) if a.class == Class::Rational && b.class == Class::Rational => return Same::No,
        None if a.class == Class::Rational && b.class == Class::Rational => return Same::No,
        _ => {}
    }
    if a.has_variables || b.has_variables { at_points(a, b, seed, steps) } else { as_constants(a, b, steps) }
}

/// Whether the values agree in some prime fields; nothing if a value is missing in all tried.
fn in_fields(a: &Subject<'_>, b: &Subject<'_>, seed: u64) -> Option<bool> {
    let mut n_agreeing = 0;
    for round in 0..6 {
        let field = Field::choose(seed, round);
        let values = (modular::evaluate(a.arena, &a.order, field), modular::evaluate(b.arena, &b.order, field));
        let (Some(x), Some(y)) = values else { continue };
        if x != y {
            return Some(false);
        }
        n_agreeing += 1;
        if n_agreeing == N_FIELDS {
            return Some(true);
        }
    }
    None
}

pub(super) fn domain(a: &Subject<'_>, b: &Subject<'_>) -> Domain {
    if a.has_i || b.has_i || !(a.has_variables || b.has_variables) { Domain::Complex } else { Domain::Real }
}

fn is_defined_somewhere(a: &Subject<'_>, b: &Subject<'_>, seed: u64, steps: &mut Steps) -> bool {
    let domain = domain(a, b);
    (0..ALWAYS).any(|round| {
        let is_defined =
            |subject: &Subject<'_>| matches!(subject.value_at(round, seed, domain, COARSE).0, Value::Defined(_));
        steps.spend(a.cost(COARSE) + b.cost(COARSE)) && is_defined(a) && is_defined(b)
    })
}

/// A value with the sizes of the values met on the way to it.
pub(super) type Sample = (Value, Extent);

/// What a point says.
pub(super) enum Finding {
    Agree,
    Differ,
    Nothing,
}

fn at_points(a: &Subject<'_>, b: &Subject<'_>, seed: u64, steps: &mut Steps) -> Same {
    let domain = domain(a, b);
    // A look at all kinds of points first, as most that differ do so anywhere.
    for round in 0..ALWAYS {
        match at_point(a, b, Place { round, seed, domain }, COARSE, steps) {
            None => return Same::Unknown("steps"),
            Some(Finding::Differ) => return Same::No,
            _ => {}
        }
    }
    let mut n_agreeing = 0;
    for round in 0..N_ROUNDS {
        match at_point(a, b, Place { round, seed, domain }, FINE, steps) {
            None => return Same::Unknown("steps"),
            Some(Finding::Differ) => return Same::No,
            Some(Finding::Agree) => n_agreeing += 1,
            Some(Finding::Nothing) => {}
        }
        if n_agreeing >= ENOUGH {
            return Same::Yes;
        }
    }
    // A function of integers, such as a factorial, is defined in a few rounds only.
    if n_agreeing >= FEW { Same::Yes } else { Same::Unknown("points") }
}

fn as_constants(a: &Subject<'_>, b: &Subject<'_>, steps: &mut Steps) -> Same {
    let place = Place { round: 0, seed: 0, domain: Domain::Complex };
    if let Some(Finding::Differ) = at_point(a, b, place, COARSE, steps) {
        return Same::No;
    }
    match at_point(a, b, place, FINEST, steps) {
        None => Same::Unknown("steps"),
        Some(Finding::Differ) => Same::No,
        Some(Finding::Agree) => Same::Yes,
        Some(Finding::Nothing) => Same::Unknown("precision"),
    }
}

#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) round: u64,
    pub(super) seed: u64,
    pub(super) domain: Domain,
}

/// Compares the values at a point with rising precision, up to the one given and beyond what parts the sizes of the
/// values met on the way: `e^{1000} + 1` is not `e^{1000}`. Nothing if the steps do not suffice.
fn at_point(a: &Subject<'_>, b: &Subject<'_>, place: Place, finest: u64, steps: &mut Steps) -> Option<Finding> {
    let mut precision = finest.min(FINE);
    loop {
        if !steps.spend(a.cost(precision) + b.cost(precision)) {
            return None;
        }
        let x = a.value_at(place.round, place.seed, place.domain, precision);
        let y = b.value_at(place.round, place.seed, place.domain, precision);
        let finding = compare_values(&x, &y, precision);
        let are_undefined = matches!((&x.0, &y.0), (Value::Undefined, Value::Undefined));
        let needed = finest.max(2 * x.1.bits(y.1) + 2 * SLACK);
        if matches!(finding, Finding::Differ) || are_undefined || finest == COARSE || precision >= needed {
            return Some(finding);
        }
        if precision >= finest && needed > BITS {
            return Some(Finding::Nothing);
        }
        precision = if precision < finest { finest } else { needed };
    }
}

pub(super) fn compare_values(x: &Sample, y: &Sample, precision: u64) -> Finding {
    match (&x.0, &y.0) {
        (Value::Defined(a), Value::Defined(b)) => {
            let Some(gap) = a.sub(b, precision) else { return Finding::Nothing };
            if !gap.contains_zero() {
                return Finding::Differ;
            }
            let size = if a.contains_zero() && b.contains_zero() {
                x.1.high.max(y.1.high)
            } else {
                a.magnitude().max(b.magnitude())
            };
            let agreement = precision.saturating_sub(SLACK) as i64;
            if gap.is_zero() || (agreement > 0 && gap.magnitude() < size - agreement) {
                Finding::Agree
            } else {
                Finding::Nothing
            }
        }
        (Value::Defined(_), Value::Undefined) | (Value::Undefined, Value::Defined(_)) => Finding::Differ,
        _ => Finding::Nothing,
    }
}

impl Subject<'_> {
    /// The name of the variable, if there is one only.
    pub(super) fn only_variable(&self) -> Option<String> {
        let mut found = None;
        for &id in &self.order {
            match (self.arena.symbol(id), &found) {
                (Some(name), None) => found = Some(name.to_owned()),
                (Some(name), Some(known)) if name != known => return None,
                _ => {}
            }
        }
        found
    }
}
