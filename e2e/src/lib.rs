//! The outside of Balancefleet: traffic that goes in, and an oracle that says what must come out.
//!
//! - [`stream`] gives e-banking transactions, as the worker reads them, as a pure function of a seed and an index;
//! - [`traffic`] sends them to a real broker at a set pace;
//! - [`oracle`] folds a topic into balances by a way of its own, sharing no code with the worker;
//! - [`verify`] compares the oracle with what the REST API answers;
//! - [`labs`] is what the scripts of `e2e/labs` leave to a program;
//! - [`cluster`] drives a real Kubernetes from the end-to-end tests;
//! - [`brokers`] ends and starts the brokers of a real Kafka, [`proxy`] disturbs a client's connections to them.

pub mod brokers;
pub mod cluster;
pub mod labs;
pub mod oracle;
pub mod proxy;
pub mod stream;
pub mod traffic;
pub mod verify;
