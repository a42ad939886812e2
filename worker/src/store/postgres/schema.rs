//! The tables: created if they are missing, checked before anything is consumed.

use tokio_postgres::Client;

use crate::postgres_error::DatabaseError;

/// The version of `schema.sql`.
const VERSION: i32 = 1;
const TABLES: &str = include_str!("schema.sql");
/// The advisory lock for creating the tables: "balances".
const LOCK: i64 = 0x6261_6c61_6e63_6573;

/// Checks that the database can be used; with `create`, creates missing tables.
///
/// # Errors
/// What must be changed in the database.
pub(super) async fn prepare(client: &Client, create: bool) -> Result<(), DatabaseError> {
    let encoding: String = client.query_one("SELECT current_setting('server_encoding')", &[]).await?.get(0);
    if encoding != "UTF8" {
        return Err(DatabaseError::Encoding { found: encoding });
    }
    if version(client).await?.is_none() {
        if !create {
            return may_create(client).await;
        }
        create_tables(client).await?;
    }
    match version(client).await? {
        Some(found) if found > VERSION => return Err(DatabaseError::NewerSchema { found, known: VERSION }),
        _ => {
            add_column(client, create).await?;
            may_work(client).await?;
        }
    }
    log_durability(client).await
}

/// `None` while there are no tables.
async fn version(client: &Client) -> Result<Option<i32>, DatabaseError> {
    if !has_tables(client).await? {
        return Ok(None);
    }
    Ok(Some(client.query_one("SELECT version FROM balancefleet.version", &[]).await?.get(0)))
}

/// These read the catalogs. A session may resolve names from its cache until its transaction ends, even after it has
/// waited for another session that created the tables.
const HAS_TABLES: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'balancefleet' AND tablename = 'version')";
const HAS_SCHEMA: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'balancefleet')";

/// Whether anything can be stored.
pub(super) async fn has_tables(client: &Client) -> Result<bool, DatabaseError> {
    ask(client, HAS_TABLES).await
}

async fn ask(client: &Client, question: &str) -> Result<bool, DatabaseError> {
    Ok(client.query_one(question, &[]).await?.get(0))
}

async fn create_tables(client: &Client) -> Result<(), DatabaseError> {
    client.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).await?;
    // If several workers start together, one creates them.
    if !has_tables(client).await? {
        // If an administrator has created the schema, this user needs no right to do so.
        if !ask(client, HAS_SCHEMA).await? {
            client.batch_execute("CREATE SCHEMA balancefleet").await?;
        }
        client.batch_execute(TABLES).await?;
        tracing::info!("created the tables of schema balancefleet");
    }
    Ok(client.batch_execute("COMMIT").await?)
}

const HAS_COLUMN: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE \
                          attrelid = 'balancefleet.part'::regclass AND attname = 'rule_details' AND NOT attisdropped)";
const ADD_COLUMN: &str = "ALTER TABLE balancefleet.part ADD COLUMN IF NOT EXISTS rule_details text";

/// Adds the column that tables of the first release lack. Its workers ignore the column.
pub(super) async fn add_column(client: &Client, create: bool) -> Result<(), DatabaseError> {
    // Before the first start, there may be no tables.
    if !has_tables(client).await? || ask(client, HAS_COLUMN).await? {
        return Ok(());
    }
    let is_owner = "SELECT pg_has_role((SELECT relowner FROM pg_catalog.pg_class WHERE oid = 'balancefleet.part'::regclass), \
                    'USAGE')";
    need(client, is_owner, &format!("to own the table balancefleet.part, or that its owner runs once: {ADD_COLUMN}"))
        .await?;
    if create {
        // A wait for this lock blocks all writers, so try again later instead.
        client.batch_execute(&format!("BEGIN; SET LOCAL lock_timeout = '2s'; {ADD_COLUMN}; COMMIT")).await?;
        tracing::info!("added a column to the tables of schema balancefleet");
    }
    Ok(())
}

/// Checks that the tables can be created.
async fn may_create(client: &Client) -> Result<(), DatabaseError> {
    let allowed = "SELECT CASE WHEN to_regnamespace('balancefleet') IS NULL \
                   THEN has_database_privilege(current_database(), 'CREATE') \
                   ELSE has_schema_privilege('balancefleet', 'CREATE') AND has_schema_privilege('balancefleet', 'USAGE') END";
    need(client, allowed, "CREATE on the database, or on a schema balancefleet that somebody has made").await
}

async fn may_work(client: &Client) -> Result<(), DatabaseError> {
    let tables = "SELECT bool_and(has_table_privilege(name, privilege)) FROM \
                  unnest(ARRAY['balancefleet.part', 'balancefleet.bal', 'balancefleet.dead_letter']) AS name, \
                  unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS privilege";
    need(client, tables, "SELECT, INSERT and UPDATE on the tables part, bal and dead_letter of schema balancefleet")
        .await?;
    need(client, "SELECT has_database_privilege(current_database(), 'TEMP')", "TEMPORARY on the database").await
}

/// Checks that this user may replace balances, which workers never do.
pub(super) async fn may_delete(client: &Client) -> Result<(), DatabaseError> {
    need(client, "SELECT has_table_privilege('balancefleet.bal', 'DELETE')", "DELETE on the table balancefleet.bal")
        .await
}

async fn need(client: &Client, question: &str, right: &str) -> Result<(), DatabaseError> {
    if ask(client, question).await? { Ok(()) } else { Err(DatabaseError::Rights { detail: right.to_owned() }) }
}

/// Warns about settings that a bank seldom wants.
async fn log_durability(client: &Client) -> Result<(), DatabaseError> {
    for (setting, consequence) in [
        ("fsync", "a crash of its machine may damage the balances"),
        ("full_page_writes", "a crash of its machine may damage the balances"),
        // Not wrong: progress and balances are lost together, and the records are folded again.
        ("synchronous_commit", "a crash of it may take back balances that were answered already"),
    ] {
        let value: String = client.query_one("SELECT current_setting($1)", &[&setting]).await?.get(0);
        if value == "off" {
            tracing::warn!("PostgreSQL runs with {setting}=off: {consequence}");
        }
    }
    Ok(())
}
