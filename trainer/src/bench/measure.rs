//! Time, memory and the speed of the machine, each measured where it is needed.

use std::fs;
use std::time::Instant;

use rlvr_policy::cuda;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::device;

/// What a piece of work came to and took.
#[derive(Debug)]
pub(super) struct Measured<T> {
    /// Its result.
    pub value: T,
    /// Seconds.
    pub wall_s: f64,
    /// The largest memory of the process meanwhile, in bytes; none where nobody tells.
    pub peak_memory_bytes: Option<u64>,
}

/// Does a piece of work, waits for the device, and says what it took.
pub(super) fn measured<T>(device: Device, work: impl FnOnce() -> T) -> Measured<T> {
    device::synchronize(device);
    let is_reset = reset_peak_memory(device);
    let start = Instant::now();
    let value = work();
    device::synchronize(device);
    let wall_s = start.elapsed().as_secs_f64();
    Measured { value, wall_s, peak_memory_bytes: if is_reset { peak_memory_bytes(device) } else { None } }
}

/// How the largest memory is measured on a device.
pub(super) fn memory_method(device: Device) -> &'static str {
    match device {
        Device::Cpu => "largest resident set of the process, started anew before each measurement",
        _ => "most bytes of tensors on the GPU, started anew before each measurement",
    }
}

/// Lets the mark of the largest memory start again from what is in use now; says whether it did.
fn reset_peak_memory(device: Device) -> bool {
    match device {
        Device::Cuda(index) => cuda::reset_peak_memory(index),
        _ => fs::write("/proc/self/clear_refs", "5").is_ok(),
    }
}

fn peak_memory_bytes(device: Device) -> Option<u64> {
    if let Device::Cuda(index) = device {
        return cuda::peak_memory(index);
    }
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Seconds of something that was done several times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// Seconds, the median of the rounds.
    pub wall_s: f64,
    /// How far the slowest round is from the fastest, over the median.
    pub spread: f64,
    /// Seconds of each round.
    pub rounds_s: Vec<f64>,
}

impl Timing {
    /// Sums up the seconds of some rounds.
    pub(super) fn of(rounds_s: Vec<f64>) -> Self {
        let wall_s = median(&rounds_s);
        let fastest = rounds_s.iter().copied().fold(f64::INFINITY, f64::min);
        let slowest = rounds_s.iter().copied().fold(0.0, f64::max);
        Self { wall_s, spread: (slowest - fastest) / wall_s, rounds_s }
    }
}

/// The middle of some numbers, the mean of both where there are two.
///
/// # Panics
///
/// If there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    f64::midpoint(low, high)
}

/// The median of what `of` says of each round.
pub(super) fn median_of<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> f64 {
    median(&rounds.iter().map(of).collect::<Vec<_>>())
}

/// Measures the rate of large matrix products, always of the size that was fastest at first.
#[derive(Debug)]
pub(super) struct MatmulProbe {
    matrix: Tensor,
    device: Device,
}

impl MatmulProbe {
    /// Tries some sizes in the kind that training computes in and keeps the best.
    pub(super) fn new(device: Device) -> Self {
        let (sizes, kind) = match device {
            Device::Cpu => ([768, 1536, 2304], Kind::Float),
            _ => ([4096, 8192, 12_288], Kind::BFloat16),
        };
        // Not ones: multiplying equal numbers takes less power, with which GPUs run faster.
        let matrix =
            |size: i64| Tensor::arange(size * size, (Kind::Float, device)).sin().view([size, size]).to_kind(kind);
        let mut best = (0.0, None);
        for probe in sizes.map(|size| Self { matrix: matrix(size), device }) {
            let rate = probe.flops_per_s();
            if rate > best.0 {
                best = (rate, Some(probe));
            }
        }
        best.1.expect("a product takes less than forever")
    }

    /// Operations a second, the best of a few products.
    pub(super) fn flops_per_s(&self) -> f64 {
        let _guard = tch::no_grad_guard();
        let operations = 2.0 * (self.matrix.size()[0] as f64).powi(3);
        best_rate(operations, self.device, 5, || self.matrix.matmul(&self.matrix))
    }
}

/// Measures the bandwidth of memory in bytes a second: the better of reading a large tensor, and of copying one, which
/// reads and writes it.
pub(super) fn memory_bytes_per_s(device: Device) -> f64 {
    let _guard = tch::no_grad_guard();
    let n: i64 = if device == Device::Cpu { 1 << 26 } else { 1 << 28 };
    let bytes = 4.0 * n as f64;
    let source = Tensor::ones([n], (Kind::Float, device));
    let read = best_rate(bytes, device, 5, || source.sum(Kind::Float));
    let mut target = source.zeros_like();
    let copied = best_rate(2.0 * bytes, device, 5, || {
        target.copy_(&source);
        target.shallow_clone()
    });
    read.max(copied)
}

/// The best of `n` rates, in units a second, after one run that does not count.
fn best_rate(units: f64, device: Device, n: usize, mut work: impl FnMut() -> Tensor) -> f64 {
    let _ = work();
    device::synchronize(device);
    let rate = |_| {
        let start = Instant::now();
        let _ = work();
        device::synchronize(device);
        units / start.elapsed().as_secs_f64()
    };
    (0..n).map(rate).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let check = |values: &[f64], expected: f64| assert!((median(values) - expected).abs() < 1e-12, "{values:?}");
        check(&[3.0], 3.0);
        check(&[4.0, 1.0], 2.5);
        check(&[9.0, 1.0, 2.0], 2.0);
    }

    #[test]
    fn spread_is_a_share_of_the_median() {
        let timing = Timing::of(vec![5.0, 4.0, 3.0]);
        assert_eq!((timing.wall_s, timing.spread), (4.0, 0.5));
    }

    #[test]
    fn a_peak_is_that_of_the_work_alone() {
        let megabytes =
            |n: usize| measured(Device::Cpu, || vec![1_u8; n << 20].iter().map(|&x| usize::from(x)).sum::<usize>());
        let (large, small) = (megabytes(512), megabytes(1));
        assert_eq!((large.value, small.value), (512 << 20, 1 << 20));
        if let (Some(large), Some(small)) = (large.peak_memory_bytes, small.peak_memory_bytes) {
            assert!(large > small + (300 << 20), "{large} and {small} bytes");
        }
    }
}
