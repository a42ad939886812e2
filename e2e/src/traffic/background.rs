//! Traffic on a thread of its own, for tests that do something else meanwhile.

use std::thread::{self, JoinHandle};

use super::interrupt::Interrupt;
use super::sender::{Keying, SendError, Sender, Sent};
use crate::stream::{Pace, Stream};

/// A run that goes on until it is stopped.
pub struct Background {
    interrupt: Interrupt,
    thread: JoinHandle<Result<Sent, SendError>>,
}

impl Background {
    /// Begins to send at that rate, keyed by transaction.
    pub fn start(brokers: &str, topic: &str, stream: Stream, rate: u32) -> Result<Self, SendError> {
        let sender = Sender::new(brokers, topic, Keying::Transaction)?;
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        let count = u64::from(rate) * 3_600;
        let thread = thread::Builder::new()
            .name("traffic".into())
            .spawn(move || sender.run(&stream, 0..count, &Pace::steady(rate, count), &raised, None))?;
        Ok(Self { interrupt, thread })
    }

    /// Ends it once all that was sent is acknowledged.
    pub fn stop(self) -> Result<Sent, SendError> {
        self.interrupt.raise();
        self.thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread of the traffic panicked").into()))
    }
}
