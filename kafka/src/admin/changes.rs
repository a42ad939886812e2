//! Creates and changes topics.

use std::time::Duration;

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use super::client::Admin;
use super::operation::Operation;
use crate::Error;
use crate::native::{Answer, Queue};

impl Admin {
    /// Creates a topic, with the cluster's own replication factor if none is given. Returns false if it already exists.
    ///
    /// # Errors
    /// [`Authorization`](crate::ErrorKind::Authorization) names the right that is missing, and
    /// [`Other`](crate::ErrorKind::Other) is a request that the cluster will never carry out.
    pub fn create_topic(
        &self,
        topic: &str,
        partitions: i32,
        replication: Option<i32>,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<bool, Error> {
        let operation = Operation::on_topic("create", topic, "Create on that topic or on the cluster");
        let send = |queue: &Queue<'_>, limits| queue.ask_to_create(topic, partitions, replication, settings, limits);
        self.carry_out(&operation, timeout, send, |answer| match answer.created() {
            Err(failure) if failure.is(Code::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) => Ok(false),
            created => created.map(|()| true),
        })
    }

    /// Adds partitions until there are `partitions`; no error if there are enough already.
    ///
    /// # Errors
    /// As for [`create_topic`](Self::create_topic).
    pub fn create_partitions(&self, topic: &str, partitions: i32, timeout: Duration) -> Result<(), Error> {
        let operation = Operation::on_topic("add partitions to", topic, "Alter on that topic");
        let wanted = usize::try_from(partitions).unwrap_or_default();
        let send = |queue: &Queue<'_>, limits| queue.ask_to_add(topic, wanted, limits);
        self.carry_out(&operation, timeout, send, |answer| match answer.partitions_created() {
            Err(failure) if failure.is(Code::RD_KAFKA_RESP_ERR_INVALID_PARTITIONS) => Ok(()),
            grown => grown,
        })
    }

    /// Replaces the settings of a topic: those not named fall back to the cluster's defaults.
    ///
    /// # Errors
    /// As for [`create_topic`](Self::create_topic).
    pub fn alter_topic(&self, topic: &str, settings: &[(&str, &str)], timeout: Duration) -> Result<(), Error> {
        let operation = Operation::on_topic("configure", topic, "AlterConfigs on that topic");
        let send = |queue: &Queue<'_>, limits| queue.ask_to_alter(topic, settings, limits);
        self.carry_out(&operation, timeout, send, Answer::settings_altered)
    }
}
