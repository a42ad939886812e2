//! What the balances must be, at any offsets: the oracle's fold of the input, carried on from answer to answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use balancefleet_e2e::oracle::{Ledger, Offsets, Signs, read};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// A reader that knows the brokers can be gone for so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The input up to `at`, folded.
pub(crate) struct Fold {
    bootstrap: String,
    topic: String,
    input: BaseConsumer,
    partitions: BTreeMap<i32, Partition>,
    pub(crate) ledger: Ledger,
    /// Records that are no transactions.
    pub(crate) refused: BTreeSet<(i32, i64)>,
    /// Records folded so far.
    pub(crate) records: u64,
}

/// What was read of a partition beyond what is folded.
#[derive(Default)]
struct Partition {
    at: i64,
    ahead: VecDeque<Vec<u8>>,
}

impl Fold {
    pub(crate) fn new(bootstrap: &str, topic: &str) -> Self {
        let input = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "oracle")
            .set("enable.auto.commit", "false")
            .set("topic.metadata.refresh.interval.ms", "1000")
            // It has time, and many more of them run beside it.
            .set("fetch.min.bytes", "100000")
            .set("fetch.wait.max.ms", "150")
            .create()
            .unwrap();
        Self {
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            input,
            partitions: BTreeMap::new(),
            ledger: Ledger::default(),
            refused: BTreeSet::new(),
            records: 0,
        }
    }

    /// Begins at the first record again.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(&self.bootstrap, &self.topic);
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> Offsets {
        self.partitions.iter().map(|(partition, known)| (*partition, known.at)).collect()
    }

    /// Whether `to` takes nothing back that was folded before.
    pub(crate) fn is_ahead(&self, to: &Offsets) -> bool {
        self.partitions.iter().all(|(partition, known)| to.get(partition).is_some_and(|to| *to >= known.at))
    }

    /// Folds every record below `to`, and none from there on.
    #[track_caller]
    pub(crate) fn advance(&mut self, to: &Offsets) {
        self.follow(to.keys().copied());
        let deadline = Instant::now() + PATIENCE;
        while !self.has_read(to) {
            assert!(Instant::now() < deadline, "the input ends before {to:?}");
            // Errors are the brokers' coming and going.
            let Some(Ok(record)) = self.input.poll(Duration::from_millis(100)) else { continue };
            let partition = self.partitions.get_mut(&record.partition()).unwrap();
            let expected = partition.at + i64::try_from(partition.ahead.len()).unwrap();
            assert_eq!(record.offset(), expected, "partition {} of the input has a gap", record.partition());
            partition.ahead.push_back(record.payload().unwrap_or_default().to_vec());
        }
        let signs = Signs::default();
        for (number, partition) in &mut self.partitions {
            while partition.at < to[number] {
                let value = partition.ahead.pop_front().unwrap();
                if read(&value).is_err() {
                    self.refused.insert((*number, partition.at));
                }
                self.ledger.add_message(*number, &value, &signs);
                self.records += 1;
                partition.at += 1;
            }
        }
    }

    fn follow(&mut self, partitions: impl Iterator<Item = i32>) {
        let mut new = TopicPartitionList::new();
        for partition in partitions.filter(|it| !self.partitions.contains_key(it)) {
            new.add_partition_offset(&self.topic, partition, Offset::Beginning).unwrap();
        }
        if new.count() > 0 {
            self.input.incremental_assign(&new).unwrap();
            let numbers: Vec<_> = new.elements().iter().map(|it| it.partition()).collect();
            self.partitions.extend(numbers.into_iter().map(|number| (number, Partition::default())));
        }
    }

    fn has_read(&self, to: &Offsets) -> bool {
        let has = |(number, to): (&i32, &i64)| {
            let partition = &self.partitions[number];
            partition.at + i64::try_from(partition.ahead.len()).unwrap() >= *to
        };
        to.iter().all(has)
    }
}
