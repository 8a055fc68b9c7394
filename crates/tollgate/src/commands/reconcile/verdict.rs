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

/// What has to be known of an open attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    kind: AttemptKind,
    /// The customer was given up; what is heard of it now is late.
    abandoned: bool,
    asked: Money,
    capture: CaptureMode,
    created_at_ms: u64,
}

impl Open {
    pub(super) fn of(payment: &Payment, attempt: &Attempt) -> Self {
        Self {
            kind: attempt.kind,
            abandoned: attempt.status == AttemptStatus::Abandoned,
            asked: payment.money(attempt.amount_minor),
            capture: payment.terms.capture,
            created_at_ms: attempt.created_at_ms,
        }
    }
}

/// The verdict on one attempt; `row` is what the report says under [`super::row_of`] it.
pub(super) fn verdict(attempt: Open, row: Option<&Row>, coverage: Coverage) -> Result<Verdict, BadLine> {
    if attempt.created_at_ms > coverage.made_until_ms {
        return Ok(Verdict::leave("made too late for this report"));
    }
    let Some(row) = row else {
        return Ok(absent(attempt, coverage));
    };
    let currency = attempt.asked.currency;
    let amount = Money::parse_major(&row.amount, currency).map_err(|error| BadLine {
        line: row.line,
        reason: format!("the amount is not one of {currency}: {error}"),
    })?;
    Ok(match attempt.kind {
        AttemptKind::Charge => charge(attempt, row, amount.minor),
        AttemptKind::Capture => capture(row, amount.minor),
        AttemptKind::Void => void(row),
        AttemptKind::Refund | AttemptKind::Return => refund(attempt, row, amount.minor),
    })
}

fn not_taken(text: &str) -> Outcome {
    Outcome::NotTaken(Failure::new(FailureCode::ProcessorUnavailable, text))
}

fn absent(attempt: Open, coverage: Coverage) -> Verdict {
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

fn charge(attempt: Open, row: &Row, amount_minor: i64) -> Verdict {
    let said = |what: &str| format!("line {} says {what}", row.line);
    let named = said(row.status.name());
    let asked_minor = attempt.asked.minor;
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
        Status::Authorized if attempt.abandoned => Verdict::leave(named),
        Status::Authorized if attempt.capture == CaptureMode::Automatic => {
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

fn refund(attempt: Open, row: &Row, amount_minor: i64) -> Verdict {
    let named = format!("line {} says {}", row.line, row.status.name());
    match row.status {
        Status::Refunded if amount_minor != attempt.asked.minor => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use AttemptKind::{Capture, Charge, Refund, Return, Void};
    use tollgate_core::currency::Currency;

    const COVERAGE: Coverage = Coverage { made_until_ms: 1_000, refunds: true };

    fn open(kind: AttemptKind) -> Open {
        let asked = Money::new(500, Currency::INR);
        Open { kind, abandoned: false, asked, capture: CaptureMode::Automatic, created_at_ms: 1_000 }
    }

    fn row(status: Status, amount: &str) -> Row {
        Row { line: 9, processor_id: "p".to_owned(), status, amount: amount.to_owned() }
    }

    /// What becomes of an attempt, in short.
    fn becomes(attempt: Open, row: Option<Row>, coverage: Coverage) -> &'static str {
        match verdict(attempt, row.as_ref(), coverage) {
            Ok(Verdict { outcome: None, .. }) => "open",
            Ok(Verdict { outcome: Some(outcome), .. }) => super::super::name_of(&outcome),
            Err(_) => "bad",
        }
    }

    #[test]
    fn every_status_of_every_kind() {
        let statuses = [
            Status::Created,
            Status::Pending,
            Status::Authorized,
            Status::Captured,
            Status::Failed,
            Status::Voided,
            Status::Refunded,
        ];
        let table = [
            (Charge, ["not taken", "open", "open", "captured", "declined", "voided", "voided"]),
            (Capture, ["open", "open", "not taken", "captured", "open", "voided", "open"]),
            (Void, ["open", "open", "not taken", "declined", "open", "voided", "open"]),
            (Refund, ["open", "open", "open", "open", "declined", "open", "refunded"]),
            (Return, ["open", "open", "open", "open", "declined", "open", "refunded"]),
        ];
        for (kind, expected) in table {
            for (status, expected) in statuses.into_iter().zip(expected) {
                let said = becomes(open(kind), Some(row(status, "5.00")), COVERAGE);
                assert_eq!(said, expected, "{kind:?} {status:?}");
            }
        }
    }

    #[test]
    fn what_is_absent_was_not_taken_if_the_report_would_have_it() {
        for (kind, expected) in
            [(Charge, "not taken"), (Refund, "not taken"), (Capture, "open"), (Void, "open")]
        {
            assert_eq!(becomes(open(kind), None, COVERAGE), expected, "{kind:?}");
        }
        let charges_alone = Coverage { refunds: false, ..COVERAGE };
        assert_eq!(becomes(open(Charge), None, charges_alone), "not taken");
        assert_eq!(becomes(open(Refund), None, charges_alone), "open");
        assert_eq!(becomes(open(Return), None, charges_alone), "open");
    }

    #[test]
    fn what_is_too_young_stays_open_whatever_the_report_says() {
        for kind in [Charge, Capture, Void, Refund, Return] {
            let young = Open { created_at_ms: 1_001, ..open(kind) };
            assert_eq!(becomes(young, None, COVERAGE), "open");
            assert_eq!(becomes(young, Some(row(Status::Failed, "5.00")), COVERAGE), "open");
        }
    }

    #[test]
    fn amounts() {
        for status in [Status::Captured, Status::Refunded] {
            assert_eq!(becomes(open(Charge), Some(row(status, "5.01")), COVERAGE), "open");
        }
        assert_eq!(becomes(open(Refund), Some(row(Status::Refunded, "4.99")), COVERAGE), "open");
        // A capture may be of less than was authorized.
        assert_eq!(becomes(open(Capture), Some(row(Status::Captured, "4.99")), COVERAGE), "captured");
        assert_eq!(becomes(open(Charge), Some(row(Status::Captured, "5.001")), COVERAGE), "bad");
    }

    #[test]
    fn authorized_is_the_end_of_a_charge_that_was_to_be_captured_later() {
        let manual = Open { capture: CaptureMode::Manual, ..open(Charge) };
        let authorized = || Some(row(Status::Authorized, "5.00"));
        assert_eq!(becomes(manual, authorized(), COVERAGE), "authorized");
        assert_eq!(becomes(Open { abandoned: true, ..manual }, authorized(), COVERAGE), "open");
    }
}
