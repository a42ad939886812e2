//! Lag, estimates and the scaling decision: pure functions without clock or I/O.
//!
//! In go what one poll of Kafka saw ([`Observation`]), what the owner of the group wants ([`Policy`]), what runs now
//! ([`Current`]), what was learned before ([`Memory`]) and the time as a [`Duration`](std::time::Duration) since any
//! epoch the caller keeps to. Out come the [`Lag`] and the [`Decision`]. The same sequence of inputs always gives the
//! same sequence of outputs.

mod decision;
mod lag;
mod observation;
mod policy;

pub use decision::{BlockedBy, Capacity, CapacitySource, Decision, Limit, Reason, Rung};
pub use lag::{Age, Lag, LagReading, PartitionLag};
pub use observation::{Committed, Member, Observation, PartitionReading, Usage};
pub use policy::{Assignor, Current, Hold, Policy, StartFrom};

/// How soon a poll that is to confirm another one follows it. Short enough that a burst is answered within seconds,
/// long enough that a second's worth of records says what the rate is.
pub const CONFIRM_AFTER: std::time::Duration = std::time::Duration::from_secs(1);
