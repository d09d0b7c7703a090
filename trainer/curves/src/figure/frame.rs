//! What all figures have: a place for the drawing, a grid with labels, a title, lines of words and a legend.

use super::axis::Axis;
use super::svg::{Anchor, Shape, Stroke, Svg, width_of, wrapped};

/// The place of a drawing on the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// The width of figures that stand alone.
pub(super) const WIDTH: f64 = 760.0;
/// Letters of a line of words under the title, and of a caption.
const LINE: usize = 116;

impl Frame {
    /// Draws grid, labels and the two lines at left and bottom; labels of x only where they are wanted.
    pub(super) fn draw(&self, svg: &mut Svg, (x, y): (&Axis, &Axis), with_x_labels: bool) {
        let colours = svg.colours;
        for tick in x.ticks() {
            svg.line((tick.at, self.top), (tick.at, self.bottom), Stroke::solid(colours.faint, 1.0));
            if with_x_labels {
                svg.text((tick.at, self.bottom + 17.0), &tick.label, 12.0, Anchor::Middle, colours.ink);
            }
        }
        self.draw_y(svg, y);
    }

    /// Draws all but what belongs to x.
    pub(super) fn draw_y(&self, svg: &mut Svg, y: &Axis) {
        let Self { left, right, top, bottom } = *self;
        let colours = svg.colours;
        for tick in y.ticks() {
            svg.line((left, tick.at), (right, tick.at), Stroke::solid(colours.faint, 1.0));
            svg.text((left - 7.0, tick.at + 4.0), &tick.label, 12.0, Anchor::End, colours.ink);
        }
        svg.line((left, bottom), (right, bottom), Stroke::solid(colours.ink, 1.0));
        svg.line((left, top), (left, bottom), Stroke::solid(colours.ink, 1.0));
    }

    pub(super) fn label_x(&self, svg: &mut Svg, label: &str) {
        let ink = svg.colours.ink;
        svg.text(((self.left + self.right) / 2.0, self.bottom + 36.0), label, 13.0, Anchor::Middle, ink);
    }

    pub(super) fn label_y(&self, svg: &mut Svg, label: &str) {
        let ink = svg.colours.ink;
        svg.text_upwards((18.0, (self.top + self.bottom) / 2.0), label, 13.0, ink);
    }
}

/// A title with lines of words below it.
#[derive(Debug)]
pub(super) struct Head {
    title: Vec<String>,
    lines: Vec<String>,
}

impl Head {
    pub(super) fn new(title: &str, words: &str) -> Self {
        let lines = if words.is_empty() { vec![] } else { wrapped(words, LINE) };
        Self { title: wrapped(title, 76), lines }
    }

    /// Where it ends.
    pub(super) fn bottom(&self) -> f64 {
        14.0 + 19.0 * self.title.len() as f64 + 15.0 * self.lines.len() as f64
    }

    pub(super) fn draw(&self, svg: &mut Svg, left: f64) {
        let (ink, muted) = (svg.colours.ink, svg.colours.muted);
        let mut at = 7.0;
        for line in &self.title {
            at += 19.0;
            svg.text((left, at), line, 15.0, Anchor::Start, ink);
        }
        for line in &self.lines {
            at += 15.0;
            svg.text((left, at), line, 11.0, Anchor::Start, muted);
        }
    }
}

/// The sign in front of an entry of a legend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// A marker with its colour, filled or hollow.
    Marker(Shape, &'static str, bool),
    /// A line with its colour and dashes.
    Line(&'static str, &'static str),
    /// A small point.
    Dot(&'static str),
    /// A filled box.
    Box(&'static str),
}

/// Entries in rows, as many beside each other as fit, and a caption below them.
#[derive(Debug)]
pub(super) struct Legend {
    rows: Vec<Vec<(f64, Sign, String)>>,
    caption: Vec<String>,
}

const SIGN_WIDTH: f64 = 28.0;
const SIZE: f64 = 11.0;

impl Legend {
    pub(super) fn new(entries: Vec<(Sign, String)>, caption: &str, width: f64) -> Self {
        let mut rows: Vec<Vec<(f64, Sign, String)>> = vec![];
        let mut at = 0.0;
        for (sign, text) in entries {
            let text = shortened(&text, 104);
            let wide = SIGN_WIDTH + width_of(&text, SIZE) + 14.0;
            match rows.last_mut().filter(|_| at + wide <= width) {
                Some(row) => row.push((at, sign, text)),
                None => {
                    at = 0.0;
                    rows.push(vec![(at, sign, text)]);
                }
            }
            at += wide;
        }
        let caption = if caption.is_empty() { vec![] } else { wrapped(caption, LINE) };
        Self { rows, caption }
    }

    pub(super) fn height(&self) -> f64 {
        18.0 * self.rows.len() as f64 + 15.0 * self.caption.len() as f64 + 10.0
    }

    pub(super) fn draw(&self, svg: &mut Svg, (left, top): (f64, f64)) {
        let (ink, muted) = (svg.colours.ink, svg.colours.muted);
        let mut at = top;
        for row in &self.rows {
            for (x, sign, text) in row {
                draw_sign(svg, (left + x + 11.0, at + 8.0), *sign);
                svg.text((left + x + SIGN_WIDTH, at + 12.0), text, SIZE, Anchor::Start, ink);
            }
            at += 18.0;
        }
        for line in &self.caption {
            at += 15.0;
            svg.text((left, at), line, SIZE, Anchor::Start, muted);
        }
    }
}

fn draw_sign(svg: &mut Svg, (x, y): (f64, f64), sign: Sign) {
    match sign {
        Sign::Marker(shape, colour, is_filled) => svg.marker((x, y), shape, colour, is_filled),
        Sign::Line(colour, dashes) => svg.line((x - 11.0, y), (x + 11.0, y), Stroke::dashed(colour, 1.8, dashes)),
        Sign::Dot(colour) => svg.dot((x, y), colour),
        Sign::Box(colour) => svg.bar((x - 5.0, y - 5.0), (x + 5.0, y + 5.0), colour),
    }
}

/// The text, cut with dots if it is longer than so many letters.
fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}
