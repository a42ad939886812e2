//! The operator: keeps one fleet of workers per `BalanceConsumerGroup`, with the replicas its lag asks for.
//!
//! In: the objects of the kind [`balancefleet_crds::BalanceConsumerGroup`] and their children, by watches; Secrets they
//! name, read by name; the lag, members and partitions of their groups, from [`poller`]. Out: a Deployment, two
//! Services, a ServiceAccount and a PodDisruptionBudget per object, its status, and events.
//!
//! [`controller`] goes over one object at a time: observe → validate → decide → build → apply → status → events.
//! Kafka is polled apart from it, so no reconcile ever waits for a broker.
//!
//! One replica of the operator is meant to run, replaced by recreation: there is no leader election yet.

pub mod args;
pub mod client;
mod clock;
pub mod controller;
pub mod error;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
mod panic;
pub mod poller;
pub mod run;
