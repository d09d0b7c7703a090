//! `rlvr fit`: fit and draw accuracy against compute.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rlvr::curves::{self, Input, Look};
use rlvr_curves::figure::Theme;
use rlvr_curves::fit::{Bootstrap, Fit, Given, Kind, Options, Resample, scalerl};
use rlvr_curves::{Counter, points, runs};

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
    /// The inputs are of several settings: fit the best setting at each compute, by the mean over its seeds. Where the
    /// learning rate decays, only the last point of a run counts.
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
    /// What the points of runs are over: any `compute/NAME` of their records, such as tokens_gen, rollouts or wall_s.
    #[arg(long, value_name = "NAME", default_value = "flops_total")]
    axis: String,
    /// Also draw `heldout.svg`: a fit of the points up to this share of the compute against the rest.
    #[arg(long, value_name = "SHARE")]
    held_out: Option<f64>,
    /// The paper of the figures.
    #[arg(long, value_enum, default_value_t = Paper::Light)]
    theme: Paper,
}

/// What figures are drawn on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Paper {
    /// Dark ink on white.
    Light,
    /// Light ink on nearly black.
    Dark,
}

impl From<Paper> for Theme {
    fn from(paper: Paper) -> Self {
        match paper {
            Paper::Light => Self::Light,
            Paper::Dark => Self::Dark,
        }
    }
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

    fn look(&self) -> anyhow::Result<Look> {
        if let Some(share) = self.held_out.filter(|share| !(*share > 0.0 && *share < 1.0)) {
            anyhow::bail!("`--held-out` is {share}, but must be a share of the compute between 0 and 1");
        }
        Ok(Look { theme: self.theme.into(), counter: Counter::new(&self.axis), held_out: self.held_out })
    }

    /// Reads tables and runs; what a reader must be told goes to stderr.
    fn input(&self, counter: &Counter) -> anyhow::Result<Input> {
        let (tables, folders): (Vec<PathBuf>, Vec<PathBuf>) =
            self.inputs.iter().cloned().partition(|path| is_table(path));
        let runs = runs::open(&folders)?;
        runs.iter().flat_map(runs::Run::warnings).for_each(|warning| say(&format!("warning: {warning}")));
        let mut input = Input::of_runs(&runs, counter)?;
        for table in &tables {
            input.series.extend(points::of_csv(table)?);
        }
        Ok(input)
    }
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "csv")
}

pub(super) fn run(args: &FitArgs) -> anyhow::Result<()> {
    let options = args.options()?;
    let look = args.look()?;
    let input = args.input(&look.counter)?;
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
    let compared = args.scalerl.map(|start| scalerl(&input.series, start));
    let written = curves::draw(&input, &folder, &options, &look);
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
    fit.bootstrap.iter().for_each(|bootstrap| say(&format!("  {}", intervals(bootstrap))));
    fit.notes.iter().for_each(|note| say(&format!("  note: {note}")));
    if let Some(uncut) = &fit.without_cut {
        say(&format!("  with the {} points below {:.2e}: {}", uncut.left_out, uncut.from, uncut.verdict.text));
    }
    fit.verdict.would_settle.iter().for_each(|way| say(&format!("  would settle it: {way}")));
}

/// The intervals of one way to draw anew, in words: the slope of the line, and the asymptote of a form that has one.
fn intervals(bootstrap: &Bootstrap) -> String {
    let over = match bootstrap.over {
        Resample::Problems => format!("over {} problems", bootstrap.problems),
        Resample::Seeds => format!("over {} runs (too narrow for fewer than eight)", bootstrap.runs),
        Resample::Both => "over problems and runs".to_owned(),
    };
    let slope = bootstrap.forms.get("log_linear").and_then(|params| params.iter().find(|param| param.name == "b"));
    let slope = slope.map(|b| {
        format!("slope {:.1} points per 10× ({:.1} to {:.1})", 100.0 * b.value, 100.0 * b.low, 100.0 * b.high)
    });
    let asymptotes = bootstrap.forms.iter().filter_map(|(form, params)| {
        let a = params.iter().find(|param| param.name == "A")?;
        Some(format!("A of {form} ({:.2} to {:.2})", a.low, a.high))
    });
    let all: Vec<String> = slope.into_iter().chain(asymptotes).collect();
    format!("95 % {over}: {}", all.join(", "))
}
