//! A log that is cut off by an unclean election and grows again while nobody reads it, beside logs whose leader changes
//! in order.

use std::thread::sleep;
use std::time::Duration;

use balancefleet_e2e::brokers::{Brokers, Use};
use balancefleet_e2e::oracle::Topic;
use balancefleet_e2e::proxy::{Api, Direction, Proxy, Which};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use crate::harness::{Stream, Traffic, Worker, eventually, folded, free_port, run};
use crate::scene::SOON;

/// Its replicas disagree: the new leader lacks what the old one has acknowledged.
const CUT: i32 = 0;
/// Its leader changes in order, and it gets more records.
const MOVED: i32 = 1;
/// The same, and aborted records are all that it gets: they are of a later epoch than the position before them.
const ABORTED: i32 = 2;
const STORES: [&str; 3] = ["changelog", "postgres", "replay"];

fn record(customer: &str, number: usize) -> String {
    format!(
        r#"{{"transactionId":"{customer}-{number}","customerId":"{customer}","amount":1.00,"currency":"EUR","type":3,"timestamp":"2026-02-08T22:00:00Z"}}"#
    )
}

fn produce(stream: &Stream, partition: i32, customer: &str, count: usize) {
    let records: Vec<_> = (0..count).map(|number| record(customer, number)).collect();
    stream.produce(partition, records.iter().map(String::as_str));
}

/// Makes the topic, each partition on these brokers, the first of which is to lead it.
fn make_on(stream: &Stream, replicas: &[&[i32]], settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &stream.bootstrap).create().unwrap();
    let topic = NewTopic::new(&stream.topic, stream.partitions, TopicReplication::Variable(replicas));
    let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

#[track_caller]
fn await_leader(stream: &Stream, partition: i32, broker: i32) {
    let observer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &stream.bootstrap).create().unwrap();
    eventually(SOON, || {
        let known = observer.fetch_metadata(Some(&stream.topic), Duration::from_secs(2));
        let known = known.map_err(|error| error.to_string())?;
        match known.topics()[0].partitions().iter().find(|it| it.id() == partition).map(|it| it.leader()) {
            Some(leader) if leader == broker => Ok(()),
            leader => Err(format!("the leader of partition {partition} is {leader:?}, not {broker}")),
        }
    });
}

/// Appends records of a transaction that is then called off.
fn produce_and_abort(stream: &Stream, partition: i32, count: usize) {
    let patience = Duration::from_secs(60);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &stream.bootstrap)
        .set("transactional.id", format!("{}-aborts", stream.topic))
        .create()
        .unwrap();
    producer.init_transactions(patience).unwrap();
    producer.begin_transaction().unwrap();
    for number in 0..count {
        let value = record("called-off", number);
        producer.send(BaseRecord::<[u8], str>::to(&stream.topic).partition(partition).payload(&value)).unwrap();
    }
    producer.flush(patience).unwrap();
    producer.abort_transaction(patience).unwrap();
}

/// A group for each store, on the same topic.
struct Group {
    store: &'static str,
    port: u16,
    worker: Option<Worker>,
}

impl Group {
    fn settings(&self, stream: &Stream) -> Vec<(&'static str, String)> {
        let group = format!("{}-{}", stream.group, self.store);
        vec![("BALANCE_STORE", self.store.to_owned()), ("KAFKA_GROUP_ID", group)]
    }

    fn start(&mut self, stream: &Stream, pod: &str) {
        let mut settings = self.settings(stream);
        settings.push(("POD_NAME", pod.to_owned()));
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.worker = Some(Worker::start(stream, self.port, &settings));
    }

    fn worker(&self) -> &Worker {
        self.worker.as_ref().unwrap()
    }

    fn take(&mut self) -> Worker {
        self.worker.take().unwrap()
    }

    /// How many transactions a customer has; `None` while nobody answers.
    fn count_of(&self, customer: &str) -> Result<Option<u64>, String> {
        match self.worker().get(&format!("/api/Balance/balances/{customer}"))? {
            (200, body) => {
                let body: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
                body["transactionCount"].as_u64().map(Some).ok_or_else(|| body.to_string())
            }
            (404, _) => Ok(Some(0)),
            _ => Ok(None),
        }
    }

    #[track_caller]
    fn await_counts(&self, expected: &[(&str, u64)]) {
        for (customer, count) in expected {
            eventually(SOON, || match self.count_of(customer)? {
                Some(found) if found == *count => Ok(()),
                found => Err(format!("{}: {customer} has {found:?}, not {count}", self.store)),
            });
        }
    }

    /// The partitions that failed, each with the reason.
    fn failed(&self) -> Result<Vec<(i64, String)>, String> {
        let (_, body) = self.worker().get("/readyz")?;
        let body: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        let failed = body["failed"].as_array().ok_or_else(|| body.to_string())?;
        let one = |one: &Value| Some((one["partition"].as_i64()?, one["reason"].as_str()?.to_owned()));
        failed.iter().map(|it| one(it).ok_or_else(|| body.to_string())).collect()
    }

    /// Exit code and words of `--check`.
    fn check(&self, stream: &Stream) -> (Option<i32>, String) {
        let settings = self.settings(stream);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        run(stream, &["--check"], &settings)
    }
}

/// What each group had folded before the log was cut is no longer what the log says.
#[test]
fn a_log_that_was_cut_off_and_grew_again_between_two_owners_is_never_folded_on() {
    let brokers = Brokers::take(Use::Alone).unwrap();
    let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), "regrown", 3);
    let unclean = [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")];
    make_on(&stream, &[&[1, 2], &[1, 3], &[1, 3]], &unclean);
    let mut groups = STORES.map(|store| Group { store, port: free_port(), worker: None });
    groups.iter_mut().for_each(|group| group.start(&stream, "w0"));
    for (partition, customer) in [(CUT, "base"), (MOVED, "moved"), (ABORTED, "aborted")] {
        produce(&stream, partition, customer, 5);
    }
    // What follows only broker 1 has.
    brokers.stop(2).unwrap();
    produce(&stream, CUT, "old", 10);
    for group in &groups {
        group.await_counts(&[("base", 5), ("old", 10), ("moved", 5), ("aborted", 5)]);
    }
    sleep(Duration::from_secs(1));
    // One stops in order, one is killed.
    assert_eq!(groups[0].take().stop().0.code(), Some(0));
    groups[1].take().kill();
    assert_eq!(groups[2].take().stop().0.code(), Some(0));

    brokers.kill(1).unwrap();
    brokers.start(2).unwrap();
    await_leader(&stream, CUT, 2);
    await_leader(&stream, MOVED, 3);
    await_leader(&stream, ABORTED, 3);
    // The producer of what was lost cannot go on.
    let former = stream;
    let mut stream = Stream::unmade_at(former.bootstrap.clone(), "regrown", former.partitions);
    stream.topic.clone_from(&former.topic);
    stream.group.clone_from(&former.group);
    // More than were lost.
    produce(&stream, CUT, "new", 30);
    produce(&stream, MOVED, "moved", 20);
    produce_and_abort(&stream, ABORTED, 4);

    for group in &groups[..2] {
        let (code, words) = group.check(&stream);
        assert_eq!(code, Some(1), "{}: {words}", group.store);
        assert!(words.contains("partition 0") && words.contains("cut off below offset 15"), "{words}");
    }
    groups.iter_mut().for_each(|group| group.start(&stream, "w1"));
    for group in &groups[..2] {
        let failed = eventually(SOON, || match group.failed()? {
            failed if failed.is_empty() => Err(format!("{}: nothing failed", group.store)),
            failed => Ok(failed),
        });
        assert!(
            matches!(failed.as_slice(), [(0, reason)] if reason.contains("cut off below offset 15")),
            "{}: {failed:?}",
            group.store
        );
        assert_eq!(group.worker().get("/readyz").unwrap().0, 503, "{}", group.store);
        // Nor does a database answer with what it has.
        eventually(SOON, || match group.worker().get("/api/Balance/balances")? {
            (503, body) if body.contains(r#""missingPartitions":[0]"#) => Ok(()),
            other => Err(format!("{}: {other:?}", group.store)),
        });
    }
    // It folds the log anew, as it is now.
    groups[2].await_counts(&[("base", 5), ("old", 0), ("new", 30)]);
    produce(&stream, ABORTED, "aborted", 1);
    for group in &groups {
        // Of the partitions that nothing happened to: they have only what the log has, and nothing of what is not sure.
        eventually(SOON, || {
            let consumed = group.worker().count("messagesConsumed")?;
            let expected = if group.store == "replay" { 20 + 1 + 20 } else { 20 + 1 };
            if consumed == expected { Ok(()) } else { Err(format!("{}: {consumed} of {expected}", group.store)) }
        });
    }
    sleep(Duration::from_secs(2));
    for group in &mut groups[..2] {
        assert_eq!(group.failed().unwrap().len(), 1, "{}", group.store);
        assert_eq!(group.worker().count("messagesConsumed"), Ok(21));
        assert_eq!(group.take().stop().0.code(), Some(0));
        let name = format!("{}-{}", stream.group, group.store);
        let committed = Topic::new(&stream.bootstrap, &stream.topic).committed(&name).unwrap();
        assert_eq!(committed[&CUT], 15, "{}", group.store);
    }
    groups[2].await_counts(&[("moved", 25), ("aborted", 6)]);
}

/// The question whether the log is still the same one stays unanswered: that shows, and no record is applied meanwhile.
#[test]
fn a_position_that_no_leader_answers_for_shows_and_nothing_is_applied_before_it_does() {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), "unanswered", 1);
    stream.make(&[]);
    folded(&stream, &mut Traffic::new(7, 10), 50, &[]);
    let proxy = Proxy::start(stream.bootstrap.split(',').next().unwrap()).unwrap();
    let answers = proxy.hold(Api::OffsetForLeaderEpoch, Direction::Response, Which::Every);
    let worker = Worker::start(&stream, free_port(), &[("KAFKA_BOOTSTRAP_SERVERS", proxy.bootstrap())]);
    produce(&stream, 0, "new", 10);
    eventually(SOON, || match worker.get("/readyz")? {
        (200, body) if body.contains("ValidatingPosition") && body.contains("offset 50") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(worker.count("messagesConsumed"), Ok(0));
    answers.release();
    worker.await_count("messagesConsumed", 10);
    let (status, body) = worker.get("/readyz").unwrap();
    assert!(status == 200 && !body.contains("ValidatingPosition"), "{status} {body}");
}
