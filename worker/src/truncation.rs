//! Whether the logs still hold what the group has committed: for a look before any worker starts.

use std::time::Duration;

use balancefleet_kafka::{
    Admin, At, CommittedOffset, Error, Isolation, Position, UsageRecord, Validity, look_up_positions,
};

use crate::{config::Config, consumer::restore_config, failure::Failure, rules::LedgerKind, store::StoreKind};

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The partitions, each with the reason, of whose balances a part is not in the log any more. Only what can be seen: an offset
/// that a worker has committed with a leader epoch, and whose leader answers.
pub(crate) fn look(config: &Config, admin: &Admin) -> Result<Vec<(i32, Failure)>, Error> {
    // Without a store of balances, they are folded from the log as it is.
    if config.rules.ledger == LedgerKind::Count || config.store == StoreKind::Replay {
        return Ok(Vec::new());
    }
    let committed = admin.committed_offsets(&config.group_id, None, false, TIMEOUT)?;
    let positions: Vec<_> = committed.iter().filter(|it| it.topic == config.topic).filter_map(position).collect();
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<_> = positions.iter().map(|position| (config.topic.clone(), position.partition)).collect();
    let found = look_up_positions(&restore_config(config), &config.topic, &positions, TIMEOUT)?;
    // Asked afterwards: retention may pass a position meanwhile.
    let starts = admin.list_offsets(&asked, At::Earliest, Isolation::ReadUncommitted, TIMEOUT)?;
    let failures = positions.iter().zip(starts).zip(found).filter_map(|((position, start), (_, validity))| {
        let Position { partition, offset, leader_epoch } = *position;
        let failure = match (validity, start.offset) {
            (Validity::InLog | Validity::Unanswered, _) | (_, Err(_)) => return None,
            (Validity::NotInLog, Ok(start)) if offset < start => Failure::OffsetOutOfRange { offset },
            (Validity::NotInLog, Ok(_)) => Failure::LogTruncated { offset, leader_epoch },
        };
        Some((partition, failure))
    });
    Ok(failures.collect())
}

/// What a worker has committed; another program may give another epoch than that of the record before the offset.
fn position(committed: &CommittedOffset) -> Option<Position> {
    let (offset, leader_epoch) = (committed.offset?, committed.leader_epoch?);
    let is_ours = committed.metadata.parse::<UsageRecord>().is_ok();
    (is_ours && offset > 0).then_some(Position { partition: committed.partition, offset, leader_epoch })
}
