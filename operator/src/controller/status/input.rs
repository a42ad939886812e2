//! The input of a status.

use std::time::Instant;

use balancefleet_crds::BalanceConsumerGroup;
use jiff::Timestamp;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::Time};

use crate::{
    controller::{assignor::Pending, desired_replicas::Plan, validate::Problem},
    poller::Snapshot,
};

/// Everything that a status is computed from.
#[derive(Clone, Copy)]
pub(in crate::controller) struct StatusInput<'a> {
    /// The object.
    pub group: &'a BalanceConsumerGroup,
    /// The workers, as they are after this reconcile.
    pub deployment: Option<&'a Deployment>,
    /// What the poller last saw.
    pub snapshot: Option<&'a Snapshot>,
    /// The desired replicas; `None` if the object has a problem.
    pub plan: Option<&'a Plan>,
    /// What keeps the workers from being run as wanted; problems of Kafka are in the snapshot.
    pub problem: Option<&'a Problem>,
    /// A change of the assignor that waits.
    pub pending: Option<&'a Pending>,
    /// Another writer keeps changing the replicas.
    pub contended: bool,
    /// The image of this release's workers.
    pub release_image: &'a str,
    /// For transition times.
    pub now: Timestamp,
    /// The present time, to tell how long a problem has lasted.
    pub instant: Instant,
    /// Whether `status.scaling.learned` (what one worker can process, measured) may be written again: it changes with
    /// every poll, and is written at times.
    pub learned_figures_due: bool,
}

impl StatusInput<'_> {
    /// Now, in whole seconds, as the API server stores times: a finer one would differ from the stored one.
    pub(super) fn time(&self) -> Time {
        Time(Timestamp::from_second(self.now.as_second()).unwrap_or(self.now))
    }
}
