//! Faults by chance, one after the other and several at once, for as long as asked.
//!
//! | environment | default | |
//! |---|---|---|
//! | `SOAK_MINUTES` | 30 | |
//! | `SOAK_SEED` | from the clock | the same seed makes the same faults in the same order |

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use balancefleet_e2e::brokers::Use;
use balancefleet_e2e::proxy::{Api, Direction, Which};
use balancefleet_e2e::stream::Draws;

use crate::poison::{assert_each_put_aside_once, where_to};
use crate::scene::{Scene, puts_bad_records_aside};
use crate::traffic::Load;

/// How long the fleet may take to come to itself after some faults, elections and the clients' time-outs included.
const PATIENCE: Duration = Duration::from_secs(300);
const MOST_WORKERS: usize = 6;

/// Whose messages are lost, late or held.
const APIS: [Api; 14] = [
    Api::Produce,
    Api::Fetch,
    Api::ListOffsets,
    Api::Metadata,
    Api::OffsetFetch,
    Api::FindCoordinator,
    Api::JoinGroup,
    Api::Heartbeat,
    Api::SyncGroup,
    Api::InitProducerId,
    Api::AddPartitionsToTxn,
    Api::AddOffsetsToTxn,
    Api::TxnOffsetCommit,
    Api::EndTxn,
];

#[test]
#[ignore = "takes half an hour: make soak"]
fn soak() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (minutes, seed) = (number("SOAK_MINUTES").unwrap_or(30), number("SOAK_SEED").unwrap_or(clock));
    eprintln!("soak: {minutes} min, SOAK_SEED={seed}");
    let dead = format!("soak-{seed}-{clock}-dead");
    let load = Load { seed, records_per_second: 400, customers: 500, poison: 1.0 };
    let mut soak = Soak {
        scene: Scene::with("soak", &where_to(&dead), load, Use::Alone),
        draws: Draws::new(seed, 3, 0),
        faults: 0,
        began: Instant::now(),
        lasts: Duration::from_secs(60 * minutes),
    };
    soak.run();
    let Soak { scene, faults, .. } = soak;
    let scene = scene.finish();
    if puts_bad_records_aside() {
        assert_each_put_aside_once(&scene, &dead);
    }
    eprintln!("soak: SOAK_SEED={seed}, {faults} faults; {}", scene.summary());
}

struct Soak {
    scene: Scene,
    draws: Draws,
    faults: u64,
    began: Instant,
    lasts: Duration,
}

impl Soak {
    fn run(&mut self) {
        (0..3).for_each(|place| self.start(place));
        self.scene.await_fresh();
        while self.began.elapsed() < self.lasts {
            for _ in 0..self.draws.between(1, 3) {
                let fault = self.draws.below(15);
                self.make(fault);
                self.faults += 1;
            }
            self.scene.await_fresh_within(PATIENCE);
            self.say_progress();
        }
    }

    fn say_progress(&self) {
        let (elapsed, lasts) = (self.began.elapsed().as_secs(), self.lasts.as_secs());
        let left = lasts.saturating_sub(elapsed) / 60;
        let share = (100 * elapsed / lasts.max(1)).min(100);
        eprintln!("soak: {share} %, {left} min left; {} faults; {}", self.faults, self.scene.summary());
    }

    fn start(&mut self, place: usize) {
        self.scene.place_proxy(place);
        self.scene.start(place);
    }

    fn someone(&mut self) -> usize {
        *self.draws.one_of(&self.scene.places())
    }

    fn a_while(&mut self, most_millis: u64) -> Duration {
        Duration::from_millis(self.draws.between(200, most_millis))
    }

    fn make(&mut self, fault: u64) {
        let place = self.someone();
        match fault {
            0..=2 => self.kill(place),
            3 => self.come_and_go(),
            4 => self.freeze(place),
            5 | 6 => self.lose_a_response(place),
            7 => self.delay_responses(place),
            8..=10 => self.hold(place),
            11 => {
                self.say(&format!("connections of worker {place} are cut"));
                self.scene.proxy(place).cut();
            }
            12 => {
                let pause = self.a_while(9_000);
                self.say(&format!("worker {place} and the brokers do not hear each other for {pause:?}"));
                self.scene.proxy(place).black_hole(true);
                sleep(pause);
                self.scene.proxy(place).black_hole(false);
            }
            13 => self.disturb_a_broker(),
            _ => {
                let pause = self.a_while(2_000);
                sleep(pause);
            }
        }
    }

    fn say(&self, what: &str) {
        let seconds = self.began.elapsed().as_secs();
        eprintln!("soak: [{:3}:{:02}] {what}", seconds / 60, seconds % 60);
    }

    fn kill(&mut self, place: usize) {
        self.say(&format!("worker {place} is killed"));
        self.scene.kill(place);
        let pause = self.a_while(3_000);
        sleep(pause);
        self.start(place);
    }

    fn come_and_go(&mut self) {
        let places = self.scene.places();
        let comes = places.len() == 1 || (places.len() < MOST_WORKERS && self.draws.below(2) == 0);
        if comes {
            let place = (0..).find(|place| !places.contains(place)).unwrap();
            self.say(&format!("worker {place} comes"));
            self.start(place);
        } else {
            let place = self.someone();
            self.say(&format!("worker {place} is asked to stop"));
            self.scene.stop(place);
        }
    }

    fn freeze(&mut self, place: usize) {
        let pause = self.a_while(12_000);
        self.say(&format!("worker {place} is halted for {pause:?}"));
        self.scene.freeze(place);
        sleep(pause);
        self.scene.thaw(place);
    }

    fn lose_a_response(&mut self, place: usize) {
        let (api, nth) = (*self.draws.one_of(&APIS), self.draws.between(1, 3));
        let pause = self.a_while(4_000);
        self.say(&format!("worker {place} does not get the next {api:?} answer but {}", nth - 1));
        let fault = self.scene.proxy(place).drop_response(api, Which::Nth(nth));
        sleep(pause);
        fault.lift();
    }

    fn delay_responses(&mut self, place: usize) {
        let (api, late, pause) = (*self.draws.one_of(&APIS), self.a_while(2_500), self.a_while(6_000));
        self.say(&format!("{api:?} answers to worker {place} are {late:?} late for {pause:?}"));
        let fault = self.scene.proxy(place).delay_response(api, Which::Every, late);
        sleep(pause);
        fault.lift();
    }

    /// A message is on its way while its worker is killed, halted, or gets company.
    fn hold(&mut self, place: usize) {
        let (api, pause) = (*self.draws.one_of(&APIS), self.a_while(8_000));
        let direction = *self.draws.one_of(&[Direction::Request, Direction::Response]);
        let (meanwhile, arrives) = (self.draws.below(4), self.draws.below(3) > 0);
        let and_then = ["nothing", "a kill", "a halt", "a cut"][usize::try_from(meanwhile).unwrap()];
        self.say(&format!("{api:?} {direction:?} of worker {place} is held for {pause:?}, meanwhile {and_then}"));
        let held = self.scene.proxy(place).hold(api, direction, Which::Nth(1));
        // Not every worker sends every request soon.
        let _ = held.wait_for(1, Duration::from_secs(2));
        match meanwhile {
            1 => self.kill(place),
            2 => self.freeze(place),
            3 => self.scene.proxy(place).cut(),
            _ => {}
        }
        sleep(pause);
        if arrives { held.release() } else { held.discard() }
    }

    fn disturb_a_broker(&mut self) {
        let broker = i32::try_from(self.draws.between(1, 3)).unwrap();
        let (how, pause) = (self.draws.below(3), self.a_while(8_000));
        let brokers = &self.scene.brokers;
        self.say(&format!("broker {broker} {} for {pause:?}", ["is killed", "leaves", "is halted"][how as usize]));
        match how {
            0 => brokers.kill(broker).unwrap(),
            1 => brokers.stop(broker).unwrap(),
            _ => brokers.freeze(broker).unwrap(),
        }
        sleep(pause);
        self.scene.brokers.start(broker).unwrap();
    }
}
