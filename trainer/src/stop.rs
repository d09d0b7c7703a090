//! Ctrl-C: once to finish the step and save, twice to stop now.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and for the signal by which systems ask a process to end.
///
/// A second signal ends the process at once with the code 130.
///
/// # Errors
///
/// If somebody else listens already.
pub fn listen() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
}

/// Asks the run to end, as Ctrl-C does; a Ctrl-C afterwards ends the process at once.
pub fn ask() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Returns whether the run has been asked to end.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
