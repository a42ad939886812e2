//! `spec.scaling`: the goals and limits of automatic scaling.

use std::time::Duration as StdDuration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// How the operator chooses the number of replicas while `spec.replicas` is not set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// Minimum number of replicas. Default `1`.
    #[schemars(range(min = 1, max = 10000))]
    pub min_replicas: i32,
    /// Maximum number of replicas. Default: the number of partitions, which is always a limit too, because further
    /// workers would have nothing to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_replicas: Option<i32>,
    /// Target for the age of the oldest unread record; usually the only scaling setting to think about. Default `60s`,
    /// at least `1s`.
    #[serde(rename = "lagSLO")]
    pub lag_slo: Duration,
    /// Target time to work off a backlog. Default: `lagSLO`. At least `1s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_within: Option<Duration>,
    /// Percentage of a worker's capacity to plan with; the rest is headroom. Default `90`.
    #[schemars(range(min = 10, max = 100))]
    pub target_utilization: i32,
    /// If true, the operator decides and explains in the status, but changes nothing. Default `false`.
    pub dry_run: bool,
    /// Records per second that one worker is expected to process; used until its real capacity has been measured.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000000))]
    pub expected_rate_per_replica: Option<i32>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            min_replicas: 1,
            max_replicas: None,
            lag_slo: Duration::from_secs(60),
            drain_within: None,
            target_utilization: 90,
            dry_run: false,
            expected_rate_per_replica: None,
        }
    }
}

impl Scaling {
    /// The target time to work off a backlog: `drainWithin`, else `lagSLO`.
    pub fn effective_drain_within(&self) -> StdDuration {
        self.drain_within.unwrap_or(self.lag_slo).get()
    }
}
