//! What callers name by texts of any length, as keys of one length.

use crate::batch::WindowKey;
use sha2::{Digest, Sha256};
use tollgate_core::id::MerchantId;

/// The key of a processor's message or a customer's confirmation.
pub(crate) fn message_key(merchant_id: MerchantId, message: &str) -> WindowKey {
    WindowKey { merchant_id, digest: digest(&[message.as_bytes()]) }
}

/// Merchant and digest of the caller's key.
pub(crate) fn idempotency_key(merchant_id: MerchantId, key: &str) -> WindowKey {
    WindowKey { merchant_id, digest: digest(&[&merchant_id.to_bytes(), key.as_bytes()]) }
}

/// The first half of a digest of a user's id: the ids are of any length.
pub(crate) fn user_digest(user_id: &str) -> [u8; 16] {
    let full = digest(&[user_id.as_bytes()]);
    let mut half = [0; 16];
    half.copy_from_slice(&full[..16]);
    half
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
