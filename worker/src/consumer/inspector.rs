//! Looks every few seconds whether the topic is still the same one.
//!
//! A topic that was deleted and made again has the same name and another id; the client would fold the new one on at the
//! offset of the old. The look is brought forward by an assignment and by every error of the client.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use balancefleet_kafka::{Admin, At, Error, Isolation};

use super::report::{Doubt, Inspection, Report};
use crate::{view::TopicFacts, vital_thread};

const EVERY: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the thread; what is sent to it has its logs measured, too.
pub(crate) fn start(
    admin: Admin,
    topic: String,
    reports: mpsc::Sender<Report>,
) -> std::io::Result<mpsc::Sender<Vec<Doubt>>> {
    let (requests, inbox) = mpsc::channel::<Vec<Doubt>>();
    vital_thread::start("inspector", move || {
        loop {
            let mut doubts = match inbox.recv_timeout(EVERY) {
                Ok(doubts) => doubts,
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            doubts.extend(inbox.try_iter().flatten());
            // Of two doubts about one partition the later one stands.
            doubts.reverse();
            doubts.sort_by_key(|doubt| doubt.partition);
            doubts.dedup_by_key(|doubt| doubt.partition);
            if reports.send(Report::Inspected(inspect(&admin, &topic, &doubts))).is_err() {
                return;
            }
        }
    })?;
    Ok(requests)
}

fn inspect(admin: &Admin, topic: &str, doubts: &[Doubt]) -> Result<Inspection, Error> {
    let facts = describe(admin, topic, TIMEOUT)?;
    let asked: Vec<_> = doubts.iter().map(|doubt| (topic.to_owned(), doubt.partition)).collect();
    let starts = admin.list_offsets(&asked, At::Earliest, Isolation::ReadUncommitted, TIMEOUT)?;
    let ends = admin.list_offsets(&asked, At::Latest, Isolation::ReadUncommitted, TIMEOUT)?;
    // A partition without a leader cannot be measured now; its next error asks again.
    let measured = doubts.iter().zip(starts.into_iter().zip(ends));
    let logs =
        measured.filter_map(|(doubt, (start, end))| Some((*doubt, start.offset.ok()?, end.offset.ok()?))).collect();
    Ok(Inspection { topic: facts, logs })
}

/// Id and size of the topic.
pub(crate) fn describe(admin: &Admin, topic: &str, timeout: Duration) -> Result<TopicFacts, Error> {
    let mut described = admin.describe_topics(&[topic], timeout)?;
    let Some((_, description)) = described.pop() else {
        return Err(Error::UnknownTopic { what: format!("topic {topic}") });
    };
    let description = description?;
    let partition_count = i32::try_from(description.partitions.len()).unwrap_or(i32::MAX);
    Ok(TopicFacts { topic_id: description.id.to_string(), partition_count })
}
