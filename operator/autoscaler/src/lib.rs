//! Lag, estimates and the scaling decision: pure functions without clock or I/O.
//!
//! In go what one poll of Kafka saw ([`Observation`]), what the owner of the group wants ([`Policy`]), what runs now
//! ([`Current`]), what was learned before ([`Memory`]) and the time as a [`Duration`] since any epoch the caller keeps
//! to. Out come the lag ([`LagReading`], from [`Memory::observe`]) and the [`Decision`] (from [`decide`]). The same
//! sequence of inputs always gives the same sequence of outputs.

use std::time::Duration;

mod age;
mod arrival;
mod assess;
mod assignor;
mod capacity;
mod decide;
mod decision;
mod explain;
mod ladder;
mod lag;
mod memory;
mod observation;
mod policy;
mod step;
mod track;
mod trend;

pub use age::Age;
pub use decide::decide;
pub use decision::{BlockedBy, Capacity, CapacitySource, Decision, Limit, Reason, Rung};
pub use lag::{Lag, LagReading, PartitionLag};
pub use memory::Memory;
pub use observation::{Committed, Member, Observation, PartitionReading, Usage};
pub use policy::{Assignor, Current, Hold, Policy, StartFrom};
pub use step::{step_age, step_lag};

/// How often a group is polled; callers add jitter.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How soon a poll that is to confirm another one follows it. Short enough that a burst is answered within seconds,
/// long enough that a second's worth of records says what the rate is.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(1);

/// How long the need must stay lower before workers are taken away. An unneeded worker for half a minute costs about
/// what two rebalances cost a worker that is taken away too early; a window learned from regret will replace it.
pub const DOWN_WINDOW: Duration = Duration::from_secs(30);
