//! Weights & Biases, without its client: its own log for `wandb sync`, and the calls of its server.
//!
//! The log and the calls were checked against the client's protocol, record by record; `scripts/check-trackers.sh` does
//! so again with the newest client. A run that goes on after a stop writes a new log with all rows from the beginning,
//! under the same identity, so that the newest log is always the whole run.

mod axes;
mod log;
mod login;
mod offline;
mod online;
mod proto;
mod row;
mod server;
mod stream;
mod table;

pub use login::Login;
pub use offline::{Offline, supersede};
pub use online::Online;
