//! How far a partition has come, as its changelog says it: JSON, so that a person with Kafka's console consumer can read
//! it.

use serde::{Deserialize, Serialize};

use crate::store::Seal;

/// The form below.
const VERSION: u32 = 1;

/// Written with every commit; the authority on what the customers beside it stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProgressRecord {
    pub(super) version: u32,
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) topic_id: String,
    /// Hash of everything that decides what a record does to a balance.
    pub(super) rules: String,
    /// First offset that belongs to the ledger.
    pub(super) base_offset: i64,
    /// Every record below is in the ledger.
    pub(super) next_offset: i64,
    /// Of the last record below, if its producer's broker told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) leader_epoch: Option<i32>,
    #[serde(flatten)]
    pub(super) seal: Seal,
    /// More customers of the ledger follow: until then the input says what they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) partial: bool,
    /// A person has asked to fold the ledger anew, and that is not finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) rebuilding: bool,
}

/// What all progress of one partition has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ledger<'a> {
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    pub(super) topic_id: &'a str,
    pub(super) rules: &'a str,
}

impl ProgressRecord {
    pub(super) fn new(
        ledger: &Ledger<'_>,
        base_offset: i64,
        next_offset: i64,
        leader_epoch: Option<i32>,
        seal: Seal,
    ) -> Self {
        Self {
            version: VERSION,
            group: ledger.group.to_owned(),
            topic: ledger.topic.to_owned(),
            topic_id: ledger.topic_id.to_owned(),
            rules: ledger.rules.to_owned(),
            base_offset,
            next_offset,
            leader_epoch,
            seal,
            partial: false,
            rebuilding: false,
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Texts and numbers always have a form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a value; the error says what is wrong with it.
    pub(super) fn read(value: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        if version != VERSION {
            return Err(format!("it has version {version}, this release knows {VERSION}"));
        }
        serde_json::from_slice(value).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ProgressRecord {
        let ledger = Ledger { group: "g", topic: "t", topic_id: "id", rules: "r" };
        ProgressRecord::new(&ledger, 5, 90, Some(3), Seal { customers: 2, checksum: u64::MAX - 7 })
    }

    #[test]
    fn progress_is_readable_by_people_and_comes_back() {
        let json = String::from_utf8(record().to_json()).unwrap();
        assert_eq!(
            json,
            r#"{"version":1,"group":"g","topic":"t","topicId":"id","rules":"r","baseOffset":5,"nextOffset":90,"leaderEpoch":3,"customers":2,"checksum":"fffffffffffffff8"}"#
        );
        assert_eq!(ProgressRecord::read(json.as_bytes()), Ok(record()));
    }

    #[test]
    fn another_version_is_named_before_anything_is_read_into_it() {
        let error = ProgressRecord::read(br#"{"version":2,"more":true}"#).unwrap_err();
        assert!(error.contains("version 2"), "{error}");
        assert!(ProgressRecord::read(b"").is_err());
    }
}
