//! Valid combinations of scaling limits.

use super::rule::{ValidationRule, rule};

pub(super) fn rules() -> Vec<ValidationRule> {
    let at = ".spec.scaling";
    vec![
        rule(
            at,
            "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "minReplicas must not be more than maxReplicas",
        ),
        rule(at, "duration(self.lagSLO) >= duration('1s')", "lagSLO must be at least 1s"),
        rule(
            at,
            "!has(self.drainWithin) || duration(self.drainWithin) >= duration('1s')",
            "drainWithin must be at least 1s",
        ),
    ]
}
