//! What a transactional producer makes of a broker that goes away in the middle of a transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_kafka::{Connection, GroupMetadata, TransactionError, TransactionalProducer};

use crate::forwarder::{Forwarder, Mode, api};
use crate::producer::{deadline, offset, registered, value};
use crate::support::{
    Running, TIMEOUT, admin, broker, new_topic, partition, producer_config, read, settled_end, unique, wait_until,
};

/// What a worker gives its commit.
const SHORT: Duration = Duration::from_secs(3);
/// A call may take longer than its time-out by one request's (`socket.timeout.ms`), and the machine may be busy.
const SLACK: Duration = Duration::from_secs(2);

/// A transaction through the forwarder, with its record acknowledged and offset 1 to be committed.
struct Scene {
    forwarder: Arc<Forwarder>,
    producer: TransactionalProducer,
    membership: GroupMetadata,
    topic: String,
    group: String,
    id: String,
    _member: Running,
}

impl Scene {
    fn new(name: &str) -> Self {
        let (topic, group, id) = (new_topic(name, 1), unique(name), unique("id"));
        let member = Running::start(&group, "worker", &topic);
        wait_until("it has its partitions", || !member.assignment().is_empty());
        let forwarder = Arc::new(Forwarder::start(&broker()));
        let producer = registered(&forwarder.connection(), &id);
        producer.begin().expect("it begins");
        producer.send(&value(&topic, 0, "x"), deadline()).expect("there is room");
        producer.flush(deadline()).expect("it is acknowledged");
        assert!(!producer.take_in_doubt());
        Self { forwarder, producer, membership: member.membership(), topic, group, id, _member: member }
    }

    fn send_offsets(&self, timeout: Duration) -> Result<(), TransactionError> {
        self.producer.send_offsets(&[offset(&self.topic, 1, "")], &self.membership, timeout)
    }

    fn is_unknown_in_time(&self, call: impl FnOnce(&Self) -> Result<(), TransactionError>) {
        let begun = Instant::now();
        let outcome = call(self);
        let took = begun.elapsed();
        assert!(matches!(outcome, Err(TransactionError::Unknown { .. })), "{outcome:?}");
        assert!(took < SHORT + SLACK, "{took:?}");
        println!("{outcome:?} after {took:?}");
    }

    /// Does what a worker does then: a new producer with the same id settles the matter, and the committed offset
    /// tells.
    fn recovered(self) -> Option<i64> {
        let begun = Instant::now();
        drop(self.producer);
        println!("dropped in {:?}", begun.elapsed());
        assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
        let _successor = registered(&broker(), &self.id);
        let asked = [partition(&self.topic, 0)];
        let committed =
            admin().committed_offsets(&self.group, Some(&asked), true, TIMEOUT).expect("an answer").remove(0);
        assert_eq!(committed.error, None);
        let records = read(&self.topic, "read_committed").len();
        assert_eq!(records == 1, committed.offset == Some(1), "record and offset, or neither");
        committed.offset
    }
}

#[test]
fn a_broker_that_is_gone_while_committing_leaves_the_outcome_unknown_within_the_time_out() {
    let scene = Scene::new("gone");
    scene.send_offsets(TIMEOUT).expect("a member may");
    scene.forwarder.set(Mode::Silent);
    scene.is_unknown_in_time(|scene| scene.producer.commit(SHORT));
    assert!(scene.producer.take_in_doubt());
    assert_eq!(scene.recovered(), None);
}

#[test]
fn a_commit_whose_answer_is_lost_is_unknown_and_turns_out_to_have_happened() {
    let scene = Scene::new("commit-lost");
    scene.send_offsets(TIMEOUT).expect("a member may");
    scene.forwarder.set(Mode::Loses(api::END_TXN));
    scene.is_unknown_in_time(|scene| scene.producer.commit(SHORT));
    assert_eq!(scene.recovered(), Some(1));
}

#[test]
fn an_answer_to_the_offsets_that_is_lost_is_unknown_although_librdkafka_would_abort() {
    for (name, lost) in [("adding", api::ADD_OFFSETS_TO_TXN), ("committing", api::TXN_OFFSET_COMMIT)] {
        let scene = Scene::new(name);
        scene.forwarder.set(Mode::Loses(lost));
        scene.is_unknown_in_time(|scene| scene.send_offsets(SHORT));
        assert!(scene.producer.take_in_doubt());
        assert_eq!(scene.recovered(), None);
    }
}

/// librdkafka looks for the coordinator for as long as it takes, whatever the call's time; after three refusals it
/// waits for any connection to come or go.
#[test]
fn offsets_whose_coordinator_is_away_are_unknown_in_time_and_their_client_ends_later() {
    const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    let unavailable = Mode::Fails(api::FIND_COORDINATOR, COORDINATOR_NOT_AVAILABLE);
    for (name, mode) in [("unanswered", Mode::Loses(api::FIND_COORDINATOR)), ("unavailable", unavailable)] {
        let scene = Scene::new(name);
        let forwarder = Arc::clone(&scene.forwarder);
        forwarder.set(mode);
        scene.is_unknown_in_time(|scene| scene.send_offsets(SHORT));
        assert_eq!(scene.recovered(), None);
        assert_ne!(forwarder.in_use(), 0, "the call goes on by itself");
        forwarder.set(Mode::Open);
        wait_until("the client that was given up has ended", || forwarder.in_use() == 0);
    }
}

#[test]
fn records_without_an_acknowledgement_are_unknown() {
    for (name, mode) in [("unacknowledged", Mode::Loses(api::PRODUCE)), ("unsent", Mode::Silent)] {
        let scene = Scene::new(name);
        scene.forwarder.set(mode);
        scene.producer.send(&value(&scene.topic, 0, "y"), deadline()).expect("there is room");
        scene.is_unknown_in_time(|scene| scene.producer.flush(Instant::now() + SHORT));
        assert_eq!(scene.recovered(), None);
    }
}

#[test]
fn an_abort_without_an_answer_is_unknown() {
    let scene = Scene::new("abort");
    scene.forwarder.set(Mode::Loses(api::END_TXN));
    scene.is_unknown_in_time(|scene| scene.producer.abort(SHORT));
    assert_eq!(scene.recovered(), None);

    let scene = Scene::new("abort-sending");
    scene.forwarder.set(Mode::Silent);
    scene.producer.send(&value(&scene.topic, 0, "y"), deadline()).expect("there is room");
    scene.is_unknown_in_time(|scene| scene.producer.abort(SHORT));
    assert_eq!(scene.recovered(), None);
}

#[test]
fn a_commit_goes_on_when_the_broker_returns_and_tells_that_it_is_in_doubt() {
    let scene = Scene::new("returns");
    scene.send_offsets(TIMEOUT).expect("a member may");
    scene.forwarder.set(Mode::Silent);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2)); // longer than a request may take
            scene.forwarder.set(Mode::Open);
        });
        scene.producer.commit(TIMEOUT)
    });
    assert_eq!(outcome, Ok(()));
    assert!(scene.producer.take_in_doubt(), "a request timed out: its twin may still be under way");
    assert_eq!(settled_end(&scene.topic, 0), 2);
    assert_eq!(scene.recovered(), Some(1));
}

#[test]
fn every_lost_connection_leaves_a_producer_in_doubt_and_nothing_else_does() {
    let Scene { forwarder, producer, topic, .. } = Scene::new("cut");
    // librdkafka keeps the same complaint to itself when it comes too often.
    for _ in 0..6 {
        forwarder.cut();
        wait_until("it is noticed", || producer.take_in_doubt());
        // Connections are up again after this, and nothing is left to notice.
        producer.send(&value(&topic, 0, "y"), deadline()).expect("there is room");
        producer.flush(deadline()).expect("it is acknowledged");
        producer.abort(TIMEOUT).expect("it aborts");
        producer.begin().expect("it begins");
        wait_until("it is quiet", || !producer.take_in_doubt());
        producer.send(&value(&topic, 0, "z"), deadline()).expect("there is room");
        producer.commit(TIMEOUT).expect("it commits");
        assert!(!producer.take_in_doubt());
        producer.begin().expect("it begins");
    }
}

#[test]
fn a_registration_nobody_answers_is_unknown_and_says_why() {
    let nowhere = Connection::plaintext("127.0.0.1:1");
    let producer = TransactionalProducer::new(&producer_config(&nowhere, "id")).expect("the settings are fine");
    let begun = Instant::now();
    let error = producer.init(SHORT).expect_err("nobody is there");
    assert!(begun.elapsed() < SHORT + SLACK, "{:?}", begun.elapsed());
    assert_eq!(error.category(), "Unknown");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}
