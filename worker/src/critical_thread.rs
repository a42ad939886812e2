//! Threads that the worker cannot run without.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Starts a thread whose panic ends the process: the others would wait for it for ever, and only a restart helps.
pub(crate) fn start(name: &'static str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let run = move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!("the {name} thread has panicked: ending the process");
            std::process::exit(1);
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}
