//! Starting under conditions that are not right (yet).

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::harness::{SOON, Stream, eventually, run, stream, worker};

#[test]
fn an_unknown_topic_is_waited_for_in_words_that_help() {
    let stream = Stream::unmade("later", 6);
    let worker = worker(&stream, &[]);
    worker.await_log("create it or correct its name");
    assert_eq!(worker.metrics().unwrap()["status"], "Starting");
    assert_eq!(worker.get("/readyz").unwrap().0, 503);
    assert_eq!(worker.get("/livez").unwrap().0, 200);
    stream.make(&[]);
    eventually(SOON, || match worker.partitions()?.len() {
        6 => Ok(()),
        share => Err(format!("{share} partitions")),
    });
    worker.await_log("Subscribed to topic");
    worker.await_log("Partitions ASSIGNED: [0, 1, 2, 3, 4, 5]");
    assert_eq!(worker.metrics().unwrap()["status"], "Consuming");
}

#[test]
fn a_wrong_setting_ends_the_start_with_its_name() {
    let stream = Stream::unmade("settings", 1);
    for (name, value, words) in [
        ("KAFKA_CONFIG_ENABLE_AUTO_COMMIT", "true", "enable.auto.commit"),
        ("KAFKA_CONFIG_RECONNECT_BACKOFF_MS", "9000", "reconnect.backoff.max.ms"),
        ("KAFKA_GROUPID", "typo", "KAFKA_GROUPID"),
        ("WORKER_PEERS", "worker", "WORKER_PEERS"),
        ("BALANCE_STORE", "rocksdb", "BALANCE_STORE"),
        ("BALANCE_POSTGRES_URL", "postgres://x", "BALANCE_POSTGRES_URL"),
    ] {
        let mut worker = worker(&stream, &[(name, value)]);
        assert_eq!(worker.await_end().code(), Some(2), "{name}");
        assert!(worker.log().contains(words), "{name}: {}", worker.log());
    }
}

/// As in a released image for x86-64: the binary of the processor's level lies in a folder beside the one that is started.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_binary_that_was_made_for_this_processor_goes_on() {
    let built = Path::new(env!("CARGO_BIN_EXE_balance-worker"));
    // A link to the same file, so that it is not written while others start programs.
    let folder = tempfile::tempdir_in(built.parent().unwrap()).unwrap();
    let started = folder.path().join("balance-worker");
    fs::hard_link(built, &started).unwrap();
    let level = folder.path().join("x86-64-v3");
    fs::create_dir(&level).unwrap();
    let best = level.join("balance-worker");
    let run = |argument| {
        let output = Command::new(&started).arg(argument).output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let own = concat!("balance-worker ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run("--version"), [own, ""], "there is no other one");
    let has_level = std::arch::is_x86_feature_detected!("avx2");
    symlink("/bin/echo", &best).unwrap();
    assert_eq!(run("in its place")[0] == "in its place\n", has_level);
    fs::remove_file(&best).unwrap();
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), &best).unwrap();
    let [text, complaint] = run("--version");
    assert_eq!((text.as_str(), complaint.contains("cannot be started")), (own, has_level), "it cannot be executed");
}

#[test]
fn the_check_says_whether_a_worker_would_work() {
    let good = stream("check");
    let check = |topic: &str, servers: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_balance-worker"))
            .args(["--check", "--topic", topic, "--bootstrap-servers", servers])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = check(&good.topic, &good.bootstrap);
    assert!(code == Some(0) && text.contains("6 partitions"), "{text}");
    let (code, text) = check("no-such-topic", &good.bootstrap);
    assert!(code == Some(1) && text.contains("no-such-topic"), "{text}");
    let (code, text) = check(&good.topic, "127.0.0.1:1");
    assert!(code == Some(1) && text.contains("no Kafka broker can be reached"), "{text}");
}

#[test]
fn the_healthcheck_says_whether_the_worker_on_this_machine_is_ready() {
    let stream = Stream::unmade("healthcheck", 6);
    let mut worker = worker(&stream, &[]);
    let address = format!("127.0.0.1:{}", worker.port);
    let healthcheck = || {
        let began = Instant::now();
        let (code, text) = run(&stream, &["healthcheck"], &[("HTTP_ADDRESS", &address)]);
        assert!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
        (code, text)
    };
    let await_health = |code: i32, words: &str| {
        eventually(SOON, || match healthcheck() {
            (found, text) if found == Some(code) && text.contains(words) => Ok(()),
            said => Err(format!("{said:?}")),
        });
    };
    await_health(1, "create it or correct its name");
    stream.make(&[]);
    await_health(0, "ready: Consuming, 6 partitions");
    worker.signal("STOP");
    await_health(1, "has not answered");
    worker.signal("CONT");
    await_health(0, "ready");
    worker.kill();
    await_health(1, "no worker answers");
}

/// A file as a mounted Secret is one.
fn secret(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn a_login_from_files_lets_it_work_and_a_wrong_one_is_said() {
    let stream = stream("login");
    let servers = std::env::var("BALANCEFLEET_TEST_KAFKA_SASL").expect("make integration sets it");
    let username = secret("balance");
    for (password, is_right) in [("balance-secret", true), ("wrong", false)] {
        let password = secret(password);
        let worker = worker(
            &stream,
            &[
                ("KAFKA_BOOTSTRAP_SERVERS", &servers),
                ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
                ("KAFKA_SASL_USERNAME_FILE", username.path().to_str().unwrap()),
                ("KAFKA_SASL_PASSWORD_FILE", password.path().to_str().unwrap()),
            ],
        );
        worker.await_log(if is_right { "Partitions ASSIGNED: [0, 1, 2, 3, 4, 5]" } else { "refused the login" });
        assert_eq!(worker.get("/livez").unwrap().0, 200);
    }
}
