//! Kafka's admin API as far as it is needed: in go names and a deadline, out come plain values.
//!
//! All calls block; asynchronous callers put them on a blocking thread. One [`Admin`] per cluster is shared by all.

mod groups;
mod offsets;
mod topics;

use std::sync::Arc;

pub use groups::{GroupDescription, GroupState, Member};
pub use offsets::{At, CommittedOffset, Isolation, ListedOffset};
pub use topics::{PartitionDescription, TopicDescription};

use crate::{Connection, Error};

/// A topic's name and a partition's number.
pub type TopicPartition = (String, i32);

/// A client for admin calls. Clones share one librdkafka client, which ends with the last of them.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Connection>,
}

impl Admin {
    /// Starts a client; no broker is contacted yet, so that an unreachable cluster shows at the first call.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): settings that cannot work.
    pub fn connect(connection: &Connection, client_id: &str) -> Result<Self, Error> {
        let _ = client_id;
        connection.check()?;
        Ok(Self { shared: Arc::new(connection.clone()) })
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admin({})", self.shared)
    }
}
