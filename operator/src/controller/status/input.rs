//! What a status is computed from.

use std::time::Instant;

use balancefleet_crds::BalanceConsumerGroup;
use jiff::Timestamp;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::Time};

use crate::{
    controller::{assignor::Pending, desired_replicas::Plan, validate::Problem},
    poller::Snapshot,
};

/// What a status is made of.
#[derive(Clone, Copy)]
pub(in crate::controller) struct StatusInput<'a> {
    /// The object.
    pub group: &'a BalanceConsumerGroup,
    /// The workers, as they are after this reconcile.
    pub deployment: Option<&'a Deployment>,
    /// What the poller last saw.
    pub snapshot: Option<&'a Snapshot>,
    /// The desired replicas; none when the object could not be validated.
    pub plan: Option<&'a Plan>,
    /// What stands in the way; Kafka's own problems are in the snapshot.
    pub problem: Option<&'a Problem>,
    /// Another assignor, which waits.
    pub pending: Option<&'a Pending>,
    /// Another writer keeps changing the replicas.
    pub contended: bool,
    /// The image of this release's workers.
    pub release_image: &'a str,
    /// For transition times.
    pub now: Timestamp,
    /// For how long a problem has lasted.
    pub instant: Instant,
    /// Figures that were learned long enough ago to be written again.
    pub learned_due: bool,
}

impl StatusInput<'_> {
    /// Now. The API server keeps times in seconds: anything finer would differ from what comes back.
    pub(super) fn time(&self) -> Time {
        Time(Timestamp::from_second(self.now.as_second()).unwrap_or(self.now))
    }
}
