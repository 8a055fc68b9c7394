//! The fraud check around the payment flow: reviews that are carried out once whatever happens, counters
//! that survive a restart, and sandbox payments that colour no live ones.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;
use support::Act::{Answer, HangUp};
use support::{Bench, bench, bench_at, scripted};
use tollgate_core::audit::By;
use tollgate_core::command::Command;
use tollgate_core::failure::FailureCode;
use tollgate_core::id::{EventId, IdParts};
use tollgate_core::merchant::{Merchant, Mode};
use tollgate_core::method::CaptureMode;
use tollgate_core::payment::Payment;
use tollgate_core::risk::{FollowUp, Policy, ReviewState, Verdict};
use tollgate_core::transition::PaymentStatus;
use tollgate_store::commit::Commit;
use tollgate_store::query::RiskList;

const REVIEW_ALL: &str =
    r#"{"rules": [{"name": "all", "when": {"fact": "amount", "gt": 0}, "then": "review"}]}"#;

impl Bench {
    async fn put(&self, policy: &str) {
        let policy = Policy::from_json(policy).unwrap();
        self.engine.put_fraud_policy(self.merchant.id, Some(policy), By::system(0)).await.unwrap();
    }

    /// A decision that is durable, and nothing done about it: what a crash leaves.
    async fn decide_only(&self, payment: &Payment, approved: bool) {
        let now_ms = self.engine.now_ms();
        let parts = IdParts { unix_ms: now_ms, sub_ms: 9, bucket: 1, random: 99 };
        let command =
            Command::Review { payment_id: payment.id, approved, note: None, by: Box::new(By::system(0)) };
        let commit = Commit {
            merchant_id: self.merchant.id,
            now_ms,
            event_id: EventId::from_parts(parts),
            command: Some(command),
            idempotency: None,
            message: None,
        };
        self.engine.store().commit(Box::new(commit)).await.unwrap();
    }

    async fn becomes(&self, payment: &Payment, status: PaymentStatus) -> Payment {
        for _ in 0..500 {
            let now = self.payment(payment.id).await;
            if now.status == status {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not become {status:?}: {:?}", self.payment(payment.id).await);
    }

    async fn decided(&self) -> usize {
        let store = self.engine.store();
        store.risk_payments(self.merchant.id, RiskList::Decided, None, 9).await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_a_crash_cut_off_is_carried_out_once() {
    for (approved, word, status) in
        [(true, "captured", PaymentStatus::Completed), (false, "voided", PaymentStatus::Cancelled)]
    {
        let script = scripted(&[Answer("next"), Answer("authorized"), Answer(word)]);
        let bench = bench(&[script.address]).await;
        bench.put(REVIEW_ALL).await;
        let payment = bench.pay().await;
        assert_eq!((payment.status, payment.terms.capture), (PaymentStatus::Authorized, CaptureMode::Manual));
        assert!(payment.terms.risk.as_ref().unwrap().holds_capture);
        assert_eq!((FollowUp::of(&payment), bench.decided().await), (None, 0));
        bench.decide_only(&payment, approved).await;
        assert_eq!(bench.decided().await, 1);
        assert_eq!(script.requests.load(Ordering::SeqCst), 2);
        // The next start: twice at once, and each sweeps.
        bench.engine.start();
        bench.engine.start();
        let after = bench.becomes(&payment, status).await;
        assert_eq!((after.attempts.len(), script.requests.load(Ordering::SeqCst)), (2, 3));
        assert_eq!((after.captured_minor, bench.decided().await), (if approved { 500 } else { 0 }, 0));
        bench.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_money_goes_back_once_and_again_after_a_failure() {
    // The capture cannot be held: the processor only takes money at once.
    let script = scripted(&[Answer("next"), Answer("captured"), Answer("refused"), Answer("refunded")]);
    let bench = bench_at(&[script.address], false).await;
    bench.put(REVIEW_ALL).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.terms.capture), (PaymentStatus::Completed, CaptureMode::Automatic));
    assert_eq!(payment.review.as_ref().unwrap().state, ReviewState::Waiting);
    let decision = (false, Some("not the customer".to_owned()));
    bench
        .engine
        .review(bench.merchant.id, payment.id, decision, By::system(0), None, support::render)
        .await
        .unwrap();
    let failed = bench.payment(payment.id).await;
    assert_eq!((failed.status, failed.refunds.len()), (PaymentStatus::Completed, 1));
    assert_eq!(failed.review.as_ref().unwrap().note.as_deref(), Some("not the customer"));
    assert_eq!(bench.decided().await, 1);
    // Not before its pause is over.
    bench.engine.start();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(script.requests.load(Ordering::SeqCst), 3);
    bench.clock_ms.fetch_add(3_600_000, Ordering::SeqCst);
    bench.engine.start();
    let after = bench.becomes(&payment, PaymentStatus::Refunded).await;
    assert_eq!((after.refunds.len(), after.refunded_minor), (2, 500));
    assert_eq!((bench.decided().await, script.requests.load(Ordering::SeqCst)), (0, 4));
    bench.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_while_nobody_knew_is_done_when_it_settles() {
    for (approved, status) in [(true, PaymentStatus::Completed), (false, PaymentStatus::Cancelled)] {
        let last = if approved { Answer("captured") } else { Answer("voided") };
        let script = scripted(&[Answer("next"), HangUp, Answer("authorized"), last]);
        let bench = bench(&[script.address]).await;
        bench.put(REVIEW_ALL).await;
        let payment = bench.pay().await;
        assert_eq!(payment.status, PaymentStatus::Processing);
        let decision = (approved, None);
        bench
            .engine
            .review(bench.merchant.id, payment.id, decision, By::system(0), None, support::render)
            .await
            .unwrap();
        assert_eq!(bench.payment(payment.id).await.status, PaymentStatus::Processing);
        bench.engine.start();
        bench.clock_ms.fetch_add(5_000, Ordering::SeqCst);
        let after = bench.becomes(&payment, status).await;
        // Two enquiries may be under way: the second may hear of the end before it is asked for.
        assert!(after.attempts.len() <= 2, "{:?}", after.attempts);
        bench.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_blocked_reaches_no_processor() {
    let script = scripted(&[Answer("next"), Answer("captured")]);
    let bench = bench(&[script.address]).await;
    bench.put(r#"{"rules": [{"name": "all", "when": {"fact": "amount", "gt": 0}, "then": "block"}]}"#).await;
    let payment = bench.pay().await;
    assert_eq!((payment.status, payment.attempts.len()), (PaymentStatus::Declined, 0));
    assert_eq!(payment.failure.as_ref().unwrap().code, FailureCode::FraudDetected);
    assert_eq!(payment.terms.risk.as_ref().unwrap().assessment.rules, ["all"]);
    assert_eq!(script.requests.load(Ordering::SeqCst), 0);
    bench.assert_clean().await;
}

/// Blocks who pays a second time within five minutes.
const ONCE: &str = r#"{"rules": [
    {"name": "twice", "when": {"fact": "feature.customer_24h", "ge": 16}, "then": "block"}
]}"#;

/// Tells who has been counted once from who has been counted more often.
const COUNTED: &str = r#"{"rules": [
    {"name": "twice", "when": {"fact": "feature.customer_24h", "ge": 16}, "then": "block"},
    {"name": "more", "when": {"fact": "feature.customer_24h", "ge": 20}, "then": "block"}
]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_the_logs_end_are_counted_once() {
    const PAYMENTS: usize = 1_050;
    let script = scripted(&[Answer("captured")]);
    let bench = bench(&[script.address]).await;
    bench.put(COUNTED).await;
    let names: Vec<String> = (0..PAYMENTS).map(|number| format!("user-{number}")).collect();
    for some in names.chunks(4) {
        futures_util::future::join_all(some.iter().map(|name| bench.pay_as(name))).await;
    }
    // Two events each: three pages, the last one not full.
    let warm = bench.restarted(&[script.address]);
    assert_eq!(warm.engine.warm_up_fraud().await.unwrap(), PAYMENTS);
    for number in [0, 499, 500, 501, 999, 1_000, PAYMENTS - 1] {
        let payment = warm.pay_as(&names[number]).await;
        assert_eq!(payment.terms.risk.as_ref().unwrap().assessment.rules, ["twice"], "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_survive_a_restart_and_are_not_coloured_by_the_sandbox() {
    let script = scripted(&[Answer("captured")]);
    let bench = bench(&[script.address]).await;
    bench.put(ONCE).await;
    let verdict = |payment: &Payment| payment.terms.risk.as_ref().unwrap().assessment.verdict;
    assert_eq!(verdict(&bench.pay_as("asha").await), Verdict::Allow);
    assert_eq!(verdict(&bench.pay_as("asha").await), Verdict::Block);
    assert_eq!(verdict(&bench.pay_as("ben").await), Verdict::Allow);
    // A new engine on the same store knows nothing until it has read the log's end.
    let fresh = bench.restarted(&[script.address]);
    assert_eq!(verdict(&fresh.pay_as("ben").await), Verdict::Allow);
    let warm = bench.restarted(&[script.address]);
    assert_eq!(warm.engine.warm_up_fraud().await.unwrap(), 4);
    assert_eq!(verdict(&warm.pay_as("ben").await), Verdict::Block);
    assert_eq!(verdict(&warm.pay_as("cora").await), Verdict::Allow);
    // An hour later they are not counted again.
    bench.clock_ms.fetch_add(3_700_000, Ordering::SeqCst);
    assert_eq!(bench.restarted(&[script.address]).engine.warm_up_fraud().await.unwrap(), 0);
    // The same merchant's live payments have a memory of their own.
    let live = Bench { merchant: Merchant { mode: Mode::Live, ..warm.merchant.clone() }, ..warm };
    assert_eq!(verdict(&live.pay_as("asha").await), Verdict::Allow);
    assert_eq!(verdict(&live.pay_as("asha").await), Verdict::Block);
    live.assert_clean().await;
}
