//! Whether one function is a constant multiple of another, so that setting either to zero says the same.

use super::evaluate::Value;
use super::identity::{
    ALWAYS, BITS, ENOUGH, FINE, Finding, N_ROUNDS, Place, SLACK, Sample, Steps, Subject, compare_values, domain,
};
use super::modular::{self, Class, Field};

/// The sign of the factor by which two functions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factor {
    Positive,
    Negative,
    /// Not real, or of a sign that is not known.
    Other,
}

/// Whether `a = c · b` for a constant `c` that is not zero, and its sign.
///
/// Constants are no multiples of each other: `0 = 1` and `0 = 2` have no more in common than that they are wrong.
pub(super) fn proportional(a: &Subject<'_>, b: &Subject<'_>, seed: u64, steps: &mut Steps) -> Option<Factor> {
    if !(a.has_variables && b.has_variables) {
        return None;
    }
    let is_proved = are_proportional_in_fields(a, b, seed)?;
    let is_rational = a.class == Class::Rational && b.class == Class::Rational;
    if !is_proved && is_rational {
        return None;
    }
    ratio_at_points(a, b, seed, steps, is_proved)
}

/// Whether the ratio of the values is the same at three points of a field; nothing if both vanish everywhere.
fn are_proportional_in_fields(a: &Subject<'_>, b: &Subject<'_>, seed: u64) -> Option<bool> {
    let mut first: Option<(u64, u64)> = None;
    let mut n_points = 0;
    for round in 0..8 {
        let field = Field::choose(seed, 0).at(round);
        let values = (modular::evaluate(a.arena, &a.order, field), modular::evaluate(b.arena, &b.order, field));
        let (Some(x), Some(y)) = values else { continue };
        if (x == 0) != (y == 0) {
            return Some(false);
        }
        if x == 0 {
            continue;
        }
        n_points += 1;
        match first {
            None => first = Some((x, y)),
            Some((u, v)) if field.product(x, v) != field.product(y, u) => return Some(false),
            Some(_) if n_points == 3 => return Some(true),
            Some(_) => {}
        }
    }
    if n_points == 0 { None } else { Some(false) }
}

fn ratio_at_points(a: &Subject<'_>, b: &Subject<'_>, seed: u64, steps: &mut Steps, is_proved: bool) -> Option<Factor> {
    let domain = domain(a, b);
    let mut first: Option<(Sample, Sample)> = None;
    let mut varies = false;
    let mut n_agreeing = 0;
    for round in 0..N_ROUNDS {
        let place = Place { round, seed, domain };
        let (x, y, precision) = sharp_values(a, b, place, steps)?;
        let ratio = match (&x.0, &y.0) {
            (Value::Defined(a), Value::Defined(b)) => a.div(b, precision),
            (Value::Defined(_), Value::Undefined) | (Value::Undefined, Value::Defined(_)) => return None,
            _ => continue,
        };
        let Some(ratio) = ratio.filter(|ratio| !ratio.contains_zero()) else { continue };
        let ratio = (Value::Defined(ratio), x.1);
        match &first {
            None => first = Some((ratio, x)),
            Some((other, value)) => {
                varies |= matches!(compare_values(&x, value, precision), Finding::Differ);
                match compare_values(&ratio, other, precision) {
                    Finding::Differ => return None,
                    Finding::Agree => n_agreeing += 1,
                    Finding::Nothing => continue,
                }
            }
        }
        if varies && (is_proved || (n_agreeing >= ENOUGH && round + 1 >= ALWAYS)) {
            return first.map(|(ratio, _)| sign_of(&ratio.0));
        }
    }
    None
}

/// The values at a point with enough bits to tell their ratio from that at another point: where large terms hide small
/// ones, ratios differ by the square of how small those are.
fn sharp_values(a: &Subject<'_>, b: &Subject<'_>, place: Place, steps: &mut Steps) -> Option<(Sample, Sample, u64)> {
    let mut precision = FINE;
    loop {
        if !steps.spend(a.cost(precision) + b.cost(precision)) {
            return None;
        }
        let x = a.value_at(place.round, place.seed, place.domain, precision);
        let y = b.value_at(place.round, place.seed, place.domain, precision);
        let needed = 3 * x.1.bits(y.1) + 2 * SLACK;
        if needed > BITS {
            return None;
        }
        if needed <= precision {
            return Some((x, y, precision));
        }
        precision = needed;
    }
}

fn sign_of(ratio: &Value) -> Factor {
    let Value::Defined(ratio) = ratio else { return Factor::Other };
    if !ratio.is_real() {
        Factor::Other
    } else if ratio.re.is_positive() {
        Factor::Positive
    } else if ratio.re.is_negative() {
        Factor::Negative
    } else {
        Factor::Other
    }
}
