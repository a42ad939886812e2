//! Stored balances that come from another topic of the same name: compares both topics, and checks that the user has
//! agreed to what would be lost.

use crate::{
    config::RebuildOptions,
    ops::{completeness::Missing, tools::grouped},
};

/// One partition's part of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OtherTopic {
    pub(super) partition: i32,
    /// Id of the topic that the balances come from.
    pub(super) topic_id: String,
    /// Transactions in the balances.
    pub(super) stored: u64,
    /// Transactions that the present topic gives.
    pub(super) given: u64,
}

impl OtherTopic {
    fn lacking(&self) -> u64 {
        self.stored.saturating_sub(self.given)
    }
}

/// The lines that describe partitions whose balances come from another topic than the one with `topic_id`.
pub(super) fn describe(parts: &[OtherTopic], topic_id: &str, is_database: bool) -> Vec<String> {
    let Some(first) = parts.first() else { return Vec::new() };
    let total = |count: fn(&OtherTopic) -> u64| grouped(parts.iter().map(count).sum::<u64>());
    let mut lines = vec![
        format!(
            "these balances are made of a topic with id {}, this one has id {topic_id}: it was deleted and recreated, or \
             these are another cluster's brokers",
            first.topic_id
        ),
        format!(
            "the balances are made of {} transactions, this topic gives {} to its end",
            total(|part| part.stored),
            total(|part| part.given)
        ),
    ];
    lines.extend(parts.iter().filter(|part| part.lacking() > 0).map(|part| {
        let (partition, lacking) = (part.partition, grouped(part.lacking()));
        format!("  partition {partition}: {} and {}, {lacking} fewer", grouped(part.stored), grouped(part.given))
    }));
    if is_database {
        lines.push(
            "workers of the other cluster that use this database stand still from then on (TopicRecreated)".to_owned(),
        );
    }
    lines
}

/// Checks that `options` agree to everything that the rebuild would lose; the error says what to do.
pub(super) fn check(parts: &[OtherTopic], missing: &[(i32, Missing)], options: &RebuildOptions) -> Result<(), String> {
    let lacking: u64 = parts.iter().map(OtherTopic::lacking).sum();
    if !parts.is_empty() && !options.another_topic {
        let first = "nothing was changed: go back to the brokers of before, or give this topic a group of its own";
        return Err(if lacking == 0 {
            format!("{first}; to replace the balances by what this topic gives, add --another-topic")
        } else {
            format!(
                "{first}; this topic lacks {} transactions that the balances are made of, so first bring their records \
                 here: a mirror has to begin with the first record. To replace the balances all the same, add --another-topic, \
                 and it will say how those are given up",
                grouped(lacking)
            )
        });
    }
    let lacking = lacking + missing.iter().map(|(_, missing)| missing.lacking()).sum::<u64>();
    match options.lose {
        None if lacking == 0 => Ok(()),
        Some(given_up) if given_up == lacking => Ok(()),
        None if !missing.is_empty() => Err(described(missing, lacking)),
        None => Err(format!(
            "nothing was changed: this topic lacks {} transactions that the balances are made of. First bring their records \
             here, or go back to the brokers of before. Only if those records are gone for ever (the topic was deleted and made \
             again) add --lose {lacking}: their amounts are in no balance then",
            grouped(lacking)
        )),
        Some(given_up) => Err(format!(
            "nothing was changed: --lose {given_up} is not what would be lost: what this topic gives lacks {lacking} \
             transactions that the balances are made of"
        )),
    }
}

fn described(missing: &[(i32, Missing)], lacking: u64) -> String {
    let each = missing.iter().map(|(partition, missing)| format!("partition {partition} cannot be rebuilt: {missing}"));
    let log_is_right = "what the log gives is right, since it was cut off (LogTruncated), or since the store has counted records \
                        twice";
    let refused_are_none = "what is refused is to be in no balance any more";
    let is_any = |count: fn(Missing) -> u64| missing.iter().any(|(_, missing)| count(*missing) > 0);
    let reasons = [(is_any(Missing::gone), log_is_right), (is_any(Missing::refused), refused_are_none)];
    let reasons: Vec<_> = reasons.into_iter().filter_map(|(is_so, reason)| is_so.then_some(reason)).collect();
    format!(
        "{}; nothing was changed. Only if {}, add --lose {lacking}: the balances are without those then",
        each.collect::<Vec<_>>().join("; "),
        reasons.join(", and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(partition: i32, stored: u64, given: u64) -> OtherTopic {
        OtherTopic { partition, topic_id: "old".to_owned(), stored, given }
    }

    fn options(another_topic: bool, lose: Option<u64>) -> RebuildOptions {
        RebuildOptions { another_topic, lose, ..RebuildOptions::default() }
    }

    #[test]
    fn another_topic_that_gives_no_fewer_has_to_be_named() {
        let parts = [part(0, 1500, 1500), part(1, 1500, 1600)];
        assert!(check(&parts, &[], &options(false, None)).unwrap_err().contains("add --another-topic"));
        assert_eq!(check(&parts, &[], &options(true, None)), Ok(()));
        let lines = describe(&parts, "new", false).join("\n");
        assert!(lines.contains("of 3,000 transactions, this topic gives 3,100") && !lines.contains("TopicRecreated"));
    }

    #[test]
    fn what_would_be_lost_has_to_be_typed_and_is_never_the_first_way() {
        // What one partition has more makes good for nothing that another one lacks.
        let parts = [part(0, 1500, 1000), part(1, 1500, 1600), part(2, 7, 0)];
        assert!(!check(&parts, &[], &options(false, None)).unwrap_err().contains("--lose"));
        let refusal = check(&parts, &[], &options(true, None)).unwrap_err();
        assert!(refusal.find("bring their records").unwrap() < refusal.find("--lose 507").unwrap(), "{refusal}");
        for wrong in [0, 506, 508, 3000] {
            assert!(check(&parts, &[], &options(true, Some(wrong))).unwrap_err().contains("lacks 507 transactions"));
        }
        assert_eq!(check(&parts, &[], &options(true, Some(507))), Ok(()));
        let lines = describe(&parts, "new", true).join("\n");
        assert!(
            lines.contains("partition 0: 1,500 and 1,000, 500 fewer") && lines.contains("TopicRecreated"),
            "{lines}"
        );
    }

    #[test]
    fn nothing_is_lost_where_nothing_is_lacking() {
        assert_eq!(check(&[], &[], &options(false, None)), Ok(()));
        assert!(check(&[], &[], &options(false, Some(5))).is_err());
        assert!(check(&[part(0, 5, 5)], &[], &options(true, Some(5))).is_err());
    }
}
