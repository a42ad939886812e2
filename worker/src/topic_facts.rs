//! What the brokers say of a topic that a worker has to know.

use std::time::Duration;

use balancefleet_kafka::{Admin, Error};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicFacts {
    /// Kafka's id of the topic: another one means another topic of the same name.
    pub(crate) topic_id: String,
    pub(crate) partition_count: i32,
}

/// Asks the brokers for both.
pub(crate) fn describe(admin: &Admin, topic: &str, timeout: Duration) -> Result<TopicFacts, Error> {
    let mut described = admin.describe_topics(&[topic], timeout)?;
    let Some((_, description)) = described.pop() else {
        return Err(Error::UnknownTopic { what: format!("topic {topic}") });
    };
    let description = description?;
    let partition_count = i32::try_from(description.partitions.len()).unwrap_or(i32::MAX);
    Ok(TopicFacts { topic_id: description.id.to_string(), partition_count })
}
