//! What comes out of a decision. Reasons are a bounded set of CamelCase words: they become condition and event reasons.

use std::time::Duration;

/// Declares an enum whose variants are the words that people see.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// The variant of a word that was written before; none of a word that this release does not know.
            pub fn parse(word: &str) -> Option<Self> {
                [$(Self::$variant,)+].into_iter().find(|known| known.as_str() == word)
            }

            /// The word as it appears in conditions, events and metrics.
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
        /// Too little has been seen yet to say anything.
        Measuring,
        /// The number carries the load; nothing to change.
        Sufficient,
        /// More workers, because more records arrive than the present ones can process.
        ArrivalRate,
        /// More workers, because the backlog would not be gone in time.
        Backlog,
        /// More workers, because lag grows or is too old while nothing is known about a worker's capacity.
        LagRising,
        /// Fewer workers, because the need stayed lower.
        DemandFell,
        /// The replicas had to come within minimum, maximum or the number of partitions.
        OutOfBounds,
        /// Kept, because lag is unknown.
        LagUnknown,
        /// Kept, because lag is known of some partitions only, and those need no more workers.
        LagPartial,
        /// Kept, because somebody fixed the number.
        Pinned,
        /// Kept, because the object is paused.
        Paused,
        /// Kept, because a new pod template is being rolled out.
        RollingUpdate,
    }
}

impl Reason {
    /// Whether it is about load, in contrast to what could not be known or done.
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
        /// One poll is not yet proof: another one follows at once.
        Confirmation,
        /// The last change has not taken effect yet.
        Settling,
        /// The need has not been lower for long enough.
        DownWindow,
        /// A backlog is still being worked off.
        Draining,
        /// The group is handing out partitions.
        Rebalancing,
        /// Lag is unknown.
        LagUnknown,
        /// Lag is partly unknown, which allows more workers but never fewer.
        LagPartial,
        /// Nothing is known about a worker's capacity, so none can be spared.
        CapacityUnknown,
        /// The number is fixed.
        Pinned,
        /// The object is paused.
        Paused,
        /// A new pod template is being rolled out.
        RollingUpdate,
    }
}

words! {
    /// The limit that keeps the replicas away from the need.
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
    /// Where a capacity comes from, the best first.
    CapacitySource {
        /// Records divided by the busy time that the workers report.
        BusyTime,
        /// What workers with a standing backlog process.
        Saturation,
        /// The policy's own figure.
        Expected,
        /// The most that a worker was seen doing: it can do at least this.
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

/// One number of replicas that was considered, and what it would mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    /// The replicas.
    pub replicas: i32,
    /// Records per second that the busiest worker would get.
    pub busiest_rate: f64,
    /// The largest partition of that worker by arrivals.
    pub busiest_partition: Option<i32>,
    /// When the last worker would have worked its backlog off; `None` if never.
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
    /// The smallest number that carries the load, within the limits; `None` when it cannot be computed.
    pub need: Option<i32>,
    /// Why `replicas` is not `need` yet.
    pub blocked_by: Option<BlockedBy>,
    /// Which limit keeps the need from being higher or lower.
    pub limited_by: Option<Limit>,
    /// A partition that gets more than one worker can process, so that no number of replicas is enough.
    pub hot: Option<i32>,
    /// The caller should poll this group again after [`CONFIRM_AFTER`](crate::CONFIRM_AFTER) and not wait for the next
    /// regular poll.
    pub confirm: bool,
    /// Every number considered, ascending.
    pub rungs: Vec<Rung>,
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
