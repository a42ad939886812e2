//! Where the progress of partitions is kept.

use std::fmt;

use serde::Serialize;

/// Which store a worker uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Keeps offsets only and folds the topic again at every assignment.
    Replay,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replay => f.write_str("replay"),
        }
    }
}
