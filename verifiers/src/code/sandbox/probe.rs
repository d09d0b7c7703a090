//! Which layers this host offers, found out by trying.

use std::sync::Mutex;

use serde::Serialize;

use super::cgroup::Hierarchy;
use super::room::{Room, Walls, find_program};
use super::run::{Case, Overflow, Sink};
use super::worker::Worker;
use super::{Counters, Sandbox};
use crate::code::options::{CodeOptions, Isolation};
use crate::code::spec::Limits;

/// A layer between a program and the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Such as `bubblewrap`, `namespaces`, `landlock`, `seccomp`, `cgroup`, `uid`, `rlimits`.
    pub name: &'static str,
    /// Whether programs are behind it.
    pub is_on: bool,
    /// What exactly is on, or why it is not and how to get it.
    pub note: String,
}

/// The only layer of `isolation = "none"`, for those who must warn.
pub const NO_ISOLATION: &str = "no isolation";

/// Finds out which layers the verifier `code` would have here with these options, outermost first.
///
/// A program that does nothing is run through all of them; the answer is what it saw, not what ought to be.
pub fn probe(options: &CodeOptions) -> Vec<Layer> {
    // The worker ends with the thread that started it, and this one must not be a stranger's.
    std::thread::scope(|scope| scope.spawn(|| layers(options)).join()).unwrap_or_default()
}

fn layers(options: &CodeOptions) -> Vec<Layer> {
    let sandbox = Sandbox::open(options);
    let (is_open, trouble) = match &sandbox {
        Ok((sandbox, _)) => (Some(sandbox), String::new()),
        Err(why) => (None, why.clone()),
    };
    let walls = is_open.map(|sandbox| &sandbox.room.walls);
    let layer = |name, is_on, note: String| Layer { name, is_on, note };
    let abi = sandbox.as_ref().map_or(0, |(_, worker)| worker.landlock_abi);
    let on = |name: &str| is_open.is_some_and(|sandbox| sandbox.layers.iter().any(|layer| layer.starts_with(name)));
    let off = |remedy: &str| if trouble.is_empty() { remedy.to_owned() } else { trouble.clone() };
    vec![
        layer(
            "bubblewrap",
            matches!(walls, Some(Walls::Bubblewrap(_))),
            match walls {
                Some(Walls::Bubblewrap(path)) => path.display().to_string(),
                _ if find_program("bwrap").is_none() => "not installed; the package is called `bubblewrap`".to_owned(),
                _ => off("the option `bubblewrap` or `isolation` turns it off"),
            },
        ),
        layer(
            "namespaces",
            on("namespaces"),
            match walls {
                Some(Walls::Bubblewrap(_) | Walls::Own) => {
                    "user, mount, pid, net, ipc, uts, cgroup; new ones each case".to_owned()
                }
                _ => off("`isolation` asks for none; \"full\" turns them on"),
            },
        ),
        layer(
            "uid",
            on("uid"),
            if on("uid") { "root is given up".to_owned() } else { "not root to begin with".to_owned() },
        ),
        layer(
            "landlock",
            on("landlock"),
            match abi {
                0 => off("this kernel has no Landlock; 5.13 or later has, if `lsm=` names it"),
                abi => format!("version {abi}"),
            },
        ),
        layer(
            "seccomp",
            on("seccomp"),
            if on("seccomp") { "deny list".to_owned() } else { off("`isolation` asks for none") },
        ),
        layer(
            "cgroup",
            on("cgroup"),
            match is_open.map(|sandbox| &sandbox.cgroups) {
                Some(Some(hierarchy)) => {
                    format!("{}: memory, processes and cores of a program together", hierarchy.label())
                }
                _ => Hierarchy::find().err().unwrap_or_else(|| off("off")),
            },
        ),
        layer("rlimits", is_open.is_some(), if is_open.is_some() { "always".to_owned() } else { trouble.clone() }),
    ]
}

impl Sandbox {
    /// Opens a sandbox with the layers that the options ask for, and returns the worker by which it was tried.
    ///
    /// The error says what is missing and how to get it.
    pub(crate) fn open(options: &CodeOptions) -> Result<(Self, Worker), String> {
        let mut trouble = vec![];
        for walls in candidates(options) {
            for cgroups in [Hierarchy::find().ok(), None] {
                let had_groups = cgroups.is_some();
                match Self::try_open(options, walls.clone(), cgroups) {
                    Ok(opened) => return Ok(opened),
                    Err(why) => trouble.push(why),
                }
                if !had_groups {
                    break;
                }
            }
        }
        trouble.dedup();
        Err(format!("{}; {}", trouble.join("; "), remedy(options.isolation)))
    }

    fn try_open(options: &CodeOptions, walls: Walls, cgroups: Option<Hierarchy>) -> Result<(Self, Worker), String> {
        let name = match &walls {
            Walls::Bubblewrap(path) => format!("`{}`", path.display()),
            Walls::Own => "the launcher's namespaces".to_owned(),
            Walls::None => "a sandbox without namespaces".to_owned(),
        };
        let mut sandbox = Self {
            room: Room::plan(options, walls)?,
            cgroups,
            cores: options.cores,
            layers: vec![],
            interventions: Counters::default(),
            retired: Mutex::default(),
        };
        let mut worker = sandbox.worker(0).map_err(|why| format!("{name}: {why}"))?;
        sandbox.try_case(&mut worker).map_err(|why| format!("{name}: {why}"))?;
        if options.isolation == Isolation::Landlock && worker.landlock_abi == 0 {
            return Err("this kernel has no Landlock".to_owned());
        }
        sandbox.layers = sandbox.names(&worker);
        Ok((sandbox, worker))
    }

    /// Runs a program that says who it is.
    fn try_case(&self, worker: &mut Worker) -> Result<(), String> {
        let bounds = Limits { wall_s: Some(10.0), ..Limits::default() }.or(&Limits::default());
        let (stdout, theirs) = Sink::new(64, Overflow::Ends)?;
        let case = Case::new("python", bounds)
            .give_text("program", b"import os; print(os.getpid() < 10, os.getuid())")?
            .give("stdout", theirs);
        let outcome = self.run(worker, vec![case], vec![stdout])?;
        let said = String::from_utf8_lossy(&outcome.texts[0]).trim().to_owned();
        match &outcome.reports[0] {
            report if report.failed.is_some() => Err(report.failed.clone().unwrap_or_default()),
            report if !report.is_ready => Err("it did not start".to_owned()),
            _ if self.room.has_namespaces() && said != "True 1000" => {
                Err(format!("a program in it is not alone, it says `{said}`"))
            }
            _ if said.is_empty() => Err("a program in it says nothing".to_owned()),
            _ => Ok(()),
        }
    }

    fn names(&self, worker: &Worker) -> Vec<String> {
        let mut names = vec![];
        if self.room.isolation == Isolation::None {
            names.push(NO_ISOLATION.to_owned());
        }
        if matches!(self.room.walls, Walls::Bubblewrap(_)) {
            names.push("bubblewrap".to_owned());
        }
        if self.room.has_namespaces() {
            names.push("namespaces".to_owned());
        }
        if self.room.uid(0).is_some() {
            names.push("uid".to_owned());
        }
        if self.room.isolation != Isolation::None {
            if worker.landlock_abi > 0 {
                names.push(format!("landlock {}", worker.landlock_abi));
            }
            if self.room.has_filter() {
                names.push("seccomp".to_owned());
            }
        }
        names.extend(self.cgroups.as_ref().map(|hierarchy| hierarchy.label().to_owned()));
        names.push("rlimits".to_owned());
        names
    }
}

fn candidates(options: &CodeOptions) -> Vec<Walls> {
    match options.isolation {
        Isolation::Full => {
            let bwrap = options.bubblewrap.then(|| find_program("bwrap")).flatten();
            bwrap.map(Walls::Bubblewrap).into_iter().chain([Walls::Own]).collect()
        }
        Isolation::Landlock | Isolation::None => vec![Walls::None],
    }
}

fn remedy(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Full => {
            "programs run only behind namespaces: allow user namespaces (sysctl user.max_user_namespaces > 0, and \
             kernel.apparmor_restrict_unprivileged_userns=0 or a profile for bwrap; in a container \
             --security-opt seccomp=unconfined --security-opt systempaths=unconfined), install bubblewrap, or name a \
             weaker mode: `isolation = \"landlock\"`, and \"none\" for programs that you trust"
        }
        Isolation::Landlock => {
            "`isolation = \"landlock\"` needs Linux 5.13 or later with Landlock among its security modules"
        }
        Isolation::None => "even without isolation programs need an interpreter that starts; set `python`",
    }
}
