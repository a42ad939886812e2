use proptest::prelude::*;

use super::*;

fn key(object: usize) -> ObjectKey {
    ObjectKey { namespace: "bank".into(), name: format!("group-{object}") }
}

fn child_write(name: &str) -> ChildWrite {
    ChildWrite { name: name.into(), creates: false }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What is sent at this moment until nothing more can be.
fn sent<W>(queue: &mut Queue<W>, now: Instant) -> Vec<(ObjectKey, Class, W)> {
    let mut all = Vec::new();
    while let Next::Send(key, class, work) = queue.next(now) {
        all.push((key, class, work));
    }
    all
}

fn works(queue: &mut Queue<&'static str>, now: Instant) -> Vec<&'static str> {
    sent(queue, now).into_iter().map(|(_, _, work)| work).collect()
}

#[test]
fn the_steps_of_an_object_keep_their_order_and_wait_for_each_other() {
    let (mut queue, now, one) = (Queue::default(), Instant::now(), key(1));
    queue.set_status(&one, Some((Urgency::Urgent, "status")), now);
    queue.push_event(&one, "event", now);
    for name in ["config", "workload"] {
        queue.push_child_write(&one, child_write(name), name, now);
    }
    queue.push_child_write(&key(2), child_write("config"), "other", now);
    for (expected, class) in [("config", Class::ChildWrite), ("workload", Class::ChildWrite), ("event", Class::Event)] {
        let first: Vec<_> = works(&mut queue, now).into_iter().filter(|work| *work != "other").collect();
        assert_eq!(first, [expected]);
        assert!(works(&mut queue, now).is_empty(), "one at a time");
        queue.answered(&one, class, now);
    }
    assert_eq!(works(&mut queue, now), ["status"]);
}

#[test]
fn the_latest_of_several_waiting_writes_wins_but_never_over_a_create_or_an_event() {
    let (mut queue, now, one) = (Queue::default(), Instant::now(), key(1));
    queue.push_child_write(&one, child_write("sent"), "in flight", now);
    assert_eq!(works(&mut queue, now), ["in flight"]);
    let create = ChildWrite { name: "apply".into(), creates: true };
    assert_eq!(queue.push_child_write(&one, create, "create", now), None);
    assert_eq!(queue.push_child_write(&one, child_write("apply"), "first", now), None);
    assert_eq!(queue.push_child_write(&one, child_write("other"), "other", now), None);
    assert_eq!(queue.push_child_write(&one, child_write("apply"), "second", now), Some("first"));
    assert_eq!((queue.push_event(&one, "e1", now), queue.push_event(&one, "e2", now)), (None, None));
    assert_eq!(queue.set_status(&one, Some((Urgency::Urgent, "old")), now), None);
    assert_eq!(queue.set_status(&one, Some((Urgency::Urgent, "new")), now), Some("old"));
    let mut order = Vec::new();
    let mut class = Class::ChildWrite;
    for _ in 0..6 {
        queue.answered(&one, class, now);
        let Next::Send(_, next, work) = queue.next(now) else { panic!("{order:?}") };
        (class, _) = (next, order.push(work));
    }
    assert_eq!(order, ["create", "second", "other", "e1", "e2", "new"]);
}

#[test]
fn a_create_that_replaced_an_earlier_step_is_not_replaced_itself() {
    let (mut queue, now, one) = (Queue::default(), Instant::now(), key(1));
    assert_eq!(queue.push_child_write(&one, child_write("apply"), "change", now), None);
    let create = ChildWrite { name: "apply".into(), creates: true };
    assert_eq!(queue.push_child_write(&one, create, "create", now), Some("change"));
    assert_eq!(queue.push_child_write(&one, child_write("apply"), "next change", now), None);
    assert_eq!(works(&mut queue, now), ["create"]);
    queue.answered(&one, Class::ChildWrite, now);
    assert_eq!(works(&mut queue, now), ["next change"]);
}

#[test]
fn a_status_that_is_right_again_is_withdrawn() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.set_status(&key(1), Some((Urgency::Urgent, "status")), now);
    assert_eq!(queue.set_status(&key(1), None, now), Some("status"));
    assert_eq!(queue.next(now), Next::Wait(None));
    assert_eq!(queue.keys().count(), 0, "and nothing is kept");
}

#[test]
fn ten_statuses_a_second_or_as_many_as_write_all_in_a_minute() {
    for (objects, first_second) in [(1, 10), (300, 10), (600, 10), (3_000, 50), (5_000, 84)] {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.set_objects(objects);
        for object in 0..100 {
            queue.set_status(&key(object), Some((Urgency::Urgent, ())), start);
        }
        let mut written = 0;
        let mut now = start;
        while now < start + millis(1_000) {
            for (key, class, ()) in sent(&mut queue, now) {
                queue.answered(&key, class, now);
                written += 1;
            }
            let Next::Wait(Some(next)) = queue.next(now) else { panic!("more wait") };
            now = next;
        }
        assert_eq!(written, first_second, "{objects} objects");
    }
}

#[test]
fn nobody_saves_up_a_pace_that_was_not_used() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    let later = start + millis(60_000);
    for object in 0..3 {
        queue.set_status(&key(object), Some((Urgency::Urgent, ())), start);
    }
    assert_eq!(sent(&mut queue, later).len(), 1);
    assert_eq!(queue.next(later), Next::Wait(Some(later + millis(100))));
}

#[test]
fn urgent_statuses_go_first_and_the_others_keep_their_interval() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    let interval = Duration::from_secs(10);
    queue.set_status(&key(1), Some((Urgency::Urgent, "1")), start);
    queue.set_status(&key(2), Some((Urgency::Every(interval), "2")), start);
    assert_eq!(works(&mut queue, start), ["1"]);
    queue.answered(&key(1), Class::UrgentStatus, start);
    queue.set_status(&key(1), Some((Urgency::Every(interval), "1 again")), start);
    assert_eq!(queue.next(start), Next::Wait(Some(start + interval)), "also one whose last write nobody knows");
    let due = start + interval;
    queue.set_status(&key(3), Some((Urgency::Urgent, "3")), due);
    assert_eq!(works(&mut queue, due), ["3"]);
    assert_eq!(works(&mut queue, due + millis(100)), ["1 again"]);
    assert_eq!(works(&mut queue, due + millis(200)), ["2"]);
}

#[test]
fn a_newer_status_keeps_the_place_of_the_older_one_in_the_line() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    for object in [1, 2] {
        queue.set_status(&key(object), Some((Urgency::Urgent, "old")), start + millis(object as u64));
    }
    queue.set_status(&key(1), Some((Urgency::Urgent, "new")), start + millis(10));
    assert_eq!(works(&mut queue, start + millis(10)), ["new"]);
}

#[test]
fn a_change_of_replicas_finds_room_beside_any_number_of_statuses_and_events() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for object in 0..300 {
        queue.push_event(&key(object), "event", now);
        queue.set_status(&key(object), Some((Urgency::Urgent, "status")), now);
    }
    assert_eq!(sent(&mut queue, now).len(), MOST_REPORTS);
    queue.push_child_write(&key(299), child_write("apply Deployment"), "replicas", now);
    assert_eq!(works(&mut queue, now), ["replicas"]);
}

#[test]
fn a_status_that_fails_is_tried_again_after_a_growing_pause_that_no_newer_one_shortens() {
    let (mut queue, start, one) = (Queue::default(), Instant::now(), key(1));
    let mut now = start;
    let mut at = Vec::new();
    while now < start + Duration::from_secs(30) {
        // A reconcile computes another status five times a second.
        queue.set_status(&one, Some((Urgency::Urgent, "newer")), now);
        for (key, class, work) in sent(&mut queue, now) {
            at.push((now - start).as_secs());
            queue.failed(&key, class, Some(work), now, 0.5);
        }
        now += millis(200);
    }
    assert_eq!(at, [0, 1, 3, 7, 15]);
    assert_eq!(queue.in_backoff(), HashSet::from([one.clone()]));
    let now = start + Duration::from_secs(31);
    assert_eq!(works(&mut queue, now), ["newer"]);
    queue.answered(&one, Class::UrgentStatus, now);
    assert!(queue.in_backoff().is_empty());
}

#[test]
fn a_status_that_fails_keeps_no_step_back() {
    let (mut queue, now, one) = (Queue::default(), Instant::now(), key(1));
    queue.set_status(&one, Some((Urgency::Urgent, "status")), now);
    assert_eq!(works(&mut queue, now), ["status"]);
    queue.failed(&one, Class::UrgentStatus, Some("status"), now, 0.5);
    queue.push_child_write(&one, child_write("apply"), "change", now);
    assert_eq!(works(&mut queue, now), ["change"]);
}

#[test]
fn what_is_left_of_an_object_that_is_gone_is_dropped() {
    let (mut queue, now, one) = (Queue::default(), Instant::now(), key(1));
    queue.push_child_write(&one, child_write("a"), "in flight", now);
    assert_eq!(works(&mut queue, now), ["in flight"]);
    queue.push_child_write(&one, child_write("b"), "change", now);
    queue.push_event(&one, "event", now);
    queue.set_status(&one, Some((Urgency::Urgent, "status")), now);
    queue.forget(&one);
    queue.push_child_write(&one, child_write("c"), "of its successor", now);
    assert!(works(&mut queue, now).is_empty(), "one at a time, also of one name");
    queue.failed(&one, Class::ChildWrite, None, now, 0.5);
    assert_eq!(works(&mut queue, now), ["of its successor"]);
    queue.answered(&one, Class::ChildWrite, now);
    assert!(queue.is_drained() && queue.keys().count() == 0);
}

#[test]
fn events_of_one_object_are_bounded() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let refused = (0..MOST_EVENTS + 2).filter(|event| queue.push_event(&key(1), *event, now).is_some());
    assert_eq!(refused.count(), 2);
}

/// Something that happens, on one of a few objects.
#[derive(Debug, Clone)]
enum Happening {
    ChildWrite { name: u8, creates: bool },
    Event,
    Status { urgent: bool },
    Withdrawn,
    Forgotten,
    Answered { which: usize, fails: bool },
    Pause { millis: u64 },
}

fn happening() -> impl Strategy<Value = (usize, Happening)> {
    let what = prop_oneof![
        4 => (0..3_u8, prop::bool::weighted(0.2)).prop_map(|(name, creates)| Happening::ChildWrite { name, creates }),
        2 => Just(Happening::Event),
        4 => any::<bool>().prop_map(|urgent| Happening::Status { urgent }),
        1 => Just(Happening::Withdrawn),
        1 => Just(Happening::Forgotten),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, fails)| Happening::Answered { which, fails }),
        4 => (0..400_u64).prop_map(|millis| Happening::Pause { millis }),
    ];
    (0..40_usize, what)
}

/// A write as it was handed over: its number, and the name of a child write.
type Work = (usize, Option<(u8, bool)>);

#[derive(Default)]
struct World {
    queue: Queue<Work>,
    waiting: HashMap<ObjectKey, Vec<Work>>,
    newest_status: HashMap<ObjectKey, Work>,
    in_flight: Vec<(ObjectKey, Class, Work)>,
    statuses: Vec<Instant>,
    not_before: HashMap<ObjectKey, Instant>,
}

impl World {
    fn lost(&mut self, key: &ObjectKey, work: Option<Work>) {
        let Some(work) = work else { return };
        self.waiting.entry(key.clone()).or_default().retain(|waiting| *waiting != work);
    }

    fn send(&mut self, now: Instant) {
        for (key, class, work) in sent(&mut self.queue, now) {
            assert!(self.in_flight.iter().all(|(other, ..)| *other != key), "one of an object at a time");
            if class.is_status() {
                assert_eq!(self.newest_status.remove(&key), Some(work), "the newest");
                assert!(self.not_before.get(&key).is_none_or(|until| now >= *until), "no pause is shortened");
                self.statuses.push(now);
            } else {
                let waiting = self.waiting.get_mut(&key).unwrap();
                let same = |other: &&Work| other.1.is_some() == work.1.is_some();
                assert_eq!(
                    waiting.iter().find(same),
                    Some(&work),
                    "child writes and events in their order, none left out"
                );
                waiting.retain(|other| *other != work);
            }
            self.in_flight.push((key, class, work));
        }
        assert!(self.in_flight.len() <= MOST_IN_FLIGHT);
        let reports = self.in_flight.iter().filter(|(_, class, _)| *class != Class::ChildWrite).count();
        assert!(reports <= MOST_REPORTS);
        if self.in_flight.len() < MOST_IN_FLIGHT {
            for (key, waiting) in &self.waiting {
                let busy = self.in_flight.iter().any(|(other, ..)| other == key);
                assert!(busy || waiting.iter().all(|work| work.1.is_none()), "a child write never waits without need");
            }
        }
    }

    fn happens(&mut self, number: usize, key: ObjectKey, what: &Happening, now: &mut Instant) {
        match *what {
            Happening::ChildWrite { name, creates } => {
                let work = (number, Some((name, creates)));
                let replaced =
                    self.queue.push_child_write(&key, ChildWrite { name: name.to_string(), creates }, work, *now);
                let waiting = self.waiting.entry(key).or_default();
                match waiting.iter_mut().find(|other| other.1 == Some((name, false))) {
                    Some(other) => assert_eq!(Some(std::mem::replace(other, work)), replaced),
                    None => {
                        assert_eq!(replaced, None);
                        waiting.push(work);
                    }
                }
            }
            Happening::Event => {
                let refused = self.queue.push_event(&key, (number, None), *now);
                self.waiting.entry(key.clone()).or_default().push((number, None));
                self.lost(&key, refused);
            }
            Happening::Status { urgent } => {
                let urgency = if urgent { Urgency::Urgent } else { Urgency::Every(millis(500)) };
                self.queue.set_status(&key, Some((urgency, (number, None))), *now);
                self.newest_status.insert(key, (number, None));
            }
            Happening::Withdrawn => {
                self.queue.set_status(&key, None, *now);
                self.newest_status.remove(&key);
            }
            Happening::Forgotten => {
                self.queue.forget(&key);
                self.waiting.remove(&key);
                self.newest_status.remove(&key);
                self.not_before.remove(&key);
            }
            Happening::Answered { which, fails } if !self.in_flight.is_empty() => {
                let (key, class, work) = self.in_flight.remove(which % self.in_flight.len());
                if !fails {
                    self.not_before.retain(|other, _| !class.is_status() || *other != key);
                    self.queue.answered(&key, class, *now);
                } else if class.is_status() {
                    self.queue.failed(&key, class, Some(work), *now, 0.5);
                    self.not_before.insert(key.clone(), *now + Duration::from_secs(1));
                    self.newest_status.entry(key).or_insert(work);
                } else {
                    self.queue.failed(&key, class, None, *now, 0.5);
                }
            }
            Happening::Answered { .. } => {}
            Happening::Pause { millis: time } => *now += millis(time),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_rules_hold_and_everything_is_sent_in_the_end(
        happenings in prop::collection::vec(happening(), 1..300),
    ) {
        let (mut world, mut now) = (World::default(), Instant::now());
        for (number, (object, what)) in happenings.iter().enumerate() {
            world.happens(number, key(*object), what, &mut now);
            world.send(now);
        }
        let end = now + Duration::from_secs(600);
        while now < end {
            while !world.in_flight.is_empty() {
                world.happens(0, key(0), &Happening::Answered { which: 0, fails: false }, &mut now);
                world.send(now);
            }
            let Next::Wait(Some(next)) = world.queue.next(now) else { break };
            now = now.max(next);
            world.send(now);
        }
        prop_assert!(world.newest_status.is_empty() && world.queue.is_drained());
        prop_assert!(world.waiting.values().all(Vec::is_empty));
        let fast = world.statuses.windows(2).find(|two| two[1] - two[0] < millis(100));
        prop_assert!(fast.is_none(), "statuses are paced");
    }
}
