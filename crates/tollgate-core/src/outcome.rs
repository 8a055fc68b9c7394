//! What a processor's answer means, in one vocabulary for all processors.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};

/// What the customer has to do next. The order is stored: append, never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NextAction {
    /// Open this page (3-D Secure, wallet or bank login).
    Redirect {
        /// Absolute URL.
        url: String,
    },
    /// Open this `upi://pay?…` link, or scan it as a QR code.
    UpiIntent {
        /// Deep link.
        uri: String,
    },
    /// Approve the request in the UPI app.
    UpiCollect,
    /// Scan this link as a QR code.
    UpiQr {
        /// Deep link.
        uri: String,
    },
    /// Send these fields to this page from the customer's browser, as a form by POST.
    Form {
        /// Absolute URL.
        url: String,
        /// Names and values, in order.
        fields: Vec<(String, String)>,
    },
    /// Show this document, which the processor sent instead of an address (a bank's login).
    Page {
        /// The HTML document, in base64.
        html_base64: String,
    },
}

/// The meaning of a processor's answer to a charge, capture, void, refund or enquiry.
///
/// The difference that promise 1 hangs on: [`Outcome::NotTaken`] and [`Outcome::Declined`] are
/// said only when the processor *provably* did not take the money; everything doubtful is
/// [`Outcome::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The money is reserved, not taken.
    Authorized {
        /// The processor's id of the payment.
        processor_payment_id: String,
        /// What the processor says it reserved, in minor units.
        amount_minor: i64,
    },
    /// The money is taken.
    Captured {
        /// The processor's id of the payment.
        processor_payment_id: String,
        /// What the processor says it took, in minor units.
        amount_minor: i64,
    },
    /// The customer must act; the outcome comes by webhook or enquiry.
    ActionRequired {
        /// The processor's id of the payment, where it is told already.
        processor_payment_id: Option<String>,
        /// What to do.
        action: NextAction,
    },
    /// The processor knows the operation and has not finished it.
    Pending {
        /// The processor's id of the payment, where it is told already.
        processor_payment_id: Option<String>,
    },
    /// The authorization was released; no money moves.
    Voided,
    /// The refund is done or irrevocably accepted by the processor.
    Refunded {
        /// The processor's id of the refund.
        processor_refund_id: String,
        /// What the processor says it returned, in minor units.
        amount_minor: i64,
    },
    /// Finally refused; no money moved.
    Declined(Failure),
    /// Provably not processed; no money moved, and another processor may be tried.
    NotTaken(Failure),
    /// Nobody can say. Only an enquiry may settle it.
    Unknown(Failure),
    /// An enquiry's answer: the processor knows no operation of that reference. Not a proof: the
    /// request may still be on its way.
    NotFound,
}
