//! The few SVG elements that figures need.

use std::fmt::Write as _;

/// The font that the figures name; it is shipped for PNG.
pub(super) const FONT_FAMILY: &str = "DejaVu Sans";

/// Which end of a text stands at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in the making.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"{FONT_FAMILY}, Verdana, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        ))
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("writing into a string");
    }

    pub(super) fn line(&mut self, a: (f64, f64), b: (f64, f64), colour: &str, width: f64, dashes: Option<&str>) {
        let dashes = dashes.map_or(String::new(), |dashes| format!(" stroke-dasharray=\"{dashes}\""));
        let ((x1, y1), (x2, y2)) = (a, b);
        self.push(format_args!(
            "<line x1=\"{x1:.2}\" y1=\"{y1:.2}\" x2=\"{x2:.2}\" y2=\"{y2:.2}\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}/>"
        ));
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str, width: f64, dashes: Option<&str>) {
        let dashes = dashes.map_or(String::new(), |dashes| format!(" stroke-dasharray=\"{dashes}\""));
        let places: Vec<String> = points.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
        let places = places.join(" ");
        self.push(format_args!(
            "<polyline points=\"{places}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}/>"
        ));
    }

    /// A circle, a square or a triangle.
    pub(super) fn marker(&mut self, (x, y): (f64, f64), shape: usize, colour: &str, is_filled: bool) {
        let fill = if is_filled { colour } else { "#ffffff" };
        let style = format!("fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"");
        match shape {
            0 => self.push(format_args!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"4\" {style}/>")),
            1 => {
                let (left, top) = (x - 3.6, y - 3.6);
                self.push(format_args!("<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"7.2\" height=\"7.2\" {style}/>"));
            }
            _ => {
                let (top, bottom, left, right) = (y - 4.6, y + 3.4, x - 4.6, x + 4.6);
                self.push(format_args!(
                    "<polygon points=\"{x:.2},{top:.2} {right:.2},{bottom:.2} {left:.2},{bottom:.2}\" {style}/>"
                ));
            }
        }
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
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Replaces what has a meaning in XML; control characters are not allowed there at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
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
