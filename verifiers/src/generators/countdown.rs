//! Countdown: reach a target from given numbers.
//!
//! Each number is used exactly as often as it is given, joined by `+ - * /` and parentheses, in plain text or in LaTeX.
//! Values are exact fractions. Digits cannot be glued to other numbers, there are no powers and no signs (`-3` is an
//! operation that the task does not offer), and a trailing `= target` claims nothing new, so it is allowed.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;
use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle};
use crate::random::Random;

/// Write an expression of the given numbers, each used exactly once, that equals the target.
#[derive(Debug)]
pub struct Countdown;

/// The knobs of [`Countdown`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many numbers are given.
    n_numbers: i64,
    /// Largest number; the smallest is 1.
    max_number: i64,
    /// Largest target; the smallest is 1.
    max_target: i64,
}

/// The numbers and the target.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    numbers: Vec<i64>,
    target: i64,
}

impl Puzzle for Countdown {
    const NAME: &'static str = "countdown";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = i64::from(level.max(1));
        Params {
            n_numbers: (2 + level).min(8),
            max_number: if level < 3 { 25 } else { 99 },
            max_target: 100 * level.min(10),
        }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { n_numbers, max_number, max_target } = params;
        if !(2..=8).contains(n_numbers) {
            return Err(format!("`n_numbers` is {n_numbers}, but must lie between 2 and 8"));
        }
        if *max_number < 2 {
            return Err(format!("`max_number` is {max_number}, but must be at least 2"));
        }
        if max_target < max_number {
            return Err(format!(
                "`max_target` is {max_target}, but must be at least `max_number`, which is {max_number}"
            ));
        }
        Ok(())
    }

    /// Draws an expression first and takes its value for the target, so that every instance can be solved.
    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        loop {
            let numbers: Vec<i64> = (0..params.n_numbers).map(|_| random.range(1, params.max_number)).collect();
            let Some((target, answer)) = combine(&numbers, random) else { continue };
            if !(1..=params.max_target).contains(&target) || numbers.contains(&target) {
                continue;
            }
            let listed = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            return Instance {
                prompt: format!(
                    "Use each of the numbers {listed} exactly once, with +, -, * and / and parentheses, to make {target}. \
                     Answer with the expression alone."
                ),
                problem: format!("{listed} -> {target}"),
                solution: answer.clone(),
                identity: format!("{sorted:?} {target}"),
                answer,
                spec: Spec { numbers, target },
            };
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let Some(mut found) = Parser::read(expression_side(spec, answer)) else { return Judgement::Unreadable };
        let mut given = spec.numbers.clone();
        given.sort_unstable();
        found.numbers.sort_unstable();
        (found.numbers == given && found.value == BigRational::from(BigInt::from(spec.target))).into()
    }
}

/// Joins the numbers by random operations, whole numbers all the way.
fn combine(numbers: &[i64], random: &mut Random) -> Option<(i64, String)> {
    let mut parts: Vec<(i64, String)> = numbers.iter().map(|&n| (n, n.to_string())).collect();
    while parts.len() > 1 {
        let (a, shown_a) = parts.swap_remove(random.below(parts.len() as u64) as usize);
        let (b, shown_b) = parts.swap_remove(random.below(parts.len() as u64) as usize);
        let (value, sign) = match random.below(4) {
            0 => (a.checked_add(b)?, '+'),
            1 => (a.checked_sub(b)?, '-'),
            2 => (a.checked_mul(b)?, '*'),
            _ if b != 0 && a % b == 0 => (a / b, '/'),
            _ => return None,
        };
        parts.push((value, format!("({shown_a} {sign} {shown_b})")));
    }
    let (value, shown) = parts.pop()?;
    Some((value, shown.strip_prefix('(')?.strip_suffix(')')?.to_owned()))
}

/// Drops a trailing `= target`, which claims nothing new.
fn expression_side<'a>(spec: &Spec, answer: &'a str) -> &'a str {
    match answer.rsplit_once('=') {
        Some((left, right)) if right.trim().trim_end_matches('.').parse() == Ok(spec.target) => left,
        _ => answer,
    }
}

/// An expression's exact value and the numbers in it.
struct Expression {
    value: BigRational,
    numbers: Vec<i64>,
}

/// A recursive descent over `+ - * / ( )` and whole numbers; nothing is evaluated that was not parsed here.
struct Parser<'a> {
    rest: &'a str,
    numbers: Vec<i64>,
    depth: usize,
}

/// Eight numbers need less.
const DEEPEST: usize = 40;
/// Eight numbers need less, and values stay small.
const MOST_NUMBERS: usize = 40;

/// Writes LaTeX as plain text; `\frac` becomes the mark `⁄`, which the parser reads.
fn without_latex(text: &str) -> String {
    const PLAIN: [(&str, &str); 11] = [
        (r"\dfrac", "⁄"),
        (r"\tfrac", "⁄"),
        (r"\frac", "⁄"),
        (r"\times", "×"),
        (r"\cdot", "·"),
        (r"\div", "÷"),
        (r"\left", ""),
        (r"\right", ""),
        (r"\,", ""),
        (r"\;", ""),
        (r"\!", ""),
    ];
    let plain = text.replace('⁄', "/");
    PLAIN
        .iter()
        .fold(plain, |text, (command, plain)| if text.contains('\\') { text.replace(command, plain) } else { text })
}

impl Parser<'_> {
    fn read(text: &str) -> Option<Expression> {
        let text = without_latex(text);
        let text = text.trim().trim_matches('$').trim_end_matches('.');
        let mut parser = Parser { rest: text, numbers: vec![], depth: 0 };
        let value = parser.sum()?;
        parser.peek().is_none().then_some(Expression { value, numbers: parser.numbers })
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Consumes one of the signs and returns which.
    fn take(&mut self, signs: &[char]) -> Option<char> {
        let next = self.peek().filter(|c| signs.contains(c))?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn sum(&mut self) -> Option<BigRational> {
        let mut value = self.product()?;
        while let Some(sign) = self.take(&['+', '-', '−']) {
            let term = self.product()?;
            value = if sign == '+' { value + term } else { value - term };
        }
        Some(value)
    }

    fn product(&mut self) -> Option<BigRational> {
        let mut value = self.atom()?;
        while let Some(sign) = self.take(&['*', '×', '·', '/', '÷']) {
            let factor = self.atom()?;
            if !matches!(sign, '/' | '÷') {
                value *= factor;
            } else if factor.is_zero() {
                return None;
            } else {
                value /= factor;
            }
        }
        Some(value)
    }

    fn atom(&mut self) -> Option<BigRational> {
        match self.peek()? {
            '(' => return self.enclosed('(', ')'),
            '⁄' => return self.fraction(),
            _ => {}
        }
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        let number: i64 = digits.parse().ok()?;
        if self.numbers.len() == MOST_NUMBERS {
            return None;
        }
        self.rest = rest;
        self.numbers.push(number);
        Some(BigRational::from(BigInt::from(number)))
    }
}

impl Parser<'_> {
    fn enclosed(&mut self, open: char, close: char) -> Option<BigRational> {
        self.take(&[open])?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let value = self.sum()?;
        self.depth -= 1;
        self.take(&[close]).map(|_| value)
    }

    /// `⁄{a}{b}`, from `\frac{a}{b}`.
    fn fraction(&mut self) -> Option<BigRational> {
        self.take(&['⁄'])?;
        let (numerator, denominator) = (self.enclosed('{', '}')?, self.enclosed('{', '}')?);
        (!denominator.is_zero()).then(|| numerator / denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: Judgement) {
        let spec = Spec { numbers: vec![3, 7, 25, 3], target: 31 };
        assert_eq!(Countdown::judge(&spec, answer), expected, "{answer}");
    }

    #[test]
    fn answers() {
        check("25 + 7 - 3 / 3", Judgement::Right);
        check("(25 + 7) - (3 ÷ 3) = 31", Judgement::Right);
        check("25 + 3 + 3", Judgement::Wrong);
        check("25 + 7 - 1", Judgement::Wrong);
        check("31", Judgement::Wrong);
        check("25 + 7 - 3 / 3 = 32", Judgement::Unreadable);
        check("33 - 25 + 7", Judgement::Wrong);
        check("25 + 7 - 3 ** 3", Judgement::Unreadable);
        check("25 + 7 - 3 / (3 - 3)", Judgement::Unreadable);
        check("__import__('os')", Judgement::Unreadable);
        check("25 + 7 - 3 / 3)", Judgement::Unreadable);
        check("", Judgement::Unreadable);
        check(&"(".repeat(10_000), Judgement::Unreadable);
        check(&r"\frac{".repeat(10_000), Judgement::Unreadable);
        check(&format!("{}25 + 7 - 3 / 3{}", "(".repeat(100), ")".repeat(100)), Judgement::Unreadable);
        check(r"25 + 7 - \frac{3}{3} = 31", Judgement::Right);
        check(r"\left(25 + 7\right) - 3 \div 3", Judgement::Right);
        check(r"25 + 7 - \frac{3}{3 - 3}", Judgement::Unreadable);
        check("25 + 7 - 3 / 3 = 31.", Judgement::Right);
        check("31 = 25 + 7 - 3 / 3", Judgement::Unreadable);
        check("25 + 7 - 3 / 3 = 31 = 31", Judgement::Unreadable);
        check("-3 + 7 + 25 + 3", Judgement::Unreadable);
        check("25 + 7 - 3 3", Judgement::Unreadable);
        check("(25)(7)", Judgement::Unreadable);
        check("25 + 7 - 3 ^ 3", Judgement::Unreadable);
        check("25 + 7 - 3 // 3", Judgement::Unreadable);
        check("25 + 7 - 3.0 / 3", Judgement::Unreadable);
        check("2_5 + 7 - 3 / 3", Judgement::Unreadable);
        check("２５ + 7 - 3 / 3", Judgement::Unreadable);
        check("25 + 7 - 3 / 3 + 0", Judgement::Wrong);
        check("99999999999999999999 + 1", Judgement::Unreadable);
    }

    #[test]
    fn values_are_exact_fractions() {
        // 1 / 3 + 2 / 3 + 1 is 2, and only exactly so.
        let spec = Spec { numbers: vec![1, 3, 2, 3, 1], target: 2 };
        assert_eq!(Countdown::judge(&spec, "1 / 3 + 2 / 3 + 1"), Judgement::Right);
    }
}
