//! What a failed transaction means, and what its owner may do next, by librdkafka's codes and flags.

use std::fmt;

use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::native::CallFailure;

/// Why a transaction cannot continue; each kind says what its owner may do. `detail` has librdkafka's or the broker's
/// text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// A definite refusal: the transaction has not happened, and nothing of it will once it is aborted. Abort it. If
    /// that succeeds and the producer was not [in doubt](super::TransactionalProducer::take_in_doubt), begin the next
    /// transaction with it; otherwise do as after [`Unknown`](Self::Unknown).
    #[error("Kafka refused the transaction, {why}: {detail}")]
    Refused {
        /// What was refused.
        why: AbortReason,
        /// Kafka's words.
        detail: String,
    },
    /// Another producer has registered the transactional id, or the coordinator has ended a transaction that outlived
    /// `transaction.timeout.ms` (the two look the same), or has forgotten the id. Drop the producer. A transaction that
    /// was being committed may have happened: the group's committed offsets tell, once the id is registered again.
    #[error(
        "another producer has taken over the transactional id, or the transaction took longer than transaction.timeout.ms: {detail}"
    )]
    Fenced {
        /// Kafka's words.
        detail: String,
    },
    /// No answer in time, a lost connection, or an unclear answer: the transaction may have happened, may still happen,
    /// or not. Drop the producer, register its id with a new one, which ends the transaction, and read the group's
    /// committed offsets.
    #[error("nobody knows what became of the transaction: {detail}")]
    Unknown {
        /// librdkafka's words.
        detail: String,
    },
    /// Nothing will work until a user changes a setting, a right or the brokers. The outcome of a transaction that was
    /// being committed is unknown.
    #[error(
        "transactions are not possible: {detail}; check the ACL of the transactional id, and that the brokers run 3.6 or later"
    )]
    Fatal {
        /// Kafka's words.
        detail: String,
    },
}

/// What was refused, when it is certain that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AbortReason {
    /// The group has moved on since the membership was captured: another generation, or without this member.
    StaleMembership,
    /// A record or batch is larger than the topic accepts, or a record larger than the client may send. A broker
    /// refuses a batch for its size even if it would accept each record alone.
    TooLarge,
    /// The metadata of an offset is larger than allowed.
    MetadataTooLarge,
    /// Writing the topic or committing for the group is not allowed.
    Authorization,
    /// The topic or the partition does not exist.
    UnknownPartition,
    /// The topic accepts no such record, for example one without a key where keys are needed.
    InvalidRecord,
}

impl AbortReason {
    /// The refusal as a word, for metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StaleMembership => "StaleMembership",
            Self::TooLarge => "TooLarge",
            Self::MetadataTooLarge => "MetadataTooLarge",
            Self::Authorization => "Authorization",
            Self::UnknownPartition => "UnknownPartition",
            Self::InvalidRecord => "InvalidRecord",
        }
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StaleMembership => "since the group has a new generation or no longer this member",
            Self::TooLarge => "since a record, or a batch of records, is larger than the topic takes",
            Self::MetadataTooLarge => "since the metadata of an offset is larger than the brokers take",
            Self::Authorization => "since this user may not write the topic or read for the group: grant it",
            Self::UnknownPartition => "since it does not know the topic or partition: create it",
            Self::InvalidRecord => "since the topic does not take such a record",
        })
    }
}

impl TransactionError {
    /// The bounded classification: safe as a metric label.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Refused { why, .. } => why.as_str(),
            Self::Fenced { .. } => "Fenced",
            Self::Unknown { .. } => "Unknown",
            Self::Fatal { .. } => "Fatal",
        }
    }

    /// From librdkafka's point of view an error is fatal (the client is of no use), to be answered by an abort, or
    /// retriable. None of these says whether a broker has acted: an abort is also asked for when a request timed out.
    /// So the code decides, and what is not known to be a plain no is [`TransactionError::Unknown`].
    pub(super) fn of(failure: CallFailure) -> Self {
        let CallFailure { failure, is_fatal, is_retriable } = failure;
        let detail = failure.text;
        match Code::try_from(failure.code) {
            // Repeated until the time was over.
            Ok(_) if is_retriable => Self::Unknown { detail },
            Ok(code) if is_fenced(code) => Self::Fenced { detail },
            Ok(code) if is_for_a_person(code) => Self::Fatal { detail },
            Ok(code) if !is_fatal => match abort_reason(code) {
                Some(why) => Self::Refused { why, detail },
                None => Self::Unknown { detail },
            },
            _ => Self::Unknown { detail },
        }
    }
}

/// Whether the same call is worth making again: librdkafka says so, and no other call has to be made before.
pub(super) const fn is_worth_repeating(failure: &CallFailure) -> bool {
    failure.is_retriable && !failure.failure.is(Code::RD_KAFKA_RESP_ERR__CONFLICT)
}

/// Whether a failure only reports an earlier one.
pub(super) fn is_consequence(failure: &CallFailure) -> bool {
    matches!(
        Code::try_from(failure.failure.code),
        Ok(Code::RD_KAFKA_RESP_ERR__STATE
            | Code::RD_KAFKA_RESP_ERR__INCONSISTENT
            | Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE
            | Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
            | Code::RD_KAFKA_RESP_ERR__FATAL)
    )
}

const fn is_fenced(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR__FENCED
            | Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED
            | Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING
    )
}

const fn is_for_a_person(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT
            | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION
            | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT
            | Code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE
            | Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
            | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
            | Code::RD_KAFKA_RESP_ERR__INVALID_ARG
            | Code::RD_KAFKA_RESP_ERR__NOT_CONFIGURED
    )
}

/// The definite answers of a broker, and the client's refusals before it has sent anything. A request with such an
/// answer is over, and an abort undoes its effects.
const fn abort_reason(code: Code) -> Option<AbortReason> {
    match code {
        Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
        | Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID
        | Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
        | Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
        | Code::RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH
        | Code::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH => Some(AbortReason::StaleMembership),
        Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE | Code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE => {
            Some(AbortReason::TooLarge)
        }
        Code::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE | Code::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE => {
            Some(AbortReason::MetadataTooLarge)
        }
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => {
            Some(AbortReason::Authorization)
        }
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
        | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION => Some(AbortReason::UnknownPartition),
        Code::RD_KAFKA_RESP_ERR_INVALID_RECORD
        | Code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP
        | Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION
        | Code::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE => Some(AbortReason::InvalidRecord),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn failed(code: i32) -> CallFailure {
        CallFailure::from(Failure { code, text: "words".into() })
    }

    fn category(code: Code) -> &'static str {
        TransactionError::of(failed(code as i32)).category()
    }

    #[test]
    fn a_brokers_plain_no_is_refused_for_its_reason() {
        for (code, why) in [
            (Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, AbortReason::StaleMembership),
            (Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, AbortReason::StaleMembership),
            (Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, AbortReason::StaleMembership),
            (Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, AbortReason::StaleMembership),
            (Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, AbortReason::TooLarge),
            (Code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, AbortReason::TooLarge),
            (Code::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, AbortReason::MetadataTooLarge),
            (Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, AbortReason::Authorization),
            (Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, AbortReason::UnknownPartition),
            (Code::RD_KAFKA_RESP_ERR_INVALID_RECORD, AbortReason::InvalidRecord),
        ] {
            let error = TransactionError::of(failed(code as i32));
            assert_eq!(error, TransactionError::Refused { why, detail: "words".into() }, "{code:?}");
        }
    }

    #[test]
    fn no_answer_and_answers_that_leave_it_open_are_unknown_even_where_librdkafka_asks_for_an_abort() {
        for code in [
            Code::RD_KAFKA_RESP_ERR__TIMED_OUT,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
            Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
            Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Code::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
            Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            Code::RD_KAFKA_RESP_ERR__STATE,
            Code::RD_KAFKA_RESP_ERR__QUEUE_FULL,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN,
        ] {
            assert_eq!(category(code), "Unknown", "{code:?}");
        }
        assert_eq!(TransactionError::of(failed(32_000)).category(), "Unknown", "a code of a later Kafka");
    }

    #[test]
    fn every_name_of_being_fenced_is_one_kind() {
        for code in [
            Code::RD_KAFKA_RESP_ERR__FENCED,
            Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
            Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
        ] {
            assert_eq!(category(code), "Fenced", "{code:?}");
        }
    }

    #[test]
    fn what_only_a_person_can_change_is_fatal() {
        for code in [
            Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            Code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
            Code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
        ] {
            assert_eq!(category(code), "Fatal", "{code:?}");
        }
    }

    #[test]
    fn a_refusal_of_a_call_that_goes_on_or_of_a_client_that_is_broken_is_not_taken_for_one() {
        let refused = failed(Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION as i32);
        let going_on = CallFailure { is_retriable: true, ..refused.clone() };
        let broken = CallFailure { is_fatal: true, ..refused };
        assert_eq!(TransactionError::of(going_on).category(), "Unknown");
        assert_eq!(TransactionError::of(broken).category(), "Unknown");
        // A coordinator that is not connected looks as if it could do nothing.
        let away = CallFailure { is_retriable: true, ..failed(Code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE as i32) };
        assert_eq!(TransactionError::of(away).category(), "Unknown");
    }
}
