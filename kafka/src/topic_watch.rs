//! Under which id of its topic a client fetches.
//!
//! A topic that is deleted and recreated within seconds goes unnoticed by a consumer: librdkafka takes over the new id with
//! its metadata and fetches on at the offset where it stood, without an error ("FIXME: an offset reset must be triggered",
//! `rdkafka_topic.c`). But it fetches under an id, which the broker checks (KIP-516, Fetch 13 and later), and it says in its
//! log when it takes another one, before it fetches under it. The safe crate hands out log lines with the consumer's events.
//! So whoever has taken records, and then polled the consumer until it has no events, knows whether they are of another topic.

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// What a consumer takes for the id of its topic.
pub struct TopicWatch {
    topic: String,
    id: Mutex<Option<String>>,
    /// Whether somebody has asked for the lines that only this asks for otherwise.
    is_debugged: bool,
}

impl TopicWatch {
    /// Lets a client with `config` say what is needed. Its log lines have to be given to [`heard`](Self::heard).
    pub fn new(config: &mut ClientConfig, topic: &str) -> Self {
        let debug = config.get("debug").filter(|debug| !debug.is_empty()).map(str::to_owned);
        config.set("debug", debug.as_ref().map_or_else(|| "metadata".to_owned(), |debug| format!("{debug},metadata")));
        config.set_log_level(RDKafkaLogLevel::Debug);
        Self { topic: topic.to_owned(), id: Mutex::default(), is_debugged: debug.is_some() }
    }

    /// Takes in a line of the client's log; whether it was written only for this, and is none to log.
    pub fn heard(&self, level: RDKafkaLogLevel, line: &str) -> bool {
        if !matches!(level, RDKafkaLogLevel::Debug) {
            return false;
        }
        if let Some(id) = changed_id(line, &self.topic) {
            *self.id.lock() = Some(id);
        }
        !self.is_debugged
    }

    /// The id under which records are fetched, in Kafka's own form; `None` before the client knows the topic.
    pub fn id(&self) -> Option<String> {
        self.id.lock().clone()
    }
}

/// `[thrd:main]: Topic NAME changed id from OLD to NEW`, in the plain form of base64.
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
