//! What computing takes in joules, where the machine tells: RAPL of the CPU packages, the total-energy counter of an NVIDIA
//! GPU. Where it does not, nothing is estimated: the record has no such key, and the header says why.

use std::fmt;
use std::path::{Path, PathBuf};

use nvml_wrapper::Nvml;
use tch::Device;

/// Counts joules from when it was made.
#[derive(Debug)]
pub struct EnergyMeter {
    packages: Result<Vec<Package>, String>,
    gpu: Result<Gpu, String>,
}

/// Joules; none where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energy {
    /// Of all CPU packages, whoever used them.
    pub cpu_j: Option<f64>,
    /// Of the GPU, whoever used it.
    pub gpu_j: Option<f64>,
}

/// A counter of RAPL: microjoules that start anew after `range`.
#[derive(Clone, Debug)]
struct Package {
    file: PathBuf,
    range: u64,
    last: u64,
    sum: u64,
}

struct Gpu {
    nvml: Nvml,
    index: u32,
    first_mj: u64,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Where Linux keeps the counters of RAPL.
const RAPL: &str = "/sys/class/powercap";

impl EnergyMeter {
    /// Finds the counters of this machine; that of a GPU only if the device is one.
    pub fn new(device: Device) -> Self {
        let gpu = match device {
            Device::Cuda(_) => Gpu::open(),
            _ => Err("no GPU is used".to_owned()),
        };
        Self { packages: packages(Path::new(RAPL)), gpu }
    }

    /// Returns the joules since the meter was made. Packages must be read at least once before their counter, which
    /// holds some minutes of full load, has gone round.
    pub fn read(&mut self) -> Energy {
        let cpu = self.packages.as_mut().ok().and_then(|all| all.iter_mut().map(Package::read).sum::<Option<u64>>());
        let gpu = self.gpu.as_ref().ok().and_then(Gpu::read_mj);
        Energy { cpu_j: cpu.map(|uj| uj as f64 * 1e-6), gpu_j: gpu.map(|mj| mj as f64 * 1e-3) }
    }

    /// Says for the header what is measured, or why it is not.
    pub fn description(&self) -> serde_json::Value {
        let cpu = match &self.packages {
            Ok(packages) => format!("RAPL, {} packages, all that runs on them", packages.len()),
            Err(why) => format!("not measured: {why}"),
        };
        let gpu = match &self.gpu {
            Ok(_) => "NVML total-energy counter, all that runs on the GPU".to_owned(),
            Err(why) => format!("not measured: {why}"),
        };
        serde_json::json!({"cpu": cpu, "gpu": gpu})
    }
}

impl Energy {
    /// Returns what was used since an earlier reading.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let less = |now: Option<f64>, before: Option<f64>| Some((now? - before?).max(0.0));
        Self { cpu_j: less(self.cpu_j, before.cpu_j), gpu_j: less(self.gpu_j, before.gpu_j) }
    }
}

/// The packages under a folder of zones; parts of a package, `intel-rapl:0:0`, are in it already.
fn packages(folder: &Path) -> Result<Vec<Package>, String> {
    let entries = std::fs::read_dir(folder).map_err(|_| format!("there is no `{}`", folder.display()))?;
    let mut zones: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    zones.sort();
    let is_package = |zone: &&PathBuf| {
        let name = zone.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("intel-rapl:") && name.matches(':').count() == 1
    };
    let found: Result<Vec<Package>, String> = zones.iter().filter(is_package).map(|zone| Package::open(zone)).collect();
    found.and_then(|found| if found.is_empty() { Err("RAPL has no package".to_owned()) } else { Ok(found) })
}

impl Package {
    fn open(zone: &Path) -> Result<Self, String> {
        let file = zone.join("energy_uj");
        let range = number(&zone.join("max_energy_range_uj"))?;
        Ok(Self { last: number(&file)?, file, range, sum: 0 })
    }

    fn read(&mut self) -> Option<u64> {
        let now = number(&self.file).ok()?;
        self.sum += if now >= self.last { now - self.last } else { now + self.range.saturating_sub(self.last) };
        self.last = now;
        Some(self.sum)
    }
}

fn number(path: &Path) -> Result<u64, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    text.trim().parse().map_err(|_| format!("`{}` holds no number", path.display()))
}

impl Gpu {
    /// Opens the first GPU that CUDA may see, by its number on the bus.
    fn open() -> Result<Self, String> {
        let nvml = Nvml::init().map_err(|error| format!("NVML: {error}"))?;
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
        let first = visible.split(',').next().unwrap_or_default().trim();
        let index = match first.parse() {
            Ok(index) => index,
            Err(_) if first.is_empty() => 0,
            Err(_) => {
                let device = nvml.device_by_uuid(first).map_err(|error| format!("NVML: {error}"))?;
                device.index().map_err(|error| format!("NVML: {error}"))?
            }
        };
        let mut gpu = Self { nvml, index, first_mj: 0 };
        gpu.first_mj = gpu.counter_mj().map_err(|error| format!("NVML: {error}"))?;
        Ok(gpu)
    }

    fn counter_mj(&self) -> Result<u64, nvml_wrapper::error::NvmlError> {
        self.nvml.device_by_index(self.index)?.total_energy_consumption()
    }

    fn read_mj(&self) -> Option<u64> {
        self.counter_mj().ok().map(|now| now.saturating_sub(self.first_mj))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_packages_are_added_and_go_round() {
        let folder = tempfile::tempdir().unwrap();
        let set = |zone: &str, file: &str, value: u64| {
            let zone = folder.path().join(zone);
            std::fs::create_dir_all(&zone).unwrap();
            std::fs::write(zone.join(file), format!("{value}\n")).unwrap();
        };
        for (zone, energy) in [("intel-rapl:0", 900), ("intel-rapl:1", 50), ("intel-rapl:0:0", 7), ("intel-rapl", 1)] {
            set(zone, "max_energy_range_uj", 1000);
            set(zone, "energy_uj", energy);
        }
        let mut meter = EnergyMeter { packages: packages(folder.path()), gpu: Err("none".to_owned()) };
        assert_eq!(meter.read(), Energy { cpu_j: Some(0.0), gpu_j: None });
        set("intel-rapl:0", "energy_uj", 100); // 100 up to the range, and 100 more
        set("intel-rapl:1", "energy_uj", 80);
        let used = meter.read();
        assert!((used.cpu_j.unwrap() - 230e-6).abs() < 1e-12, "{used:?}");
        assert_eq!(used.since(used).cpu_j, Some(0.0));
        assert!(meter.description()["cpu"].as_str().unwrap().starts_with("RAPL, 2 packages"));
    }

    #[test]
    fn what_is_not_there_is_not_measured() {
        let folder = tempfile::tempdir().unwrap();
        let packages = packages(&folder.path().join("nowhere"));
        let mut meter = EnergyMeter { packages, gpu: Err("no GPU is used".to_owned()) };
        assert_eq!(meter.read(), Energy::default());
        assert_eq!(meter.description()["gpu"], "not measured: no GPU is used");
    }
}
