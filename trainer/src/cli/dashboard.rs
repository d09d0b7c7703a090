//! `rlvr dashboard`: runs in a browser.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use rlvr_track::dashboard::Dashboard;

use super::output::{print, say};

/// Arguments of `rlvr dashboard`.
#[derive(Debug, Args)]
pub(super) struct DashboardArgs {
    /// Run folders, or folders of them. Runs may be going on, finished, or copied from elsewhere.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The port on 127.0.0.1; 0 takes any that is free.
    #[arg(long, default_value_t = 7575, value_name = "PORT")]
    port: u16,
    /// Open the page in the browser of this machine.
    #[arg(long)]
    open: bool,
}

pub(super) fn run(args: &DashboardArgs) -> anyhow::Result<()> {
    let dashboard = Dashboard::open(&args.runs)?;
    let n_runs = dashboard.n_runs();
    let served = dashboard.serve(args.port)?;
    let url = format!("http://{}/", served.address());
    print(&format!("{url}\n"))?;
    let runs = if n_runs == 1 { "1 run".to_owned() } else { format!("{n_runs} runs") };
    let port = served.address().port();
    say(&format!(
        "{runs}; Ctrl-C ends it. To see it from another machine: ssh -L {port}:127.0.0.1:{port} and this machine's name"
    ));
    if args.open {
        open(&url);
    }
    served.wait();
    Ok(())
}

/// Asks the desktop to open a page; the address has been printed in any case.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = started {
        say(&format!("the browser could not be opened (`{program}`: {error}); open {url} yourself"));
    }
}
