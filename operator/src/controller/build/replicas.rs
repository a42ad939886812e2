//! How many workers a Deployment asks for, and how many its annotation names.

use balancefleet_crds::Assignor;

/// The replicas of a Deployment: the number that it asks for, and the last decision in its annotation. They differ only
/// while replicas of another writer are tolerated, and while all workers are stopped for another assignor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controller) struct Replicas {
    /// `spec.replicas`.
    pub spec: i32,
    /// The last decision, written to the annotation.
    pub annotated: i32,
    /// Set while all workers are stopped, so that they can start again with this assignor.
    pub stopped_for: Option<Assignor>,
}

impl Replicas {
    /// One number for both.
    pub(in crate::controller) fn both(number: i32) -> Self {
        Self { spec: number, annotated: number, stopped_for: None }
    }

    /// No replicas now, and `annotated` ones when the workers can start with the assignor `stopped_for`.
    pub(in crate::controller) fn stopped(annotated: i32, stopped_for: Assignor) -> Self {
        Self { spec: 0, annotated, stopped_for: Some(stopped_for) }
    }
}
