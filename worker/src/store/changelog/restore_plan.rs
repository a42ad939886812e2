//! Decides from where a partition continues, by its changelog, the group's offset and the input log.

use super::{
    contents::CompleteContents,
    progress::{ChangelogContext, ProgressRecord},
};
use crate::{
    config::StartFrom,
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, WorkerRules},
    },
    partition_failure::PartitionFailure,
    store::{RestorePlan, Restored, initial_offsets::InitialOffsets, offsets::PartitionOffsets},
};

/// What is known about a partition besides its changelog.
pub(super) struct Known<'a> {
    pub(super) context: &'a ChangelogContext<'a>,
    pub(super) offsets: &'a PartitionOffsets,
    pub(super) start_from: StartFrom,
    /// Starting offsets, if the group begins now at the end of the logs.
    pub(super) initial_offsets: Option<&'a InitialOffsets>,
}

pub(super) fn restore_plan(contents: CompleteContents, known: &Known<'_>) -> Result<RestorePlan, PartitionFailure> {
    let CompleteContents { ledger, progress, records } = contents;
    match progress {
        Some(progress) => {
            check_context(&progress, known.context)?;
            if progress.partial {
                return fold_again(&progress, known.offsets);
            }
            resume(ledger, &progress, known.offsets).map(|restored| RestorePlan::Done(Restored { records, ..restored }))
        }
        None => known.offsets.plan_beginning(known.start_from, known.initial_offsets),
    }
}

/// The rules that made the customers, if this worker may continue with them.
pub(super) fn rules_of(
    progress: &ProgressRecord,
    ledger: &Ledger,
    worker_rules: &WorkerRules,
) -> Result<LedgerRules, PartitionFailure> {
    let mut rules = LedgerRules::take_over(progress.stored_rules(), worker_rules)?;
    // Details are written together with the records. Without them, only the records show what the first release has
    // counted.
    if progress.rule_details.is_none() {
        rules.note_found(ledger.currencies(), worker_rules)?;
    }
    Ok(rules)
}

/// Checks that the customers belong to this group and this topic.
pub(super) fn check_context(progress: &ProgressRecord, context: &ChangelogContext<'_>) -> Result<(), PartitionFailure> {
    if (progress.group.as_str(), progress.topic.as_str()) != (context.group, context.topic) {
        let (group, topic) = (progress.group.clone(), progress.topic.clone());
        return Err(PartitionFailure::ForeignChangelog { group, topic });
    }
    if progress.topic_id != context.topic_id {
        let (expected, found) = (progress.topic_id.clone(), context.topic_id.to_owned());
        return Err(PartitionFailure::TopicRecreated { expected, found });
    }
    if progress.rebuilding {
        return Err(PartitionFailure::Rebuilding);
    }
    Ok(())
}

/// Continues from the changelog; the group's offset must not contradict it.
fn resume(ledger: Ledger, progress: &ProgressRecord, offsets: &PartitionOffsets) -> Result<Restored, PartitionFailure> {
    let next_offset = progress.next_offset;
    // The offsets of a group without members expire; the changelog does not.
    if let Some(committed) = offsets.committed.as_ref().filter(|committed| committed.offset != next_offset) {
        return Err(PartitionFailure::OffsetsMoved { changelog: next_offset, committed: committed.offset });
    }
    offsets.check_in_log(next_offset)?;
    Ok(Restored {
        ledger,
        start_offset: progress.start_offset,
        committed: offsets.committed.as_ref().map(|committed| committed.offset),
        leader_epoch: progress.leader_epoch,
        ..Restored::empty_at(next_offset)
    })
}

/// Plans for a ledger whose first write was interrupted: it is folded again and written over what is there. The same
/// records give the same customers, so nothing of the first attempt stays. The first release began such copies
/// for groups that had used the replay store; this finishes them.
fn fold_again(progress: &ProgressRecord, offsets: &PartitionOffsets) -> Result<RestorePlan, PartitionFailure> {
    let (start_offset, changelog) = (progress.start_offset, progress.next_offset);
    let target = offsets.committed.as_ref().map_or(changelog, |committed| committed.offset);
    if target < changelog {
        return Err(PartitionFailure::OffsetsMoved { changelog, committed: target });
    }
    offsets.plan_fold(start_offset, target)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::{
        domain::ledger_rules::tests::worker_rules,
        store::{LedgerChecksum, offsets::Committed},
    };

    static WORKER_RULES: LazyLock<WorkerRules> = LazyLock::new(|| worker_rules(&[]));
    static CONTEXT: LazyLock<ChangelogContext<'static>> =
        LazyLock::new(|| ChangelogContext { group: "g", topic: "t", topic_id: "i", worker_rules: &WORKER_RULES });

    fn progress(context: &ChangelogContext<'_>, next_offset: i64) -> ProgressRecord {
        let rules = LedgerRules::begin(context.worker_rules, 5);
        ProgressRecord::new(context, &rules, 5, next_offset, Some(4), LedgerChecksum::default())
    }

    fn planned(
        progress: Option<ProgressRecord>,
        committed: Option<(i64, &str)>,
        log: std::ops::Range<i64>,
    ) -> Result<RestorePlan, PartitionFailure> {
        let committed = committed.map(|(offset, metadata)| Committed { offset, metadata: metadata.to_owned() });
        let offsets = PartitionOffsets { committed, log_start: log.start, log_end: log.end };
        let contents = CompleteContents { ledger: Ledger::default(), progress, records: 0 };
        restore_plan(
            contents,
            &Known { context: &CONTEXT, offsets: &offsets, start_from: StartFrom::Earliest, initial_offsets: None },
        )
    }

    fn resumed(plan: Result<RestorePlan, PartitionFailure>) -> (i64, i64) {
        let Ok(RestorePlan::Done(restored)) = plan else { panic!("not ready") };
        (restored.start_offset, restored.next_offset)
    }

    #[test]
    fn the_changelog_and_the_group_agree() {
        assert_eq!(resumed(planned(Some(progress(&CONTEXT, 60)), Some((60, "")), 50..90)), (5, 60));
    }

    #[test]
    fn expired_offsets_are_no_reason_to_begin_again() {
        assert_eq!(resumed(planned(Some(progress(&CONTEXT, 60)), None, 50..90)), (5, 60));
    }

    #[test]
    fn a_group_whose_offsets_were_moved_by_hand_is_not_followed() {
        for committed in [59, 61] {
            let plan = planned(Some(progress(&CONTEXT, 60)), Some((committed, "")), 0..90);
            assert!(matches!(plan, Err(PartitionFailure::OffsetsMoved { changelog: 60, .. })));
        }
    }

    #[test]
    fn records_that_are_gone_before_they_were_folded_are_told() {
        let plan = |log| planned(Some(progress(&CONTEXT, 60)), Some((60, "")), log);
        assert!(matches!(plan(61..90), Err(PartitionFailure::OffsetOutOfRange { offset: 60 })));
        assert!(matches!(plan(0..59), Err(PartitionFailure::CommittedBeyondEnd { .. })));
    }

    #[test]
    fn the_changelog_of_other_topics_or_groups_is_refused() {
        let of = |context: ChangelogContext<'_>| planned(Some(progress(&context, 60)), Some((60, "")), 0..90);
        let ours = CONTEXT.clone();
        assert!(matches!(
            of(ChangelogContext { topic_id: "x", ..ours.clone() }),
            Err(PartitionFailure::TopicRecreated { .. })
        ));
        assert!(matches!(
            of(ChangelogContext { group: "x", ..ours.clone() }),
            Err(PartitionFailure::ForeignChangelog { .. })
        ));
        assert!(matches!(of(ChangelogContext { topic: "x", ..ours }), Err(PartitionFailure::ForeignChangelog { .. })));
    }

    #[test]
    fn a_rebuild_that_did_not_finish_stays_refused() {
        let mut unfinished = progress(&CONTEXT, 60);
        unfinished.rebuilding = true;
        assert!(matches!(planned(Some(unfinished), Some((60, "")), 0..90), Err(PartitionFailure::Rebuilding)));
    }

    #[test]
    fn a_ledger_that_was_not_written_to_its_end_is_folded_again() {
        let partial = || ProgressRecord { partial: true, ..progress(&CONTEXT, 60) };
        let folded = |committed| planned(Some(partial()), committed, 5..90);
        for committed in [Some((60, "")), None] {
            assert!(
                matches!(folded(committed), Ok(RestorePlan::ReplayInput { start_offset: 5, records }) if records == (5..60))
            );
        }
        // The group has gone on with the replay store meanwhile, or was set back.
        assert!(
            matches!(folded(Some((70, ""))), Ok(RestorePlan::ReplayInput { start_offset: 5, records }) if records == (5..70))
        );
        assert!(matches!(folded(Some((59, ""))), Err(PartitionFailure::OffsetsMoved { changelog: 60, committed: 59 })));
        let gone = planned(Some(partial()), Some((60, "")), 6..90);
        assert!(matches!(gone, Err(PartitionFailure::RetentionPassedStartOffset { start_offset: 5, log_start: 6 })));
    }

    #[test]
    fn without_details_the_rows_say_which_currencies_are_held() {
        let mut ledger = Ledger::default();
        let posting = crate::domain::ledger::Posting {
            customer: "A".into(),
            currency: crate::domain::money::Currency::parse("EUR").unwrap(),
            minor_units: 1,
            transaction_id: "T".into(),
            timestamp: jiff::Timestamp::UNIX_EPOCH,
        };
        ledger.fold(&posting, 7).unwrap();
        let of_first_release = ProgressRecord { rule_details: None, ..progress(&CONTEXT, 60) };
        let held = |rules: LedgerRules| rules.counted().map(|(code, it)| (code.to_string(), it)).collect::<Vec<_>>();
        assert_eq!(rules_of(&of_first_release, &ledger, &WORKER_RULES).map(held), Ok(vec![("EUR".to_owned(), 2)]));
        let finer = rules_of(&of_first_release, &ledger, &worker_rules(&[("EUR", 4)]));
        assert!(matches!(finer, Err(PartitionFailure::LedgerSettingsChanged(_))), "{finer:?}");
        assert!(
            rules_of(&of_first_release, &Ledger::default(), &worker_rules(&[("EUR", 4)])).is_ok(),
            "nobody holds it"
        );
    }

    #[test]
    fn a_new_partition_begins_at_its_first_record() {
        assert_eq!(resumed(planned(None, None, 7..90)), (7, 7));
    }

    #[test]
    fn offsets_alone_are_not_followed() {
        for metadata in ["", "bf1 base=5 records=10 busy_micros=70"] {
            let refused = planned(None, Some((60, metadata)), 5..90);
            assert!(matches!(refused, Err(PartitionFailure::CommitWithoutProgress { committed: 60 })), "{metadata}");
        }
        assert_eq!(resumed(planned(None, Some((5, "")), 5..90)), (5, 5));
    }
}
