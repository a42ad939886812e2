//! One object after the other: observe → validate → decide → build → apply → status → events.
//!
//! `observe` reads; what `apply`, `status` and `events` have to write goes through the one writer; what lies between is
//! pure. A reconcile starts from what is there, never from what the last one did, so a missed event, a crash between
//! two writes or an edit by hand all end the same way.

mod apply;
mod assignor;
mod backoff;
mod build;
mod cache;
mod contention;
mod deletion_cost;
mod desired_replicas;
mod drift;
mod events;
mod group_conflict;
mod group_metrics;
mod hash;
mod initial_sync;
mod managed_fields;
mod members;
mod object_state;
mod observe;
mod quantity;
mod reconcile;
mod replica_change;
mod run;
mod scope;
mod secrets;
mod shared;
mod status;
mod validate;
mod watches;
mod workload;
mod writer;

pub(crate) use build::child_plurals;
pub use group_metrics::GroupMetrics;
pub use run::run;
pub use scope::Scope;
pub use shared::Shared;
