//! Whether the input topic keeps every record.
//!
//! A balance is the sum of all records of a customer, and a compacted topic keeps only the last one of each key. What a
//! group has folded stays right, but a fold from such a log may not be. So a group without progress does not begin with
//! a compacted topic, and nothing is folded from one again. A fleet whose input becomes compacted continues and says
//! so. A partition that is added to the topic of a running group is read as it grows, as the others are.

use std::time::Duration;

use balancefleet_kafka::{Admin, Error, ErrorKind};

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the topic's `cleanup.policy` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CleanupPolicy {
    /// Every record stays until it is too old.
    KeepsAllRecords,
    /// Records that are not the last of their key may be gone.
    Compacted {
        topic: String,
        /// Its policy: `compact` or `compact,delete`.
        policy: String,
    },
    /// This user may not read it.
    Unknown,
}

impl CleanupPolicy {
    fn of(topic: &str, policy: Option<String>) -> Self {
        match policy {
            Some(policy) if policy.contains("compact") => Self::Compacted { topic: topic.to_owned(), policy },
            Some(_) => Self::KeepsAllRecords,
            None => Self::Unknown,
        }
    }

    /// The warning for a compacted topic.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self::Compacted { topic, policy } = self else { return None };
        Some(format!(
            "InputCompacted: topic {topic} is compacted (cleanup.policy={policy}) and does not keep every record: what this \
             group has folded stays right, but records may go before they are processed, and nothing can be folded again \
             (audit, rebuild, store replay); set cleanup.policy=delete"
        ))
    }

    /// The note for an unknown policy.
    pub(crate) fn unknown(topic: &str) -> String {
        format!(
            "the brokers do not tell the settings of topic {topic} (DescribeConfigs on it is missing): make sure yourself \
             that its cleanup.policy is delete"
        )
    }
}

/// Asks the brokers.
///
/// # Errors
/// The brokers do not answer. A missing right is no error: see [`CleanupPolicy::Unknown`].
pub(crate) fn look_up(admin: &Admin, topic: &str) -> Result<CleanupPolicy, Error> {
    match admin.topic_settings(topic, TIMEOUT) {
        Ok(settings) => Ok(CleanupPolicy::of(topic, settings.in_effect.get("cleanup.policy").cloned())),
        Err(error) if error.kind() == ErrorKind::Authorization => Ok(CleanupPolicy::Unknown),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_with_compaction_in_it_loses_records() {
        let of = |policy: Option<&str>| CleanupPolicy::of("payments", policy.map(str::to_owned));
        assert_eq!(of(Some("delete")), CleanupPolicy::KeepsAllRecords);
        assert_eq!(of(None), CleanupPolicy::Unknown);
        for policy in ["compact", "compact,delete", "delete,compact"] {
            let warning = of(Some(policy)).warning().unwrap();
            assert!(warning.contains(&format!("topic payments is compacted (cleanup.policy={policy})")), "{warning}");
        }
        assert_eq!(of(Some("delete")).warning(), None);
    }
}
