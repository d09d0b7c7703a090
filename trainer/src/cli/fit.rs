//! `rlvr fit`: fit and draw accuracy against compute.

use std::path::PathBuf;

use clap::Args;
use rlvr::curves;
use rlvr_curves::{Series, points};

use super::output::{JsonLines, say};

/// Arguments of `rlvr fit`.
#[derive(Debug, Args)]
pub(super) struct FitArgs {
    /// Run folders, or one table of points (CSV with `C,y`, and `n`, `seed` or `series` where known).
    #[arg(required = true, value_name = "RUN or POINTS.csv")]
    inputs: Vec<PathBuf>,
    /// Where the fit and the figure go; `curves/` of a single run by default, nowhere for tables and several runs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &FitArgs) -> anyhow::Result<()> {
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
    let written = curves::write(series, &folder);
    let mut out = JsonLines::new();
    for curve in &written? {
        out.write(&curve.fit.to_json())?;
        say(&format!("{}: {}", curve.set, curve.fit.sentence));
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
