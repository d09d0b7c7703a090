//! How hard the problems were before training, and after.

use std::fmt::Write as _;

use super::axis::Axis;
use super::frame::{Frame, Head, Legend, Sign, WIDTH};
use super::svg::{Anchor, Svg};
use super::theme::Theme;
use crate::outcomes::Checkpoint;

/// The number of problems by their share of right samples, before and after training.
#[derive(Debug)]
pub struct DifficultyFigure<'a> {
    /// The first evaluation.
    pub before: &'a Checkpoint,
    /// The last one.
    pub after: &'a Checkpoint,
    /// Said above the figure.
    pub title: &'a str,
}

/// Some shares of right samples, with the problems that had them.
#[derive(Clone, Debug, PartialEq)]
struct Bin {
    label: String,
    before: usize,
    after: usize,
}

/// With more samples a problem than this, shares are drawn in tenths.
const MOST_SHARES: usize = 10;

impl DifficultyFigure<'_> {
    fn bins(&self) -> Vec<Bin> {
        let shares = |checkpoint: &Checkpoint| -> Vec<(f64, f64)> {
            checkpoint.problems.values().filter(|c| c.n > 0.0).map(|c| (c.right / c.n, c.n)).collect()
        };
        let (before, after) = (shares(self.before), shares(self.after));
        let most = before.iter().chain(&after).map(|(_, n)| *n as usize).max().unwrap_or(1).max(1);
        let scale = Scale::of(most);
        let count = |shares: &[(f64, f64)], i: usize| shares.iter().filter(|(share, _)| scale.bin(*share) == i).count();
        (0..=scale.last)
            .map(|i| Bin { label: scale.label(i), before: count(&before, i), after: count(&after, i) })
            .collect()
    }

    /// Draws the figure as SVG.
    pub fn to_svg(&self, theme: Theme) -> String {
        let colours = theme.colours();
        let head = Head::new(self.title, &self.words());
        let (left, right, top) = (72.0, WIDTH - 22.0, head.bottom() + 12.0);
        let frame = Frame { left, right, top, bottom: top + 220.0 };
        let bins = self.bins();
        let y = Axis::from_zero(bins.iter().map(|bin| bin.before.max(bin.after) as f64), frame.bottom, top);
        let entries = vec![
            (Sign::Box(colours.series(1)), "before".to_owned()),
            (Sign::Box(colours.series(0)), "after".to_owned()),
        ];
        let legend = Legend::new(entries, "", right - left);
        let legend_top = frame.bottom + 48.0;
        let mut svg = Svg::new(WIDTH, legend_top + legend.height(), colours);
        head.draw(&mut svg, left);
        frame.draw_y(&mut svg, &y);
        let width = (right - left) / bins.len() as f64;
        for (i, bin) in bins.iter().enumerate() {
            let middle = left + (i as f64 + 0.5) * width;
            let bar = (0.36 * width).min(48.0);
            svg.bar((middle - bar, y.at(bin.before as f64)), (middle - 1.0, frame.bottom), colours.series(1));
            svg.bar((middle + 1.0, y.at(bin.after as f64)), (middle + bar, frame.bottom), colours.series(0));
            svg.text((middle, frame.bottom + 17.0), &bin.label, 12.0, Anchor::Middle, colours.ink);
            for (n, at) in [(bin.before, middle - bar / 2.0), (bin.after, middle + bar / 2.0)] {
                let label = (n.to_string(), y.at(n as f64) - 4.0);
                svg.text((at, label.1), &label.0, 10.0, Anchor::Middle, colours.muted);
            }
        }
        frame.label_x(&mut svg, "share of a problem's samples that are right");
        frame.label_y(&mut svg, "problems");
        legend.draw(&mut svg, (left, legend_top));
        svg.finish()
    }

    /// How many problems changed, in words.
    fn words(&self) -> String {
        let change = |(id, after): (&String, &crate::outcomes::Counts)| {
            let before = self.before.problems.get(id).filter(|before| before.n > 0.0 && after.n > 0.0)?;
            Some(after.right / after.n - before.right / before.n)
        };
        let changes: Vec<f64> = self.after.problems.iter().filter_map(change).collect();
        let count = |f: fn(f64) -> bool| changes.iter().filter(|&&change| f(change)).count();
        format!(
            "of {} problems {} are answered right more often than before, {} less often, {} as often",
            changes.len(),
            count(|c| c > 1e-9),
            count(|c| c < -1e-9),
            count(|c| c.abs() <= 1e-9)
        )
    }

    /// Returns the bars as CSV.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("share,before,after\n");
        for Bin { label, before, after } in self.bins() {
            writeln!(csv, "{label},{before},{after}").expect("writing into a string");
        }
        csv
    }
}

/// Which shares have a bar together; 0 and 1 have their own.
struct Scale {
    /// Samples a problem, or 10 for tenths.
    n: usize,
    /// The bar of 1.
    last: usize,
}

impl Scale {
    fn of(most: usize) -> Self {
        if most <= MOST_SHARES { Self { n: most, last: most } } else { Self { n: 10, last: 11 } }
    }

    fn bin(&self, share: f64) -> usize {
        if share >= 1.0 { self.last } else { (share * self.n as f64 - 1e-9).ceil().max(0.0) as usize }
    }

    fn label(&self, i: usize) -> String {
        match i {
            0 => "0".to_owned(),
            i if i == self.last => "1".to_owned(),
            i if self.last == self.n => format!("{i}/{}", self.n),
            i if i == self.n => "< 1".to_owned(),
            i => format!("≤ {:.1}", i as f64 / self.n as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::Counts;

    fn checkpoint(right: &[f64], n: f64) -> Checkpoint {
        let problems = right.iter().enumerate().map(|(i, &right)| (i.to_string(), Counts { right, n }));
        Checkpoint { compute: 0.0, problems: problems.collect() }
    }

    #[track_caller]
    fn check(before: &[f64], after: &[f64], n: f64, expected: &str) {
        let (before, after) = (checkpoint(before, n), checkpoint(after, n));
        let figure = DifficultyFigure { before: &before, after: &after, title: "T" };
        assert_eq!(figure.to_csv(), expected);
        assert!(!figure.to_svg(Theme::Light).contains("NaN"));
    }

    #[test]
    fn few_samples_have_a_bar_for_every_share() {
        check(&[0.0, 1.0, 1.0], &[1.0, 2.0, 2.0], 2.0, "share,before,after\n0,1,0\n1/2,2,1\n1,0,2\n");
    }

    #[test]
    fn many_samples_are_drawn_in_tenths() {
        let csv = "share,before,after\n0,1,0\n≤ 0.1,1,0\n≤ 0.2,0,0\n≤ 0.3,0,0\n≤ 0.4,0,0\n≤ 0.5,0,1\n≤ 0.6,0,0\n≤ 0.7,0,0\n\
                   ≤ 0.8,0,0\n≤ 0.9,0,0\n< 1,0,1\n1,1,1\n";
        check(&[0.0, 1.0, 20.0], &[10.0, 19.0, 20.0], 20.0, csv);
    }

    #[test]
    fn changes_are_counted() {
        let (before, after) = (checkpoint(&[0.0, 1.0, 2.0, 1.0], 2.0), checkpoint(&[1.0, 0.0, 2.0], 2.0));
        let words = DifficultyFigure { before: &before, after: &after, title: "T" }.words();
        assert_eq!(words, "of 3 problems 1 are answered right more often than before, 1 less often, 1 as often");
    }
}
