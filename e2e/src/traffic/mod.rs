//! Sends a stream to a real broker at a set pace, and says exactly what was sent.

mod background;
mod interrupt;
mod progress;
mod sender;
mod topic;

pub use crate::stream::{Day, Pace, Phase};
pub use background::Background;
pub use interrupt::Interrupt;
pub use progress::Progress;
pub use sender::{Keying, SendError, Sender, Sent};
pub use topic::create_topic;
