//! Queens on a chess board, some of them placed.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle, integers};
use crate::random::Random;

/// Complete a placement of queens of which none attacks another; any completion is right.
#[derive(Debug)]
pub struct NQueens;

/// The knobs of [`NQueens`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Rows of the board, and queens.
    size: i64,
    /// Fewest queens that are placed already.
    min_given: i64,
    /// Most queens that are placed already.
    max_given: i64,
}

/// For each row the column of its queen, counted from 1, or 0 where it is to be found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    given: Vec<i64>,
}

impl Puzzle for NQueens {
    const NAME: &'static str = "n_queens";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let level = i64::from(level.max(1));
        Params { size: (5 + level).min(12), min_given: 1, max_given: 3 }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { size, min_given, max_given } = params;
        if !(4..=12).contains(size) {
            return Err(format!("`size` is {size}, but must lie between 4 and 12"));
        }
        if *min_given < 0 || max_given < min_given || max_given >= size {
            return Err(format!(
                "`min_given` is {min_given} and `max_given` {max_given}, but they must rise from 0 to below `size`"
            ));
        }
        Ok(())
    }

    /// Draws a solution and shows some of its queens, so that every instance can be solved.
    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let size = params.size as usize;
        let columns = solution(size, random);
        let mut rows: Vec<usize> = (0..size).collect();
        random.shuffle(&mut rows);
        let n_given = random.range(params.min_given, params.max_given) as usize;
        let mut given = vec![0; size];
        for &row in &rows[..n_given] {
            given[row] = columns[row];
        }
        let placed: Vec<String> = (0..size)
            .filter(|&row| given[row] != 0)
            .map(|row| format!("row {} column {}", row + 1, given[row]))
            .collect();
        let answer = columns.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let shown = if placed.is_empty() { "none".to_owned() } else { placed.join("; ") };
        Instance {
            prompt: format!(
                "Place {size} queens on a board of {size} rows and {size} columns, one in each row, so that no two share \
                 a column or a diagonal. These are placed already: {shown}. Answer with the columns of the queens from \
                 row 1 to row {size}, separated by commas."
            ),
            problem: format!("{size} queens, {shown}"),
            solution: answer.clone(),
            identity: format!("{given:?}"),
            answer,
            spec: Spec { given },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let Some(columns) = integers(answer).filter(|columns| !columns.is_empty()) else {
            return Judgement::Unreadable;
        };
        let size = spec.given.len();
        let kept = columns.iter().zip(&spec.given).all(|(column, given)| *given == 0 || column == given);
        let on_board = columns.iter().all(|column| (1..=size as i64).contains(column));
        (columns.len() == size && kept && on_board && (1..size).all(|row| is_safe(&columns[..row], columns[row])))
            .into()
    }
}

/// Whether a queen in the next row is attacked by none above it.
fn is_safe(above: &[i64], column: i64) -> bool {
    above.iter().rev().zip(1..).all(|(other, distance)| *other != column && (other - column).abs() != distance)
}

/// Draws a solution by placing queens at random, row by row, and beginning anew where there is no place left.
fn solution(size: usize, random: &mut Random) -> Vec<i64> {
    loop {
        let mut columns = vec![];
        while columns.len() < size {
            let safe: Vec<i64> = (1..=size as i64).filter(|column| is_safe(&columns, *column)).collect();
            if safe.is_empty() {
                break;
            }
            columns.push(*random.pick(&safe));
        }
        if columns.len() == size {
            return columns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: Judgement) {
        let spec = Spec { given: vec![0, 0, 0, 0, 0, 3] }; // 6 queens, the last in column 3
        assert_eq!(NQueens::judge(&spec, answer), expected, "{answer}");
    }

    #[test]
    fn answers() {
        check("4, 1, 5, 2, 6, 3", Judgement::Right);
        check("[4 1 5 2 6 3]", Judgement::Right);
        check("2, 4, 6, 1, 3, 5", Judgement::Wrong); // sound, but not with the queen that was placed
        check("1, 2, 4, 5, 6, 3", Judgement::Wrong);
        check("4, 1, 5, 2, 6", Judgement::Wrong);
        check("4, 1, 5, 2, 6, 9223372036854775807", Judgement::Wrong);
        check("4, 1, 5, 2, -6, 3", Judgement::Wrong);
        check("queens", Judgement::Unreadable);
        check("", Judgement::Unreadable);
    }

    #[test]
    fn another_completion_is_right() {
        let spec = Spec { given: vec![0; 4] };
        assert_eq!(NQueens::judge(&spec, "2, 4, 1, 3"), Judgement::Right);
        assert_eq!(NQueens::judge(&spec, "3, 1, 4, 2"), Judgement::Right);
    }
}
