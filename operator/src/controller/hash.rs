//! Pure. The short hash by which a text is known again.

use sha2::{Digest, Sha256};

/// 64 bits of SHA-256, in hexadecimal.
pub(super) fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
