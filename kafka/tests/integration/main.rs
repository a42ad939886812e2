//! What admin calls, transactions and batch reading promise, on a real broker. `make integration` starts one and runs
//! this.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod batch_reader;
mod broker_away;
mod committed;
mod ends;
mod faults;
mod forwarder;
mod groups;
mod leader_epochs;
mod login;
mod producer;
mod producer_limits;
mod record_buffer;
mod records;
mod support;
mod tls;
mod topic_watch;
mod topics;
mod transactions;
