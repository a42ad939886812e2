//! What the admin calls promise, on a real broker. `make integration` starts one and runs this.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod committed;
mod ends;
mod faults;
mod groups;
mod login;
mod support;
mod tls;
mod topics;
mod transactions;
