//! `rlvr dashboard` without libtorch: for a laptop to which run folders were copied.
//!
//! `cargo run --release -p rlvr-track --example dashboard -- PORT RUN…`

use std::io::Write;

use rlvr_track::dashboard::Dashboard;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, runs @ ..] = arguments.as_slice() else {
        return Err("name a port (0 takes any) and run folders".into());
    };
    let served = Dashboard::open(runs)?.serve(port.parse()?)?;
    writeln!(std::io::stdout(), "http://{}/", served.address())?;
    served.wait();
    Ok(())
}
