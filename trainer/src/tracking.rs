//! The trackers of a run: each follows the run folder on a thread of its own, and none can hold the run up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rlvr_track::replay::{Description, Follower, Notices};
use rlvr_track::wandb::{Login, Offline, Online};
use rlvr_track::{Outcome, TensorBoard, TrackConfig, WandbMode};

use crate::console::Console;
use crate::run_folder::now_s;
use crate::stop;

/// How long the end of a run waits for a tracker that writes files.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it waits for a server.
const PATIENCE_ONLINE: Duration = Duration::from_secs(30);

/// Trackers at work.
pub(crate) struct Trackers {
    followers: Vec<(Follower, Duration)>,
    console: Arc<Console>,
}

/// Checks what would only be found out when the run has begun: that there is a key for the server.
pub(crate) fn check(config: &TrackConfig) -> anyhow::Result<()> {
    match config.active_wandb().filter(|wandb| wandb.mode == WandbMode::Online) {
        Some(_) => Login::find().map(|_| ()).map_err(|why| anyhow!("`track.wandb.mode` is `online`, but {why}")),
        None => Ok(()),
    }
}

impl Trackers {
    /// Starts what the config names, for a run folder that holds `run.json` and `config.toml` already.
    pub(crate) fn start(config: &TrackConfig, folder: &Path, console: &Arc<Console>) -> anyhow::Result<Self> {
        let mut trackers = Self { followers: vec![], console: console.clone() };
        let run = Description::read(folder)?;
        if config.tensorboard {
            let (run, files) = (run.clone(), folder.join("tensorboard"));
            trackers.add("TensorBoard", folder, move || TensorBoard::create(&files, &run), PATIENCE)?;
        }
        let Some(wandb) = config.active_wandb().cloned() else { return Ok(trackers) };
        if wandb.mode == WandbMode::Online {
            let login = Login::find().map_err(|why| anyhow!("W&B: {why}"))?;
            let (run, wandb, say) = (run.clone(), wandb.clone(), trackers.notices());
            let start = move || Ok(Online::new(login, run, wandb, say, Box::new(stop::ask)));
            trackers.add("W&B online", folder, start, PATIENCE_ONLINE)?;
        }
        let files = folder.join("wandb");
        let create = move || Offline::go_on(&files, &run, &wandb, now_s());
        trackers.add("W&B", folder, create, PATIENCE)?;
        Ok(trackers)
    }

    fn add<S, F>(&mut self, name: &str, folder: &Path, make: F, patience: Duration) -> anyhow::Result<()>
    where
        S: rlvr_track::Sink,
        F: FnOnce() -> Result<S, rlvr_track::SinkError> + Send + 'static,
    {
        let follower = Follower::start(name, folder, make, self.notices()).context("a tracker has no thread")?;
        self.followers.push((follower, patience));
        Ok(())
    }

    fn notices(&self) -> Notices {
        let console = self.console.clone();
        Arc::new(move |text| console.say(text))
    }

    /// Lets the trackers take the rest and end.
    pub(crate) fn finish(self, outcome: Outcome) {
        for (follower, patience) in self.followers {
            if let Err(warning) = follower.finish(outcome, patience) {
                self.console.say(&format!("warning: {warning}"));
            }
        }
    }
}
