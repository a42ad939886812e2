//! The rebalances of a group, from the histories that its workers keep. Pure: recordings go in, rows come out.

mod rebalances;
mod recording;
mod text;

pub use rebalances::{Rebalance, Stopped, rebalances};
pub use recording::{Ended, Event, EventType, Recording, Worker};
pub use text::{legend, notes, table_of_rebalances, table_of_workers, timeline};
