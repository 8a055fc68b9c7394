//! The state machine against a second copy of it, written by hand: what is not there is an error,
//! every status can be reached, and events take the steps of the table and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod model;

use model::{Choice, Store, failure, terms};
use std::collections::BTreeSet;
use tollgate_core::attempt::AttemptStart;
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::event::{Flag, PaymentEvent};
use tollgate_core::id::{AttemptId, RefundId};
use tollgate_core::ledger;
use tollgate_core::merchant::FeePlan;
use tollgate_core::method::CaptureMode;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::payment::Payment;
use tollgate_core::transition::{IllegalTransition, PaymentStatus, TABLE, Trigger, next};

const TRIGGERS: [Trigger; 11] = [
    Trigger::NeedAction,
    Trigger::LoseSight,
    Trigger::Authorize,
    Trigger::Charge,
    Trigger::Decline,
    Trigger::Fail,
    Trigger::Capture,
    Trigger::Cancel,
    Trigger::Expire,
    Trigger::RefundPart,
    Trigger::RefundRest,
];

/// One row a status, one column a trigger in the order of [`TRIGGERS`]; `-` is an error.
#[rustfmt::skip]
const EXPECTED: [(&str, [&str; 11]); 11] = [
    //                       need action        lose sight    authorize     charge       decline     fail      capture      cancel       expire     refund part           refund rest
    ("pending",            ["requires_action", "processing", "authorized", "completed", "declined", "failed", "-",         "cancelled", "-",       "-",                  "-"]),
    ("requires_action",    ["-",               "-",          "authorized", "completed", "declined", "failed", "-",         "cancelled", "expired", "-",                  "-"]),
    ("processing",         ["requires_action", "-",          "authorized", "completed", "declined", "failed", "-",         "cancelled", "-",       "-",                  "-"]),
    ("authorized",         ["-",               "-",          "-",          "-",         "-",        "-",      "completed", "cancelled", "expired", "-",                  "-"]),
    ("completed",          ["-",               "-",          "-",          "-",         "-",        "-",      "-",         "-",         "-",       "partially_refunded", "refunded"]),
    ("partially_refunded", ["-",               "-",          "-",          "-",         "-",        "-",      "-",         "-",         "-",       "partially_refunded", "refunded"]),
    ("refunded",           ["-";  11]),
    ("declined",           ["-";  11]),
    ("failed",             ["-";  11]),
    ("cancelled",          ["-";  11]),
    ("expired",            ["-";  11]),
];

#[test]
fn every_pair_leads_where_it_should_or_nowhere() {
    let mut steps = 0;
    for (status, row) in EXPECTED {
        let from = PaymentStatus::from_name(status).unwrap();
        for (trigger, to) in TRIGGERS.into_iter().zip(row) {
            let expected = PaymentStatus::from_name(to).ok_or(IllegalTransition { from, trigger });
            assert_eq!(next(from, trigger), expected, "{from:?} {trigger:?}");
            steps += usize::from(expected.is_ok());
        }
    }
    assert_eq!(steps, TABLE.len(), "a step that no pair asks for");
}

#[test]
fn every_status_can_be_reached() {
    let mut reached = BTreeSet::from([PaymentStatus::Pending]);
    for _ in PaymentStatus::ALL {
        for (from, _, to) in TABLE {
            if reached.contains(&from) {
                reached.insert(to);
            }
        }
    }
    assert_eq!(reached.len(), PaymentStatus::ALL.len());
}

fn charged(outcome: Outcome) -> impl Fn(CaptureMode) -> (Store, Payment) {
    move |capture| {
        let (mut store, payment) = pending(capture);
        store.settle(payment.charge_attempt_id, outcome.clone(), 2);
        let payment = store.payment(payment.id).clone();
        (store, payment)
    }
}

fn pending(capture: CaptureMode) -> (Store, Payment) {
    let mut store = Store::default();
    let choice = Choice { amount_minor: 1_000, currency: Currency::INR, capture, fee: FeePlan::default() };
    let id = store.create(choice, 0, 1);
    let payment = store.payment(id).clone();
    (store, payment)
}

fn captured() -> Outcome {
    Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 1_000 }
}

fn action() -> Outcome {
    Outcome::ActionRequired { processor_payment_id: None, action: NextAction::UpiCollect }
}

fn authorized() -> Outcome {
    Outcome::Authorized { processor_payment_id: "p".to_owned(), amount_minor: 1_000 }
}

fn refunded(amount_minor: i64) -> Payment {
    let (mut store, payment) = charged(captured())(CaptureMode::Automatic);
    let attempt_id = AttemptId::from_u128(900);
    let command = Command::Refund {
        payment_id: payment.id,
        refund_id: RefundId::from_u128(901),
        attempt_id,
        amount_minor: Some(amount_minor),
        reason: None,
        metadata: Vec::new(),
    };
    store.commit(command, 3).unwrap();
    let outcome = Outcome::Refunded { processor_refund_id: "r".to_owned(), amount_minor };
    store.settle(attempt_id, outcome, 4);
    store.payment(payment.id).clone()
}

/// A payment in each status, led there by commands alone.
fn payment_that_is(status: PaymentStatus) -> Payment {
    let automatic = CaptureMode::Automatic;
    let payment = match status {
        PaymentStatus::Pending => pending(automatic).1,
        PaymentStatus::RequiresAction => charged(action())(automatic).1,
        PaymentStatus::Processing => charged(Outcome::NotFound)(automatic).1,
        PaymentStatus::Authorized => charged(authorized())(CaptureMode::Manual).1,
        PaymentStatus::Completed => charged(captured())(automatic).1,
        PaymentStatus::PartiallyRefunded => refunded(400),
        PaymentStatus::Refunded => refunded(1_000),
        PaymentStatus::Declined => charged(Outcome::Declined(failure()))(automatic).1,
        PaymentStatus::Failed => charged(Outcome::NotTaken(failure()))(automatic).1,
        PaymentStatus::Cancelled | PaymentStatus::Expired => {
            let (mut store, payment) = charged(action())(automatic);
            let (payment_id, attempt_id) = (payment.id, AttemptId::from_u128(900));
            let command = if status == PaymentStatus::Cancelled {
                Command::Cancel { payment_id, attempt_id }
            } else {
                Command::Expire { payment_id, attempt_id }
            };
            store.commit(command, u64::MAX).unwrap();
            store.payment(payment_id).clone()
        }
    };
    assert_eq!(payment.status, status);
    payment
}

/// Every event, with the trigger it pulls if it pulls one.
fn events(payment: &Payment) -> Vec<(PaymentEvent, Option<Trigger>)> {
    let attempt_id = payment.charge_attempt_id;
    let refund_id = RefundId::from_u128(800);
    let id = || "p".to_owned();
    let attempt = |amount_minor| AttemptStart {
        id: AttemptId::from_u128(801),
        processor: payment.processor.clone(),
        amount_minor,
    };
    let voided = |because_expired, unasked| PaymentEvent::Voided { attempt_id, because_expired, unasked };
    let refunded = |amount_minor| PaymentEvent::RefundSucceeded {
        refund_id,
        attempt_id,
        processor_refund_id: id(),
        amount_minor,
        fee_returned_minor: 0,
    };
    let choice = Choice {
        amount_minor: 1_000,
        currency: Currency::INR,
        capture: CaptureMode::Automatic,
        fee: FeePlan::default(),
    };
    let failed = (attempt_id, failure());
    vec![
        (PaymentEvent::Created { terms: terms(choice), attempt: attempt(1_000) }, None),
        (
            PaymentEvent::FailedOver {
                attempt_id,
                failure: failure(),
                declined: false,
                next: attempt(1_000),
            },
            None,
        ),
        (
            PaymentEvent::ActionRequired {
                attempt_id,
                processor_payment_id: None,
                action: NextAction::UpiCollect,
                expires_at_ms: 9,
            },
            Some(Trigger::NeedAction),
        ),
        (
            PaymentEvent::BecameProcessing { attempt_id, processor_payment_id: None, failure: None },
            Some(Trigger::LoseSight),
        ),
        (
            PaymentEvent::Authorized { attempt_id, processor_payment_id: id(), expires_at_ms: 9 },
            Some(Trigger::Authorize),
        ),
        (
            PaymentEvent::Completed { attempt_id, processor_payment_id: id(), fee_minor: 0 },
            Some(Trigger::Charge),
        ),
        (PaymentEvent::Declined { attempt_id: failed.0, failure: failed.1.clone() }, Some(Trigger::Decline)),
        (PaymentEvent::Failed { attempt_id: failed.0, failure: failed.1.clone() }, Some(Trigger::Fail)),
        (PaymentEvent::CaptureStarted { attempt: attempt(1_000) }, None),
        (PaymentEvent::Captured { attempt_id, amount_minor: 1_000, fee_minor: 0 }, Some(Trigger::Capture)),
        (PaymentEvent::VoidStarted { attempt: attempt(1_000), because_expired: false }, None),
        (voided(false, false), Some(Trigger::Cancel)),
        (voided(true, true), Some(Trigger::Expire)),
        (PaymentEvent::Cancelled { attempt_id }, Some(Trigger::Cancel)),
        (PaymentEvent::Expired { attempt_id }, Some(Trigger::Expire)),
        (refunded(1), Some(Trigger::RefundPart)),
        (refunded(payment.captured_minor - payment.refunded_minor), Some(Trigger::RefundRest)),
        (
            PaymentEvent::LateSuccess {
                attempt_id,
                processor: payment.processor.clone(),
                processor_payment_id: id(),
                captured_minor: 1_000,
            },
            None,
        ),
        (PaymentEvent::Flagged { flag: Flag::Contradiction, attempt_id }, None),
    ]
}

/// Each event, applied to a payment in each status, takes its step of the table or is refused.
#[test]
fn events_take_the_steps_of_the_table() {
    for status in PaymentStatus::ALL {
        let payment = payment_that_is(status);
        for (event, trigger) in events(&payment) {
            let mut after = payment.clone();
            // A refund must have been reserved to succeed.
            if let PaymentEvent::RefundSucceeded { amount_minor, .. } = event {
                after.refund_pending_minor += amount_minor;
            }
            let result = after.apply(&event, 9);
            match trigger.map(|trigger| next(status, trigger)) {
                Some(Ok(to)) => {
                    assert_eq!(result, Ok(()), "{status:?} {event:?}");
                    assert_eq!(after.status, to, "{status:?} {event:?}");
                }
                Some(Err(_)) => assert!(result.is_err(), "{status:?} {event:?}"),
                None => assert_eq!(after.status, status, "{event:?}"),
            }
        }
    }
}

/// Operations can begin only where they belong; a damaged history is told by it.
#[test]
fn operations_begin_only_where_they_belong() {
    for status in PaymentStatus::ALL {
        let payment = payment_that_is(status);
        for (event, _) in events(&payment) {
            let right = match event {
                PaymentEvent::Created { .. } => false,
                PaymentEvent::FailedOver { .. } => matches!(
                    status,
                    PaymentStatus::Pending | PaymentStatus::RequiresAction | PaymentStatus::Processing
                ),
                PaymentEvent::CaptureStarted { .. } | PaymentEvent::VoidStarted { .. } => {
                    status == PaymentStatus::Authorized
                }
                _ => continue,
            };
            let result = payment.clone().apply(&event, 9);
            assert_eq!(result.is_ok(), right, "{status:?} {event:?}");
        }
    }
}

/// A damaged history holds any number; it must end in an error, never in a panic or in books.
#[test]
fn damaged_amounts_are_errors() {
    let payment = payment_that_is(PaymentStatus::PartiallyRefunded);
    let (refund_id, attempt_id) = (RefundId::from_u128(800), payment.charge_attempt_id);
    let extremes = [i64::MIN, -1, i64::MAX - 1, i64::MAX];
    for (amount_minor, fee_returned_minor) in extremes.into_iter().flat_map(|amount| {
        let fees = [i64::MIN, 0, i64::MAX];
        fees.map(|fee| (amount, fee))
    }) {
        let started = PaymentEvent::RefundStarted {
            refund_id,
            attempt: AttemptStart { id: attempt_id, processor: payment.processor.clone(), amount_minor },
            fee_returned_minor,
            subvention_returned_minor: 0,
            reason: None,
            metadata: Vec::new(),
        };
        let succeeded = PaymentEvent::RefundSucceeded {
            refund_id,
            attempt_id,
            processor_refund_id: "r".to_owned(),
            amount_minor,
            fee_returned_minor,
        };
        let undone = PaymentEvent::RefundFailed {
            refund_id,
            attempt_id,
            failure: failure(),
            amount_minor,
            fee_returned_minor,
            subvention_returned_minor: 0,
        };
        for event in [started, succeeded, undone] {
            let mut after = payment.clone();
            let applied = after.apply(&event, 9).is_ok();
            let booked = ledger::posting(&after, &event, 9).is_ok();
            assert!(!(applied && booked), "{event:?}");
            // A second blow finds sums that are damaged already.
            let _ = after.apply(&event, 9);
        }
    }
}
