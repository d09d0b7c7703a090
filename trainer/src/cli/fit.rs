//! `rlvr fit`: fit and draw accuracy against compute.

use std::path::PathBuf;

use clap::Args;
use rlvr::curves;
use rlvr_curves::fit::{Fit, Given, Kind, Options, scalerl};
use rlvr_curves::{Series, points};

use super::output::{JsonLines, say};

/// Arguments of `rlvr fit`.
#[derive(Debug, Args)]
pub(super) struct FitArgs {
    /// Run folders, or tables of points (CSV with `C,y`, and `k`, `n`, `seed`, `series` where known).
    #[arg(required = true, value_name = "RUN or POINTS.csv")]
    inputs: Vec<PathBuf>,
    /// Where the fit and the figure go; `curves/` of a single run by default, nowhere for tables and several runs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The inputs are separately tuned runs at several budgets: fit the best of their last points.
    #[arg(long)]
    frontier: bool,
    /// Leave out points below this compute; the verdict with all points is kept beside.
    #[arg(long, value_name = "C")]
    from: Option<f64>,
    /// The accuracy without compute is this, and no parameter.
    #[arg(long, value_name = "R0")]
    start: Option<f64>,
    /// For comparison, fit the sigmoid as ScaleRL does, with this accuracy without compute.
    #[arg(long, value_name = "R0")]
    scalerl: Option<f64>,
}

impl FitArgs {
    fn options(&self) -> anyhow::Result<Options> {
        if let Some(from) = self.from.filter(|from| !(from.is_finite() && *from > 0.0)) {
            anyhow::bail!("`--from` is {from}, but must be a compute above 0");
        }
        for (name, start) in [("start", self.start), ("scalerl", self.scalerl)] {
            if let Some(start) = start.filter(|start| !(0.0..=1.0).contains(start)) {
                anyhow::bail!("`--{name}` is {start}, but must be an accuracy from 0 to 1");
            }
        }
        Ok(Options {
            kind: if self.frontier { Kind::Frontier } else { Kind::Trajectory },
            from: self.from,
            given: self.start.map_or(Given::Nothing, Given::Start),
        })
    }
}

pub(super) fn run(args: &FitArgs) -> anyhow::Result<()> {
    let options = args.options()?;
    let is_table = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "csv");
    let mut series: Vec<Series> = vec![];
    for input in &args.inputs {
        series.extend(if is_table(input) { points::of_csv(input)? } else { points::of_run(input)? });
    }
    let single_run = match args.inputs.as_slice() {
        [one] if !is_table(one) => Some(one.join("curves")),
        _ => None,
    };
    let temporary;
    let folder = match args.out.clone().or(single_run) {
        Some(folder) => folder,
        None => {
            temporary = std::env::temp_dir().join(format!("rlvr-fit-{}", std::process::id()));
            temporary
        }
    };
    let is_kept = args.out.is_some() || folder.ends_with("curves");
    let compared = args.scalerl.map(|start| scalerl(&series, start));
    let written = curves::write_with(series, &folder, &options);
    let mut out = JsonLines::new();
    for curve in &written? {
        let mut json = curve.fit.to_json();
        if let Some(compared) = &compared {
            json["scalerl"] = serde_json::to_value(compared)?;
        }
        out.write(&json)?;
        explain(&curve.set, &curve.fit);
        if is_kept {
            say(&format!("figure: {}", curve.svg.display()));
        }
    }
    out.flush()?;
    if !is_kept {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// What was found, in words: the sentence, the numbers that decided, and what would settle the rest.
fn explain(set: &str, fit: &Fit) {
    say(&format!("{set}: {}", fit.sentence));
    fit.verdict.reasons.iter().for_each(|reason| say(&format!("  {reason}")));
    fit.horizon.iter().for_each(|horizon| say(&format!("  {}", horizon.sentence)));
    fit.notes.iter().for_each(|note| say(&format!("  note: {note}")));
    if let Some(uncut) = &fit.without_cut {
        say(&format!("  with the {} points below {:.2e}: {}", uncut.left_out, uncut.from, uncut.verdict.text));
    }
    fit.verdict.would_settle.iter().for_each(|way| say(&format!("  would settle it: {way}")));
}
