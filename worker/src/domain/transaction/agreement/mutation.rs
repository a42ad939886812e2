//! Records by chance.

use super::*;

/// The fields of `DEPOSIT`, each with its value as it stands there.
const FIELDS: [(&str, &str); 11] = [
    ("transactionId", r#""BAL-001""#),
    ("fromAccount", r#""BANK""#),
    ("toAccount", r#""FR7630001000123456789""#),
    ("amount", "5000.00"),
    ("currency", r#""EUR""#),
    ("type", "3"),
    ("description", r#""Depot initial""#),
    ("customerId", r#""CUST-001""#),
    ("timestamp", r#""2026-02-08T22:00:00Z""#),
    ("riskScore", "0"),
    ("status", "1"),
];

/// `DEPOSIT` with one more field, or with another value for one that it has.
pub(super) fn with(field: &str, value: &str) -> String {
    let mut fields: Vec<_> = FIELDS.iter().filter(|(name, _)| *name != field).copied().collect();
    fields.push((field, value));
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// `DEPOSIT` after some changes.
pub(super) fn any_record() -> impl Strategy<Value = String> {
    let fields = Just(FIELDS.map(|(name, value)| (format!("\"{name}\""), value.to_owned())).to_vec());
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any_change()), 0..3);
    (fields.prop_shuffle(), changes, any_space(), any_end()).prop_map(|(mut fields, changes, space, end)| {
        for (at, change) in changes {
            if fields.is_empty() {
                break;
            }
            let at = at.index(fields.len());
            match change {
                Change::Value(value) => fields[at].1 = value,
                Change::Key(key) => fields[at].0 = key(&fields[at].0),
                Change::LeftOut => drop(fields.remove(at)),
                Change::Repeated => fields.push(fields[at].clone()),
            }
        }
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}{space}:{space}{value}{space}")).collect();
        format!("{space}{{{space}{}}}{end}", fields.join(&format!(",{space}")))
    })
}

/// `DEPOSIT` with some values changed, mostly to others that fit.
pub(super) fn usual_record() -> impl Strategy<Value = String> {
    let text = "\"[A-Za-z0-9 é-]{0,40}\"";
    let decimal = "(0|[1-9][0-9]{0,7})(\\.[0-9]{1,4})?";
    let time =
        "\"[0-9]{2}(19|20|00)-(0[1-9]|1[0-2])-([0-2][1-9]|30|31)T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z\"";
    let code = "[0-9]|\"(Transfer|Payment|Pending|Failed)\"";
    let currency = "\"(EUR|USD|JPY|KWD|XXX)\"";
    let score = "[0-9]{1,3}";
    let usual = [text, text, text, decimal, currency, code, text, text, time, score, code];
    let uuid = "\"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\"";
    let ids = (prop::option::of(uuid), prop::option::of(uuid));
    let change = (0..usual.len()).prop_flat_map(move |at| {
        let value = prop_oneof![6 => usual[at].prop_map(|value: String| value), 1 => any_value()];
        (Just(at), value)
    });
    (prop::collection::vec(change, 0..4), ids, any::<bool>()).prop_map(|(changes, ids, described)| {
        let mut fields = FIELDS.map(|(name, value)| (name, value.to_owned()));
        changes.into_iter().for_each(|(at, value)| fields[at].1 = value);
        [(0, ids.0), (7, ids.1)].into_iter().for_each(|(at, id)| fields[at].1 = id.unwrap_or(fields[at].1.clone()));
        let fields = fields.iter().filter(|(name, _)| described || *name != "description");
        let fields: Vec<_> = fields.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

#[derive(Clone, Debug)]
enum Change {
    Value(String),
    Key(fn(&str) -> String),
    LeftOut,
    Repeated,
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => any_value().prop_map(Change::Value),
        2 => any_fitting_value().prop_map(Change::Value),
        1 => Just(Change::Key(|key| key.replacen(['a', 'o'], "\\u0061", 1))),
        1 => Just(Change::Key(str::to_ascii_uppercase)),
        1 => Just(Change::LeftOut),
        1 => Just(Change::Repeated),
    ]
}

fn any_space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 2 => Just(" "), 1 => Just("\r\n\t"), 1 => Just("\u{a0}"), 1 => Just("\u{b}")]
}

fn any_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" \n"), 1 => Just("}"), 1 => Just("\0"), 1 => Just(",")]
}

/// What fits one field or another.
fn any_fitting_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,7}\\.[0-9]{1,4}0{0,40}",
        "[0-9]{1,3}(\\.[0-9]{1,2})?[eE][+-]?0{0,3}[0-9]{1,3}",
        Just("1e400".to_owned()),
        Just("0.01e-0".to_owned()),
        Just("1e99999999999999999999".to_owned()),
        Just("0e99999999999999999999".to_owned()),
        "\"(EUR|JPY|KWD|XXX|[A-Z]{3})\"",
        "\"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-5][0-9])\"",
        "\"(Transfer|Deposit|BillPayment|Pending|UnderReview)\"",
        "[0-9]{1,3}",
        "-?0",
        "\"[a-zé\u{1f600}]{60,70}\"",
        "\"x{498,502}\"",
    ]
}

/// Any JSON value, or something like one.
pub(super) fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<i32>().prop_map(|number| number.to_string()),
        "-?[0-9]{1,6}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "\"[a-zA-Z0-9 éß]{0,12}\"",
        r#""(\\u[0-9a-fA-F]{4}|\\[\\/"bfnrtx]|[a-z]){0,4}""#,
        Just(r#"{"a":{"b":[1,2,{"c":"}"}]}}"#.to_owned()),
        Just("[1,\"]\",[]]".to_owned()),
        (120_usize..135).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
        "[\\[\\]{}:,\"0-9a-z]{1,6}",
    ]
}

/// `bytes` after one to three edits, and how many they were.
pub(super) fn edited(bytes: &'static [u8]) -> impl Strategy<Value = (Vec<u8>, usize)> {
    let byte = prop_oneof![3 => prop::sample::select(&b"{}[]:,\"\\ 0123456789-+.eEntfu"[..]), 1 => any::<u8>()];
    let edit = (any::<prop::sample::Index>(), 0..3_u8, byte);
    prop::collection::vec(edit, 1..4).prop_map(move |edits| {
        let mut bytes = bytes.to_vec();
        for (at, what, byte) in &edits {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = *byte,
                1 => bytes.insert(at, *byte),
                _ => drop(bytes.remove(at)),
            }
        }
        (bytes, edits.len())
    })
}
