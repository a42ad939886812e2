//! The state of the consumer, in the words of the .NET consumers that this worker replaces.

use std::fmt;

use serde::Serialize;

/// The `status` in `/api/Balance/metrics`; `Display` gives the text of the .NET consumer, word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Status {
    /// Not yet subscribed: looking for brokers and the topic.
    Starting,
    /// Subscribed, without a partition.
    Running,
    Consuming,
    /// Partitions were revoked and the next assignment is awaited.
    Rebalancing,
    /// The group took the partitions away without asking.
    #[serde(rename = "Partitions Lost")]
    PartitionsLost,
    /// The client cannot go on; the process is about to end.
    #[serde(rename = "Fatal Error")]
    FatalError,
    Stopped,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Consuming => "Consuming",
            Self::Rebalancing => "Rebalancing",
            Self::PartitionsLost => "Partitions Lost",
            Self::FatalError => "Fatal Error",
            Self::Stopped => "Stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
