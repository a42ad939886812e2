//! `spec.scaling`: how many workers are wanted, and why.

use std::time::Duration as StdDuration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// How the number of workers is chosen while `spec.replicas` is not set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// Never fewer workers than this. Default 1.
    #[schemars(range(min = 1, max = 10000))]
    pub min_replicas: i32,
    /// Never more workers than this. Default: the number of partitions, which is always a limit too, since a worker
    /// beyond it would have nothing to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_replicas: Option<i32>,
    /// How old the oldest unread message may be: the one number to think about. Default 60s, at least 1s.
    #[serde(rename = "lagSLO")]
    pub lag_slo: Duration,
    /// A backlog is to be gone within this time. Default: `lagSLO`. At least 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_within: Option<Duration>,
    /// Percent of a worker's capacity to plan with; the rest is reserve. Default 90.
    #[schemars(range(min = 10, max = 100))]
    pub target_utilization: i32,
    /// Decide and explain in the status, but change nothing. Default false.
    pub dry_run: bool,
    /// Records per second one worker is expected to process, used until its real capacity has been measured.
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
    /// The time within which a backlog is to be gone: `drainWithin`, else `lagSLO`.
    pub fn effective_drain_within(&self) -> StdDuration {
        self.drain_within.unwrap_or(self.lag_slo).get()
    }
}
