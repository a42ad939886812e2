//! Whether memory stays flat over many calls: a process of its own, since it measures the whole process.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use balancefleet_kafka::{Admin, At, Connection, Isolation};

const TIMEOUT: Duration = Duration::from_secs(30);

fn broker() -> Connection {
    let address = std::env::var("BALANCEFLEET_TEST_KAFKA");
    Connection::plaintext(address.expect("BALANCEFLEET_TEST_KAFKA is not set: run `make integration`"))
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel tells");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of KiB")
}

fn growth_kib(rounds: usize, mut round: impl FnMut()) -> i64 {
    (0..rounds / 4).for_each(|_| round());
    let before = resident_kib();
    (0..rounds).for_each(|_| round());
    resident_kib() - before
}

#[test]
fn thousands_of_calls_and_dozens_of_given_up_clients_leave_memory_flat() {
    let admin = Admin::connect(&broker(), "balancefleet-test").expect("the settings are fine");
    let partitions: Vec<_> = (0..50).map(|partition| ("no-such-topic".to_owned(), partition)).collect();
    let answered = growth_kib(1000, || {
        admin.committed_offsets("g", Some(&partitions), false, TIMEOUT).expect("the broker answers");
        admin
            .list_offsets(&partitions[..2], At::Latest, Isolation::ReadCommitted, TIMEOUT)
            .expect("the broker answers");
        admin
            .describe_groups(&["g"], TIMEOUT)
            .expect("the broker answers")
            .remove(0)
            .1
            .expect("no group is a dead one");
        admin.describe_topics(&["no-such-topic"], TIMEOUT).expect("the broker answers");
    });
    assert!(answered < 2_000, "{answered} KiB in 4000 answered calls");

    let nowhere = Admin::connect(&Connection::plaintext("127.0.0.1:1"), "balancefleet-test").expect("fine settings");
    let groups: Vec<String> = (0..20).map(|group| format!("g{group}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let unanswered = growth_kib(60, || {
        let answers = nowhere.committed_offsets_of_groups(&groups, false, Duration::from_millis(20));
        assert!(answers.iter().all(|(_, answer)| answer.is_err()));
    });
    assert!(unanswered < 1_000, "{unanswered} KiB in 60 calls that nobody answered");
    println!("{answered} KiB in 4000 answered calls, {unanswered} KiB in 60 unanswered ones");
}
