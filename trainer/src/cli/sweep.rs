//! `rlvr sweep`: many runs from one file, then fits and a report over all of them.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rlvr::curves::{self, Input, Look};
use rlvr::run_folder::step_name;
use rlvr::stop;
use rlvr::sweep::execute::{Place, execute, refuse_failures};
use rlvr::sweep::inference::draw as draw_group;
use rlvr::sweep::plan::{Inference, PlannedRun};
use rlvr::sweep::status::{State, Status, table};
use rlvr::sweep::{Plan, load};
use rlvr_curves::fit::{Kind, Options};
use rlvr_curves::points::{self, PointsError};
use rlvr_curves::{Counter, runs};
use serde_json::json;

use super::config::check;
use super::output::{JsonLines, say};

/// Arguments of `rlvr sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// The sweep: a config and what is varied in it.
    sweep: PathBuf,
    /// The folder of the sweep; `runs/NAME` by default. A sweep that was interrupted goes on.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs at a time, in place of the file's.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Check every run as `rlvr config check` does, and stop.
    #[arg(long)]
    check: bool,
    /// List the runs, and stop.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &SweepArgs) -> anyhow::Result<()> {
    let mut plan = load(&args.sweep)?;
    plan.jobs = args.jobs.unwrap_or(plan.jobs).max(1);
    if args.check {
        return check_all(&plan);
    }
    share_threads(&mut plan);
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&plan.name));
    if args.dry_run {
        return list(&plan);
    }
    let program = std::env::current_exe().context("the path of this program cannot be found")?;
    let place = Place { folder: std::path::absolute(&folder)?, program };
    stop::listen().context("Ctrl-C cannot be listened for")?;
    let mut live = Live::new();
    let all = execute(&plan, &place, &mut |all| live.show(all))?;
    live.end(&all);
    let mut out = JsonLines::new();
    all.iter().try_for_each(|status| out.write(status))?;
    out.flush()?;
    if stop::is_asked() {
        say("stopped as asked; the same command goes on");
        return Ok(());
    }
    refuse_failures(&all, &plan, &place)?;
    if let Some(inference) = &plan.inference {
        draw_inference(&plan, &place, inference)?;
    }
    fit(&plan, &place)?;
    report(&plan, &place)
}

fn check_all(plan: &Plan) -> anyhow::Result<()> {
    let mut unready = vec![];
    for run in &plan.runs {
        if let Err(error) = check(&run.config) {
            say(&format!("{}: {error:#}", run.name));
            unready.push(run.name.as_str());
        }
    }
    match unready.as_slice() {
        [] => Ok(()),
        some => bail!("{} of {} runs cannot start yet: {}", some.len(), plan.runs.len(), some.join(", ")),
    }
}

fn list(plan: &Plan) -> anyhow::Result<()> {
    let mut out = JsonLines::new();
    for run in &plan.runs {
        out.write(&json!({"name": run.name, "group": run.group, "settings": run.settings}))?;
    }
    out.flush()
}

/// Several runs at a time share the threads of the machine, where the config leaves their number open.
fn share_threads(plan: &mut Plan) {
    let threads = (tch::get_num_threads() as usize / plan.jobs.min(plan.runs.len()).max(1)).max(1);
    for run in plan.runs.iter_mut().filter(|run| plan.jobs > 1 && run.config.run.threads == 0) {
        run.config.run.threads = threads;
    }
}

/// The table of runs: drawn in place on a terminal; elsewhere a line for each run that begins or ends.
struct Live {
    is_terminal: bool,
    n_lines: usize,
    shown: Option<Instant>,
    states: Vec<State>,
}

impl Live {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), n_lines: 0, shown: None, states: vec![] }
    }

    fn show(&mut self, all: &[Status]) {
        let states: Vec<State> = all.iter().map(|status| status.state).collect();
        let changed: Vec<usize> = (0..all.len()).filter(|&i| self.states.get(i) != Some(&states[i])).collect();
        if self.is_terminal {
            let is_old = self.shown.is_none_or(|shown| shown.elapsed() > Duration::from_secs(2));
            if is_old || !changed.is_empty() {
                self.draw(all);
            }
        } else {
            for &i in changed.iter().filter(|&&i| states[i] != State::Waiting) {
                let line = table(&all[i..=i]);
                say(line.lines().nth(1).unwrap_or_default());
            }
        }
        self.states = states;
    }

    fn draw(&mut self, all: &[Status]) {
        let text = table(all);
        let up = if self.n_lines > 0 { format!("\x1b[{}A\x1b[J", self.n_lines) } else { String::new() };
        // That nobody reads stderr is no reason to stop.
        let _ = write!(std::io::stderr(), "{up}{text}");
        self.n_lines = text.lines().count();
        self.shown = Some(Instant::now());
    }

    fn end(&mut self, all: &[Status]) {
        if self.is_terminal {
            self.draw(all);
        } else {
            say(table(all).trim_end());
        }
    }
}

/// Samples the final checkpoints many times.
fn draw_inference(plan: &Plan, place: &Place, inference: &Inference) -> anyhow::Result<()> {
    let folder = place.folder.join("inference");
    std::fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let joined = |list: &[usize]| list.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    for run in &plan.runs {
        let model = place.run(run).join("checkpoints").join(step_name(run.config.run.steps));
        say(&format!("inference: {}", run.name));
        let mut command = Command::new(&place.program);
        command.arg("eval").arg("--model").arg(model).arg("--config").arg(place.config(run));
        command.args(["--samples", &inference.samples.to_string()]);
        command.args(["--temperature", &inference.temperature.to_string()]);
        command.args(["--threads", &run.config.run.threads.to_string()]);
        if !inference.k.is_empty() {
            command.args(["--k", &joined(&inference.k)]);
        }
        if !inference.think_budget.is_empty() {
            command.args(["--think-budget", &joined(&inference.think_budget)]);
        }
        command.args(inference.best_of.iter().flat_map(|name| ["--best-of", name]));
        let status = command.arg("--out").arg(folder.join(format!("{}.json", run.name))).status();
        let status = status.context("the evaluation cannot be started")?;
        if !status.success() {
            bail!("the evaluation of `{}` failed", run.name);
        }
    }
    for (group, runs) in &by_group(plan) {
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        for path in draw_group(&folder, group, &names)? {
            say(&format!("figure: {}", path.display()));
        }
    }
    Ok(())
}

fn by_group(plan: &Plan) -> BTreeMap<&str, Vec<&PlannedRun>> {
    let mut groups: BTreeMap<&str, Vec<&PlannedRun>> = BTreeMap::new();
    for run in &plan.runs {
        groups.entry(&run.group).or_default().push(run);
    }
    groups
}

/// Fits the runs of each group together, its seeds side by side, and the frontier over all groups.
fn fit(plan: &Plan, place: &Place) -> anyhow::Result<()> {
    let mut groups: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    let mut all = vec![];
    for run in &plan.runs {
        match points::of_run(&place.run(run)) {
            Ok(_) => {
                groups.entry(&run.group).or_default().push(place.run(run));
                all.push(place.run(run));
            }
            Err(PointsError::NoEvaluation(_)) => say(&format!("{}: no evaluation, nothing to fit", run.name)),
            Err(error) => return Err(error.into()),
        }
    }
    let folder = place.folder.join("curves");
    for (group, runs) in &groups {
        draw(runs, &folder.join(group), group, Kind::Trajectory)?;
    }
    if groups.len() > 1 {
        draw(&all, &folder.join("frontier"), "frontier", Kind::Frontier)?;
    }
    Ok(())
}

fn draw(runs: &[PathBuf], folder: &Path, name: &str, kind: Kind) -> anyhow::Result<()> {
    let input = Input::of_runs(&runs::open(runs)?, &Counter::default())?;
    for curve in curves::draw(&input, folder, &Options { kind, ..Options::default() }, &Look::default())? {
        say(&format!("{name}, {}: {}", curve.set, curve.fit.sentence));
        say(&format!("figure: {}", curve.svg.display()));
    }
    Ok(())
}

/// Writes the report by the program's own command, if it has one.
fn report(plan: &Plan, place: &Place) -> anyhow::Result<()> {
    let has_command = Command::new(&place.program)
        .args(["report", "--help"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_command {
        return Ok(());
    }
    let out = place.folder.join("report.html");
    let runs = plan.runs.iter().map(|run| place.run(run));
    let status = Command::new(&place.program).arg("report").args(runs).arg("--out").arg(&out).status();
    if !status.context("the report cannot be started")?.success() {
        bail!("the report could not be written");
    }
    say(&format!("report: {}", out.display()));
    Ok(())
}
