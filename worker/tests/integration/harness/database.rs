//! The PostgreSQL of the tests: what the worker has written, and sessions that get in its way.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Row, types::ToSql};

use super::Stream;

/// The database that all tests share, each with groups of its own.
pub(crate) fn url() -> String {
    let url = std::env::var("BALANCEFLEET_TEST_POSTGRES").expect("make integration sets BALANCEFLEET_TEST_POSTGRES");
    format!("{url}?sslmode=disable")
}

/// A session of the test's own.
pub(crate) struct Database {
    pub(crate) url: String,
    client: Client,
    runtime: Runtime,
}

impl Database {
    /// A session in the shared database.
    pub(crate) fn shared() -> Self {
        Self::at(url())
    }

    /// A database of the test's own, for triggers and other things that would get in the way of other tests.
    pub(crate) fn own(name: &str) -> Self {
        let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("{name}_{unique}");
        Self::shared().run(&format!("CREATE DATABASE {name}"));
        Self::at(url().replace("/balance?", &format!("/{name}?")))
    }

    /// A further session in the same database.
    pub(crate) fn again(&self) -> Self {
        Self::at(self.url.clone())
    }

    fn at(url: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { url, client, runtime }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        let (_, rest) = self.url.split_once('@').unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    #[track_caller]
    pub(crate) fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.runtime.block_on(self.client.query(sql, params)).unwrap()
    }

    /// A number for the stream's group, which is `$1`; 0 while no worker has made the tables.
    #[track_caller]
    pub(crate) fn count(&self, stream: &Stream, sql: &str) -> i64 {
        if self.rows("SELECT to_regclass('balancefleet.part') IS NULL", &[])[0].get(0) {
            return 0;
        }
        self.rows(sql, &[&stream.group])[0].get(0)
    }
}
