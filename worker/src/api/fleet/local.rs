//! What this worker itself can say: its own partitions, straight from the view, without the network.

use super::Wanted;
use super::merge::Answer;
use super::peer::Question;
use super::wire::{Facts, RuleFacts};
use crate::rules::LedgerKind;
use crate::store::StoreKind;
use crate::view::{PartitionBalances, Selection, View};

/// Who this worker is and which ledger it holds; `None` until it knows the topic.
pub(crate) fn facts(view: &View) -> Option<Facts> {
    let identity = view.identity();
    let topic = view.topic()?;
    let (rules_hash, rules) = rule_facts(view);
    Some(Facts {
        consumer_id: identity.consumer_id.clone(),
        group_id: identity.group_id.clone(),
        topic: identity.topic.clone(),
        topic_id: topic.topic_id.clone(),
        rules_hash,
        partition_count: topic.partition_count,
        rules: Some(rules),
    })
}

/// What peers of the first release compare, and what others do.
fn rule_facts(view: &View) -> (String, RuleFacts) {
    let (identity, book) = (view.identity(), view.book());
    let rules = || RuleFacts { identity: book.identity().to_owned(), exponents: Default::default(), table: None };
    if identity.ledger == LedgerKind::Balances && identity.store == StoreKind::Replay {
        // No ledger says what was refused: each fold counts by the whole table, so that two tables give two ledgers.
        let table = book.whole_hash().to_owned();
        return (table.clone(), RuleFacts { table: Some(table), ..rules() });
    }
    let ledgers = view.ledger_rules();
    let exponents = ledgers.iter().flat_map(|ledger| ledger.held().collect::<Vec<_>>()).collect();
    let mut hashes: Vec<_> = ledgers.iter().map(|ledger| ledger.hash()).collect();
    hashes.dedup();
    let hash = match hashes.len() {
        0 => book.hash().to_owned(),
        1 => hashes.remove(0),
        // Who knows one hash for all partitions has to leave out this worker's.
        _ => "several".to_owned(),
    };
    (hash, RuleFacts { exponents, ..rules() })
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
    Some(facts.answer(partitions, view.book()))
}
