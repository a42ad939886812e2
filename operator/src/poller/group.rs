//! One watched group: what was learned of it and what is published. In goes what a poll read, out comes a new snapshot,
//! whether to wake the object, and whether to poll again soon. No I/O.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_autoscaler::{CONFIRM_AFTER, LagReading, Memory, decide, round_age, round_lag};
use balancefleet_kafka::{Error, ErrorKind};

use super::fetch::Seen;
use super::{KafkaProblem, Member, ProblemKind, Snapshot, Stepped, Watch};

/// Failed polls in a row after which lag is unknown. A coordinator or leader on the move fails one, and the next poll
/// follows at once.
const FAILURES_UNTIL_UNKNOWN: u32 = 2;

/// When something was read: the instant for readers, and the time since the poller's start for the autoscaler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) elapsed: Duration,
}

/// What is to happen after a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Next {
    /// Something changed that the object's controller acts on or writes down.
    pub(super) wake: bool,
    /// Poll this group again in so much time instead of at the next regular poll.
    pub(super) again: Option<Duration>,
}

/// One group's memory and its newest snapshot.
pub(super) struct Group {
    pub(super) watch: Watch,
    memory: Memory,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    failures: u32,
    problem: Option<KafkaProblem>,
}

impl Group {
    pub(super) fn new(watch: Watch) -> Self {
        Self { watch, memory: Memory::default(), snapshot: None, failures: 0, problem: None }
    }

    /// Forgets what was learned: it may be what a fault came from. That the poll failed is not forgotten.
    pub(super) fn start_anew(&mut self) {
        self.memory = Memory::default();
    }

    /// Takes over what a poll read.
    pub(super) fn take(&mut self, read: Result<&Seen, &Error>, now: Moment) -> Next {
        let flaw = read.map_or_else(Some, |seen| seen.flaw.as_ref());
        self.note(flaw, now.instant);
        if flaw.is_some_and(may_pass) && self.failures < FAILURES_UNTIL_UNKNOWN {
            return Next { wake: false, again: Some(CONFIRM_AFTER) };
        }
        let reading = match read {
            Ok(seen) => self.memory.observe(&seen.observation, self.watch.start_from, now.elapsed),
            Err(_) => LagReading::Unknown,
        };
        let decision = decide(&self.watch.policy, &mut self.memory, &reading, &self.watch.current, now.elapsed);
        let again = decision.confirm.then_some(CONFIRM_AFTER);
        let before = self.snapshot.take();
        if before.as_ref().is_none_or(|before| before.decision.explanation != decision.explanation) {
            // The status keeps the last sentence only; the log keeps them all.
            tracing::info!(
                topic = self.watch.topic,
                group = self.watch.group,
                replicas = decision.replicas,
                reason = ?decision.reason,
                explanation = decision.explanation,
                "decided"
            );
        }
        let seen = read.ok();
        let known = |value: fn(&Seen) -> Option<String>, last: fn(&Snapshot) -> Option<String>| {
            seen.and_then(value).or_else(|| before.as_deref().and_then(last))
        };
        let topic_id = known(|seen| Some(seen.observation.topic_id.clone()), |last| last.topic_id.clone());
        let partitions = seen.map(|seen| seen.observation.partition_count);
        let snapshot = Arc::new(Snapshot {
            stepped: stepped(&reading),
            partitions: partitions.or_else(|| before.as_ref()?.partitions),
            topic_id,
            group_state: seen.and_then(|seen| seen.state),
            group_assignor: seen.and_then(|seen| seen.assignor.clone()),
            members: seen.map_or_else(Vec::new, |seen| members(seen, &reading)),
            lag: reading,
            decision,
            problem: self.problem.clone(),
            taken_at: now.instant,
        });
        let wake = before.is_none_or(|before| !says_the_same(&before, &snapshot));
        self.snapshot = Some(snapshot);
        Next { wake, again }
    }

    /// Counts failures and remembers since when there is what kind of problem.
    fn note(&mut self, flaw: Option<&Error>, now: Instant) {
        let Some(error) = flaw else {
            if let Some(problem) = self.problem.take() {
                tracing::info!(topic = self.watch.topic, group = self.watch.group, was = ?problem.kind, "Kafka is read again");
            }
            self.failures = 0;
            return;
        };
        self.failures = self.failures.saturating_add(1);
        let kind = kind_of(error.kind());
        let since = self.problem.as_ref().filter(|problem| problem.kind == kind).map(|problem| problem.since);
        if since.is_none() {
            tracing::warn!(topic = self.watch.topic, group = self.watch.group, ?kind, %error, "Kafka cannot be read");
        }
        self.problem = Some(KafkaProblem { kind, message: error.to_string(), since: since.unwrap_or(now) });
    }
}

/// Whether the next poll may well succeed with nobody changing anything.
fn may_pass(error: &Error) -> bool {
    error.is_transient() || error.kind() == ErrorKind::Other
}

const fn kind_of(kind: ErrorKind) -> ProblemKind {
    match kind {
        ErrorKind::Unreachable | ErrorKind::Timeout => ProblemKind::BrokerUnreachable,
        ErrorKind::Authentication => ProblemKind::AuthenticationFailed,
        ErrorKind::Tls => ProblemKind::TlsFailed,
        ErrorKind::Authorization => ProblemKind::AuthorizationFailed,
        ErrorKind::UnknownTopic => ProblemKind::UnknownTopic,
        ErrorKind::Invalid => ProblemKind::InvalidConnection,
        ErrorKind::OutOfRange | ErrorKind::Transient | ErrorKind::Other => ProblemKind::ReadFailed,
    }
}

fn stepped(reading: &LagReading) -> Stepped {
    let age = reading.age().and_then(|age| age.exactly());
    Stepped { lag: reading.records().map(round_lag), lag_age: age.map(round_age) }
}

/// The members by client id, so that equal groups are equal lists.
fn members(seen: &Seen, reading: &LagReading) -> Vec<Member> {
    let mut members: Vec<Member> = seen
        .observation
        .members
        .iter()
        .flatten()
        .map(|member| {
            let client_id = seen.clients.get(&member.id).cloned().unwrap_or_default();
            let lag = reading.lag().and_then(|lag| lag.records_of(&member.partitions));
            Member { client_id, partitions: member.partitions.clone(), lag }
        })
        .collect();
    members.sort_by(|a, b| (&a.client_id, &a.partitions).cmp(&(&b.client_id, &b.partitions)));
    members
}

/// Whether nothing changed that a decision, a condition or the status says. Exact figures and what blocks a decision for
/// the moment are not among that: they change with every poll.
fn says_the_same(before: &Snapshot, after: &Snapshot) -> bool {
    let (old, new) = (&before.decision, &after.decision);
    let kinds = |snapshot: &Snapshot| snapshot.problem.as_ref().map(|problem| problem.kind);
    let members = |snapshot: &Snapshot| {
        snapshot.members.iter().map(|m| (m.client_id.clone(), m.partitions.clone())).collect::<Vec<_>>()
    };
    let lag = |snapshot: &Snapshot| match &snapshot.lag {
        LagReading::Known(lag) => (0, Vec::new(), round_lag(lag.lost_records()), lag.ahead_of_log()),
        LagReading::Partial(lag) => (1, lag.missing(), round_lag(lag.lost_records()), lag.ahead_of_log()),
        LagReading::Unknown => (2, Vec::new(), 0, Vec::new()),
    };
    (old.replicas, old.reason, &old.explanation, old.limited_by)
        == (new.replicas, new.reason, &new.explanation, new.limited_by)
        && before.stepped == after.stepped
        && (before.partitions, &before.topic_id, before.group_state, &before.group_assignor)
            == (after.partitions, &after.topic_id, after.group_state, &after.group_assignor)
        && kinds(before) == kinds(after)
        && lag(before) == lag(after)
        && members(before) == members(after)
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
