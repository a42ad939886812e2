use std::collections::HashSet;

use balancefleet_kafka::{GroupMetadata, GroupState};

use crate::support::{Running, TIMEOUT, admin, commit, consumer, new_topic, unique, wait_until};

#[test]
fn members_are_listed_with_their_client_ids_and_partitions() {
    let (topic, group) = (new_topic("members", 6), unique("members"));
    let first = Running::start(&group, "balance-worker-a", &topic);
    let second = Running::start(&group, "balance-worker-b", &topic);
    wait_until("both have partitions", || first.assignment().len() == 3 && second.assignment().len() == 3);
    let admin = admin();
    let describe =
        || admin.describe_groups(&[&group], TIMEOUT).expect("the broker answers").remove(0).1.expect("known");
    wait_until("the group is stable", || describe().state == GroupState::Stable);

    let described = describe();

    assert_eq!(described.assignor, "cooperative-sticky");
    assert!(described.coordinator.is_some());
    assert_eq!(described.members.len(), 2);
    for (running, client_id) in [(&first, "balance-worker-a"), (&second, "balance-worker-b")] {
        let member = described.members.iter().find(|it| it.client_id == client_id).expect("it is listed");
        assert_eq!(member.assignment.iter().cloned().collect::<HashSet<_>>(), running.assignment());
        assert_eq!(member.member_id, running.membership().member_id());
        assert!(member.host.contains("127.0.0.1"), "{}", member.host);
    }
}

#[test]
fn a_group_without_members_is_empty_and_one_without_commits_is_dead() {
    let (topic, used, unused) = (new_topic("empty", 1), unique("used"), unique("unused"));
    commit(&used, &topic, 0, 1, "");

    let described = admin().describe_groups(&[&unused, &used], TIMEOUT).expect("the broker answers");

    let states: Vec<_> = described.into_iter().map(|(name, group)| (name, group.map(|it| it.state))).collect();
    assert_eq!(states, [(unused, Ok(GroupState::Dead)), (used, Ok(GroupState::Empty))]);
    assert_eq!(admin().describe_groups(&[], TIMEOUT), Ok(Vec::new()));
}

#[test]
fn a_captured_membership_stays_as_it_was_while_the_group_moves_on() {
    let (topic, group) = (new_topic("membership", 2), unique("membership"));
    let outsider = consumer(&group, "outsider");
    let before = GroupMetadata::capture(&outsider).expect("the consumer has a group");
    assert!(!before.is_member(), "{before:?}");

    let first = Running::start(&group, "first", &topic);
    wait_until("it is alone", || first.assignment().len() == 2);
    let alone = first.membership();
    assert!(alone.is_member());
    let second = Running::start(&group, "second", &topic);
    wait_until("they share", || first.assignment().len() == 1 && second.assignment().len() == 1);

    let shared = first.membership();
    assert_eq!(shared.member_id(), alone.member_id());
    assert!(shared.generation() > alone.generation(), "{shared:?} after {alone:?}");
}
