//! One polled group: its history and its newest snapshot. Takes what a poll read, gives a new snapshot, whether to
//! trigger a reconcile, and whether to poll again soon. No I/O.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_autoscaler::{CONFIRM_AFTER, Decision, GroupHistory, LagReading, decide, round_age, round_lag};
use balancefleet_kafka::{Error, ErrorKind};

use super::fetch::GroupReading;
use super::{KafkaProblem, MemberLag, PollTarget, ProblemKind, Rounded, Snapshot};

/// Failed polls in a row after which lag is unknown. A coordinator or leader that moves makes one poll fail; the next
/// one follows at once.
const FAILURES_UNTIL_UNKNOWN: u32 = 2;

/// When a poll read the group: the instant for readers, and the time since the poller's start for the autoscaler.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollTime {
    pub(super) instant: Instant,
    pub(super) elapsed: Duration,
}

/// What follows from a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PollOutcome {
    /// Something changed that the controller acts on or writes to the status.
    pub(super) changed: bool,
    /// Poll this group again in so much time instead of at the next regular poll.
    pub(super) repoll_after: Option<Duration>,
}

/// The history of one group, and its newest snapshot.
pub(super) struct Group {
    pub(super) target: PollTarget,
    history: GroupHistory,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    failures: u32,
    problem: Option<KafkaProblem>,
}

impl Group {
    pub(super) fn new(target: PollTarget) -> Self {
        let history = GroupHistory::resume(target.saved_history.clone());
        Self { target, history, snapshot: None, failures: 0, problem: None }
    }

    /// Forgets the history, which may have caused a panic. The number of failed polls is kept.
    pub(super) fn reset(&mut self) {
        self.history = GroupHistory::default();
    }

    /// Decides from what a poll read, and creates the next snapshot.
    pub(super) fn update(&mut self, polled: Result<&GroupReading, &Error>, now: PollTime) -> PollOutcome {
        let error = polled.map_or_else(Some, |reading| reading.error.as_ref());
        self.record_error(error, now.instant);
        if error.is_some_and(is_retryable) && self.failures < FAILURES_UNTIL_UNKNOWN {
            return PollOutcome { changed: false, repoll_after: Some(CONFIRM_AFTER) };
        }
        let lag = match polled {
            Ok(reading) => self.history.observe(&reading.observation, self.target.start_from, now.elapsed),
            Err(_) => LagReading::Unknown,
        };
        let decision = decide(&self.target.policy, &mut self.history, &lag, &self.target.current, now.elapsed);
        let repoll_after = decision.confirm.then_some(CONFIRM_AFTER);
        let before = self.snapshot.take();
        if before.as_ref().is_none_or(|before| before.decision.explanation != decision.explanation) {
            // The status keeps only the last explanation; the log keeps them all.
            tracing::info!(
                topic = self.target.topic,
                group = self.target.group,
                replicas = decision.replicas,
                reason = ?decision.reason,
                explanation = decision.explanation,
                "decided"
            );
        }
        let reading = polled.ok();
        let known = |value: fn(&GroupReading) -> Option<String>, last: fn(&Snapshot) -> Option<String>| {
            reading.and_then(value).or_else(|| before.as_deref().and_then(last))
        };
        let topic_id = known(|reading| Some(reading.observation.topic_id.clone()), |last| last.topic_id.clone());
        let partitions = reading.map(|reading| reading.observation.partition_count);
        let snapshot = Arc::new(Snapshot {
            rounded: rounded(&lag),
            partitions: partitions.or_else(|| before.as_ref()?.partitions),
            topic_id,
            group_state: reading.and_then(|reading| reading.state),
            group_assignor: reading.and_then(|reading| reading.assignor.clone()),
            members: reading.map_or_else(Vec::new, |reading| members(reading, &lag)),
            lag,
            decision,
            problem: self.problem.clone(),
            taken_at: now.instant,
        });
        let changed = before.is_none_or(|before| significant(&before) != significant(&snapshot));
        self.snapshot = Some(snapshot);
        PollOutcome { changed, repoll_after }
    }

    /// Counts failures, and remembers the kind of the present problem and since when it lasts.
    fn record_error(&mut self, error: Option<&Error>, now: Instant) {
        let Some(error) = error else {
            if let Some(problem) = self.problem.take() {
                tracing::info!(
                    topic = self.target.topic,
                    group = self.target.group,
                    was = ?problem.kind,
                    "group can be read again"
                );
            }
            self.failures = 0;
            return;
        };
        self.failures = self.failures.saturating_add(1);
        let kind = kind_of(error.kind());
        let since = self.problem.as_ref().filter(|problem| problem.kind == kind).map(|problem| problem.since);
        if since.is_none() {
            tracing::warn!(topic = self.target.topic, group = self.target.group, ?kind, %error, "Kafka cannot be read");
        }
        self.problem = Some(KafkaProblem { kind, message: error.to_string(), since: since.unwrap_or(now) });
    }
}

/// Whether the next poll may succeed although nobody changes anything.
fn is_retryable(error: &Error) -> bool {
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

fn rounded(lag: &LagReading) -> Rounded {
    let age = lag.age().and_then(|age| age.exact());
    Rounded { lag: lag.records().map(round_lag), lag_age: age.map(round_age) }
}

/// The members by client id, so that equal groups are equal lists.
fn members(reading: &GroupReading, lag: &LagReading) -> Vec<MemberLag> {
    let mut members: Vec<MemberLag> = reading
        .observation
        .members
        .iter()
        .flatten()
        .map(|member| {
            let client_id = reading.clients.get(&member.id).cloned().unwrap_or_default();
            let lag = lag.lag().and_then(|lag| lag.records_of(&member.partitions));
            MemberLag { client_id, partitions: member.partitions.clone(), lag }
        })
        .collect();
    members.sort_by(|a, b| (&a.client_id, &a.partitions).cmp(&(&b.client_id, &b.partitions)));
    members
}

/// What decision, conditions and status are made of: a reconcile is triggered when it changes. Left out are exact
/// figures and what blocks a decision at the moment, which change with every poll. A new field of either struct does
/// not compile until it is compared or left out here.
fn significant(snapshot: &Snapshot) -> impl PartialEq {
    let Snapshot {
        lag,
        rounded,
        partitions,
        topic_id,
        group_state,
        group_assignor,
        members,
        decision,
        problem,
        taken_at: _,
    } = snapshot;
    let Decision {
        replicas,
        reason,
        explanation,
        limited_by,
        hot_partition,
        needed: _,
        blocked_by: _,
        confirm: _,
        candidates: _,
        capacity: _,
        arrival_rate: _,
    } = decision;
    let lag = match lag {
        LagReading::Known(lag) => (0, Vec::new(), round_lag(lag.lost_records()), lag.ahead_of_log()),
        LagReading::Partial(lag) => (1, lag.missing(), round_lag(lag.lost_records()), lag.ahead_of_log()),
        LagReading::Unknown => (2, Vec::new(), 0, Vec::new()),
    };
    let members: Vec<_> = members.iter().map(|member| (&member.client_id, &member.partitions)).collect();
    let kind = problem.as_ref().map(|problem| problem.kind);
    let decided = (replicas, reason, explanation, limited_by, hot_partition);
    (decided, lag, rounded, partitions, topic_id, group_state, group_assignor, members, kind)
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
