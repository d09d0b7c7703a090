//! Figures: SVG as the master, PNG from it, and the data that was drawn beside them.
//!
//! Equal input gives equal bytes. Text is set in DejaVu Sans, which is shipped, since a machine without fonts would draw
//! no text and say nothing.

mod axis;
mod svg;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use resvg::{tiny_skia, usvg};

use crate::estimate::wilson;
use crate::fit::Fit;
use crate::points::Series;
use axis::Axis;
use svg::{Anchor, Svg};

/// Why a figure could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The file could not be written.
    #[error("figure `{}` cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The SVG could not be drawn, which is a mistake of this program.
    #[error("the figure could not be drawn: {0}")]
    Render(String),
}

/// Accuracy against compute.
#[derive(Debug)]
pub struct ScalingFigure<'a> {
    /// The points, one series a run.
    pub series: &'a [Series],
    /// The fit over them.
    pub fit: &'a Fit,
    /// Said above the figure.
    pub title: &'a str,
}

/// Okabe and Ito's colours, told apart by colour-blind readers and in grey together with the markers.
const PALETTE: [&str; 6] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 460.0;
/// Left, right, top and bottom of the plotting area.
const FRAME: (f64, f64, f64, f64) = (70.0, 700.0, 60.0, 376.0);
const INK: &str = "#222222";
const FAINT: &str = "#dddddd";

impl ScalingFigure<'_> {
    /// Draws the figure as SVG.
    pub fn to_svg(&self) -> String {
        let mut svg = Svg::new(WIDTH, HEIGHT);
        let (left, right, top, bottom) = FRAME;
        let drawn = || self.series.iter().flat_map(|s| &s.points).filter(|point| point.compute > 0.0);
        let x = Axis::logarithmic(drawn().map(|point| point.compute), left, right);
        let y = Axis::linear(0.0, 1.0, bottom, top);
        self.draw_axes(&mut svg, &x, &y);
        self.draw_start(&mut svg, &y);
        self.draw_fit(&mut svg, &x, &y);
        for (i, series) in self.series.iter().enumerate() {
            draw_points(&mut svg, &x, &y, series, i);
        }
        self.draw_legend(&mut svg);
        svg.finish()
    }

    fn draw_axes(&self, svg: &mut Svg, x: &Axis, y: &Axis) {
        let (left, right, top, bottom) = FRAME;
        for tick in x.ticks() {
            svg.line((tick.at, top), (tick.at, bottom), FAINT, 1.0, None);
            svg.text((tick.at, bottom + 18.0), &tick.label, 12.0, Anchor::Middle, INK);
        }
        for tick in y.ticks() {
            svg.line((left, tick.at), (right, tick.at), FAINT, 1.0, None);
            svg.text((left - 8.0, tick.at + 4.0), &tick.label, 12.0, Anchor::End, INK);
        }
        svg.line((left, bottom), (right, bottom), INK, 1.0, None);
        svg.line((left, top), (left, bottom), INK, 1.0, None);
        svg.text(
            ((left + right) / 2.0, bottom + 38.0),
            "training compute (model FLOPs, log scale)",
            13.0,
            Anchor::Middle,
            INK,
        );
        svg.text_upwards((20.0, (top + bottom) / 2.0), "held-out accuracy", 13.0, INK);
        svg.text((left, 24.0), self.title, 15.0, Anchor::Start, INK);
        for (i, line) in wrapped(&self.fit.sentence, 100).iter().enumerate() {
            svg.text((left, 40.0 + 14.0 * i as f64), line, 11.0, Anchor::Start, INK);
        }
    }

    /// The accuracy before training, which has no place on a logarithmic axis.
    fn draw_start(&self, svg: &mut Svg, y: &Axis) {
        if let Some(start) = self.fit.start {
            let (left, right, ..) = FRAME;
            svg.line((left, y.at(start)), (right, y.at(start)), "#777777", 1.0, Some("2 4"));
            let label = format!("before the first step: {:.1} %", start * 100.0);
            svg.text((right - 4.0, y.at(start) - 5.0), &label, 11.0, Anchor::End, "#555555");
        }
    }

    /// The best form: solid over the points, dashed beyond them.
    fn draw_fit(&self, svg: &mut Svg, x: &Axis, y: &Axis) {
        let Some(form) = self.fit.best() else { return };
        let logs = || self.series.iter().flat_map(|s| &s.points).filter(|p| p.compute > 0.0).map(|p| p.compute.log10());
        let (first, last) = (logs().fold(f64::INFINITY, f64::min), logs().fold(f64::NEG_INFINITY, f64::max));
        let mut draw = |from: f64, to: f64, dashes| {
            let steps = 100;
            let path: Vec<(f64, f64)> = (0..=steps)
                .map(|i| from + (to - from) * f64::from(i) / f64::from(steps))
                .map(|log| (x.at_log(log), form.predict(log)))
                .filter(|(_, value)| (0.0..=1.0).contains(value))
                .map(|(at, value)| (at, y.at(value)))
                .collect();
            svg.path(&path, INK, 1.5, dashes);
        };
        draw(x.low(), first, Some("5 4"));
        draw(first, last, None);
        draw(last, x.high(), Some("5 4"));
    }

    fn draw_legend(&self, svg: &mut Svg) {
        let (left, _, _, bottom) = FRAME;
        let mut at = left;
        for (i, series) in self.series.iter().enumerate().take(PALETTE.len()) {
            draw_marker(svg, (at + 6.0, bottom + 58.0), i, true);
            svg.text((at + 16.0, bottom + 62.0), &series.name, 11.0, Anchor::Start, INK);
            at += 30.0 + 6.6 * series.name.chars().count() as f64;
        }
        let line = match self.fit.best() {
            Some(form) => {
                format!("line: {}, the best of {} forms, dashed beyond the points", form.name, self.fit.forms.len())
            }
            None => "no line: too few points".to_owned(),
        };
        let caption = format!("{line}; bars: 95 % (Wilson); filled strict, hollow lenient");
        svg.text((left, bottom + 80.0), &caption, 11.0, Anchor::Start, "#555555");
    }

    /// Returns the points as CSV.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("series,step,C,y,lenient,n\n");
        for series in self.series {
            for point in &series.points {
                let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
                let (lenient, n) = (optional(point.lenient), optional(point.n));
                writeln!(csv, "{},{},{:e},{},{lenient},{n}", series.name, point.step, point.compute, point.y)
                    .expect("writing into a string");
            }
        }
        csv
    }
}

/// Breaks a text at blanks into lines of at most so many characters, where its words allow.
fn wrapped(text: &str, longest: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > longest {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

fn draw_points(svg: &mut Svg, x: &Axis, y: &Axis, series: &Series, i: usize) {
    let colour = PALETTE[i % PALETTE.len()];
    for point in series.points.iter().filter(|point| point.compute > 0.0) {
        let at = x.at(point.compute);
        if let Some(n) = point.n {
            let interval = wilson(point.y * n, n);
            svg.line((at, y.at(interval.low)), (at, y.at(interval.high)), colour, 1.0, None);
        }
        if let Some(lenient) = point.lenient.filter(|lenient| (lenient - point.y).abs() > 1e-9) {
            draw_marker(svg, (at, y.at(lenient)), i, false);
        }
        draw_marker(svg, (at, y.at(point.y)), i, true);
    }
}

fn draw_marker(svg: &mut Svg, at: (f64, f64), i: usize, is_filled: bool) {
    let colour = PALETTE[i % PALETTE.len()];
    svg.marker(at, i % 3, colour, is_filled);
}

/// The font of all figures.
const FONT: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");

/// Draws an SVG as PNG, twice as large.
///
/// # Errors
///
/// If the SVG cannot be drawn, which is a mistake of this program.
pub fn to_png(svg: &str) -> Result<Vec<u8>, FigureError> {
    let mut options = usvg::Options { font_family: svg::FONT_FAMILY.to_owned(), ..usvg::Options::default() };
    options.fontdb_mut().load_font_data(FONT.to_vec());
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| FigureError::Render(error.to_string()))?;
    let scale = 2.0;
    let size = tree.size().to_int_size().scale_by(scale).ok_or_else(|| FigureError::Render("no size".to_owned()))?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| FigureError::Render("no pixels".to_owned()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| FigureError::Render(error.to_string()))
}

/// Writes `STEM.svg`, `STEM.png` and `STEM.csv` into a folder and returns the path of the first.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_curve(figure: &ScalingFigure<'_>, folder: &Path, stem: &str) -> Result<PathBuf, FigureError> {
    let svg = figure.to_svg();
    let files = [("png", to_png(&svg)?), ("csv", figure.to_csv().into_bytes()), ("svg", svg.into_bytes())];
    for (extension, bytes) in files {
        let path = folder.join(format!("{stem}.{extension}"));
        std::fs::write(&path, bytes).map_err(|source| FigureError::Io { path, source })?;
    }
    Ok(folder.join(format!("{stem}.svg")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit;
    use crate::points::Point;

    fn example() -> Vec<Series> {
        let points = (0..8)
            .map(|i| {
                let compute = if i == 0 { 0.0 } else { 3e14 * 2_f64.powi(i) };
                let y = 0.3 + 0.06 * f64::from(i);
                Point { step: i as u64 * 10, compute, y, lenient: Some(y + 0.05), n: Some(200.0) }
            })
            .collect();
        vec![Series { name: "seed <1>".to_owned(), set: "sums".to_owned(), points }]
    }

    #[test]
    fn equal_input_gives_equal_bytes_and_names_are_escaped() {
        let series = example();
        let fit = fit(&series);
        let figure = ScalingFigure { series: &series, fit: &fit, title: "a & b" };
        let svg = figure.to_svg();
        assert_eq!(svg, figure.to_svg());
        assert!(svg.contains("seed &lt;1&gt;") && svg.contains("a &amp; b"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn the_png_has_text() {
        let series = example();
        let fit = fit(&series);
        let svg = ScalingFigure { series: &series, fit: &fit, title: "T" }.to_svg();
        let png = to_png(&svg).unwrap();
        let pixels = tiny_skia::Pixmap::decode_png(&png).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (1440, 920));
        // The band of the labels under the axis.
        let dark = (0..1440)
            .flat_map(|x| (780..800).map(move |y| (x, y)))
            .filter(|&(x, y)| pixels.pixel(x, y).is_some_and(|p| p.red() < 100))
            .count();
        assert!(dark > 200, "{dark} dark pixels where the tick labels should be");
    }

    #[test]
    fn long_sentences_are_broken_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }

    #[test]
    fn the_fit_is_dashed_beyond_the_points() {
        let series = example();
        let svg = ScalingFigure { series: &series, fit: &fit(&series), title: "T" }.to_svg();
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert_eq!(svg.matches("stroke-dasharray=\"5 4\"").count(), 2);
    }

    #[test]
    fn a_single_point_can_be_drawn() {
        let mut series = example();
        series[0].points.truncate(2);
        let fit = fit(&series);
        let svg = ScalingFigure { series: &series, fit: &fit, title: "T" }.to_svg();
        assert!(!svg.contains("NaN"));
        to_png(&svg).unwrap();
    }
}
