//! What may be cached, for how long, and under which key.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tollgate_core::id::{MerchantId, PaymentId};

use crate::query::PolicyKind;

/// What may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A merchant.
    Merchant,
    /// A merchant's partner.
    Partner,
    /// A merchant's own accounts at processors.
    Accounts,
    /// What a merchant has set: fraud, routing, limits, version of the API.
    Policy,
    /// A payment, to be looked at.
    Payment,
    /// A card on file: brand, last digits, expiry.
    PaymentMethod,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Merchant, Self::Partner, Self::Accounts, Self::Policy, Self::Payment, Self::PaymentMethod];

    /// Its name in metrics and in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Partner => "partner",
            Self::Accounts => "processor_accounts",
            Self::Policy => "policy",
            Self::Payment => "payment",
            Self::PaymentMethod => "payment_method",
        }
    }

    /// How long it is kept, unless something changes it.
    #[must_use]
    pub const fn ttl(self) -> Duration {
        const MINUTE_S: u64 = 60;
        Duration::from_secs(match self {
            Self::Accounts | Self::PaymentMethod => 60 * MINUTE_S,
            Self::Merchant | Self::Partner => 30 * MINUTE_S,
            Self::Policy => 15 * MINUTE_S,
            Self::Payment => 5 * MINUTE_S,
        })
    }
}

/// A key: the same text in this process, in Redis, and in what gateways tell each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub(super) kind: Kind,
    pub(super) text: Arc<str>,
}

impl Key {
    fn new(kind: Kind, letter: char, merchant_id: MerchantId, rest: &[&dyn std::fmt::Display]) -> Self {
        let mut text = String::with_capacity(80);
        // Writing to a String cannot fail.
        let _ = write!(text, "{letter}.{:032x}", merchant_id.as_u128());
        for part in rest {
            let _ = write!(text, ".{part}");
        }
        Self { kind, text: text.into() }
    }

    /// A merchant.
    #[must_use]
    pub fn merchant(id: MerchantId) -> Self {
        Self::new(Kind::Merchant, 'm', id, &[])
    }

    /// A merchant's partner.
    #[must_use]
    pub fn partner(of: MerchantId) -> Self {
        Self::new(Kind::Partner, 'o', of, &[])
    }

    /// A merchant's own accounts.
    #[must_use]
    pub fn accounts(of: MerchantId) -> Self {
        Self::new(Kind::Accounts, 'a', of, &[])
    }

    /// A merchant's policy.
    #[must_use]
    pub fn policy(of: MerchantId, kind: PolicyKind) -> Self {
        let name = match kind {
            PolicyKind::Fraud => "fraud",
            PolicyKind::Routing => "routing",
            PolicyKind::Limits => "limits",
            PolicyKind::ApiVersion => "version",
        };
        Self::new(Kind::Policy, 'p', of, &[&name])
    }

    /// A payment, as it is looked at.
    #[must_use]
    pub fn payment(of: MerchantId, id: PaymentId) -> Self {
        Self::new(Kind::Payment, 'v', of, &[&format_args!("{:032x}", id.as_u128())])
    }

    /// A card on file.
    #[must_use]
    pub fn payment_method(of: MerchantId, token: [u8; 16]) -> Self {
        Self::new(Kind::PaymentMethod, 'c', of, &[&format_args!("{:032x}", u128::from_be_bytes(token))])
    }

    /// Whether the text is the key of a payment.
    #[must_use]
    pub fn is_payment(text: &str) -> bool {
        text.starts_with("v.")
    }

    /// Whose it is, where the text is a key's: what others tell is read with care.
    #[must_use]
    pub fn merchant_of(text: &str) -> Option<MerchantId> {
        let id = text.get(2..34)?;
        u128::from_str_radix(id, 16).ok().map(MerchantId::from_u128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_name_their_merchant() {
        let (one, other) = (MerchantId::from_u128(1), MerchantId::from_u128(u128::MAX));
        let mut all = Vec::new();
        for id in [one, other] {
            all.extend([Key::merchant(id), Key::partner(id), Key::accounts(id)]);
            for kind in [PolicyKind::Fraud, PolicyKind::Routing, PolicyKind::Limits, PolicyKind::ApiVersion] {
                all.push(Key::policy(id, kind));
            }
            for payment in 1..3 {
                all.push(Key::payment(id, PaymentId::from_u128(payment)));
                all.push(Key::payment_method(id, payment.to_be_bytes()));
            }
            let owners: Vec<_> = all.iter().map(|key| Key::merchant_of(&key.text)).collect();
            assert_eq!(owners.last(), Some(&Some(id)));
        }
        let texts: std::collections::HashSet<_> = all.iter().map(|key| key.text.clone()).collect();
        assert_eq!(texts.len(), all.len());
        for wrong in ["", "m.", "m.xyz", "é.00000000000000000000000000000001"] {
            assert_eq!(Key::merchant_of(wrong), None, "{wrong}");
        }
    }
}
