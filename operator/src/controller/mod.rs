//! Reconciles one object at a time. The steps, each a module: `observe` → `assignor` → `validate` → `desired_replicas`
//! → `apply` (with `build`) → `status` → `events`; `reconcile` calls them in this order. The number of replicas that
//! the lag asks for is decided in [`crate::poller`]; `desired_replicas` gives a pause, a pin and the limits precedence
//! over it.
//!
//! `observe` reads; `apply`, `status` and `events` write through the one `writer`; the steps between are pure. A
//! reconcile starts from what is there, never from what the last one did. So a missed event, a crash between two writes
//! and an edit by hand all lead to the same result.

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
