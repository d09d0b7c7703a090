//! Measurements over steps, one small panel each.

use std::fmt::Write as _;

use super::axis::Axis;
use super::frame::{Frame, Head, Legend, Sign, WIDTH};
use super::scaling::quoted;
use super::svg::{Anchor, Shape, Stroke, Svg};
use super::theme::Theme;
use crate::record::{Kind, Record};

/// What training did, step by step: reward, entropy, length and whatever else is recorded of [`PANELS`].
#[derive(Debug)]
pub struct PanelsFigure<'a> {
    /// Runs with their records.
    pub runs: &'a [(&'a str, &'a [Record])],
    /// Said above the figure.
    pub title: &'a str,
}

/// The measurements that have a panel, with what stands above it.
pub const PANELS: [(&str, &str); 8] = [
    ("reward/mean", "reward, mean"),
    ("policy/entropy", "entropy (nats a token)"),
    ("length/mean", "completion length (tokens)"),
    ("length/truncated", "share cut off at the limit"),
    ("group/zero_std", "share of groups without a difference"),
    ("policy/mismatch_kl", "sampler–trainer KL (nats a token)"),
    ("optim/grad_norm", "gradient norm"),
    ("policy/kl_ref", "KL to the reference (nats a token)"),
];

/// More points than this in a panel are averaged over neighbours.
const MOST: usize = 300;
const PANEL: f64 = 118.0;
const GAP: f64 = 46.0;

/// A panel: its words, and the line of each run.
struct Panel {
    words: &'static str,
    lines: Vec<Vec<(f64, f64)>>,
}

impl PanelsFigure<'_> {
    fn panels(&self) -> Vec<Panel> {
        let all = PANELS.iter().map(|&(key, words)| {
            let line = |&(_, records): &(&str, &[Record])| averaged(&values(records, key).collect::<Vec<_>>());
            Panel { words, lines: self.runs.iter().map(line).collect() }
        });
        all.filter(|panel| panel.lines.iter().flatten().any(|(_, y)| *y != 0.0)).collect()
    }

    /// Draws the figure as SVG; none if no step was recorded.
    pub fn to_svg(&self, theme: Theme) -> Option<String> {
        let panels = self.panels();
        if panels.is_empty() {
            return None;
        }
        let colours = theme.colours();
        let head = Head::new(self.title, "");
        let top = head.bottom() + 24.0;
        let rows = panels.len().div_ceil(2);
        let bottom = top + rows as f64 * (PANEL + GAP);
        let names = self.runs.iter().enumerate().take(12);
        let entries = names.map(|(i, (name, _))| (Sign::Line(colours.series(i), dashes(i)), (*name).to_owned()));
        let legend = Legend::new(entries.collect(), "over optimiser steps", WIDTH - 80.0);
        let mut svg = Svg::new(WIDTH, bottom + legend.height(), colours);
        head.draw(&mut svg, 58.0);
        for (i, panel) in panels.iter().enumerate() {
            let left = 58.0 + (i % 2) as f64 * (WIDTH / 2.0);
            let at = top + (i / 2) as f64 * (PANEL + GAP);
            panel.draw(&mut svg, Frame { left, right: left + WIDTH / 2.0 - 78.0, top: at, bottom: at + PANEL });
        }
        legend.draw(&mut svg, (58.0, bottom - 6.0));
        Some(svg.finish())
    }

    /// Returns the measurements as CSV, as they were recorded.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("series,measurement,step,value\n");
        for (name, records) in self.runs {
            for (key, _) in PANELS {
                for (step, value) in values(records, key) {
                    writeln!(csv, "{},{key},{step},{value}", quoted(name)).expect("writing into a string");
                }
            }
        }
        csv
    }
}

/// Colours repeat after six, dashes tell the second round.
fn dashes(i: usize) -> &'static str {
    ["", "6 3", "2 3"][i / 6 % 3]
}

impl Panel {
    fn draw(&self, svg: &mut Svg, frame: Frame) {
        let points = || self.lines.iter().flatten();
        let x = Axis::linear(0.0, points().map(|point| point.0).fold(1.0, f64::max), frame.left, frame.right);
        let y = Axis::around(points().map(|point| point.1), frame.bottom, frame.top);
        frame.draw(svg, (&x, &y), true);
        svg.text((frame.left, frame.top - 8.0), self.words, 12.0, Anchor::Start, svg.colours.ink);
        for (i, line) in self.lines.iter().enumerate() {
            let path: Vec<(f64, f64)> = line.iter().map(|&(step, value)| (x.at_held(step), y.at_held(value))).collect();
            let colour = svg.colours.series(i);
            if let [alone] = path.as_slice() {
                svg.marker(*alone, Shape::of_series(i), colour, true);
            } else if !path.is_empty() {
                svg.path(&path, Stroke::dashed(colour, 1.5, dashes(i)));
            }
        }
    }
}

fn values<'a>(records: &'a [Record], key: &'a str) -> impl Iterator<Item = (f64, f64)> + 'a {
    let steps = records.iter().filter(|record| record.kind == Kind::Step);
    steps.filter_map(move |r| Some((r.step as f64, r.metrics.get(key)?))).filter(|(_, value)| value.is_finite())
}

fn averaged(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let width = line.len().div_ceil(MOST).max(1);
    let mean = |points: &[(f64, f64)]| {
        let n = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        (x / n, y / n)
    };
    line.chunks(width).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Metrics, SCHEMA};

    fn step(step: u64, reward: f64) -> Record {
        let mut metrics = Metrics::default();
        metrics.set("reward/mean", reward);
        metrics.set("length/mean", 7.0);
        metrics.set("policy/kl_ref", 0.0);
        Record { kind: Kind::Step, schema: SCHEMA, step, time_s: 0.0, message: None, metrics }
    }

    #[test]
    fn what_is_recorded_has_a_panel_and_zeros_have_none() {
        let records: Vec<Record> = (1..2000).map(|i| step(i, if i == 3 { f64::NAN } else { i as f64 })).collect();
        let runs = [("a,b", records.as_slice())];
        let figure = PanelsFigure { runs: &runs, title: "T" };
        let svg = figure.to_svg(Theme::Dark).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(!svg.contains("NaN") && svg.len() < 30_000);
        assert!(
            figure.to_csv().contains("\"a,b\",reward/mean,1,1\n\"a,b\",reward/mean,2,2\n\"a,b\",reward/mean,4,4\n")
        );
        assert_eq!(PanelsFigure { runs: &[("a", &[])], title: "T" }.to_svg(Theme::Light), None);
    }
}
