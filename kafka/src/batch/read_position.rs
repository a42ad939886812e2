//! The position of one partition: the offset below which nothing is left to read.
//!
//! It has three sources. A record and the end of the partition give it directly. Only librdkafka sees a transaction
//! marker, and counts it in its own position. But read in batches, librdkafka also counts the end of a partition as if
//! it were a record (confluentinc/librdkafka#4844, fixed after 2.12). Then it is one ahead until something lies beyond.

/// The position in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadPosition {
    position: i64,
    /// The position that librdkafka has only because it counted an end.
    miscounted: Option<i64>,
}

impl ReadPosition {
    pub(super) const fn new(start: i64) -> Self {
        Self { position: start, miscounted: None }
    }

    /// Notes that a record was passed on.
    pub(super) fn record(&mut self, offset: i64) {
        self.set_position(offset + 1);
    }

    /// Notes that the partition ended at `offset`.
    pub(super) fn end(&mut self, offset: i64) {
        self.set_position(offset);
        self.miscounted = Some(offset + 1);
    }

    /// Notes librdkafka's `position`. It is right once something beyond the end was counted.
    pub(super) fn client_position(&mut self, position: i64) {
        if self.miscounted != Some(position) {
            self.set_position(position);
        }
    }

    pub(super) const fn position(&self) -> i64 {
        self.position
    }

    fn set_position(&mut self, position: i64) {
        self.position = self.position.max(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: i64, steps: impl FnOnce(&mut ReadPosition)) -> i64 {
        let mut read_position = ReadPosition::new(start);
        steps(&mut read_position);
        read_position.position()
    }

    #[test]
    fn a_partition_nothing_was_read_of_is_where_it_was_begun() {
        assert_eq!(after(7, |_| {}), 7);
    }

    #[test]
    fn records_markers_and_the_end_each_move_it() {
        assert_eq!(after(0, |it| it.record(4)), 5);
        assert_eq!(after(0, |it| it.client_position(6)), 6);
        assert_eq!(after(0, |it| it.end(9)), 9);
    }

    #[test]
    fn the_end_that_librdkafka_counts_as_a_record_does_not() {
        let miscounting = |it: &mut ReadPosition| {
            it.record(4);
            it.end(5);
            it.client_position(6);
        };
        assert_eq!(after(0, miscounting), 5);
        let record_after = |it: &mut ReadPosition| {
            miscounting(it);
            it.record(5);
            it.client_position(6);
        };
        assert_eq!(after(0, record_after), 6);
    }

    #[test]
    fn a_marker_where_the_end_was_shows_with_what_follows_it() {
        let marker_after_the_end = |it: &mut ReadPosition| {
            it.end(5);
            it.client_position(6); // the marker at 5 was read: librdkafka had this number before
        };
        assert_eq!(after(0, marker_after_the_end), 5);
        let next_marker = |it: &mut ReadPosition| {
            marker_after_the_end(it);
            it.client_position(7);
        };
        assert_eq!(after(0, next_marker), 7);
        let next_end = |it: &mut ReadPosition| {
            marker_after_the_end(it);
            it.end(6);
            it.client_position(7);
        };
        assert_eq!(after(0, next_end), 6);
    }

    #[test]
    fn it_never_goes_back() {
        let back = |it: &mut ReadPosition| {
            it.record(8);
            it.record(3);
            it.client_position(2);
            it.end(4);
        };
        assert_eq!(after(0, back), 9);
    }
}
