//! The runs of a sweep as processes: started, watched, asked to end.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::plan::{Plan, PlannedRun};
use super::status::{State, Status, is_done, status};
use crate::run_folder::is_in_use;
use crate::stop;

/// The folder of a sweep and the program that does its runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The program, `rlvr`.
    pub program: PathBuf,
}

impl Place {
    /// Returns the folder of a run.
    pub fn run(&self, run: &PlannedRun) -> PathBuf {
        self.folder.join("runs").join(&run.name)
    }

    /// Returns the file that a run's process writes its messages to.
    pub fn log(&self, run: &PlannedRun) -> PathBuf {
        self.folder.join("logs").join(format!("{}.log", run.name))
    }

    /// Returns the file of a run's config.
    pub fn config(&self, run: &PlannedRun) -> PathBuf {
        self.folder.join("configs").join(format!("{}.toml", run.name))
    }
}

/// How often processes are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How often the logs of running runs are read: that costs more, and the processor is wanted elsewhere.
const READ: Duration = Duration::from_secs(2);

/// A run with the process that works on it, if there is one.
struct Job<'a> {
    run: &'a PlannedRun,
    state: State,
    child: Option<Child>,
}

/// Does what is left of a sweep, and returns how far each run is.
///
/// `show` is told of it time and again. After Ctrl-C the processes are asked to finish their step and save.
///
/// # Errors
///
/// If a folder holds something else, or a process cannot be started. A run that fails is no error; it is a status.
pub fn execute(plan: &Plan, place: &Place, show: &mut dyn FnMut(&[Status])) -> anyhow::Result<Vec<Status>> {
    for part in ["runs", "logs", "configs"] {
        let folder = place.folder.join(part);
        std::fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    }
    let mut jobs = vec![];
    for run in &plan.runs {
        let state = if is_done(run, &place.run(run))? { State::Done } else { State::Waiting };
        jobs.push(Job { run, state, child: None });
    }
    let mut is_told = false;
    let mut all: Vec<Status> = jobs.iter().map(|job| job.status(place)).collect();
    let mut read = Instant::now();
    loop {
        for job in &mut jobs {
            job.look(place)?;
        }
        if stop::is_asked() && !is_told {
            jobs.iter().for_each(Job::ask_to_end);
            is_told = true;
        }
        if !is_told {
            start_waiting(&mut jobs, plan.jobs, place)?;
        }
        let is_old = read.elapsed() >= READ;
        for (job, known) in jobs.iter().zip(&mut all) {
            if job.state != known.state || (is_old && job.state == State::Running) {
                *known = job.status(place);
            }
        }
        if is_old {
            read = Instant::now();
        }
        show(&all);
        if !jobs.iter().any(|job| job.state == State::Running || (job.state == State::Waiting && !is_told)) {
            return Ok(all);
        }
        std::thread::sleep(LOOK);
    }
}

fn start_waiting(jobs: &mut [Job<'_>], most: usize, place: &Place) -> anyhow::Result<()> {
    let running = jobs.iter().filter(|job| job.state == State::Running).count();
    let waiting = jobs.iter_mut().filter(|job| job.state == State::Waiting);
    waiting.take(most.saturating_sub(running)).try_for_each(|job| job.start(place))
}

impl Job<'_> {
    fn status(&self, place: &Place) -> Status {
        status(self.run, &place.run(self.run), self.state)
    }

    /// Starts the process of a run; it begins anew or goes on, as the folder stands. Where a process that an earlier
    /// sweep left behind is still working on it, that one is waited for.
    fn start(&mut self, place: &Place) -> anyhow::Result<()> {
        let folder = place.run(self.run);
        self.state = State::Running;
        if is_in_use(&folder) {
            return Ok(());
        }
        let config = place.config(self.run);
        std::fs::write(&config, self.run.config.to_toml())
            .with_context(|| format!("`{}` cannot be written", config.display()))?;
        let log = place.log(self.run);
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("`{}` cannot be written", log.display()))?;
        let child = Command::new(&place.program)
            .arg("train")
            .arg(&config)
            .arg("--out")
            .arg(&folder)
            .arg("--resume")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            // Ctrl-C reaches this process alone, which asks the runs to end, once.
            .process_group(0)
            .spawn()
            .with_context(|| format!("`{}` cannot be started", place.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    fn look(&mut self, place: &Place) -> anyhow::Result<()> {
        if self.state != State::Running {
            return Ok(());
        }
        let folder = place.run(self.run);
        let Some(child) = &mut self.child else {
            if !is_in_use(&folder) {
                self.state = if is_done(self.run, &folder)? { State::Done } else { State::Waiting };
            }
            return Ok(());
        };
        let Some(code) = child.try_wait().context("a run's process cannot be waited for")? else { return Ok(()) };
        self.child = None;
        self.state = match (code.success(), is_done(self.run, &folder)?) {
            (true, true) => State::Done,
            (true, false) if stop::is_asked() => State::Waiting,
            _ => State::Failed,
        };
        Ok(())
    }

    fn ask_to_end(&self) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id() as i32));
        if let Some(pid) = pid {
            // A process that has ended meanwhile needs not be asked.
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

/// Says which runs failed and where to read why.
///
/// # Errors
///
/// If any did.
pub fn refuse_failures(all: &[Status], plan: &Plan, place: &Place) -> anyhow::Result<()> {
    let failed = all.iter().zip(&plan.runs).filter(|(status, _)| status.state == State::Failed);
    let lines: Vec<String> = failed
        .map(|(status, run)| {
            format!("  {}: {} (`{}`)", status.name, last_line(&place.log(run)), place.log(run).display())
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    bail!("{} of {} runs failed; the same command tries them again:\n{}", lines.len(), all.len(), lines.join("\n"))
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| line.starts_with("error:")).unwrap_or("it says nothing").to_owned()
}
