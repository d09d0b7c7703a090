//! What people see of a run: a bar on a terminal, plain lines elsewhere.

use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rlvr_curves::record::Metrics;

use crate::console::{self, Console, StepDetail};

/// Shows how far a run has come.
#[derive(Debug)]
pub struct Progress {
    console: Arc<Console>,
    bar: Option<ProgressBar>,
    total: u64,
    first: u64,
    start: Instant,
}

impl Progress {
    /// Starts showing `total` steps, of which `done` have been done before.
    pub fn new(console: &Arc<Console>, total: u64, done: u64) -> Self {
        let bar = console::has_bars().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style =
                ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg} {eta}").expect("the template is sound");
            bar.set_style(style);
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        console.set_bar(bar.clone());
        Self { console: console.clone(), bar, total, first: done, start: Instant::now() }
    }

    /// Says something once.
    pub fn say(&self, text: &str) {
        self.console.say(text);
    }

    /// Says what is being done at the moment; terminals only.
    pub fn phase(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Marks a step as done and says what came of it.
    pub fn step(&self, step: u64, text: &str, metrics: &Metrics) {
        let seconds_left = self.seconds_left(step);
        let left = seconds_left.map_or(String::new(), |s| format!(", {} left", duration(s)));
        let detail = StepDetail { step, total: self.total, seconds_left, metrics: metrics.clone() };
        self.console.step(&format!("step {step}/{}: {text}{left}", self.total), &detail);
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
    }

    fn seconds_left(&self, step: u64) -> Option<f64> {
        let done = step.checked_sub(self.first).filter(|&done| done > 0)?;
        Some(self.start.elapsed().as_secs_f64() / done as f64 * self.total.saturating_sub(step) as f64)
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.console.set_bar(None);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows seconds as people say them.
///
/// # Examples
///
/// ```
/// use rlvr::progress::duration;
///
/// assert_eq!(duration(7.3), "7 s");
/// assert_eq!(duration(130.0), "2 min 10 s");
/// assert_eq!(duration(7300.0), "2 h 1 min");
/// ```
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}
