//! The events of a transactional producer's client: how many records have no delivery report yet, the first record that
//! was not delivered, and whether the producer may begin another transaction.

use crate::client_log;
use crate::failure::Failure;
use crate::health::Health;
use crate::native::{ClientEvent, Delivered, Undelivered};

/// librdkafka's level of lines that are only written for debugging.
const DEBUG: i32 = 7;

/// The state from all events so far.
#[derive(Default)]
pub(super) struct DeliveryReports {
    unreported: u64,
    undelivered: Option<Failure>,
    in_doubt: bool,
    health: Health,
}

impl DeliveryReports {
    /// Notes that this many records were queued.
    pub(super) fn sent(&mut self, records: usize) {
        self.unreported += records as u64;
    }

    /// Notes an event.
    pub(super) fn note(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Error { code, text } => self.health.note_error(code, text),
            ClientEvent::Log { level, facility, text } => {
                client_log::line(level, &facility, &text);
                self.in_doubt |= leaves_in_doubt(&facility, &text);
                if level < DEBUG {
                    self.health.note_log(&facility, &text);
                }
            }
            ClientEvent::Delivered(delivered) => self.note_delivery(delivered),
        }
    }

    fn note_delivery(&mut self, Delivered { count, undelivered }: Delivered) {
        self.unreported = self.unreported.saturating_sub(count);
        self.in_doubt |= undelivered.is_some();
        if self.undelivered.is_none() {
            self.undelivered = undelivered.map(named);
        }
    }

    /// Notes that a broker has answered: earlier connection errors are over.
    pub(super) fn note_answer(&mut self) {
        self.health.note_answer();
    }

    /// The number of records without a report.
    pub(super) const fn unreported(&self) -> u64 {
        self.unreported
    }

    /// The first record of the transaction that was not delivered.
    pub(super) fn undelivered(&self) -> Option<Failure> {
        self.undelivered.clone()
    }

    /// Forgets the failed record of the last transaction, because a new one begins.
    pub(super) fn forget_undelivered(&mut self) {
        self.undelivered = None;
    }

    /// Whether something since the last call leaves the producer in doubt.
    pub(super) fn take_in_doubt(&mut self) -> bool {
        std::mem::take(&mut self.in_doubt)
    }

    /// `detail` with the present connection errors, if there are any.
    pub(super) fn explained(&self, detail: String) -> String {
        let trouble = self.health.trouble().map(|error| error.to_string());
        match trouble.as_deref().or_else(|| self.health.last_failure_log()) {
            Some(trouble) => format!("{detail}; {trouble}"),
            None => detail,
        }
    }
}

fn named(undelivered: Undelivered) -> Failure {
    let Undelivered { topic, partition, failure } = undelivered;
    let text = format!("a record for partition {partition} of topic {topic} was not delivered: {}", failure.text);
    Failure { text, ..failure }
}

/// Whether a log line reports a lost connection or a request without an answer. A connection that was never up, or that
/// the client closed itself after a long idle time, had no request in flight.
fn leaves_in_doubt(facility: &str, text: &str) -> bool {
    match facility {
        "REQTMOUT" => true,
        "FAIL" if text.contains("Connection max idle time exceeded") => false,
        "FAIL" => text.contains("in state UP") || text.contains("in state REAUTH"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka_sys::rd_kafka_resp_err_t as Code;

    use super::*;

    fn log(facility: &str, text: &str) -> ClientEvent {
        ClientEvent::Log { level: 6, facility: facility.into(), text: text.into() }
    }

    fn delivered(count: u64, failed: Option<Code>) -> ClientEvent {
        let undelivered = failed.map(|code| Undelivered {
            topic: "t".into(),
            partition: 3,
            failure: Failure { code: code as i32, text: "words".into() },
        });
        ClientEvent::Delivered(Delivered { count, undelivered })
    }

    #[test]
    fn only_a_connection_that_was_up_and_a_request_that_timed_out_leave_it_in_doubt() {
        for (facility, text, is_in_doubt) in [
            ("FAIL", "[thrd:b]: b: Disconnected (after 21ms in state UP)", true),
            ("FAIL", "b: Receive failed: Connection reset by peer (after 5ms in state UP, 2 identical error(s))", true),
            ("FAIL", "b: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)", false),
            (
                "FAIL",
                "b: Connection max idle time exceeded (29913ms since last activity) (after 60002ms in state UP)",
                false,
            ),
            ("FAIL", "Logical broker has no address yet (after 0ms in state TRY_CONNECT)", false),
            ("REQTMOUT", "b: Timed out 1 in-flight, 0 retry-queued, 0 out-queue, 0 partially-sent requests", true),
            ("STATE", "b: Broker changed state UP -> DOWN", false),
        ] {
            let mut reports = DeliveryReports::default();
            reports.note(log(facility, text));
            assert_eq!(reports.take_in_doubt(), is_in_doubt, "{facility} {text}");
            assert!(!reports.take_in_doubt(), "it is told once");
        }
    }

    #[test]
    fn the_first_undelivered_record_is_kept_until_the_next_transaction() {
        let mut reports = DeliveryReports::default();
        reports.sent(5);
        reports.note(delivered(2, None));
        reports.note(delivered(1, Some(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)));
        reports.note(delivered(2, Some(Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE)));
        assert_eq!(reports.unreported(), 0);
        assert!(reports.take_in_doubt());
        let failure = reports.undelivered().expect("one failed");
        assert!(failure.is(Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE));
        assert_eq!(failure.text, "a record for partition 3 of topic t was not delivered: words");
        reports.forget_undelivered();
        assert_eq!(reports.undelivered(), None);
    }

    #[test]
    fn a_failure_without_an_answer_says_what_is_wrong_with_the_connection() {
        let mut reports = DeliveryReports::default();
        assert_eq!(reports.explained("no answer".into()), "no answer");
        reports.note(log("FAIL", "b: Connection refused"));
        assert_eq!(reports.explained("no answer".into()), "no answer; b: Connection refused");
        reports.note_answer();
        assert_eq!(reports.explained("no answer".into()), "no answer");
    }
}
