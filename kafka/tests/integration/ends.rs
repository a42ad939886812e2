use balancefleet_kafka::{At, ErrorKind, Isolation, ListedOffset};

use crate::support::{
    TIMEOUT, add_partitions, admin, create_topic, delete_records, new_topic, partition, produce, unique, wait_until,
};

fn offsets(listed: &[ListedOffset]) -> Vec<Result<i64, ErrorKind>> {
    listed.iter().map(|it| it.offset.as_ref().copied().map_err(balancefleet_kafka::Error::kind)).collect()
}

#[test]
fn both_ends_of_a_log_are_listed_in_the_order_asked_for() {
    let topic = new_topic("ends", 3);
    produce(&topic, 2, 5);
    produce(&topic, 0, 2);
    let asked = [partition(&topic, 2), partition(&topic, 0), partition(&topic, 1)];

    let ends = admin().list_offsets(&asked, At::Latest, Isolation::ReadCommitted, TIMEOUT).expect("the broker answers");
    let starts =
        admin().list_offsets(&asked, At::Earliest, Isolation::ReadCommitted, TIMEOUT).expect("the broker answers");

    assert_eq!(offsets(&ends), [Ok(5), Ok(2), Ok(0)]);
    assert_eq!(offsets(&starts), [Ok(0), Ok(0), Ok(0)]);
    let places: Vec<_> = ends.into_iter().map(|it| (it.topic, it.partition)).collect();
    assert_eq!(places, asked);
}

#[test]
fn deleted_records_move_the_log_start_and_not_the_end() {
    let topic = new_topic("deleted", 1);
    produce(&topic, 0, 10);
    delete_records(&topic, 0, 4);
    let (admin, asked) = (admin(), [partition(&topic, 0)]);

    wait_until("the log start moves", || {
        let start = admin.list_offsets(&asked, At::Earliest, Isolation::ReadUncommitted, TIMEOUT);
        offsets(&start.expect("the broker answers")) == [Ok(4)]
    });
    let end = admin.list_offsets(&asked, At::Latest, Isolation::ReadUncommitted, TIMEOUT).expect("the broker answers");
    assert_eq!(offsets(&end), [Ok(10)]);
}

#[test]
fn an_unknown_topic_is_its_partitions_error_whether_alone_or_among_others() {
    let (topic, admin) = (new_topic("known", 1), admin());
    let unknown = unique("unknown");
    let mixed = [partition(&unknown, 0), partition(&topic, 0), partition(&topic, 7)];

    let together =
        admin.list_offsets(&mixed, At::Latest, Isolation::ReadUncommitted, TIMEOUT).expect("the broker answers");
    let alone =
        admin.list_offsets(&mixed[..1], At::Latest, Isolation::ReadUncommitted, TIMEOUT).expect("the broker answers");
    let partition_alone =
        admin.list_offsets(&mixed[2..], At::Latest, Isolation::ReadUncommitted, TIMEOUT).expect("the broker answers");

    assert_eq!(offsets(&together), [Err(ErrorKind::UnknownTopic), Ok(0), Err(ErrorKind::UnknownTopic)]);
    assert_eq!(offsets(&alone), [Err(ErrorKind::UnknownTopic)]);
    assert_eq!(offsets(&partition_alone), [Err(ErrorKind::UnknownTopic)]);
}

#[test]
fn a_topic_created_after_it_was_asked_for_is_found_by_the_same_client() {
    let (topic, admin) = (unique("late"), admin());
    let asked = [partition(&topic, 0)];
    let list =
        || offsets(&admin.list_offsets(&asked, At::Latest, Isolation::ReadCommitted, TIMEOUT).expect("an answer"));
    assert_eq!(list(), [Err(ErrorKind::UnknownTopic)]);

    create_topic(&topic, 1);

    wait_until("the topic is found", || list() == [Ok(0)]);
}

#[test]
fn partitions_added_while_running_are_found_by_the_same_client() {
    let (topic, admin) = (new_topic("grows", 1), admin());
    let list = |partitions: &[_]| {
        offsets(&admin.list_offsets(partitions, At::Latest, Isolation::ReadCommitted, TIMEOUT).expect("an answer"))
    };
    assert_eq!(list(&[partition(&topic, 0)]), [Ok(0)]);

    add_partitions(&topic, 3);

    let all = [partition(&topic, 0), partition(&topic, 1), partition(&topic, 2)];
    wait_until("the new partitions are found", || list(&all) == [Ok(0), Ok(0), Ok(0)]);
}

#[test]
fn asking_twice_for_one_partition_or_for_none_needs_no_broker() {
    let twice = [partition("t", 0), partition("t", 0)];
    let admin = admin();
    let error = admin.list_offsets(&twice, At::Latest, Isolation::ReadCommitted, TIMEOUT).expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(admin.list_offsets(&[], At::Latest, Isolation::ReadCommitted, TIMEOUT), Ok(Vec::new()));
}
