//! Assignments that come and go, and reports about those that are over. Nothing here asks a broker.

use std::mem::ManuallyDrop;

use tokio::runtime::Runtime;

use super::*;
use crate::{
    poll::{
        messages::{Committed, Report},
        partition::Stage,
        test_support::{Offline, offline},
    },
    run,
    stop::Stop,
    store::{Assignment, Restored},
};

/// The poll thread's, with all threads and without any broker. A client is not destroyed here either.
fn poll_loop() -> (ManuallyDrop<PollLoop>, Runtime) {
    let Offline { config, admin, runtime, .. } = offline(&[]);
    let view = Arc::new(run::view(&config));
    (ManuallyDrop::new(PollLoop::new(&config, "i", admin, view, runtime.handle(), Stop::default()).unwrap()), runtime)
}

impl PollLoop {
    fn get_partition_0(&mut self, generation: i32) -> Assignment {
        self.add_assigned(&[0], generation, &"member".into());
        self.partitions[&0].assignment()
    }

    fn is_restoring(&self) -> bool {
        matches!(self.partitions[&0].stage, Stage::Restoring)
    }

    fn hear_restored(&mut self, assignment: Assignment, next_offset: i64) {
        let outcome = Ok(Restored::empty_at(next_offset));
        self.handle(Report::Restored { assignment, outcome }).unwrap();
    }

    fn hear_committed(&mut self, assignment: Assignment, next_offset: i64) {
        let progress = vec![(assignment, next_offset)];
        self.handle(Report::Committed(Committed { progress, outcome: Ok(()), sent: Instant::now() })).unwrap();
    }
}

#[test]
fn what_is_heard_of_an_assignment_that_is_over_says_nothing_of_the_next_one() {
    let (mut poll_loop, _runtime) = poll_loop();
    let first = poll_loop.get_partition_0(7);
    poll_loop.release(&[0]).unwrap();
    let second = poll_loop.get_partition_0(9);
    poll_loop.hear_restored(first, 5);
    assert!(poll_loop.is_restoring(), "another worker may have come further than 5");
    poll_loop.hear_restored(second, 20);
    poll_loop.hear_committed(first, 5);
    assert!(poll_loop.partitions[&0].awaits_first_commit(), "that commit did not claim it");
    poll_loop.hear_committed(second, 20);
    assert_eq!(poll_loop.partitions[&0].fetch_from(), Some((20, None)));
}

#[test]
fn what_was_begun_for_a_partition_ends_when_it_is_let_go_or_read_again() {
    let (mut poll_loop, _runtime) = poll_loop();
    poll_loop.get_partition_0(7);
    let first = poll_loop.partitions[&0].shared.clone();
    poll_loop.restore_again(&[0]).unwrap();
    let second = poll_loop.partitions[&0].shared.clone();
    assert!(first.is_released() && !second.is_released());
    poll_loop.release(&[0]).unwrap();
    assert!(second.is_released() && poll_loop.view.partitions().is_empty());
}

/// The worker's own count of assignments means nothing to another worker.
#[test]
fn readers_are_told_the_generation_in_which_the_group_gave_the_partition() {
    let (mut poll_loop, _runtime) = poll_loop();
    poll_loop.get_partition_0(7);
    poll_loop.restore_again(&[0]).unwrap();
    assert_eq!(poll_loop.view.partitions()[0].generation, 7);
}
