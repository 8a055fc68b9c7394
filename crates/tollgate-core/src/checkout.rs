//! Hosted checkout sessions: what a customer is asked to pay on the gateway's own page.
//!
//! A session is written once and never changed. What became of it is read from its payments, of which at
//! most one is alive.

use crate::base62;
use crate::id::{CheckoutId, MerchantId, PaymentId};
use crate::mandate::MandateTerms;
use crate::method::MethodFamily;
use crate::money::Money;
use crate::payment::Payment;
use crate::transition::PaymentStatus;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How long a session is open when its maker does not say, in milliseconds.
pub const OPEN_MS_DEFAULT: u64 = 3_600_000;

/// The longest a session may be open, in milliseconds. Shorter than a day: the idempotency keys that keep
/// two payments of one session apart live that long.
pub const OPEN_MS_MAX: u64 = 23 * 3_600_000;

/// Most payments tried in one session.
pub const PAYMENTS_MAX: usize = 20;

/// The part of a session's address that nobody can guess: 128 random bits.
///
/// It is kept, not its digest, because the way back from a bank's page leads to that address again. It
/// opens a page on which somebody can pay, and nothing else. Cannot be printed.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutSecret(u128);

impl fmt::Debug for CheckoutSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckoutSecret(hidden)")
    }
}

impl CheckoutSecret {
    /// A secret from random bits.
    #[must_use]
    pub const fn new(random: u128) -> Self {
        Self(random)
    }

    /// Its bytes, to be compared in constant time.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// A session's name in addresses: its id, a hyphen and its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckoutToken {
    /// The session.
    pub id: CheckoutId,
    /// What proves the right to see it.
    pub secret: CheckoutSecret,
}

impl CheckoutToken {
    /// The text of it: `cs_…-…`.
    #[must_use]
    pub fn expose(self) -> String {
        let mut text = self.id.to_string();
        text.push('-');
        base62::encode_into(self.secret.0, &mut text);
        text
    }
}

/// The text names no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a checkout session")]
pub struct InvalidToken;

impl FromStr for CheckoutToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.split_once('-').ok_or(InvalidToken)?;
        let id = id.parse().map_err(|_| InvalidToken)?;
        let secret = base62::decode(secret).map(CheckoutSecret).ok_or(InvalidToken)?;
        Ok(Self { id, secret })
    }
}

/// Who pays, as far as the merchant knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutCustomer {
    /// The merchant's id of its customer.
    pub user_id: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
}

/// A checkout session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutSession {
    /// Its id.
    pub id: CheckoutId,
    /// Owner.
    pub merchant_id: MerchantId,
    /// What proves the right to see its page.
    pub secret: CheckoutSecret,
    /// What is to be paid.
    pub amount: Money,
    /// The methods offered; empty: all that the merchant's processors take.
    pub methods: Vec<MethodFamily>,
    /// Who pays.
    pub customer: CheckoutCustomer,
    /// What for.
    pub description: Option<String>,
    /// What the customer's statement should say.
    pub statement_descriptor: Option<String>,
    /// Where the customer goes after paying.
    pub return_url: Option<String>,
    /// Where the customer goes without paying.
    pub cancel_url: Option<String>,
    /// The merchant's own data, copied to the session's payments.
    pub metadata: Vec<(String, String)>,
    /// The UPI AutoPay mandate to set up with the payment.
    pub mandate: Option<MandateTerms>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// From when on no payment can be begun in it, in milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
}

impl CheckoutSession {
    /// Its name in addresses.
    #[must_use]
    pub const fn token(&self) -> CheckoutToken {
        CheckoutToken { id: self.id, secret: self.secret }
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutStatus {
    /// It can be paid.
    Open,
    /// A payment is under way.
    Processing,
    /// It is paid.
    Paid,
    /// Its time is over, or too many payments were tried.
    Expired,
}

impl CheckoutStatus {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Processing => "processing",
            Self::Paid => "paid",
            Self::Expired => "expired",
        }
    }
}

/// What has become of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckoutState {
    /// Where it stands.
    pub status: CheckoutStatus,
    /// The payment that decides it: the one that is alive or took the money, else the last that was tried.
    pub payment_id: Option<PaymentId>,
    /// How many payments ended without money: the number of the next one.
    pub ended: usize,
}

/// What has become of a session, by its payments, oldest first.
#[must_use]
pub fn state(session: &CheckoutSession, payments: &[Payment], now_ms: u64) -> CheckoutState {
    let ended = payments.iter().filter(|payment| ended_without_money(payment.status)).count();
    // Never more than one; of two, the first is the one that counts.
    let decisive = payments.iter().find(|payment| !ended_without_money(payment.status));
    let status = match decisive.map(|payment| payment.status) {
        Some(PaymentStatus::Pending | PaymentStatus::RequiresAction | PaymentStatus::Processing) => {
            CheckoutStatus::Processing
        }
        Some(_) => CheckoutStatus::Paid,
        None if now_ms >= session.expires_at_ms || ended >= PAYMENTS_MAX => CheckoutStatus::Expired,
        None => CheckoutStatus::Open,
    };
    let payment_id = decisive.or(payments.last()).map(|payment| payment.id);
    CheckoutState { status, payment_id, ended }
}

/// Whether a payment is over and took nothing, so that another may be begun.
#[must_use]
pub const fn ended_without_money(status: PaymentStatus) -> bool {
    matches!(
        status,
        PaymentStatus::Declined | PaymentStatus::Failed | PaymentStatus::Cancelled | PaymentStatus::Expired
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::currency::Currency;

    fn session() -> CheckoutSession {
        CheckoutSession {
            id: CheckoutId::from_u128(7),
            merchant_id: MerchantId::from_u128(8),
            secret: CheckoutSecret::new(u128::MAX - 1),
            amount: Money::new(100, Currency::INR),
            methods: Vec::new(),
            customer: CheckoutCustomer::default(),
            description: None,
            statement_descriptor: None,
            return_url: None,
            cancel_url: None,
            metadata: Vec::new(),
            mandate: None,
            created_at_ms: 1,
            expires_at_ms: 10,
        }
    }

    #[test]
    fn tokens_round_trip_and_hide() {
        let token = session().token();
        let text = token.expose();
        assert_eq!(text.len(), 3 + 22 + 1 + 22);
        assert_eq!(text.parse(), Ok(token));
        for wrong in ["", "cs_", "cs_-", &text[..47], &text.replace("cs_", "pay_"), &text.replace('-', "_")] {
            assert_eq!(wrong.parse::<CheckoutToken>(), Err(InvalidToken), "{wrong}");
        }
        let printed = format!("{:?}", session());
        assert!(printed.contains("hidden") && !printed.contains(&text[26..]), "{printed}");
    }

    #[test]
    fn a_session_without_payments_is_open_until_its_time_is_over() {
        let session = session();
        assert_eq!(state(&session, &[], 9).status, CheckoutStatus::Open);
        assert_eq!(state(&session, &[], 10).status, CheckoutStatus::Expired);
    }

    #[test]
    fn every_status_is_alive_taken_or_ended() {
        let ended = PaymentStatus::ALL.into_iter().filter(|status| ended_without_money(*status));
        assert_eq!(ended.count(), 4);
    }
}
