//! The command line of rlvr.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
