//! Tells under which topic id a client fetches.
//!
//! A consumer does not notice a topic that is deleted and recreated within seconds. librdkafka takes the new id from
//! its metadata and continues at its offset, without an error ("FIXME: an offset reset must be triggered",
//! `rdkafka_topic.c`). But it fetches under an id that the broker checks (KIP-516, Fetch 13 and later), and it logs a
//! new id before it fetches under it. The safe crate delivers log lines with the consumer's events. So take records,
//! then poll the consumer until it has no events: after that it is known whether the records come from another topic.

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// The topic id that a consumer fetches under.
pub struct TopicWatch {
    topic: String,
    id: Mutex<Option<String>>,
    /// Whether the user has also asked for the debug lines that this needs.
    is_debugged: bool,
}

impl TopicWatch {
    /// Makes a client with `config` log what is needed. Pass its log lines to [`heard`](Self::heard).
    pub fn new(config: &mut ClientConfig, topic: &str) -> Self {
        let debug = config.get("debug").filter(|debug| !debug.is_empty()).map(str::to_owned);
        config.set("debug", debug.as_ref().map_or_else(|| "metadata".to_owned(), |debug| format!("{debug},metadata")));
        config.set_log_level(RDKafkaLogLevel::Debug);
        Self { topic: topic.to_owned(), id: Mutex::default(), is_debugged: debug.is_some() }
    }

    /// Reads a line of the client's log. Returns true if it was written only for this watch and should not be logged.
    pub fn heard(&self, level: RDKafkaLogLevel, line: &str) -> bool {
        if !matches!(level, RDKafkaLogLevel::Debug) {
            return false;
        }
        if let Some(id) = changed_id(line, &self.topic) {
            *self.id.lock() = Some(id);
        }
        !self.is_debugged
    }

    /// The id under which the client fetches, in Kafka's own form; `None` before the client knows the topic.
    pub fn id(&self) -> Option<String> {
        self.id.lock().clone()
    }
}

/// Parses `[thrd:main]: Topic NAME changed id from OLD to NEW`, with ids in plain base64.
fn changed_id(line: &str, topic: &str) -> Option<String> {
    let (_, change) = line.split_once("Topic ")?;
    let ids = change.strip_prefix(topic)?.strip_prefix(" changed id from ")?;
    let (_, new) = ids.split_once(" to ")?;
    Some(new.trim_end().replace('+', "-").replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_id_of_its_own_topic_counts() {
        let watch = TopicWatch::new(&mut ClientConfig::new(), "t.1");
        assert_eq!(watch.id(), None);
        let heard = |line: &str| watch.heard(RDKafkaLogLevel::Debug, line);
        assert!(heard("[thrd:main]: Topic t.1 changed id from AAAAAAAAAAAAAAAAAAAAAA to ab+/AAAAAAAAAAAAAAAAAA"));
        assert_eq!(watch.id().as_deref(), Some("ab-_AAAAAAAAAAAAAAAAAA"));
        for other in
            ["Topic t.12 changed id from A to B", "Topic t.1 [3] Leader 1 Epoch 4", "Topic t changed id from A to B"]
        {
            assert!(heard(&format!("[thrd:main]: {other}")));
        }
        assert_eq!(watch.id().as_deref(), Some("ab-_AAAAAAAAAAAAAAAAAA"));
        assert!(!watch.heard(RDKafkaLogLevel::Warning, "[thrd:main]: Topic t.1 changed id from A to B"));
    }

    #[test]
    fn what_somebody_else_asks_the_client_for_is_logged() {
        let mut config = ClientConfig::new();
        config.set("debug", "cgrp");
        let watch = TopicWatch::new(&mut config, "t");
        assert_eq!(config.get("debug"), Some("cgrp,metadata"));
        assert!(!watch.heard(RDKafkaLogLevel::Debug, "[thrd:main]: Topic t changed id from A to B"));
        assert_eq!(watch.id().as_deref(), Some("B"));
    }
}
