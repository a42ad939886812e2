//! A producer for exactly-once: in go records and a group's offsets, and both take effect together or not at all; out
//! comes, when something fails, what its owner may do then.
//!
//! Everything that can fail returns a [`TransactionError`], and each of its kinds says whether the transaction has
//! happened, has not, or may have. librdkafka speaks the first version of Kafka's transaction protocol, in which a late
//! request of one transaction can act on the next. So no outcome is taken for known while a request may still be under
//! way: see [`TransactionalProducer::was_disturbed`].

mod delivery_reports;
mod error;
mod rows;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

pub use error::{AbortReason, TransactionError};
pub use rows::Rows;

use crate::failure::Failure;
use crate::native::{CallFailure, Producer};
use crate::{Error, GroupMetadata, OffsetToCommit, Record};
use delivery_reports::DeliveryReports;

/// Between two tries of a call that librdkafka wants to be tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// A client that writes in transactions under one transactional id.
///
/// It may move between threads, but one at a time uses it, and no thread runs beside librdkafka's own: what became of
/// records is looked at while a call waits. Dropping it gives up whatever is in flight and waits for the client's
/// threads, usually some milliseconds; a transaction left open stays so until its id is [registered](Self::init) again
/// or its time-out is over.
pub struct TransactionalProducer {
    native: Producer,
    reports: RefCell<DeliveryReports>,
    /// Between a begin and the end of that transaction.
    is_open: Cell<bool>,
}

impl TransactionalProducer {
    /// Makes the client; nothing is asked of a broker yet.
    ///
    /// `config` is a whole librdkafka configuration with a `transactional.id`. Only what this type depends on is added:
    /// log lines come by its queue, those about connections among them.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): settings that cannot work.
    pub fn new(config: &ClientConfig) -> Result<Self, Error> {
        if config.get("transactional.id").is_none_or(str::is_empty) {
            return Err(Error::invalid("a transactional producer needs a transactional.id"));
        }
        let mut config = config.clone();
        config.set("log.queue", "true");
        // Without it the loss of a connection is not told when the same happened within the last 30 seconds.
        let debug = config.get("debug").filter(|debug| !debug.is_empty());
        config.set("debug", debug.map_or_else(|| "broker".to_owned(), |debug| format!("{debug},broker")));
        let native = Producer::start(&config)?;
        Ok(Self { native, reports: RefCell::default(), is_open: Cell::new(false) })
    }

    /// Registers the transactional id. An earlier holder is fenced, and a transaction it left open is ended: if it was
    /// being committed it is committed, else aborted. When this returns, that is over.
    ///
    /// # Errors
    /// [`Unknown`](TransactionError::Unknown) when there was no answer in time: then, too, the client is to be dropped.
    pub fn init(&self, timeout: Duration) -> Result<(), TransactionError> {
        self.until(Instant::now() + timeout, |left| self.native.init(left))?;
        // What was under way before belongs to an epoch of the id that is fenced now.
        self.was_disturbed();
        Ok(())
    }

    /// Begins a transaction. No broker is asked.
    ///
    /// # Errors
    /// When there is one already, or none is possible any more.
    pub fn begin(&self) -> Result<(), TransactionError> {
        self.reports.borrow_mut().forget_undelivered();
        self.native.begin().map_err(|failure| self.error(failure))?;
        self.is_open.set(true);
        Ok(())
    }

    /// Queues one record. When the queue is full, waits until records were delivered, at most until `deadline`.
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

    /// Queues the rows for one partition, in their order, and leaves none. When the queue is full, waits until records
    /// were delivered, at most until `deadline`.
    ///
    /// # Errors
    /// As for [`send`](Self::send), but some of the rows may be queued then, so that the transaction has to be aborted.
    pub fn send_rows(
        &self,
        topic: &str,
        partition: i32,
        rows: &mut Rows,
        deadline: Instant,
    ) -> Result<(), TransactionError> {
        let mut sent = 0;
        while sent < rows.len() {
            let (queued, outcome) = self.native.produce_rows(topic, partition, rows.from(sent));
            self.reports.borrow_mut().sent(queued);
            sent += queued;
            if let Err(failure) = outcome {
                self.make_room(topic, failure, deadline)?;
            }
        }
        rows.clear();
        Ok(())
    }

    /// A record was not taken: waits for reports if that is because the queue is full.
    fn make_room(&self, topic: &str, failure: Failure, deadline: Instant) -> Result<(), TransactionError> {
        if failure.is(Code::RD_KAFKA_RESP_ERR__QUEUE_FULL) && !left(deadline).is_zero() {
            self.serve(left(deadline));
            return Ok(());
        }
        let text = format!("a record for topic {topic} was not taken: {}", failure.text);
        Err(self.error(Failure { text, ..failure }.into()))
    }

    /// Waits until every queued record is acknowledged.
    ///
    /// librdkafka's own flush looks only every 100 ms; here the last acknowledgement ends the wait.
    ///
    /// # Errors
    /// The first record that was not delivered, as soon as that is known, or [`Unknown`](TransactionError::Unknown) at
    /// `deadline`.
    pub fn flush(&self, deadline: Instant) -> Result<(), TransactionError> {
        self.serve(Duration::ZERO);
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

    /// Adds a group's offsets to the transaction, as the member that was captured, whatever the consumer is by now.
    ///
    /// # Errors
    /// [`Refused`](TransactionError::Refused) with [`StaleMembership`](Refusal::StaleMembership) when the group has
    /// moved on since. [`Unknown`](TransactionError::Unknown) when there was no answer in time: then the client is to be
    /// dropped, and may live on until it finds the coordinator, which it tries at least every `connections.max.idle.ms`.
    pub fn send_offsets(
        &self,
        offsets: &[OffsetToCommit<'_>],
        membership: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), TransactionError> {
        // A broker takes the offsets of no member in particular unchecked, from whomever.
        if !membership.is_member() {
            let detail = String::from("the consumer was no member of its group when its membership was captured");
            return Err(TransactionError::Refused { why: AbortReason::StaleMembership, detail });
        }
        self.until(Instant::now() + timeout, |left| self.native.send_offsets(offsets, membership, left))
    }

    /// Commits the transaction, once all its records are acknowledged.
    ///
    /// # Errors
    /// Only after a [`Refused`](TransactionError::Refused) is it certain that the transaction has not happened.
    pub fn commit(&self, timeout: Duration) -> Result<(), TransactionError> {
        let deadline = Instant::now() + timeout;
        // librdkafka would wait for the reports, which nobody but us takes.
        self.flush(deadline)?;
        self.until(deadline, |left| self.native.commit(left))?;
        self.is_open.set(false);
        Ok(())
    }

    /// Aborts the transaction, once nothing of it is under way any more.
    ///
    /// # Errors
    /// The producer is of no use then, whatever the kind.
    pub fn abort(&self, timeout: Duration) -> Result<(), TransactionError> {
        let deadline = Instant::now() + timeout;
        self.serve(Duration::ZERO);
        while self.reports.borrow().unreported() > 0 {
            self.wait_for_reports(deadline)?;
        }
        self.until(deadline, |left| self.native.abort(left))?;
        self.is_open.set(false);
        Ok(())
    }

    /// Whether, since this was last asked or since the [registration](Self::init), a broker's connection was lost, a
    /// request timed out, or a record was not delivered. Then no further transaction should begin with this producer,
    /// but with a new one, under the same id.
    ///
    /// For a request may still be under way, although its call has succeeded since by being sent again: if it ends a
    /// transaction, it could end the next one. And a broker numbers the records it takes from a producer, and refuses
    /// those that follow a missing one, the next transaction's included (librdkafka says "skipped sequence numbers").
    pub fn was_disturbed(&self) -> bool {
        self.serve(Duration::ZERO);
        self.reports.borrow_mut().take_disturbance()
    }

    /// Calls again, until the deadline, as long as librdkafka says that this goes on where the last call left off.
    fn until(
        &self,
        deadline: Instant,
        call: impl Fn(Duration) -> Result<(), CallFailure>,
    ) -> Result<(), TransactionError> {
        loop {
            match call(left(deadline)) {
                Ok(()) => {
                    self.reports.borrow_mut().note_answer();
                    return Ok(());
                }
                Err(failure) if error::is_worth_repeating(&failure) && !left(deadline).is_zero() => {
                    self.serve(left(deadline).min(AGAIN));
                }
                Err(failure) => return Err(self.error(failure)),
            }
        }
    }

    /// Waits for the client to say something, and takes in all it has to say.
    fn serve(&self, wait: Duration) {
        let mut reports = self.reports.borrow_mut();
        let mut next = self.native.next_event(wait);
        while let Some(event) = next {
            reports.note(event);
            next = self.native.next_event(Duration::ZERO);
        }
    }

    fn wait_for_reports(&self, deadline: Instant) -> Result<(), TransactionError> {
        if left(deadline).is_zero() {
            let reports = self.reports.borrow();
            let detail = format!("{} records were not acknowledged in time", reports.unreported());
            return Err(TransactionError::Unknown { detail: reports.explained(detail) });
        }
        self.serve(left(deadline));
        Ok(())
    }

    fn error(&self, failure: CallFailure) -> TransactionError {
        self.serve(Duration::ZERO);
        let cause = self.cause(failure);
        match TransactionError::of(cause) {
            TransactionError::Unknown { detail } => {
                TransactionError::Unknown { detail: self.reports.borrow().explained(detail) }
            }
            known => known,
        }
    }

    /// Some failures only say that the transaction has failed before. Why is told with the first record that was not
    /// delivered, or by librdkafka when it is asked for a second transaction, which it refuses with the reason and with
    /// no other effect.
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

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
