//! Reads many groups of one Kafka cluster and gives plain values. Five kinds of calls: one call each for all topics,
//! all latest and all earliest ends of the logs; one request per group, pipelined, for committed offsets and for the
//! state and members of the groups. Blocks, with a time-out on every call.
//!
//! Committed offsets are read before the ends: otherwise lag could be negative. `require_stable` stays off: with an
//! open transaction it would make partitions unknown in half of all polls, and lag needs only the last commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use balancefleet_autoscaler::{Committed, Member, Observation, PartitionReading, Usage};
use balancefleet_kafka::{
    Admin, At, CommitMetadata, CommittedOffset, Error, GroupDescription, GroupState, Isolation, TopicDescription,
};

/// Time limit of each call. Less than a poll interval, so that polls of a slow cluster do not pile up.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A topic with more partitions is refused: one group must not take the time of all others.
const MOST_PARTITIONS: usize = 10_000;

/// The workers' own isolation level: records of an open transaction are not lag yet.
const ISOLATION: Isolation = Isolation::ReadCommitted;

/// One group to fetch, and its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GroupRef {
    pub(super) topic: String,
    pub(super) group: String,
}

/// One group as a poll read it.
#[derive(Debug, Clone)]
pub(super) struct GroupReading {
    pub(super) observation: Observation,
    /// `None` if the group could not be described.
    pub(super) state: Option<GroupState>,
    /// The assignor that the members agreed on; `None` while there is none.
    pub(super) assignor: Option<String>,
    /// `client.id` by member id.
    pub(super) clients: BTreeMap<String, String>,
    /// Why a part of the group could not be read.
    pub(super) error: Option<Error>,
}

/// What one poll read.
#[derive(Debug)]
pub(super) struct PollResult {
    /// When the latest ends of the logs had been read.
    pub(super) at: Instant,
    pub(super) groups: HashMap<GroupRef, Result<GroupReading, Error>>,
}

type Described<T> = HashMap<String, Result<T, Error>>;
type Ends = HashMap<(String, i32), Result<i64, Error>>;

/// Fetches `groups`. The outer error concerns the whole cluster.
pub(super) fn fetch(admin: &Admin, groups: &[GroupRef]) -> Result<PollResult, Error> {
    let topic_names = unique(groups.iter().map(|group| group.topic.as_str()));
    let described = admin.describe_topics(&topic_names, TIMEOUT)?;
    let bounded = |(name, topic): (String, Result<TopicDescription, Error>)| {
        let topic = topic.and_then(|topic| check_size(&name, topic));
        (name, topic)
    };
    let topics: Described<TopicDescription> = described.into_iter().map(bounded).collect();
    let exists = |group: &&GroupRef| topics.get(&group.topic).is_some_and(Result::is_ok);
    let group_names = unique(groups.iter().filter(exists).map(|group| group.group.as_str()));
    let committed: Described<Vec<CommittedOffset>> =
        admin.committed_offsets_of_groups(&group_names, false, TIMEOUT).into_iter().collect();
    let partitions: Vec<(String, i32)> = topics
        .iter()
        .filter_map(|(name, topic)| Some((name, topic.as_ref().ok()?)))
        .flat_map(|(name, topic)| topic.partitions.iter().map(move |partition| (name.clone(), partition.id)))
        .collect();
    let latest = ends(admin, &partitions, At::Latest)?;
    let at = Instant::now();
    let earliest = ends(admin, &partitions, At::Earliest)?;
    let described: Described<GroupDescription> = admin.describe_groups(&group_names, TIMEOUT)?.into_iter().collect();
    let reading = |group: &GroupRef| -> Result<GroupReading, Error> {
        let topic = answer(&topics, &group.topic)?;
        let committed = answer(&committed, &group.group)?;
        let described = answer(&described, &group.group);
        Ok(assemble(group, topic, committed, described, &earliest, &latest))
    };
    Ok(PollResult { at, groups: groups.iter().map(|group| (group.clone(), reading(group))).collect() })
}

fn check_size(name: &str, topic: TopicDescription) -> Result<TopicDescription, Error> {
    let count = topic.partitions.len();
    if count <= MOST_PARTITIONS {
        return Ok(topic);
    }
    let detail = format!(
        "it has {count} partitions and the operator follows at most {MOST_PARTITIONS}: fix the number of replicas with \
         spec.replicas, or split the topic"
    );
    Err(Error::Other { what: format!("topic {name}"), detail })
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn ends(admin: &Admin, partitions: &[(String, i32)], at: At) -> Result<Ends, Error> {
    let listed = admin.list_offsets(partitions, at, ISOLATION, TIMEOUT)?;
    Ok(listed.into_iter().map(|listed| ((listed.topic, listed.partition), listed.offset)).collect())
}

fn answer<'a, T>(answers: &'a Described<T>, name: &str) -> Result<&'a T, Error> {
    let unanswered = || Error::Other { what: name.to_owned(), detail: String::from("the broker left it out") };
    answers.get(name).ok_or_else(unanswered)?.as_ref().map_err(Error::clone)
}

fn assemble(
    group: &GroupRef,
    topic: &TopicDescription,
    committed: &[CommittedOffset],
    described: Result<&GroupDescription, Error>,
    earliest: &Ends,
    latest: &Ends,
) -> GroupReading {
    let commits: BTreeMap<i32, &CommittedOffset> = committed
        .iter()
        .filter(|offset| offset.topic == group.topic)
        .map(|offset| (offset.partition, offset))
        .collect();
    let mut first_error = None;
    let partitions = topic.partitions.iter().map(|partition| {
        let commit = commits.get(&partition.id).copied();
        first_error = first_error.take().or_else(|| commit?.error.clone());
        PartitionReading {
            partition: partition.id,
            earliest: end(earliest, &group.topic, partition.id, &mut first_error),
            latest: end(latest, &group.topic, partition.id, &mut first_error),
            committed: commit.map_or(Committed::None, committed_of),
            usage: commit.and_then(usage_of),
        }
    });
    let partitions: Vec<PartitionReading> = partitions.collect();
    let (state, members) = match &described {
        Ok(found) => (Some(found.state), Some(members_of(found, &group.topic))),
        Err(error) => {
            first_error = first_error.or_else(|| Some(error.clone()));
            (None, None)
        }
    };
    let assignor = described.as_ref().ok().map(|found| found.assignor.clone()).filter(|name| !name.is_empty());
    let clients = described.into_iter().flat_map(|found| &found.members);
    let observation = Observation {
        topic_id: topic.id.to_string(),
        partition_count: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        partitions,
        members,
        stable: state == Some(GroupState::Stable),
    };
    GroupReading {
        observation,
        state,
        assignor,
        clients: clients.map(|member| (member.member_id.clone(), member.client_id.clone())).collect(),
        error: first_error,
    }
}

fn end(ends: &Ends, topic: &str, partition: i32, first_error: &mut Option<Error>) -> Option<i64> {
    match ends.get(&(topic.to_owned(), partition))? {
        Ok(offset) => Some(*offset),
        Err(error) => {
            first_error.get_or_insert_with(|| error.clone());
            None
        }
    }
}

fn committed_of(commit: &CommittedOffset) -> Committed {
    match (&commit.error, commit.offset) {
        (Some(_), _) => Committed::Unknown,
        (None, Some(offset)) => Committed::At(offset),
        (None, None) => Committed::None,
    }
}

/// The usage in the commit's metadata. Other clients and other releases may write none that can be read;
/// capacity is then learned from saturation.
fn usage_of(commit: &CommittedOffset) -> Option<Usage> {
    let metadata: CommitMetadata = commit.metadata.parse().ok()?;
    Some(Usage { records: metadata.records, busy_micros: metadata.busy_micros })
}

fn members_of(group: &GroupDescription, topic: &str) -> Vec<Member> {
    let owned = |member: &balancefleet_kafka::Member| {
        let mut partitions: Vec<i32> =
            member.assignment.iter().filter(|(name, _)| name == topic).map(|(_, partition)| *partition).collect();
        partitions.sort_unstable();
        partitions
    };
    group.members.iter().map(|member| Member { id: member.member_id.clone(), partitions: owned(member) }).collect()
}
