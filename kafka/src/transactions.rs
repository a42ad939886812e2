//! An exactly-once producer: records and a group's offsets take effect together or not at all.
//!
//! Every failure is a [`TransactionError`], which says whether the transaction has happened, has not, or may have.
//! librdkafka speaks the first version of Kafka's transaction protocol, in which a late request of one transaction can
//! act on the next. So an outcome does not count as known while a request may still be in flight: see
//! [`TransactionalProducer::take_in_doubt`].

mod delivery_reports;
mod error;
mod record_buffer;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

pub use error::{AbortReason, TransactionError};
pub use record_buffer::RecordBuffer;

use crate::failure::Failure;
use crate::native::{CallFailure, Producer};
use crate::{Error, GroupMetadata, OffsetToCommit, Record};
use delivery_reports::DeliveryReports;

/// The pause before a call that librdkafka wants repeated.
const AGAIN: Duration = Duration::from_millis(10);

/// A client that writes in transactions under one transactional id.
///
/// It may move between threads, but only one thread at a time may use it. It has no thread besides librdkafka's own:
/// delivery reports are read while a call waits. Dropping it abandons everything in flight and waits for the client's
/// threads, usually some milliseconds. A transaction left open stays open until its id is [registered](Self::init)
/// again or times out.
pub struct TransactionalProducer {
    native: Producer,
    reports: RefCell<DeliveryReports>,
    /// Whether a transaction has begun and not ended.
    is_open: Cell<bool>,
}

impl TransactionalProducer {
    /// Creates the client; no broker is asked yet.
    ///
    /// `config` is a complete librdkafka configuration with a `transactional.id`. The client adds only what it depends
    /// on: log lines, those about connections included, go to its queue.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): settings that cannot work.
    pub fn new(config: &ClientConfig) -> Result<Self, Error> {
        if config.get("transactional.id").is_none_or(str::is_empty) {
            return Err(Error::invalid("a transactional producer needs a transactional.id"));
        }
        let mut config = config.clone();
        config.set("log.queue", "true");
        // Without it, librdkafka does not log a lost connection if the same was logged within the last 30 seconds.
        let debug = config.get("debug").filter(|debug| !debug.is_empty());
        config.set("debug", debug.map_or_else(|| "broker".to_owned(), |debug| format!("{debug},broker")));
        let native = Producer::start(&config)?;
        Ok(Self { native, reports: RefCell::default(), is_open: Cell::new(false) })
    }

    /// Registers the transactional id. An earlier holder is fenced, and the transaction it left open has ended when
    /// this returns: committed if its commit had begun, otherwise aborted.
    ///
    /// # Errors
    /// [`Unknown`](TransactionError::Unknown) if no answer came in time: drop the client then too.
    pub fn init(&self, timeout: Duration) -> Result<(), TransactionError> {
        self.retry_until(Instant::now() + timeout, |left| self.native.init(left))?;
        // Earlier requests belong to an epoch of the id that is fenced now.
        self.take_in_doubt();
        Ok(())
    }

    /// Begins a transaction. No broker is asked.
    ///
    /// # Errors
    /// A transaction is already open, or the producer has failed for good.
    pub fn begin(&self) -> Result<(), TransactionError> {
        self.reports.borrow_mut().forget_undelivered();
        self.native.begin().map_err(|failure| self.error(failure))?;
        self.is_open.set(true);
        Ok(())
    }

    /// Queues one record. If the queue is full, waits for deliveries, at most until `deadline`.
    ///
    /// # Errors
    /// A [`Refused`](TransactionError::Refused) of this record alone (it is larger than the client may send, or its
    /// partition is unknown) leaves the transaction as it was: another record can be sent in its place. If the
    /// transaction has failed before, that is refused, too.
    pub fn send(&self, record: &Record<'_>, deadline: Instant) -> Result<(), TransactionError> {
        while let Err(failure) = self.native.produce(record) {
            self.make_room(record.topic, failure, deadline)?;
        }
        self.reports.borrow_mut().sent(1);
        Ok(())
    }

    /// Queues the records for one partition, in order, and leaves `records` empty. If the queue is full, waits for
    /// deliveries, at most until `deadline`.
    ///
    /// # Errors
    /// As for [`send`](Self::send), but some records may already be queued, so the transaction must be aborted.
    pub fn send_records(
        &self,
        topic: &str,
        partition: i32,
        records: &mut RecordBuffer,
        deadline: Instant,
    ) -> Result<(), TransactionError> {
        let mut sent = 0;
        while sent < records.len() {
            let (queued, outcome) = self.native.produce_records(topic, partition, records.from(sent));
            self.reports.borrow_mut().sent(queued);
            sent += queued;
            if let Err(failure) = outcome {
                self.make_room(topic, failure, deadline)?;
            }
        }
        records.clear();
        Ok(())
    }

    /// Handles a record that was not queued: waits for delivery reports if the queue is full.
    fn make_room(&self, topic: &str, failure: Failure, deadline: Instant) -> Result<(), TransactionError> {
        if failure.is(Code::RD_KAFKA_RESP_ERR__QUEUE_FULL) && !time_left(deadline).is_zero() {
            self.poll_events(time_left(deadline));
            return Ok(());
        }
        let text = format!("a record for topic {topic} was not taken: {}", failure.text);
        Err(self.error(Failure { text, ..failure }.into()))
    }

    /// Waits until every queued record is acknowledged.
    ///
    /// librdkafka's own flush polls every 100 ms; here the last acknowledgement ends the wait.
    ///
    /// # Errors
    /// The first record that was not delivered, as soon as that is known, or [`Unknown`](TransactionError::Unknown) at
    /// `deadline`.
    pub fn flush(&self, deadline: Instant) -> Result<(), TransactionError> {
        self.poll_events(Duration::ZERO);
        loop {
            let undelivered = self.reports.borrow().undelivered();
            if let Some(failure) = undelivered {
                return Err(self.error(failure.into()));
            }
            if self.reports.borrow().unreported() == 0 {
                return Ok(());
            }
            self.wait_for_reports(deadline)?;
        }
    }

    /// Adds a group's offsets to the transaction as the captured member, even if the consumer has another membership by
    /// now.
    ///
    /// # Errors
    /// [`Refused`](TransactionError::Refused) with [`StaleMembership`](AbortReason::StaleMembership) if the group has
    /// moved on since. [`Unknown`](TransactionError::Unknown) if no answer came in time: drop the client then. The
    /// dropped client may live on until it finds the coordinator, which it tries at least every
    /// `connections.max.idle.ms`.
    pub fn send_offsets(
        &self,
        offsets: &[OffsetToCommit<'_>],
        membership: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), TransactionError> {
        // A broker does not check offsets that come without a member id: it would accept them from anybody.
        if !membership.is_member() {
            let detail = String::from("the consumer was no member of its group when its membership was captured");
            return Err(TransactionError::Refused { why: AbortReason::StaleMembership, detail });
        }
        self.retry_until(Instant::now() + timeout, |left| self.native.send_offsets(offsets, membership, left))
    }

    /// Commits the transaction, once all its records are acknowledged.
    ///
    /// # Errors
    /// Only after a [`Refused`](TransactionError::Refused) is it certain that the transaction has not happened.
    pub fn commit(&self, timeout: Duration) -> Result<(), TransactionError> {
        let deadline = Instant::now() + timeout;
        // librdkafka would wait for the delivery reports, but only this type reads them.
        self.flush(deadline)?;
        self.retry_until(deadline, |left| self.native.commit(left))?;
        self.is_open.set(false);
        Ok(())
    }

    /// Aborts the transaction once none of its records is in flight.
    ///
    /// # Errors
    /// Whatever the kind, the producer cannot be used any more.
    pub fn abort(&self, timeout: Duration) -> Result<(), TransactionError> {
        let deadline = Instant::now() + timeout;
        self.poll_events(Duration::ZERO);
        while self.reports.borrow().unreported() > 0 {
            self.wait_for_reports(deadline)?;
        }
        self.retry_until(deadline, |left| self.native.abort(left))?;
        self.is_open.set(false);
        Ok(())
    }

    /// Whether a broker connection was lost, a request timed out, or a record was not delivered since the last call of
    /// this function or since the [registration](Self::init). If so, begin the next transaction with a new producer
    /// under the same id.
    ///
    /// After such a loss the client has sent a request again and the call has succeeded, but the first copy of the
    /// request may still be in flight. If it is one that ends a transaction, it could end the next transaction. Also, a
    /// broker numbers the records of a producer and refuses those that follow a missing one, even in the next
    /// transaction (librdkafka says "skipped sequence numbers").
    pub fn take_in_doubt(&self) -> bool {
        self.poll_events(Duration::ZERO);
        self.reports.borrow_mut().take_in_doubt()
    }

    /// Repeats a call until the deadline, as long as librdkafka says that the next call resumes it.
    fn retry_until(
        &self,
        deadline: Instant,
        call: impl Fn(Duration) -> Result<(), CallFailure>,
    ) -> Result<(), TransactionError> {
        loop {
            match call(time_left(deadline)) {
                Ok(()) => {
                    self.reports.borrow_mut().note_answer();
                    return Ok(());
                }
                Err(failure) if error::is_worth_repeating(&failure) && !time_left(deadline).is_zero() => {
                    self.poll_events(time_left(deadline).min(AGAIN));
                }
                Err(failure) => return Err(self.error(failure)),
            }
        }
    }

    /// Waits for an event of the client, then handles all that are there.
    fn poll_events(&self, wait: Duration) {
        let mut reports = self.reports.borrow_mut();
        let mut next = self.native.next_event(wait);
        while let Some(event) = next {
            reports.note(event);
            next = self.native.next_event(Duration::ZERO);
        }
    }

    fn wait_for_reports(&self, deadline: Instant) -> Result<(), TransactionError> {
        if time_left(deadline).is_zero() {
            let reports = self.reports.borrow();
            let detail = format!("{} records were not acknowledged in time", reports.unreported());
            return Err(TransactionError::Unknown { detail: reports.explained(detail) });
        }
        self.poll_events(time_left(deadline));
        Ok(())
    }

    fn error(&self, failure: CallFailure) -> TransactionError {
        self.poll_events(Duration::ZERO);
        let cause = self.cause(failure);
        match TransactionError::of(cause) {
            TransactionError::Unknown { detail } => {
                TransactionError::Unknown { detail: self.reports.borrow().explained(detail) }
            }
            known => known,
        }
    }

    /// Some failures only say that the transaction has failed before. The reason is in the first record that was not
    /// delivered. Otherwise librdkafka gives it when asked to begin a second transaction, which it refuses without any
    /// other effect.
    fn cause(&self, failure: CallFailure) -> CallFailure {
        if !error::is_consequence(&failure) {
            return failure;
        }
        let undelivered = self.reports.borrow().undelivered().map(CallFailure::from);
        let state = || self.is_open.get().then(|| self.native.begin().err()).flatten();
        let known = undelivered.filter(|it| !error::is_consequence(it));
        known.or_else(|| state().filter(|it| !error::is_consequence(it))).unwrap_or(failure)
    }
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionalProducer").field("is_open", &self.is_open.get()).finish_non_exhaustive()
    }
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
