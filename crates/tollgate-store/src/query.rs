//! Questions to a store, and their bounds.

use std::ops::RangeInclusive;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::currency::Currency;
use tollgate_core::id::{CheckoutId, MerchantId, PaymentId};
use tollgate_core::method::MethodKind;
use tollgate_core::payment::Payment;
use tollgate_core::transition::PaymentStatus;

/// Most rows of one page.
pub const LIMIT_MAX: usize = 1_000;

/// Most rows that may be skipped by offset; deeper pages are reached by cursor.
pub const OFFSET_MAX: usize = 100_000;

/// Most rows one page looks at. A page that reaches it ends early, with a cursor to go on.
pub const SCAN_MAX: usize = 200_000;

/// Which payments to list. Every condition that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct PaymentFilter {
    /// The customer.
    pub user_id: Option<String>,
    /// The status.
    pub status: Option<PaymentStatus>,
    /// The method.
    pub method: Option<MethodKind>,
    /// The processor's name.
    pub processor: Option<String>,
    /// The currency.
    pub currency: Option<Currency>,
    /// Made at or after, in milliseconds since the Unix epoch.
    pub created_from_ms: Option<u64>,
    /// Made before.
    pub created_to_ms: Option<u64>,
    /// At least this much, in minor units.
    pub amount_minor_min: Option<i64>,
    /// At most this much.
    pub amount_minor_max: Option<i64>,
    /// Only payments older than this one.
    pub before: Option<PaymentId>,
    /// Matches to skip, at most [`OFFSET_MAX`].
    pub offset: usize,
    /// Rows wanted, at most [`LIMIT_MAX`].
    pub limit: usize,
}

impl PaymentFilter {
    /// Whether a payment meets the conditions on its content.
    #[must_use]
    pub fn matches(&self, payment: &Payment) -> bool {
        let amount = payment.terms.amount.minor;
        let created = payment.created_at_ms;
        self.status.is_none_or(|status| payment.status == status)
            && self.method.is_none_or(|method| payment.terms.method == method)
            && self.processor.as_deref().is_none_or(|name| payment.processor.as_str() == name)
            && self.currency.is_none_or(|currency| payment.terms.amount.currency == currency)
            && self.user_id.as_deref().is_none_or(|user| payment.terms.user_id.as_deref() == Some(user))
            && self.created_from_ms.is_none_or(|from| created >= from)
            && self.created_to_ms.is_none_or(|to| created < to)
            && self.amount_minor_min.is_none_or(|least| amount >= least)
            && self.amount_minor_max.is_none_or(|most| amount <= most)
    }
}

/// A page of payments, newest first.
#[derive(Debug, Clone)]
pub struct PaymentPage {
    /// The payments.
    pub payments: Vec<Payment>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<PaymentId>,
}

/// Which remembered replies to look for.
#[derive(Debug, Clone)]
pub struct ReplyFilter {
    /// Of these payments.
    pub payments: Vec<PaymentId>,
    /// Claimed on these days, counted from 1970-01-01.
    pub days: RangeInclusive<u64>,
    /// Only those after this place.
    pub after: Option<ReplyPlace>,
}

/// Where a remembered reply stands among a merchant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyPlace {
    /// The day of its claim.
    pub day: u64,
    /// The digest of its idempotency key.
    pub digest: [u8; 32],
}

/// A page of remembered replies.
#[derive(Debug, Clone, Default)]
pub struct ReplyPage {
    /// The payments they are of, and their names in an erasure.
    pub replies: Vec<(PaymentId, [u8; 32])>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<ReplyPlace>,
}

/// A page of a person's checkout sessions, newest first.
#[derive(Debug, Clone, Default)]
pub struct CheckoutPage {
    /// The sessions.
    pub sessions: Vec<CheckoutSession>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<CheckoutId>,
}

/// A payment whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at_ms: u64,
    /// Owner.
    pub merchant_id: MerchantId,
    /// Which.
    pub payment_id: PaymentId,
}

/// The lists that the fraud check keeps of a merchant's payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RiskList {
    /// They wait for a person's look.
    Review,
    /// Something was found: stepped up, reviewed, declined or not scored.
    Alerts,
    /// The merchant has said whether they were fraud.
    Labelled,
    /// A person has decided, and what follows from that is still to be done.
    Decided,
}

/// What a merchant's policy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// The fraud check.
    Fraud,
    /// Routing.
    Routing,
    /// Rate limits; the gateway's own are kept under the merchant id 0.
    Limits,
    /// The version of the API that the merchant is pinned to: its name, no JSON.
    ApiVersion,
}
