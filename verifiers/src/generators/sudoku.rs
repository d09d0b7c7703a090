//! Sudoku: fill a grid so that rows, columns and boxes hold every digit.

use serde::{Deserialize, Serialize};

use super::{Instance, Judgement, Puzzle};
use crate::random::Random;

/// Fill the blanks of a grid of 4, 6 or 9 rows; where several fillings obey the rules, any is right.
#[derive(Debug)]
pub struct Sudoku;

/// The knobs of [`Sudoku`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Rows of the grid: 4, 6 or 9.
    size: i64,
    /// Cells to be filled.
    n_blanks: i64,
}

/// The grid as given, row by row, with `.` for a blank.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    size: usize,
    givens: String,
}

/// Rows and columns of a box.
fn box_shape(size: usize) -> Option<(usize, usize)> {
    match size {
        4 => Some((2, 2)),
        6 => Some((2, 3)),
        9 => Some((3, 3)),
        _ => None,
    }
}

impl Puzzle for Sudoku {
    const NAME: &'static str = "sudoku";
    type Params = Params;
    type Spec = Spec;

    fn params(level: u32) -> Params {
        let (size, n_blanks) = match level {
            0..=2 => (4, 4 + 2 * i64::from(level)),
            3..=4 => (6, 6 * i64::from(level) - 6),
            _ => (9, 10 * i64::from(level.min(10)) - 25),
        };
        Params { size, n_blanks: n_blanks.min(56) }
    }

    fn check(params: &Params) -> Result<(), String> {
        let Params { size, n_blanks } = params;
        if ![4, 6, 9].contains(size) {
            return Err(format!("`size` is {size}, but must be 4, 6 or 9"));
        }
        if !(1..=size * size).contains(n_blanks) {
            return Err(format!("`n_blanks` is {n_blanks}, but must lie between 1 and {}", size * size));
        }
        Ok(())
    }

    /// Draws a full grid and blanks cells of it, so that every instance can be solved.
    fn draw(params: &Params, random: &mut Random) -> Instance<Spec> {
        let size = params.size as usize;
        let full = full_grid(size, random);
        let mut cells: Vec<usize> = (0..size * size).collect();
        random.shuffle(&mut cells);
        let blank = &cells[..params.n_blanks as usize];
        let show = |cell: usize| if blank.contains(&cell) { '.' } else { digit(full[cell]) };
        let givens: String = (0..size * size).map(show).collect();
        let (rows, columns) = box_shape(size).expect("`check` lets no other size pass");
        let problem = in_rows(&givens, size);
        let answer = in_rows(&full.iter().map(|&d| digit(d)).collect::<String>(), size);
        Instance {
            prompt: format!(
                "Fill the blanks, written as dots, of this {size} by {size} grid so that every row, every column and \
                 every box of {rows} rows and {columns} columns holds the digits 1 to {size} once each. The rows from \
                 top to bottom, separated by slashes: {problem}. Answer with the filled grid in the same form."
            ),
            identity: givens.clone(),
            solution: answer.clone(),
            problem,
            answer,
            spec: Spec { size, givens },
        }
    }

    fn judge(spec: &Spec, answer: &str) -> Judgement {
        let cells = spec.size * spec.size;
        let separator = |c: char| c.is_whitespace() || "/|,;-+[]().$\\".contains(c);
        let mut grid = Vec::with_capacity(cells);
        for c in answer.chars().filter(|c| !separator(*c)) {
            match c.to_digit(10) {
                Some(digit) if grid.len() < cells => grid.push(digit as usize),
                _ => return Judgement::Unreadable,
            }
        }
        if grid.len() != cells || cells == 0 {
            return Judgement::Unreadable;
        }
        let kept = spec.givens.chars().zip(&grid).all(|(given, &d)| given == '.' || given == digit(d));
        (spec.givens.len() == cells && kept && obeys_rules(&grid, spec.size)).into()
    }
}

fn digit(value: usize) -> char {
    char::from_digit(value as u32, 10).unwrap_or('?')
}

fn in_rows(cells: &str, size: usize) -> String {
    let cells: Vec<char> = cells.chars().collect();
    cells.chunks(size).map(|row| row.iter().collect::<String>()).collect::<Vec<_>>().join("/")
}

/// Draws a full grid: a cyclic pattern with its digits, rows within bands, bands and so on exchanged.
fn full_grid(size: usize, random: &mut Random) -> Vec<usize> {
    let (rows, columns) = box_shape(size).expect("`check` lets no other size pass");
    let row_order = shuffled_lines(size / rows, rows, random);
    let column_order = shuffled_lines(size / columns, columns, random);
    let mut digits: Vec<usize> = (1..=size).collect();
    random.shuffle(&mut digits);
    let cell = |row: usize, column: usize| digits[(columns * (row % rows) + row / rows + column) % size];
    row_order
        .iter()
        .flat_map(|&row| column_order.iter().map(move |&column| (row, column)))
        .map(|(r, c)| cell(r, c))
        .collect()
}

/// Exchanges groups of lines, and lines within each.
fn shuffled_lines(n_groups: usize, group: usize, random: &mut Random) -> Vec<usize> {
    let mut groups: Vec<Vec<usize>> = (0..n_groups).map(|g| (g * group..(g + 1) * group).collect()).collect();
    random.shuffle(&mut groups);
    for lines in &mut groups {
        random.shuffle(lines);
    }
    groups.concat()
}

/// Whether every row, column and box holds every digit once.
fn obeys_rules(grid: &[usize], size: usize) -> bool {
    let Some((rows, columns)) = box_shape(size) else { return false };
    let mut seen = vec![[[false; 10]; 9]; 3];
    grid.iter().enumerate().all(|(cell, &digit)| {
        let (row, column) = (cell / size, cell % size);
        let box_index = row / rows * (size / columns) + column / columns;
        let places = [row, column, box_index];
        (1..=size).contains(&digit)
            && places.iter().enumerate().all(|(kind, &place)| !std::mem::replace(&mut seen[kind][place][digit], true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: Judgement) {
        let spec = Spec { size: 4, givens: "1.3.............".to_owned() };
        assert_eq!(Sudoku::judge(&spec, answer), expected, "{answer}");
    }

    #[test]
    fn any_filling_that_obeys_the_rules_is_right() {
        check("1234/3412/2143/4321", Judgement::Right);
        check("1432/3214/2143/4321", Judgement::Right);
        check("1234/3412/4321/2143", Judgement::Right);
        check("1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1", Judgement::Right);
        check("2134/3412/1243/4321", Judgement::Wrong);
        check("1234/1234/1234/1234", Judgement::Wrong);
        check("1234/3412/2143/432", Judgement::Unreadable);
        check("1234/3412/2143/4321/1", Judgement::Unreadable);
        check("1234/3412/2143/43x1", Judgement::Unreadable);
        check("1239/3412/2143/4321", Judgement::Wrong);
    }

    #[test]
    fn full_grids_obey_the_rules() {
        let mut random = Random::keyed([1, 2, 3, 4]);
        for size in [4, 6, 9] {
            for _ in 0..20 {
                assert!(obeys_rules(&full_grid(size, &mut random), size), "{size}");
            }
        }
    }
}
