//! Accuracy against compute: points with intervals, the fit with its band, and what it leaves over.

use std::fmt::Write as _;

use super::axis::Axis;
use super::frame::{Frame, Head, Legend, Sign, WIDTH};
use super::svg::{Anchor, Shape, Stroke, Svg};
use super::theme::Theme;
use crate::counter::Counter;
use crate::estimate::{Interval, Z95, bootstrap_mean, wilson};
use crate::fit::{Fit, Form, Label, Samples};
use crate::frontier::{Setting, frontier};
use crate::outcomes::RunOutcomes;
use crate::points::{Point, Series};

/// Accuracy against compute.
///
/// Points beyond those that were fitted are drawn hollow, and points before them grey: with a fit of the first part of
/// the points, the figure shows how well it predicts the rest. Under [`Style::settings`] a setting has one colour, its runs
/// are lines, and points off the frontier that was fitted are small.
#[derive(Debug)]
pub struct ScalingFigure<'a> {
    /// The points, one series a run.
    pub series: &'a [Series],
    /// The fit over them.
    pub fit: &'a Fit,
    /// Said above the figure.
    pub title: &'a str,
}

/// How a scaling figure is drawn, and what is known besides its points.
#[derive(Clone, Debug, Default)]
pub struct Style<'a> {
    /// The paper.
    pub theme: Theme,
    /// What stands on the axis of compute.
    pub counter: Counter,
    /// What each problem did, by the name of the series: with it, bars are intervals over problems; without, they take
    /// every sample for a problem of its own.
    pub outcomes: &'a [RunOutcomes],
    /// For a frontier: the settings whose runs the series are. Empty where series are seeds of one setting.
    pub settings: &'a [Setting],
    /// Said below the figure, such as model and data.
    pub caption: &'a str,
}

/// More points than this are drawn as the averages that were fitted.
const MOST_POINTS: usize = 2000;
/// More series than this are not named in the legend.
const MOST_NAMES: usize = 12;
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 22.0;
const HEIGHT: f64 = 310.0;
const RESIDUALS: f64 = 70.0;

impl ScalingFigure<'_> {
    /// Draws the figure as SVG, over training FLOPs on white paper.
    pub fn to_svg(&self) -> String {
        self.to_svg_in(&Style::default())
    }

    /// Draws the figure as SVG in a style.
    pub fn to_svg_in(&self, style: &Style<'_>) -> String {
        let head = Head::new(self.title, &self.fit.sentence);
        let top = head.bottom() + 12.0;
        let main = Frame { left: LEFT, right: RIGHT, top, bottom: top + HEIGHT };
        let (gap, height) = if drawn_form(self.fit).is_some() { (16.0, RESIDUALS) } else { (0.0, 0.0) };
        let below = Frame { top: main.bottom + gap, bottom: main.bottom + gap + height, ..main };
        let drawing = Drawing::new(self, style, main, below);
        let legend = Legend::new(drawing.entries(), &drawing.caption(style.caption), RIGHT - LEFT);
        let legend_top = below.bottom + 48.0;
        let mut svg = Svg::new(WIDTH, legend_top + legend.height(), style.theme.colours());
        head.draw(&mut svg, LEFT);
        drawing.draw(&mut svg);
        below.label_x(&mut svg, &format!("{}, log scale", style.counter.label()));
        legend.draw(&mut svg, (LEFT, legend_top));
        svg.finish()
    }

    /// Returns the points as CSV.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("series,step,C,y,lenient,n\n");
        for series in self.series {
            let name = quoted(&series.name);
            for point in &series.points {
                let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
                let (lenient, n) = (optional(point.lenient), optional(point.n));
                writeln!(csv, "{name},{},{:e},{},{lenient},{n}", point.step, point.compute, point.y)
                    .expect("writing into a string");
            }
        }
        csv
    }
}

/// A cell of a table: what would end it becomes a blank.
pub(super) fn quoted(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_control() || c == '"' { ' ' } else { c }).collect();
    if plain.contains(',') { format!("\"{plain}\"") } else { plain }
}

/// Where a point stands to what was fitted.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Fitted,
    HeldOut,
    LeftOut,
    /// Another setting is better at its compute.
    Beaten,
}

/// A point with all that is drawn of it.
struct Mark<'a> {
    /// What it has its colour and sign from: the series, or the setting.
    series: usize,
    point: &'a Point,
    interval: Option<Interval>,
    role: Role,
}

/// A figure with its axes.
struct Drawing<'a> {
    figure: &'a ScalingFigure<'a>,
    theme: Theme,
    settings: &'a [Setting],
    marks: Vec<Mark<'a>>,
    /// Whether there are too many points to be drawn each.
    is_averaged: bool,
    over_problems: bool,
    form: Option<&'a Form>,
    band: Vec<(f64, Interval)>,
    main: Frame,
    /// The place of the residuals.
    below: Frame,
    x: Axis,
    y: Axis,
    residual: Axis,
}

impl<'a> Drawing<'a> {
    fn new(figure: &'a ScalingFigure<'a>, style: &Style<'a>, main: Frame, below: Frame) -> Self {
        let n_points: usize = figure.series.iter().map(|series| series.points.len()).sum();
        let is_averaged = n_points > MOST_POINTS;
        let marks = if is_averaged { vec![] } else { marks(figure, style) };
        let form = drawn_form(figure.fit);
        let samples = figure.fit.samples();
        let computes = || figure.series.iter().flat_map(|s| &s.points).map(|p| p.compute).filter(|&c| c > 0.0);
        let x = Axis::logarithmic(computes(), main.left, main.right);
        let levels = marks.iter().flat_map(|mark| {
            [mark.interval.map(|interval| interval.high), Some(mark.point.y), mark.point.lenient].into_iter().flatten()
        });
        let levels = levels.chain(figure.fit.start).chain(samples.all().iter().map(|sample| sample.y));
        let y = Axis::from_zero(levels, main.bottom, main.top);
        let y = Axis::linear(0.0, y.high().min(1.0), main.bottom, main.top);
        let left_over = marks.iter().filter(|mark| mark.role != Role::Beaten);
        let left_over = left_over.filter_map(|mark| Some(mark.residual(form?).abs() + mark.half_width()));
        let largest = left_over.fold(0.004, f64::max);
        let residual = Axis::around([-largest, largest].into_iter(), below.bottom, below.top);
        let band = form.map_or_else(Vec::new, |form| band(figure.fit, form, &x));
        let over_problems = marks.iter().any(|mark| mark.interval.is_some()) && !style.outcomes.is_empty();
        let (theme, settings) = (style.theme, style.settings);
        Self { figure, theme, settings, marks, is_averaged, over_problems, form, band, main, below, x, y, residual }
    }

    fn draw(&self, svg: &mut Svg) {
        self.main.draw(svg, (&self.x, &self.y), self.form.is_none());
        self.main.label_y(svg, "held-out accuracy");
        self.draw_start(svg);
        if let Some(form) = self.form {
            self.draw_form(svg, form);
            self.below.draw(svg, (&self.x, &self.residual), true);
            self.below.label_y(svg, "residual");
            let zero = self.residual.at(0.0);
            svg.line((self.below.left, zero), (self.below.right, zero), Stroke::solid(svg.colours.ink, 1.0));
        }
        if self.is_averaged {
            self.draw_averages(svg);
        }
        self.draw_runs(svg);
        self.marks.iter().filter(|mark| mark.role != Role::Beaten).for_each(|mark| self.draw_lenient(svg, mark));
        for role in [Role::Beaten, Role::LeftOut, Role::Fitted, Role::HeldOut] {
            self.marks.iter().filter(|mark| mark.role == role).for_each(|mark| self.draw_mark(svg, mark));
        }
    }

    /// The accuracy before training, which has no place on a logarithmic axis.
    fn draw_start(&self, svg: &mut Svg) {
        let Some(start) = self.figure.fit.start else { return };
        let (at, muted) = (self.y.at(start), svg.colours.muted);
        svg.line((LEFT, at), (RIGHT, at), Stroke::dashed(muted, 1.0, "2 4"));
        let label = format!("before the first step: {:.1} %", start * 100.0);
        svg.text((RIGHT - 4.0, at + 13.0), &label, 11.0, Anchor::End, muted);
    }

    /// The best form: solid over the points that were fitted, dashed beyond them, with its band.
    fn draw_form(&self, svg: &mut Svg, form: &Form) {
        let ink = svg.colours.ink;
        let within = |value: f64| value.clamp(0.0, self.y.high());
        let edge = |f: fn(&Interval) -> f64| -> Vec<(f64, f64)> {
            self.band.iter().map(|(log, i)| (self.x.at_log(*log), self.y.at(within(f(i))))).collect()
        };
        let (upper, mut lower) = (edge(|interval| interval.high), edge(|interval| interval.low));
        lower.reverse();
        if !upper.is_empty() {
            svg.area(&[upper, lower].concat(), ink, 0.13);
        }
        let samples = self.figure.fit.samples();
        let mut draw = |from: f64, to: f64, dashes: &str| {
            let path: Vec<(f64, f64)> = steps(from, to, 100)
                .map(|log| (log, form.predict(log)))
                .filter(|(_, value)| (0.0..=self.y.high()).contains(value))
                .map(|(log, value)| (self.x.at_log(log), self.y.at(value)))
                .collect();
            svg.path(&path, Stroke::dashed(ink, 1.8, dashes));
        };
        draw(self.x.low(), samples.low(), BEYOND);
        draw(samples.low(), samples.high(), "");
        draw(samples.high(), self.x.high(), BEYOND);
    }

    /// The runs of settings as thin lines, so that each can be followed through the others.
    fn draw_runs(&self, svg: &mut Svg) {
        for series in self.figure.series.iter().filter(|_| !self.settings.is_empty()) {
            let colour = svg.colours.series(setting_of(self.settings, series));
            let points = series.points.iter().filter(|point| point.compute > 0.0);
            let path: Vec<(f64, f64)> = points.map(|p| (self.x.at(p.compute), self.y.at_held(p.y))).collect();
            svg.path(&path, Stroke::solid(colour, 0.7));
        }
    }

    fn draw_averages(&self, svg: &mut Svg) {
        for sample in self.figure.fit.samples().all() {
            let at = (self.x.at_log(sample.x), self.y.at_held(sample.y));
            let colour = svg.colours.series(sample.series);
            svg.bar((at.0 - 1.0, at.1 - 1.0), (at.0 + 1.0, at.1 + 1.0), colour);
        }
    }

    fn draw_lenient(&self, svg: &mut Svg, mark: &Mark<'_>) {
        if let Some(lenient) = mark.lenient() {
            let colour = svg.colours.series(mark.series);
            svg.marker((self.x.at(mark.point.compute), self.y.at_held(lenient)), Shape::Diamond, colour, false);
        }
    }

    fn draw_mark(&self, svg: &mut Svg, mark: &Mark<'_>) {
        let colour = if mark.role == Role::LeftOut { svg.colours.skipped } else { svg.colours.series(mark.series) };
        let (at, shape, is_filled) =
            (self.x.at(mark.point.compute), Shape::of_series(mark.series), mark.role != Role::HeldOut);
        if mark.role == Role::Beaten {
            return svg.dot((at, self.y.at_held(mark.point.y)), colour);
        }
        if let Some(Interval { low, high }) = mark.interval {
            svg.line((at, self.y.at_held(low)), (at, self.y.at_held(high)), Stroke::solid(colour, 1.3));
        }
        svg.marker((at, self.y.at_held(mark.point.y)), shape, colour, is_filled);
        if let Some(form) = self.form {
            let (residual, half) = (mark.residual(form), mark.half_width());
            let bar = (self.residual.at_held(residual - half), self.residual.at_held(residual + half));
            svg.line((at, bar.0), (at, bar.1), Stroke::solid(colour, 1.0));
            svg.marker((at, self.residual.at_held(residual)), shape, colour, is_filled);
        }
    }

    fn entries(&self) -> Vec<(Sign, String)> {
        let colours = self.theme.colours();
        let names: Vec<String> = match self.settings {
            [] => self.figure.series.iter().map(|series| series.name.clone()).collect(),
            settings => settings.iter().map(named).collect(),
        };
        let shown = names.iter().enumerate().take(MOST_NAMES);
        let mut all: Vec<(Sign, String)> =
            shown.map(|(i, name)| (Sign::Marker(Shape::of_series(i), colours.series(i), true), name.clone())).collect();
        if let Some(more) = names.len().checked_sub(MOST_NAMES).filter(|&more| more > 0) {
            all.push((Sign::Marker(Shape::Circle, colours.skipped, true), format!("and {more} more, colours again")));
        }
        if let Some(form) = self.form {
            all.push((Sign::Line(colours.ink, ""), form_words(form)));
            all.push((Sign::Line(colours.ink, BEYOND), "beyond the points that were fitted".to_owned()));
        }
        let has = |role| self.marks.iter().any(|mark| mark.role == role);
        if has(Role::HeldOut) {
            all.push((Sign::Marker(Shape::Circle, colours.ink, false), "hollow: held out, not fitted".to_owned()));
        }
        if has(Role::Beaten) {
            all.push((Sign::Dot(colours.ink), "another setting is better there: not fitted".to_owned()));
        }
        if has(Role::LeftOut) {
            all.push((Sign::Marker(Shape::Circle, colours.skipped, true), "left out of the fit".to_owned()));
        }
        if self.marks.iter().any(|mark| mark.lenient().is_some()) {
            all.push((Sign::Marker(Shape::Diamond, colours.ink, false), "lenient; all others strict".to_owned()));
        }
        all
    }

    fn caption(&self, given: &str) -> String {
        let mut words = vec![given.to_owned()];
        words.extend(self.form.and_then(|form| distance(self.figure.fit, form)));
        if self.marks.iter().any(|mark| mark.interval.is_some()) {
            let bars = if self.over_problems { "over problems" } else { "as if each sample were a problem (Wilson)" };
            words.push(format!("bars: 95 % {bars}"));
        }
        if !self.band.is_empty() {
            words.push("band: 95 %, parametric bootstrap of the fit".to_owned());
        }
        if self.is_averaged {
            words.push(format!("{} points, drawn as averages", self.figure.fit.points));
        }
        words.retain(|word| !word.is_empty());
        words.join("; ")
    }
}

/// The dashes of a fit beyond its points.
const BEYOND: &str = "6 4";

impl Mark<'_> {
    fn residual(&self, form: &Form) -> f64 {
        self.point.y - form.predict(self.point.compute.log10())
    }

    fn half_width(&self) -> f64 {
        self.interval.map_or(0.0, |interval| (interval.high - interval.low) / 2.0)
    }

    /// The lenient accuracy, where it differs.
    fn lenient(&self) -> Option<f64> {
        self.point.lenient.filter(|lenient| (lenient - self.point.y).abs() > 1e-9)
    }
}

/// The form that is drawn: the best one, and none where there are too few points for any.
fn drawn_form(fit: &Fit) -> Option<&Form> {
    let is_too_few = fit.verdict.label == Label::Undetermined && fit.verdict.rule == 0;
    fit.best().filter(|_| !is_too_few)
}

fn marks<'a>(figure: &ScalingFigure<'a>, style: &Style<'_>) -> Vec<Mark<'a>> {
    let mut all = vec![];
    let kept: Vec<Point> = frontier(style.settings).into_iter().flat_map(|series| series.points).collect();
    let is_beaten = |point: &Point| !style.settings.is_empty() && !kept.contains(point);
    for (i, series) in figure.series.iter().enumerate() {
        let run = style.outcomes.iter().find(|run| run.name == series.name);
        let sign = if style.settings.is_empty() { i } else { setting_of(style.settings, series) };
        for point in series.points.iter().filter(|point| point.compute > 0.0) {
            let interval = run.and_then(|run| problem_interval(run, point));
            let interval = interval.or_else(|| point.n.map(|n| wilson(point.y * n, n)));
            let role = if is_beaten(point) { Role::Beaten } else { role(figure.fit.samples(), point) };
            all.push(Mark { series: sign, point, interval, role });
        }
    }
    all
}

fn role(samples: &Samples, point: &Point) -> Role {
    const SAME: f64 = 1e-9;
    match point.compute.log10() {
        _ if samples.all().is_empty() => Role::Fitted,
        log if log > samples.high() + SAME => Role::HeldOut,
        log if log < samples.low() - SAME => Role::LeftOut,
        _ => Role::Fitted,
    }
}

/// The setting of which a series is a seed, by its place.
fn setting_of(settings: &[Setting], series: &Series) -> usize {
    settings.iter().position(|setting| setting.seeds.iter().any(|seed| seed.name == series.name)).unwrap_or(0)
}

/// A setting in a legend.
fn named(setting: &Setting) -> String {
    match setting.seeds.len() {
        1 => setting.name.clone(),
        n => format!("{} ({n} seeds)", setting.name),
    }
}

/// The interval of a point by drawing problems; the samples of one move together.
pub(crate) fn problem_interval(run: &RunOutcomes, point: &Point) -> Option<Interval> {
    let checkpoint = run.checkpoints.iter().find(|checkpoint| checkpoint.compute == point.compute)?;
    let judged = checkpoint.problems.values().filter(|counts| counts.n > 0.0);
    let shares: Vec<f64> = judged.map(|counts| counts.right / counts.n).collect();
    (!shares.is_empty()).then(|| bootstrap_mean(&shares, 0))
}

fn steps(from: f64, to: f64, n: u32) -> impl Iterator<Item = f64> {
    (0..=n).map(move |i| from + (to - from) * f64::from(i) / f64::from(n))
}

fn band(fit: &Fit, form: &Form, x: &Axis) -> Vec<(f64, Interval)> {
    let draws = if fit.samples().all().len() > 300 { 40 } else { 200 };
    let logs: Vec<f64> = steps(x.low(), x.high(), 60).collect();
    let band = fit.band(form.name, &logs, draws, 0).unwrap_or_default();
    logs.into_iter().zip(band).collect()
}

/// The form with its parameters and their 95 % half widths.
fn form_words(form: &Form) -> String {
    let param = |param: &crate::fit::Param| {
        let half = param.se.map(|se| Z95 * se).filter(|half| half.is_finite());
        let value = half.map_or_else(|| short(param.value, param.value), |half| short(param.value, half));
        match half {
            _ if form.at_bound.contains(&param.name) => format!("{} {value} at its bound", param.name),
            Some(half) if half > 0.0 => format!("{} {value} ± {}", param.name, short(half, half)),
            _ => format!("{} {value}", param.name),
        }
    };
    let params: Vec<String> = form.params.iter().map(param).collect();
    format!("{}: {}", form.name, params.join(", "))
}

/// How far a form is from the straight line, or from the next one if it is the line.
fn distance(fit: &Fit, form: &Form) -> Option<String> {
    let other = if form.name == "log_linear" { fit.forms.get(1) } else { fit.form("log_linear") }?;
    let daicc = other.daicc.filter(|daicc| daicc.is_finite())?;
    Some(format!("ΔAICc of {} against {}: {daicc:.1}", other.name, form.name))
}

/// A number with two digits of its error.
fn short(value: f64, error: f64) -> String {
    let digits = 1 - error.abs().max(1e-12).log10().floor() as i32;
    if value.abs() >= 1e5 || digits > 6 {
        return format!("{value:.1e}");
    }
    format!("{value:.*}", digits.max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use crate::fit::{Kind, Options, fit};
    use crate::frontier::{Budgets, Group, fit_frontier, settings};
    use crate::outcomes::{Checkpoint, Counts};

    fn draw(series: &[Series], style: &Style<'_>) -> String {
        ScalingFigure { series, fit: &fit(series), title: "a & b" }.to_svg_in(style)
    }

    #[test]
    fn equal_input_gives_equal_bytes_and_names_are_escaped() {
        let svg = draw(&example(), &Style::default());
        assert_eq!(svg, draw(&example(), &Style::default()));
        assert!(svg.contains("seed &lt;1&gt;") && svg.contains("a &amp; b"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn the_fit_is_dashed_beyond_the_points_and_has_a_band() {
        let svg = draw(&example(), &Style::default());
        assert_eq!(svg.matches("<polyline").count(), 3);
        // Both ends of the curve and its sign in the legend.
        assert_eq!(svg.matches("stroke-dasharray=\"6 4\"").count(), 3);
        assert_eq!(svg.matches("fill-opacity=\"0.13\"").count(), 1);
    }

    #[test]
    fn strict_points_are_filled_and_lenient_ones_hollow() {
        let svg = draw(&example(), &Style::default());
        // Seven points above and their residuals, and the sign in the legend.
        assert_eq!(svg.matches("fill=\"#0072B2\" stroke=\"#0072B2\"").count(), 15);
        assert_eq!(svg.matches("fill=\"#ffffff\" stroke=\"#0072B2\"").count(), 7);
        assert!(svg.contains("lenient; all others strict"));
    }

    #[test]
    fn points_beyond_the_fitted_ones_are_hollow() {
        let series = example();
        let mut early = series.clone();
        early[0].points.truncate(5);
        let mut svg = ScalingFigure { series: &series, fit: &fit(&early), title: "T" }.to_svg();
        svg.retain(|c| c != '\n');
        // Three points held out, beside seven lenient ones; four are too few for a form, and so for residuals.
        assert_eq!(svg.matches("fill=\"#ffffff\" stroke=\"#0072B2\"").count(), 10);
        assert!(!svg.contains("residual"));
        assert!(svg.contains("hollow: held out"));
    }

    #[test]
    fn bars_are_over_problems_where_outcomes_are_known() {
        let series = example();
        // Every problem alike: no other problems would have changed anything.
        let checkpoint = |point: &Point| Checkpoint {
            compute: point.compute,
            problems: (0..9).map(|i| (i.to_string(), Counts { right: point.y, n: 1.0 })).collect(),
        };
        let checkpoints = series[0].points.iter().map(checkpoint).collect();
        let outcomes = [RunOutcomes { name: series[0].name.clone(), checkpoints }];
        let interval = problem_interval(&outcomes[0], &series[0].points[3]).unwrap();
        assert!((interval.high - interval.low).abs() < 1e-9);
        let svg = draw(&series, &Style { outcomes: &outcomes, caption: "nine problems", ..Style::default() });
        assert!(svg.contains("nine problems; ") && svg.contains("; bars: 95 % over problems; band"));
        assert!(draw(&series, &Style::default()).contains("bars: 95 % as if each sample were a problem (Wilson)"));
    }

    #[test]
    fn a_frontier_shows_its_settings_with_the_points_that_were_beaten_small() {
        let mut series = [example(), example()].concat();
        series[1].name = "small".to_owned();
        // The small one is better up to its fourth point.
        series[1].points.iter_mut().enumerate().for_each(|(i, point)| point.y += if i < 5 { 0.02 } else { -0.1 });
        let groups: Vec<Group> = series
            .iter()
            .map(|one| Group { name: one.name.clone(), budgets: Budgets::Checkpoints, runs: vec![one.name.clone()] })
            .collect();
        let settings = settings(&groups, &series);
        let fit = fit_frontier(&settings, &[], &Options { kind: Kind::Frontier, ..Options::default() });
        let style = Style { settings: &settings, ..Style::default() };
        let svg = ScalingFigure { series: &series, fit: &fit, title: "T" }.to_svg_in(&style);
        // Seven small points and their sign; both runs as lines.
        assert_eq!(svg.matches("r=\"2\"").count(), 8);
        assert_eq!(svg.matches("stroke-width=\"0.7\"").count(), 2);
        assert!(svg.contains("another setting is better there") && svg.contains(">small<"));
    }

    #[test]
    fn the_axis_and_the_paper_can_be_chosen() {
        let style = Style { theme: Theme::Dark, counter: Counter::new("wall_s"), ..Style::default() };
        let svg = draw(&example(), &style);
        assert!(svg.contains("time of training (seconds), log scale") && svg.contains("#16181d"));
        assert!(!svg.contains("#ffffff") && !svg.contains("#222222"));
    }

    #[test]
    fn a_single_point_can_be_drawn() {
        let mut series = example();
        series[0].points.truncate(2);
        let svg = draw(&series, &Style::default());
        assert!(!svg.contains("NaN"));
        super::super::to_png(&svg).unwrap();
    }

    #[test]
    fn many_points_are_drawn_as_averages() {
        let mut series = example();
        let point = |i: u32| Point {
            step: 0,
            compute: 1e15 * f64::from(i),
            y: 0.1 + f64::from(i).log10() / 10.0,
            lenient: None,
            n: Some(100.0),
        };
        series[0].points = (1..20_000).map(point).collect();
        let svg = draw(&series, &Style::default());
        assert!(svg.contains("19999 points, drawn as averages") && svg.len() < 400_000, "{}", svg.len());
    }

    #[test]
    fn numbers_have_two_digits_of_their_error() {
        assert_eq!(
            (short(0.61234, 0.013), short(1234.5, 30.0), short(2e18, 1e17)),
            ("0.612".into(), "1234".into(), "2.0e18".into())
        );
    }
}
