//! Databases that are behind what was committed.

use super::STORE;
use crate::harness::{Database, SOON, Traffic, fleet, stream};

/// As after a fail-over to a replica that had not received the last commits: nobody has claimed anything meanwhile.
#[test]
fn a_database_that_has_lost_commits_is_gone_on_with_from_where_it_stands() {
    let stream = stream("pg-behind");
    let mut traffic = Traffic::new(70, 40);
    traffic.send(&stream, 600);
    let mut fleet = fleet(&stream, 1, &[STORE]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    let (database, of_group) = (Database::shared(), format!("WHERE group_id = '{}'", stream.group));
    database.run(&format!(
        "CREATE TEMP TABLE part_then AS SELECT * FROM balancefleet.part {of_group};
         CREATE TEMP TABLE bal_then AS SELECT * FROM balancefleet.bal {of_group}"
    ));
    traffic.send(&stream, 600);
    fleet.await_balances(&traffic.oracle, SOON);
    // The rows of `part` first, as every batch does.
    database.run(&format!(
        "BEGIN;
         UPDATE balancefleet.part AS p SET next_offset = t.next_offset, customers = t.customers, checksum = t.checksum
           FROM part_then AS t WHERE (p.group_id, p.topic, p.partition) = (t.group_id, t.topic, t.partition);
         DELETE FROM balancefleet.bal {of_group};
         INSERT INTO balancefleet.bal SELECT * FROM bal_then;
         COMMIT"
    ));
    traffic.send(&stream, 60);
    fleet.await_balances(&traffic.oracle, SOON);
    fleet.get(0).await_log("restoring partitions again");
}
