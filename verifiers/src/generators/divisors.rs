//! Greatest common divisors and least common multiples.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integer};
use crate::random::Random;

/// Find the greatest common divisor or the least common multiple of a few numbers.
#[derive(Debug)]
pub struct GcdLcm;

/// The knobs of [`GcdLcm`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many numbers.
    n_numbers: i64,
    /// Largest number; the smallest is 2.
    max_number: i64,
}

/// What is asked of the numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    numbers: Vec<i64>,
    wanted: Wanted,
}

/// The two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    /// The greatest common divisor.
    Gcd,
    /// The least common multiple.
    Lcm,
}

impl Puzzle for GcdLcm {
    const NAME: &'static str = "gcd_lcm";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = i64::from(level.max(1));
        Params { n_numbers: (2 + level / 4).min(4), max_number: (60 * level).min(2000) }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { n_numbers, max_number } = params;
        if !(2..=6).contains(n_numbers) {
            return Err(format!("`n_numbers` is {n_numbers}, but must lie between 2 and 6"));
        }
        if !(4..=10_000).contains(max_number) {
            return Err(format!("`max_number` is {max_number}, but must lie between 4 and 10000"));
        }
        Ok(())
    }

    /// Draws multiples of a common divisor, since numbers drawn alone seldom have one.
    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let divisor = random.range(1, (params.max_number / 3).max(1));
        let multiple = |random: &mut Random| divisor * random.range(1, params.max_number / divisor);
        let numbers: Vec<i64> = (0..params.n_numbers).map(|_| multiple(random).max(2)).collect();
        let wanted = if random.below(2) == 0 { Wanted::Gcd } else { Wanted::Lcm };
        let question = match wanted {
            Wanted::Gcd => "greatest common divisor",
            Wanted::Lcm => "least common multiple",
        };
        let listed = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let answer = value(&numbers, wanted).to_string();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        Instance {
            prompt: format!("What is the {question} of {listed}? Answer with the number alone."),
            problem: format!("{question} of {listed}"),
            solution: answer.clone(),
            identity: format!("{wanted:?} {sorted:?}"),
            answer,
            spec: Spec { numbers, wanted },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let stated = answer.rsplit('=').next().and_then(integer);
        stated.map_or(Judgement::Unreadable, |x| (i128::from(x) == value(&spec.numbers, spec.wanted)).into())
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The value asked for; numbers that are not positive have none, which no answer equals.
fn value(numbers: &[i64], wanted: Wanted) -> i128 {
    let mut numbers = numbers.iter().map(|&n| i128::from(n));
    if numbers.clone().any(|n| n < 1) {
        return -1;
    }
    match wanted {
        Wanted::Gcd => numbers.fold(0, gcd),
        Wanted::Lcm => numbers.try_fold(1_i128, |lcm, n| (lcm / gcd(lcm, n)).checked_mul(n)).unwrap_or(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &[i64], wanted: Wanted, answer: &str, expected: Judgement) {
        assert_eq!(GcdLcm::judge(&Spec { numbers: numbers.to_vec(), wanted }, answer), expected, "{answer}");
    }

    #[test]
    fn answers() {
        check(&[12, 18], Wanted::Gcd, "6", Judgement::Right);
        check(&[12, 18], Wanted::Gcd, "gcd(12, 18) = 6.", Judgement::Right);
        check(&[12, 18], Wanted::Gcd, "3", Judgement::Wrong); // a common divisor, but not the greatest
        check(&[12, 18], Wanted::Lcm, "36", Judgement::Right);
        check(&[12, 18], Wanted::Lcm, "216", Judgement::Wrong);
        check(&[4, 6, 10], Wanted::Lcm, "60", Judgement::Right);
        check(&[7, 7], Wanted::Gcd, "7", Judgement::Right);
        check(&[12, 18], Wanted::Gcd, "six", Judgement::Unreadable);
        check(&[0, 5], Wanted::Lcm, "0", Judgement::Wrong);
    }
}
