//! `rlvr report`: one page on what runs show.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use rlvr_curves::fit::{Kind, Options};
use rlvr_curves::report::Report;
use rlvr_curves::runs::{self, Run};

use super::fit::Paper;
use super::output::say;

/// Arguments of `rlvr report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Run folders: seeds of one run, or runs to be compared.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Where the page goes; `curves/report.html` of a single run by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The runs are of several settings: fit the best setting at each compute, by the mean over its seeds. Where the
    /// learning rate decays, only the last point of a run counts.
    #[arg(long)]
    frontier: bool,
    /// Leave out points below this compute; the verdict with all points is kept beside.
    #[arg(long, value_name = "C")]
    from: Option<f64>,
    /// Also write every figure as SVG, PNG and CSV into this folder.
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// The paper of these figures; the page itself has both.
    #[arg(long, value_enum, default_value_t = Paper::Light)]
    theme: Paper,
}

impl ReportArgs {
    fn page(&self) -> anyhow::Result<PathBuf> {
        match (&self.out, self.runs.as_slice()) {
            (Some(out), _) => Ok(out.clone()),
            (None, [one]) => Ok(one.join("curves/report.html")),
            (None, _) => anyhow::bail!("there are several runs; name the page with --out report.html"),
        }
    }

    /// The command that makes the page again.
    fn command(&self) -> String {
        let mut words = vec!["rlvr".to_owned(), "report".to_owned()];
        words.extend(self.runs.iter().map(|run| run.display().to_string()));
        if self.frontier {
            words.push("--frontier".to_owned());
        }
        if let Some(from) = self.from {
            words.push(format!("--from {from:e}"));
        }
        if let Some(out) = &self.out {
            words.push(format!("--out {}", out.display()));
        }
        words.join(" ")
    }
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    if let Some(from) = args.from.filter(|from| !(from.is_finite() && *from > 0.0)) {
        anyhow::bail!("`--from` is {from}, but must be a compute above 0");
    }
    let path = args.page()?;
    let kind = if args.frontier { Kind::Frontier } else { Kind::Trajectory };
    let options = Options { kind, from: args.from, ..Options::default() };
    let runs = runs::open(&args.runs)?;
    runs.iter().flat_map(Run::warnings).for_each(|warning| say(&format!("warning: {warning}")));
    let report = Report::of(&runs, options)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    }
    std::fs::write(&path, report.to_html(&args.command())).with_context(|| format!("`{}`", path.display()))?;
    if let Some(folder) = &args.figures {
        std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        report.write_figures(folder, args.theme.into())?;
    }
    report.sets().iter().for_each(|set| say(&format!("{}: {}", set.set, set.fit.sentence)));
    say(&format!("page: {}", path.display()));
    Ok(())
}
