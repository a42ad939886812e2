//! Reads many groups of one Kafka cluster in a fixed number of calls: in go topics and groups, out comes what each group
//! looks like, in plain values. Blocks, with a time-out on every call.
//!
//! Offsets are read committed first, ends second, else lag could come out negative. `require_stable` stays off: with an
//! open transaction it would make partitions unknown in half of all polls, and the last commit is what lag needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use balancefleet_autoscaler::{Committed, Member, Observation, PartitionReading, Usage};
use balancefleet_kafka::{
    Admin, At, CommittedOffset, Error, GroupDescription, GroupState, Isolation, TopicDescription, UsageRecord,
};

/// Time for each call. Less than a poll interval: a slow cluster must not pile up polls.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A larger topic is said and not followed: one group must not take the time of all others.
const MOST_PARTITIONS: usize = 10_000;

/// What the workers read with: an open transaction's records are no lag yet.
const ISOLATION: Isolation = Isolation::ReadCommitted;

/// One group to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) topic: String,
    pub(super) group: String,
}

/// One group as it was read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) observation: Observation,
    /// `None` if the group could not be described.
    pub(super) state: Option<GroupState>,
    /// What the members agreed on; `None` while there is no such thing.
    pub(super) assignor: Option<String>,
    /// `client.id` by member id.
    pub(super) clients: BTreeMap<String, String>,
    /// Why a part of it could not be read.
    pub(super) flaw: Option<Error>,
}

/// What one poll read.
#[derive(Debug)]
pub(super) struct Read {
    /// When the ends of the logs were read: the time that goes with them.
    pub(super) at: Instant,
    pub(super) groups: HashMap<Wanted, Result<Seen, Error>>,
}

type Described<T> = HashMap<String, Result<T, Error>>;
type Ends = HashMap<(String, i32), Result<i64, Error>>;

/// Reads `wanted`. The outer error is that of the whole cluster.
pub(super) fn read(admin: &Admin, wanted: &[Wanted]) -> Result<Read, Error> {
    let topic_names = unique(wanted.iter().map(|wanted| wanted.topic.as_str()));
    let described = admin.describe_topics(&topic_names, TIMEOUT)?;
    let followed = |(name, topic): (String, Result<TopicDescription, Error>)| {
        let topic = topic.and_then(|topic| of_bearable_size(&name, topic));
        (name, topic)
    };
    let topics: Described<TopicDescription> = described.into_iter().map(followed).collect();
    let exists = |wanted: &&Wanted| topics.get(&wanted.topic).is_some_and(Result::is_ok);
    let group_names = unique(wanted.iter().filter(exists).map(|wanted| wanted.group.as_str()));
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
    let seen = |wanted: &Wanted| -> Result<Seen, Error> {
        let topic = answer(&topics, &wanted.topic)?;
        let committed = answer(&committed, &wanted.group)?;
        let described = answer(&described, &wanted.group);
        Ok(assemble(wanted, topic, committed, described, &earliest, &latest))
    };
    Ok(Read { at, groups: wanted.iter().map(|wanted| (wanted.clone(), seen(wanted))).collect() })
}

fn of_bearable_size(name: &str, topic: TopicDescription) -> Result<TopicDescription, Error> {
    let count = topic.partitions.len();
    if count <= MOST_PARTITIONS {
        return Ok(topic);
    }
    let detail = format!(
        "it has {count} partitions and the operator follows at most {MOST_PARTITIONS}: fix the number of workers with \
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
    wanted: &Wanted,
    topic: &TopicDescription,
    committed: &[CommittedOffset],
    described: Result<&GroupDescription, Error>,
    earliest: &Ends,
    latest: &Ends,
) -> Seen {
    let commits: BTreeMap<i32, &CommittedOffset> = committed
        .iter()
        .filter(|offset| offset.topic == wanted.topic)
        .map(|offset| (offset.partition, offset))
        .collect();
    let mut flaw = None;
    let partitions = topic.partitions.iter().map(|partition| {
        let commit = commits.get(&partition.id).copied();
        flaw = flaw.take().or_else(|| commit?.error.clone());
        PartitionReading {
            partition: partition.id,
            earliest: end(earliest, &wanted.topic, partition.id, &mut flaw),
            latest: end(latest, &wanted.topic, partition.id, &mut flaw),
            committed: commit.map_or(Committed::None, committed_of),
            usage: commit.and_then(usage_of),
        }
    });
    let partitions: Vec<PartitionReading> = partitions.collect();
    let (state, members) = match &described {
        Ok(group) => (Some(group.state), Some(members_of(group, &wanted.topic))),
        Err(error) => {
            flaw = flaw.or_else(|| Some(error.clone()));
            (None, None)
        }
    };
    let assignor = described.as_ref().ok().map(|group| group.assignor.clone()).filter(|name| !name.is_empty());
    let clients = described.into_iter().flat_map(|group| &group.members);
    let observation = Observation {
        topic_id: topic.id.to_string(),
        partition_count: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        partitions,
        members,
        stable: state == Some(GroupState::Stable),
    };
    Seen {
        observation,
        state,
        assignor,
        clients: clients.map(|member| (member.member_id.clone(), member.client_id.clone())).collect(),
        flaw,
    }
}

fn end(ends: &Ends, topic: &str, partition: i32, flaw: &mut Option<Error>) -> Option<i64> {
    match ends.get(&(topic.to_owned(), partition))? {
        Ok(offset) => Some(*offset),
        Err(error) => {
            flaw.get_or_insert_with(|| error.clone());
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

/// Foreign metadata, or that of another release, is no usage record: then capacity is learned from saturation.
fn usage_of(commit: &CommittedOffset) -> Option<Usage> {
    let record: UsageRecord = commit.metadata.parse().ok()?;
    Some(Usage { records: record.records, busy_micros: record.busy_micros })
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
