//! Valid connections and consumer group members.

use super::rule::{ValidationRule, rule, topic_name};

pub(super) fn connection() -> Vec<ValidationRule> {
    const BROKER: &str = r"(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}";
    vec![
        rule(
            ".spec.kafka.bootstrapServers",
            format!("self.matches('^{BROKER}(,{BROKER})*$')"),
            "bootstrapServers must be host:port, or several separated by commas without spaces, for example \
             kafka-0.kafka:9092,kafka-1.kafka:9092",
        ),
        topic_name(".spec.kafka.topic", "topic"),
        rule(
            ".spec.kafka.groupId",
            "self.matches('^[!-~]+$')",
            "groupId must consist of visible ASCII characters without spaces",
        ),
    ]
}

pub(super) fn consumer() -> Vec<ValidationRule> {
    let at = ".spec.kafka.consumer";
    vec![
        rule(
            at,
            "duration(self.heartbeatInterval) > duration('0s')",
            "heartbeatInterval must be more than 0; the default is 500ms",
        ),
        rule(
            at,
            "duration(self.heartbeatInterval) + duration(self.heartbeatInterval) + duration(self.heartbeatInterval) \
             <= duration(self.sessionTimeout)",
            "sessionTimeout must be at least three times heartbeatInterval, or one late heartbeat costs a worker its \
             partitions",
        ),
        rule(
            at,
            "duration(self.sessionTimeout) >= duration('6s')",
            "sessionTimeout must be at least 6s: brokers refuse less",
        ),
        rule(
            at,
            "duration(self.sessionTimeout) <= duration(self.maxPollInterval)",
            "maxPollInterval must be at least sessionTimeout",
        ),
        rule(
            at,
            "duration(self.sessionTimeout) <= duration('1h')",
            "sessionTimeout must be at most 1h: the Kafka client accepts no more",
        ),
        rule(
            at,
            "duration(self.maxPollInterval) <= duration('24h')",
            "maxPollInterval must be at most 24h: the Kafka client accepts no more",
        ),
    ]
}
