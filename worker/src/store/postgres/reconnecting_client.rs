//! A client that connects when it is needed, and again after its connection was lost.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::{
    postgres_error::DatabaseError,
    postgres_target::{DatabaseTarget, Session},
};

/// The pause after the first try that failed; each further one doubles it,
const SOONEST: Duration = Duration::from_millis(100);
/// up to this.
const LATEST: Duration = Duration::from_secs(2);

pub(crate) struct ReconnectingClient {
    target: DatabaseTarget,
    /// SQL that every session begins with.
    settings: &'static [&'static str],
    client: Option<Session>,
    failures: u32,
    next_try: Option<Instant>,
    last_failure: Option<DatabaseError>,
}

impl ReconnectingClient {
    pub(super) fn new(target: DatabaseTarget, settings: &'static [&'static str]) -> Self {
        Self { target, settings, client: None, failures: 0, next_try: None, last_failure: None }
    }

    /// The connection, made if there is none; waits while it is too early for another try.
    pub(super) async fn ready(&mut self) -> Result<&Client, DatabaseError> {
        if let Some(next_try) = self.next_try.filter(|_| !self.is_open()) {
            tokio::time::sleep_until(next_try.into()).await;
        }
        self.now().await
    }

    /// The same without waiting: as long as it is too early, the last failure stands.
    pub(super) async fn now(&mut self) -> Result<&Client, DatabaseError> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect().await?,
        };
        Ok(self.client.insert(client))
    }

    fn is_open(&self) -> bool {
        self.client.as_ref().is_some_and(|client| !client.is_closed())
    }

    async fn connect(&mut self) -> Result<Session, DatabaseError> {
        if let (Some(next_try), Some(failure)) = (self.next_try, &self.last_failure)
            && Instant::now() < next_try
        {
            return Err(failure.clone());
        }
        match self.try_connect().await {
            Ok(client) => {
                if self.failures > 0 {
                    tracing::info!(place = self.target.place(), tries = self.failures + 1, "PostgreSQL answers again");
                }
                (self.failures, self.next_try, self.last_failure) = (0, None, None);
                Ok(client)
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(kind = error.kind(), "{error}; trying again");
                }
                let pause = SOONEST.saturating_mul(1 << self.failures.min(10)).min(LATEST);
                self.failures = self.failures.saturating_add(1);
                self.next_try = Some(Instant::now() + pause);
                self.last_failure = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn try_connect(&self) -> Result<Session, DatabaseError> {
        let client = self.target.connect().await?;
        within(LATEST, client.batch_execute(&self.settings.join("; "))).await?;
        Ok(client)
    }

    /// Gives the connection up. It is closed at once; whatever it still has under way, the server ends.
    pub(super) fn disconnect(&mut self) {
        self.client = None;
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DatabaseError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(DatabaseError::Late(limit)),
    }
}
