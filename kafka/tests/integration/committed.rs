use balancefleet_kafka::{CommitMetadata, CommittedOffset};

use crate::support::{TIMEOUT, admin, commit, new_topic, partition, unique, wait_until};

fn committed(topic: &str, partition: i32, offset: Option<i64>, metadata: &str) -> CommittedOffset {
    CommittedOffset {
        topic: topic.into(),
        partition,
        offset,
        metadata: metadata.into(),
        leader_epoch: None,
        error: None,
    }
}

#[test]
fn what_a_consumer_committed_is_what_is_listed_with_its_text() {
    let (topic, group) = (new_topic("committed", 3), unique("committed"));
    let metadata = CommitMetadata { start_offset: 3, records: 39, busy_micros: 273_000 };
    commit(&group, &topic, 0, 42, &metadata.to_string());
    commit(&group, &topic, 2, 0, "");

    let all = admin().committed_offsets(&group, None, false, TIMEOUT).expect("the broker answers");

    assert_eq!(all, [committed(&topic, 0, Some(42), &metadata.to_string()), committed(&topic, 2, Some(0), "")]);
    assert_eq!(all[0].metadata.parse(), Ok(metadata));
}

#[test]
fn a_partition_without_a_commit_has_no_offset_and_keeps_its_place() {
    let (topic, group) = (new_topic("absent", 2), unique("absent"));
    commit(&group, &topic, 0, 7, "");
    let asked = [partition(&topic, 1), partition(&topic, 0), partition("no-such-topic", 0)];

    let found = admin().committed_offsets(&group, Some(&asked), true, TIMEOUT).expect("the broker answers");

    let expected =
        [committed(&topic, 1, None, ""), committed(&topic, 0, Some(7), ""), committed("no-such-topic", 0, None, "")];
    assert_eq!(found, expected);
}

#[test]
fn a_group_nobody_ever_used_has_no_commits() {
    let (admin, group) = (admin(), unique("nobody"));
    // A broker that has never seen a group first has to make the topic that groups live in.
    wait_until("the coordinator is up", || match admin.committed_offsets(&group, None, false, TIMEOUT) {
        Ok(all) => all.is_empty(),
        Err(error) => !error.is_transient(),
    });
    assert_eq!(admin.committed_offsets(&group, None, false, TIMEOUT), Ok(Vec::new()));
    assert_eq!(admin.committed_offsets(&group, Some(&[]), false, TIMEOUT), Ok(Vec::new()));
}

#[test]
fn hundreds_of_groups_are_asked_at_once_and_answered_in_order() {
    let topic = new_topic("many", 1);
    let groups: Vec<String> = (0..300).map(|index| unique(&format!("many-{index}"))).collect();
    for index in (0..300).step_by(60) {
        commit(&groups[index], &topic, 0, index as i64, "");
    }
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();

    let answers = admin().committed_offsets_of_groups(&names, false, TIMEOUT);

    assert_eq!(answers.len(), 300);
    for (index, (group, answer)) in answers.into_iter().enumerate() {
        assert_eq!(group, groups[index]);
        let expected = if index % 60 == 0 { vec![committed(&topic, 0, Some(index as i64), "")] } else { Vec::new() };
        assert_eq!(answer, Ok(expected), "group {index}");
    }
}
