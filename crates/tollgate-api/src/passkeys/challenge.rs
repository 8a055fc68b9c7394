//! Challenges without a memory: what a passkey signs says itself what it is for.
//!
//! A challenge is `nonce(16) ‖ expiry(8) ‖ HMAC-SHA256(key, purpose ‖ what it is for ‖ nonce ‖ expiry)(32)`.
//! Nothing is stored when one is given out; whoever brings it back signed has agreed to exactly what the
//! server finds again under the code. Every part of variable length has its length in front, so that
//! no two purposes have the same bytes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use tollgate_core::id::MerchantId;
use tollgate_core::money::Money;

/// Bytes of a challenge.
pub(crate) const LENGTH: usize = 16 + 8 + 32;

/// The key under which challenges are made.
#[derive(Clone)]
pub(crate) struct ChallengeKey([u8; 32]);

impl fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeKey(hidden)")
    }
}

/// What a challenge is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// Registering a passkey of a merchant's customer.
    Registration { merchant_id: MerchantId, user_id: &'a str },
    /// Confirming one payment: who pays whom how much.
    Confirmation { merchant_id: MerchantId, user_id: &'a str, amount: Money },
}

/// Why a challenge is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not one of ours, or for something else.
    Foreign,
    /// It was ours, and its time is over.
    Expired,
}

impl ChallengeKey {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A new challenge.
    pub(crate) fn challenge(
        &self,
        purpose: &Purpose<'_>,
        nonce: [u8; 16],
        expires_at_ms: u64,
    ) -> [u8; LENGTH] {
        let mut challenge = [0; LENGTH];
        challenge[..16].copy_from_slice(&nonce);
        challenge[16..24].copy_from_slice(&expires_at_ms.to_be_bytes());
        if let Some(mac) = self.mac(purpose, &challenge[..24]) {
            challenge[24..].copy_from_slice(&mac.finalize().into_bytes());
        }
        challenge
    }

    /// Checks a challenge that came back.
    pub(crate) fn check(&self, purpose: &Purpose<'_>, challenge: &[u8], now_ms: u64) -> Result<(), Refused> {
        let (head, code) = challenge.split_at_checked(24).ok_or(Refused::Foreign)?;
        let mac = self.mac(purpose, head).ok_or(Refused::Foreign)?;
        // In constant time, and with the whole length.
        mac.verify_slice(code).map_err(|_| Refused::Foreign)?;
        let expiry = head.get(16..24).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        if now_ms < expiry { Ok(()) } else { Err(Refused::Expired) }
    }

    /// None cannot occur: HMAC takes keys of any length.
    fn mac(&self, purpose: &Purpose<'_>, head: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        let mut text = |text: &str| {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        };
        match purpose {
            Purpose::Registration { merchant_id, user_id } => {
                text("tollgate-passkey");
                text(user_id);
                mac.update(&merchant_id.to_bytes());
            }
            Purpose::Confirmation { merchant_id, user_id, amount } => {
                text("tollgate-confirmation");
                text(user_id);
                mac.update(&merchant_id.to_bytes());
                mac.update(&amount.minor.to_be_bytes());
                mac.update(&amount.currency.bytes());
            }
        }
        mac.update(head);
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::currency::Currency;

    #[test]
    fn a_challenge_is_for_one_thing_alone() {
        let key = ChallengeKey::new([7; 32]);
        let shop = MerchantId::from_u128(1);
        let amount = Money::new(10_000, Currency::INR);
        let confirmation =
            |merchant_id, user_id, amount| Purpose::Confirmation { merchant_id, user_id, amount };
        let right = confirmation(shop, "asha", amount);
        let challenge = key.challenge(&right, [9; 16], 1_000);
        assert_eq!(key.check(&right, &challenge, 999), Ok(()));
        assert_eq!(key.check(&right, &challenge, 1_000), Err(Refused::Expired));
        for other in [
            confirmation(MerchantId::from_u128(2), "asha", amount),
            confirmation(shop, "ash", amount),
            confirmation(shop, "asha", Money::new(10_001, Currency::INR)),
            confirmation(shop, "asha", Money::new(10_000, Currency::USD)),
            Purpose::Registration { merchant_id: shop, user_id: "asha" },
        ] {
            assert_eq!(key.check(&other, &challenge, 0), Err(Refused::Foreign), "{other:?}");
        }
        assert_eq!(ChallengeKey::new([8; 32]).check(&right, &challenge, 0), Err(Refused::Foreign));
        for place in 0..LENGTH {
            let mut changed = challenge;
            changed[place] ^= 1;
            assert_eq!(key.check(&right, &changed, 0), Err(Refused::Foreign), "{place}");
            assert_eq!(key.check(&right, &challenge[..place], 0), Err(Refused::Foreign), "{place}");
        }
        assert!(!format!("{key:?}").contains('7'));
    }
}
