//! The few SVG elements that figures need.

use std::fmt::Write as _;

use super::theme::Colours;

/// The font that the figures name; it is shipped for PNG.
pub(super) const FONT_FAMILY: &str = "DejaVu Sans";

/// Which end of a text stands at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke<'a> {
    pub colour: &'a str,
    pub width: f64,
    /// As in `stroke-dasharray`; empty for a solid line.
    pub dashes: &'a str,
}

impl<'a> Stroke<'a> {
    pub(super) fn solid(colour: &'a str, width: f64) -> Self {
        Self { colour, width, dashes: "" }
    }

    pub(super) fn dashed(colour: &'a str, width: f64, dashes: &'a str) -> Self {
        Self { colour, width, dashes }
    }

    fn attributes(&self) -> String {
        let Self { colour, width, dashes } = self;
        let dashes = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") };
        format!("stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}")
    }
}

/// A sign at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Cross,
    Diamond,
}

impl Shape {
    /// The sign of a series.
    pub(super) fn of_series(i: usize) -> Self {
        [Self::Circle, Self::Square, Self::Triangle, Self::Cross][i % 4]
    }
}

/// A drawing in the making.
pub(super) struct Svg {
    text: String,
    pub(super) colours: Colours,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64, colours: Colours) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"{FONT_FAMILY}, Verdana, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n",
            colours.paper
        );
        Self { text, colours }
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{element}").expect("writing into a string");
    }

    pub(super) fn line(&mut self, a: (f64, f64), b: (f64, f64), stroke: Stroke<'_>) {
        let ((x1, y1), (x2, y2), stroke) = (a, b, stroke.attributes());
        self.push(format_args!("<line x1=\"{x1:.2}\" y1=\"{y1:.2}\" x2=\"{x2:.2}\" y2=\"{y2:.2}\" {stroke}/>"));
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], stroke: Stroke<'_>) {
        let (places, stroke) = (places(points), stroke.attributes());
        self.push(format_args!("<polyline points=\"{places}\" fill=\"none\" stroke-linejoin=\"round\" {stroke}/>"));
    }

    /// An area under which the grid is still seen.
    pub(super) fn area(&mut self, points: &[(f64, f64)], colour: &str, opacity: f64) {
        let places = places(points);
        self.push(format_args!(
            "<polygon points=\"{places}\" fill=\"{colour}\" fill-opacity=\"{opacity}\" stroke=\"none\"/>"
        ));
    }

    pub(super) fn bar(&mut self, (left, top): (f64, f64), (right, bottom): (f64, f64), colour: &str) {
        let (width, height) = (right - left, bottom - top);
        self.push(format_args!(
            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{colour}\"/>"
        ));
    }

    /// A point that only has to be seen.
    pub(super) fn dot(&mut self, (x, y): (f64, f64), colour: &str) {
        self.push(format_args!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"2\" fill=\"{colour}\"/>"));
    }

    /// A sign, filled or hollow.
    pub(super) fn marker(&mut self, (x, y): (f64, f64), shape: Shape, colour: &str, is_filled: bool) {
        let fill = if is_filled { colour } else { self.colours.paper };
        let style = format!("fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"");
        let polygon = |corners: &[(f64, f64)]| {
            let moved: Vec<(f64, f64)> = corners.iter().map(|(a, b)| (x + a, y + b)).collect();
            places(&moved)
        };
        let corners = match shape {
            Shape::Circle => {
                self.push(format_args!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"4\" {style}/>"));
                return;
            }
            Shape::Square => polygon(&[(-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)]),
            Shape::Triangle => polygon(&[(0.0, -4.8), (4.6, 3.4), (-4.6, 3.4)]),
            Shape::Cross => polygon(&[
                (-1.5, -4.5),
                (1.5, -4.5),
                (1.5, -1.5),
                (4.5, -1.5),
                (4.5, 1.5),
                (1.5, 1.5),
                (1.5, 4.5),
                (-1.5, 4.5),
                (-1.5, 1.5),
                (-4.5, 1.5),
                (-4.5, -1.5),
                (-1.5, -1.5),
            ]),
            Shape::Diamond => polygon(&[(0.0, -4.2), (3.4, 0.0), (0.0, 4.2), (-3.4, 0.0)]),
        };
        self.push(format_args!("<polygon points=\"{corners}\" {style}/>"));
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), text: &str, size: f64, anchor: Anchor, colour: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.push(format_args!(
            "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        ));
    }

    pub(super) fn text_upwards(&mut self, (x, y): (f64, f64), text: &str, size: f64, colour: &str) {
        let text = escaped(text);
        self.push(format_args!(
            "<text transform=\"translate({x:.2} {y:.2}) rotate(-90)\" font-size=\"{size}\" text-anchor=\"middle\" \
             fill=\"{colour}\">{text}</text>"
        ));
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

fn places(points: &[(f64, f64)]) -> String {
    let places: Vec<String> = points.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
    places.join(" ")
}

/// About how wide a text is: DejaVu Sans has six tenths of its size a letter.
pub(super) fn width_of(text: &str, size: f64) -> f64 {
    0.6 * size * text.chars().count() as f64
}

/// Breaks a text at blanks into lines of at most so many characters, where its words allow.
pub(super) fn wrapped(text: &str, longest: usize) -> Vec<String> {
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

/// Replaces what has a meaning in XML; control characters are not allowed there at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::text::shown(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sentences_are_broken_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }

    #[test]
    fn names_cannot_leave_their_element() {
        assert_eq!(escaped("</text>&\"\u{7}\u{202e}x"), "&lt;/text&gt;&amp;&quot;\\u{7}\\u{202e}x");
    }
}
