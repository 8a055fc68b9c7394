//! Events: the only things that ever change a payment. A payment is the fold of its events, and
//! the history can be replayed to prove it.

use crate::attempt::{AttemptKind, AttemptStart, ProcessorName};
use crate::failure::Failure;
use crate::id::{AttemptId, CheckoutId, EventId, MerchantId, PasskeyId, PaymentId, RefundId};
use crate::mandate::MandateTerms;
use crate::merchant::FeePlan;
use crate::method::{CaptureMode, InstrumentSummary, MethodKind};
use crate::money::{Money, proportion_minor};
use crate::outcome::NextAction;
use crate::risk::Screening;
use crate::routing::record::RouteRecord;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Why a payment needs a person's eye. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Enquiries have not settled an attempt for long; it stays open and is enquired further.
    OutcomeUnknown,
    /// The processor reports another amount than was asked for.
    AmountMismatch,
    /// Money arrived after the payment had ended.
    LateSuccess,
    /// The processor did what it had refused, or took what was only reserved.
    Contradiction,
    /// Money that arrived after the payment had ended could not be sent back.
    ReturnFailed,
}

impl Flag {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutcomeUnknown => "outcome_unknown",
            Self::AmountMismatch => "amount_mismatch",
            Self::LateSuccess => "late_success",
            Self::Contradiction => "contradiction",
            Self::ReturnFailed => "return_failed",
        }
    }
}

/// What a payment is from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTerms {
    /// What is to be paid.
    pub amount: Money,
    /// Take the money at once or reserve it.
    pub capture: CaptureMode,
    /// How it is paid.
    pub method: MethodKind,
    /// The instrument, masked.
    pub instrument: InstrumentSummary,
    /// Our fee plan when the payment began.
    pub fee: FeePlan,
    /// The merchant's id of its customer.
    pub user_id: Option<String>,
    /// The customer's name.
    pub customer_name: Option<String>,
    /// The customer's e-mail address.
    pub customer_email: Option<String>,
    /// The customer's phone number.
    pub customer_phone: Option<String>,
    /// What for.
    pub description: Option<String>,
    /// What the customer's statement should say.
    pub statement_descriptor: Option<String>,
    /// Where the customer's browser goes afterwards.
    pub return_url: Option<String>,
    /// The merchant's own data.
    pub metadata: Vec<(String, String)>,
    /// The UPI AutoPay mandate that this payment sets up.
    pub mandate: Option<MandateTerms>,
    /// The passkey with which the customer confirmed amount and payee.
    pub confirmed_by: Option<PasskeyId>,
    /// The checkout session it was made in.
    pub checkout: Option<CheckoutId>,
    /// Its fraud check.
    pub risk: Option<Box<Screening>>,
    /// Why it went where it went.
    pub routing: Option<Box<RouteRecord>>,
}

impl PaymentTerms {
    /// What the merchant pays the card's bank for the customer's interest when `captured_minor` of the
    /// amount is captured, in minor units.
    #[must_use]
    pub fn subvention_minor(&self, captured_minor: i64) -> i64 {
        match &self.instrument {
            InstrumentSummary::Emi { plan, .. } => {
                proportion_minor(plan.subvention_minor, captured_minor, self.amount.minor)
            }
            _ => 0,
        }
    }
}

/// Something that happened to a payment. The order is stored: append, never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PaymentEvent {
    /// It began; its first charge attempt is about to be sent.
    Created {
        /// What it is.
        terms: Arc<PaymentTerms>,
        /// The first charge attempt.
        attempt: AttemptStart,
    },
    /// A charge took nothing and is tried again: with another processor, or with the same after a pause.
    FailedOver {
        /// The attempt that took nothing.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
        /// Whether the processor declined it; else it was provably not processed.
        declined: bool,
        /// The next charge attempt.
        next: AttemptStart,
    },
    /// The customer has to act.
    ActionRequired {
        /// The charge.
        attempt_id: AttemptId,
        /// The processor's id, where told.
        processor_payment_id: Option<String>,
        /// What to do.
        action: NextAction,
        /// When the payment lapses.
        expires_at_ms: u64,
    },
    /// The charge's outcome is not known yet.
    BecameProcessing {
        /// The charge.
        attempt_id: AttemptId,
        /// The processor's id, where told.
        processor_payment_id: Option<String>,
        /// Why it is not known, when something went wrong.
        failure: Option<Failure>,
    },
    /// The money is reserved.
    Authorized {
        /// The charge.
        attempt_id: AttemptId,
        /// The processor's id.
        processor_payment_id: String,
        /// When the reservation lapses.
        expires_at_ms: u64,
    },
    /// The charge took the money.
    Completed {
        /// The charge.
        attempt_id: AttemptId,
        /// The processor's id.
        processor_payment_id: String,
        /// Our fee, in minor units.
        fee_minor: i64,
    },
    /// The charge was finally refused.
    Declined {
        /// The charge.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// The charge was provably not processed and no other processor is left.
    Failed {
        /// The charge.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// A capture is about to be sent.
    CaptureStarted {
        /// The capture.
        attempt: AttemptStart,
    },
    /// An authorized amount was taken; what is left of the authorization is released.
    Captured {
        /// The capture.
        attempt_id: AttemptId,
        /// What was taken, in minor units.
        amount_minor: i64,
        /// Our fee, in minor units.
        fee_minor: i64,
    },
    /// A capture was provably not done; the authorization stands.
    CaptureFailed {
        /// The capture.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// A void is about to be sent.
    VoidStarted {
        /// The void.
        attempt: AttemptStart,
        /// Whether it is sent because the authorization's time is over.
        because_expired: bool,
    },
    /// The authorization was released.
    Voided {
        /// The void (or the charge, when the processor released it by itself).
        attempt_id: AttemptId,
        /// Whether its time was over.
        because_expired: bool,
        /// Whether the processor released it unasked: the charge or capture under way took nothing.
        unasked: bool,
    },
    /// A void was provably not done; the authorization stands.
    VoidFailed {
        /// The void.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// The merchant ended it before the customer acted.
    Cancelled {
        /// The charge given up.
        attempt_id: AttemptId,
    },
    /// The processor confirms that a charge given up will take nothing.
    AttemptEnded {
        /// The charge.
        attempt_id: AttemptId,
        /// What the processor said.
        failure: Option<Failure>,
    },
    /// The customer did not act in time.
    Expired {
        /// The charge given up.
        attempt_id: AttemptId,
    },
    /// A refund is reserved and about to be sent.
    RefundStarted {
        /// The refund.
        refund_id: RefundId,
        /// The attempt that carries it out.
        attempt: AttemptStart,
        /// Our fee given back with it, in minor units.
        fee_returned_minor: i64,
        /// What the card's bank gives back of the interest it was paid, in minor units.
        subvention_returned_minor: i64,
        /// The merchant's reason.
        reason: Option<String>,
        /// The merchant's own data.
        metadata: Vec<(String, String)>,
    },
    /// The money was returned.
    RefundSucceeded {
        /// The refund.
        refund_id: RefundId,
        /// Its attempt.
        attempt_id: AttemptId,
        /// The processor's id of it.
        processor_refund_id: String,
        /// How much, in minor units.
        amount_minor: i64,
        /// Our fee given back with it, in minor units.
        fee_returned_minor: i64,
    },
    /// The refund was provably not done.
    RefundFailed {
        /// The refund.
        refund_id: RefundId,
        /// Its attempt.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
        /// How much was reserved, in minor units.
        amount_minor: i64,
        /// Our fee that was to be given back with it, in minor units.
        fee_returned_minor: i64,
        /// What the card's bank was to give back of the interest it was paid, in minor units.
        subvention_returned_minor: i64,
    },
    /// A given-up attempt succeeded after all; its money is the customer's and goes back.
    LateSuccess {
        /// The attempt that succeeded late.
        attempt_id: AttemptId,
        /// The processor asked.
        processor: ProcessorName,
        /// The processor's id.
        processor_payment_id: String,
        /// How much arrived, in minor units.
        captured_minor: i64,
    },
    /// The late money is about to be sent back.
    ReturnStarted {
        /// The attempt that sends it.
        attempt: AttemptStart,
        /// The attempt that had taken it.
        late_attempt_id: AttemptId,
    },
    /// The late money went back.
    Returned {
        /// The attempt that sent it.
        attempt_id: AttemptId,
        /// The processor it went back through.
        processor: ProcessorName,
        /// How much, in minor units.
        amount_minor: i64,
    },
    /// The late money could not be sent back; a person has to.
    ReturnFailed {
        /// The attempt.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// A person's eye is needed.
    Flagged {
        /// Why.
        flag: Flag,
        /// The attempt it is about.
        attempt_id: AttemptId,
    },
    /// The mandate that this payment set up allows no further debits.
    MandateRevoked,
    /// It began and was declined at once by the fraud check: nothing was sent to a processor.
    Blocked {
        /// What it is.
        terms: Arc<PaymentTerms>,
        /// The id its first charge attempt would have had.
        attempt_id: AttemptId,
        /// Why.
        failure: Failure,
    },
    /// A person has looked at it.
    Reviewed {
        /// Whether it is genuine.
        approved: bool,
        /// What the reviewer wrote.
        note: Option<String>,
    },
    /// The merchant says whether it was fraud.
    Labelled {
        /// Whether it was.
        fraud: bool,
    },
}

impl PaymentEvent {
    /// The event's name in the API, e.g. `payment.completed`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "payment.created",
            Self::FailedOver { .. } => "payment.failed_over",
            Self::ActionRequired { .. } => "payment.requires_action",
            Self::BecameProcessing { .. } => "payment.processing",
            Self::Authorized { .. } => "payment.authorized",
            Self::Completed { .. } => "payment.completed",
            Self::Declined { .. } => "payment.declined",
            Self::Failed { .. } => "payment.failed",
            Self::CaptureStarted { .. } => "payment.capture_started",
            Self::Captured { .. } => "payment.captured",
            Self::CaptureFailed { .. } => "payment.capture_failed",
            Self::VoidStarted { .. } => "payment.void_started",
            Self::Voided { because_expired: true, .. } | Self::Expired { .. } => "payment.expired",
            Self::Voided { .. } | Self::Cancelled { .. } => "payment.cancelled",
            Self::VoidFailed { .. } => "payment.void_failed",
            Self::AttemptEnded { .. } => "payment.attempt_ended",
            Self::RefundStarted { .. } => "refund.created",
            Self::RefundSucceeded { .. } => "refund.succeeded",
            Self::RefundFailed { .. } => "refund.failed",
            Self::LateSuccess { .. } => "payment.late_success",
            Self::ReturnStarted { .. } => "payment.return_started",
            Self::Returned { .. } => "payment.returned",
            Self::ReturnFailed { .. } => "payment.return_failed",
            Self::Flagged { .. } => "payment.flagged",
            Self::MandateRevoked => "mandate.revoked",
            Self::Blocked { .. } => "payment.blocked",
            Self::Reviewed { approved: true, .. } => "review.approved",
            Self::Reviewed { .. } => "review.rejected",
            Self::Labelled { .. } => "payment.labelled",
        }
    }

    /// The attempt this event begins, and what it is for.
    #[must_use]
    pub fn started_attempt(&self) -> Option<(&AttemptStart, AttemptKind)> {
        match self {
            Self::Created { attempt, .. } | Self::FailedOver { next: attempt, .. } => {
                Some((attempt, AttemptKind::Charge))
            }
            Self::CaptureStarted { attempt } => Some((attempt, AttemptKind::Capture)),
            Self::VoidStarted { attempt, .. } => Some((attempt, AttemptKind::Void)),
            Self::RefundStarted { attempt, .. } => Some((attempt, AttemptKind::Refund)),
            Self::ReturnStarted { attempt, .. } => Some((attempt, AttemptKind::Return)),
            _ => None,
        }
    }
}

/// An event as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its place in the store's whole log, without gaps, from 1.
    pub sequence: u64,
    /// Its id.
    pub id: EventId,
    /// Owner.
    pub merchant_id: MerchantId,
    /// What it happened to.
    pub payment_id: PaymentId,
    /// The payment's version after it, from 1.
    pub version: u32,
    /// When.
    pub at_ms: u64,
    /// What.
    pub event: PaymentEvent,
}
