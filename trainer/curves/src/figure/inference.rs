//! Accuracy against what was really used per problem at inference: coverage, votes, and verifiers that pick.

use std::fmt::Write as _;

use super::axis::Axis;
use super::frame::{Frame, Head, Legend, Sign, WIDTH};
use super::scaling::quoted;
use super::svg::{Shape, Stroke, Svg};
use super::theme::Theme;
use crate::evaluation::Rung;

/// The rungs of one checkpoint.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// What they are of, such as the name of the run.
    pub name: String,
    /// Its rungs, of one evaluation set.
    pub rungs: Vec<Rung>,
}

/// What was used per problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Used {
    /// Completion tokens.
    #[default]
    Tokens,
    /// Operations of the model, the prompt computed once; verifiers apart.
    Flops,
}

/// Accuracy against tokens or operations used per problem: one colour a method, one sign a checkpoint.
#[derive(Debug)]
pub struct InferenceFigure<'a> {
    /// The checkpoints.
    pub ladders: &'a [Ladder],
    /// What stands on the axis.
    pub used: Used,
    /// Said above the figure.
    pub title: &'a str,
}

/// The dashes of methods in their order, for readers without colours.
const DASHES: [&str; 4] = ["", "6 4", "2 3", "8 3 2 3"];
/// If no accuracy is below this, the axis does not begin at 0.
const HIGH: f64 = 0.4;

impl InferenceFigure<'_> {
    /// Draws the figure as SVG.
    pub fn to_svg(&self, theme: Theme) -> String {
        let colours = theme.colours();
        let head = Head::new(self.title, "");
        let (left, right, top) = (72.0, WIDTH - 22.0, head.bottom() + 12.0);
        let frame = Frame { left, right, top, bottom: top + 300.0 };
        let x = Axis::logarithmic(self.rungs().map(|rung| self.of(rung)), left, right);
        let lowest = self.rungs().map(|rung| rung.low).fold(1.0, f64::min);
        let from = if lowest >= HIGH { (lowest * 10.0).floor() / 10.0 } else { 0.0 };
        let y = Axis::linear(from, 1.0, frame.bottom, top);
        let methods = self.methods();
        let legend = Legend::new(self.entries(theme, &methods), &caption(from), right - left);
        let legend_top = frame.bottom + 48.0;
        let mut svg = Svg::new(WIDTH, legend_top + legend.height(), colours);
        head.draw(&mut svg, left);
        frame.draw(&mut svg, (&x, &y), true);
        let label = match self.used {
            Used::Tokens => "completion tokens used per problem, log scale",
            Used::Flops => "operations used per problem (model FLOPs), log scale",
        };
        frame.label_x(&mut svg, label);
        frame.label_y(&mut svg, "held-out accuracy");
        for (i, method) in methods.iter().enumerate() {
            let stroke = Stroke::dashed(colours.series(i), 1.5, DASHES[i % DASHES.len()]);
            for (j, ladder) in self.ladders.iter().enumerate() {
                let rungs = || ladder.rungs.iter().filter(|rung| rung.method == *method);
                let place = |rung: &Rung, level: f64| (x.at(self.of(rung)), y.at_held(level));
                svg.path(&rungs().map(|rung| place(rung, rung.y)).collect::<Vec<_>>(), stroke);
                for rung in rungs() {
                    svg.line(place(rung, rung.low), place(rung, rung.high), Stroke::solid(stroke.colour, 0.8));
                    svg.marker(place(rung, rung.y), Shape::of_series(j), stroke.colour, true);
                }
            }
        }
        legend.draw(&mut svg, (left, legend_top));
        svg.finish()
    }

    fn rungs(&self) -> impl Iterator<Item = &Rung> {
        self.ladders.iter().flat_map(|ladder| &ladder.rungs)
    }

    fn of(&self, rung: &Rung) -> f64 {
        match self.used {
            Used::Tokens => rung.tokens,
            Used::Flops => rung.flops,
        }
    }

    /// The methods in the order in which they come.
    fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = vec![];
        for rung in self.rungs().filter(|rung| self.of(rung) > 0.0) {
            if !methods.contains(&rung.method.as_str()) {
                methods.push(&rung.method);
            }
        }
        methods
    }

    fn entries(&self, theme: Theme, methods: &[&str]) -> Vec<(Sign, String)> {
        let colours = theme.colours();
        let method =
            |(i, method): (usize, &&str)| (Sign::Line(colours.series(i), DASHES[i % DASHES.len()]), words(method));
        let ladder =
            |(j, ladder): (usize, &Ladder)| (Sign::Marker(Shape::of_series(j), colours.ink, true), ladder.name.clone());
        methods.iter().enumerate().map(method).chain(self.ladders.iter().enumerate().map(ladder)).collect()
    }

    /// Returns the rungs as CSV.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("series,method,k,tokens,flops,y,low,high\n");
        for ladder in self.ladders {
            let name = quoted(&ladder.name);
            for Rung { method, k, tokens, flops, y, low, high, .. } in &ladder.rungs {
                let method = quoted(method);
                writeln!(csv, "{name},{method},{k},{tokens},{flops},{y},{low},{high}").expect("writing into a string");
            }
        }
        csv
    }
}

/// A method in the words of a legend.
fn words(method: &str) -> String {
    match method {
        "coverage" => "pass@k: coverage, an oracle picks".to_owned(),
        "majority" => "maj@k: the most frequent answer".to_owned(),
        other => match other.strip_prefix("best_of:") {
            Some(name) => format!("best of k by {name}"),
            None => other.to_owned(),
        },
    }
}

fn caption(from: f64) -> String {
    let axis = if from > 0.0 { format!("; the axis of accuracy begins at {from:.1}") } else { String::new() };
    format!("points of a line: k = 1, 2, 4 and so on; bars: 95 % over problems; all on the same samples{axis}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(method: &str, k: u64, y: f64) -> Rung {
        Rung {
            set: "s".to_owned(),
            variant: String::new(),
            method: method.to_owned(),
            k,
            tokens: 10.0 * k as f64,
            flops: 1e9 + 1e8 * k as f64,
            y,
            low: y - 0.05,
            high: y + 0.05,
            forced: 0.0,
            n_problems: 9,
        }
    }

    #[test]
    fn a_method_has_one_colour_and_a_checkpoint_one_sign() {
        let rungs = |y: f64| vec![rung("coverage", 1, y), rung("coverage", 2, y + 0.1), rung("majority", 1, y)];
        let ladders = [0.5, 0.7].map(|y| Ladder { name: format!("run {y}"), rungs: rungs(y) });
        let figure = InferenceFigure { ladders: &ladders, used: Used::Tokens, title: "T" };
        let svg = figure.to_svg(Theme::Light);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (4, 4));
        assert!(svg.contains("begins at 0.4") && svg.contains("completion tokens used per problem"), "{svg}");
        assert!(figure.to_csv().contains("run 0.5,coverage,2,20,1200000000,0.6,"), "{}", figure.to_csv());
        let flops = InferenceFigure { used: Used::Flops, ..figure }.to_svg(Theme::Dark);
        assert!(flops.contains("operations used per problem") && !flops.contains("NaN"));
    }
}
