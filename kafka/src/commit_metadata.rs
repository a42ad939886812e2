//! The text in the metadata of a worker's offset commits, small and versioned. It says where a partition's ledger
//! begins and how much time its records have taken. The worker writes it; the operator derives capacity from it.

use std::fmt;
use std::str::FromStr;

const VERSION: &str = "bf1";

/// Work done on one partition since its assignment, and the offset its ledger is folded from.
///
/// The text form is under 100 bytes for every value, e.g. `bf1 base=0 records=1200 busy_micros=8400000`;
/// `base` is the start offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitMetadata {
    /// The first offset that belongs to the ledger; never negative.
    pub start_offset: i64,
    /// Records processed since the assignment: applied, ignored and bad ones.
    pub records: u64,
    /// Time spent processing them, in microseconds.
    pub busy_micros: u64,
}

impl CommitMetadata {
    /// For a partition of which no worker has processed a record yet.
    pub const fn beginning_at(start_offset: i64) -> Self {
        Self { start_offset, records: 0, busy_micros: 0 }
    }
}

/// Why a commit's metadata cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitMetadataError {
    /// Metadata of another program, or none.
    #[error("the commit's metadata was not written by a balance worker")]
    Foreign,
    /// Written by a later release. Its numbers may mean something else, so none is guessed.
    #[error(
        "the commit's metadata has version {0:?}, which this release cannot read: a newer worker wrote it, so upgrade \
         this program first"
    )]
    UnknownVersion(String),
    /// The version is ours, but the text is not.
    #[error("the commit's metadata {0:?} is damaged")]
    Malformed(String),
}

impl fmt::Display for CommitMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start_offset, records, busy_micros } = self;
        write!(f, "{VERSION} base={start_offset} records={records} busy_micros={busy_micros}")
    }
}

impl FromStr for CommitMetadata {
    type Err = CommitMetadataError;

    fn from_str(text: &str) -> Result<Self, CommitMetadataError> {
        let (version, fields) = text.split_once(' ').unwrap_or((text, ""));
        if version != VERSION {
            let ours = version.strip_prefix("bf").is_some_and(is_number);
            return Err(if ours {
                CommitMetadataError::UnknownVersion(version.to_owned())
            } else {
                CommitMetadataError::Foreign
            });
        }
        // A wrong start would give a wrong ledger, so only the exact text that we would write is accepted.
        parse_fields(fields)
            .filter(|metadata| metadata.start_offset >= 0 && metadata.to_string() == text)
            .ok_or_else(|| CommitMetadataError::Malformed(text.to_owned()))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_fields(fields: &str) -> Option<CommitMetadata> {
    let mut fields = fields.split(' ');
    Some(CommitMetadata {
        start_offset: fields.next()?.strip_prefix("base=")?.parse().ok()?,
        records: fields.next()?.strip_prefix("records=")?.parse().ok()?,
        busy_micros: fields.next()?.strip_prefix("busy_micros=")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_its_text_form_and_stays_under_100_bytes() {
        for metadata in [
            CommitMetadata { start_offset: 0, records: 0, busy_micros: 0 },
            CommitMetadata { start_offset: 17, records: 1200, busy_micros: 8_400_000 },
            CommitMetadata { start_offset: i64::MAX, records: u64::MAX, busy_micros: u64::MAX },
        ] {
            let text = metadata.to_string();
            assert!(text.len() < 100, "{text}");
            assert_eq!(text.parse(), Ok(metadata));
        }
    }

    #[test]
    fn other_programs_metadata_is_foreign() {
        for text in ["", "bf", "bfx base=1", "NO_METADATA", "{\"base\":1}", "AgAA", "bf1base=0"] {
            assert_eq!(text.parse::<CommitMetadata>(), Err(CommitMetadataError::Foreign), "{text:?}");
        }
    }

    #[test]
    fn a_later_version_is_named_and_not_guessed() {
        let error = "bf2 base=1 records=1 busy_micros=1".parse::<CommitMetadata>();
        assert_eq!(error, Err(CommitMetadataError::UnknownVersion("bf2".into())));
    }

    #[test]
    fn damaged_metadata_is_refused_whole() {
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
            assert_eq!(text.parse::<CommitMetadata>(), Err(CommitMetadataError::Malformed(text.into())), "{text:?}");
        }
    }
}
