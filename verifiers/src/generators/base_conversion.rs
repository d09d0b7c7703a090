//! Write a decimal number in another base.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle};
use crate::random::Random;

/// Convert an integer from base ten to another base.
#[derive(Debug)]
pub struct BaseConversion;

/// The knobs of [`BaseConversion`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Largest number; the smallest is 2.
    max_value: i64,
    /// The bases to draw from, each of 2 to 36.
    bases: Vec<u32>,
}

/// The number and the base.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    value: u64,
    base: u32,
}

impl Puzzle for BaseConversion {
    const NAME: &'static str = "base_conversion";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = level.max(1);
        let bases = match level {
            1 => vec![2],
            2 => vec![2, 3, 8],
            _ => (2..=16).filter(|&base| base != 10).collect(),
        };
        Params { max_value: 255_i64 << (2 * level.min(20)), bases }
    }

    fn check(params: &Params) -> Result<(), String> {
        if params.max_value < 2 {
            return Err(format!("`max_value` is {}, but must be at least 2", params.max_value));
        }
        if params.bases.is_empty() || !params.bases.iter().all(|base| (2..=36).contains(base)) {
            return Err(format!("`bases` is {:?}, but must list bases of 2 to 36", params.bases));
        }
        Ok(())
    }

    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let value = random.range(2, params.max_value) as u64;
        let base = *random.pick(&params.bases);
        let digits = remainders(value, base);
        let answer: String = digits.iter().rev().map(|&(_, _, digit)| digit).collect();
        let steps: Vec<String> =
            digits.iter().map(|(from, quotient, digit)| format!("{from} = {base} * {quotient} + {digit}")).collect();
        let problem = format!("{value} in base {base}");
        Instance {
            prompt: format!("Write the decimal number {value} in base {base}. Answer with the digits alone."),
            solution: format!("{}\n{answer}", steps.join("\n")),
            identity: problem.clone(),
            problem,
            answer,
            spec: Spec { value, base },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let digits = answer.trim().trim_end_matches('.').trim_matches('$');
        // `u64::from_str_radix` would take a sign.
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(spec.base)) {
            return Judgement::Unreadable;
        }
        (u64::from_str_radix(digits, spec.base) == Ok(spec.value)).into()
    }
}

/// Divides by the base until nothing is left: (number, quotient, digit of the remainder), lowest digit first.
fn remainders(mut value: u64, base: u32) -> Vec<(u64, u64, char)> {
    let mut steps = vec![];
    while value > 0 {
        let (quotient, remainder) = (value / u64::from(base), value % u64::from(base));
        let digit = char::from_digit(remainder as u32, base).expect("a remainder is below its base");
        steps.push((value, quotient, digit));
        value = quotient;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let judge = |answer| BaseConversion::judge(&Spec { value: 45, base: 2 }, answer);
        assert_eq!(judge("101101"), Judgement::Right);
        assert_eq!(judge("00101101."), Judgement::Right);
        assert_eq!(judge("45"), Judgement::Unreadable);
        assert_eq!(judge("101100"), Judgement::Wrong);
        assert_eq!(judge("+101101"), Judgement::Unreadable);
        assert_eq!(judge(&"1".repeat(500)), Judgement::Wrong);
        assert_eq!(BaseConversion::judge(&Spec { value: 255, base: 16 }, "FF"), Judgement::Right);
    }

    #[test]
    fn a_solution_shows_the_remainders() {
        let digits: String = remainders(6, 2).iter().map(|&(_, _, digit)| digit).collect();
        assert_eq!(digits, "011");
    }
}
