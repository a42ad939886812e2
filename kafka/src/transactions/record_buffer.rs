//! Records of a key and a value, collected to be written together.

/// Records in the order in which they were added. Clearing them keeps the memory for the next ones.
#[derive(Debug, Default)]
pub struct RecordBuffer {
    bytes: Vec<u8>,
    /// The lengths of key and value.
    lengths: Vec<(usize, usize)>,
}

impl RecordBuffer {
    /// Adds a copy of a record.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.lengths.push((key.len(), value.len()));
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The number of records.
    pub(super) const fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The records from this index on.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut begin = 0;
        let all = self.lengths.iter().map(move |&(key, value)| {
            let record = &self.bytes[begin..begin + key + value];
            begin += record.len();
            record.split_at(key)
        });
        all.skip(first)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_comes_out_in_order_and_the_empty_stays_empty() {
        let records: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"", b""), (b"ccc", b""), (b"", b"four")];
        let mut gathered = RecordBuffer::default();
        for _ in 0..2 {
            records.iter().for_each(|(key, value)| gathered.push(key, value));
            assert_eq!((gathered.len(), gathered.size()), (4, 9));
            (0..=4).for_each(|first| assert_eq!(gathered.from(first).collect::<Vec<_>>(), records[first..]));
            gathered.clear();
            assert_eq!((gathered.len(), gathered.size(), gathered.from(0).count()), (0, 0, 0));
        }
    }
}
