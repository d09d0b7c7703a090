//! Linear congruences: find `x` with `a x ≡ b (mod m)`.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integer};
use crate::random::Random;

/// Solve a linear congruence; where several `x` do, any is right.
#[derive(Debug)]
pub struct Modular;

/// The knobs of [`Modular`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Smallest modulus.
    min_modulus: i64,
    /// Largest modulus.
    max_modulus: i64,
}

/// `a x ≡ b (mod m)`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    a: i64,
    b: i64,
    m: i64,
}

impl Puzzle for Modular {
    const NAME: &'static str = "modular";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = level.clamp(1, 12);
        Params { min_modulus: 5, max_modulus: 15 * 3_i64.pow(level) }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { min_modulus, max_modulus } = params;
        if *min_modulus < 3 {
            return Err(format!("`min_modulus` is {min_modulus}, but must be at least 3"));
        }
        if max_modulus < min_modulus || *max_modulus > 1_000_000_000 {
            return Err(format!(
                "`max_modulus` is {max_modulus}, but must lie between `min_modulus`, {min_modulus}, and 10⁹"
            ));
        }
        Ok(())
    }

    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let m = random.range(params.min_modulus, params.max_modulus);
        let a = random.range(2, m - 1);
        let solution = random.range(0, m - 1);
        let b = a * solution % m; // a solution exists because it came first
        let x = smallest_solution(a, b, m);
        Instance {
            prompt: format!(
                "Find an integer x with 0 <= x < {m} such that {a} * x leaves the remainder {b} when divided by {m}. \
                 Answer with the number alone."
            ),
            problem: format!("{a}x={b} mod {m}"),
            answer: x.to_string(),
            solution: format!("{a} * {x} = {} = {m} * {} + {b}\n{x}", a * x, a * x / m),
            identity: format!("{a} {b} {m}"),
            spec: Spec { a, b, m },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let stated = answer.rsplit('=').next().and_then(integer);
        let Some(x) = stated else { return Judgement::Unreadable };
        let holds = i128::from(spec.a) * i128::from(x) % i128::from(spec.m.max(1)) == i128::from(spec.b);
        ((0..spec.m).contains(&x) && holds).into()
    }
}

/// The smallest `x ≥ 0` with `a x ≡ b (mod m)`, by the extended Euclidean algorithm; there must be one.
fn smallest_solution(a: i64, b: i64, m: i64) -> i64 {
    let (mut r, mut s) = ((a, m), (1_i64, 0_i64));
    while r.1 != 0 {
        let q = r.0 / r.1;
        r = (r.1, r.0 - q * r.1);
        s = (s.1, s.0 - q * s.1);
    }
    let divisor = r.0;
    let period = m / divisor;
    let x = i128::from(s.0) * i128::from(b / divisor);
    x.rem_euclid(i128::from(period)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_is_the_smallest() {
        for m in 3..40 {
            for a in 2..m {
                for x in 0..m {
                    let b = a * x % m;
                    let brute = (0..m).find(|x| a * x % m == b).unwrap();
                    assert_eq!(smallest_solution(a, b, m), brute, "{a} x = {b} mod {m}");
                }
            }
        }
    }

    #[test]
    fn any_solution_is_right() {
        // 4 x = 2 mod 6 has the solutions 2 and 5.
        let judge = |answer| Modular::judge(&Spec { a: 4, b: 2, m: 6 }, answer);
        assert_eq!(judge("2"), Judgement::Right);
        assert_eq!(judge("x = 5"), Judgement::Right);
        assert_eq!(judge("8"), Judgement::Wrong);
        assert_eq!(judge("-1"), Judgement::Wrong);
        assert_eq!(judge("9223372036854775807"), Judgement::Wrong);
        assert_eq!(judge("two"), Judgement::Unreadable);
    }
}
