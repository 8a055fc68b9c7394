//! Passkeys: public keys with which customers confirm payments, by finger, face or PIN.

use crate::id::{MerchantId, PasskeyId};
use serde::{Deserialize, Serialize};

/// A customer's passkey. The private half never leaves the customer's device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// Its id: made of owner, customer and credential, so that one credential is one passkey.
    pub id: PasskeyId,
    /// The merchant it was registered with.
    pub merchant_id: MerchantId,
    /// The merchant's id of the customer.
    pub user_id: String,
    /// The authenticator's id of the credential.
    pub credential_id: Vec<u8>,
    /// The public key and what is known of the authenticator, as the verifying library writes it (JSON).
    pub credential: String,
    /// The highest signature counter seen; zero if the authenticator has none.
    pub sign_count: u32,
    /// When it was registered, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}
