//! What several tests need.

use std::error::Error;
use std::time::Duration;

use balancefleet_e2e::cluster::{Group, KAFKA_OUTSIDE, Scenario, Worker};
use balancefleet_e2e::oracle::Signs;
use balancefleet_e2e::stream::{Settings, Stream};
use balancefleet_e2e::traffic::{Interrupt, Keying, Pace, Sender, Sent};
use balancefleet_e2e::verify::{AnswerError, Balances, Verdict, verify};

pub(crate) type Failure = Box<dyn Error>;
pub(crate) type Outcome = Result<(), Failure>;

pub(crate) const PARTITIONS: u32 = 6;
/// How long a fleet may take to catch up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(135);

/// A test that needs a namespace of its own.
pub(crate) fn scenario(name: &str, test: impl FnOnce(&Scenario) -> Outcome) -> Outcome {
    Scenario::run(name, test)
}

/// Sends the first `count` records as fast as the broker takes them.
pub(crate) fn send(topic: &str, settings: Settings, count: u64) -> Result<Sent, Failure> {
    let sender = Sender::new(KAFKA_OUTSIDE, topic, Keying::Transaction)?;
    let sent = sender.run(&Stream::new(settings), 0..count, &Pace::steady(0, count), &Interrupt::default(), None)?;
    assert_eq!((sent.sent, sent.acknowledged), (count, count));
    Ok(sent)
}

/// The balances as the object's Service answers.
pub(crate) fn ask(group: &Group) -> Result<Balances, AnswerError> {
    let text = group.get("/api/Balance/balances").map_err(|error| AnswerError::Other(error.to_string()))?;
    Balances::parse(&text)
}

/// Waits until the fleet has caught up, then holds every balance, count and last transaction against the oracle.
pub(crate) fn every_balance_is_right(scenario: &Scenario, group: &Group, topic: &str) -> Result<Verdict, Failure> {
    every_balance_is_right_by(scenario, group, topic, &Signs::default())
}

pub(crate) fn every_balance_is_right_by(
    scenario: &Scenario,
    group: &Group,
    topic: &str,
    signs: &Signs,
) -> Result<Verdict, Failure> {
    let verdict = verify(&scenario.topic(topic), signs, PATIENCE, || ask(group), |_| ())?;
    let shown: Vec<_> = verdict.differences.iter().take(10).map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{} differences: {shown:#?}", verdict.differences.len());
    Ok(verdict)
}

/// How many partitions each worker has, most first.
pub(crate) fn shares(assignment: &[(Worker, Vec<u32>)]) -> Vec<usize> {
    let mut shares: Vec<_> = assignment.iter().map(|(_, partitions)| partitions.len()).collect();
    shares.sort_unstable_by(|one, other| other.cmp(one));
    shares
}
