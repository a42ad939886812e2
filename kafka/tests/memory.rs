//! Whether memory stays flat over many calls: a process of its own, since it measures the whole process.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "the other tests need more of it")]
#[path = "integration/support.rs"]
mod support;

use std::time::{Duration, Instant};

use balancefleet_kafka::{Admin, At, BatchReader, Connection, Isolation, Record, TransactionalProducer};
use support::{TIMEOUT, broker, new_topic, producer_config, unique};

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
fn thousands_of_calls_and_transactions_and_dozens_of_given_up_clients_leave_memory_flat() {
    // One after the other, since each measures the whole process.
    admin_calls_leave_memory_flat();
    transactions_and_what_reads_them_leave_memory_flat();
}

fn admin_calls_leave_memory_flat() {
    let admin = Admin::connect(&broker(), "balancefleet-test").expect("the settings are fine");
    let topic = new_topic("answered", 1);
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
        admin.topic_settings(&topic, TIMEOUT).expect("the broker answers");
        assert_eq!(admin.create_topic(&topic, 1, None, &[("cleanup.policy", "compact")], TIMEOUT), Ok(false));
    });
    assert!(answered < 2_000, "{answered} KiB in 6000 answered calls");

    let nowhere = Admin::connect(&Connection::plaintext("127.0.0.1:1"), "balancefleet-test").expect("fine settings");
    let groups: Vec<String> = (0..20).map(|group| format!("g{group}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let unanswered = growth_kib(60, || {
        let answers = nowhere.committed_offsets_of_groups(&groups, false, Duration::from_millis(20));
        assert!(answers.iter().all(|(_, answer)| answer.is_err()));
    });
    assert!(unanswered < 1_000, "{unanswered} KiB in 60 calls that nobody answered");
    println!("{answered} KiB in 6000 answered calls, {unanswered} KiB in 60 unanswered ones");
}

fn transactions_and_what_reads_them_leave_memory_flat() {
    let (topic, id) = (new_topic("memory", 2), unique("id"));
    let config = producer_config(&broker(), &id);
    let registered = || {
        let producer = TransactionalProducer::new(&config).expect("the settings are fine");
        producer.init(TIMEOUT).expect("the coordinator answers");
        producer
    };
    let value = vec![7; 2_000];
    let headers = [("name", Some(value.as_slice())), ("empty", None)];
    let record = Record { topic: &topic, partition: None, key: Some(b"k"), value: Some(&value), headers: &headers };
    let producer = registered();
    let mut commits = false;
    let written = growth_kib(400, || {
        producer.begin().expect("it begins");
        (0..50).for_each(|_| producer.send(&record, Instant::now() + TIMEOUT).expect("there is room"));
        commits = !commits;
        if commits { producer.commit(TIMEOUT) } else { producer.abort(TIMEOUT) }.expect("it ends");
    });
    assert!(written < 2_000, "{written} KiB in 20 000 records of 400 transactions");
    drop(producer);

    let mut reader_config = broker().client_config();
    reader_config.set("group.id", "memory").set("fetch.wait.max.ms", "50");
    let clients = growth_kib(40, || {
        drop(registered());
        let starts = [(0, 0), (1, 0)].into_iter();
        let mut reader = BatchReader::open(&reader_config, &topic, starts).expect("the settings are fine");
        while reader.read(Duration::from_millis(50), |_| {}).expect("nothing is wrong") == 0 {}
    });
    assert!(clients < 4_000, "{clients} KiB in 40 producers and readers");
    println!("{written} KiB in 400 transactions, {clients} KiB in 40 producers and readers");
}
