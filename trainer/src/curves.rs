//! The curves of runs: read from their logs, fitted, drawn.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rlvr_curves::Series;
use rlvr_curves::figure::{ScalingFigure, write_curve};
use rlvr_curves::fit::{Fit, Kind, Options, fit_with};
use rlvr_curves::points::frontier;

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
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let mut sets: Vec<(String, Vec<Series>)> = vec![];
    for one in series {
        match sets.iter_mut().find(|(set, _)| *set == one.set) {
            Some((_, all)) => all.push(one),
            None => sets.push((one.set.clone(), vec![one])),
        }
    }
    let mut curves = vec![];
    for (i, (set, series)) in sets.into_iter().enumerate() {
        let suffix = if i == 0 { String::new() } else { format!("-{}", file_name(&set)) };
        let series = if options.kind == Kind::Frontier { vec![frontier(&series)] } else { series };
        let fit = fit_with(&series, options);
        let path = folder.join(format!("fit{suffix}.json"));
        std::fs::write(&path, format!("{:#}\n", fit.to_json())).with_context(|| format!("`{}`", path.display()))?;
        let title = format!("{set}: held-out accuracy against training compute");
        let figure = ScalingFigure { series: &series, fit: &fit, title: &title };
        let svg = write_curve(&figure, folder, &format!("curve{suffix}"))?;
        curves.push(Curve { set, fit, svg });
    }
    Ok(curves)
}

/// A set's name with only what belongs into a file name.
fn file_name(set: &str) -> String {
    set.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}
