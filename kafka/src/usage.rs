//! The usage record: a small versioned text in an offset commit's metadata. It says where a partition's ledger begins
//! and how much time its records have taken. The worker writes it; the operator derives capacity from it.

use std::fmt;
use std::str::FromStr;

const VERSION: &str = "bf1";

/// Work done on one partition since its assignment, and the offset its ledger is folded from.
///
/// The text form is under 100 bytes for every value, e.g. `bf1 base=0 records=1200 busy_micros=8400000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UsageRecord {
    /// The first offset that belongs to the ledger; never negative.
    pub base_offset: i64,
    /// Records processed since the assignment: applied, ignored and bad ones.
    pub records: u64,
    /// Time spent processing them, in microseconds.
    pub busy_micros: u64,
}

impl UsageRecord {
    /// The record of a partition that no worker has processed yet.
    pub const fn beginning_at(base_offset: i64) -> Self {
        Self { base_offset, records: 0, busy_micros: 0 }
    }
}

/// Why a commit's metadata is not a usage record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Metadata of another program, or none.
    #[error("the commit's metadata was not written by a balance worker")]
    Foreign,
    /// The record of a later release. Its numbers may mean something else, so none is guessed.
    #[error(
        "the usage record has version {0:?}, which this release cannot read: a newer worker wrote it, so upgrade this \
         program first"
    )]
    UnknownVersion(String),
    /// The version is ours, but the text is not.
    #[error("the usage record {0:?} is damaged")]
    Malformed(String),
}

impl fmt::Display for UsageRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base_offset, records, busy_micros } = self;
        write!(f, "{VERSION} base={base_offset} records={records} busy_micros={busy_micros}")
    }
}

impl FromStr for UsageRecord {
    type Err = UsageError;

    fn from_str(text: &str) -> Result<Self, UsageError> {
        let (version, fields) = text.split_once(' ').unwrap_or((text, ""));
        if version != VERSION {
            let ours = version.strip_prefix("bf").is_some_and(is_number);
            return Err(if ours { UsageError::UnknownVersion(version.to_owned()) } else { UsageError::Foreign });
        }
        // A wrong base offset would give a wrong ledger, so only the exact text that we would write is accepted.
        parse_fields(fields)
            .filter(|record| record.base_offset >= 0 && record.to_string() == text)
            .ok_or_else(|| UsageError::Malformed(text.to_owned()))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_fields(fields: &str) -> Option<UsageRecord> {
    let mut fields = fields.split(' ');
    Some(UsageRecord {
        base_offset: fields.next()?.strip_prefix("base=")?.parse().ok()?,
        records: fields.next()?.strip_prefix("records=")?.parse().ok()?,
        busy_micros: fields.next()?.strip_prefix("busy_micros=")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_text_form_and_stays_under_100_bytes() {
        for record in [
            UsageRecord { base_offset: 0, records: 0, busy_micros: 0 },
            UsageRecord { base_offset: 17, records: 1200, busy_micros: 8_400_000 },
            UsageRecord { base_offset: i64::MAX, records: u64::MAX, busy_micros: u64::MAX },
        ] {
            let text = record.to_string();
            assert!(text.len() < 100, "{text}");
            assert_eq!(text.parse(), Ok(record));
        }
    }

    #[test]
    fn other_programs_metadata_is_foreign() {
        for text in ["", "bf", "bfx base=1", "NO_METADATA", "{\"base\":1}", "AgAA", "bf1base=0"] {
            assert_eq!(text.parse::<UsageRecord>(), Err(UsageError::Foreign), "{text:?}");
        }
    }

    #[test]
    fn a_later_version_is_named_and_not_guessed() {
        let error = "bf2 base=1 records=1 busy_micros=1".parse::<UsageRecord>();
        assert_eq!(error, Err(UsageError::UnknownVersion("bf2".into())));
    }

    #[test]
    fn a_damaged_record_is_refused_whole() {
        for text in [
            "bf1",
            "bf1 base=-1 records=1 busy_micros=1",
            "bf1 base=+1 records=1 busy_micros=1",
            "bf1 base=01 records=1 busy_micros=1",
            "bf1 base=1 records=1",
            "bf1 base=1 records=1 busy_micros=1 more=1",
            "bf1 base=1 records=1 busy_micros=1 ",
            "bf1 records=1 base=1 busy_micros=1",
            "bf1 base=9223372036854775808 records=1 busy_micros=1",
        ] {
            assert_eq!(text.parse::<UsageRecord>(), Err(UsageError::Malformed(text.into())), "{text:?}");
        }
    }
}
