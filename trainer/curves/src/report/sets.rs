//! One evaluation set over all runs: the verdict, its figures, its forms.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::page::Page;
use super::{Drawn, ReportError, configs};
use crate::at_k::AtKCurve;
use crate::counter::Counter;
use crate::evals::{self, EvalRow};
use crate::figure::{AtKFigure, DifficultyFigure, ScalingFigure, Style, Theme};
use crate::fit::{Evidence, Fit, Kind, Label, Options, fit_with};
use crate::frontier::{fit_frontier, frontier, groups, settings};
use crate::outcomes::{Checkpoint, OutcomesError, RunOutcomes};
use crate::points::{self, Series};
use crate::runs::{Run, RunsError};

/// What is said of an evaluation set.
#[derive(Debug)]
pub struct SetReport {
    /// The set.
    pub set: String,
    /// The set, with the settings that its runs share where other runs have others.
    pub name: String,
    /// Its runs, by their places among all.
    pub(super) runs: Vec<usize>,
    /// The points, one series a run.
    pub series: Vec<Series>,
    /// What each problem did, where runs kept samples.
    pub outcomes: Vec<RunOutcomes>,
    /// The fit over training FLOPs.
    pub fit: Fit,
    /// Its figures: first the curve, then the held-out extrapolation, other axes, and those of single runs.
    pub figures: Vec<Drawn>,
    /// The first and the last evaluation of each run that kept samples.
    pub(super) ends: Vec<Ends>,
    /// Figures before here are shown at once, those after it when they are asked for.
    n_main: usize,
    /// Figures from here on belong to single runs.
    n_shared: usize,
}

/// The samples of a run's first and last evaluation.
#[derive(Debug)]
pub(super) struct Ends {
    pub run: String,
    pub first: (u64, Vec<EvalRow>),
    pub last: (u64, Vec<EvalRow>),
}

/// Counters that have a figure of their own beside the FLOPs, where all runs have them.
const OTHER_AXES: [&str; 5] = ["tokens_gen", "rollouts", "wall_s", "cpu_s", "gpu_hours"];
/// The share of the compute that the held-out figure is fitted to.
const HELD_OUT: f64 = 0.5;

/// Reports each set for each group of runs with equal settings, and the frontier over groups if there are several.
pub(super) fn of_runs(runs: &[&Run], options: &Options) -> Result<Vec<SetReport>, ReportError> {
    let everyone = Group { words: String::new(), suffix: String::new(), members: (0..runs.len()).collect() };
    if options.kind == Kind::Frontier {
        return of_group(&everyone, runs, options);
    }
    let groups = configs::groups(runs);
    let mut reports = vec![];
    for (i, (words, members)) in groups.iter().enumerate() {
        let suffix = if i == 0 { String::new() } else { format!("-{}", i + 1) };
        reports.extend(of_group(&Group { words: words.clone(), suffix, members: members.clone() }, runs, options)?);
    }
    if groups.len() > 1 {
        let all = Group { words: "frontier over all settings".to_owned(), suffix: "-frontier".to_owned(), ..everyone };
        reports.extend(of_group(&all, runs, &Options { kind: Kind::Frontier, ..*options })?);
    }
    Ok(reports)
}

/// Runs that are reported together.
struct Group {
    /// What sets them apart; empty if nothing does.
    words: String,
    /// What tells their figures from those of others, as files.
    suffix: String,
    /// Their places among all runs.
    members: Vec<usize>,
}

fn of_group(group: &Group, runs: &[&Run], options: &Options) -> Result<Vec<SetReport>, ReportError> {
    let members: Vec<&Run> = group.members.iter().map(|&i| runs[i]).collect();
    let mut all = vec![];
    for run in &members {
        all.extend(run.series(&Counter::default()).map_err(RunsError::from)?);
    }
    points::by_set(all).into_iter().map(|(set, series)| of_set((set, series), group, &members, options)).collect()
}

fn of_set(
    (set, series): (String, Vec<Series>),
    group: &Group,
    runs: &[&Run],
    options: &Options,
) -> Result<SetReport, ReportError> {
    let (mut outcomes, mut ends) = (vec![], vec![]);
    let is_frontier = options.kind == Kind::Frontier;
    // Runs of a frontier over groups have been looked at with their groups.
    let is_again = is_frontier && !group.suffix.is_empty();
    for one in &series {
        let Some(run) = runs.iter().find(|run| run.name == one.name) else { continue };
        outcomes.extend(run.outcomes(one).map_err(RunsError::from)?);
        if !is_again {
            ends.extend(ends_of(run, one).map_err(RunsError::from)?);
        }
    }
    let name = if group.words.is_empty() { set.clone() } else { format!("{set}, {}", group.words) };
    let file = format!("{set}{}", group.suffix);
    let settings = if is_frontier { settings(&groups(runs), &series) } else { vec![] };
    let (fit, shown) = match is_frontier {
        true => (fit_frontier(&settings, &outcomes, options), frontier(&settings)),
        false => (fit_with(&series, options).with_bootstrap(&outcomes, options), series.clone()),
    };
    let caption = describe(&outcomes);
    let style = Style { outcomes: &outcomes, caption: &caption, settings: &settings, ..Style::default() };
    let mut figures = vec![];
    let title = format!("{name}: held-out accuracy against training compute");
    figures.push(drawn(&format!("curve-{file}"), &title, &series, &fit, &style));
    let early = fit_with(&points::up_to(&shown, HELD_OUT), options);
    if early.verdict.rule > 0 || early.verdict.label != Label::Undetermined {
        let title = format!("{name}: fitted up to half of the compute, the rest held out");
        figures.push(drawn(&format!("heldout-{file}"), &title, &series, &early, &style));
    }
    let n_main = figures.len();
    if options.kind == Kind::Trajectory {
        figures.extend(OTHER_AXES.iter().filter_map(|axis| over(axis, (&set, &name, &file), runs, &style)));
    }
    let n_shared = figures.len();
    for (i, ends) in ends.iter().enumerate() {
        figures.extend(of_ends(&format!("{file}-{}", i + 1), &set, ends, &outcomes));
    }
    let runs = group.members.clone();
    Ok(SetReport { set, name, runs, series, outcomes, fit, figures, ends, n_main, n_shared })
}

fn drawn(stem: &str, title: &str, series: &[Series], fit: &Fit, style: &Style<'_>) -> Drawn {
    let figure = ScalingFigure { series, fit, title };
    Drawn {
        stem: file_name(stem),
        words: format!("{title}. {}", fit.sentence),
        light: figure.to_svg_in(&Style { theme: Theme::Light, ..style.clone() }),
        dark: figure.to_svg_in(&Style { theme: Theme::Dark, ..style.clone() }),
        csv: figure.to_csv(),
    }
}

/// The same points over another counter; none if a run lacks it, or it counted nothing.
fn over(axis: &str, (set, name, file): (&str, &str, &str), runs: &[&Run], style: &Style<'_>) -> Option<Drawn> {
    let counter = Counter::new(axis);
    let (mut series, mut outcomes) = (vec![], vec![]);
    for run in runs {
        let one = run.series(&counter).ok()?.into_iter().find(|one| one.set == set)?;
        outcomes.extend(run.outcomes(&one).ok()?);
        series.push(one);
    }
    series.iter().flat_map(|one| &one.points).any(|point| point.compute > 0.0).then_some(())?;
    let title = format!("{name}: held-out accuracy against {}", counter.label());
    let style = Style { counter, outcomes: &outcomes, ..style.clone() };
    Some(drawn(&format!("curve-{file}-{axis}"), &title, &series, &fit_with(&series, &Options::default()), &style))
}

fn ends_of(run: &Run, series: &Series) -> Result<Option<Ends>, OutcomesError> {
    let paths = series.points.iter().map(|point| (point.step, evals::path(&run.folder, point.step)));
    let there: Vec<_> = paths.filter(|(_, path)| path.exists()).collect();
    let read = |(step, path): &(u64, PathBuf)| -> Result<(u64, Vec<EvalRow>), OutcomesError> {
        let rows = evals::read(path)?.into_iter().filter(|row| row.set == series.set).collect();
        Ok((*step, rows))
    };
    let [first, .., last] = there.as_slice() else { return Ok(None) };
    Ok(Some(Ends { run: run.name.clone(), first: read(first)?, last: read(last)? }))
}

/// The figures of one run: samples a problem, and difficulty.
fn of_ends(file: &str, set: &str, ends: &Ends, outcomes: &[RunOutcomes]) -> Vec<Drawn> {
    let mut figures = vec![];
    let curve = |(step, rows): &(u64, Vec<EvalRow>)| AtKCurve::of_rows(&format!("step {step}"), rows);
    let curves: Vec<AtKCurve> = [curve(&ends.first), curve(&ends.last)].into_iter().flatten().collect();
    if curves.iter().any(|curve| curve.samples > 1) {
        let title = format!("{}, {set}: accuracy with several samples a problem", ends.run);
        let figure = AtKFigure { curves: &curves, title: &title };
        figures.push(Drawn {
            stem: file_name(&format!("samples-{file}")),
            words: title.clone(),
            light: figure.to_svg(Theme::Light),
            dark: figure.to_svg(Theme::Dark),
            csv: figure.to_csv(),
        });
    }
    let run = outcomes.iter().find(|run| run.name == ends.run);
    if let Some([before, .., after]) = run.map(|run| run.checkpoints.as_slice()) {
        let title =
            format!("{}, {set}: how hard its problems are, step {} and step {}", ends.run, ends.first.0, ends.last.0);
        let figure = DifficultyFigure { before, after, title: &title };
        figures.push(Drawn {
            stem: file_name(&format!("difficulty-{file}")),
            words: title.clone(),
            light: figure.to_svg(Theme::Light),
            dark: figure.to_svg(Theme::Dark),
            csv: figure.to_csv(),
        });
    }
    figures
}

/// Only what belongs into a file name.
fn file_name(stem: &str) -> String {
    stem.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

/// Problems and samples behind the points, such as `200 problems × 2 samples`.
pub fn describe(outcomes: &[RunOutcomes]) -> String {
    let checkpoints = || outcomes.iter().flat_map(|run| &run.checkpoints).filter(|c| !c.problems.is_empty());
    let problems: BTreeSet<usize> = checkpoints().map(|checkpoint| checkpoint.problems.len()).collect();
    let most = |checkpoint: &Checkpoint| checkpoint.problems.values().map(|counts| counts.n as u64).max().unwrap_or(0);
    let samples: BTreeSet<u64> = checkpoints().map(most).collect();
    let range = |low: Option<String>, high: Option<String>| match (low, high) {
        (Some(low), Some(high)) if low != high => format!("{low} to {high}"),
        (Some(low), _) => low,
        (None, _) => String::new(),
    };
    let text = |n: Option<u64>| n.map(|n| n.to_string());
    let problems = range(problems.first().map(usize::to_string), problems.last().map(usize::to_string));
    let samples = range(text(samples.first().copied()), text(samples.last().copied()));
    if problems.is_empty() { String::new() } else { format!("{problems} problems × {samples} samples") }
}

impl SetReport {
    /// Figures of single runs.
    pub(super) fn single(&self) -> &[Drawn] {
        &self.figures[self.n_shared..]
    }

    /// Its runs among all.
    pub(super) fn runs_of<'a>(&self, runs: &[&'a Run]) -> Vec<&'a Run> {
        self.runs.iter().map(|&i| runs[i]).collect()
    }

    pub(super) fn write(&self, page: &mut Page, runs: &[&Run]) {
        let fit = &self.fit;
        page.heading(&format!("{}: what may be said", self.name));
        page.verdict(fit.verdict.label.as_str(), &fit.sentence);
        page.list(&self.caveats(&self.runs_of(runs)));
        for drawn in &self.figures[..self.n_main] {
            page.figure(drawn);
        }
        if self.n_shared > self.n_main {
            page.folded("The same points over other axes", |page| {
                self.figures[self.n_main..self.n_shared].iter().for_each(|drawn| page.figure(drawn));
            });
        }
        page.folded("Why: the numbers that decided", |page| page.list(&fit.verdict.reasons));
        if !fit.forms.is_empty() {
            page.subheading("All forms");
            page.table(&FORMS, &fit.forms.iter().map(form_row).collect::<Vec<_>>());
        }
        self.write_bootstrap(page);
    }

    fn write_bootstrap(&self, page: &mut Page) {
        let rows: Vec<Vec<String>> = self
            .fit
            .bootstrap
            .iter()
            .flat_map(|bootstrap| {
                let over = format!("{:?}", bootstrap.over).to_lowercase();
                bootstrap.forms.iter().flat_map(move |(form, spreads)| {
                    let over = over.clone();
                    spreads.iter().map(move |s| {
                        let interval = format!("{} to {}", short(s.low), short(s.high));
                        vec![over.clone(), (*form).to_owned(), s.name.to_owned(), short(s.value), interval]
                    })
                })
            })
            .collect();
        if !rows.is_empty() {
            page.folded("Intervals of the parameters by drawing problems and seeds anew", |page| {
                page.table(&["drawn", "form", "parameter", "value", "95 % interval"], &rows);
                page.text("Drawing fewer than about eight seeds gives intervals that are too narrow; Student's t over seeds, above, is not.");
            });
        }
    }

    /// What a reader must keep in mind.
    fn caveats(&self, runs: &[&Run]) -> Vec<String> {
        let fit = &self.fit;
        let mut all = vec![match fit.evidence {
            Evidence::OneRun if fit.kind == Kind::Frontier => {
                "One seed of each setting: another seed may differ, and change which setting is the best.".to_owned()
            }
            Evidence::OneRun => {
                "One run describes itself: nothing is said of the method, and another seed may differ.".to_owned()
            }
            Evidence::TwoSeeds => {
                "Not replicated: it takes three runs of which none alone contradicts the verdict.".to_owned()
            }
            Evidence::Replicated if fit.kind == Kind::Frontier => {
                format!("Replicated: {} seeds of each setting, none of which alone contradicts the verdict.", fit.seeds)
            }
            Evidence::Replicated => {
                format!("Replicated: {} runs, none of which alone contradicts the verdict.", fit.seeds)
            }
        }];
        all.extend(doubts(runs));
        if fit.kind == Kind::Trajectory && runs.iter().any(|run| configs::decays(run)) {
            all.push(
                "Checkpoints of runs whose learning rate decays: a checkpoint is not a finished smaller run."
                    .to_owned(),
            );
        }
        if fit.kind == Kind::Frontier {
            all.push("The best of several noisy settings is biased upwards; the more settings, the more.".to_owned());
        }
        if let Some(mean) = fit.slope_over_seeds {
            all.push(format!(
                "Slope over {} seeds: {:.1} ± {:.1} points per 10× (95 %, Student's t).",
                mean.seeds,
                100.0 * mean.mean,
                100.0 * mean.half_width
            ));
        }
        all.extend(fit.horizon.iter().map(|horizon| horizon.sentence.clone()));
        all.extend(self.format_share());
        all.extend(fit.notes.iter().cloned());
        if let Some(uncut) = &fit.without_cut {
            all.push(format!("With the {} points below {:.2e}: {}", uncut.left_out, uncut.from, uncut.verdict.text));
        }
        all.extend(fit.verdict.would_settle.iter().map(|way| format!("It would be settled by: {way}.")));
        all
    }

    /// How much of the gain is format: the gap of strict and lenient at the start, mean over runs.
    fn format_share(&self) -> Option<String> {
        let gaps: Vec<(f64, f64)> = self
            .series
            .iter()
            .filter_map(|one| {
                let (first, last) = (one.points.first()?, one.points.last()?);
                Some((first.lenient? - first.y, last.y - first.y))
            })
            .collect();
        let n = gaps.len() as f64;
        let (gap, gain) = gaps.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / n, sum.1 + pair.1 / n));
        (n > 0.0 && gain > 0.0).then(|| {
            let share = 100.0 * (gap / gain).clamp(0.0, 1.0);
            format!(
                "Format share of the gain: {share:.0} % (at the start a lenient reading finds {:.1} points more; the strict gain is {:.1} points).",
                100.0 * gap,
                100.0 * gain
            )
        })
    }
}

/// Why runs may be no independent repetitions of one another.
fn doubts(runs: &[&Run]) -> Vec<String> {
    let mut all = vec![];
    if runs.len() > 1 && configs::parsed(runs).is_none() {
        all.push("Not every config can be read, so whether these runs have equal settings is not known.".to_owned());
    }
    let has_twins = |members: &[usize]| {
        let seeds = members.iter().map(|&i| &runs[i].header["seed"]).filter(|seed| !seed.is_null());
        let seeds: Vec<&serde_json::Value> = seeds.collect();
        (1..seeds.len()).any(|i| seeds[..i].contains(&seeds[i]))
    };
    // Of a frontier, runs of several settings may well have one seed.
    if configs::groups(runs).iter().any(|(_, members)| has_twins(members)) {
        all.push(
            "Runs with one seed: they are no independent repetitions, and count for less than they seem.".to_owned(),
        );
    }
    all
}

const FORMS: [&str; 7] =
    ["form", "ΔAICc", "parameters ± standard error", "χ²/dof", "at a bound", "held-out bias from ¼", "from ½"];

fn form_row(form: &crate::fit::Form) -> Vec<String> {
    let optional = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let param = |p: &crate::fit::Param| match p.se.filter(|se| se.is_finite()) {
        Some(se) => format!("{} {} ± {}", p.name, short(p.value), short(se)),
        None => format!("{} {}", p.name, short(p.value)),
    };
    let params: Vec<String> = form.params.iter().map(param).collect();
    let held_out = |share: f64| {
        let found = form.heldout.iter().find(|h| h.up_to == share);
        found.map_or("–".to_owned(), |h| {
            let verdict = if h.is_unbiased() { "" } else { ", biased" };
            format!("{:+.3} ± {:.3}{verdict}", h.bias, h.bias_se).replace('-', "−")
        })
    };
    let bounds = if form.at_bound.is_empty() { "none".to_owned() } else { form.at_bound.join(", ") };
    vec![
        form.name.to_owned(),
        optional(form.daicc),
        params.join(", "),
        optional(form.chi2_dof),
        bounds,
        held_out(0.25),
        held_out(0.5),
    ]
}

/// A number with three digits.
pub(super) fn short(value: f64) -> String {
    let shown = if value != 0.0 && (value.abs() >= 1e5 || value.abs() < 1e-3) {
        format!("{value:.2e}")
    } else {
        let digits = 2 - value.abs().max(1e-3).log10().floor() as i32;
        format!("{value:.*}", digits.clamp(0, 5) as usize)
    };
    shown.replacen('-', "−", usize::from(shown.starts_with('-')))
}
