//! What comes out of a decision. Reasons are a bounded set of CamelCase words: they stand in
//! `status.scaling.reason` and in the notes of scaling events.

use std::time::Duration;

/// Declares an enum whose variant names are the words that users see.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// The variant with this name; `None` for a word that this release does not know.
            pub fn parse(word: &str) -> Option<Self> {
                [$(Self::$variant,)+].into_iter().find(|known| known.as_str() == word)
            }

            /// The word as users see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Why the replicas are what they are.
    Reason {
        /// Arrivals or capacity are not measured yet.
        Measuring,
        /// The present replicas carry the load.
        Sufficient,
        /// More workers, because more records arrive than the present ones can process.
        ArrivalRate,
        /// More workers, because the backlog would not be gone in time.
        Backlog,
        /// More workers, because lag grows or is too old while nothing is known about a worker's capacity.
        LagRising,
        /// Fewer workers, because fewer have been enough for a while.
        DemandFell,
        /// The replicas had to come within minimum, maximum or the number of partitions.
        OutOfBounds,
        /// Kept within the limits, because lag is unknown.
        LagUnknown,
        /// Kept, because lag is known for some partitions only, and those need no more workers.
        LagPartial,
        /// Kept, because a user or another controller fixed the replicas.
        Pinned,
        /// Kept, because the object is paused.
        Paused,
        /// Kept, because a new pod template is being rolled out.
        RollingUpdate,
    }
}

impl Reason {
    /// Whether the reason is the load, and not something that is unknown or not allowed.
    pub(crate) const fn is_about_load(self) -> bool {
        matches!(
            self,
            Self::Sufficient
                | Self::ArrivalRate
                | Self::Backlog
                | Self::LagRising
                | Self::DemandFell
                | Self::OutOfBounds
        )
    }
}

words! {
    /// What keeps the needed replicas from being asked for at this moment.
    BlockedBy {
        /// One poll is not enough evidence: another one follows at once.
        Confirmation,
        /// The last change has not taken effect yet.
        Settling,
        /// Fewer workers have not been enough for long enough (see
        /// [`SCALE_DOWN_STABILIZATION_WINDOW`](crate::SCALE_DOWN_STABILIZATION_WINDOW)).
        StabilizationWindow,
        /// A backlog is still being worked off.
        Draining,
        /// The group is handing out partitions.
        Rebalancing,
        /// Lag is unknown.
        LagUnknown,
        /// Lag is partly unknown, which allows more workers but never fewer.
        LagPartial,
        /// Nothing is known about a worker's capacity, so no worker can be removed.
        CapacityUnknown,
        /// A user or another controller fixed the replicas.
        Pinned,
        /// The object is paused.
        Paused,
        /// A new pod template is being rolled out.
        RollingUpdate,
    }
}

words! {
    /// The limit that keeps the replicas from the number that the load needs.
    Limit {
        /// Fewer would do, but the minimum is higher.
        MinReplicas,
        /// More are needed, but the maximum is lower.
        MaxReplicas,
        /// More are needed, but a worker beyond the partitions would have nothing to read.
        Partitions,
    }
}

words! {
    /// Where a capacity comes from, best first.
    CapacitySource {
        /// Records divided by the busy time that the workers report.
        BusyTime,
        /// What workers with a standing backlog process.
        Saturation,
        /// The policy's `expectedRatePerReplica`.
        Expected,
        /// The highest rate that a worker was seen to process: it can do at least this.
        LowerBound,
    }
}

/// What one worker can process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Records per second.
    pub rate: f64,
    /// How it is known.
    pub source: CapacitySource,
}

/// A candidate: one number of replicas that was considered, and what it would mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The replicas.
    pub replicas: i32,
    /// Records per second that the busiest worker would get.
    pub busiest_rate: f64,
    /// The largest partition of that worker by arrivals.
    pub busiest_partition: Option<i32>,
    /// Time until the last worker would have worked its backlog off; `None` if never.
    pub drained_after: Option<Duration>,
    /// Whether the number carries the load and drains in time.
    pub feasible: bool,
}

/// The desired replicas, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The replicas to ask for.
    pub replicas: i32,
    /// Why; changes only when the decision does.
    pub reason: Reason,
    /// One English sentence with the numbers of the decision; changes only when the decision does.
    pub explanation: String,
    /// The smallest number of replicas that carries the load, within the limits; if none does, the one that comes
    /// closest. `None` when it cannot be computed.
    pub needed: Option<i32>,
    /// Why `replicas` is not `needed` yet.
    pub blocked_by: Option<BlockedBy>,
    /// The limit that `needed` runs into: without it, more or fewer replicas would be asked for.
    pub limited_by: Option<Limit>,
    /// A partition that gets more than one worker can process, so that no number of replicas is enough.
    pub hot_partition: Option<i32>,
    /// The caller should poll this group again after [`CONFIRM_AFTER`](crate::CONFIRM_AFTER) and not wait for the next
    /// regular poll.
    pub confirm: bool,
    /// Every number of replicas that was considered, ascending.
    pub candidates: Vec<Candidate>,
    /// What one worker can process, as far as known.
    pub capacity: Option<Capacity>,
    /// Records per second that arrive, as far as known.
    pub arrival_rate: Option<f64>,
}

/// What a check chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) replicas: i32,
    pub(crate) reason: Reason,
    pub(crate) blocked_by: Option<BlockedBy>,
    pub(crate) confirm: bool,
}

impl Choice {
    pub(crate) const fn act(replicas: i32, reason: Reason) -> Self {
        Self { replicas, reason, blocked_by: None, confirm: false }
    }

    pub(crate) const fn keep(replicas: i32, reason: Reason, blocked_by: Option<BlockedBy>) -> Self {
        Self { replicas, reason, blocked_by, confirm: false }
    }
}
