//! The queue of reconcile triggers. An object is in it at most once, however often it is triggered before it is taken,
//! so the queue of a slow controller stays small.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ObjectKey;

type Pending = Arc<Mutex<HashSet<ObjectKey>>>;

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    pending: Pending,
    sender: UnboundedSender<ObjectKey>,
}

impl Trigger {
    pub(super) fn fire(&self, key: &ObjectKey) {
        if self.pending.lock().insert(key.clone()) {
            // Fails only when the receiver is gone, which happens at the end of the process.
            let _ = self.sender.send(key.clone());
        }
    }
}

/// The objects to reconcile because decision, conditions or status may change, in the order they were triggered.
#[derive(Debug)]
pub struct Triggers {
    pending: Pending,
    receiver: UnboundedReceiver<ObjectKey>,
}

impl Stream for Triggers {
    type Item = ObjectKey;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ObjectKey>> {
        let key = ready!(self.receiver.poll_recv(context));
        if let Some(key) = &key {
            // Removed before the reconcile: a trigger that fires during it must not be lost.
            self.pending.lock().remove(key);
        }
        Poll::Ready(key)
    }
}

pub(super) fn queue() -> (Trigger, Triggers) {
    let (sender, receiver) = unbounded_channel();
    let pending = Pending::default();
    (Trigger { pending: pending.clone(), sender }, Triggers { pending, receiver })
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "bank".into(), name: name.into() }
    }

    #[test]
    fn an_object_is_queued_once_however_often_it_is_triggered() {
        let (trigger, mut triggers) = queue();
        for name in ["a", "b", "a", "a"] {
            trigger.fire(&key(name));
        }
        assert_eq!(triggers.next().now_or_never(), Some(Some(key("a"))));
        assert_eq!(triggers.next().now_or_never(), Some(Some(key("b"))));
        assert_eq!(triggers.next().now_or_never(), None);
    }

    #[test]
    fn an_object_triggered_after_it_was_taken_is_queued_again() {
        let (trigger, mut triggers) = queue();
        trigger.fire(&key("a"));
        assert_eq!(triggers.next().now_or_never(), Some(Some(key("a"))));
        trigger.fire(&key("a"));
        assert_eq!(triggers.next().now_or_never(), Some(Some(key("a"))));
    }
}
