//! The admission rules: what the API server checks beyond types and limits, each with the sentence a person reads.
//!
//! A value that can be absent is compared in its effective form: a rule on an optional field does not run when the
//! field is added or removed, so what must not change is compared at the root.

use crate::balances::{Sign, TRANSACTION_TYPES};
use crate::reserved::{CONFIG_KEYS, DELETION_COST, ENV_NAMES, ENV_PREFIXES, LABELS, OWN_PREFIX, ReservedKeys};

/// One rule of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionRule {
    /// The field whose schema carries it, `.spec.worker.env[]`; empty for the object itself.
    pub at: &'static str,
    /// A CEL expression that is true for good objects.
    pub rule: String,
    /// What a person reads when it is false.
    pub message: String,
    /// A CEL expression that gives a more telling message.
    pub message_expression: Option<String>,
    /// The field to blame when it is not `at` itself, relative to `at`.
    pub field_path: Option<&'static str>,
}

/// Every rule.
pub fn rules() -> Vec<AdmissionRule> {
    [object(), kafka(), consumer(), extra_config(), balances(), scaling(), worker()].concat()
}

fn rule(at: &'static str, rule: impl Into<String>, message: impl Into<String>) -> AdmissionRule {
    AdmissionRule { at, rule: rule.into(), message: message.into(), message_expression: None, field_path: None }
}

/// A rule of the object that blames one of its fields.
fn immutable(field_path: &'static str, effective: impl Fn(&str) -> String, message: &str) -> AdmissionRule {
    let same = format!("{} == {}", effective("self"), effective("oldSelf"));
    AdmissionRule { field_path: Some(field_path), ..rule("", same, message) }
}

fn object() -> Vec<AdmissionRule> {
    vec![
        rule(
            "",
            "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name becomes the name of Services and pods: use at most 52 lower-case letters, digits and '-', \
             a letter first and no '-' last",
        ),
        immutable(
            ".spec.kafka.topic",
            |object| format!("{object}.spec.kafka.topic"),
            "kafka.topic cannot change, since progress belongs to one topic: create another object",
        ),
        immutable(
            ".spec.kafka.groupId",
            |object| {
                format!("(has({object}.spec.kafka.groupId) ? {object}.spec.kafka.groupId : {object}.metadata.name)")
            },
            "kafka.groupId cannot change (absent, it is the object's name), since progress belongs to the group: \
             create another object",
        ),
        immutable(
            ".spec.ledger",
            |object| format!("{object}.spec.ledger"),
            "ledger cannot change, since balances cannot be made of a count or the reverse: create another object",
        ),
        immutable(
            ".spec.balances",
            |object| optional_map(object, "minorUnits"),
            "balances.minorUnits cannot change, since the same digits would be worth something else: create another \
             object with a kafka.groupId of its own",
        ),
        AdmissionRule {
            field_path: Some(".spec.balances"),
            ..rule(
                "",
                same_signs(),
                "balances.signs cannot change, since two ledgers would be mixed: create another object with a \
                 kafka.groupId of its own",
            )
        },
    ]
}

/// The map, or an empty one where it or its parent is absent.
fn optional_map(object: &str, field: &str) -> String {
    let balances = format!("{object}.spec.balances");
    format!("(has({balances}) && has({balances}.{field}) ? {balances}.{field} : {{}})")
}

/// Signs are compared one by one with their defaults filled in: writing a default out is no change.
fn same_signs() -> String {
    let defaults: Vec<String> =
        TRANSACTION_TYPES.iter().map(|(name, sign)| format!("'{name}': '{}'", sign_word(*sign))).collect();
    let effective = |object: &str| {
        let signs = format!("{object}.spec.balances.signs");
        format!("(has({object}.spec.balances) && has({signs}) && t in {signs} ? {signs}[t] : sign)")
    };
    format!("{{{}}}.all(t, sign, {} == {})", defaults.join(", "), effective("self"), effective("oldSelf"))
}

fn sign_word(sign: Sign) -> &'static str {
    match sign {
        Sign::Credit => "Credit",
        Sign::Debit => "Debit",
        Sign::Ignore => "Ignore",
    }
}

fn kafka() -> Vec<AdmissionRule> {
    const BROKER: &str = r"(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}";
    vec![
        rule(
            ".spec.kafka.bootstrapServers",
            format!("self.matches('^{BROKER}(,{BROKER})*$')"),
            "bootstrapServers must be host:port, several separated by commas and no spaces, for example \
             kafka-0.kafka:9092,kafka-1.kafka:9092",
        ),
        rule(
            ".spec.kafka.topic",
            "self.matches('^[A-Za-z0-9._-]+$') && self != '.' && self != '..'",
            "topic must be a name Kafka allows: letters, digits, '.', '_' and '-'",
        ),
        rule(
            ".spec.kafka.groupId",
            "self.matches('^[!-~]+$')",
            "groupId must consist of visible ASCII characters, without spaces",
        ),
    ]
}

fn consumer() -> Vec<AdmissionRule> {
    let at = ".spec.kafka.consumer";
    vec![
        rule(
            at,
            "duration(self.heartbeatInterval) > duration('0s')",
            "heartbeatInterval must be more than 0; 500ms is the default",
        ),
        rule(
            at,
            "duration(self.heartbeatInterval) + duration(self.heartbeatInterval) + duration(self.heartbeatInterval) \
             <= duration(self.sessionTimeout)",
            "sessionTimeout must be at least three times heartbeatInterval, else one late heartbeat costs a worker its \
             partitions",
        ),
        rule(
            at,
            "duration(self.sessionTimeout) >= duration('6s')",
            "sessionTimeout must be at least 6s: brokers refuse less",
        ),
        rule(
            at,
            "duration(self.sessionTimeout) <= duration(self.maxPollInterval)",
            "maxPollInterval must be at least sessionTimeout",
        ),
    ]
}

fn extra_config() -> Vec<AdmissionRule> {
    let at = ".spec.kafka.extraConfig";
    let mut rules = vec![rule(
        at,
        "self.all(key, key.size() <= 64 && key.matches('^[a-z][a-z0-9.]*$'))",
        "the keys of extraConfig are librdkafka's settings in its spelling: lower-case letters, digits and dots, for \
         example client.dns.lookup",
    )];
    for ReservedKeys { because, keys, prefixes } in &CONFIG_KEYS {
        if !keys.is_empty() {
            rules.push(reserved_keys(at, keys, because));
        }
        if !prefixes.is_empty() {
            rules.push(rule(
                at,
                format!("!self.exists(key, {}.exists(prefix, key.startsWith(prefix)))", list(prefixes)),
                format!("extraConfig may not set keys that begin with {}: {because}", prefixes.join(", ")),
            ));
        }
    }
    rules
}

/// The message names the key with a chain of choices between literals: their length is known, and a message whose length
/// is not (such as `join` of a filtered list) is over the budget of the API server.
fn reserved_keys(at: &'static str, keys: &[&str], because: &str) -> AdmissionRule {
    let name: String = keys.iter().map(|key| format!("'{key}' in self ? '{key}' : ")).collect();
    AdmissionRule {
        message_expression: Some(format!("'extraConfig may not set ' + ({name}'this key') + ': {because}'")),
        ..rule(
            at,
            format!("!{}.exists(key, key in self)", list(keys)),
            format!("extraConfig may not set this key: {because}"),
        )
    }
}

fn balances() -> Vec<AdmissionRule> {
    vec![
        AdmissionRule {
            field_path: Some(".balances"),
            ..rule(
                ".spec",
                "self.ledger != 'Balances' || (has(self.balances) && has(self.balances.store))",
                "balances.store is needed: write balances: {store: {replay: {}}}, or ledger: Count to keep no balances",
            )
        },
        AdmissionRule {
            field_path: Some(".balances"),
            ..rule(
                ".spec",
                "self.ledger != 'Count' || !has(self.balances)",
                "balances has no meaning with ledger: Count, which keeps none: remove it",
            )
        },
        rule(".spec.balances.store", "has(self.replay)", "store must be one of: replay: {}"),
        AdmissionRule {
            field_path: Some(".kafka.consumer.startFrom"),
            ..rule(
                ".spec",
                "!has(self.balances) || !has(self.balances.store) || !has(self.balances.store.replay) || \
                 self.kafka.consumer.startFrom == 'Earliest'",
                "the store replay reads every partition from its first record, so startFrom must be Earliest",
            )
        },
        rule(
            ".spec.balances.signs",
            format!("self.all(type, type in {})", list(&TRANSACTION_TYPES.map(|(name, _)| name))),
            "the keys of signs are transaction types: Transfer, Payment, Deposit, Withdrawal, CardPayment, \
             InternationalTransfer, BillPayment",
        ),
        rule(
            ".spec.balances.minorUnits",
            "self.all(currency, currency.matches('^[A-Z]{3}$'))",
            "the keys of minorUnits are currencies: three capital letters",
        ),
    ]
}

fn scaling() -> Vec<AdmissionRule> {
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

fn worker() -> Vec<AdmissionRule> {
    let labels = list(&LABELS);
    vec![
        rule(
            ".spec.worker",
            "duration(self.terminationGracePeriod) >= duration('5s')",
            "terminationGracePeriod must be at least 5s: a worker commits and hands its partitions over in that time",
        ),
        AdmissionRule {
            field_path: Some(".worker.simulatedWork"),
            ..rule(
                ".spec",
                "duration(self.worker.simulatedWork) < duration(self.kafka.consumer.maxPollInterval)",
                "simulatedWork must be less than kafka.consumer.maxPollInterval, else no worker keeps its partitions",
            )
        },
        qualified_names(".spec.worker.nodeSelector", "nodeSelector"),
        qualified_names(".spec.worker.podLabels", "podLabels"),
        qualified_names(".spec.worker.podAnnotations", "podAnnotations"),
        label_values(".spec.worker.nodeSelector", "nodeSelector"),
        label_values(".spec.worker.podLabels", "podLabels"),
        rule(
            ".spec.worker.podLabels",
            format!("!self.exists(key, key.startsWith('{OWN_PREFIX}')) && !{labels}.exists(key, key in self)"),
            format!(
                "podLabels may not set the labels the operator finds its pods by: {}, {OWN_PREFIX}*",
                LABELS.join(", ")
            ),
        ),
        rule(
            ".spec.worker.podAnnotations",
            format!("!self.exists(key, key.startsWith('{OWN_PREFIX}')) && !('{DELETION_COST}' in self)"),
            format!("podAnnotations may not set the annotations the operator writes: {OWN_PREFIX}*, {DELETION_COST}"),
        ),
        AdmissionRule {
            field_path: Some(".name"),
            ..rule(
                ".spec.worker.env[]",
                format!(
                    "!{}.exists(prefix, self.name.startsWith(prefix)) && !(self.name in {})",
                    list(&ENV_PREFIXES),
                    list(&ENV_NAMES)
                ),
                format!(
                    "the operator sets this variable itself, use the field of spec instead: refused are {}, {}*",
                    ENV_NAMES.join(", "),
                    ENV_PREFIXES.join("*, ")
                ),
            )
        },
    ]
}

fn qualified_names(at: &'static str, field: &str) -> AdmissionRule {
    rule(
        at,
        "self.all(key, key.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        format!(
            "the keys of {field} must be names such as team or example.com/team, at most 63 characters after the slash"
        ),
    )
}

fn label_values(at: &'static str, field: &str) -> AdmissionRule {
    rule(
        at,
        "self.all(key, self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
        format!(
            "the values of {field} may hold letters, digits, '-', '_' and '.', with a letter or digit at both ends"
        ),
    )
}

fn list(words: &[&str]) -> String {
    format!("['{}']", words.join("', '"))
}
