//! Lag, estimates and the scaling decision: pure functions without clock or I/O.
//!
//! Inputs: what one poll of Kafka saw ([`Observation`]), what the user wants ([`Policy`]), what runs now ([`Current`]),
//! what earlier polls showed ([`GroupHistory`]), and the time as a [`Duration`](std::time::Duration) since an epoch
//! that the caller chooses. Outputs: the lag ([`LagReading`], from [`GroupHistory::observe`]) and the [`Decision`]
//! (from [`decide`]). The same sequence of inputs always gives the same sequence of outputs.

mod age;
mod arrival;
mod assess;
mod assignor;
mod candidates;
mod capacity;
mod decide;
mod decision;
mod explain;
mod history;
mod lag;
mod observation;
mod partition;
mod policy;
mod rounding;
mod trend;
mod tuning;

pub use age::Age;
pub use decide::decide;
pub use decision::{BlockedBy, Candidate, Capacity, CapacitySource, Decision, Limit, Reason};
pub use history::{GroupHistory, SavedHistory};
pub use lag::{Lag, LagReading, PartitionLag};
pub use observation::{Committed, Member, Observation, PartitionReading, Usage};
pub use policy::{Assignor, Current, FreezeReason, Policy, StartFrom};
pub use rounding::{round_age, round_lag};
pub use tuning::{CONFIRM_AFTER, POLL_INTERVAL, SCALE_DOWN_STABILIZATION_WINDOW};
