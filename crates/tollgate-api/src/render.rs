//! The replies that are made inside a commit: stored under the caller's idempotency key and sent.
//!
//! Pure functions of the committed state, so that the first caller, a replay and a recovery after
//! a crash all give the same reply.

use crate::codes::{self, Code};
use crate::json;
use crate::problem::Problem;
use crate::views::payment::PaymentView;
use crate::views::refund::RefundView;
use serde::Serialize;
use tollgate_core::attempt::AttemptKind;
use tollgate_core::payment::Payment;
use tollgate_core::refund::{Refund, RefundStatus};
use tollgate_core::transition::PaymentStatus;
use tollgate_store::commit::StoredReply;

/// A usual payment's bytes fit without growing.
const BODY_BYTES_USUAL: usize = 2_560;

fn bytes(status: u16, view: &impl Serialize) -> StoredReply {
    // Views are text and numbers written into memory: this cannot fail.
    let body = json::to_vec(view, BODY_BYTES_USUAL).unwrap_or_default();
    StoredReply { status, body: body.into() }
}

/// The reply to a new payment: 202 while nobody knows what becomes of it, else 201.
pub fn created(payment: &Payment, _refund: Option<&Refund>) -> StoredReply {
    let status = match payment.status {
        PaymentStatus::Pending | PaymentStatus::Processing => 202,
        _ => 201,
    };
    bytes(status, &PaymentView::new(payment))
}

/// The reply to a capture: 200 when it is done, 202 while nobody knows, 402 when the processor refused.
pub fn captured(payment: &Payment, _refund: Option<&Refund>) -> StoredReply {
    match (payment.status, under_way(payment)) {
        (PaymentStatus::Completed | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded, _) => {
            bytes(200, &PaymentView::new(payment))
        }
        (PaymentStatus::Authorized, Some(AttemptKind::Capture)) => bytes(202, &PaymentView::new(payment)),
        _ => refused(payment, &codes::CAPTURE_FAILED),
    }
}

/// The reply to a cancellation: 200 when it is done, 202 while nobody knows, 402 when the processor refused.
pub fn cancelled(payment: &Payment, _refund: Option<&Refund>) -> StoredReply {
    match (payment.status, under_way(payment)) {
        (PaymentStatus::Cancelled | PaymentStatus::Expired, _) => bytes(200, &PaymentView::new(payment)),
        (PaymentStatus::Authorized, Some(AttemptKind::Void)) => bytes(202, &PaymentView::new(payment)),
        _ => refused(payment, &codes::CANCEL_FAILED),
    }
}

/// The reply to a review's decision or a label: the payment as it stands.
pub fn reviewed(payment: &Payment, _refund: Option<&Refund>) -> StoredReply {
    bytes(200, &PaymentView::new(payment))
}

/// The reply to a new refund: 202 while it is pending, else 201.
pub fn refunded(payment: &Payment, refund: Option<&Refund>) -> StoredReply {
    match refund {
        Some(refund) if refund.status == RefundStatus::Pending => bytes(202, &RefundView::new(refund)),
        Some(refund) => bytes(201, &RefundView::new(refund)),
        // The engine always names the refund; a payment is still an honest answer.
        None => bytes(202, &PaymentView::new(payment)),
    }
}

fn under_way(payment: &Payment) -> Option<AttemptKind> {
    payment.open_operation.as_ref().map(|open| open.kind)
}

fn refused(payment: &Payment, code: &'static Code) -> StoredReply {
    let problem = Problem::new(code);
    let problem = match &payment.failure {
        Some(failure) => problem.because(failure.message.clone()),
        None => problem.because(format!("the payment is {}", payment.status.as_str())),
    };
    StoredReply { status: code.status, body: problem.to_json(None).into() }
}
