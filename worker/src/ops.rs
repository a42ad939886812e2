//! Recovery tools: check the stored balances against the log, and recompute them from it.
//!
//! Both read one partition after the other, so the largest one determines the memory they need: twice that of its
//! ledger, and three times to rebuild a database.

mod audit;
mod check;
mod completeness;
mod differences;
mod member;
mod progress_bar;
mod reading;
mod rebuild;
mod tools;

pub(crate) use audit::audit;
pub(crate) use check::failures;
pub(crate) use rebuild::rebuild;
pub(crate) use tools::{OpsError, retry_transient};
