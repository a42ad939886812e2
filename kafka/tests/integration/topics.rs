use balancefleet_kafka::ErrorKind;

use crate::support::{TIMEOUT, admin, configured_topic, create_topic, delete_topic, new_topic, unique};

#[test]
fn a_topic_is_described_with_its_partitions_and_leaders() {
    let topic = new_topic("described", 4);
    let described =
        admin().describe_topics(&[&topic], TIMEOUT).expect("the broker answers").remove(0).1.expect("known");
    let partitions: Vec<_> = described.partitions.iter().map(|it| (it.id, it.leader.is_some())).collect();
    assert_eq!(partitions, [(0, true), (1, true), (2, true), (3, true)]);
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
    assert_eq!(settings["cleanup.policy"], "compact,delete");
    assert_eq!(settings["max.message.bytes"], "1048588");
    let error = admin().topic_settings(&unique("unknown"), TIMEOUT).expect_err("it is unknown");
    assert_eq!(error.kind(), ErrorKind::UnknownTopic);
}
