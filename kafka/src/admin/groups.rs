//! Consumer groups: who is a member and which partitions each one has.

use std::fmt;
use std::time::Duration;

use super::client::Admin;
use super::values::{Member, Named};
use crate::Error;
use crate::native::{Answer, Limits, Queue, RawGroup};

/// A group as its coordinator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Where the group is between two rebalances. A group nobody ever joined is `Dead`.
    pub state: GroupState,
    /// The assignor the members agreed on, e.g. `cooperative-sticky`; empty while there is none.
    pub assignor: String,
    /// The members in no particular order.
    pub members: Vec<Member>,
    /// The broker that coordinates the group, when it is known.
    pub coordinator: Option<i32>,
}

/// The states of Kafka's group protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// A state of a later Kafka that this client does not know.
    Unknown,
    /// Members are asked to join again.
    PreparingRebalance,
    /// Members have joined and wait for their partitions.
    CompletingRebalance,
    /// Every member has its partitions.
    Stable,
    /// No member and no commit: the coordinator knows nothing of the group.
    Dead,
    /// No member, but there may be commits.
    Empty,
}

impl GroupState {
    /// From librdkafka's number of the state.
    const fn from_code(code: i32) -> Self {
        match code {
            1 => Self::PreparingRebalance,
            2 => Self::CompletingRebalance,
            3 => Self::Stable,
            4 => Self::Dead,
            5 => Self::Empty,
            _ => Self::Unknown,
        }
    }

    /// Kafka's word for the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
            Self::Empty => "Empty",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Admin {
    /// Describes consumer groups, in the order asked for; the calls are pipelined, and `timeout` is for all together. A
    /// group that does not exist is `Dead` without members.
    ///
    /// # Errors
    /// Each group has its own; the outer one is [`Invalid`](crate::ErrorKind::Invalid) arguments.
    pub fn describe_groups(&self, groups: &[&str], timeout: Duration) -> Result<Vec<Named<GroupDescription>>, Error> {
        let send = |queue: &Queue<'_>, limits: Limits| match groups.get(limits.request_index) {
            Some(group) => queue.ask_group(group, limits),
            None => Ok(()),
        };
        let (answers, circumstances) = self.ask(groups.len(), timeout, send, Answer::group)?;
        let named = |(group, answer): (&&str, Result<RawGroup, _>)| {
            let answer = answer.map_err(|failure| circumstances.error(&format!("group {group}"), failure));
            (String::from(*group), answer.map(GroupDescription::from))
        };
        Ok(groups.iter().zip(answers).map(named).collect())
    }
}

impl From<RawGroup> for GroupDescription {
    fn from(raw: RawGroup) -> Self {
        Self {
            state: GroupState::from_code(raw.state),
            assignor: raw.assignor,
            members: raw.members,
            coordinator: (raw.coordinator >= 0).then_some(raw.coordinator),
        }
    }
}
