//! The machine: where to compute, with how many threads, and how fast it is.

use std::time::Instant;

use rlvr_policy::cuda;
use tch::{Cuda, Device, Kind, Tensor};

use crate::config::DeviceChoice;

impl DeviceChoice {
    /// Returns the device.
    ///
    /// # Errors
    ///
    /// If a GPU is asked for and libtorch has none, with how to get one.
    pub fn resolve(self) -> Result<Device, String> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto | Self::Cuda if Cuda::is_available() => {
                cuda::calm_allocator();
                Ok(Device::Cuda(0))
            }
            Self::Auto => Ok(Device::Cpu),
            Self::Cuda if cuda::is_built() => {
                Err("`run.device` is `cuda`, but no GPU can be used; check `nvidia-smi` and CUDA_VISIBLE_DEVICES"
                    .to_owned())
            }
            Self::Cuda => {
                Err("`run.device` is `cuda`, but this libtorch is for CPUs; run `scripts/libtorch.sh --cuda` and \
                               build again"
                    .to_owned())
            }
        }
    }
}

/// Sets the number of threads of CPU computations; 0 leaves libtorch's choice, the physical cores.
pub fn set_threads(threads: usize) {
    if threads > 0 {
        tch::set_num_threads(threads as i32);
    }
}

/// The version of libtorch that the bindings are made for.
pub const LIBTORCH: &str = "2.11.0";

/// Waits until a device has done all that it was asked; CPUs always have.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// Names a device.
pub fn name(device: Device) -> String {
    match device {
        Device::Cpu => cpu_name().unwrap_or_else(|| "CPU".to_owned()),
        Device::Cuda(index) => format!("CUDA device {index}"),
        other => format!("{other:?}"),
    }
}

/// Returns the name of the CPU, where the system tells.
pub fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Measures the rate of large matrix products in the kind that training computes in, in operations a second.
///
/// A short look, for the utilisation in records; a benchmark takes longer.
pub fn matmul_peak(device: Device) -> f64 {
    let (size, kind) = if device == Device::Cpu { (768_i64, Kind::Float) } else { (8192, Kind::BFloat16) };
    let _guard = tch::no_grad_guard();
    let matrix = Tensor::ones([size, size], (kind, device));
    let product = || matrix.matmul(&matrix);
    let _ = product();
    synchronize(device);
    let operations = 2.0 * (size as f64).powi(3);
    (0..8)
        .map(|_| {
            let start = Instant::now();
            let _ = product();
            synchronize(device);
            operations / start.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}

/// Returns the seconds of CPU time that this process has used, all threads together, where the system tells.
pub fn cpu_s() -> Option<f64> {
    cpu_s_of(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// The ticks of user and system time, the 14th and 15th field; the second, a name, may hold anything but ends with `)`.
fn cpu_s_of(stat: &str) -> Option<f64> {
    /// Linux reports in hundredths of a second, whatever the kernel's own tick.
    const TICKS_PER_S: f64 = 100.0;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

/// Returns the largest memory so far in gigabytes of 10⁹ bytes, where it is told: that of the process, or on a GPU that of
/// its tensors there.
pub fn peak_memory_gb(device: Device) -> Option<f64> {
    if let Device::Cuda(index) = device {
        return cuda::peak_memory(index).map(|bytes| bytes as f64 / 1e9);
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticks_behind_a_strange_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 77 1000 20";
        assert_eq!(cpu_s_of(stat), Some(3.0));
        assert_eq!(cpu_s_of("42 (a"), None);
    }
}
