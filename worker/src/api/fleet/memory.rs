//! Limits the memory of balance reads, each one and all together. Memory is charged before it is allocated, and
//! released at the end of a read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The least charge for small rows: the counters are shared between threads, so fewer updates are faster.
const STEP: usize = 16 * 1024;

/// The allocator maps what is larger than 32 MiB by itself, always, and unmaps it when it is freed; anything smaller
/// may stay in the heap of the thread that asked for it. Of a mapping only the pages that are written take memory.
const MAPPED: usize = 33 << 20;
/// From this many bytes on, an allocation gets a mapping of its own.
const WORTH_A_MAPPING: usize = 1 << 20;

/// Reserves room for this many values, in memory that returns to the system when freed.
pub(crate) fn room_for<T>(count: usize) -> Vec<T> {
    let is_large = count.saturating_mul(size_of::<T>()) >= WORTH_A_MAPPING;
    Vec::with_capacity(if is_large { count.max(MAPPED / size_of::<T>()) } else { count })
}

/// Adds a value, and so that the same is true of values whose number is not known before.
pub(crate) fn push<T>(values: &mut Vec<T>, value: T) {
    if values.len() == values.capacity() && values.len() * size_of::<T>() >= WORTH_A_MAPPING {
        values.reserve_exact(values.len().max(MAPPED / size_of::<T>()));
    }
    values.push(value);
}

/// What reads of one kind share.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: usize,
    held: AtomicUsize,
}

/// What one read holds.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Arc<Memory>,
    at_most: usize,
    held: AtomicUsize,
}

/// What a part of a read holds; given back when it is dropped, unless it was kept.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    charge: Arc<Charge>,
    held: usize,
    used: usize,
}

/// Why more memory is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    /// One read alone may not hold that much.
    #[error("the answer is larger than one may be")]
    Alone,
    /// Others hold it now.
    #[error("other answers hold the memory now")]
    Together,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes, held: AtomicUsize::new(0) })
    }

    /// Starts a read that may hold up to `at_most` bytes.
    pub(crate) fn charge(self: &Arc<Self>, at_most: usize) -> Arc<Charge> {
        Arc::new(Charge { memory: self.clone(), at_most: at_most.min(self.bytes), held: AtomicUsize::new(0) })
    }

    /// Bytes that are held now.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Charge {
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Exceeded> {
        add(&self.held, bytes, self.at_most).ok_or(Exceeded::Alone)?;
        add(&self.memory.held, bytes, self.memory.bytes).ok_or_else(|| {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            Exceeded::Together
        })
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A part of this read that may fail by itself.
    pub(crate) fn share(self: &Arc<Self>) -> MemoryShare {
        MemoryShare { charge: self.clone(), held: 0, used: 0 }
    }
}

fn add(to: &AtomicUsize, bytes: usize, at_most: usize) -> Option<()> {
    let added = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= at_most);
    to.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).ok().map(drop)
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(*self.held.get_mut(), Ordering::Relaxed);
    }
}

impl MemoryShare {
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let used = self.used.saturating_add(bytes);
        if used > self.held {
            let more = used - self.held;
            // Near the bound a whole step may be too much where the bytes themselves are not.
            let taken = self.charge.take(more.max(STEP)).map(|()| more.max(STEP));
            let taken = taken.or_else(|_| self.charge.take(more).map(|()| more))?;
            self.held += taken;
        }
        self.used = used;
        Ok(())
    }

    /// What was used stays with the read as a whole.
    pub(crate) fn keep(mut self) {
        self.charge.give_back(self.held - self.used);
        self.held = 0;
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.charge.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn one_read_and_all_together_are_bounded_and_all_of_it_comes_back() {
        let memory = Memory::new(100 * KIB);
        let (first, second) = (memory.charge(80 * KIB), memory.charge(80 * KIB));
        assert_eq!(first.take(81 * KIB), Err(Exceeded::Alone));
        first.take(80 * KIB).unwrap();
        assert_eq!(second.take(21 * KIB), Err(Exceeded::Together));
        second.take(20 * KIB).unwrap();
        assert_eq!(second.take(usize::MAX), Err(Exceeded::Alone));
        drop(first);
        second.take(60 * KIB).unwrap();
        drop(second);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_part_that_fails_gives_back_what_it_took_and_one_that_is_kept_what_it_did_not_use() {
        let memory = Memory::new(100 * KIB);
        let read = memory.charge(100 * KIB);
        let mut failed = read.share();
        failed.take(90 * KIB).unwrap();
        assert_eq!(failed.take(11 * KIB), Err(Exceeded::Alone));
        drop(failed);
        let mut kept = read.share();
        (0..100).for_each(|_| kept.take(KIB).unwrap());
        assert_eq!(kept.take(1), Err(Exceeded::Alone), "no step is lost at the bound");
        kept.keep();
        assert_eq!(memory.held(), 100 * KIB);
        drop(read);
        let read = memory.charge(100 * KIB);
        let mut small = read.share();
        small.take(10).unwrap();
        small.keep();
        assert_eq!(memory.held(), 10);
    }
}
