//! A run sent to the server while it runs.
//!
//! Rows are numbered by their place in the run's log, and the server says how many it has: after a restart, or when the
//! network comes back, exactly the rest is sent. Nothing here waits: what cannot be sent is tried again when its time has
//! come, and the log of the run keeps everything meanwhile.

use std::time::{Duration, Instant};

use rlvr_curves::record::{Kind, Record};
use serde_json::{Map, Value, json};

use super::axes::{AXES, patterns};
use super::login::Login;
use super::offline::{display_name, metadata, settings};
use super::row::{Row, Rows, Summary, number, object, system};
use super::server::{Place, Server, Setback};
use super::stream::Pending;
use crate::config::WandbConfig;
use crate::replay::{Description, Entry, Notices};
use crate::{Outcome, Sink, SinkError};

/// Bytes held back above which no more is read from the run.
const MOST_PENDING: usize = 16 << 20;

/// When to send: the constants of W&B's own client.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// New lines wait at most so long.
    flush: Duration,
    /// Without new lines something is sent so often, lest the run count as crashed.
    heartbeat: Duration,
    /// The first wait after a failure; it doubles with each further one.
    backoff: Duration,
    /// The longest wait after a failure.
    longest_backoff: Duration,
}

const PACE: Pace = Pace {
    flush: Duration::from_secs(15),
    heartbeat: Duration::from_secs(30),
    backoff: Duration::from_secs(2),
    longest_backoff: Duration::from_secs(60),
};

/// A run being sent.
pub struct Online {
    server: Server,
    run: Description,
    config: WandbConfig,
    say: Notices,
    /// Called once, when the user presses Stop.
    on_stop: Option<Box<dyn Fn() + Send>>,
    pace: Pace,
    rows: Rows,
    summary: Summary,
    place: Option<Place>,
    pending: Pending,
    sent: Instant,
    due: Instant,
    n_failures: u32,
}

impl std::fmt::Debug for Online {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Online").field("run", &self.run.id).field("place", &self.place).finish_non_exhaustive()
    }
}

impl Online {
    /// Prepares sending a run; the server is not asked yet.
    ///
    /// `on_stop` is called when the user presses Stop on the web page.
    pub fn new(
        login: Login,
        run: Description,
        config: WandbConfig,
        say: Notices,
        on_stop: Box<dyn Fn() + Send>,
    ) -> Self {
        let mut pending = Pending::default();
        pending.files.push(("wandb-metadata.json".to_owned(), format!("{:#}\n", metadata(&run)).into_bytes()));
        Self {
            server: Server::new(login),
            rows: Rows::new(run.started_s, config.table_every),
            run,
            config,
            say,
            on_stop: Some(on_stop),
            pace: PACE,
            summary: Summary::default(),
            place: None,
            pending,
            sent: Instant::now(),
            due: Instant::now(),
            n_failures: 0,
        }
    }

    fn row(&mut self, row: Row) {
        self.summary.take(&row);
        self.pending.summary = Some(self.summary.to_json());
        self.pending.history.push(row.to_json());
        self.pending.files.extend(row.table.map(|table| (table.path, table.content)));
    }

    fn machine(&mut self, record: &Record) {
        let mut values: Vec<(String, String)> =
            system(record).into_iter().map(|(name, value)| (format!("system.{name}"), value)).collect();
        values.extend([
            ("_wandb".to_owned(), "true".to_owned()),
            ("_timestamp".to_owned(), number(record.time_s)),
            ("_runtime".to_owned(), number(record.time_s - self.run.started_s)),
        ]);
        self.pending.events.push(object(values.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    }

    /// Sends everything that is pending, and the end of the run.
    fn send(&mut self, exit_code: Option<i32>) -> Result<(), Setback> {
        let place = self.place()?;
        while let Some((path, content)) = self.pending.files.first() {
            self.server.upload(&place, path, content)?;
            self.pending.files.remove(0);
        }
        loop {
            let (body, batch) = self.pending.body(exit_code);
            let answer = self.server.stream(&place, &body)?;
            self.pending.forget(&batch);
            self.sent = Instant::now();
            self.heed(&answer);
            if batch.is_all {
                return Ok(());
            }
        }
    }

    /// Makes the run on the server, or finds it there.
    fn place(&mut self) -> Result<Place, Setback> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        let place = self.server.upsert(&self.variables())?;
        self.pending.history.skip(place.n_rows);
        Ok(self.place.insert(place).clone())
    }

    fn variables(&self) -> Value {
        let wrapped = |(key, value): (String, Value)| (key, json!({"value": value}));
        let mut config: Map<String, Value> = settings(&self.run).into_iter().map(wrapped).collect();
        config.insert("_wandb".to_owned(), json!({"value": {"m": definitions()}}));
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        json!({
            "name": self.run.id,
            "project": self.config.project,
            "entity": some(&self.config.entity),
            "groupName": some(&self.config.group),
            "displayName": display_name(&self.run, &self.config),
            "tags": self.config.tags,
            "host": some(&self.run.host),
            "commit": some(&self.run.commit),
            "program": "rlvr train",
            "config": Value::Object(config).to_string(),
        })
    }

    /// Ends the run if the user pressed Stop.
    fn heed(&mut self, answer: &Value) {
        if answer["stopped"] == true
            && let Some(on_stop) = self.on_stop.take()
        {
            (self.say)("W&B: Stop was pressed on the web page; the run ends after this step and can be resumed");
            on_stop();
        }
    }

    /// Notes how sending went, and when it is due again.
    fn settle(&mut self, result: Result<(), Setback>) -> Result<(), SinkError> {
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.n_failures) > 0 {
                    (self.say)("W&B: the server is there again, everything has been sent");
                }
                self.due = Instant::now() + self.pace.flush;
                Ok(())
            }
            Err(Setback::Later(why)) => {
                if self.n_failures == 0 {
                    (self.say)(&format!("warning: W&B cannot be reached ({why}); trying again, nothing is lost"));
                }
                let wait = self.pace.backoff.saturating_mul(2_u32.saturating_pow(self.n_failures));
                self.n_failures += 1;
                self.due = Instant::now() + wait.min(self.pace.longest_backoff);
                Ok(())
            }
            Err(Setback::Never(why)) => Err(SinkError::Refused(format!("{why}; the log in wandb/ goes on"))),
        }
    }
}

/// What metrics are drawn over, in the encoding of the server's config: the fields of `MetricRecord` by their numbers, the
/// axis by its place in this list from 1, and of the options those that are set.
fn definitions() -> Vec<Value> {
    let axes = AXES.iter().map(|axis| json!({"1": axis, "6": [3], "7": []}));
    let over = patterns().map(|(pattern, axis)| {
        let place = AXES.iter().position(|known| *known == axis).expect("patterns name axes") + 1;
        json!({"2": pattern, "5": place, "6": [1], "7": []})
    });
    axes.chain(over).collect()
}

impl Sink for Online {
    fn write(&mut self, entry: &Entry) -> Result<(), SinkError> {
        match entry {
            Entry::Record { record, .. } if record.kind == Kind::System => self.machine(record),
            Entry::Record { record, rollouts } => {
                if let Some(row) = self.rows.next(record, rollouts) {
                    self.row(row);
                }
            }
            Entry::Console { time_s, line } => {
                let time = chrono::DateTime::from_timestamp_millis((time_s * 1e3) as i64).unwrap_or_default();
                self.pending.output.push(format!("{} {line}", time.format("%Y-%m-%dT%H:%M:%S%.6f")));
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let is_new = self.place.is_none() || self.pending.n_bytes() > 0;
        if Instant::now() < self.due || !is_new && self.sent.elapsed() < self.pace.heartbeat {
            return Ok(());
        }
        let result = self.send(None);
        self.settle(result)
    }

    fn wants_more(&self) -> bool {
        self.pending.n_bytes() < MOST_PENDING
    }

    fn finish(&mut self, outcome: Outcome, deadline: Instant) -> Result<(), SinkError> {
        let was_down = self.n_failures > 0;
        loop {
            let result = self.send(outcome.exit_code());
            let is_sent = result.is_ok();
            self.settle(result)?;
            if is_sent {
                return Ok(());
            }
            // A network that was down already costs one try; one that just failed gets what time there is.
            if was_down || self.due > deadline {
                let n = self.pending.history.len();
                return Err(SinkError::Refused(format!(
                    "{n} rows and the end of the run were not sent; send them with: rlvr export RUN --to wandb --send"
                )));
            }
            std::thread::sleep(self.due.saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests;
