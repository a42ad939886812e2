//! What this worker itself can say: its own partitions, straight from the view, without the network.

use super::Wanted;
use super::merge::Answer;
use super::peer::Question;
use super::wire::Facts;
use crate::view::{PartitionBalances, Selection, View};

/// Who this worker is and which ledger it holds; `None` until it knows the topic.
pub(crate) fn facts(view: &View) -> Option<Facts> {
    let identity = view.identity();
    let topic = view.topic()?;
    Some(Facts {
        consumer_id: identity.consumer_id.clone(),
        group_id: identity.group_id.clone(),
        topic: identity.topic.clone(),
        topic_id: topic.topic_id.clone(),
        rules_hash: identity.rules_hash.clone(),
        partition_count: topic.partition_count,
    })
}

/// The partitions this worker may answer for now, one after the other, each read under one lock when it is its turn.
pub(crate) fn partitions<'a>(
    view: &'a View,
    wanted: &'a Wanted,
    only: Option<&'a [i32]>,
) -> impl Iterator<Item = PartitionBalances> + 'a {
    let selection = match wanted {
        Wanted::All => Selection::All,
        Wanted::Customer(customer) => Selection::Customer(customer),
    };
    let asked = move |partition: &i32| only.is_none_or(|only| only.contains(partition));
    view.answerable().into_iter().filter(asked).filter_map(move |partition| view.read(partition, selection))
}

/// This worker's answer to what it asks its peers; `None` until it knows the topic.
pub(super) fn answer(view: &View, question: &Question) -> Option<Answer> {
    let facts = facts(view)?;
    let partitions = partitions(view, &question.wanted, question.only.as_deref()).collect();
    Some(Answer { identity: facts.identity(), partition_count: facts.partition_count, partitions })
}
