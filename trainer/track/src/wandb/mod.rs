//! Weights & Biases, without its client: its own log for `wandb sync`, and the calls of its server.
//!
//! The log and the calls were checked against the client's protocol, record by record; `scripts/check-trackers.sh` does
//! so again with the newest client. Rows are numbered by their place in the run's log. A run that goes on after a stop
//! writes a further log under the same identity, with the rows that the ones before lack, which is what the client appends.

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
pub use offline::Offline;
pub use online::Online;
