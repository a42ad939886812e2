//! Plain values: records that are read and written, and offsets that are committed with them.

/// A record that was read. It is borrowed from a buffer that it shares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRecord<'a> {
    /// The partition it is in.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The epoch of the leader that wrote it, if known.
    pub leader_epoch: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// A record to write. Key, value and headers are copied when it is queued.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The topic; it must exist.
    pub topic: &'a str,
    /// The partition; without one librdkafka chooses by the key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// An offset to commit with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetToCommit<'a> {
    /// The topic that was read.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// The offset of the next record to read.
    pub offset: i64,
    /// The leader epoch of the last record read, by which the next owner can detect a truncated log.
    pub leader_epoch: Option<i32>,
    /// Text that is kept with the offset.
    pub metadata: &'a str,
}
