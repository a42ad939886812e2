//! Limits that clients and peers are told.

/// Partitions named in one request to a peer.
pub(super) const MAX_LISTED: usize = 500;

/// Memory of one list's rows: those of some 700 000 customers with usual ids.
pub(super) const LIST_BYTES: usize = 96 << 20;
