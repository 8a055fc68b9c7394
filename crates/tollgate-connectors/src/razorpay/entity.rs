//! Orders, payments and refunds as Razorpay writes them.
//!
//! Sources: razorpay.com/docs/api/orders/entity, …/api/payments/entity, …/api/refunds/entity,
//! …/payments/payment-gateway/s2s-integration/json/v2.

use super::{codes, is_success, unknown, unreadable};
use crate::Charge;
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;

/// The one note that is ours. Razorpay writes empty notes as an array.
#[derive(Debug, Default)]
pub(super) struct Notes<'a> {
    pub(super) reference: Option<Text<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Notes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NotesVisitor;

        impl<'de> Visitor<'de> for NotesVisitor {
            type Value = Notes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("notes")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Notes::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Notes::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut notes = Notes::default();
                while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                    if key == "tollgate_reference" {
                        notes.reference = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(notes)
            }
        }

        deserializer.deserialize_any(NotesVisitor)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Payment<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    currency: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) order_id: Option<Text<'a>>,
    pub(super) captured: Option<bool>,
    #[serde(borrow)]
    pub(super) notes: Option<Notes<'a>>,
    /// Of a payment that set a mandate up or was taken by one.
    #[serde(borrow)]
    pub(super) customer_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) token_id: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(borrow)]
    error_description: Option<Text<'a>>,
    #[serde(borrow)]
    error_reason: Option<Text<'a>>,
}

impl Payment<'_> {
    /// What became of the payment. `currency` is ours, where we know it.
    pub(super) fn outcome(&self, currency: Option<Currency>) -> Outcome {
        let processor_payment_id = || self.id.as_str().to_owned();
        let amount_minor = self.amount.as_ref().and_then(Text::as_i64).filter(|minor| *minor > 0);
        let (Some(amount_minor), true) = (amount_minor, is_id(self.id.as_str(), "pay_")) else {
            return unreadable();
        };
        if currency.is_some_and(|ours| ours.code() != text(&self.currency)) {
            return Outcome::Unknown(Failure::new(
                FailureCode::AmountMismatch,
                "the processor reports another currency",
            ));
        }
        match (text(&self.status), self.captured) {
            ("created", _) => Outcome::Pending { processor_payment_id: Some(processor_payment_id()) },
            ("authorized", _) => {
                Outcome::Authorized { processor_payment_id: processor_payment_id(), amount_minor }
            }
            // `refunded` is a captured payment whose refunds are told by themselves …
            ("captured", _) | ("refunded", Some(true)) => {
                Outcome::Captured { processor_payment_id: processor_payment_id(), amount_minor }
            }
            // … or an authorization that Razorpay returned because it was never captured.
            // Source: razorpay.com/docs/payments/refunds/auto-refunds.
            ("refunded", Some(false)) => Outcome::Voided,
            ("failed", _) => codes::failed_payment(
                text(&self.error_code),
                text(&self.error_reason),
                text(&self.error_description),
            ),
            _ => unreadable(),
        }
    }

    /// Which of an order's payments tells the order's fate.
    fn rank(&self) -> u8 {
        match text(&self.status) {
            "captured" => 5,
            "refunded" if self.captured == Some(true) => 4,
            "authorized" => 3,
            "refunded" => 2,
            "created" => 1,
            _ => 0,
        }
    }
}

/// Reply to the creation of a payment.
#[derive(Debug, Deserialize)]
pub(super) struct CreatedPayment<'a> {
    #[serde(borrow, rename = "razorpay_payment_id")]
    pub(super) payment_id: Text<'a>,
    #[serde(borrow, rename = "razorpay_order_id")]
    order_id: Option<Text<'a>>,
    #[serde(borrow, rename = "razorpay_signature")]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    next: Option<Vec<NextStep<'a>>>,
    /// The link of a UPI intent that sets a mandate up.
    #[serde(borrow)]
    link: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NextStep<'a> {
    #[serde(borrow)]
    pub(super) action: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) url: Option<Text<'a>>,
}

impl<'a> CreatedPayment<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(super) fn order_id(&self) -> &str {
        text(&self.order_id)
    }

    pub(super) fn signature(&self) -> &str {
        text(&self.signature)
    }

    pub(super) fn link(&self) -> Option<&str> {
        Some(text(&self.link)).filter(|link| link.starts_with("upi://"))
    }

    pub(super) fn next(&self) -> Option<&[NextStep<'a>]> {
        self.next.as_deref()
    }
}

#[derive(Debug, Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    currency: Option<Text<'a>>,
    #[serde(borrow)]
    receipt: Option<Text<'a>>,
    #[serde(borrow)]
    payments: Option<Payments<'a>>,
}

#[derive(Debug, Deserialize)]
struct Payments<'a> {
    #[serde(borrow, default)]
    items: Vec<Payment<'a>>,
}

#[derive(Debug, Deserialize)]
struct Orders<'a> {
    #[serde(borrow)]
    items: Vec<Order<'a>>,
}

/// The id of the order just made, if it is the one that was asked for.
pub(super) fn read_order<'r>(body: &'r [u8], charge: &Charge<'_>) -> Option<Text<'r>> {
    let order: Order<'r> = serde_json::from_slice(body).ok()?;
    let ours = is_id(order.id.as_str(), "order_")
        && order.amount.as_ref().and_then(Text::as_i64) == Some(charge.amount.minor)
        && text(&order.currency) == charge.amount.currency.code()
        && text(&order.receipt) == charge.reference;
    ours.then_some(order.id)
}

/// A payment by itself.
pub(super) fn read_payment(body: &[u8]) -> Option<Payment<'_>> {
    serde_json::from_slice(body).ok()
}

/// What an order look-up found.
pub(super) enum Found<'a> {
    /// The payment that tells the order's fate.
    Payment(Box<Payment<'a>>),
    /// No order of that receipt, or one nobody has paid for yet.
    Nothing,
}

/// The payment of the order with that receipt; `None` when the reply cannot be read.
pub(super) fn find_payment<'r>(body: &'r [u8], receipt: &str) -> Option<Found<'r>> {
    let orders: Orders<'r> = serde_json::from_slice(body).ok()?;
    let payment = orders
        .items
        .into_iter()
        .filter(|order| text(&order.receipt) == receipt)
        .flat_map(|order| order.payments.map(|payments| payments.items).unwrap_or_default())
        .max_by_key(Payment::rank);
    Some(payment.map_or(Found::Nothing, |payment| Found::Payment(Box::new(payment))))
}

pub(super) fn read_capture(response: &HttpResponse<'_>, payment_id: &str, amount: Money) -> Outcome {
    if !is_success(response.status) {
        return codes::refused_afterwards(response);
    }
    match read_payment(response.body) {
        Some(payment) if payment.id.as_str() == payment_id => match payment.outcome(Some(amount.currency)) {
            // A 2xx that leaves the payment authorized or failed is not a documented answer.
            captured @ Outcome::Captured { .. } => captured,
            _ => unreadable(),
        },
        _ => unreadable(),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Refund<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    currency: Option<Text<'a>>,
    #[serde(borrow)]
    payment_id: Option<Text<'a>>,
    #[serde(borrow)]
    receipt: Option<Text<'a>>,
    #[serde(borrow)]
    notes: Option<Notes<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Refunds<'a> {
    #[serde(borrow)]
    items: Vec<Refund<'a>>,
}

impl Refund<'_> {
    /// Our reference of the refund, if it is one of ours.
    pub(super) fn reference(&self) -> &str {
        let noted = self.notes.as_ref().map_or("", |notes| text(&notes.reference));
        if noted.is_empty() { text(&self.receipt) } else { noted }
    }

    pub(super) fn outcome(&self, currency: Option<Currency>) -> Outcome {
        let amount_minor = self.amount.as_ref().and_then(Text::as_i64).filter(|minor| *minor > 0);
        let (Some(amount_minor), true) = (amount_minor, is_id(self.id.as_str(), "rfnd_")) else {
            return unreadable();
        };
        if currency.is_some_and(|ours| ours.code() != text(&self.currency)) {
            return Outcome::Unknown(Failure::new(
                FailureCode::AmountMismatch,
                "the processor reports another currency",
            ));
        }
        match text(&self.status) {
            "processed" => {
                let processor_refund_id = self.id.as_str().to_owned();
                Outcome::Refunded { processor_refund_id, amount_minor }
            }
            // Razorpay may still fail a pending refund (razorpay.com/docs/api/refunds/entity).
            "pending" => Outcome::Pending { processor_payment_id: None },
            "failed" => Outcome::Declined(Failure::new(
                FailureCode::ProcessorRejected,
                "the processor could not carry out the refund",
            )),
            _ => unreadable(),
        }
    }
}

pub(super) fn read_refund(
    response: &HttpResponse<'_>,
    payment_id: &str,
    reference: &str,
    amount: Money,
) -> Outcome {
    if !is_success(response.status) {
        return codes::refused_afterwards(response);
    }
    match serde_json::from_slice::<Refund<'_>>(response.body) {
        Ok(refund) if text(&refund.payment_id) == payment_id && refund.reference() == reference => {
            refund.outcome(Some(amount.currency))
        }
        _ => unreadable(),
    }
}

/// What a page of refunds tells about one of them.
pub(super) enum RefundSearch {
    /// An answer.
    Answered(Outcome),
    /// It is not on this page, which is full.
    NotOnFullPage,
}

pub(super) fn find_refund(
    response: &HttpResponse<'_>,
    payment_id: &str,
    reference: &str,
    amount: Money,
) -> RefundSearch {
    if !is_success(response.status) {
        return RefundSearch::Answered(unknown("the refunds could not be looked up"));
    }
    let Ok(refunds) = serde_json::from_slice::<Refunds<'_>>(response.body) else {
        return RefundSearch::Answered(unreadable());
    };
    let found = refunds
        .items
        .iter()
        .find(|refund| text(&refund.payment_id) == payment_id && refund.reference() == reference);
    match found {
        Some(refund) => RefundSearch::Answered(refund.outcome(Some(amount.currency))),
        None if refunds.items.len() >= super::PAGE_LENGTH as usize => RefundSearch::NotOnFullPage,
        None => RefundSearch::Answered(Outcome::NotFound),
    }
}

/// Whether `text` is an id of that kind: it goes into URLs, so nothing else may be in it.
pub(super) fn is_id(text: &str, prefix: &str) -> bool {
    text.len() <= 64
        && text
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
