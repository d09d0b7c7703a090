//! Tests that cross the crates: one binary, since each links and loads libtorch.

mod advantages;
mod agreement;
mod arrivals;
mod bad_input;
mod bench;
mod command;
mod command_line;
mod configs;
mod engine;
mod evaluation;
mod golden;
mod gpu;
mod learns;
mod losses;
mod reports;
mod resume;
mod rewards;
mod rollouts;
mod tidy;
mod tiny;
mod track;
