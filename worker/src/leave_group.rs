//! Leaves the group at once, and checks that the group knows.
//!
//! Closing a consumer does not always leave its group. librdkafka 2.12 sends no LeaveGroup for a cooperative member
//! without partitions, nor during a join, although the consumer counts as closed. Then the other members wait for a
//! session timeout. Unsubscribing sends it at once, or when the running rebalance ends, so the worker unsubscribes
//! first.

use std::{
    fmt,
    time::{Duration, Instant},
};

use balancefleet_kafka::{Admin, Error, GroupMetadata};
use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer as _, RebalanceProtocol},
    error::KafkaResult,
};

use crate::kafka_clients::{GroupConsumer, RebalanceKind};

/// A member that is about to get its id would be left behind as a pending one, for which the others wait.
const ID_WITHIN: Duration = Duration::from_millis(200);
/// How long the client is polled at a time.
const POLL: Duration = Duration::from_millis(5);
/// Between two looks whether the group still has the member.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The outcome of leaving a group.
enum Outcome {
    /// The group no longer has this member.
    Gone,
    /// The consumer was not a member.
    WasNoMember,
    /// The member did not leave in time, or it is unknown whether it did.
    Unknown(Unknown),
}

/// Why it is unknown whether a member has left.
enum Unknown {
    Rebalancing,
    Remains,
    Unanswered(Error),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rebalancing => f.write_str("a rebalance is still under way"),
            Self::Remains => f.write_str("the group still has this member"),
            Self::Unanswered(error) => write!(f, "{error}"),
        }
    }
}

/// Leaves the group by `deadline`, and logs that only when the group's coordinator confirms it. Gives up all partitions
/// that the client still has. `is_asked`: the group has asked for partitions and waits for the answer.
pub(crate) fn leave(consumer: &GroupConsumer, admin: &Admin, group: &str, is_asked: bool, deadline: Instant) {
    match try_to_leave(consumer, admin, group, is_asked, deadline) {
        Outcome::Gone => tracing::info!("left the group"),
        Outcome::WasNoMember => tracing::debug!("there was no membership to give up"),
        Outcome::Unknown(why) => {
            tracing::warn!("leaving the group takes too long ({why}); its session timeout does the rest");
        }
    }
}

fn try_to_leave(consumer: &GroupConsumer, admin: &Admin, group: &str, is_asked: bool, deadline: Instant) -> Outcome {
    if consumer.subscription().is_ok_and(|topics| topics.count() == 0) {
        return Outcome::WasNoMember;
    }
    let id_by = deadline.min(Instant::now() + ID_WITHIN);
    poll_until(consumer, id_by, || member_id(consumer).is_some());
    let mut last_id = member_id(consumer);
    consumer.unsubscribe();
    if is_asked {
        release_all(consumer, RebalanceKind::Revoke);
    }
    // Empty as soon as LeaveGroup is sent, or the membership is lost.
    let is_out = poll_until(consumer, deadline, || match member_id(consumer) {
        Some(id) => {
            last_id = Some(id);
            false
        }
        None => true,
    });
    let Some(id) = last_id else { return Outcome::WasNoMember };
    if !is_out {
        return Outcome::Unknown(Unknown::Rebalancing);
    }
    // The client is closed once LeaveGroup was answered, with whatever.
    match consumer.close_queue() {
        Ok(()) => drop(poll_until(consumer, deadline, || consumer.closed())),
        Err(error) => tracing::debug!(%error, "the client refuses to be closed"),
    }
    await_absence(admin, group, &id, deadline)
}

fn member_id(consumer: &GroupConsumer) -> Option<String> {
    let membership = GroupMetadata::capture(consumer)?;
    Some(membership.member_id()).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Polls until `is_done`, and gives up all partitions at every rebalance; false at the deadline.
fn poll_until(consumer: &GroupConsumer, deadline: Instant, mut is_done: impl FnMut() -> bool) -> bool {
    loop {
        if is_done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        drop(consumer.poll(POLL));
        while let Some(rebalance) = consumer.context().next_rebalance() {
            tracing::debug!(?rebalance, "answered by letting everything go");
            release_all(consumer, rebalance.kind);
        }
    }
}

fn release_all(consumer: &GroupConsumer, kind: RebalanceKind) {
    if let Err(error) = answer(consumer, kind) {
        tracing::debug!(%error, "the client refuses an assignment while leaving");
    }
}

/// The client waits for an answer of the same kind. It gets no partitions any more, and gives up all that it has.
fn answer(consumer: &GroupConsumer, kind: RebalanceKind) -> KafkaResult<()> {
    let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
    match (kind, is_cooperative) {
        (RebalanceKind::Assign, true) => consumer.incremental_assign(&TopicPartitionList::new()),
        (RebalanceKind::Assign, false) => consumer.assign(&TopicPartitionList::new()),
        (_, true) => consumer.incremental_unassign(&consumer.assignment()?),
        (_, false) => consumer.unassign(),
    }
}

/// That LeaveGroup was sent proves nothing: it may have met no coordinator.
fn await_absence(admin: &Admin, group: &str, member_id: &str, deadline: Instant) -> Outcome {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let described = admin.describe_groups(&[group], left).map(|mut all| all.pop());
        let why = match described {
            Ok(Some((_, Ok(group)))) if group.members.iter().any(|member| member.member_id == member_id) => {
                Unknown::Remains
            }
            Ok(Some((_, Ok(_))) | None) => return Outcome::Gone,
            Ok(Some((_, Err(error)))) | Err(error) => Unknown::Unanswered(error),
        };
        if Instant::now() + LOOK_AGAIN >= deadline {
            return Outcome::Unknown(why);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
