//! A client that connects on demand, and again after its connection was lost.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::{
    postgres_error::DatabaseError,
    postgres_target::{DatabaseTarget, Session},
};

/// The pause after the first failed attempt; each further failure doubles it,
const SOONEST: Duration = Duration::from_millis(100);
/// up to this.
const LATEST: Duration = Duration::from_secs(2);

pub(crate) struct ReconnectingClient {
    target: DatabaseTarget,
    /// SQL that every session begins with.
    settings: &'static [&'static str],
    session: Option<Session>,
    failures: Option<Failures>,
}

/// The failed attempts since the last connection.
struct Failures {
    count: u32,
    next_try: Instant,
    last: DatabaseError,
}

impl ReconnectingClient {
    pub(super) fn new(target: DatabaseTarget, settings: &'static [&'static str]) -> Self {
        Self { target, settings, session: None, failures: None }
    }

    /// Runs `question` on the connection, which is opened if there is none; waits until the next attempt is allowed. On
    /// any error, and when this future is dropped, the connection is closed at once. The server ends whatever is still
    /// running on it.
    pub(super) async fn ask<T, E: From<DatabaseError>>(
        &mut self,
        question: impl AsyncFnOnce(&Client) -> Result<T, E>,
    ) -> Result<T, E> {
        self.wait().await;
        self.ask_now(question).await
    }

    /// [`Self::ask`] without a wait: until the next attempt is allowed, it returns the last error.
    pub(super) async fn ask_now<T, E: From<DatabaseError>>(
        &mut self,
        question: impl AsyncFnOnce(&Client) -> Result<T, E>,
    ) -> Result<T, E> {
        let session = self.take().await?;
        let outcome = question(&session).await?;
        self.session = Some(session);
        Ok(outcome)
    }

    /// The connection, for a caller that closes it itself.
    pub(super) async fn ready(&mut self) -> Result<&Client, DatabaseError> {
        self.wait().await;
        let session = self.take().await?;
        Ok(self.session.insert(session))
    }

    pub(super) fn disconnect(&mut self) {
        self.session = None;
    }

    async fn wait(&self) {
        let is_open = self.session.as_ref().is_some_and(|session| !session.is_closed());
        if let Some(failures) = self.failures.as_ref().filter(|_| !is_open) {
            tokio::time::sleep_until(failures.next_try.into()).await;
        }
    }

    async fn take(&mut self) -> Result<Session, DatabaseError> {
        if let Some(session) = self.session.take().filter(|session| !session.is_closed()) {
            return Ok(session);
        }
        if let Some(failures) = self.failures.as_ref().filter(|failures| Instant::now() < failures.next_try) {
            return Err(failures.last.clone());
        }
        let count = self.failures.as_ref().map_or(0, |failures| failures.count);
        match self.connect().await {
            Ok(session) => {
                if count > 0 {
                    tracing::info!(place = self.target.address(), tries = count + 1, "PostgreSQL answers again");
                }
                self.failures = None;
                Ok(session)
            }
            Err(error) => {
                if count == 0 {
                    tracing::warn!(kind = error.kind(), "{error}; trying again");
                }
                let next_try = Instant::now() + SOONEST.saturating_mul(1 << count.min(10)).min(LATEST);
                self.failures = Some(Failures { count: count.saturating_add(1), next_try, last: error.clone() });
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Session, DatabaseError> {
        let session = self.target.connect().await?;
        within(LATEST, session.batch_execute(&self.settings.join("; "))).await?;
        Ok(session)
    }
}

/// Waits for an answer up to a limit.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DatabaseError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(DatabaseError::Late(limit)),
    }
}
