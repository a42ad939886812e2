//! A consumer's membership, captured at one moment: its generation and member id, and the object that a transaction's
//! offsets are sent with.

use std::fmt;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

use crate::native::{Owned, owned_text};

/// One membership of one consumer in its group. It never changes, so what was checked is what is used.
#[derive(Clone)]
pub struct GroupMetadata {
    native: Arc<Native>,
    generation: i32,
    member_id: String,
}

struct Native(Owned<sys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: the native object is plain data that librdkafka neither changes nor shares after it was made; only the last
// owner, which has exclusive access, frees it.
unsafe impl Send for Native {}
// SAFETY: as above, all shared access only reads.
unsafe impl Sync for Native {}

impl GroupMetadata {
    /// The membership of `consumer` at this moment; `None` without a `group.id`.
    ///
    /// Before the first join and after a lost membership, the object has a negative generation or an empty member id:
    /// see [`GroupMetadata::is_member`].
    pub fn capture<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        // SAFETY: the pointer is that of a live client, kept alive by `consumer` for the whole call; the function takes
        // librdkafka's own locks and hands over a new object, or null, which is ours to destroy.
        let native = unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
            Owned::new(metadata, sys::rd_kafka_consumer_group_metadata_destroy).ok()?
        };
        // SAFETY: `native` is a live group metadata object that we own.
        let generation = unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(native.as_ptr()) };
        // SAFETY: as above; the text belongs to the object and is copied at once.
        let member_id = unsafe { owned_text(sys::rd_kafka_consumer_group_metadata_member_id(native.as_ptr())) };
        Some(Self { native: Arc::new(Native(native)), generation, member_id })
    }

    pub(crate) fn as_ptr(&self) -> *const sys::rd_kafka_consumer_group_metadata_t {
        self.native.0.as_ptr()
    }

    /// The group's generation, raised by every rebalance; negative while the consumer is no member.
    pub const fn generation(&self) -> i32 {
        self.generation
    }

    /// The id the coordinator gave this consumer; empty while it is no member.
    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    /// Whether the consumer was a member of a generation when this was captured.
    pub fn is_member(&self) -> bool {
        self.generation >= 0 && !self.member_id.is_empty()
    }
}

impl fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, member_id, .. } = self;
        f.debug_struct("GroupMetadata")
            .field("generation", generation)
            .field("member_id", member_id)
            .finish_non_exhaustive()
    }
}
