//! The curves of runs: read from their logs, fitted, drawn.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rlvr_curves::figure::{self, ScalingFigure, Style, Theme};
use rlvr_curves::fit::{Fit, Kind, Options, fit_with};
use rlvr_curves::frontier::{Group, fit_frontier, frontier, groups, settings};
use rlvr_curves::outcomes::RunOutcomes;
use rlvr_curves::points::{by_set, up_to};
use rlvr_curves::report::describe;
use rlvr_curves::runs::{Run, open};
use rlvr_curves::{Counter, Series};

/// The curve of one evaluation set.
#[derive(Debug)]
pub struct Curve {
    /// The set.
    pub set: String,
    /// What was fitted.
    pub fit: Fit,
    /// The figure, SVG.
    pub svg: PathBuf,
}

/// Points to be fitted and drawn.
#[derive(Debug, Default)]
pub struct Input {
    /// The points, one series for each run and set.
    pub series: Vec<Series>,
    /// What each problem did behind the points of a set, where it is known.
    pub outcomes: Vec<(String, RunOutcomes)>,
    /// Which runs are seeds of one setting, for frontiers; points of tables are in no group.
    pub groups: Vec<Group>,
}

/// How curves are drawn.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The paper.
    pub theme: Theme,
    /// What the points are over.
    pub counter: Counter,
    /// Also draw what a fit of the points up to this share of the compute predicts of the rest.
    pub held_out: Option<f64>,
}

impl Input {
    /// Takes the points of runs with what is known of their problems.
    ///
    /// # Errors
    ///
    /// If a run has no points over the counter, or samples that cannot be read.
    pub fn of_runs(runs: &[Run], counter: &Counter) -> anyhow::Result<Self> {
        let mut input = Self { groups: groups(&runs.iter().collect::<Vec<_>>()), ..Self::default() };
        for run in runs {
            for series in run.series(counter)? {
                input.outcomes.extend(run.outcomes(&series)?.map(|outcomes| (series.set.clone(), outcomes)));
                input.series.push(series);
            }
        }
        Ok(input)
    }

    fn outcomes_of(&self, set: &str) -> Vec<RunOutcomes> {
        self.outcomes.iter().filter(|(of, _)| of == set).map(|(_, outcomes)| outcomes.clone()).collect()
    }
}

/// Fits and draws the curve of each evaluation set of a run into its `curves/`.
///
/// # Errors
///
/// If the run cannot be read, or a file cannot be written.
pub fn of_run(folder: &Path) -> anyhow::Result<Vec<Curve>> {
    let input = Input::of_runs(&open(&[folder.to_owned()])?, &Counter::default())?;
    draw(&input, &folder.join("curves"), &Options::default(), &Look::default())
}

/// Fits and draws the curve of each evaluation set over the series, and writes `fit.json`, `curve.svg`, `curve.png` and
/// `curve.csv` into `folder`; from the second set on, names carry the set.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write(series: Vec<Series>, folder: &Path) -> anyhow::Result<Vec<Curve>> {
    write_with(series, folder, &Options::default())
}

/// As [`write()`], under options that were decided before looking.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_with(series: Vec<Series>, folder: &Path, options: &Options) -> anyhow::Result<Vec<Curve>> {
    draw(&Input { series, ..Input::default() }, folder, options, &Look::default())
}

/// As [`write_with`], with intervals over problems where these are known, and in a look.
///
/// # Errors
///
/// If a file cannot be written.
pub fn draw(input: &Input, folder: &Path, options: &Options, look: &Look) -> anyhow::Result<Vec<Curve>> {
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let sets = by_set(input.series.clone());
    let one = |(i, (set, series)): (usize, (String, Vec<Series>))| {
        let suffix = if i == 0 { String::new() } else { format!("-{}", file_name(&set)) };
        let outcomes = input.outcomes_of(&set);
        let settings = if options.kind == Kind::Frontier { settings(&input.groups, &series) } else { vec![] };
        let (fit, fitted) = match options.kind {
            Kind::Frontier => (fit_frontier(&settings, &outcomes, options), frontier(&settings)),
            Kind::Trajectory => (fit_with(&series, options).with_bootstrap(&outcomes, options), series.clone()),
        };
        let path = folder.join(format!("fit{suffix}.json"));
        std::fs::write(&path, format!("{:#}\n", fit.to_json())).with_context(|| format!("`{}`", path.display()))?;
        let caption = describe(&outcomes);
        let (theme, counter) = (look.theme, look.counter.clone());
        let style = Style { theme, counter, outcomes: &outcomes, settings: &settings, caption: &caption };
        let title = format!("{set}: held-out accuracy against {}", axis(&look.counter));
        let figure = ScalingFigure { series: &series, fit: &fit, title: &title };
        let svg = figure::write(folder, &format!("curve{suffix}"), figure.to_svg_in(&style), figure.to_csv())?;
        if let Some(share) = look.held_out {
            let fit = fit_with(&up_to(&fitted, share), options);
            let title = format!("{set}: fitted up to {share} of the compute, the rest held out");
            let figure = ScalingFigure { series: &series, fit: &fit, title: &title };
            figure::write(folder, &format!("heldout{suffix}"), figure.to_svg_in(&style), figure.to_csv())?;
        }
        Ok(Curve { set, fit, svg })
    };
    sets.into_iter().enumerate().map(one).collect()
}

/// What the points are over, in the words of a title.
fn axis(counter: &Counter) -> String {
    if *counter == Counter::default() { "training compute".to_owned() } else { counter.label() }
}

/// A set's name with only what belongs into a file name.
fn file_name(set: &str) -> String {
    set.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}
