//! The JSON shape of a transaction, borrowed from the record.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, Visitor},
};
use sonic_rs::LazyValue;

use super::{BadRecord, TransactionType, depth};

/// What a balance needs is required; the rest may be absent or null, but not of a wrong type.
///
/// Unknown fields, and what is inside `location`, are skipped by their structure alone: a bad escape there is not seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    pub(super) transaction_id: Text<'a>,
    #[serde(borrow)]
    pub(super) customer_id: Text<'a>,
    #[serde(borrow)]
    pub(super) amount: LazyValue<'a>,
    #[serde(borrow)]
    pub(super) currency: Text<'a>,
    #[serde(rename = "type")]
    pub(super) transaction_type: Named<TransactionType>,
    #[serde(borrow)]
    pub(super) timestamp: Text<'a>,
    #[serde(borrow)]
    pub(super) description: Option<Text<'a>>,
    #[serde(borrow, rename = "fromAccount")]
    _from_account: Option<Text<'a>>,
    #[serde(borrow, rename = "toAccount")]
    _to_account: Option<Text<'a>>,
    #[serde(rename = "riskScore")]
    _risk_score: Option<RiskScore>,
    #[serde(rename = "status")]
    _status: Option<Named<Status>>,
    #[serde(rename = "location")]
    _location: Option<Object>,
}

impl<'a> Wire<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Result<Self, BadRecord> {
        if depth::is_too_deep(value) {
            return Err(BadRecord::NestedTooDeep);
        }
        // The error's text quotes the record, so only its category goes on.
        sonic_rs::from_slice(value).map_err(|error| {
            if error.is_syntax() || error.is_eof() { BadRecord::BrokenJson } else { BadRecord::WrongShape }
        })
    }
}

/// A string, borrowed unless it has escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// An enumeration written as its number, from 1, or as its name.
pub(super) struct Named<T>(pub(super) T);

/// An enumeration whose values have a number and a name.
trait Numbered: Sized + Copy + 'static {
    const ALL: &'static [Self];
    fn name(self) -> &'static str;
}

impl Numbered for TransactionType {
    const ALL: &'static [Self] = &TransactionType::ALL;

    fn name(self) -> &'static str {
        TransactionType::name(self)
    }
}

/// Checked, but without effect: a record counts whatever its status.
#[derive(Clone, Copy)]
struct Status(&'static str);

impl Numbered for Status {
    const ALL: &'static [Self] = &[
        Self("Pending"),
        Self("Processing"),
        Self("Completed"),
        Self("Failed"),
        Self("Rejected"),
        Self("UnderReview"),
    ];

    fn name(self) -> &'static str {
        self.0
    }
}

impl<'de, T: Numbered> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(std::marker::PhantomData<T>);
        impl<T: Numbered> Visitor<'_> for NamedVisitor<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from 1 to {} or a name", T::ALL.len())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
                let known = index.and_then(|index| T::ALL.get(index)).copied();
                known.map(Named).ok_or_else(|| E::custom("unknown number"))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                let known = T::ALL.iter().copied().find(|known| known.name() == name);
                known.map(Named).ok_or_else(|| E::custom("unknown name"))
            }
        }
        deserializer.deserialize_any(NamedVisitor(std::marker::PhantomData))
    }
}

/// A whole number from 0 to 100.
struct RiskScore;

impl<'de> Deserialize<'de> for RiskScore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0..=100 => Ok(Self),
            _ => Err(de::Error::custom("not from 0 to 100")),
        }
    }
}

struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}
