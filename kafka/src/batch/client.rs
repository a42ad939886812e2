//! The consumer of a reader: its settings, and what its log says about missing partitions.

use parking_lot::Mutex;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, ClientContext};
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::client_log;
use crate::failure::Failure;
use crate::native::failure_of_code;

/// Why librdkafka may find a partition missing.
const MISSING: [Code; 6] = [
    Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID,
    Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
    Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
    Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
];

/// A consumer for partitions of `topic` with `config`, except for the settings that positions depend on.
pub(super) fn start(config: &ClientConfig, topic: &str) -> KafkaResult<BaseConsumer<ReaderContext>> {
    let mut config = config.clone();
    config
        // An offset that is not in the log must be reported, never replaced by another one.
        .set("auto.offset.reset", "error")
        // The end says that what lies before it was read, even if there was no record in it.
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    // As much as librdkafka says by itself, whoever logs; and what somebody has asked it for.
    let is_debugged = config.get("debug").is_some_and(|debug| !debug.is_empty());
    config.set_log_level(if is_debugged { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
    BaseConsumer::from_config_and_context(&config, ReaderContext { topic: topic.to_owned(), missing: Mutex::default() })
}

/// Handles the client's events: its log lines go to our log.
pub(super) struct ReaderContext {
    topic: String,
    missing: Mutex<Option<Failure>>,
}

impl ReaderContext {
    /// Why a partition is missing, if that was found since the last call; the text names it.
    pub(super) fn take_missing(&self) -> Option<Failure> {
        self.missing.lock().take()
    }
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // When a partition is missing, a consumer of the safe crate that is read in batches gets no message and no
        // event. librdkafka only logs a line with this facility, and logs nothing else with it.
        if facility == "ERROR" {
            self.missing.lock().get_or_insert_with(|| missing(&self.topic, line));
        } else {
            client_log::line(level as i32, facility, line);
        }
    }

    /// Ignored: the log lines say the same, in more detail.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for ReaderContext {}

/// Parses `[thrd:app]: CLIENT: TOPIC [PARTITION]: WHAT (WHY)`, where WHY is librdkafka's text for a code.
fn missing(topic: &str, line: &str) -> Failure {
    let text = line.find(&format!("{topic} [")).map_or(line, |at| line.split_at(at).1).to_owned();
    let reasons = MISSING.iter().filter_map(|code| failure_of_code(*code as i32));
    let why = reasons.into_iter().find(|reason| text.trim_end().ends_with(&format!("({})", reason.text)));
    Failure { code: why.map_or(Code::RD_KAFKA_RESP_ERR_UNKNOWN as i32, |reason| reason.code), text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn the_reason_is_read_off_the_line() {
        let kind = |why: &str| {
            let line = format!("[thrd:app]: w-1-restore#consumer-3: t.1 [7]: topic does not exist ({why})");
            let failure = missing("t.1", &line);
            assert_eq!(failure.text, format!("t.1 [7]: topic does not exist ({why})"));
            failure.error("it").kind()
        };
        assert_eq!(kind("Broker: Unknown topic or partition"), ErrorKind::UnknownTopic);
        assert_eq!(kind("Local: Unknown partition"), ErrorKind::UnknownTopic);
        assert_eq!(kind("Broker: Topic authorization failed"), ErrorKind::Authorization);
        assert_eq!(kind("Broker: whatever"), ErrorKind::Other);
    }
}
