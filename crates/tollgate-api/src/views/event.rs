//! An event of the log.

use super::payment::FailureView;
use super::risk::EventRiskView;
use super::routing::EventRoutingView;
use super::text::{At, Major, Shown};
use serde::Serialize;
use tollgate_core::currency::Currency;
use tollgate_core::event::{EventRecord, PaymentEvent};
use tollgate_core::failure::Failure;
use tollgate_core::id::{AttemptId, EventId, PaymentId, RefundId};
use utoipa::ToSchema;

/// Something that happened to a payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^evt_[0-9A-Za-z]{22}$")]
    id: Shown<EventId>,
    /// Always `event`.
    #[schema(value_type = String, example = "event")]
    object: &'static str,
    /// What happened, such as `payment.completed` or `refund.succeeded`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "payment.completed")]
    kind: &'static str,
    /// Its place in the log. It only grows; there are gaps between the events of one account.
    sequence: u64,
    /// What it happened to.
    #[schema(value_type = String, pattern = "^pay_[0-9A-Za-z]{22}$")]
    payment_id: Shown<PaymentId>,
    /// The payment's version after it, from 1 and without gaps.
    payment_version: u32,
    /// The refund it is about.
    #[schema(value_type = Option<String>)]
    refund_id: Option<Shown<RefundId>>,
    /// The attempt it is about.
    #[schema(value_type = Option<String>)]
    attempt_id: Option<Shown<AttemptId>>,
    /// The amount it moved or asked for, where the event tells it: always within a payment, else for
    /// `payment.created` alone.
    #[schema(value_type = Option<String>)]
    amount: Option<Major>,
    /// Why something did not succeed.
    failure: Option<FailureView<'a>>,
    /// What the fraud check found, with `payment.created` and `payment.blocked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    risk: Option<EventRiskView>,
    /// Why the payment went where it went, with `payment.created`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    routing: Option<EventRoutingView<'a>>,
    /// Why a person's eye is needed.
    #[schema(value_type = Option<String>)]
    flag: Option<&'static str>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
}

impl<'a> EventView<'a> {
    /// An event; `currency` is the payment's, where it is known.
    pub(crate) fn new(record: &'a EventRecord, currency: Option<Currency>) -> Self {
        let facts = Facts::of(&record.event);
        let terms = match &record.event {
            PaymentEvent::Created { terms, .. } | PaymentEvent::Blocked { terms, .. } => Some(terms),
            _ => None,
        };
        let currency = terms.map_or(currency, |terms| Some(terms.amount.currency));
        let risk = terms.and_then(|terms| terms.risk.as_ref()).map(|it| EventRiskView::new(&it.assessment));
        let routing = terms.and_then(|terms| terms.routing.as_deref()).map(EventRoutingView::new);
        let amount = currency.and_then(|currency| Some(Major::new(facts.amount_minor?, currency)));
        Self {
            id: Shown(record.id),
            object: "event",
            kind: record.event.name(),
            sequence: record.sequence,
            payment_id: Shown(record.payment_id),
            payment_version: record.version,
            refund_id: facts.refund_id.map(Shown),
            attempt_id: facts.attempt_id.map(Shown),
            amount,
            failure: facts.failure.map(FailureView::new),
            risk,
            routing,
            flag: facts.flag,
            created_at: At(record.at_ms),
        }
    }
}

/// What an event tells, whatever its kind.
#[derive(Default)]
struct Facts<'a> {
    attempt_id: Option<AttemptId>,
    refund_id: Option<RefundId>,
    amount_minor: Option<i64>,
    failure: Option<&'a Failure>,
    flag: Option<&'static str>,
}

impl<'a> Facts<'a> {
    fn of(event: &'a PaymentEvent) -> Self {
        use PaymentEvent as E;
        let about = |attempt_id: &AttemptId| Self { attempt_id: Some(*attempt_id), ..Self::default() };
        let failed = |attempt_id: &AttemptId, failure: &'a Failure| Self {
            failure: Some(failure),
            ..about(attempt_id)
        };
        match event {
            E::Created { attempt, .. }
            | E::CaptureStarted { attempt }
            | E::VoidStarted { attempt, .. }
            | E::ReturnStarted { attempt, .. } => {
                Self { amount_minor: Some(attempt.amount_minor), ..about(&attempt.id) }
            }
            E::RefundStarted { attempt, refund_id, .. } => Self {
                refund_id: Some(*refund_id),
                amount_minor: Some(attempt.amount_minor),
                ..about(&attempt.id)
            },
            E::BecameProcessing { attempt_id, failure, .. } | E::AttemptEnded { attempt_id, failure } => {
                Self { failure: failure.as_ref(), ..about(attempt_id) }
            }
            E::ActionRequired { attempt_id, .. }
            | E::Authorized { attempt_id, .. }
            | E::Completed { attempt_id, .. }
            | E::Voided { attempt_id, .. }
            | E::Cancelled { attempt_id }
            | E::Expired { attempt_id } => about(attempt_id),
            E::FailedOver { attempt_id, failure, .. }
            | E::Declined { attempt_id, failure }
            | E::Failed { attempt_id, failure }
            | E::CaptureFailed { attempt_id, failure }
            | E::VoidFailed { attempt_id, failure }
            | E::ReturnFailed { attempt_id, failure } => failed(attempt_id, failure),
            E::Captured { attempt_id, amount_minor, .. }
            | E::Returned { attempt_id, amount_minor, .. }
            | E::LateSuccess { attempt_id, captured_minor: amount_minor, .. } => {
                Self { amount_minor: Some(*amount_minor), ..about(attempt_id) }
            }
            E::RefundSucceeded { refund_id, attempt_id, amount_minor, .. } => {
                Self { refund_id: Some(*refund_id), amount_minor: Some(*amount_minor), ..about(attempt_id) }
            }
            E::RefundFailed { refund_id, attempt_id, amount_minor, failure, .. } => Self {
                refund_id: Some(*refund_id),
                amount_minor: Some(*amount_minor),
                ..failed(attempt_id, failure)
            },
            E::MandateRevoked | E::Reviewed { .. } | E::Labelled { .. } => Self::default(),
            E::Blocked { terms, attempt_id, failure } => {
                Self { amount_minor: Some(terms.amount.minor), ..failed(attempt_id, failure) }
            }
            E::Flagged { flag, attempt_id } => Self { flag: Some(flag.as_str()), ..about(attempt_id) },
        }
    }
}
