//! A customer id as requests name it.

use super::refusal::Refusal;
use crate::transaction::MAX_ID_BYTES;

/// The OpenAPI document can limit characters only. No record's id has as many bytes more, so none is out of reach.
pub(super) const MAX_CHARACTERS: usize = MAX_ID_BYTES;

/// The id, if it has 1 to 128 characters.
pub(super) fn checked(id: String) -> Result<String, Refusal> {
    let is_short = id.chars().nth(MAX_CHARACTERS).is_none();
    if !id.is_empty() && is_short { Ok(id) } else { Err(Refusal::CustomerId) }
}
