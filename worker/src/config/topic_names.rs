//! The names that topics may have, and the default name of a changelog.

use sha2::{Digest, Sha256};

/// Kafka accepts no longer names.
const MAX_NAME: usize = 249;

/// Checks that Kafka accepts the name.
pub(super) fn topic_name(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = !matches!(text, "" | "." | "..") && text.len() <= MAX_NAME && text.chars().all(is_legal);
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("a topic's name has up to 249 letters, digits, dots, underscores and hyphens".to_owned())
    }
}

/// The default name of a group's changelog: no two pairs of group and topic share one.
pub(super) fn default_changelog_topic(group: &str, topic: &str) -> String {
    let digest = Sha256::digest(format!("{group}\0{topic}"));
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let end = format!("-changelog-{digits}");
    let name: String = format!("{group}-{topic}").chars().map(legal).take(MAX_NAME - end.len()).collect();
    name + &end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_and_topic_has_a_changelog_of_its_own() {
        let name = default_changelog_topic("balance-service", "banking.transactions");
        assert!(name.starts_with("balance-service-banking.transactions-changelog-") && name.len() == 55, "{name}");
        let names = [("a", "b-c"), ("a-b", "c"), ("a", "b_c"), ("a", "b c")]
            .map(|(group, topic)| default_changelog_topic(group, topic));
        for (place, name) in names.iter().enumerate() {
            assert!(names[place + 1..].iter().all(|other| other != name), "{name}");
        }
    }

    #[test]
    fn the_name_is_legal_whatever_the_groups_is() {
        for name in
            [default_changelog_topic("géant / ü", "t"), default_changelog_topic(&"g".repeat(300), &"t".repeat(300))]
        {
            let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(name.len() <= MAX_NAME && name.chars().all(legal), "{name}");
        }
    }
}
