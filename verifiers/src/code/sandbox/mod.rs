//! Sandboxes: where programs of unknown intent run.
//!
//! A *worker* is a process that holds an interpreter ready. For each *case* it clones itself into fresh namespaces, puts
//! on the other layers, and becomes the program; the clone is used once. Programs never meet: not each other, not the
//! worker, not this process. What passes between is descriptors one way, and lines of JSON from the case's pid 1, which
//! the program cannot reach, the other way.

mod cgroup;
mod filter;
pub(crate) mod interpreter;
mod probe;
pub(crate) mod room;
pub(crate) mod run;
pub(crate) mod worker;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use cgroup::{Group, Hierarchy};
use room::Room;
use worker::Worker;

use crate::verifier::Interventions;

pub use probe::{Layer, NO_ISOLATION, probe};

/// The means by which workers are started and cases run.
#[derive(Debug)]
pub(crate) struct Sandbox {
    room: Room,
    cgroups: Option<Hierarchy>,
    cores: f64,
    layers: Vec<String>,
    interventions: Counters,
    /// Control groups whose processes are still ending.
    retired: Mutex<Vec<Group>>,
}

#[derive(Debug, Default)]
struct Counters {
    restarts: AtomicU64,
    killed: AtomicU64,
}

impl Counters {
    fn killed(&self) {
        self.killed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sandbox {
    /// Starts a worker.
    pub(crate) fn worker(&self, index: usize) -> Result<Worker, String> {
        Worker::start(&self.room, index)
    }

    /// Starts a worker in the place of one that has gone.
    pub(crate) fn restart(&self, index: usize) -> Result<Worker, String> {
        self.interventions.restarts.fetch_add(1, Ordering::Relaxed);
        self.worker(index)
    }

    /// The layers that are on, outermost first.
    pub(crate) fn layers(&self) -> &[String] {
        &self.layers
    }

    pub(crate) fn interventions(&self) -> Interventions {
        Interventions {
            restarts: self.interventions.restarts.load(Ordering::Relaxed),
            killed: self.interventions.killed.load(Ordering::Relaxed),
        }
    }

    /// Removes a control group, now or when its last process has gone.
    fn retire(&self, group: Group) {
        if !self.room.has_namespaces() {
            group.kill();
        }
        let mut retired = self.retired.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        retired.push(group);
        retired.retain_mut(|group| !group.remove());
    }
}
