//! The operator: keeps one fleet of workers per `BalanceConsumerGroup`, with the replicas its lag asks for.
//!
//! In: the objects of the kind [`balancefleet_crds::BalanceConsumerGroup`] and their children, by watches; Secrets they
//! name, read by name; the lag, members and partitions of their groups, from [`poller`]. Out: a Deployment, two
//! Services, a ServiceAccount and a PodDisruptionBudget per object, its status, and events.
//!
//! [`controller`] reconciles one object at a time; its module docs name the steps. The [`poller`] reads Kafka and
//! decides the replicas in tasks of its own, so no reconcile ever waits for a broker.
//!
//! Run one replica of the operator, with the strategy `Recreate`: there is no leader election yet.

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
