//! How many workers a Deployment asks for, and how many it records.

use balancefleet_crds::Assignor;

/// The replicas of a Deployment: what it asks the cluster for, and what it records as our last decision. They differ
/// only while replicas that somebody else wrote are tolerated, and while all workers are stopped for another assignor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controller) struct Replicas {
    /// `spec.replicas`.
    pub spec: i32,
    /// The annotation.
    pub annotated: i32,
    /// All workers are stopped so that they can start again with this one.
    pub stopped_for: Option<Assignor>,
}

impl Replicas {
    /// One number for both.
    pub(in crate::controller) fn both(number: i32) -> Self {
        Self { spec: number, annotated: number, stopped_for: None }
    }

    /// None now, and as many as were decided when the workers can have another assignor.
    pub(in crate::controller) fn stopped(annotated: i32, stopped_for: Assignor) -> Self {
        Self { spec: 0, annotated, stopped_for: Some(stopped_for) }
    }
}
