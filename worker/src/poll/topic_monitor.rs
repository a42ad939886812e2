//! Checks every few seconds that the topic is still the same one.
//!
//! A topic that was deleted and recreated has the same name and another id; the client would continue in the new topic
//! at the offset of the old one. An assignment and every error of the client trigger a check at once.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use balancefleet_kafka::{Admin, At, Error, Isolation, Validity, look_up_positions};
use rdkafka::ClientConfig;

use super::{
    messages::{Inspection, Report, Reporter},
    truncation::{Log, Overdue, TruncationWatch},
};
use crate::{critical_thread, topic_facts::describe};

const EVERY: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a leader may take to say whether its log holds a position; there may be no leader.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(2);

/// Starts the thread. It checks at once, and whenever it is asked to. Each check measures the logs that may have been
/// truncated, and looks up positions whose validation is overdue with a client of its own, made with `reader_config`.
pub(crate) fn start(
    admin: Admin,
    topic: String,
    reader_config: ClientConfig,
    truncation_watch: Arc<TruncationWatch>,
    reporter: Reporter,
) -> std::io::Result<mpsc::Sender<()>> {
    let (requests, inbox) = mpsc::channel();
    critical_thread::start("topic-monitor", move || {
        loop {
            let inspection = inspect(&admin, &topic, &reader_config, &truncation_watch);
            if !reporter.send(Report::Inspected(inspection)) {
                return;
            }
            if let Err(RecvTimeoutError::Disconnected) = inbox.recv_timeout(EVERY) {
                return;
            }
            // One check serves all requests so far.
            inbox.try_iter().for_each(drop);
        }
    })?;
    Ok(requests)
}

fn inspect(
    admin: &Admin,
    topic: &str,
    reader_config: &ClientConfig,
    truncation_watch: &TruncationWatch,
) -> Result<Inspection, Error> {
    let facts = describe(admin, topic, TIMEOUT)?;
    let (overdue, maybe_truncated) = (truncation_watch.take_overdue(), truncation_watch.maybe_truncated());
    let looked_up = look_up(reader_config, topic, overdue)?;
    let asked: Vec<_> = maybe_truncated.iter().map(|it| (topic.to_owned(), it.partition)).collect();
    let ask = |at, isolation| admin.list_offsets(&asked, at, isolation, TIMEOUT);
    let starts = ask(At::Earliest, Isolation::ReadUncommitted)?;
    let ends = ask(At::Latest, Isolation::ReadUncommitted)?;
    let stable_ends = ask(At::Latest, Isolation::ReadCommitted)?;
    let mut logs = Vec::new();
    for (((it, start), end), stable_end) in maybe_truncated.into_iter().zip(starts).zip(ends).zip(stable_ends) {
        // A partition without a leader cannot be measured now; the next check tries again.
        if let (Ok(start), Ok(end), Ok(stable_end)) = (start.offset, end.offset, stable_end.offset) {
            logs.push(Log { of: it, start, end, stable_end });
        }
    }
    Ok(Inspection { topic: facts, logs, looked_up })
}

fn look_up(config: &ClientConfig, topic: &str, overdue: Vec<Overdue>) -> Result<Vec<(Overdue, Validity)>, Error> {
    if overdue.is_empty() {
        return Ok(Vec::new());
    }
    let positions: Vec<_> = overdue.iter().map(|overdue| overdue.position).collect();
    let found = look_up_positions(config, topic, &positions, LOOK_UP_WITHIN)?;
    Ok(overdue.into_iter().zip(found).map(|(overdue, (_, validity))| (overdue, validity)).collect())
}
