//! Pure. Why Kafka cannot be read, as a reason and message of `Ready`.

use std::time::{Duration, Instant};

use balancefleet_crds::reasons;

use crate::poller::{KafkaProblem, ProblemKind, Snapshot};

/// A broker that restarts is away for seconds, which is not worth reporting.
const GRACE: Duration = Duration::from_secs(10);

/// The problem as reason and message; `None` if none is known.
///
/// # Errors
/// The problem is so young that it may be a restarting broker: the time until it is reported.
pub(crate) fn problem(snapshot: Option<&Snapshot>, now: Instant) -> Result<Option<(&'static str, &str)>, Duration> {
    let Some(problem) = snapshot.and_then(|snapshot| snapshot.problem.as_ref()) else { return Ok(None) };
    let passing = matches!(problem.kind, ProblemKind::BrokerUnreachable | ProblemKind::ReadFailed);
    let age = now.saturating_duration_since(problem.since);
    if passing && age < GRACE {
        return Err(GRACE - age);
    }
    Ok(Some((reason(problem), &problem.message)))
}

/// Whether a condition's reason is a problem of Kafka. Such a message stays as long as its reason: the messages of
/// librdkafka contain numbers and times that change with every poll.
pub(super) fn is_reason(reason: &str) -> bool {
    [
        reasons::TOPIC_NOT_FOUND,
        reasons::KAFKA_UNREACHABLE,
        reasons::AUTHENTICATION_FAILED,
        reasons::TLS_FAILED,
        reasons::AUTHORIZATION_FAILED,
        reasons::KAFKA_ERROR,
        reasons::LAG_PARTIAL,
    ]
    .contains(&reason)
}

/// The condition's reason for a problem.
pub(super) fn reason(problem: &KafkaProblem) -> &'static str {
    match problem.kind {
        ProblemKind::UnknownTopic => reasons::TOPIC_NOT_FOUND,
        ProblemKind::BrokerUnreachable => reasons::KAFKA_UNREACHABLE,
        ProblemKind::AuthenticationFailed => reasons::AUTHENTICATION_FAILED,
        ProblemKind::TlsFailed => reasons::TLS_FAILED,
        ProblemKind::AuthorizationFailed => reasons::AUTHORIZATION_FAILED,
        ProblemKind::InvalidConnection => reasons::INVALID_SPEC,
        ProblemKind::ReadFailed => reasons::KAFKA_ERROR,
    }
}
