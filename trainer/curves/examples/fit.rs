//! Fits the points of a table and prints `fit.json`; what it means goes to stderr. Needs no libtorch.
//!
//! `cargo run --release -p rlvr-curves --example fit -- POINTS.csv [--frontier] [--from C] [--start R0] [--scalerl R0]`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::path::PathBuf;
use std::process::ExitCode;

use rlvr_curves::fit::{Given, Kind, Options, fit_with, scalerl};
use rlvr_curves::frontier::{frontier, settings};
use rlvr_curves::points;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options::default();
    let (mut path, mut compare) = (None, None);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<f64, String> {
            let value = arguments.next().ok_or(format!("`{argument}` needs a number"))?;
            value.parse().map_err(|_| format!("`{argument}` is `{value}`, but must be a number"))
        };
        match argument.as_str() {
            "--frontier" => options.kind = Kind::Frontier,
            "--from" => options.from = Some(number()?),
            "--start" => options.given = Given::Start(number()?),
            "--scalerl" => compare = Some(number()?),
            _ if path.is_none() => path = Some(PathBuf::from(argument)),
            other => return Err(format!("`{other}` is one argument too many")),
        }
    }
    let path = path.ok_or("which table? give the path of a CSV file with the columns `C` and `y`")?;
    let mut series = points::of_csv(&path).map_err(|error| error.to_string())?;
    if options.kind == Kind::Frontier {
        series = frontier(&settings(&[], &series));
    }
    let fit = fit_with(&series, &options);
    let mut json = fit.to_json();
    if let Some(start) = compare {
        json["scalerl"] = serde_json::to_value(scalerl(&series, start)).expect("plain data");
    }
    println!("{json:#}");
    eprintln!("{}: {}", fit.verdict.label.as_str(), fit.sentence);
    fit.verdict.reasons.iter().for_each(|reason| eprintln!("  {reason}"));
    fit.horizon.iter().for_each(|horizon| eprintln!("  {}", horizon.sentence));
    fit.notes.iter().for_each(|note| eprintln!("  note: {note}"));
    fit.verdict.would_settle.iter().for_each(|way| eprintln!("  would settle it: {way}"));
    Ok(())
}
