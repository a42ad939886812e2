//! A look at the tables from outside, which writes nothing.

use tokio::runtime::Handle;

use super::{
    Book, SESSION, load,
    schema::has_tables,
    target::{Session, Target},
};
use crate::{
    config::Config,
    store::{DatabaseError, Examined},
};

/// See the module.
pub(crate) struct Examiner {
    runtime: Handle,
    book: Book,
    /// `None` when there are no tables.
    session: Option<Session>,
}

impl Examiner {
    pub(crate) fn connect(config: &Config, target: &Target, runtime: &Handle) -> Result<Self, DatabaseError> {
        let session = runtime.block_on(async {
            let session = target.connect().await?;
            session.batch_execute(SESSION).await?;
            session.batch_execute("SET default_transaction_read_only = on").await?;
            let is_there = has_tables(&session).await?;
            Ok::<_, DatabaseError>(is_there.then_some(session))
        })?;
        Ok(Self { runtime: runtime.clone(), book: Book::of(config), session })
    }

    /// Whether there are tables.
    pub(crate) fn has_tables(&self) -> bool {
        self.session.is_some()
    }

    /// How many customers a partition has that has no row.
    pub(crate) fn orphans(&self, partition: i32) -> Result<usize, DatabaseError> {
        let Some(session) = &self.session else { return Ok(0) };
        self.runtime.block_on(load::orphans(session, &self.book, partition))
    }

    /// What the database has of a partition.
    pub(crate) fn examine(&self, partition: i32, topic_id: &str) -> Result<Examined, DatabaseError> {
        let Some(session) = &self.session else { return Ok(Examined::default()) };
        self.runtime.block_on(load::examine(session, &self.book, partition, topic_id))
    }
}
