//! Generator, oracle and the programs of the labs on a real broker, whose address is in `BALANCEFLEET_TEST_KAFKA`.

use std::error::Error;
use std::time::{Duration, Instant};

use balancefleet_e2e::labs::lag::{LagError, Sample, Sampler};
use balancefleet_e2e::labs::send::send;
use balancefleet_e2e::oracle::{Ledger, Offsets, Signs, Topic};
use balancefleet_e2e::stream::{Settings, Stream};
use balancefleet_e2e::traffic::{Interrupt, Keying, Pace, Sender, Sent, create_topic};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

type Outcome = Result<(), Box<dyn Error>>;

/// A topic of its own for each test.
struct Fixture {
    brokers: String,
    topic: String,
}

impl Fixture {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let brokers = std::env::var("BALANCEFLEET_TEST_KAFKA")?;
        let topic = format!("{name}-{}-{}", std::process::id(), jiff::Timestamp::now().as_millisecond());
        assert_eq!(create_topic(&brokers, &topic, 6)?, 6);
        Ok(Self { brokers, topic })
    }

    fn send(&self, stream: &Stream, count: u64, pace: &Pace, keying: Keying) -> Result<Sent, Box<dyn Error>> {
        let sender = Sender::new(&self.brokers, &self.topic, keying)?;
        Ok(sender.run(stream, 0..count, pace, &Interrupt::default(), None)?)
    }

    fn topic(&self) -> Topic {
        Topic::new(&self.brokers, &self.topic)
    }

    fn fold(&self, ends: &Offsets) -> Result<Ledger, Box<dyn Error>> {
        Ok(self.topic().fold(ends, &Signs::default(), |_| ())?)
    }
}

/// Balances and counts; the generator's own sum knows no partitions, and so no last record.
fn sums(ledger: &Ledger) -> Vec<(String, String, u64)> {
    let account = |(id, account): (&String, &balancefleet_e2e::oracle::Account)| {
        (id.clone(), format!("{:?}", account.balances), account.count)
    };
    ledger.accounts.iter().map(account).collect()
}

#[test]
fn what_the_topic_holds_is_what_the_run_promised() -> Outcome {
    let fixture = Fixture::new("promised")?;
    let currencies = ["EUR", "JPY", "KWD"].map(|code| code.parse()).into_iter().collect::<Result<Vec<_>, _>>()?;
    let stream = Stream::new(Settings { currencies, multi_currency: true, poison: 1.0, ..Settings::default() });
    let sent = fixture.send(&stream, 20_000, &Pace::steady(0, 20_000), Keying::Transaction)?;
    assert_eq!(sent, Sent { sent: 20_000, acknowledged: 20_000, failed: 0, interrupted: false });

    let ends = fixture.topic().ends()?;
    let (read, expected) = (fixture.fold(&ends)?, Ledger::of_run(&stream, 0..20_000, &Signs::default()));
    assert_eq!(sums(&read), sums(&expected));
    assert_eq!(read.refused, expected.refused);
    assert_eq!(ends.len(), 6);
    // Keyed by transaction: every partition has its sixth.
    assert!(ends.values().all(|end| (3_000..3_700).contains(end)), "{ends:?}");
    Ok(())
}

#[test]
fn a_fold_up_to_given_offsets_leaves_later_records_out() -> Outcome {
    let fixture = Fixture::new("bounded")?;
    let stream = Stream::new(Settings::default());
    fixture.send(&stream, 3_000, &Pace::steady(0, 3_000), Keying::Transaction)?;
    let ends = fixture.topic().ends()?;
    let before = fixture.fold(&ends)?;
    fixture.send(&stream, 1_000, &Pace::steady(0, 1_000), Keying::Transaction)?;
    assert_eq!(fixture.fold(&ends)?, before);
    assert_eq!(fixture.fold(&Offsets::from([(2, 10)]))?.count(), 10);
    Ok(())
}

#[test]
fn keyed_by_customer_all_transactions_of_one_are_in_one_partition() -> Outcome {
    let fixture = Fixture::new("keyed")?;
    let stream = Stream::new(Settings { customers: 40, ..Settings::default() });
    fixture.send(&stream, 2_000, &Pace::steady(0, 2_000), Keying::Customer)?;
    let ends = fixture.topic().ends()?;
    let counts = ends.iter().map(|(partition, end)| {
        let only = Offsets::from([(*partition, *end)]);
        fixture.fold(&only).map(|ledger| ledger.accounts.len())
    });
    // Forty customers, each counted in one partition only.
    assert_eq!(counts.collect::<Result<Vec<_>, _>>()?.iter().sum::<usize>(), 40);
    Ok(())
}

#[test]
fn a_paced_run_takes_the_time_it_should() -> Outcome {
    let fixture = Fixture::new("paced")?;
    let stream = Stream::new(Settings::default());
    let began = Instant::now();
    fixture.send(&stream, 900, &Pace::steady(300, 900), Keying::None)?;
    let took = began.elapsed();
    assert!((Duration::from_millis(2_900)..Duration::from_millis(4_500)).contains(&took), "{took:?}");
    assert_eq!(fixture.topic().ends()?.values().sum::<i64>(), 900);
    Ok(())
}

#[test]
fn a_topic_that_does_not_exist_is_named_in_the_error() -> Outcome {
    let brokers = std::env::var("BALANCEFLEET_TEST_KAFKA")?;
    let error = Topic::new(&brokers, "no-such-topic").ends().unwrap_err();
    assert_eq!(error.to_string(), "topic no-such-topic does not exist");
    Ok(())
}

#[test]
fn own_messages_of_one_key_are_acknowledged_in_one_partition() -> Outcome {
    let fixture = Fixture::new("own")?;
    let values = [r#"{"orderId":"ORD-001"}"#, "no JSON", "42"].map(str::to_owned);
    let acknowledged = send(&fixture.brokers, &fixture.topic, Some("a key"), &values)?.to_string();
    let ends = fixture.topic().ends()?;
    let partition = ends.iter().find(|(_, end)| **end == 3).map(|(partition, _)| *partition);
    let partition = partition.ok_or_else(|| format!("not in one partition: {ends:?}"))?;
    assert_eq!(acknowledged, format!("3 messages were acknowledged: partition {partition}, 3 from offset 0 to 2"));
    Ok(())
}

#[test]
fn own_messages_to_a_topic_that_does_not_exist_are_refused_at_once_and_create_none() -> Outcome {
    let brokers = std::env::var("BALANCEFLEET_TEST_KAFKA")?;
    for _ in 0..2 {
        let error = send(&brokers, "no-such-topic", None, &["{}".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "topic no-such-topic does not exist");
    }
    Ok(())
}

#[test]
fn a_message_that_is_too_large_is_named_and_the_others_are_acknowledged() -> Outcome {
    let fixture = Fixture::new("too-large")?;
    let values = ["{}".to_owned(), "x".repeat(2_000_000), "{}".to_owned()];
    let error = send(&fixture.brokers, &fixture.topic, Some("k"), &values).unwrap_err().to_string();
    assert!(error.starts_with("2 messages were acknowledged: ") && error.contains("; 1 not, the first"), "{error}");
    Ok(())
}

#[test]
fn a_groups_lag_is_the_ends_less_what_it_has_committed() -> Outcome {
    let fixture = Fixture::new("lag")?;
    fixture.send(&Stream::new(Settings::default()), 1_200, &Pace::steady(0, 1_200), Keying::None)?;
    let group = format!("{}-group", fixture.topic);
    let unknown = Sampler::new(&fixture.brokers, &group).err().ok_or("the group exists already")?;
    assert!(matches!(unknown, LagError::UnknownGroup { .. }), "{unknown}");

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &fixture.brokers).set("group.id", &group).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let ends = fixture.topic().ends()?;
    let (partition, end) = ends.iter().find(|(_, end)| **end > 10).ok_or("nothing was sent")?;
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&fixture.topic, *partition, Offset::Offset(end - 10))?;
    consumer.commit(&offsets, CommitMode::Sync)?;

    let sampler = Sampler::new(&fixture.brokers, &group)?;
    let (mut samples, second) = (Vec::<Sample>::new(), Duration::from_secs(1));
    sampler.watch(second, second / 2, &Interrupt::default(), |it| samples.push(it.clone()), |error| panic!("{error}"));
    // A partition of which it has committed nothing counts from its first record.
    let expected = ends.values().sum::<i64>() - (end - 10);
    assert_eq!(samples.iter().map(|sample| sample.lag).collect::<Vec<_>>(), [Some(expected); 3]);
    assert_eq!((samples[0].members, samples[0].state.as_deref()), (Some(0), Some("Empty")));
    Ok(())
}
