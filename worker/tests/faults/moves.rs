//! Partitions that move while workers come and go in order.

use std::thread::sleep;
use std::time::Duration;

use crate::scene::Scene;

#[test]
fn a_fleet_of_one_that_becomes_eight_and_one_again_keeps_its_balances() {
    let mut scene = Scene::new("one-to-eight");
    scene.start(0);
    scene.await_fresh();
    (1..8).for_each(|place| scene.start(place));
    sleep(Duration::from_secs(5));
    scene.await_fresh();
    for place in 1..8 {
        scene.stop(place);
    }
    sleep(Duration::from_secs(5));
    scene.await_fresh();
    scene.finish();
}

#[test]
fn workers_that_take_turns_hand_everything_over() {
    let mut scene = Scene::new("turns");
    scene.start(0);
    for place in [1, 2, 3, 1] {
        scene.await_fresh();
        scene.start(place);
        sleep(Duration::from_millis(700));
        // In the middle of the newcomer's restore, or just after it.
        let oldest = scene.places().into_iter().find(|it| *it != place).unwrap();
        scene.stop(oldest);
    }
    scene.await_fresh();
    scene.finish();
}
