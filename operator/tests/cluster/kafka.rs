//! A real broker: topics, and members of groups.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use tokio::task::JoinHandle;

/// `host:port`.
pub(crate) fn broker() -> String {
    std::env::var("BALANCEFLEET_TEST_KAFKA").expect("BALANCEFLEET_TEST_KAFKA: run `make api-test`")
}

/// A name that no other test and no earlier run has used.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{:08x}", rand::random::<u32>())
}

pub(crate) async fn create_topic(name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
    let created = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

fn config() -> ClientConfig {
    ClientConfig::from_iter([("bootstrap.servers".to_owned(), broker())])
}

/// A member of a group with the assignor that workers have by default, until it leaves.
pub(crate) struct Member {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Also when its test fails: the runtime waits for the thread.
impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Member {
    /// Joins, and returns when it has partitions.
    pub(crate) async fn join(topic: &str, group: &str, client_id: &str) -> Self {
        let mut config = config();
        config
            .set("group.id", group)
            .set("client.id", client_id)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("heartbeat.interval.ms", "500");
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let (stop, joined) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (end, in_it) = (Arc::clone(&stop), Arc::clone(&joined));
        let thread = tokio::task::spawn_blocking(move || {
            while !end.load(Ordering::SeqCst) {
                drop(consumer.poll(Duration::from_millis(50)));
                let owned = consumer.assignment().is_ok_and(|assignment| assignment.count() > 0);
                in_it.fetch_or(owned, Ordering::SeqCst);
            }
        });
        let member = Self { stop, thread: Some(thread) };
        crate::support::eventually("a member of the group", || async { joined.load(Ordering::SeqCst).then_some(()) })
            .await;
        member
    }

    /// Leaves the group.
    pub(crate) async fn leave(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.await.unwrap();
        }
    }
}
