//! What the machine does while a run goes on: measurements for records of the kind `system`.
//!
//! Only what the system tells is written; what it does not tell is missing, never 0.

use std::time::{Duration, Instant};

use rlvr_curves::record::Metrics;
use rustix::time::{ClockId, clock_gettime};

/// Time between two looks at the machine.
const INTERVAL: Duration = Duration::from_secs(15);
const KIB_IN_GB: f64 = 1024.0 * 1024.0;

/// Looks at the machine from time to time.
#[derive(Debug)]
pub struct Machine {
    looked: Instant,
    cpu_s: f64,
    is_first: bool,
}

impl Machine {
    /// Starts looking.
    pub fn new() -> Self {
        Self { looked: Instant::now(), cpu_s: cpu_s(), is_first: true }
    }

    /// Returns what the machine did since the last look; none if that was a moment ago.
    pub fn look(&mut self) -> Option<Metrics> {
        let elapsed = self.looked.elapsed();
        if elapsed < INTERVAL && !self.is_first {
            return None;
        }
        let (cpu_s, n_cpus) = (cpu_s(), std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64));
        let mut metrics = Metrics::default();
        metrics.set("system/cpu", (cpu_s - self.cpu_s) / elapsed.as_secs_f64() / n_cpus);
        *self = Self { looked: Instant::now(), cpu_s, is_first: false };
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (status, memory) = (read("/proc/self/status"), read("/proc/meminfo"));
        let (total, available) = (field(&memory, "MemTotal:"), field(&memory, "MemAvailable:"));
        metrics.set_some("system/process_memory_gb", field(&status, "VmRSS:").map(|kib| kib / KIB_IN_GB));
        metrics.set_some("system/threads", field(&status, "Threads:"));
        metrics.set_some("system/memory_available_gb", available.map(|kib| kib / KIB_IN_GB));
        metrics.set_some("system/memory", total.zip(available).map(|(total, available)| 1.0 - available / total));
        Some(metrics)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// CPU time of this process, all threads.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The number behind a name in a file of `/proc`.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_found_by_name() {
        let text = "MemTotal:       16384 kB\nMemAvailable:    4096 kB\nName:\trlvr\n";
        for (name, expected) in [("MemTotal:", Some(16384.0)), ("MemFree:", None), ("Name:", None)] {
            assert_eq!(field(text, name), expected, "{name}");
        }
    }

    #[test]
    fn the_first_look_is_told_and_the_next_waits() {
        let mut machine = Machine::new();
        let busy: u64 = (0..3_000_000_u64).map(std::hint::black_box).sum();
        assert!(busy > 0);
        let metrics = machine.look().unwrap();
        assert!(metrics.get("system/cpu").is_some_and(|share| share > 0.0 && share <= 1.01), "{metrics:?}");
        assert_eq!(machine.look(), None);
    }
}
