//! The store that keeps balances in PostgreSQL, partition by partition as the input.
//!
//! One SQL transaction writes the changed customers, the records put aside and the progress, so all three move together or
//! not at all. The row of a partition in `part` is the truth about it, and its only lock:
//!
//! 1. A new owner raises the row's epoch before it reads anything. A batch has to find every row as this worker left it,
//!    epoch and offset, or nothing of it is written; so whoever has lost a partition without knowing it can write no more.
//! 2. Row and balances are read in one snapshot, for a restore as for readers. What is read belongs together, and is some
//!    state that was committed.
//! 3. When nobody knows what became of a batch, a new session locks its rows, which waits until the old session's
//!    transaction has ended, and then reads them.
//!
//! The group's offsets in Kafka follow each commit without being waited for: others see the lag by them. They decide
//! nothing, but that a partition without a row begins: with its first record, if the group has committed nothing or that.
//! Any other offset without a row is another store's, another log's, or that of a row which is lost, and the partition
//! fails. Its row, with the balances, is made by a rebuild (`ops::rebuild`); records put aside before are not put aside
//! again.
//!
//! A batch is sent on one connection of the commit thread, a restore uses another one; both are made again when they were
//! lost, with a pause that grows to two seconds. The schema is described by `postgres/schema.sql`.

mod claim;
mod copy;
mod durable_state;
mod examiner;
mod link;
mod load;
mod read;
mod replace;
mod rows;
#[cfg(test)]
mod schedules;
mod schema;
mod session;
mod write;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::Admin;
use parking_lot::Mutex;
use tokio::runtime::Handle;

pub(crate) use examiner::{Examiner, has_progress};
pub(crate) use read::ReadError;
pub(crate) use read::Reader;
pub(crate) use replace::Replacer;

use super::{Assignment, Batch, CommitError, Folding, Obstacle, Offsets, Plan, Plans, Restored, Store, Watch};
use crate::{
    config::Config, failure::Failure, hindrance::Hindrance, kafka_clients::GroupConsumer, ledger_rules::Rulebook,
    postgres_error::DatabaseError, postgres_target::DatabaseTarget, throttle::Throttle, topic_facts::describe,
    view::Cell,
};
use claim::{Claim, claim};
use durable_state::{Share, Standings, settle};
use link::Link;
use load::{Loaded, load};
use session::{Book, CLAIMING, SESSION};
use write::{Ended, Outcome, tell, write};

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// For looking at the tables, or making them.
const PREPARE_WITHIN: Duration = Duration::from_secs(15);

/// Between two tries to find out what became of a batch; the partitions' next owner may be waiting meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The same trouble with it is told this often.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Between two tries to let readers no longer see a partition.
const WITHDRAW_AGAIN: Duration = Duration::from_secs(2);

/// Looks whether the database can be worked with; with `make` the tables are made where they are missing.
pub(crate) fn prepare(target: &DatabaseTarget, runtime: &Handle, make: bool) -> Result<(), DatabaseError> {
    // Whoever waits for it tells so.
    let prepared = async {
        let session = target.connect().await?;
        schema::prepare(&session, make).await
    };
    let within = async { tokio::time::timeout(PREPARE_WITHIN, prepared).await };
    runtime.block_on(within).unwrap_or(Err(DatabaseError::Late(PREPARE_WITHIN)))
}

pub(crate) struct Postgres {
    admin: Admin,
    offsets: Offsets,
    book: Arc<Book>,
    target: DatabaseTarget,
    topic_id: String,
    runtime: Handle,
    session_timeout: Duration,
    /// The commit thread's.
    writer: Mutex<Link>,
    /// The restore thread's.
    reader: Mutex<Link>,
    standings: Standings,
}

impl Postgres {
    /// `topic_id` is that of the input as it was when this process began: everything here stands for records of it.
    pub(crate) fn new(
        config: &Config,
        topic_id: &str,
        target: &DatabaseTarget,
        admin: Admin,
        consumer: Arc<GroupConsumer>,
        runtime: &Handle,
    ) -> Self {
        Self {
            offsets: Offsets::new(admin.clone(), consumer, &config.group_id, &config.topic),
            book: Arc::new(Book::of(config, Arc::new(Rulebook::new(config.rules.clone())))),
            target: target.clone(),
            topic_id: topic_id.to_owned(),
            runtime: runtime.clone(),
            session_timeout: config.session_timeout,
            writer: Mutex::new(Link::new(target.clone(), &[SESSION])),
            reader: Mutex::new(Link::new(target.clone(), &[SESSION, CLAIMING])),
            standings: Standings::default(),
            admin,
        }
    }

    /// Claims on the restore thread's connection.
    fn claim(&self, assigned: &[Assignment]) -> Result<Vec<Result<Claim, DatabaseError>>, DatabaseError> {
        let mut link = self.reader.lock();
        let claims = self.runtime.block_on(async {
            let client = link.ready().await?;
            claim(client, &self.book, assigned, self.session_timeout).await
        });
        if claims.is_err() {
            link.give_up();
        }
        claims
    }

    /// Lets nobody read a partition that was claimed with `epoch`, on the restore thread's connection.
    fn mark_torn(&self, partition: i32, epoch: i64) -> Result<(), Hindrance> {
        let mut link = self.reader.lock();
        let marked = self.runtime.block_on(async {
            let client = link.ready().await?;
            load::mark(client, &self.book, partition, epoch, true).await
        });
        if marked.is_err() {
            link.give_up();
        }
        Ok(marked?)
    }

    /// Asks until it is known what became of a batch, or nobody wants to know.
    fn find_out(&self, link: &mut Link, shares: &[Share<'_>]) -> Option<Outcome> {
        let mut warnings = Throttle::new(TELL_EVERY);
        loop {
            // What has left meanwhile may have been moved on by its next owner.
            let left: Vec<_> = shares.iter().filter(|share| !share.progress.cell.is_released()).collect();
            if left.is_empty() {
                return None;
            }
            let told = self.runtime.block_on(async { tell(link.ready().await?, &self.book, &left).await });
            match told {
                Ok(found) => return Some(found),
                Err(error) => {
                    if let Some(held_back) = warnings.admit(error.kind(), Instant::now()) {
                        tracing::warn!(%error, held_back, "cannot find out yet what became of a commit");
                    }
                }
            }
            link.give_up();
            // A server may take connections and refuse what is asked on them.
            std::thread::sleep(ASK_AGAIN);
        }
    }
}

impl Store for Postgres {
    fn folding(&self) -> Folding {
        Folding::Layered
    }

    /// A row that is not touched is free for others after a while.
    fn proves_each_partition(&self) -> bool {
        true
    }

    fn plan(&self, assigned: &[Assignment]) -> Result<Plans, Hindrance> {
        let found = describe(&self.admin, &self.book.topic, TIMEOUT)?.topic_id;
        if found != self.topic_id {
            let failure = Failure::TopicRecreated { expected: self.topic_id.clone(), found };
            return Ok(assigned.iter().map(|assignment| (*assignment, Err(failure.clone().into()))).collect());
        }
        let claims = self.claim(assigned)?;
        // Read after the claim: what the row says was processed is below the log's end now.
        let positions = self.offsets.positions(assigned)?;
        let plans = positions.into_iter().zip(claims).map(|((assignment, position), claim)| {
            let plan = || -> Result<Plan, Obstacle> {
                let position = position.map_err(Hindrance::from)?;
                let claim = claim.map_err(Hindrance::from)?;
                let epoch = claim.epoch();
                let settled = settle(claim, assignment, &self.book, &self.topic_id, &position);
                if let (Err(Obstacle::Final(Failure::CommittedBeyondEnd { .. })), Some(epoch)) = (&settled, epoch) {
                    // The log was cut off: what is stored holds records that are gone.
                    self.mark_torn(assignment.partition, epoch)?;
                }
                let (standing, plan) = settled?;
                self.standings.insert(assignment, standing);
                Ok(plan)
            };
            (assignment, plan())
        });
        Ok(plans.collect())
    }

    fn fetch(&self, assignment: Assignment, watch: &mut Watch<'_>) -> Result<Restored, Obstacle> {
        let moved = || DatabaseError::Lost { detail: "the partition was claimed anew meanwhile".to_owned() };
        let found = self.standings.get(assignment);
        let Some((standing, row)) = found.and_then(|standing| standing.row.map(|row| (standing, row))) else {
            return Err(Hindrance::from(moved()).into());
        };
        let mut link = self.reader.lock();
        let loaded = self.runtime.block_on(async {
            let client = link.ready().await?;
            load(client, &self.book, (assignment.partition, row.epoch), watch).await
        });
        if loaded.is_err() {
            link.give_up();
        }
        match loaded.map_err(Hindrance::from)? {
            Loaded::Ledger(ledger) => {
                self.standings.found(assignment, &ledger, &self.book.rules).map_err(Failure::from)?;
                Ok(Restored {
                    ledger,
                    base: standing.base,
                    committed: Some(row.next_offset),
                    leader_epoch: standing.leader_epoch,
                    ..Restored::empty_at(row.next_offset)
                })
            }
            Loaded::Unfit(failure) => Err(failure.into()),
            Loaded::Moved => Err(Hindrance::from(moved()).into()),
        }
    }

    fn withdraw(&self, assignment: Assignment, cell: &Arc<Cell>) {
        let Some(row) = self.standings.get(assignment).and_then(|standing| standing.row) else { return };
        let (book, target, cell) = (self.book.clone(), self.target.clone(), cell.clone());
        self.runtime.spawn(async move {
            let (mut link, mut warnings) = (Link::new(target, &[SESSION]), Throttle::new(TELL_EVERY));
            while !cell.is_released() {
                let withdrawn = match link.ready().await {
                    Ok(client) => load::mark(client, &book, assignment.partition, row.epoch, true).await,
                    Err(error) => Err(error),
                };
                let Err(error) = withdrawn else { return };
                if let Some(held_back) = warnings.admit(error.kind(), Instant::now()) {
                    let partition = assignment.partition;
                    tracing::warn!(%error, partition, held_back, "readers may still be given balances of a failed partition");
                }
                link.give_up();
                tokio::time::sleep(WITHDRAW_AGAIN).await;
            }
        });
    }

    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut link = self.writer.lock();
        // Looked at last thing: what has left meanwhile is not written.
        let shares = self.standings.shares(batch, &self.book.rules);
        if shares.is_empty() {
            // Not a success: nothing has said that this worker is a member.
            return Err(CommitError::Unavailable("the partitions have left".to_owned()));
        }
        let written = self.runtime.block_on(async {
            let client = link.ready().await?;
            write(client, &self.book, &shares).await
        });
        let found = match written {
            Ok(()) => Some(Outcome::Written),
            Err(Ended::Beaten(partitions)) => Some(Outcome::Others(partitions)),
            Err(Ended::Failed(error)) => {
                link.give_up();
                return Err(CommitError::Unavailable(error.to_string()));
            }
            Err(Ended::Unknown(error)) => {
                tracing::warn!(%error, "the outcome of a commit is not known: finding out");
                link.give_up();
                self.find_out(&mut link, &shares)
            }
        };
        match found {
            Some(Outcome::Written) => {
                self.standings.accept(&shares);
                // What was not written, or has left, is for its owner to announce.
                let ours = shares.iter().map(|share| share.progress).filter(|progress| !progress.cell.is_released());
                self.offsets.announce(ours);
                Ok(())
            }
            Some(Outcome::Untouched) => Err(CommitError::Unavailable("PostgreSQL rolled the commit back".to_owned())),
            Some(Outcome::Others(partitions)) => {
                Err(CommitError::Superseded { partitions, reason: "their rows have changed".to_owned() })
            }
            None => Err(CommitError::Unavailable("the partitions have left".to_owned())),
        }
    }
}
