//! `rlvr doctor`: explain this machine.

use clap::Args;
use rlvr::device;
use serde_json::json;
use tch::{Cuda, Device};

use super::output::print;

/// Arguments of `rlvr doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let n_gpus = Cuda::device_count();
    let peak = device::matmul_peak(Device::Cpu);
    let bubblewrap = which("bwrap");
    if args.json {
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "libtorch": {"version": "2.11.0", "has_cuda": tch::utils::has_cuda(), "has_mkl": tch::utils::has_mkl()},
            "cpu": {"name": device::name(Device::Cpu), "threads": tch::get_num_threads(), "matmul_flops_per_s": peak},
            "gpus": n_gpus,
            "sandbox": {"bubblewrap": bubblewrap},
        });
        return print(&format!("{report:#}\n"));
    }
    let gpus = match (n_gpus, tch::utils::has_cuda()) {
        (0, false) => "none; this libtorch is for CPUs (`scripts/libtorch.sh --cuda` gets the other one)".to_owned(),
        (0, true) => "none that can be used; check `nvidia-smi`".to_owned(),
        (n, _) => format!("{n}"),
    };
    let sandbox = match bubblewrap {
        Some(path) => format!("bubblewrap at {path}"),
        None => "bubblewrap is missing; no verifier needs it yet (apt install bubblewrap)".to_owned(),
    };
    print(&format!(
        "rlvr      {}\nlibtorch  2.11.0\ncpu       {}, {} threads, {:.0} GFLOP/s in float32 matrix products\ngpus      {gpus}\n\
         sandbox   {sandbox}\n",
        env!("CARGO_PKG_VERSION"),
        device::name(Device::Cpu),
        tch::get_num_threads(),
        peak / 1e9,
    ))
}

/// Finds a program on the search path.
fn which(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())?;
    Some(found.display().to_string())
}
