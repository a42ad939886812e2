//! Makes sure that a topic exists.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;

use super::sender::SendError;

const DEADLINE: Duration = Duration::from_secs(30);

/// Creates the topic with that many partitions, or leaves an existing one as it is; gives the number of its partitions
/// once each has a leader.
pub fn create_topic(brokers: &str, topic: &str, partitions: u32) -> Result<usize, SendError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "balancefleet-traffic");
    let client: BaseConsumer = config.create()?;
    let existing = led_partitions(&client, topic)?;
    if existing > 0 {
        return Ok(existing);
    }
    create(&config, topic, partitions)?;
    let began = Instant::now();
    loop {
        let led = led_partitions(&client, topic)?;
        if led >= partitions as usize {
            return Ok(led);
        }
        if began.elapsed() > DEADLINE {
            return Err(SendError::NoLeader { topic: topic.to_owned(), led, partitions });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn create(config: &ClientConfig, topic: &str, partitions: u32) -> Result<(), SendError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // The broker's own replication factor: 1 on a test broker, more on a real one.
    let wanted = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(-1));
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    for result in runtime.block_on(admin.create_topics([&wanted], &options))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(SendError::Create { topic, code }),
        }
    }
    Ok(())
}

/// Partitions that have a leader; 0 when the topic does not exist.
fn led_partitions(client: &BaseConsumer, topic: &str) -> Result<usize, SendError> {
    let metadata = client.fetch_metadata(Some(topic), DEADLINE)?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    Ok(partitions.filter(|partition| partition.leader() >= 0).count())
}
