//! Databases that cannot be worked with, and what the worker says about them.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    sync::Arc,
};

use parking_lot::Mutex;

use super::STORE;
use crate::harness::{Database, SOON, Stream, Traffic, database_url, eventually, fleet, stream, worker};

/// Exit code and output of `--check`.
fn check(stream: &Stream, url: &str) -> (Option<i32>, String) {
    tool(&["--check"], stream, url)
}

fn tool(arguments: &[&str], stream: &Stream, url: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_balance-worker"))
        .args(arguments)
        .args(["--group-id", &stream.group])
        .args(["--topic", &stream.topic, "--bootstrap-servers", &stream.bootstrap, "--store", "postgres"])
        .env("BALANCE_POSTGRES_URL", url)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn the_check_says_whether_the_database_can_be_used() {
    let stream = stream("pg-check");
    let (code, text) = check(&stream, &database_url());
    assert!(code == Some(0) && text.contains("PostgreSQL at 127.0.0.1"), "{text}");
    let poor = Database::own("poor");
    // A server has one role of a name, whatever the database.
    let name = poor.url.rsplit('/').next().unwrap().split('?').next().unwrap();
    poor.run(&format!("CREATE ROLE {name} LOGIN PASSWORD 'p'; GRANT CONNECT ON DATABASE {name} TO {name}"));
    let as_poor = poor.url.replace("balance:balance-secret", &format!("{name}:p"));
    for (url, words) in [
        (database_url().replace("balance-secret", "wrong-secret"), "refused the login"),
        (database_url().replace("/balance?", "/nowhere?"), "\"nowhere\" does not exist"),
        ("postgres://balance:x@127.0.0.1:1/balance?sslmode=disable".to_owned(), "cannot be reached"),
        (as_poor.clone(), "CREATE on the database"),
        // Nobody here trusts its authority.
        (database_url().replace("sslmode=disable", "sslmode=require"), "TLS handshake"),
    ] {
        let (code, text) = check(&stream, &url);
        assert!(code == Some(1) && text.contains(words) && !text.contains("secret"), "{words}: {text}");
    }
    // Tables that somebody else has made, and no right to them.
    let mut first = worker(&stream, &[STORE, ("BALANCE_POSTGRES_URL", &poor.url)]);
    first.await_log("created the tables");
    first.stop();
    poor.run(&format!(
        "GRANT USAGE ON SCHEMA balancefleet TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA balancefleet TO {name}"
    ));
    let (code, text) = check(&stream, &as_poor);
    assert!(code == Some(1) && text.contains("SELECT, INSERT and UPDATE"), "{text}");
    poor.run(&format!("GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA balancefleet TO {name}"));
    let (code, text) = check(&stream, &as_poor);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = tool(&["rebuild", "--yes"], &stream, &as_poor);
    assert!(code == Some(1) && text.contains("DELETE on the table"), "{text}");
    // And these are enough to work.
    let mut traffic = Traffic::new(51, 20);
    traffic.send(&stream, 300);
    stream.produce(0, ["junk"]);
    let mut fleet = fleet(&stream, 1, &[STORE, ("BALANCE_POSTGRES_URL", &as_poor)]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
}

#[test]
fn a_schema_of_a_newer_release_is_refused_before_anything_is_consumed() {
    let (stream, database) = (stream("pg-newer"), Database::own("newer"));
    database.run(
        "CREATE SCHEMA balancefleet; CREATE TABLE balancefleet.version (version integer); \
         INSERT INTO balancefleet.version VALUES (2)",
    );
    let mut worker = worker(&stream, &[STORE, ("BALANCE_POSTGRES_URL", &database.url)]);
    assert_eq!(worker.await_end().code(), Some(2));
    assert!(worker.log().contains("has version 2, this release knows 1"), "{}", worker.log());
    assert!(stream.committed().is_empty());
}

#[test]
fn a_login_that_is_refused_is_said_and_waited_for() {
    let stream = stream("pg-login");
    let url = database_url().replace("balance-secret", "wrong-secret");
    let worker = worker(&stream, &[STORE, ("BALANCE_POSTGRES_URL", &url)]);
    worker.await_log("refused the login");
    eventually(SOON, || match worker.get("/readyz")? {
        (503, body) if body.contains("refused the login") => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
    assert_eq!(worker.get("/livez").unwrap().0, 200);
    assert!(!worker.log().contains("wrong-secret"), "{}", worker.log());
}

#[test]
fn workers_that_start_together_make_the_tables_once() {
    let (stream, database) = (stream("pg-together"), Database::own("together"));
    let mut traffic = Traffic::new(52, 20);
    traffic.send(&stream, 300);
    let mut fleet = fleet(&stream, 3, &[STORE, ("BALANCE_POSTGRES_URL", &database.url)]);
    // All have seen that there are no tables, and wait for the right to make them.
    let busy = database.again();
    busy.run("BEGIN; SELECT pg_advisory_xact_lock(x'62616c616e636573'::bigint)");
    fleet.start_all(0..3);
    eventually(SOON, || {
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database \
                       WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
        let waiting: i64 = database.rows(waiting, &[])[0].get(0);
        if waiting == 3 { Ok(()) } else { Err(format!("{waiting} wait")) }
    });
    busy.run("COMMIT");
    fleet.await_shares(&[2, 2, 2]);
    fleet.await_balances(&traffic.oracle, SOON);
    assert!(fleet.workers().all(|worker| !worker.log().contains("already exists")));
    let made: usize = fleet.workers().map(|worker| worker.log().matches("created the tables").count()).sum();
    assert_eq!(made, 1);
}

#[test]
fn an_encrypted_connection_works_when_the_servers_name_is_the_certificates() {
    let stream = stream("pg-tls");
    let authority = std::env::var("BALANCEFLEET_TEST_POSTGRES_CA").expect("make integration sets it");
    let encrypted = database_url().replace("?sslmode=disable", "");
    let mut traffic = Traffic::new(53, 20);
    traffic.send(&stream, 300);
    let settings = |url| [STORE, ("BALANCE_POSTGRES_URL", url), ("BALANCE_POSTGRES_CA_FILE", &*authority)];
    let mut fleet = fleet(&stream, 1, &settings(&encrypted));
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    let name = fleet.get(0).metrics().unwrap()["consumerId"].as_str().unwrap().to_owned();
    let sessions =
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = left($1, 63)";
    let sessions = Database::shared().rows(sessions, &[&name]);
    assert!(!sessions.is_empty() && sessions.iter().all(|session| session.get(0)));
    let other_name = encrypted.replace("127.0.0.1", "localhost");
    worker(&stream, &settings(&other_name)).await_log("TLS handshake");
}

#[test]
fn a_server_that_does_not_encrypt_hears_nothing_that_is_secret() {
    let stream = stream("pg-clear");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let url = format!("postgres://balance:balance-secret@{}/balance", server.local_addr().unwrap());
    std::thread::spawn({
        let heard = heard.clone();
        move || {
            for mut client in server.incoming().map_while(Result::ok) {
                // The question whether it encrypts, and no for an answer.
                client.read_exact(&mut [0; 8]).unwrap();
                client.write_all(b"N").unwrap();
                client.read_to_end(&mut heard.lock()).unwrap();
            }
        }
    });
    let worker = worker(&stream, &[STORE, ("BALANCE_POSTGRES_URL", &url)]);
    worker.await_log("does not support TLS");
    assert_eq!(worker.get("/readyz").unwrap().0, 503);
    assert!(heard.lock().is_empty());
}
