//! Points from a table: CSV with a header, columns in any order.

use std::collections::HashMap;
use std::path::Path;

use crate::points::{Point, PointsError, Series};
use crate::store::StoreError;

/// Reads points from a table with a header.
///
/// | column | holds |
/// |---|---|
/// | `C` or `compute` | compute in any unit, not negative; 0 is before the first step |
/// | `y` or `accuracy` | accuracy, 0 to 1; may be missing if `k` and `n` are there |
/// | `k`, `n` | right ones of how many trials |
/// | `seed`, `series` | to which run the point belongs |
/// | `step`, `lenient` | as in the points of a run |
///
/// Other columns are passed over. Rows may come in any order.
///
/// # Errors
///
/// Names the line, what is there and what would be right.
pub(crate) fn read(path: &Path) -> Result<Vec<Series>, PointsError> {
    let bytes = std::fs::read(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let refuse = |line: usize, why: String| PointsError::Table { path: path.to_owned(), line, why };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
        refuse(line, "not UTF-8 text; save the table as CSV in UTF-8".to_owned())
    })?;
    parse(text.trim_start_matches('\u{feff}')).map_err(|(line, why)| refuse(line, why))
}

/// What is wrong, with its line.
type Wrong = (usize, String);

fn parse(text: &str) -> Result<Vec<Series>, Wrong> {
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.trim().is_empty());
    let (line, header) = lines.next().ok_or((1, "the file is empty; a header such as `C,y` is needed".to_owned()))?;
    let columns = Columns::of(header).map_err(|why| (line, why))?;
    let mut all: Vec<Series> = vec![];
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (line, row) in lines {
        let cells = split(row);
        let (name, point) = columns.point(&cells).map_err(|why| (line, why))?;
        let at = *by_name.entry(name).or_insert_with_key(|name| {
            all.push(Series { name: name.clone(), set: "accuracy".to_owned(), points: vec![] });
            all.len() - 1
        });
        all[at].points.push(point);
    }
    if all.is_empty() {
        return Err((line + 1, "there is no point below the header".to_owned()));
    }
    for series in &mut all {
        series.points.sort_by(|a, b| a.compute.total_cmp(&b.compute));
    }
    Ok(all)
}

/// Cells without surrounding blanks and quotes; between quotes a comma ends no cell.
fn split(row: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let ends = |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    };
    row.split(ends).map(|cell| cell.trim().trim_matches('"').trim()).collect()
}

/// Where each column stands.
struct Columns<'a> {
    header: Vec<&'a str>,
    compute: usize,
    accuracy: Option<usize>,
    right: Option<usize>,
    trials: Option<usize>,
    seed: Option<usize>,
    series: Option<usize>,
    step: Option<usize>,
    lenient: Option<usize>,
}

impl<'a> Columns<'a> {
    fn of(line: &'a str) -> Result<Self, String> {
        let header = split(line);
        if header.len() == 1 && line.contains([';', '\t']) {
            return Err(format!("the header is `{}`; columns must be separated by `,`", line.trim()));
        }
        let find = |names: &[&str]| {
            let found: Vec<usize> = (0..header.len()).filter(|&i| names.contains(&header[i])).collect();
            match found.as_slice() {
                [_, second, ..] => Err(format!("the column `{}` is there twice; remove one", header[*second])),
                found => Ok(found.first().copied()),
            }
        };
        let missing = |names: &str| format!("there is no column {names}; the header is `{}`", line.trim());
        let (accuracy, right, trials) = (find(&["y", "accuracy"])?, find(&["k"])?, find(&["n"])?);
        let compute = find(&["C", "compute"])?.ok_or_else(|| missing("`C` or `compute`"))?;
        if accuracy.is_none() && (right.is_none() || trials.is_none()) {
            return Err(missing("`y` or `accuracy`, nor both `k` and `n`"));
        }
        let (seed, series) = (find(&["seed"])?, find(&["series"])?);
        let (step, lenient) = (find(&["step"])?, find(&["lenient"])?);
        Ok(Self { header, compute, accuracy, right, trials, seed, series, step, lenient })
    }

    fn point(&self, cells: &[&str]) -> Result<(String, Point), String> {
        if cells.len() != self.header.len() {
            return Err(format!("{} cells, but the header has {}", cells.len(), self.header.len()));
        }
        let compute = self.number(cells, self.compute)?;
        if compute < 0.0 {
            return Err(format!("compute is {compute}, but cannot be negative"));
        }
        let n = self.optional(cells, self.trials)?;
        if let Some(n) = n.filter(|n| *n <= 0.0) {
            return Err(format!("`n` is {n}, but must be above 0; leave the cell empty if it is not known"));
        }
        let point = Point {
            step: self.optional(cells, self.step)?.map_or(0, |step| step.max(0.0) as u64),
            compute,
            y: self.accuracy(cells, n)?,
            lenient: self.optional(cells, self.lenient)?,
            n,
        };
        Ok((self.name(cells), point))
    }

    fn accuracy(&self, cells: &[&str], n: Option<f64>) -> Result<f64, String> {
        let share = match (self.optional(cells, self.right)?, n) {
            (Some(k), Some(n)) if !(0.0..=n).contains(&k) => {
                return Err(format!("`k` is {k} of `n` = {n}, but must lie between 0 and `n`"));
            }
            (Some(k), Some(n)) => Some(k / n),
            _ => None,
        };
        let Some(at) = self.accuracy else {
            return share.ok_or_else(|| "`k` and `n` must both be given where there is no `y`".to_owned());
        };
        let y = self.number(cells, at)?;
        if !(0.0..=1.0).contains(&y) {
            let hint = if y > 1.0 && y <= 100.0 { "; divide percentages by 100" } else { "" };
            return Err(format!("accuracy is {y}, but must lie between 0 and 1{hint}"));
        }
        match share {
            Some(share) if (share - y).abs() > 0.006 => {
                Err(format!("`y` is {y}, but `k` / `n` is {share:.4}; one of them is wrong"))
            }
            Some(_) | None => Ok(y),
        }
    }

    fn number(&self, cells: &[&str], at: usize) -> Result<f64, String> {
        let cell = cells[at];
        cell.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
            format!("`{}` is `{cell}`, but must be a number; remove the row if it was not measured", self.header[at])
        })
    }

    fn optional(&self, cells: &[&str], at: Option<usize>) -> Result<Option<f64>, String> {
        at.filter(|&at| !cells[at].is_empty()).map(|at| self.number(cells, at)).transpose()
    }

    fn name(&self, cells: &[&str]) -> String {
        match (self.series.map(|at| cells[at]), self.seed.map(|at| cells[at])) {
            (Some(series), Some(seed)) => format!("{series}, seed {seed}"),
            (Some(name), None) => name.to_owned(),
            (None, Some(seed)) => format!("seed {seed}"),
            (None, None) => "points".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::fit::{Label, fit};

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        std::fs::write(&path, text).unwrap();
        let found = read(&path)
            .map(|series| series.iter().map(|s| s.points.len()).sum())
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""));
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn tables() {
        check("seed,C,k,n,y\n1,1e3,5,10,0.5\n2,2e3,6,10,0.6\n", Ok(2));
        check("compute,accuracy\n3,0.5\n1,0.25\n", Ok(2));
        check("\u{feff}\"y\", \"C\"\r\n0.5, 1e3\r\n\r\n", Ok(1));
        check("n,k,C\n10,5,3\n", Ok(1));
        check("series,step,C,y,lenient,n\na,1,5,0.25,,\n\"a, b\",1,5,0.25,,\n", Ok(2));
    }

    #[test]
    fn refusals_name_line_and_remedy() {
        check("", Err("points `p.csv`, line 1: the file is empty; a header such as `C,y` is needed"));
        check("a,b\n1,2\n", Err("points `p.csv`, line 1: there is no column `C` or `compute`; the header is `a,b`"));
        check(
            "C,k\n1,2\n",
            Err(
                "points `p.csv`, line 1: there is no column `y` or `accuracy`, nor both `k` and `n`; the header is `C,k`",
            ),
        );
        check("C;y\n1;2\n", Err("points `p.csv`, line 1: the header is `C;y`; columns must be separated by `,`"));
        check("C,compute,y\n1,1,0\n", Err("points `p.csv`, line 1: the column `compute` is there twice; remove one"));
        check(
            "C,y\n1,0.5\n2,NaN\n",
            Err("points `p.csv`, line 3: `y` is `NaN`, but must be a number; remove the row if it was not measured"),
        );
        check(
            "C,y\n1,50\n",
            Err("points `p.csv`, line 2: accuracy is 50, but must lie between 0 and 1; divide percentages by 100"),
        );
        check("C,y\n1,-0.1\n", Err("points `p.csv`, line 2: accuracy is -0.1, but must lie between 0 and 1"));
        check("C,y\n-1,0.1\n", Err("points `p.csv`, line 2: compute is -1, but cannot be negative"));
        check("C,y\n1\n", Err("points `p.csv`, line 2: 1 cells, but the header has 2"));
        check(
            "C,y,n\n1,0.5,0\n",
            Err("points `p.csv`, line 2: `n` is 0, but must be above 0; leave the cell empty if it is not known"),
        );
        check("C,k,n\n1,5,4\n", Err("points `p.csv`, line 2: `k` is 5 of `n` = 4, but must lie between 0 and `n`"));
        check(
            "C,y,k,n\n1,0.9,2,4\n",
            Err("points `p.csv`, line 2: `y` is 0.9, but `k` / `n` is 0.5000; one of them is wrong"),
        );
        check("C,y\n", Err("points `p.csv`, line 2: there is no point below the header"));
    }

    #[test]
    fn order_does_not_matter() {
        let rows: Vec<String> = (0..12).map(|i| format!("{},{}", 10_f64.powi(i), 0.05 * f64::from(i))).collect();
        let forth = parse(&format!("C,y\n{}", rows.join("\n"))).unwrap();
        let back: Vec<String> = rows.into_iter().rev().collect();
        assert_eq!(forth, parse(&format!("C,y\n{}", back.join("\n"))).unwrap());
    }

    #[test]
    fn one_point_and_equal_compute_are_undetermined_and_say_why() {
        for (text, why) in
            [("C,y\n5,0.5\n", "1 values of compute"), ("C,y\n5,0.5\n5,0.6\n5,0.7\n", "1 values of compute")]
        {
            let verdict = fit(&parse(text).unwrap()).verdict;
            assert_eq!(verdict.label, Label::Undetermined);
            assert!(verdict.reasons[0].contains(why) && !verdict.would_settle.is_empty(), "{verdict:?}");
        }
    }

    #[test]
    fn a_million_rows_are_no_trouble() {
        let mut text = String::from("C,y,k,n\n");
        for i in 0..1_000_000 {
            let (compute, k) = (10_f64.powf(18.0 + f64::from(i) / 400_000.0), 30 + i / 25_000 + i % 7);
            writeln!(text, "{compute:e},{},{k},200", f64::from(k) / 200.0).unwrap();
        }
        let fit = fit(&parse(&text).unwrap());
        assert_eq!((fit.points, fit.verdict.label), (1_000_000, Label::LogLinear), "{:?}", fit.verdict);
        // k rises by 40 of 200 in 2.5 decades.
        let slope = fit.slope.unwrap().value;
        assert!((slope - 0.08).abs() < 0.001, "{slope}");
    }
}
