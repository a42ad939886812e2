//! The queue of objects to look at again: each is in it at most once, however often it is woken before it is taken, so
//! that a controller that falls behind costs no memory.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::GroupKey;

type Pending = Arc<Mutex<HashSet<GroupKey>>>;

/// The end that wakes.
#[derive(Debug, Clone)]
pub(super) struct Waker {
    pending: Pending,
    sender: UnboundedSender<GroupKey>,
}

impl Waker {
    pub(super) fn wake(&self, key: &GroupKey) {
        if self.pending.lock().insert(key.clone()) {
            // Fails only when nobody listens any more, which is the end of the process.
            let _ = self.sender.send(key.clone());
        }
    }
}

/// The objects whose decision, conditions or status have to be looked at again, in the order they were woken.
#[derive(Debug)]
pub struct Woken {
    pending: Pending,
    receiver: UnboundedReceiver<GroupKey>,
}

impl Stream for Woken {
    type Item = GroupKey;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<GroupKey>> {
        let key = ready!(self.receiver.poll_recv(context));
        if let Some(key) = &key {
            // Before the object is looked at: a wake during that look must not be swallowed.
            self.pending.lock().remove(key);
        }
        Poll::Ready(key)
    }
}

pub(super) fn queue() -> (Waker, Woken) {
    let (sender, receiver) = unbounded_channel();
    let pending = Pending::default();
    (Waker { pending: pending.clone(), sender }, Woken { pending, receiver })
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn key(name: &str) -> GroupKey {
        GroupKey { namespace: "bank".into(), name: name.into() }
    }

    #[test]
    fn an_object_waits_in_the_queue_once_however_often_it_is_woken() {
        let (waker, mut woken) = queue();
        for name in ["a", "b", "a", "a"] {
            waker.wake(&key(name));
        }
        assert_eq!(woken.next().now_or_never(), Some(Some(key("a"))));
        assert_eq!(woken.next().now_or_never(), Some(Some(key("b"))));
        assert_eq!(woken.next().now_or_never(), None);
    }

    #[test]
    fn an_object_woken_after_it_was_taken_comes_again() {
        let (waker, mut woken) = queue();
        waker.wake(&key("a"));
        assert_eq!(woken.next().now_or_never(), Some(Some(key("a"))));
        waker.wake(&key("a"));
        assert_eq!(woken.next().now_or_never(), Some(Some(key("a"))));
    }
}
