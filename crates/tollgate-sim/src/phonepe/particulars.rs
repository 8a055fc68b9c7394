//! What the simulator notes on an order, and how it writes its ids.

use crate::books::{Entry, IdStyle, Notes};
use crate::instrument::{Behaviour, Failure};
use serde::{Deserialize, Serialize};

/// Ids of the current API.
pub(crate) const IDS: IdStyle = IdStyle { processor: "phonepe", payment: order_id, refund: refund_id };
/// Ids of the legacy API.
pub(crate) const IDS_V1: IdStyle =
    IdStyle { processor: "phonepe_v1", payment: transaction_id_v1, refund: refund_id_v1 };

pub(super) fn order_id(number: u64) -> String {
    format!("OMO{:019}", number + 1)
}

pub(super) fn transaction_id(number: u64) -> String {
    format!("OM{:020}", number + 1)
}

pub(super) fn refund_id(action: u64) -> String {
    format!("OMR{action:019}")
}

pub(super) fn subscription_id(number: u64) -> String {
    format!("OMS{:019}", number + 1)
}

pub(super) fn transaction_id_v1(number: u64) -> String {
    format!("T{:021}", number + 1)
}

pub(super) fn refund_id_v1(action: u64) -> String {
    format!("TR{action:020}")
}

/// The product an order belongs to. PhonePe keeps them apart: an order is found under its own alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Product {
    /// `/payments/v2`.
    #[default]
    Payments,
    /// `/checkout/v2`.
    Checkout,
    /// `/subscriptions/v2/setup`.
    Setup,
    /// `/subscriptions/v2/notify`.
    Redemption,
    /// `/pg/v1`.
    V1,
}

/// How the customer of an order will decide, unless the control endpoint or a browser is quicker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    /// Pays.
    #[default]
    Paid,
    /// The bank refuses, for the reason of that number.
    Failed(u8),
    /// The customer refuses.
    Refused,
    /// The bank's answer is lost: the order stays open.
    Open,
}

impl Ending {
    pub(super) fn of(behaviour: Behaviour) -> Self {
        match behaviour {
            Behaviour::Fail(Failure::Doubtful) => Self::Open,
            Behaviour::Fail(failure) => Self::Failed(failure.index()),
            Behaviour::Pending { approve: false } => Self::Refused,
            Behaviour::Success | Behaviour::Pending { approve: true } | Behaviour::Fault(_) => Self::Paid,
        }
    }
}

/// What an order was asked for with, beyond what every book keeps. Kept with the order, so that it
/// survives a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Particulars {
    pub(super) product: Product,
    /// `paymentMode.type`.
    pub(super) mode: String,
    pub(super) ending: Ending,
    /// The mandate of an order that sets one up or is debited on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mandate: Option<Mandate>,
    /// Debited without a further request.
    #[serde(skip_serializing_if = "is_false", default)]
    pub(super) auto_debit: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A mandate as it was set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mandate {
    pub(super) merchant_subscription_id: String,
    pub(super) max_minor: i64,
    pub(super) frequency: String,
    pub(super) expires_ms: u64,
}

impl Particulars {
    pub(super) fn of(entry: &Entry) -> Self {
        match &entry.notes {
            Notes::Json(text) => serde_json::from_str(text).unwrap_or_default(),
            Notes::None | Notes::Reference => Self::default(),
        }
    }

    pub(super) fn notes(&self) -> Notes {
        serde_json::to_string(self).map_or(Notes::None, |text| Notes::Json(text.into()))
    }
}

/// The words PhonePe has for a failure: `errorCode`, the UPI code behind it, and a sentence.
pub(super) fn error_of(failure: u8) -> (&'static str, &'static str, &'static str) {
    match Failure::from_index(failure) {
        Failure::Declined | Failure::Doubtful => ("PAYMENT_ERROR", "YC", "The bank declined the payment"),
        Failure::Insufficient => ("INSUFFICIENT_BALANCE", "Z9", "Not enough money in the account"),
        Failure::Expired => ("PAYMENT_ERROR", "XL", "The card has expired"),
        Failure::Blocked => ("PAYMENT_ERROR", "YE", "The account is blocked"),
        Failure::Risk => ("PAYMENT_ERROR", "U16", "Risk threshold exceeded"),
        Failure::Cancelled => ("PAYMENT_ERROR", "ZA", "Declined by the customer"),
    }
}
