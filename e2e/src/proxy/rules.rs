//! What is to happen to which message: the rules that a test has set, as a pure state machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::Api;

/// The way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to a broker.
    Request,
    /// From a broker to the client.
    Response,
}

/// Which messages of an API a rule is about, counted from the moment it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// That one alone; the next one is the first.
    Nth(u64),
    /// All of them, until the rule is lifted.
    Every,
}

/// What has become of messages that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Undecided,
    Released,
    Dropped,
}

/// What a rule does to a message.
#[derive(Clone)]
pub(super) enum Effect {
    Drop,
    Delay(Duration),
    Hold(watch::Receiver<Fate>),
    CutAfter,
}

pub(super) struct Rule {
    pub(super) api: Api,
    pub(super) direction: Direction,
    pub(super) which: Which,
    pub(super) effect: Effect,
}

struct Active {
    id: u64,
    rule: Rule,
    /// Messages it is about, of which it lets some pass.
    met: u64,
    happened: Arc<AtomicU64>,
}

/// All rules, in the order in which they were set.
#[derive(Default)]
pub(super) struct Rules {
    active: Vec<Active>,
    last_id: u64,
}

impl Rules {
    /// From now on; gives the rule's id, and how often it has happened.
    pub(super) fn set(&mut self, rule: Rule) -> (u64, Arc<AtomicU64>) {
        let happened = Arc::default();
        self.last_id += 1;
        self.active.push(Active { id: self.last_id, rule, met: 0, happened: Arc::clone(&happened) });
        (self.last_id, happened)
    }

    pub(super) fn lift(&mut self, id: u64) {
        self.active.retain(|active| active.id != id);
    }

    /// What happens to this message. Every rule counts it; the first one that is about it decides.
    pub(super) fn apply(&mut self, api: Api, direction: Direction) -> Option<Effect> {
        let mut decided = None;
        self.active.retain_mut(|active| {
            if (active.rule.api, active.rule.direction) != (api, direction) {
                return true;
            }
            active.met += 1;
            let is_meant = match active.rule.which {
                Which::Nth(nth) => active.met == nth,
                Which::Every => true,
            };
            if is_meant && decided.is_none() {
                active.happened.fetch_add(1, Ordering::Relaxed);
                decided = Some(active.rule.effect.clone());
            }
            !is_meant || active.rule.which == Which::Every
        });
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Request, Response};

    fn drop_of(api: Api, direction: Direction, which: Which) -> Rule {
        Rule { api, direction, which, effect: Effect::Drop }
    }

    fn dropped(rules: &mut Rules, api: Api, direction: Direction, times: usize) -> Vec<bool> {
        (0..times).map(|_| rules.apply(api, direction).is_some()).collect()
    }

    #[test]
    fn the_nth_message_is_met_once() {
        let mut rules = Rules::default();
        let (_, happened) = rules.set(drop_of(Api::EndTxn, Response, Which::Nth(2)));
        assert_eq!(dropped(&mut rules, Api::EndTxn, Response, 4), [false, true, false, false]);
        assert_eq!(happened.load(Ordering::Relaxed), 1);
        assert!(rules.active.is_empty());
    }

    #[test]
    fn every_message_is_met_until_the_rule_is_lifted() {
        let mut rules = Rules::default();
        let (id, happened) = rules.set(drop_of(Api::Fetch, Request, Which::Every));
        assert_eq!(dropped(&mut rules, Api::Fetch, Request, 3), [true; 3]);
        rules.lift(id);
        assert_eq!(dropped(&mut rules, Api::Fetch, Request, 2), [false; 2]);
        assert_eq!(happened.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_rule_leaves_other_apis_and_the_other_direction_alone() {
        let mut rules = Rules::default();
        rules.set(drop_of(Api::EndTxn, Request, Which::Nth(1)));
        assert_eq!(dropped(&mut rules, Api::EndTxn, Response, 2), [false; 2]);
        assert_eq!(dropped(&mut rules, Api::Fetch, Request, 2), [false; 2]);
        assert_eq!(dropped(&mut rules, Api::EndTxn, Request, 2), [true, false]);
    }

    #[test]
    fn one_message_meets_one_rule_and_is_counted_by_all() {
        let mut rules = Rules::default();
        let (_, first) = rules.set(drop_of(Api::Produce, Request, Which::Nth(1)));
        let (_, second) = rules.set(drop_of(Api::Produce, Request, Which::Nth(2)));
        assert_eq!(dropped(&mut rules, Api::Produce, Request, 3), [true, true, false]);
        assert_eq!((first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)), (1, 1));
    }
}
