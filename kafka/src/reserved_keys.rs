//! The librdkafka keys that a user may not set, each with the reason.

use std::fmt;

use rdkafka::{ClientConfig, error::KafkaError, types::RDKafkaConfRes};

use crate::Error;

/// Why a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Exact balances depend on the value the worker gives it.
    Exactness,
    /// It can be set, but not here.
    OwnSetting,
    /// It carries a secret, or weakens the encryption or the login.
    Security,
    /// The worker's deadlines are built on its value.
    Timing,
    /// It changes how the worker joins its group, or the name it is known by there.
    Membership,
    /// It makes the client run foreign code, or cannot be given as text.
    Code,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exactness => "exact balances depend on the value the worker gives it",
            Self::OwnSetting => "it has a setting of its own",
            Self::Security => "it carries a secret or weakens the connection: use the TLS and SASL settings",
            Self::Timing => "the worker's deadlines depend on the value it gives it",
            Self::Membership => "the worker joins its group in one way only, under a name of its own",
            Self::Code => "it runs foreign code or has no text form",
        })
    }
}

/// Every refused key, in librdkafka's spelling and with its aliases. A `*` at the end matches all keys with that
/// prefix, a `*` at the start all keys with that suffix.
pub const RESERVED: &[(&str, Reason)] = &[
    ("*_cb", Reason::Code),
    ("acks", Reason::Exactness),
    ("allow.auto.create.topics", Reason::Exactness),
    ("api.version.*", Reason::Exactness),
    ("auto.commit.enable", Reason::Exactness),
    ("auto.commit.interval.ms", Reason::Exactness),
    ("auto.offset.reset", Reason::OwnSetting),
    ("bootstrap.servers", Reason::OwnSetting),
    ("broker.version.fallback", Reason::Exactness),
    ("builtin.features", Reason::Code),
    ("check.crcs", Reason::Exactness),
    ("client.id", Reason::Membership),
    ("client.rack", Reason::Membership),
    ("consume.callback.*", Reason::Code),
    ("default_topic_conf", Reason::Code),
    ("delivery.report.only.error", Reason::Exactness),
    ("delivery.timeout.ms", Reason::Exactness),
    ("enable.auto.commit", Reason::Exactness),
    ("enable.auto.offset.store", Reason::Exactness),
    ("enable.gapless.guarantee", Reason::Exactness),
    ("enable.idempotence", Reason::Exactness),
    ("enable.partition.eof", Reason::Exactness),
    ("enable.sasl.*", Reason::Security),
    ("enable.ssl.*", Reason::Security),
    ("enabled_events", Reason::Code),
    ("fetch.max.bytes", Reason::Timing),
    ("fetch.message.max.bytes", Reason::Timing),
    ("fetch.queue.backoff.ms", Reason::Timing),
    ("fetch.wait.max.ms", Reason::Timing),
    ("group.id", Reason::OwnSetting),
    ("group.instance.id", Reason::Membership),
    ("group.protocol", Reason::Membership),
    ("group.protocol.type", Reason::Membership),
    ("group.remote.assignor", Reason::Membership),
    ("heartbeat.interval.ms", Reason::OwnSetting),
    ("https.*", Reason::Security),
    ("interceptors", Reason::Code),
    ("internal.termination.signal", Reason::Code),
    ("isolation.level", Reason::Exactness),
    ("log.queue", Reason::Code),
    ("max.in.flight", Reason::Exactness),
    ("max.in.flight.requests.per.connection", Reason::Exactness),
    ("max.partition.fetch.bytes", Reason::Timing),
    ("max.poll.interval.ms", Reason::OwnSetting),
    ("message.send.max.retries", Reason::Exactness),
    ("message.timeout.ms", Reason::Exactness),
    ("metadata.broker.list", Reason::OwnSetting),
    ("msg_order_cmp", Reason::Code),
    ("offset.store.*", Reason::Exactness),
    ("opaque", Reason::Code),
    ("partition.assignment.strategy", Reason::OwnSetting),
    ("partitioner", Reason::Exactness),
    ("plugin.library.paths", Reason::Code),
    ("queued.max.messages.kbytes", Reason::Timing),
    ("queuing.strategy", Reason::Exactness),
    ("request.required.acks", Reason::Exactness),
    ("request.timeout.ms", Reason::Exactness),
    ("retries", Reason::Exactness),
    ("sasl.*", Reason::Security),
    ("security.protocol", Reason::OwnSetting),
    ("session.timeout.ms", Reason::OwnSetting),
    ("socket.timeout.ms", Reason::Timing),
    ("ssl.*", Reason::Security),
    ("ssl_*", Reason::Security),
    ("topic.blacklist", Reason::Exactness),
    ("topic.metadata.refresh.interval.ms", Reason::Timing),
    ("transaction.timeout.ms", Reason::Exactness),
    ("transactional.id", Reason::Exactness),
];

/// Why `key`, in whatever spelling, may not be set from outside; `None` when it may.
pub fn refusal(key: &str) -> Option<Reason> {
    let key = canonical(key.trim());
    RESERVED.iter().find(|(reserved, _)| is_match(&canonical(reserved), &key)).map(|(_, reason)| *reason)
}

/// Whether `key` = `value` may be passed on to librdkafka: not reserved, known, and of the right type and range.
///
/// # Errors
/// [`Error::Invalid`] with the key's name and what is wrong with it. The value is not repeated.
pub fn check(key: &str, value: &str) -> Result<(), Error> {
    if let Some(reason) = refusal(key) {
        return Err(Error::invalid(format!("the client setting {key:?} is refused: {reason}")));
    }
    match ClientConfig::new().set(key, value).create_native_config() {
        Ok(_) => Ok(()),
        // The client's own text repeats the value, which may be a secret under a misspelt key.
        Err(error) => {
            let reason = match error {
                KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..) => "librdkafka knows no such key",
                _ => "librdkafka does not take the value: see its CONFIGURATION.md for type and range",
            };
            Err(Error::invalid(format!("the client setting {key:?} does not work: {reason}")))
        }
    }
}

/// The normalized key: lower case, and `.` in place of the `_` of environment names.
pub fn canonical(key: &str) -> String {
    key.to_ascii_lowercase().replace('_', ".")
}

fn is_match(reserved: &str, key: &str) -> bool {
    match (reserved.strip_suffix('*'), reserved.strip_prefix('*')) {
        (Some(beginning), _) => key.starts_with(beginning),
        (_, Some(end)) => key.ends_with(end),
        _ => key == reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_exactness_depends_on_are_refused_under_every_name() {
        for key in [
            "enable.auto.commit",
            "auto.commit.enable",
            "isolation.level",
            "acks",
            "request.required.acks",
            "transactional.id",
            "enable.idempotence",
        ] {
            assert_eq!(refusal(key), Some(Reason::Exactness), "{key}");
        }
    }

    #[test]
    fn keys_that_carry_secrets_are_refused_by_their_beginning() {
        for key in ["sasl.password", "sasl.oauthbearer.client.secret", "ssl.key.pem", "ssl_key", "ssl.key.password"] {
            assert_eq!(refusal(key), Some(Reason::Security), "{key}");
        }
    }

    #[test]
    fn callbacks_are_refused_by_their_end() {
        for key in ["rebalance_cb", "dr_msg_cb", "log_cb", "oauthbearer_token_refresh_cb"] {
            assert_eq!(refusal(key), Some(Reason::Code), "{key}");
        }
    }

    #[test]
    fn spelling_gets_nobody_past_a_refusal() {
        for key in ["ENABLE_AUTO_COMMIT", "Enable.Auto.Commit", " enable.auto.commit ", "enable_auto.commit"] {
            assert_eq!(refusal(key), Some(Reason::Exactness), "{key}");
        }
    }

    #[test]
    fn tuning_keys_pass_and_unknown_or_wrong_ones_are_named() {
        assert_eq!(check("fetch.min.bytes", "1024"), Ok(()));
        assert_eq!(check("debug", "cgrp"), Ok(()));
        for key in ["no.such.key", "fetch.min.bytes", "group.id", "sasl.password", "saslpassword"] {
            let message = check(key, "s3cret").expect_err("it is refused").to_string();
            assert!(message.contains(key) && !message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn every_reserved_key_is_one_that_librdkafka_knows() {
        for (key, reason) in RESERVED.iter().filter(|(key, reason)| !key.ends_with('*') && *reason != Reason::Code) {
            let refused = ClientConfig::new().set(*key, "?").create_native_config().err().map(|it| it.to_string());
            assert!(!refused.unwrap_or_default().contains("No such configuration"), "{key}: {reason}");
        }
    }
}
