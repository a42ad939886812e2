//! Settings of a worker pod that do not conflict with the operator's own.

use super::rule::{ValidationRule, list, rule};
use crate::reserved::{DELETION_COST, ENV_NAMES, ENV_PREFIXES, LABELS, OWN_PREFIX};

pub(super) fn rules() -> Vec<ValidationRule> {
    let labels = list(&LABELS);
    vec![
        rule(
            ".spec.worker",
            "duration(self.terminationGracePeriod) >= duration('5s')",
            "terminationGracePeriod must be at least 5s: a worker needs it to commit and hand over its partitions",
        ),
        rule(
            ".spec.worker",
            "duration(self.simulatedWork) <= duration('1s')",
            "simulatedWork must be at most 1s: the worker pauses that long for every record",
        ),
        qualified_names(".spec.worker.nodeSelector", "nodeSelector"),
        qualified_names(".spec.worker.podLabels", "podLabels"),
        qualified_names(".spec.worker.podAnnotations", "podAnnotations"),
        label_values(".spec.worker.nodeSelector", "nodeSelector"),
        label_values(".spec.worker.podLabels", "podLabels"),
        rule(
            ".spec.worker.podLabels",
            format!("!self.exists(key, key.startsWith('{OWN_PREFIX}')) && !{labels}.exists(key, key in self)"),
            format!(
                "podLabels may not set the labels that the operator selects its pods by: {}, {OWN_PREFIX}*",
                LABELS.join(", ")
            ),
        ),
        rule(
            ".spec.worker.podAnnotations",
            format!("!self.exists(key, key.startsWith('{OWN_PREFIX}')) && !('{DELETION_COST}' in self)"),
            format!("podAnnotations may not set the annotations the operator writes: {OWN_PREFIX}*, {DELETION_COST}"),
        ),
        ValidationRule {
            field_path: Some(".name"),
            ..rule(
                ".spec.worker.env[]",
                format!(
                    "!{}.exists(prefix, self.name.startsWith(prefix)) && !(self.name in {})",
                    list(&ENV_PREFIXES),
                    list(&ENV_NAMES)
                ),
                format!(
                    "the operator sets this variable itself: use the field of spec instead. Refused are {}, {}*",
                    ENV_NAMES.join(", "),
                    ENV_PREFIXES.join("*, ")
                ),
            )
        },
    ]
}

fn qualified_names(at: &'static str, field: &str) -> ValidationRule {
    rule(
        at,
        "self.all(key, key.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        format!(
            "the keys of {field} must be names such as team or example.com/team, at most 63 characters after the slash"
        ),
    )
}

fn label_values(at: &'static str, field: &str) -> ValidationRule {
    rule(
        at,
        "self.all(key, self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
        format!(
            "the values of {field} may contain letters, digits, '-', '_' and '.', and must start and end with a \
             letter or digit"
        ),
    )
}
