//! A partition's changelog as it is, sound or not: for tools that look at it from outside.

use super::{loaded::Loaded, progress::Ledger as Identity, settle::check_identity};
use crate::{
    config::Config,
    store::{Examined, ToldStanding},
};

pub(crate) fn examine(loaded: Loaded, config: &Config, topic_id: &str) -> Examined {
    let rules = config.rules.hash();
    let identity = Identity { group: &config.group_id, topic: &config.topic, topic_id, rules: &rules };
    let flaw = loaded.check().err();
    let (ledger, progress) = loaded.into_parts();
    let of_another = progress.as_ref().and_then(|progress| check_identity(progress, &identity).err());
    let standing = progress.map(|progress| ToldStanding {
        base: progress.base_offset,
        next_offset: progress.next_offset,
        is_comparable: of_another.is_none() && !progress.partial,
        topic_id: progress.topic_id,
    });
    Examined { ledger, standing, flaw: of_another.or(flaw) }
}
