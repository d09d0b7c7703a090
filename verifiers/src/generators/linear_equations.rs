//! Systems of linear equations with whole solutions.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integer};
use crate::random::Random;

/// Solve a system of linear equations that has exactly one solution.
#[derive(Debug)]
pub struct LinearEquations;

/// The knobs of [`LinearEquations`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Unknowns, and equations.
    n_unknowns: i64,
    /// Largest coefficient; the smallest is its negative.
    max_coefficient: i64,
    /// Largest value of an unknown; the smallest is its negative.
    max_value: i64,
}

/// The equations: coefficients, and the value on the right.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    equations: Vec<(Vec<i64>, i64)>,
}

const NAMES: [&str; 4] = ["x", "y", "z", "w"];

impl Puzzle for LinearEquations {
    const NAME: &'static str = "linear_equations";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = i64::from(level.max(1));
        Params {
            n_unknowns: (1 + level / 3).min(4),
            max_coefficient: (6 + 3 * level).min(60),
            max_value: (10 * level).min(100),
        }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { n_unknowns, max_coefficient, max_value } = params;
        if !(1..=4).contains(n_unknowns) {
            return Err(format!("`n_unknowns` is {n_unknowns}, but must lie between 1 and 4"));
        }
        for (name, knob) in [("max_coefficient", max_coefficient), ("max_value", max_value)] {
            if !(2..=1_000_000).contains(knob) {
                return Err(format!("`{name}` is {knob}, but must lie between 2 and 10⁶"));
            }
        }
        Ok(())
    }

    /// Draws the solution first, and coefficients until their determinant is not zero.
    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let n = params.n_unknowns as usize;
        let values: Vec<i64> = (0..n).map(|_| random.range(-params.max_value, params.max_value)).collect();
        let rows = loop {
            let bound = params.max_coefficient;
            let rows: Vec<Vec<i64>> = (0..n).map(|_| (0..n).map(|_| nonzero(bound, random)).collect()).collect();
            if determinant(&rows) != 0 {
                break rows;
            }
        };
        let right = |row: &[i64]| row.iter().zip(&values).map(|(a, x)| a * x).sum();
        let equations: Vec<(Vec<i64>, i64)> = rows.into_iter().map(|row| (row.clone(), right(&row))).collect();
        let problem = equations.iter().map(|(row, right)| shown(row, *right)).collect::<Vec<_>>().join(", ");
        let answer = NAMES.iter().zip(&values).map(|(name, x)| format!("{name} = {x}")).collect::<Vec<_>>().join(", ");
        Instance {
            prompt: format!("Solve for {}: {problem}. Answer in the form {}.", NAMES[..n].join(", "), form(n)),
            identity: problem.clone(),
            solution: answer.clone(),
            problem,
            answer,
            spec: Spec { equations },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let Some(values) = read(answer, spec.equations.len()) else { return Judgement::Unreadable };
        let holds = |(row, right): &(Vec<i64>, i64)| {
            let sum: i128 = row.iter().zip(&values).map(|(a, x)| i128::from(*a) * i128::from(*x)).sum();
            row.len() == values.len() && sum == i128::from(*right)
        };
        spec.equations.iter().all(holds).into()
    }
}

fn form(n: usize) -> String {
    NAMES[..n].iter().map(|name| format!("{name} = …")).collect::<Vec<_>>().join(", ")
}

fn nonzero(bound: i64, random: &mut Random) -> i64 {
    let size = random.range(1, bound);
    if random.below(2) == 0 { size } else { -size }
}

/// Expands along the first row; four unknowns are the most.
fn determinant(rows: &[Vec<i64>]) -> i128 {
    if rows.is_empty() {
        return 1;
    }
    let minor = |column: usize| -> Vec<Vec<i64>> {
        let without = |row: &Vec<i64>| row.iter().enumerate().filter(|(i, _)| *i != column).map(|(_, a)| *a).collect();
        rows[1..].iter().map(without).collect()
    };
    let signed = |column: usize| if column.is_multiple_of(2) { 1 } else { -1 };
    (0..rows.len()).map(|column| signed(column) * i128::from(rows[0][column]) * determinant(&minor(column))).sum()
}

fn shown(row: &[i64], right: i64) -> String {
    let mut text = String::new();
    for (name, &a) in NAMES.iter().zip(row) {
        let sign = match (text.is_empty(), a < 0) {
            (true, true) => "-",
            (true, false) => "",
            (false, true) => " - ",
            (false, false) => " + ",
        };
        let size = if a.abs() == 1 { String::new() } else { a.abs().to_string() };
        text.push_str(&format!("{sign}{size}{name}"));
    }
    format!("{text} = {right}")
}

/// Reads `x = 1, y = -2` in any order, or `1, -2` in order.
fn read(answer: &str, n: usize) -> Option<Vec<i64>> {
    let answer = answer.trim().trim_end_matches('.').trim_matches(['(', ')', '[', ']', '$', ' ']);
    let mut values = vec![None; n.min(NAMES.len())];
    let parts =
        answer.split([',', ';', '\n']).flat_map(|part| part.split(" and ")).filter(|part| !part.trim().is_empty());
    for (place, part) in parts.enumerate() {
        let (place, value) = match part.split_once('=') {
            Some((name, value)) => (NAMES.iter().position(|known| *known == name.trim())?, value),
            None => (place, part),
        };
        let slot = values.get_mut(place)?;
        if slot.replace(integer(&value.replace('−', "-"))?).is_some() {
            return None;
        }
    }
    values.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        #[track_caller]
        fn check(answer: &str, expected: Judgement) {
            let spec = Spec { equations: vec![(vec![2, -1], 5), (vec![1, 1], 1)] }; // x = 2, y = -1
            assert_eq!(LinearEquations::judge(&spec, answer), expected, "{answer}");
        }
        check("x = 2, y = -1", Judgement::Right);
        check("y=−1; x=2.", Judgement::Right);
        check("x = 2 and y = -1", Judgement::Right);
        check("(2, -1)", Judgement::Right);
        check("x = -1, y = 2", Judgement::Wrong);
        check("x = 2", Judgement::Unreadable);
        check("x = 2, x = 2", Judgement::Unreadable);
        check("x = 2, y = -1, z = 0", Judgement::Unreadable);
        check("x = two, y = -1", Judgement::Unreadable);
        check("x = 9223372036854775807, y = 9223372036854775807", Judgement::Wrong);
    }

    #[test]
    fn determinants() {
        assert_eq!(determinant(&[vec![2, -1], vec![1, 1]]), 3);
        assert_eq!(determinant(&[vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]]), 0);
        assert_eq!(determinant(&[vec![2, 0, 1], vec![1, 3, 2], vec![1, 1, 4]]), 18);
    }

    #[test]
    fn notation() {
        assert_eq!(shown(&[1, -1, 3], -2), "x - y + 3z = -2");
        assert_eq!(shown(&[-4], 8), "-4x = 8");
    }
}
