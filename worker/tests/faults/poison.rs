//! Records that are no transactions, among those that are.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use balancefleet_e2e::brokers::Use;
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};

use crate::harness::Database;
use crate::scene::{Scene, puts_bad_records_aside, store};
use crate::traffic::Load;

#[test]
fn each_bad_record_is_put_aside_exactly_once_whatever_happens_to_the_workers() {
    if !puts_bad_records_aside() {
        return;
    }
    let dead = format!("dead-{}", std::process::id());
    let load = Load { poison: 1.0, records_per_second: 400, ..Load::default() };
    let mut scene = Scene::with("poison", &where_to(&dead), load, Use::Shared);
    (0..3).for_each(|place| scene.start(place));
    scene.await_fresh();
    for place in [0, 1, 2, 0] {
        sleep(Duration::from_millis(1500));
        scene.kill(place);
        scene.start(place);
    }
    scene.await_fresh();
    let scene = scene.finish();
    assert!(scene.refused().len() > 50, "{} bad records", scene.refused().len());
    assert_each_put_aside_once(&scene, &dead);
}

/// Lets workers put bad records aside: into the topic `dead`, if not with their balances into the database.
pub(crate) fn where_to(dead: &str) -> Vec<(&str, &str)> {
    if store() == "changelog" { vec![("BALANCE_DEAD_LETTER_TOPIC", dead)] } else { Vec::new() }
}

/// One dead letter for each record that the oracle refuses, and no other.
#[track_caller]
pub(crate) fn assert_each_put_aside_once(scene: &Scene, dead: &str) {
    let mut found = BTreeMap::new();
    for origin in origins(scene, dead) {
        *found.entry(origin).or_insert(0) += 1;
    }
    let expected: BTreeMap<_, _> = scene.refused().into_iter().map(|origin| (origin, 1)).collect();
    let differing: Vec<_> =
        expected.keys().chain(found.keys()).filter(|at| expected.get(at) != found.get(at)).collect();
    assert!(differing.is_empty(), "{} of {} bad records: {differing:?}", differing.len(), expected.len());
}

/// Partition and offset of each record put aside.
fn origins(scene: &Scene, dead: &str) -> Vec<(i32, i64)> {
    if store() == "changelog" {
        return scene.stream.read(dead).iter().map(origin).collect();
    }
    let select = "SELECT partition, record_offset FROM balancefleet.dead_letter WHERE group_id = $1";
    let rows = Database::shared().rows(select, &[&scene.stream.group]);
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn origin(letter: &OwnedMessage) -> (i32, i64) {
    let headers = letter.headers().unwrap();
    let number = |name: &str| -> i64 {
        let value = headers.iter().find(|header| header.key == name).and_then(|header| header.value).unwrap();
        std::str::from_utf8(value).unwrap().parse().unwrap()
    };
    (i32::try_from(number("__connect.errors.partition")).unwrap(), number("__connect.errors.offset"))
}
