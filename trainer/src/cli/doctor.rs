//! `rlvr doctor`: explain this machine.

use clap::Args;
use rlvr::device;
use rlvr_policy::cuda;
use rlvr_verifiers::code::CodeOptions;
use rlvr_verifiers::code::sandbox::{Layer, probe};
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
    let layers = probe(&CodeOptions::default());
    if args.json {
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "libtorch": {"version": "2.11.0", "has_cuda": cuda::is_built(), "has_mkl": tch::utils::has_mkl()},
            "cpu": {"name": device::name(Device::Cpu), "threads": tch::get_num_threads(), "matmul_flops_per_s": peak},
            "gpus": n_gpus,
            "sandbox": layers.iter().map(layer_json).collect::<Vec<_>>(),
        });
        return print(&format!("{report:#}\n"));
    }
    let gpus = match (n_gpus, cuda::is_built()) {
        (0, false) => "none; this libtorch is for CPUs (`scripts/libtorch.sh --cuda` gets the other one)".to_owned(),
        (0, true) => "none that can be used; check `nvidia-smi`".to_owned(),
        (n, _) => format!("{n}"),
    };
    print(&format!(
        "rlvr      {}\nlibtorch  2.11.0\ncpu       {}, {} threads, {:.0} GFLOP/s in float32 matrix products\ngpus      {gpus}\n\
         sandbox   of the verifier `code`, layer by layer:\n{}",
        env!("CARGO_PKG_VERSION"),
        device::name(Device::Cpu),
        tch::get_num_threads(),
        peak / 1e9,
        layers.iter().map(layer_line).collect::<String>(),
    ))
}

fn layer_json(layer: &Layer) -> serde_json::Value {
    json!({"layer": layer.name, "on": layer.is_on, "note": layer.note})
}

fn layer_line(layer: &Layer) -> String {
    let state = if layer.is_on { "on " } else { "OFF" };
    format!("          {:<11} {state}  {}\n", layer.name, layer.note)
}
