use std::time::{Duration, Instant};

use balancefleet_kafka::{Admin, Connection, Error, ErrorKind};

use crate::support::{TIMEOUT, admin, configured_topic, create_topic, delete_topic, new_topic, unique, wait_until};

#[test]
fn a_topic_is_described_with_its_partitions_and_leaders() {
    let topic = new_topic("described", 4);
    let described =
        admin().describe_topics(&[&topic], TIMEOUT).expect("the broker answers").remove(0).1.expect("known");
    let partitions = described.partitions.iter().map(|it| (it.id, it.leader.is_some(), it.replicas, it.in_sync));
    assert_eq!(partitions.collect::<Vec<_>>(), [0, 1, 2, 3].map(|id| (id, true, 1, 1)));
    assert_eq!(described.id.to_string().len(), 22);
}

#[test]
fn a_topic_created_again_has_another_id() {
    let (topic, admin) = (new_topic("again", 1), admin());
    let id = || admin.describe_topics(&[&topic], TIMEOUT).expect("the broker answers").remove(0).1.expect("known").id;
    let first = id();
    assert_eq!(id(), first);

    delete_topic(&topic);
    create_topic(&topic, 1);

    assert_ne!(id(), first);
}

#[test]
fn an_unknown_topic_is_its_own_error_among_known_ones() {
    let (topic, unknown) = (new_topic("known", 1), unique("unknown"));

    let described = admin().describe_topics(&[&unknown, &topic], TIMEOUT).expect("the broker answers");

    let kinds: Vec<_> = described.iter().map(|(_, it)| it.as_ref().map(|_| ()).map_err(|error| error.kind())).collect();
    assert_eq!(kinds, [Err(ErrorKind::UnknownTopic), Ok(())]);
    let message = described[0].1.as_ref().expect_err("it is unknown").to_string();
    assert!(message.contains(&unknown), "{message}");
    assert_eq!(admin().describe_topics(&[], TIMEOUT), Ok(Vec::new()));
}

#[test]
fn the_settings_of_a_topic_are_told_with_the_defaults_and_those_of_an_unknown_one_are_its_error() {
    let topic = configured_topic("configured", 1, &[("cleanup.policy", "compact,delete")]);
    let settings = admin().topic_settings(&topic, TIMEOUT).expect("the broker answers");
    assert_eq!(settings.in_effect["cleanup.policy"], "compact,delete");
    assert_eq!(settings.in_effect["max.message.bytes"], "1048588");
    let error = admin().topic_settings(&unique("unknown"), TIMEOUT).expect_err("it is unknown");
    assert_eq!(error.kind(), ErrorKind::UnknownTopic);
}

/// The number of its partitions, as the broker knows it by now.
fn partitions(topic: &str) -> usize {
    let described = admin().describe_topics(&[topic], TIMEOUT).expect("the broker answers").remove(0).1;
    described.map_or(0, |topic| topic.partitions.len())
}

#[test]
fn a_topic_is_made_once_and_only_grows() {
    let (admin, topic) = (admin(), unique("made"));
    let create = |partitions| admin.create_topic(&topic, partitions, None, &[], TIMEOUT);
    assert_eq!(create(2), Ok(true));
    assert_eq!(create(3), Ok(false));
    wait_until("it is known", || partitions(&topic) == 2);

    assert_eq!(admin.create_partitions(&topic, 4, TIMEOUT), Ok(()));

    wait_until("it has grown", || partitions(&topic) == 4);
    for fewer in [4, 1] {
        assert_eq!(admin.create_partitions(&topic, fewer, TIMEOUT), Ok(()));
    }
    assert_eq!(partitions(&topic), 4);
}

#[test]
fn the_settings_of_a_topic_are_replaced_and_its_own_are_told_apart() {
    let topic = configured_topic("settings", 1, &[("cleanup.policy", "compact"), ("segment.bytes", "1048576")]);
    let own = || {
        let settings = admin().topic_settings(&topic, TIMEOUT).expect("the broker answers");
        assert!(settings.own.iter().all(|(name, value)| settings.in_effect[name] == *value));
        settings.own.into_iter().collect::<Vec<_>>()
    };
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(own(), [setting("cleanup.policy", "compact"), setting("segment.bytes", "1048576")]);

    let settings = [("cleanup.policy", "delete"), ("max.message.bytes", "2000")];
    assert_eq!(admin().alter_topic(&topic, &settings, TIMEOUT), Ok(()));

    let replaced = settings.map(|(name, value)| setting(name, value));
    wait_until("they have been replaced", || own() == replaced);
}

#[test]
fn the_settings_of_a_broker_are_told() {
    let settings = admin().broker_settings(TIMEOUT).expect("the broker answers");
    assert_eq!(settings["transaction.partition.verification.enable"], "true");
}

#[test]
fn what_the_cluster_will_never_do_is_told_with_its_reason() {
    let (admin, topic) = (admin(), unique("impossible"));
    let refused = [
        admin.create_topic(&topic, 1, Some(99), &[], TIMEOUT).map(drop),
        admin.create_topic(&topic, 1, None, &[("cleanup.policy", "whatever")], TIMEOUT).map(drop),
        admin.alter_topic(&new_topic("fine", 1), &[("cleanup.policy", "whatever")], TIMEOUT),
    ];
    for outcome in refused {
        let Err(Error::Other { what, detail }) = outcome else { panic!("{outcome:?}") };
        assert!(what.starts_with("the request to c") && detail.len() > 10, "{what}: {detail}");
    }
    let unknown = admin.create_partitions(&topic, 3, TIMEOUT).expect_err("there is none");
    assert_eq!(unknown.kind(), ErrorKind::Transient);
    let invalid = admin.create_topic(&topic, -7, None, &[], TIMEOUT).expect_err("it cannot be");
    assert_eq!(invalid.kind(), ErrorKind::Invalid);
    assert_eq!(partitions(&topic), 0);
}

#[test]
fn without_a_broker_nothing_is_made_and_nobody_waits_longer_than_allowed() {
    let within = Duration::from_secs(1);
    let admin = Admin::connect(&Connection::plaintext("127.0.0.1:1"), "balancefleet-test").expect("fine settings");
    let call = |call: &dyn Fn() -> Result<(), Error>| {
        let begun = Instant::now();
        let error = call().expect_err("nobody is there");
        assert!(begun.elapsed() < within * 3, "{:?}", begun.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    };
    call(&|| admin.create_topic("t", 1, None, &[], within).map(drop));
    call(&|| admin.create_partitions("t", 1, within));
    call(&|| admin.alter_topic("t", &[], within));
    call(&|| admin.topic_settings("t", within).map(drop));
    call(&|| admin.broker_settings(within).map(drop));
}
