//! The progress record of a partition in its changelog. It is JSON, so that a user can read it with Kafka's console
//! consumer.

use serde::{Deserialize, Serialize};

use crate::{
    domain::ledger_rules::{LedgerRules, RuleDetails, StoredRules, WorkerRules},
    store::LedgerChecksum,
};

/// The version of the form below.
const VERSION: u32 = 1;

/// Written with every commit. It says which records the customers in the same changelog contain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProgressRecord {
    pub(super) version: u32,
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) topic_id: String,
    /// The hash that the first release compares, see [`LedgerRules::hash`].
    pub(super) rules: String,
    /// The rules that later releases compare. The first release does not write them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rule_details: Option<Box<RuleDetails>>,
    /// First offset that belongs to the ledger.
    #[serde(rename = "baseOffset")]
    pub(super) start_offset: i64,
    /// Every record below is in the ledger.
    pub(super) next_offset: i64,
    /// The leader epoch of the last record below, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) leader_epoch: Option<i32>,
    #[serde(flatten)]
    pub(super) checksum: LedgerChecksum,
    /// More customers of the ledger follow. Until then, a restore folds the input again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) partial: bool,
    /// A rebuild of the first release was started and not finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) rebuilding: bool,
}

/// What all progress records that this worker writes have in common, and what it compares them with.
#[derive(Clone)]
pub(super) struct ChangelogContext<'a> {
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    pub(super) topic_id: &'a str,
    /// The rules of the worker that reads or writes.
    pub(super) worker_rules: &'a WorkerRules,
}

impl ProgressRecord {
    pub(super) fn new(
        ledger: &ChangelogContext<'_>,
        rules: &LedgerRules,
        start_offset: i64,
        next_offset: i64,
        leader_epoch: Option<i32>,
        checksum: LedgerChecksum,
    ) -> Self {
        Self {
            version: VERSION,
            group: ledger.group.to_owned(),
            topic: ledger.topic.to_owned(),
            topic_id: ledger.topic_id.to_owned(),
            rules: rules.hash(),
            rule_details: Some(Box::new(rules.details().clone())),
            start_offset,
            next_offset,
            leader_epoch,
            checksum,
            partial: false,
            rebuilding: false,
        }
    }

    /// What the record says about the ledger's rules.
    pub(super) fn stored_rules(&self) -> StoredRules<'_> {
        StoredRules {
            hash: &self.rules,
            details: self.rule_details.as_deref(),
            start_offset: self.start_offset,
            next_offset: self.next_offset,
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Serializing texts and numbers cannot fail.
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
    use crate::domain::{ledger_rules::tests::worker_rules, money::Currency};

    fn record() -> ProgressRecord {
        let worker_rules = worker_rules(&[]);
        let ledger = ChangelogContext { group: "g", topic: "t", topic_id: "id", worker_rules: &worker_rules };
        let mut rules = LedgerRules::begin(&worker_rules, 5);
        rules.note_currency(Currency::parse("EUR").unwrap(), &worker_rules);
        ProgressRecord::new(&ledger, &rules, 5, 90, Some(3), LedgerChecksum { customers: 2, digest_sum: u64::MAX - 7 })
    }

    #[test]
    fn progress_is_readable_by_people_and_comes_back() {
        let json = String::from_utf8(record().to_json()).unwrap();
        assert_eq!(
            json,
            format!(
                r#"{{"version":1,"group":"g","topic":"t","topicId":"id","rules":"{}","ruleDetails":{{"identity":"","currencies":{{"EUR":{{"exponent":2,"since":5}}}}}},"baseOffset":5,"nextOffset":90,"leaderEpoch":3,"customers":2,"checksum":"fffffffffffffff8"}}"#,
                worker_rules(&[]).hash()
            )
        );
        assert_eq!(ProgressRecord::read(json.as_bytes()), Ok(record()));
    }

    #[test]
    fn progress_of_the_first_release_has_no_details() {
        let json = br#"{"version":1,"group":"g","topic":"t","topicId":"id","rules":"r","baseOffset":5,"nextOffset":90,"leaderEpoch":3,"customers":2,"checksum":"fffffffffffffff8"}"#;
        let read = ProgressRecord::read(json).unwrap();
        assert_eq!(read, ProgressRecord { rules: "r".to_owned(), rule_details: None, ..record() });
    }

    #[test]
    fn another_version_is_named_before_anything_is_read_into_it() {
        let error = ProgressRecord::read(br#"{"version":2,"more":true}"#).unwrap_err();
        assert!(error.contains("version 2"), "{error}");
        assert!(ProgressRecord::read(b"").is_err());
    }
}
