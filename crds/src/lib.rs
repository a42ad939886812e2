//! The custom resource `BalanceConsumerGroup`: its types, its validation rules, and its conditions and reasons.
//!
//! In: the object as a user writes it. Out: typed values with their defaults applied, and, through [`crd::crd`], the
//! CustomResourceDefinition that makes the API server refuse what these types or the operator cannot use. Everything
//! here is pure: no client, no clock, no files.

pub mod balances;
pub mod columns;
pub mod conditions;
pub mod crd;
pub mod duration;
pub mod group;
pub mod kafka;
pub mod reasons;
pub mod reference;
pub mod reserved;
pub mod rules;
pub mod scaling;
mod schema;
pub mod status;
pub mod worker;

pub use balances::{Balances, Changelog, Ledger, Postgres, Replay, Sign, Store, StoreKind};
pub use duration::Duration;
pub use group::{BalanceConsumerGroup, BalanceConsumerGroupSpec};
pub use kafka::{Assignor, AssignorChange, Consumer, KafkaSpec, Sasl, SaslMechanism, SecretRef, StartFrom, Tls};
pub use scaling::Scaling;
pub use status::{AssignmentRow, BalanceConsumerGroupStatus, CapacitySource, Learned, ScalingMode, ScalingStatus};
pub use worker::{EnvVar, ImagePullPolicy, Resources, Worker};
