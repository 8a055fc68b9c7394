//! Decisions: which events a command makes of a payment as it stands. Pure; the store calls it
//! inside the commit, so every limit is checked against what is being committed.

use crate::attempt::{Attempt, AttemptKind, AttemptStart, AttemptStatus};
use crate::command::{ATTEMPTS_MAX, ATTEMPTS_RESERVED, Command, Policy, REFUNDS_MAX, Refusal};
use crate::event::{Flag, PaymentEvent};
use crate::failure::{Failure, FailureClass, FailureCode};
use crate::id::{AttemptId, RefundId};
use crate::method::CaptureMode;
use crate::money::{AMOUNT_MINOR_MAX, proportion_minor};
use crate::outcome::Outcome;
use crate::payment::Payment;
use crate::refund::Refund;
use crate::risk::{Review, ReviewState};
use crate::transition::PaymentStatus;

/// What a command is decided upon.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The payment, unless it is to be created.
    pub payment: Option<&'a Payment>,
    /// The attempt to be settled.
    pub attempt: Option<&'a Attempt>,
    /// The refund that attempt carries out.
    pub refund: Option<&'a Refund>,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Configured times.
    pub policy: Policy,
}

/// The event a command makes; `None` when it changes nothing (a repeated message, an enquiry that
/// finds nothing new).
///
/// # Errors
/// [`Refusal`] when the payment's state does not allow it.
pub fn decide(situation: &Situation<'_>, command: Command) -> Result<Option<PaymentEvent>, Refusal> {
    if let Command::Create { terms, attempt, .. } = command {
        if situation.payment.is_some() {
            return Err(Refusal::IdTaken);
        }
        if terms.amount.minor <= 0 || attempt.amount_minor != terms.amount.minor {
            return Err(Refusal::AmountNotPositive);
        }
        return Ok(Some(PaymentEvent::Created { terms, attempt }));
    }
    if let Command::Block { terms, attempt_id, failure, .. } = command {
        if situation.payment.is_some() {
            return Err(Refusal::IdTaken);
        }
        if terms.amount.minor <= 0 {
            return Err(Refusal::AmountNotPositive);
        }
        return Ok(Some(PaymentEvent::Blocked { terms, attempt_id, failure }));
    }
    let payment = situation.payment.ok_or(Refusal::NotFound)?;
    match command {
        Command::Create { .. } | Command::Block { .. } => Err(Refusal::IdTaken),
        Command::Review { approved, note, .. } => match &payment.review {
            Some(Review { state: ReviewState::Waiting, .. }) => {
                Ok(Some(PaymentEvent::Reviewed { approved, note }))
            }
            _ => Err(Refusal::NotInReview),
        },
        Command::Label { fraud, .. } => {
            Ok((payment.labelled_fraud != Some(fraud)).then_some(PaymentEvent::Labelled { fraud }))
        }
        Command::Settle { outcome, next, .. } => {
            let attempt = situation.attempt.ok_or(Refusal::NotFound)?;
            let refund = situation.refund.map(|refund| refund.id);
            if attempt.payment_id != payment.id || attempt.refund_id != refund {
                return Err(Refusal::NotFound);
            }
            Ok(settle(situation, payment, attempt, outcome, next))
        }
        Command::Capture { attempt_id, amount_minor, .. } => {
            capture(payment, attempt_id, amount_minor).map(Some)
        }
        Command::Cancel { attempt_id, .. } => cancel(payment, attempt_id).map(Some),
        Command::Expire { attempt_id, .. } => expire(payment, attempt_id, situation.now_ms),
        Command::Refund { refund_id, attempt_id, amount_minor, reason, metadata, .. } => {
            let ids = (refund_id, attempt_id);
            refund(payment, ids, amount_minor, (reason, metadata)).map(Some)
        }
        Command::Return { attempt_id, .. } => return_late(payment, attempt_id),
        Command::Flag { attempt_id, flag, .. } => Ok(flag_once(payment, flag, attempt_id)),
        Command::RevokeMandate { .. } => match (payment.terms.mandate, payment.mandate_revoked_at_ms) {
            (None, _) => Err(Refusal::NoMandate),
            (Some(_), Some(_)) => Ok(None),
            (Some(_), None) => Ok(Some(PaymentEvent::MandateRevoked)),
        },
    }
}

/// Most attempts that a merchant's wishes may use up.
const MERCHANT_ATTEMPTS_MAX: usize = ATTEMPTS_MAX - ATTEMPTS_RESERVED;

fn capture(payment: &Payment, attempt_id: AttemptId, amount: Option<i64>) -> Result<PaymentEvent, Refusal> {
    if payment.status != PaymentStatus::Authorized {
        return Err(Refusal::NotCapturable(payment.status.as_str()));
    }
    require_free(payment, MERCHANT_ATTEMPTS_MAX)?;
    let left_minor = payment.capturable_minor();
    let amount_minor = amount.unwrap_or(left_minor);
    if amount_minor <= 0 {
        return Err(Refusal::AmountNotPositive);
    }
    if amount_minor > left_minor {
        return Err(Refusal::AboveCapturable { left_minor });
    }
    Ok(PaymentEvent::CaptureStarted { attempt: same_processor(payment, attempt_id, amount_minor) })
}

fn cancel(payment: &Payment, attempt_id: AttemptId) -> Result<PaymentEvent, Refusal> {
    match payment.status {
        PaymentStatus::Authorized => {
            require_free(payment, MERCHANT_ATTEMPTS_MAX)?;
            Ok(PaymentEvent::VoidStarted {
                attempt: same_processor(payment, attempt_id, payment.authorized_minor),
                because_expired: false,
            })
        }
        // The customer may still act at the processor; that money would be a late success.
        PaymentStatus::RequiresAction => {
            Ok(PaymentEvent::Cancelled { attempt_id: payment.charge_attempt_id })
        }
        PaymentStatus::Pending | PaymentStatus::Processing => Err(Refusal::OperationInProgress),
        other => Err(Refusal::NotCancellable(other.as_str())),
    }
}

fn expire(payment: &Payment, attempt_id: AttemptId, now_ms: u64) -> Result<Option<PaymentEvent>, Refusal> {
    if payment.expires_at_ms.is_none_or(|at_ms| at_ms > now_ms) {
        return Ok(None);
    }
    match payment.status {
        PaymentStatus::RequiresAction => {
            Ok(Some(PaymentEvent::Expired { attempt_id: payment.charge_attempt_id }))
        }
        PaymentStatus::Authorized => {
            require_free(payment, ATTEMPTS_MAX)?;
            Ok(Some(PaymentEvent::VoidStarted {
                attempt: same_processor(payment, attempt_id, payment.authorized_minor),
                because_expired: true,
            }))
        }
        _ => Ok(None),
    }
}

fn refund(
    payment: &Payment,
    (refund_id, attempt_id): (RefundId, AttemptId),
    amount: Option<i64>,
    (reason, metadata): (Option<String>, Vec<(String, String)>),
) -> Result<PaymentEvent, Refusal> {
    let refundable = matches!(
        payment.status,
        PaymentStatus::Completed | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded
    );
    if !refundable {
        return Err(Refusal::NotRefundable(payment.status.as_str()));
    }
    let left_minor = payment.refundable_minor();
    if amount.is_some_and(|amount| amount <= 0) {
        return Err(Refusal::AmountNotPositive);
    }
    let amount_minor = amount.unwrap_or(left_minor);
    if amount_minor > left_minor || left_minor <= 0 {
        return Err(Refusal::AboveRefundable { left_minor });
    }
    if payment.refunds.len() >= REFUNDS_MAX || payment.attempts.len() >= MERCHANT_ATTEMPTS_MAX {
        return Err(Refusal::TooManyOperations);
    }
    let returned_minor = payment.captured_minor - left_minor + amount_minor;
    let fee_back_minor = proportion_minor(payment.fee_minor, returned_minor, payment.captured_minor);
    let fee_returned_minor = (fee_back_minor - payment.fee_returned_minor).clamp(0, amount_minor);
    let bank_back_minor = proportion_minor(payment.subvention_minor, returned_minor, payment.captured_minor);
    let subvention_returned_minor = (bank_back_minor - payment.subvention_returned_minor)
        .clamp(0, amount_minor.saturating_sub(fee_returned_minor));
    Ok(PaymentEvent::RefundStarted {
        refund_id,
        attempt: same_processor(payment, attempt_id, amount_minor),
        fee_returned_minor,
        subvention_returned_minor,
        reason,
        metadata,
    })
}

fn return_late(payment: &Payment, attempt_id: AttemptId) -> Result<Option<PaymentEvent>, Refusal> {
    let waiting = payment.late.iter().filter(|late| late.return_due_ms().is_some());
    let to_return = waiting.min_by_key(|late| late.return_at_ms);
    let Some(late) = to_return else {
        return Ok(None);
    };
    if payment.attempts.len() >= ATTEMPTS_MAX {
        return Err(Refusal::TooManyOperations);
    }
    Ok(Some(PaymentEvent::ReturnStarted {
        attempt: AttemptStart {
            id: attempt_id,
            processor: late.processor.clone(),
            amount_minor: late.left_minor,
        },
        late_attempt_id: late.attempt_id,
    }))
}

fn settle(
    situation: &Situation<'_>,
    payment: &Payment,
    attempt: &Attempt,
    outcome: Outcome,
    next: Option<AttemptStart>,
) -> Option<PaymentEvent> {
    if attempt.status != AttemptStatus::Open {
        return settle_closed(payment, attempt, outcome);
    }
    match attempt.kind {
        AttemptKind::Charge => settle_charge(situation, payment, attempt, outcome, next),
        AttemptKind::Capture => settle_capture(payment, attempt, outcome),
        AttemptKind::Void => settle_void(payment, attempt, outcome),
        AttemptKind::Refund => settle_refund(payment, situation.refund?, attempt, outcome),
        AttemptKind::Return => settle_return(payment, attempt, outcome),
    }
}

/// A message about an attempt that was settled before. Repeats change nothing; money that was taken
/// after all is booked as the customer's; what else contradicts the books is shown to a person.
fn settle_closed(payment: &Payment, attempt: &Attempt, outcome: Outcome) -> Option<PaymentEvent> {
    match outcome {
        Outcome::Captured { processor_payment_id, amount_minor } => {
            captured_after_all(payment, attempt, processor_payment_id, amount_minor)
        }
        Outcome::Declined(failure) | Outcome::NotTaken(failure)
            if attempt.status == AttemptStatus::Abandoned =>
        {
            Some(PaymentEvent::AttemptEnded { attempt_id: attempt.id, failure: Some(failure) })
        }
        Outcome::Voided if attempt.status == AttemptStatus::Abandoned => {
            Some(PaymentEvent::AttemptEnded { attempt_id: attempt.id, failure: None })
        }
        Outcome::Refunded { .. } if attempt.status == AttemptStatus::NotTaken => {
            flag_once(payment, Flag::Contradiction, attempt.id)
        }
        // A reservation that is never captured lapses by itself and moves no money.
        _ => None,
    }
}

fn captured_after_all(
    payment: &Payment,
    attempt: &Attempt,
    processor_payment_id: String,
    amount_minor: i64,
) -> Option<PaymentEvent> {
    let ended = matches!(payment.status, PaymentStatus::Cancelled | PaymentStatus::Expired);
    let capturing = payment.open_operation.as_ref().is_some_and(|open| open.kind == AttemptKind::Capture);
    match (attempt.kind, attempt.status) {
        (
            AttemptKind::Charge,
            AttemptStatus::Abandoned | AttemptStatus::Declined | AttemptStatus::NotTaken,
        ) => {}
        // Taken although released: told under the charge's name, the capture's, or both.
        (AttemptKind::Charge, AttemptStatus::Succeeded) | (AttemptKind::Capture, AttemptStatus::NotTaken)
            if ended =>
        {
            let booked = payment.late.iter().any(|late| {
                late.processor == attempt.processor && late.processor_payment_id == processor_payment_id
            });
            if booked {
                return None;
            }
        }
        (AttemptKind::Charge, AttemptStatus::Succeeded)
            if payment.status == PaymentStatus::Authorized && !capturing =>
        {
            return flag_once(payment, Flag::Contradiction, attempt.id);
        }
        (AttemptKind::Capture, AttemptStatus::NotTaken) => {
            return flag_once(payment, Flag::Contradiction, attempt.id);
        }
        _ => return None,
    }
    // What no payment can be is no sum to book; the true one may still be told.
    if !(1..=AMOUNT_MINOR_MAX).contains(&amount_minor) {
        return flag_once(payment, Flag::AmountMismatch, attempt.id);
    }
    Some(PaymentEvent::LateSuccess {
        attempt_id: attempt.id,
        processor: attempt.processor.clone(),
        processor_payment_id,
        captured_minor: amount_minor,
    })
}

fn settle_charge(
    situation: &Situation<'_>,
    payment: &Payment,
    attempt: &Attempt,
    outcome: Outcome,
    next: Option<AttemptStart>,
) -> Option<PaymentEvent> {
    let attempt_id = attempt.id;
    let processing = |processor_payment_id: Option<String>, failure: Option<Failure>| {
        (payment.status == PaymentStatus::Pending).then_some(PaymentEvent::BecameProcessing {
            attempt_id,
            processor_payment_id,
            failure,
        })
    };
    let asked_minor = payment.terms.amount.minor;
    match outcome {
        Outcome::Captured { amount_minor, .. } | Outcome::Authorized { amount_minor, .. }
            if amount_minor != asked_minor =>
        {
            mismatch(payment, attempt_id)
        }
        Outcome::Captured { processor_payment_id, .. } => Some(PaymentEvent::Completed {
            attempt_id,
            processor_payment_id,
            fee_minor: fee_minor(payment, asked_minor),
        }),
        Outcome::Authorized { processor_payment_id, .. } => match payment.terms.capture {
            CaptureMode::Manual => Some(PaymentEvent::Authorized {
                attempt_id,
                processor_payment_id,
                expires_at_ms: situation.now_ms.saturating_add(situation.policy.authorization_ms),
            }),
            // The processor captures by itself; an authorization is only half of its answer.
            CaptureMode::Automatic => processing(Some(processor_payment_id), None),
        },
        Outcome::ActionRequired { processor_payment_id, action } => {
            let waiting = matches!(payment.status, PaymentStatus::Pending | PaymentStatus::Processing);
            waiting.then(|| PaymentEvent::ActionRequired {
                attempt_id,
                processor_payment_id,
                action,
                expires_at_ms: situation.now_ms.saturating_add(situation.policy.action_ms),
            })
        }
        Outcome::Pending { processor_payment_id } => processing(processor_payment_id, None),
        Outcome::Declined(failure) => Some(match next.filter(|_| may_try_again(payment, &failure)) {
            Some(next) => {
                let next = AttemptStart { amount_minor: asked_minor, ..next };
                PaymentEvent::FailedOver { attempt_id, failure, declined: true, next }
            }
            None => PaymentEvent::Declined { attempt_id, failure },
        }),
        Outcome::NotTaken(failure) => Some(match next.filter(|_| may_try_again(payment, &failure)) {
            Some(next) => {
                let next = AttemptStart { amount_minor: asked_minor, ..next };
                PaymentEvent::FailedOver { attempt_id, failure, declined: false, next }
            }
            None => PaymentEvent::Failed { attempt_id, failure },
        }),
        Outcome::Voided => Some(PaymentEvent::Voided { attempt_id, because_expired: false, unasked: true }),
        Outcome::Unknown(failure) => processing(None, Some(failure)),
        Outcome::NotFound | Outcome::Refunded { .. } => processing(
            None,
            Some(Failure::new(FailureCode::OutcomeUnknown, "the processor does not know the charge yet")),
        ),
    }
}

/// Whether a charge that took nothing may be followed by another: nothing was seen of it that a customer
/// or another message could still act upon, and the failure is none that every processor would repeat.
fn may_try_again(payment: &Payment, failure: &Failure) -> bool {
    payment.status == PaymentStatus::Pending
        && payment.attempts.len() < MERCHANT_ATTEMPTS_MAX
        && !matches!(failure.code.class(), FailureClass::HardDecline | FailureClass::Unknown)
}

fn settle_capture(payment: &Payment, attempt: &Attempt, outcome: Outcome) -> Option<PaymentEvent> {
    let attempt_id = attempt.id;
    match outcome {
        Outcome::Captured { amount_minor, .. } => {
            if amount_minor <= 0 || amount_minor > payment.authorized_minor {
                return mismatch(payment, attempt_id);
            }
            let fee_minor = fee_minor(payment, amount_minor);
            Some(PaymentEvent::Captured { attempt_id, amount_minor, fee_minor })
        }
        Outcome::Declined(failure) | Outcome::NotTaken(failure) => {
            Some(PaymentEvent::CaptureFailed { attempt_id, failure })
        }
        Outcome::Voided => Some(PaymentEvent::Voided { attempt_id, because_expired: true, unasked: true }),
        _ => None,
    }
}

fn settle_void(payment: &Payment, attempt: &Attempt, outcome: Outcome) -> Option<PaymentEvent> {
    let attempt_id = attempt.id;
    let open = payment.open_operation.as_ref();
    let because_expired = open.is_some_and(|operation| operation.because_expired);
    match outcome {
        Outcome::Voided => Some(PaymentEvent::Voided { attempt_id, because_expired, unasked: false }),
        Outcome::Declined(failure) | Outcome::NotTaken(failure) => {
            Some(PaymentEvent::VoidFailed { attempt_id, failure })
        }
        _ => None,
    }
}

fn settle_refund(
    payment: &Payment,
    refund: &Refund,
    attempt: &Attempt,
    outcome: Outcome,
) -> Option<PaymentEvent> {
    let (refund_id, attempt_id) = (refund.id, attempt.id);
    match outcome {
        Outcome::Refunded { amount_minor, .. } if amount_minor != refund.amount.minor => {
            flag_once(payment, Flag::AmountMismatch, attempt_id)
        }
        Outcome::Refunded { processor_refund_id, .. } => Some(PaymentEvent::RefundSucceeded {
            refund_id,
            attempt_id,
            processor_refund_id,
            amount_minor: refund.amount.minor,
            fee_returned_minor: refund.fee_returned_minor,
        }),
        Outcome::Declined(failure) | Outcome::NotTaken(failure) => Some(PaymentEvent::RefundFailed {
            refund_id,
            attempt_id,
            failure,
            amount_minor: refund.amount.minor,
            fee_returned_minor: refund.fee_returned_minor,
            subvention_returned_minor: refund.subvention_returned_minor,
        }),
        _ => None,
    }
}

fn settle_return(payment: &Payment, attempt: &Attempt, outcome: Outcome) -> Option<PaymentEvent> {
    let attempt_id = attempt.id;
    match outcome {
        Outcome::Refunded { amount_minor, .. } if amount_minor != attempt.amount_minor => {
            flag_once(payment, Flag::AmountMismatch, attempt_id)
        }
        Outcome::Refunded { .. } => {
            let processor = attempt.processor.clone();
            Some(PaymentEvent::Returned { attempt_id, processor, amount_minor: attempt.amount_minor })
        }
        Outcome::Declined(failure) | Outcome::NotTaken(failure) => {
            Some(PaymentEvent::ReturnFailed { attempt_id, failure })
        }
        _ => None,
    }
}

/// Our fee: never more than what the bank of an instalment plan leaves of the amount.
fn fee_minor(payment: &Payment, captured_minor: i64) -> i64 {
    let left_minor = captured_minor.saturating_sub(payment.terms.subvention_minor(captured_minor));
    payment.terms.fee.fee_minor(captured_minor).min(left_minor.max(0))
}

/// The processor speaks of another amount: nothing is booked until a person has looked.
fn mismatch(payment: &Payment, attempt_id: AttemptId) -> Option<PaymentEvent> {
    if payment.status == PaymentStatus::Pending {
        let failure = Failure::new(FailureCode::AmountMismatch, "the processor reports another amount");
        return Some(PaymentEvent::BecameProcessing {
            attempt_id,
            processor_payment_id: None,
            failure: Some(failure),
        });
    }
    flag_once(payment, Flag::AmountMismatch, attempt_id)
}

/// Messages repeat; a flag that is up is not raised again.
fn flag_once(payment: &Payment, flag: Flag, attempt_id: AttemptId) -> Option<PaymentEvent> {
    let raised = payment.flags.contains(&flag);
    (!raised).then_some(PaymentEvent::Flagged { flag, attempt_id })
}

fn require_free(payment: &Payment, attempts_max: usize) -> Result<(), Refusal> {
    if payment.open_operation.is_some() {
        return Err(Refusal::OperationInProgress);
    }
    if payment.attempts.len() >= attempts_max {
        return Err(Refusal::TooManyOperations);
    }
    Ok(())
}

fn same_processor(payment: &Payment, id: AttemptId, amount_minor: i64) -> AttemptStart {
    AttemptStart { id, processor: payment.processor.clone(), amount_minor }
}
