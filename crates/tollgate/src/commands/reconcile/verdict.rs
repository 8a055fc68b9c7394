//! What a complete report proves about an open attempt. Pure.

use super::report::{BadLine, Row, Status};
use tollgate_core::attempt::{Attempt, AttemptKind, AttemptStatus};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::CaptureMode;
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;

/// What a report proves by not naming something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coverage {
    /// Attempts made until then, in milliseconds since the Unix epoch, can no longer arrive unreported.
    pub(crate) made_until_ms: u64,
    /// Whether refunds are in the report.
    pub(crate) refunds: bool,
}

/// What is to be done about an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What the report says, for a person.
    pub(super) text: String,
    /// What is to be booked; none: it stays open.
    pub(super) outcome: Option<Outcome>,
}

impl Verdict {
    fn settle(text: impl Into<String>, outcome: Outcome) -> Self {
        Self { text: text.into(), outcome: Some(outcome) }
    }

    fn leave(text: impl Into<String>) -> Self {
        Self { text: text.into(), outcome: None }
    }
}

/// The verdict on one attempt; `row` is what the report says under [`super::row_of`] it.
pub(super) fn verdict(
    payment: &Payment,
    attempt: &Attempt,
    row: Option<&Row>,
    coverage: Coverage,
) -> Result<Verdict, BadLine> {
    if attempt.created_at_ms > coverage.made_until_ms {
        return Ok(Verdict::leave("made too late for this report"));
    }
    let Some(row) = row else {
        return Ok(absent(attempt, coverage));
    };
    let currency = payment.terms.amount.currency;
    let amount = Money::parse_major(&row.amount, currency).map_err(|error| BadLine {
        line: row.line,
        reason: format!("the amount is not one of {currency}: {error}"),
    })?;
    Ok(match attempt.kind {
        AttemptKind::Charge => charge(payment, attempt, row, amount.minor),
        AttemptKind::Capture => capture(row, amount.minor),
        AttemptKind::Void => void(row),
        AttemptKind::Refund | AttemptKind::Return => refund(attempt, row, amount.minor),
    })
}

fn not_taken(text: &str) -> Outcome {
    Outcome::NotTaken(Failure::new(FailureCode::ProcessorUnavailable, text))
}

fn absent(attempt: &Attempt, coverage: Coverage) -> Verdict {
    let outcome = || not_taken("not in the processor's complete report");
    match attempt.kind {
        AttemptKind::Charge => Verdict::settle("not in the report", outcome()),
        AttemptKind::Refund | AttemptKind::Return if coverage.refunds => {
            Verdict::settle("not in the report", outcome())
        }
        AttemptKind::Refund | AttemptKind::Return => {
            Verdict::leave("not in the report, which is not said to have refunds")
        }
        // The charge was authorized by this processor: a report without it is not complete.
        AttemptKind::Capture | AttemptKind::Void => Verdict::leave("its charge is not in the report"),
    }
}

fn charge(payment: &Payment, attempt: &Attempt, row: &Row, amount_minor: i64) -> Verdict {
    let said = |what: &str| format!("line {} says {what}", row.line);
    let named = said(row.status.name());
    let asked_minor = attempt.amount_minor;
    let processor_payment_id = row.processor_id.clone();
    match row.status {
        Status::Created => {
            Verdict::settle(said("nobody paid"), not_taken("registered at the processor, and never paid"))
        }
        Status::Pending => Verdict::leave(named),
        Status::Failed => Verdict::settle(
            named,
            Outcome::Declined(Failure::new(FailureCode::CardDeclined, "failed, says the processor's report")),
        ),
        Status::Voided => Verdict::settle(named, Outcome::Voided),
        Status::Authorized | Status::Captured | Status::Refunded if amount_minor != asked_minor => {
            Verdict::leave(said("another amount"))
        }
        // Money that lapses by itself.
        Status::Authorized if attempt.status == AttemptStatus::Abandoned => Verdict::leave(named),
        Status::Authorized if payment.terms.capture == CaptureMode::Automatic => {
            Verdict::leave(said("authorized, and it was to be captured at once"))
        }
        Status::Authorized => {
            Verdict::settle(named, Outcome::Authorized { processor_payment_id, amount_minor })
        }
        Status::Captured => Verdict::settle(named, Outcome::Captured { processor_payment_id, amount_minor }),
        // Given back behind our back: in the end no money moved.
        Status::Refunded => Verdict::settle(said("taken and given back"), Outcome::Voided),
    }
}

fn capture(row: &Row, amount_minor: i64) -> Verdict {
    let named = format!("line {} says its charge is {}", row.line, row.status.name());
    match row.status {
        Status::Captured => {
            let processor_payment_id = row.processor_id.clone();
            Verdict::settle(named, Outcome::Captured { processor_payment_id, amount_minor })
        }
        Status::Authorized => Verdict::settle(named, not_taken("the capture did not arrive")),
        Status::Voided => Verdict::settle(named, Outcome::Voided),
        Status::Created | Status::Pending | Status::Failed | Status::Refunded => Verdict::leave(named),
    }
}

fn void(row: &Row) -> Verdict {
    let named = format!("line {} says its charge is {}", row.line, row.status.name());
    match row.status {
        Status::Voided => Verdict::settle(named, Outcome::Voided),
        Status::Authorized => Verdict::settle(named, not_taken("the release did not arrive")),
        Status::Captured => Verdict::settle(
            named,
            Outcome::Declined(Failure::new(
                FailureCode::ProcessorRejected,
                "the processor has captured the payment",
            )),
        ),
        Status::Created | Status::Pending | Status::Failed | Status::Refunded => Verdict::leave(named),
    }
}

fn refund(attempt: &Attempt, row: &Row, amount_minor: i64) -> Verdict {
    let named = format!("line {} says {}", row.line, row.status.name());
    match row.status {
        Status::Refunded if amount_minor != attempt.amount_minor => {
            Verdict::leave(format!("line {} says another amount", row.line))
        }
        Status::Refunded => {
            let processor_refund_id = row.processor_id.clone();
            Verdict::settle(named, Outcome::Refunded { processor_refund_id, amount_minor })
        }
        Status::Failed => Verdict::settle(
            named,
            Outcome::Declined(Failure::new(
                FailureCode::ProcessorRejected,
                "failed, says the processor's report",
            )),
        ),
        Status::Created | Status::Pending | Status::Authorized | Status::Captured | Status::Voided => {
            Verdict::leave(named)
        }
    }
}
