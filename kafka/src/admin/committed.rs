//! The committed offsets of consumer groups.

use std::collections::HashMap;
use std::time::Duration;

use super::client::Admin;
use super::values::{Named, TopicPartition};
use crate::Error;
use crate::error::partition_name;
use crate::failure::Circumstances;
use crate::native::{Answer, Limits, Queue, RawPartition};

/// The committed offset of a group for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The next offset to be consumed; `None` when nothing is committed.
    pub offset: Option<i64>,
    /// The commit's metadata, e.g. the text of a [`CommitMetadata`](crate::CommitMetadata); empty if there is none.
    pub metadata: String,
    /// The leader epoch of the last consumed record, when the committer gave it.
    pub leader_epoch: Option<i32>,
    /// Set when this partition alone could not be answered; `offset` is then `None` and means nothing.
    pub error: Option<Error>,
}

impl Admin {
    /// The committed offsets of `group`: for the given partitions in their order, or for every partition with a commit.
    ///
    /// With `require_stable` a partition whose commit is part of an open transaction has an error of kind
    /// [`Transient`](crate::ErrorKind::Transient) instead of the commit before it.
    ///
    /// # Errors
    /// That of the whole group; a partition that may not be read has its own.
    pub fn committed_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        require_stable: bool,
        timeout: Duration,
    ) -> Result<Vec<CommittedOffset>, Error> {
        if partitions.is_some_and(<[_]>::is_empty) {
            return Ok(Vec::new());
        }
        let send = |queue: &Queue<'_>, limits| queue.ask_committed(group, partitions, require_stable, limits);
        let (answer, circumstances) = self.ask_once(timeout, send, Answer::committed)?;
        let found = answer.map_err(|failure| circumstances.error(&format!("group {group}"), failure))?;
        Ok(match partitions {
            Some(asked) => in_order(found, asked, &circumstances),
            None => sorted(found, &circumstances),
        })
    }

    /// The committed offsets of many groups, in the order asked for. The calls are pipelined, with a bound on those in
    /// flight. `timeout` is for all of them together.
    pub fn committed_offsets_of_groups(
        &self,
        groups: &[&str],
        require_stable: bool,
        timeout: Duration,
    ) -> Vec<Named<Vec<CommittedOffset>>> {
        let send = |queue: &Queue<'_>, limits: Limits| match groups.get(limits.request_index) {
            Some(group) => queue.ask_committed(group, None, require_stable, limits),
            None => Ok(()),
        };
        match self.ask(groups.len(), timeout, send, Answer::committed) {
            Err(error) => groups.iter().map(|group| (String::from(*group), Err(error.clone()))).collect(),
            Ok((answers, circumstances)) => {
                let named = |(group, answer): (&&str, Result<Vec<RawPartition>, _>)| {
                    let answer = answer.map_err(|failure| circumstances.error(&format!("group {group}"), failure));
                    (String::from(*group), answer.map(|found| sorted(found, &circumstances)))
                };
                groups.iter().zip(answers).map(named).collect()
            }
        }
    }
}

fn sorted(found: Vec<RawPartition>, circumstances: &Circumstances) -> Vec<CommittedOffset> {
    let mut offsets: Vec<_> = found.into_iter().map(|raw| committed(raw, circumstances)).collect();
    offsets.sort_unstable_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    offsets
}

fn in_order(found: Vec<RawPartition>, asked: &[TopicPartition], circumstances: &Circumstances) -> Vec<CommittedOffset> {
    let mut found: HashMap<_, _> = found.into_iter().map(|raw| ((raw.topic.clone(), raw.partition), raw)).collect();
    let answer = |asked: &TopicPartition| match found.remove(asked) {
        Some(raw) => committed(raw, circumstances),
        None => committed(RawPartition::unanswered(asked), circumstances),
    };
    asked.iter().map(answer).collect()
}

fn committed(raw: RawPartition, circumstances: &Circumstances) -> CommittedOffset {
    let error = raw.failure.map(|failure| circumstances.error(&partition_name(&raw.topic, raw.partition), failure));
    CommittedOffset {
        // librdkafka's "no offset" is a negative number, which must never be taken for an offset.
        offset: Some(raw.offset).filter(|offset| *offset >= 0 && error.is_none()),
        metadata: raw.metadata,
        leader_epoch: Some(raw.leader_epoch).filter(|epoch| *epoch >= 0),
        topic: raw.topic,
        partition: raw.partition,
        error,
    }
}
