use super::*;
use crate::labs::history::{Ended, legend, notes, table_of_rebalances, timeline};

/// An event: second, what happened, partitions, generation, milliseconds of its commit or restore.
type Line = (f64, EventType, &'static [i32], i32, Option<u64>);

use EventType::{Assigned, Lost, Revoked};

const ALL: &[i32] = &[0, 1, 2, 3, 4, 5];

fn at(second: f64) -> Timestamp {
    Timestamp::from_millisecond(1_796_000_000_000 + (second * 1_000.0).round() as i64).unwrap()
}

/// A worker that started at a second; its events oldest first.
fn worker(name: &str, started: f64, lines: &[Line]) -> Worker {
    let event = |(second, event_type, partitions, generation, millis): &Line| Event {
        timestamp: at(*second),
        event_type: *event_type,
        partitions: partitions.to_vec(),
        details: String::new(),
        generation: *generation,
        commit_millis: millis.filter(|_| *event_type == Revoked),
        restore_millis: millis.filter(|_| *event_type == Assigned),
    };
    Worker {
        name: name.into(),
        started_at: at(started),
        current_partitions: Vec::new(),
        total_rebalancing_events: lines.len() as u64,
        history: lines.iter().rev().map(event).collect(),
    }
}

fn recording(workers: Vec<Worker>) -> Recording {
    let group = "balance-service".into();
    let (unanswered, ended) = (Vec::new(), Vec::new());
    Recording { on: "compose".into(), group, assignor: None, taken: at(100.0), workers, unanswered, ended }
}

/// The same, and worker `b` is known to have ended at a second.
fn ended(second: f64, workers: Vec<Worker>) -> Recording {
    Recording { ended: vec![Ended { name: "b".into(), at: at(second) }], ..recording(workers) }
}

/// What a row says: began and took in milliseconds, moved, came back, stayed, how long each stopped partition stood
/// still.
type Row = (i64, Option<u64>, Vec<i32>, Vec<i32>, Vec<i32>, Vec<Option<u64>>);

fn rows(workers: Vec<Worker>) -> Vec<Row> {
    rows_of(&recording(workers))
}

fn rows_of(recording: &Recording) -> Vec<Row> {
    let row = |rebalance: &Rebalance| {
        let took = rebalance.took().map(|took| took.as_millis() as u64);
        let began = rebalance.began.as_millisecond() - at(0.0).as_millisecond();
        let still = rebalance.stopped.iter().map(|stopped| stopped.still_millis).collect();
        (began, took, rebalance.moved(), rebalance.returned(), rebalance.stayed.clone(), still)
    };
    rebalances(recording).iter().map(row).collect()
}

/// The first worker's beginning: it has all partitions within the first second.
const ALONE: Line = (1.0, Assigned, ALL, 1, Some(50));

#[test]
fn with_cooperative_sticky_only_what_must_move_stands_still() {
    let first = worker("a", 0.0, &[ALONE, (10.0, Revoked, &[3, 4, 5], 2, Some(12))]);
    // A new member gets an empty list first.
    let second = worker("b", 9.0, &[(9.99, Assigned, &[], 2, Some(0)), (10.5, Assigned, &[3, 4, 5], 3, Some(30))]);
    let rows = rows(vec![first, second]);
    assert_eq!(rows[0], (1_000, Some(50), ALL.to_vec(), vec![], vec![], vec![None; 6]), "nobody had them before");
    assert_eq!(rows[1], (9_988, Some(542), vec![3, 4, 5], vec![], vec![0, 1, 2], vec![Some(542); 3]));
    assert_eq!(rows.len(), 2);
}

#[test]
fn with_an_eager_assignor_all_stop_and_some_come_back() {
    let first =
        worker("a", 0.0, &[ALONE, (10.0, Revoked, ALL, 1, Some(10)), (10.6, Assigned, &[0, 1, 2], 2, Some(20))]);
    let second = worker("b", 9.0, &[(10.602, Assigned, &[3, 4, 5], 2, Some(40))]);
    let (one, other) = (Some(630), Some(652));
    let expected = (9_990, Some(652), vec![3, 4, 5], vec![0, 1, 2], vec![], vec![one, one, one, other, other, other]);
    assert_eq!(rows(vec![first, second])[1], expected);
}

#[test]
fn rebalances_that_overlap_are_one_and_pauses_add_up() {
    let first = worker(
        "a",
        0.0,
        &[
            ALONE,
            (10.0, Revoked, ALL, 1, Some(0)),
            (10.4, Assigned, &[0, 1, 2], 2, Some(0)),
            (10.5, Revoked, &[0, 1, 2], 2, Some(0)),
            (11.0, Assigned, &[0, 1], 3, Some(0)),
        ],
    );
    let second = worker(
        "b",
        9.0,
        &[
            // Taken again before it was restored: it stood still all the time.
            (10.4, Assigned, &[3, 4, 5], 2, None),
            (10.6, Revoked, &[3, 4, 5], 2, Some(0)),
            (11.0, Assigned, &[2, 3], 3, Some(0)),
        ],
    );
    let third = worker("c", 10.2, &[(11.1, Assigned, &[4, 5], 3, Some(0))]);
    let rows = rows(vec![first, second, third]);
    let still = vec![Some(900), Some(900), Some(900), Some(1_000), Some(1_100), Some(1_100)];
    assert_eq!(rows[1..], [(10_000, Some(1_100), vec![2, 3, 4, 5], vec![0, 1], vec![], still)]);
}

#[test]
fn rebalances_apart_are_two() {
    let first = worker("a", 0.0, &[ALONE, (10.0, Revoked, &[3, 4, 5], 2, Some(0)), (20.0, Revoked, &[2], 4, Some(0))]);
    let second = worker("b", 9.0, &[(10.5, Assigned, &[3, 4, 5], 3, Some(0)), (20.0, Revoked, &[5], 4, Some(0))]);
    let third = worker("c", 19.0, &[(20.3, Assigned, &[2, 5], 5, Some(0))]);
    let rows = rows(vec![first, second, third]);
    assert_eq!(rows[2], (20_000, Some(300), vec![2, 5], vec![], vec![0, 1, 3, 4], vec![Some(300); 2]));
    assert_eq!(rows.len(), 3);
}

/// Two workers; the second one is killed at second 20, with `[3, 4, 5]` that it had from the first.
fn after_a_kill() -> Vec<Worker> {
    let first =
        worker("a", 0.0, &[ALONE, (10.0, Revoked, &[3, 4, 5], 2, Some(0)), (30.2, Assigned, &[4, 5], 4, Some(40))]);
    vec![first, worker("b", 21.0, &[(30.1, Assigned, &[3], 4, Some(20))])]
}

#[test]
fn the_partitions_of_a_killed_worker_stand_still_from_its_end() {
    let recording = ended(20.0, after_a_kill());
    let rows = rows_of(&recording);
    let still = vec![Some(10_120), Some(10_240), Some(10_240)];
    // Partition 3 comes back to the worker that was started again.
    assert_eq!(rows[2], (20_000, Some(10_240), vec![4, 5], vec![3], vec![0, 1, 2], still));
    assert!(rebalances(&recording)[2].began_about);
    // What the first worker gave up went to a worker whose history is gone: how long that took is unknown.
    assert_eq!(rows[1], (10_000, Some(0), vec![3, 4, 5], vec![], vec![0, 1, 2], vec![None; 3]));
}

#[test]
fn a_pause_that_began_with_a_worker_that_is_gone_is_unknown_and_not_guessed() {
    let rows = rows(after_a_kill());
    assert_eq!(rows[2], (30_100, Some(140), vec![3, 4, 5], vec![], vec![0, 1, 2], vec![None; 3]));
}

#[test]
fn a_process_that_ended_before_any_partition_was_assigned_had_none() {
    assert_eq!(rows_of(&ended(0.5, vec![worker("a", 0.9, &[ALONE])]))[0].5, vec![None; 6]);
}

#[test]
fn only_the_first_generation_after_the_end_of_a_process_tells_who_got_its_partitions() {
    // Partition 5 went to a third worker, which ended too, and from there to the second one, which was started again.
    let mut workers = after_a_kill();
    workers[0].history[0].partitions = vec![3, 4];
    workers[1] = worker("b", 50.0, &[(51.0, Assigned, &[5], 6, Some(20))]);
    let still = |index: usize| rows_of(&ended(20.0, workers.clone()))[index].5.clone();
    assert_eq!(still(2), [Some(10_240), Some(10_240)]);
    assert_eq!(still(3), [None], "and not 31 s");
    // Who is known to have ended, when generations are missing?
    workers[0].history[0].generation = 5;
    assert_eq!(rows_of(&ended(20.0, workers))[2].5, [None, None]);
}

#[test]
fn only_the_owner_can_give_a_partition_up() {
    // The first worker was frozen: the group gave its partitions to the second, and it noticed later.
    let first = worker("a", 0.0, &[ALONE, (40.0, Lost, ALL, -1, None)]);
    let second = worker("b", 5.0, &[(30.0, Assigned, ALL, 3, Some(10))]);
    let rows = rows(vec![first, second]);
    assert_eq!(rows[1], (30_000, Some(10), ALL.to_vec(), vec![], vec![], vec![None; 6]));
    assert_eq!(rows[2], (40_000, Some(0), vec![], vec![], ALL.to_vec(), vec![]));
}

#[test]
fn a_worker_that_joins_and_gets_nothing_stops_nobody() {
    let idle = worker("b", 9.0, &[(10.0, Assigned, &[], 2, Some(0))]);
    assert_eq!(
        rows(vec![worker("a", 0.0, &[ALONE]), idle])[1],
        (10_000, Some(0), vec![], vec![], ALL.to_vec(), vec![])
    );
}

#[test]
fn a_partition_that_nobody_has_yet_keeps_its_rebalance_open() {
    let first = || worker("a", 0.0, &[ALONE, (10.0, Revoked, &[5], 2, Some(0))]);
    let with = |second: Line| rows(vec![first(), worker("b", 9.0, &[second])]);
    let open = [(10_000, None, vec![5], vec![], vec![0, 1, 2, 3, 4], vec![None])];
    assert_eq!(with((10.1, Assigned, &[], 2, Some(0)))[1..], open, "it has no owner");
    assert_eq!(with((10.1, Assigned, &[5], 3, None))[1..], open, "it is being restored");
    // When the group has gone on without it, somebody must have it whose history is gone.
    assert_eq!(with((50.0, Assigned, &[], 7, Some(0)))[1].1, Some(0));
}

#[test]
fn what_a_worker_has_forgotten_is_taken_from_what_it_has_now() {
    let mut first = worker("a", 0.0, &[(10.0, Revoked, &[4, 5], 9, Some(0))]);
    (first.total_rebalancing_events, first.current_partitions) = (501, vec![0, 1, 2, 3]);
    let second = worker("b", 9.0, &[(10.2, Assigned, &[4, 5], 10, Some(0))]);
    let recording = recording(vec![first, second]);
    let rebalances = rebalances(&recording);
    assert_eq!((rebalances[0].moved(), rebalances[0].stayed.clone()), (vec![4, 5], vec![0, 1, 2, 3]));
    assert!(notes(&recording).contains(&"a keeps the newest 1 of its 501 events.".to_owned()));
}

#[test]
fn the_tables_say_what_is_known_and_what_is_not() {
    let mut recording = ended(20.0, after_a_kill());
    recording.assignor = Some("Range".into());
    let rebalances = rebalances(&recording);
    let both = [(recording, rebalances)];
    let notes = [notes(&both[0].0), legend(&both)].concat().join("\n");
    for text in ["Younger than others: b. Before", "A process of b ended at", "?, unknown", "~: counted", "≥: counted"]
    {
        assert!(notes.contains(text), "no {text:?} in:\n{notes}");
    }
    let lines = timeline(&both[0].0, at(15.0));
    assert_eq!(lines.lines().count(), 3, "a header and what came since:\n{lines}");
    let table = table_of_rebalances(&both);
    let words = |line: usize| table.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let began = at(20.0).to_string()[11..19].to_owned();
    assert_eq!(
        words(3),
        format!("~{began}.000 ~10.240 s Range 4 2 (4-5) 1 (3) 3 (0-2) ~10.240 s ~30.600 s"),
        "{table}"
    );
    assert!(words(1).ends_with("1 6 (0-5) 0 0 ? ?"), "{table}");
}

/// The rows of a history that real workers have told: six partitions, 100 records a second, workers 8 s after each
/// other.
fn recorded(text: &str) -> Vec<String> {
    let recording: Recording = serde_json::from_str(text).unwrap();
    let rebalances = rebalances(&recording);
    let table = table_of_rebalances(&[(recording, rebalances)]);
    // Without the first row, in which one worker gets everything.
    table.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn recorded_cooperative_sticky_moves_few_partitions_in_two_rounds() {
    assert_eq!(
        recorded(include_str!("../recordings/cooperative-sticky-up.json")),
        [
            "14:36:31.886 0.817 s cooperative-sticky 2-3 3 (0-2) 0 3 (3-5) 0.816 s 2.448 s",
            "14:36:39.718 0.910 s cooperative-sticky 4-5 2 (0,3) 0 4 (1-2,4-5) 0.909 s 1.818 s",
        ]
    );
}

#[test]
fn recorded_range_and_round_robin_stop_all_for_one_round() {
    assert_eq!(
        recorded(include_str!("../recordings/range-up.json")),
        [
            "14:37:52.582 0.067 s range 1-2 3 (0-2) 3 (3-5) 0 0.066 s 0.366 s",
            "14:38:00.606 0.086 s range 2-3 3 (2,4-5) 3 (0-1,3) 0 0.085 s 0.436 s",
        ]
    );
    assert_eq!(
        recorded(include_str!("../recordings/roundrobin-up.json")),
        [
            "14:39:02.764 0.046 s roundrobin 1-2 3 (1,3,5) 3 (0,2,4) 0 0.045 s 0.258 s",
            "14:39:10.810 0.103 s roundrobin 2-3 4 (2-5) 2 (0-1) 0 0.103 s 0.512 s",
        ]
    );
}

#[test]
fn recorded_after_a_kill_only_range_stops_the_survivors() {
    let last = |text| recorded(text).pop().unwrap();
    assert_eq!(
        last(include_str!("../recordings/cooperative-sticky-kill.json")),
        "~14:37:00.000 ~10.210 s cooperative-sticky 7 0 3 (1-3) 3 (0,4-5) ~10.209 s ~30.627 s"
    );
    assert_eq!(
        last(include_str!("../recordings/range-kill.json")),
        "~14:38:21.000 ~10.758 s range 4-5 6 (0-5) 0 0 ~10.757 s ~60.939 s"
    );
}

#[test]
fn recorded_after_a_planned_stop_it_is_unknown_how_long_the_leavers_partitions_stood_still() {
    assert_eq!(
        recorded(include_str!("../recordings/cooperative-sticky-stop.json")),
        [
            "14:36:31.886 0.817 s cooperative-sticky 2-3 3 (0-2) 0 3 (3-5) 0.816 s 2.448 s",
            "14:36:39.718 ≥ 0.052 s cooperative-sticky 4 2 (0,3) 0 4 (1-2,4-5) ? ?",
            "14:36:52.127 ≥ 0.070 s cooperative-sticky 6 2 (0,3) 0 4 (1-2,4-5) ? ?",
        ]
    );
}
