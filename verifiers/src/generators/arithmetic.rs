//! Chains of integers: `12 + 7 * 3`, with the usual precedence.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integer};
use crate::random::Random;

/// Evaluate a chain of sums, differences and products.
#[derive(Debug)]
pub struct Arithmetic;

/// The knobs of [`Arithmetic`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Fewest numbers in a chain.
    min_terms: i64,
    /// Most numbers in a chain.
    max_terms: i64,
    /// Smallest number.
    min_operand: i64,
    /// Largest number.
    max_operand: i64,
    /// The operators to draw from, of `+`, `-` and `*`.
    operators: String,
    /// The share of worked answers that stop one operation short of the value, as hasty demonstrations do. The
    /// reference is whole.
    unfinished_share: f64,
}

/// The value of the chain.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    value: i64,
}

impl Puzzle for Arithmetic {
    const NAME: &'static str = "arithmetic";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = i64::from(level.max(1));
        Params {
            min_terms: 2,
            max_terms: (1 + level).min(8),
            min_operand: 0,
            max_operand: [9, 20, 99][(level as usize - 1).min(2)],
            operators: if level < 3 { "+-" } else { "+-*" }.to_owned(),
            unfinished_share: 0.0,
        }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { min_terms, max_terms, min_operand, max_operand, operators, unfinished_share } = params;
        if *min_terms < 2 {
            return Err(format!("`min_terms` is {min_terms}, but a chain has at least 2"));
        }
        if max_terms < min_terms || *max_terms > 64 {
            return Err(format!("`max_terms` is {max_terms}, but must lie between `min_terms`, {min_terms}, and 64"));
        }
        if max_operand < min_operand {
            return Err(format!(
                "`max_operand` is {max_operand}, but must be at least `min_operand`, which is {min_operand}"
            ));
        }
        if operators.is_empty() || !operators.chars().all(|c| "+-*".contains(c)) {
            return Err(format!("`operators` is `{operators}`, but must name some of `+`, `-` and `*`"));
        }
        if !(0.0..=1.0).contains(unfinished_share) {
            return Err(format!("`unfinished_share` is {unfinished_share}, but must lie between 0 and 1"));
        }
        // The largest value, a product of all terms, must fit.
        let largest = min_operand.unsigned_abs().max(max_operand.unsigned_abs()) as f64;
        let terms = if operators.contains('*') { *max_terms } else { 1 };
        if largest.powi(terms as i32) > 1e17 {
            return Err("the largest product does not fit into 64 bits; lower `max_terms` or `max_operand`".to_owned());
        }
        Ok(())
    }

    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let n_terms = random.range(params.min_terms, params.max_terms) as usize;
        let operators: Vec<char> = params.operators.chars().collect();
        let terms: Vec<i64> = (0..n_terms).map(|_| random.range(params.min_operand, params.max_operand)).collect();
        let signs: Vec<char> = (1..n_terms).map(|_| *random.pick(&operators)).collect();
        let chain = Chain { terms, signs };
        let value = chain.value();
        let mut worked = chain.worked();
        if random.unit() < params.unfinished_share {
            worked.pop();
        }
        Instance {
            prompt: format!("What is {}?", chain.spaced()),
            problem: chain.compact(),
            answer: value.to_string(),
            solution: worked.join("="),
            identity: chain.identity(),
            spec: Spec { value },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        // `3 + 4 = 7`: the last side counts.
        let value = answer.rsplit('=').next().and_then(integer);
        value.map_or(Judgement::Unreadable, |value| (value == spec.value).into())
    }
}

/// Numbers with an operator before each but the first.
#[derive(Clone)]
struct Chain {
    terms: Vec<i64>,
    signs: Vec<char>,
}

impl Chain {
    fn spaced(&self) -> String {
        let shown = |term: i64| if term < 0 { format!("({term})") } else { term.to_string() };
        let mut text = shown(self.terms[0]);
        for (sign, &term) in self.signs.iter().zip(&self.terms[1..]) {
            text.push_str(&format!(" {sign} {}", shown(term)));
        }
        text
    }

    fn compact(&self) -> String {
        self.spaced().replace(' ', "")
    }

    /// Does the first operation that precedence allows.
    fn step(&mut self) {
        let at = self.signs.iter().position(|&sign| sign == '*').unwrap_or(0);
        let (a, b) = (self.terms[at], self.terms.remove(at + 1));
        self.terms[at] = match self.signs.remove(at) {
            '*' => a * b,
            '-' => a - b,
            _ => a + b,
        };
    }

    fn value(&self) -> i64 {
        let mut chain = self.clone();
        while !chain.signs.is_empty() {
            chain.step();
        }
        chain.terms[0]
    }

    /// The sides that follow the problem's `=`: the chain after each operation, down to its value.
    fn worked(&self) -> Vec<String> {
        let mut chain = self.clone();
        let mut sides = vec![];
        while !chain.signs.is_empty() {
            chain.step();
            sides.push(chain.compact());
        }
        let last = sides.len() - 1;
        sides[last] = chain.terms[0].to_string(); // without brackets around a negative value
        sides
    }

    /// The order of the terms of a plain sum or product does not make another problem.
    fn identity(&self) -> String {
        let first = self.signs[0];
        if first == '-' || self.signs.iter().any(|&sign| sign != first) {
            return self.spaced();
        }
        let mut sorted = self.clone();
        sorted.terms.sort_unstable();
        sorted.spaced()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(terms: &[i64], signs: &str, value: i64, worked: &str) {
        let chain = Chain { terms: terms.to_vec(), signs: signs.chars().collect() };
        assert_eq!(chain.value(), value);
        assert_eq!(chain.worked().join("="), worked);
    }

    #[test]
    fn products_come_first_and_the_rest_from_the_left() {
        check(&[12, 7, 3], "+*", 33, "12+21=33");
        check(&[10, 4, 3], "--", 3, "6-3=3");
        check(&[2, 3, 4, 5], "*-*", -14, "6-4*5=6-20=-14");
        check(&[-2, -3], "-", 1, "1");
    }

    #[test]
    fn the_order_of_a_sum_does_not_matter_that_of_a_difference_does() {
        let identity =
            |terms: &[i64], signs: &str| Chain { terms: terms.to_vec(), signs: signs.chars().collect() }.identity();
        assert_eq!(identity(&[3, 5], "+"), identity(&[5, 3], "+"));
        assert_ne!(identity(&[3, 5], "-"), identity(&[5, 3], "-"));
    }

    #[test]
    fn answers() {
        let judge = |answer| Arithmetic::judge(&Spec { value: -7 }, answer);
        assert_eq!(judge("-7"), Judgement::Right);
        assert_eq!(judge("3 - 10 = -7."), Judgement::Right);
        assert_eq!(judge("7"), Judgement::Wrong);
        assert_eq!(judge("minus seven"), Judgement::Unreadable);
    }
}
