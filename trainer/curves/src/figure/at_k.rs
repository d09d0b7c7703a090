//! Accuracy with k samples a problem: coverage and votes.

use std::fmt::Write as _;

use super::axis::Axis;
use super::frame::{Frame, Head, Legend, Sign, WIDTH};
use super::scaling::quoted;
use super::svg::{Shape, Stroke, Svg};
use super::theme::Theme;
use crate::at_k::{AtKCurve, Estimate};

/// Coverage (pass@k) solid and votes (maj@k) dashed against k, one colour a curve.
///
/// Estimates from fewer than 2k samples a problem are drawn hollow: they are unbiased, but rest on subsets that overlap.
#[derive(Debug)]
pub struct AtKFigure<'a> {
    /// The curves, such as one of the first checkpoint and one of the last.
    pub curves: &'a [AtKCurve],
    /// Said above the figure.
    pub title: &'a str,
}

const VOTES: &str = "5 4";

impl AtKFigure<'_> {
    /// Draws the figure as SVG.
    pub fn to_svg(&self, theme: Theme) -> String {
        let colours = theme.colours();
        let head = Head::new(self.title, "");
        let (left, right, top) = (72.0, WIDTH - 22.0, head.bottom() + 12.0);
        let frame = Frame { left, right, top, bottom: top + 280.0 };
        let most = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.k).max().unwrap_or(1);
        let x = Axis::doubling(most as f64, left, right);
        let highest = self.estimates().map(|estimate| estimate.interval.high).fold(0.0, f64::max);
        let y = Axis::from_zero([highest.min(0.999)].into_iter(), frame.bottom, top);
        let legend = Legend::new(self.entries(theme), CAPTION, right - left);
        let legend_top = frame.bottom + 48.0;
        let mut svg = Svg::new(WIDTH, legend_top + legend.height(), colours);
        head.draw(&mut svg, left);
        frame.draw(&mut svg, (&x, &y), true);
        frame.label_x(&mut svg, "samples a problem, k");
        frame.label_y(&mut svg, "held-out accuracy");
        for (i, curve) in self.curves.iter().enumerate() {
            let votes = curve.points.iter().filter_map(|point| Some((point.k, point.majority?)));
            draw(&mut svg, (&x, &y), (i, curve), votes.collect(), Stroke::dashed(colours.series(i), 1.6, VOTES));
            let coverage = curve.points.iter().map(|point| (point.k, point.pass));
            draw(&mut svg, (&x, &y), (i, curve), coverage.collect(), Stroke::solid(colours.series(i), 1.8));
        }
        legend.draw(&mut svg, (left, legend_top));
        svg.finish()
    }

    fn estimates(&self) -> impl Iterator<Item = Estimate> {
        self.curves.iter().flat_map(|curve| &curve.points).flat_map(|p| [Some(p.pass), p.majority]).flatten()
    }

    fn entries(&self, theme: Theme) -> Vec<(Sign, String)> {
        let colours = theme.colours();
        let curves = self.curves.iter().enumerate();
        let mut all: Vec<(Sign, String)> = curves
            .map(|(i, curve)| (Sign::Marker(Shape::of_series(i), colours.series(i), true), curve.name.clone()))
            .collect();
        all.push((Sign::Line(colours.ink, ""), "pass@k: coverage, an oracle picks".to_owned()));
        if self.curves.iter().flat_map(|curve| &curve.points).any(|point| point.majority.is_some()) {
            all.push((Sign::Line(colours.ink, VOTES), "maj@k: the most frequent answer, ties split".to_owned()));
        }
        all
    }

    /// Returns the estimates as CSV.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("curve,problems,samples,k,pass,pass_low,pass_high,maj,maj_low,maj_high\n");
        for curve in self.curves {
            for point in &curve.points {
                let cells = |estimate: Option<Estimate>| match estimate {
                    Some(Estimate { mean, interval }) => format!("{mean},{},{}", interval.low, interval.high),
                    None => ",,".to_owned(),
                };
                let (pass, majority) = (cells(Some(point.pass)), cells(point.majority));
                let (name, problems, samples) = (quoted(&curve.name), curve.problems, curve.samples);
                writeln!(csv, "{name},{problems},{samples},{},{pass},{majority}", point.k)
                    .expect("writing into a string");
            }
        }
        csv
    }
}

const CAPTION: &str =
    "bars: 95 % over problems; unbiased estimates over all subsets of k samples; hollow: fewer than 2k samples";

fn draw(
    svg: &mut Svg,
    (x, y): (&Axis, &Axis),
    (i, curve): (usize, &AtKCurve),
    points: Vec<(u64, Estimate)>,
    stroke: Stroke<'_>,
) {
    let place = |k: u64, value: f64| (x.at(k as f64), y.at_held(value));
    let path: Vec<(f64, f64)> = points.iter().map(|(k, estimate)| place(*k, estimate.mean)).collect();
    svg.path(&path, stroke);
    for (k, Estimate { mean, interval }) in points {
        svg.line(place(k, interval.low), place(k, interval.high), Stroke::solid(stroke.colour, 1.0));
        svg.marker(place(k, mean), Shape::of_series(i), svg.colours.series(i), 2 * k <= curve.samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::at_k::AtK;
    use crate::estimate::Interval;

    #[test]
    fn coverage_is_solid_and_votes_are_dashed() {
        let estimate = |mean: f64| Estimate { mean, interval: Interval { low: mean - 0.1, high: mean + 0.1 } };
        let point = |k, pass, majority| AtK { k, pass: estimate(pass), majority: Some(estimate(majority)) };
        let points = vec![point(1, 0.3, 0.3), point(2, 0.4, 0.3), point(4, 0.6, 0.35)];
        let curves = [AtKCurve { name: "step 0".to_owned(), problems: 10, samples: 4, points }];
        let figure = AtKFigure { curves: &curves, title: "T" };
        let svg = figure.to_svg(Theme::Light);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("dasharray=\"5 4\"").count()), (2, 2));
        // k = 4 of 4 samples, twice.
        assert_eq!(svg.matches("fill=\"#ffffff\" stroke=\"#0072B2\"").count(), 2);
        assert!(figure.to_csv().contains("step 0,10,4,1,0.3,0.19999999999999998,0.4,0.3,"));
    }
}
