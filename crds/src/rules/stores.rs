//! What the validation rules (CEL) must know about each store. A new store does not compile until `rules_of` says it,
//! and a test compares the known stores with the fields of the schema.

use super::rule::{ValidationRule, immutable, is_written, rule};
use crate::balances::{Store, StoreKind};

struct StoreRules {
    /// How the store is written in an object.
    example: &'static str,
    /// Whether a group may begin at the end of its logs.
    starts_at_latest: bool,
    /// The message that refuses `deadLetterTopic`; `None` if the store can write to one.
    no_dead_letter_topic: Option<&'static str>,
    /// The setting that says where the balances are and therefore cannot change, and the message; `None` if all may.
    immutable_setting: Option<(&'static str, &'static str)>,
}

fn rules_of(store: StoreKind) -> StoreRules {
    match store {
        StoreKind::Changelog => StoreRules {
            example: "changelog: {}",
            starts_at_latest: true,
            no_dead_letter_topic: None,
            immutable_setting: Some((
                "topic",
                "balances.store.changelog.topic cannot change (default: a name derived from group and topic) because \
                 another topic would be another ledger: create another object with its own kafka.groupId",
            )),
        },
        StoreKind::Postgres => StoreRules {
            example: "postgres: {connectionSecretRef: {name: …}}",
            starts_at_latest: false,
            no_dead_letter_topic: Some(
                "the store postgres has a table for dead letters, balancefleet.dead_letter: remove deadLetterTopic",
            ),
            // The same database may get another Secret, for example with another user.
            immutable_setting: None,
        },
        StoreKind::Replay => StoreRules {
            example: "replay: {}",
            starts_at_latest: false,
            no_dead_letter_topic: Some(
                "the store replay cannot write a record exactly once: remove deadLetterTopic, or use the store changelog",
            ),
            immutable_setting: None,
        },
    }
}

fn all() -> impl Iterator<Item = (&'static str, StoreRules)> {
    StoreKind::ALL.into_iter().map(|store| (store.name(), rules_of(store)))
}

/// The rules of the object that keep the balances where they are.
pub(super) fn immutability() -> Vec<ValidationRule> {
    let default = Store::default().kind().name();
    let store = immutable(
        ".spec.balances",
        effective_store,
        format!(
            "balances.store cannot change (default: {default}) because workers with different stores would share one \
             group during the change: create another object with its own kafka.groupId"
        ),
    );
    let settings = all().filter_map(|(name, rules)| {
        let (setting, message) = rules.immutable_setting?;
        let effective = |object: &str| {
            let path = format!("{object}.spec.balances.store.{name}.{setting}");
            format!("({} ? {path} : '')", is_written(&path))
        };
        Some(immutable(".spec.balances", effective, message))
    });
    [store].into_iter().chain(settings).collect()
}

/// The name of the store in effect, in CEL. A store that these rules do not know is never taken for the default.
fn effective_store(object: &str) -> String {
    let path = format!("{object}.spec.balances.store");
    let known: String = all().map(|(name, _)| format!("has({path}.{name}) ? '{name}' : ")).collect();
    format!("({} ? ({known}'unknown') : '{}')", is_written(&path), Store::default().kind().name())
}

/// What each store needs and allows.
pub(super) fn rules() -> Vec<ValidationRule> {
    let chosen: Vec<_> = all().map(|(name, _)| format!("has(self.{name})")).collect();
    let examples: Vec<_> = all().map(|(_, rules)| rules.example).collect();
    let mut found = vec![
        rule(
            ".spec.balances.store",
            format!("[{}].filter(chosen, chosen).size() == 1", chosen.join(", ")),
            format!(
                "store must be exactly one of: {}; the default is {}",
                examples.join(", "),
                rules_of(Store::default().kind()).example
            ),
        ),
        start_from(),
    ];
    found.extend(all().filter_map(|(name, rules)| {
        let message = rules.no_dead_letter_topic?;
        let (store, topic) =
            (is_written(&format!("self.balances.store.{name}")), is_written("self.balances.deadLetterTopic"));
        Some(ValidationRule {
            field_path: Some(".balances.deadLetterTopic"),
            ..rule(".spec", format!("!({store}) || !({topic})"), message)
        })
    }));
    found
}

fn start_from() -> ValidationRule {
    let (able, unable): (Vec<_>, Vec<_>) = all().partition(|(_, rules)| rules.starts_at_latest);
    let able: Vec<_> = able.into_iter().map(|(name, _)| name).collect();
    let unable: Vec<_> =
        unable.into_iter().map(|(name, _)| is_written(&format!("self.balances.store.{name}"))).collect();
    ValidationRule {
        field_path: Some(".kafka.consumer.startFrom"),
        ..rule(
            ".spec",
            format!(
                "self.ledger == 'Count' || self.kafka.consumer.startFrom == 'Earliest' || !({})",
                unable.join(" || ")
            ),
            format!(
                "startFrom: Latest with balances needs the store {}: set startFrom to Earliest, or use that store",
                able.join(" or ")
            ),
        )
    }
}
