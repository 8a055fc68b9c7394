//! What the API asks of the engine: validated, typed, without any clear card.

use crate::desk::CardInHand;
use std::time::Duration;
use tollgate_core::id::{CheckoutId, PasskeyId};
use tollgate_core::mandate::MandateTerms;
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind};
use tollgate_core::money::Money;

/// A new payment.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// What is to be paid.
    pub amount: Money,
    /// Take the money at once or reserve it.
    pub capture: CaptureMode,
    /// How it is paid.
    pub method: MethodKind,
    /// The instrument; none: in sandbox mode the public test instrument of the method is used, in
    /// live mode the payment is refused.
    pub instrument: Option<NewInstrument>,
    /// Who pays.
    pub customer: NewCustomer,
    /// What for.
    pub description: Option<String>,
    /// What the customer's statement should say.
    pub statement_descriptor: Option<String>,
    /// Where the customer's browser goes afterwards.
    pub return_url: Option<String>,
    /// The merchant's own data.
    pub metadata: Vec<(String, String)>,
    /// The one processor to use, if the caller wants one.
    pub processor: Option<String>,
    /// The UPI AutoPay mandate to set up with it.
    pub mandate: Option<MandateTerms>,
    /// The checkout session it is made in.
    pub checkout: Option<CheckoutId>,
    /// The customer's confirmation of amount and payee, verified.
    pub confirmation: Option<Confirmation>,
    /// How long the caller waits at most; none: as long as a charge may take.
    pub time_max: Option<Duration>,
}

/// A customer's confirmation of one payment, verified against its amount, currency, payee and customer.
#[derive(Debug, Clone)]
pub struct Confirmation {
    /// The passkey that signed it.
    pub passkey_id: PasskeyId,
    /// Tells it from every other: a second payment with it is refused inside the commit.
    pub digest: [u8; 32],
}

/// The instrument of a new payment.
#[derive(Debug, Clone)]
pub struct NewInstrument {
    /// Its masked form, which is stored.
    pub summary: InstrumentSummary,
    /// Where the vault holds the clear card.
    pub card: Option<CardInHand>,
}

/// The customer of a new payment.
#[derive(Debug, Clone, Default)]
pub struct NewCustomer {
    /// The merchant's id of its customer.
    pub user_id: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// IP address, for the fraud check, which keeps it, and the processor.
    pub ip: Option<String>,
    /// The merchant's name of the customer's device, for the fraud check.
    pub device_id: Option<String>,
    /// Browser, for the fraud check and the processor; not stored.
    pub user_agent: Option<String>,
}

/// A refund to be made.
#[derive(Debug, Clone, Default)]
pub struct NewRefund {
    /// Decimal major units as sent; none: all that is left.
    pub amount: Option<String>,
    /// The merchant's reason.
    pub reason: Option<String>,
    /// The merchant's own data.
    pub metadata: Vec<(String, String)>,
}

/// A caller's idempotency key and what it was used for.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// SHA-256 of verb, path and body.
    pub fingerprint: [u8; 32],
}
