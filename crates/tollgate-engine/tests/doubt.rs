//! What a lost answer means, and that doubt is never resolved by counting: a scripted processor over
//! real sockets, with the clock moved by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;
use support::{Act, DAY_MS, START_MS, bench, nobody, scripted};
use tollgate_core::attempt::AttemptStatus;
use tollgate_core::command::Command;
use tollgate_core::event::Flag;
use tollgate_core::failure::FailureCode;
use tollgate_core::id::{EventId, IdParts};
use tollgate_core::outcome::Outcome;
use tollgate_core::transition::PaymentStatus;
use tollgate_store::commit::Commit;

use Act::{Answer, HangUp};
use AttemptStatus::{NotTaken, Open, Succeeded};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_fails_over() {
    let second = scripted(&[Answer("next"), Answer("captured")]);
    let bench = bench(&[nobody(), second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Completed, "second"));
    let statuses = bench.statuses(&payment).await;
    assert_eq!(statuses, [("first".to_owned(), NotTaken), ("second".to_owned(), Succeeded)]);
    bench.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_before_money_could_move_fails_over() {
    let first = scripted(&[HangUp]);
    let second = scripted(&[Answer("next"), Answer("captured")]);
    let bench = bench(&[first.address, second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Completed, "second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_money_could_move_is_unknown_and_goes_nowhere_else() {
    let first = scripted(&[Answer("next"), HangUp]);
    let second = scripted(&[Answer("next"), Answer("captured")]);
    let bench = bench(&[first.address, second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Processing, "first"));
    assert_eq!(bench.statuses(&payment).await, [("first".to_owned(), Open)]);
    assert_eq!(second.requests.load(Ordering::SeqCst), 0);
    bench.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_documented_refusal_fails_over_and_a_decline_does_not() {
    let first = scripted(&[Answer("next"), Answer("refused")]);
    let second = scripted(&[Answer("declined")]);
    let bench = bench(&[first.address, second.address]).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.processor.as_str()), (PaymentStatus::Declined, "second"));

    let declining = scripted(&[Answer("declined")]);
    let unused = scripted(&[Answer("captured")]);
    let other = self::bench(&[declining.address, unused.address]).await;
    assert_eq!(other.pay().await.status, PaymentStatus::Declined);
    assert_eq!(unused.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_left_is_failed() {
    let bench = bench(&[nobody(), nobody()]).await;
    let payment = bench.pay().await;
    assert_eq!(payment.status, PaymentStatus::Failed);
    assert_eq!(payment.failure.unwrap().code, FailureCode::ProcessorUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enquiry_that_finds_nothing_for_days_leaves_it_processing_and_flagged() {
    let first = scripted(&[Answer("next"), HangUp, Answer("absent")]);
    let bench = bench(&[first.address]).await;
    bench.engine.start();
    let payment = bench.pay().await;
    for hour in 1..=10 {
        let asked = first.requests.load(Ordering::SeqCst);
        bench.clock_ms.store(START_MS + hour * DAY_MS, Ordering::SeqCst);
        for _ in 0..400 {
            if first.requests.load(Ordering::SeqCst) > asked {
                break;
            }
            // The enquiry before may have been put off only after the clock was moved.
            bench.clock_ms.fetch_add(DAY_MS / 1_000, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(first.requests.load(Ordering::SeqCst) > asked, "day {hour}: nobody asked");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = bench.payment(payment.id).await;
    assert_eq!(after.status, PaymentStatus::Processing);
    assert_eq!(after.flags, [Flag::OutcomeUnknown]);
    assert_eq!(bench.statuses(&after).await, [("first".to_owned(), Open)]);
    bench.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enquiry_that_finds_the_money_completes_it() {
    let first = scripted(&[Answer("next"), HangUp, Answer("absent"), HangUp, Answer("captured")]);
    let bench = bench(&[first.address]).await;
    bench.engine.start();
    let payment = bench.pay().await;
    assert_eq!(payment.status, PaymentStatus::Processing);
    for second in 1..2_000 {
        bench.clock_ms.store(START_MS + second * 1_000, Ordering::SeqCst);
        if bench.payment(payment.id).await.status == PaymentStatus::Completed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = bench.payment(payment.id).await;
    assert_eq!((after.status, after.captured_minor), (PaymentStatus::Completed, 500));
    assert_eq!(first.requests.load(Ordering::SeqCst), 5);
    bench.assert_clean().await;
}

/// Whoever books late money may die before its return begins, and a processor may refuse a return: it goes back all the same.
#[tokio::test(flavor = "multi_thread")]
async fn late_money_goes_back_whoever_dies_and_however_often_it_is_refused() {
    let first = scripted(&[Answer("declined"), Answer("declined"), Answer("declined"), Answer("refunded")]);
    let bench = bench(&[first.address]).await;
    let payment = bench.pay().await;
    assert_eq!(payment.status, PaymentStatus::Declined);
    // Straight into the store: as of a gateway that was killed right after.
    let parts = IdParts { unix_ms: START_MS, sub_ms: 1, bucket: 1, random: 9 };
    let late = Command::Settle {
        payment_id: payment.id,
        attempt_id: payment.charge_attempt_id,
        outcome: Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 500 },
        next: None,
    };
    let commit = Commit {
        merchant_id: bench.merchant.id,
        now_ms: START_MS,
        event_id: EventId::from_parts(parts),
        command: Some(late),
        idempotency: None,
        message: None,
    };
    bench.engine.store().commit(Box::new(commit)).await.unwrap();
    let late = bench.payment(payment.id).await;
    assert_eq!((late.late[0].left_minor, late.attempts.len()), (500, 1));
    bench.engine.start();
    for second in 1..1_000 {
        bench.clock_ms.store(START_MS + second * 5_000, Ordering::SeqCst);
        let now = bench.payment(payment.id).await;
        if now.late[0].left_minor == 0 {
            break;
        }
        if now.attempts.len() == 1 {
            assert!(second < 60, "nobody begins its return");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = bench.payment(payment.id).await;
    assert_eq!((after.late[0].left_minor, after.late[0].returns_failed), (0, 2));
    assert_eq!(after.attempts.len(), 4, "a charge, two refused returns and one that was taken");
    assert_eq!(after.deadline_ms(), None);
    assert!(after.flags.contains(&Flag::ReturnFailed));
    assert_eq!(first.requests.load(Ordering::SeqCst), 4);
    assert!(bench.engine.store().deadlines(u64::MAX, 9).await.unwrap().is_empty());
    bench.assert_clean().await;
}
