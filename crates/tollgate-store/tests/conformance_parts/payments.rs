//! Payments: what they book, who sees them, how they are listed, and races for what was captured.

use super::support::Place;
use super::{NOW_MS, assert_clean, captured, completed, create, merchant, refund_of, settle, terms, work};
use std::sync::Arc;
use tollgate_core::attempt::{AttemptStatus, ProcessorName};
use tollgate_core::command::{Command, Refusal};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::AttemptId;
use tollgate_core::ledger::Account;
use tollgate_core::method::CaptureMode;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::totals::Totals;
use tollgate_core::transition::PaymentStatus;
use tollgate_store::commit::CommitError;
use tollgate_store::query::PaymentFilter;

#[tokio::test]
async fn a_payment_is_booked_and_survives_reopening() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let done = completed(store.as_ref(), mer, NOW_MS, 10_000, "u1").await;
    assert_eq!(done.payment.status, PaymentStatus::Completed);
    let refunded = store.commit(work(mer, NOW_MS, refund_of(&done.payment, Some(4_000)))).await.unwrap();
    let attempt = refunded.attempt.unwrap();
    let outcome = Outcome::Refunded { processor_refund_id: "rf".to_owned(), amount_minor: 4_000 };
    let back = store.commit(work(mer, NOW_MS, settle(&done.payment, attempt.id, outcome))).await.unwrap();
    assert_eq!(back.payment.status, PaymentStatus::PartiallyRefunded);
    assert_clean(store.as_ref()).await;

    drop(store);
    let store = place.open(2).await;
    let again = store.payment(mer, done.payment.id).await.unwrap().unwrap();
    assert_eq!(again, *back.payment);
    assert_eq!(store.postings(mer, again.id).await.unwrap().len(), 3);
    assert_eq!(store.history(mer, again.id).await.unwrap().len(), 4);
    assert_eq!(store.refund(mer, refunded.refund.unwrap().id).await.unwrap().unwrap().amount.minor, 4_000);
    let balances = store.balances(mer).await.unwrap();
    let of = |account: Account| {
        let found = balances.iter().find(|(_, have, _)| *have == account).unwrap();
        found.2.on(account.normal_side())
    };
    assert_eq!(of(Account::MerchantPayable), 9_800 - 3_920);
    assert_eq!(of(Account::FeeRevenue), 200 - 80);
    assert_eq!(of(Account::RefundsPayable), 0);
    assert_eq!(of(Account::ProcessorReceivable(ProcessorName::new("razorpay"))), 6_000);
    let next = completed(store.as_ref(), mer, NOW_MS, 500, "u1").await;
    assert_eq!(next.event.unwrap().sequence, 6);
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn another_merchants_rows_look_absent() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mine, theirs) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let done = completed(store.as_ref(), mine, NOW_MS, 10_000, "u").await;
    assert_eq!(store.payment(theirs, done.payment.id).await.unwrap(), None);
    assert!(
        store
            .payments(theirs, PaymentFilter { limit: 9, ..Default::default() })
            .await
            .unwrap()
            .payments
            .is_empty()
    );
    assert!(store.history(theirs, done.payment.id).await.unwrap().is_empty());
    let refusal = store.commit(work(theirs, NOW_MS, refund_of(&done.payment, None))).await;
    assert!(matches!(refusal, Err(CommitError::Refused(Refusal::NotFound))));

    // Also while the payment is hot in the writer's memory.
    let begun = store
        .commit(work(mine, NOW_MS, create(NOW_MS, terms(5, "u", CaptureMode::Automatic))))
        .await
        .unwrap();
    let cancel = Command::Cancel { payment_id: begun.payment.id, attempt_id: AttemptId::from_u128(9) };
    let refusal = store.commit(work(theirs, NOW_MS, cancel)).await;
    assert!(matches!(refusal, Err(CommitError::Refused(Refusal::NotFound))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_refunds_race_and_never_pass_what_was_captured() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let done = completed(store.as_ref(), mer, NOW_MS, 1_000, "u").await;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, commit) = (Arc::clone(&store), work(mer, NOW_MS, refund_of(&done.payment, Some(30))));
        racers.spawn(async move { store.commit(commit).await });
    }
    let results = racers.join_all().await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 33);
    let lost = results.iter().filter_map(|result| result.as_ref().err());
    assert!(lost.clone().all(|error| matches!(error, CommitError::Refused(Refusal::AboveRefundable { .. }))));
    let after = store.payment(mer, done.payment.id).await.unwrap().unwrap();
    assert_eq!((after.refund_pending_minor, after.refundable_minor()), (990, 10));
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn lists_filter_page_and_stay_stable() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    for place in 0..25_u64 {
        let user = if place % 5 == 0 { "five" } else { "other" };
        let amount = 100 + i64::try_from(place).unwrap();
        completed(store.as_ref(), mer, NOW_MS + place, amount, user).await;
    }
    let amounts =
        |payments: &[Payment]| payments.iter().map(|payment| payment.terms.amount.minor).collect::<Vec<_>>();
    let filter = |limit| PaymentFilter { limit, ..Default::default() };
    let first = store.payments(mer, filter(10)).await.unwrap();
    assert_eq!(amounts(&first.payments), (115..=124).rev().collect::<Vec<_>>());
    // Something new does not shift the pages behind a cursor.
    completed(store.as_ref(), mer, NOW_MS + 99, 999, "other").await;
    let second = store.payments(mer, PaymentFilter { before: first.next, ..filter(10) }).await.unwrap();
    assert_eq!(amounts(&second.payments), (105..=114).rev().collect::<Vec<_>>());
    let third = store.payments(mer, PaymentFilter { before: second.next, ..filter(10) }).await.unwrap();
    assert_eq!((amounts(&third.payments), third.next), ((100..=104).rev().collect(), None));
    let exact = store.payments(mer, PaymentFilter { before: second.next, ..filter(5) }).await.unwrap();
    assert_eq!(exact.next, None);

    let of_user = PaymentFilter { user_id: Some("five".to_owned()), ..filter(10) };
    assert_eq!(
        amounts(&store.payments(mer, of_user.clone()).await.unwrap().payments),
        [120, 115, 110, 105, 100]
    );
    let offset = PaymentFilter { offset: 2, ..of_user.clone() };
    assert_eq!(amounts(&store.payments(mer, offset).await.unwrap().payments), [110, 105, 100]);
    let ranged =
        PaymentFilter { created_from_ms: Some(NOW_MS + 5), created_to_ms: Some(NOW_MS + 15), ..of_user };
    assert_eq!(amounts(&store.payments(mer, ranged).await.unwrap().payments), [110, 105]);
    let dear = PaymentFilter { amount_minor_min: Some(123), amount_minor_max: Some(500), ..filter(10) };
    assert_eq!(amounts(&store.payments(mer, dear).await.unwrap().payments), [124, 123]);
    let none = PaymentFilter { status: Some(PaymentStatus::Failed), ..filter(10) };
    assert!(store.payments(mer, none).await.unwrap().payments.is_empty());

    let users = ["nobody", "five", "other"].map(str::to_owned).to_vec();
    let recent = store.recent_payments(mer, users).await.unwrap();
    let recent: Vec<_> =
        recent.iter().map(|found| found.as_ref().map(|payment| payment.terms.amount.minor)).collect();
    assert_eq!(recent, [None, Some(120), Some(999)]);
    let events = store.events(mer, 50, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [51, 52]);

    // Of a customer who has paid long ago and lately, the newest; of one who has paid lately alone, that one.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let today_ms = u64::try_from(since.as_millis()).unwrap();
    completed(store.as_ref(), mer, today_ms, 7, "five").await;
    completed(store.as_ref(), mer, today_ms + 1, 8, "new").await;
    let users = ["new", "nobody", "five", "other"].map(str::to_owned).to_vec();
    let recent = store.recent_payments(mer, users).await.unwrap();
    let recent: Vec<_> =
        recent.iter().map(|found| found.as_ref().map(|payment| payment.terms.amount.minor)).collect();
    assert_eq!(recent, [Some(8), None, Some(7), Some(999)]);
}

/// However many of them were made durable together, and wherever a page begins within those.
#[tokio::test(flavor = "multi_thread")]
async fn a_merchants_events_are_listed_whole_and_in_order() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let merchants = [merchant(store.as_ref()).await, merchant(store.as_ref()).await];
    let mut racers = tokio::task::JoinSet::new();
    for number in 0..90 {
        let (store, mer) = (Arc::clone(&store), merchants[number % 2]);
        racers.spawn(async move {
            let begun = create(NOW_MS, terms(700, "u", CaptureMode::Automatic));
            let begun = store.commit(work(mer, NOW_MS, begun)).await.unwrap();
            let attempt_id = begun.payment.charge_attempt_id;
            let done = settle(&begun.payment, attempt_id, captured(700));
            let done = store.commit(work(mer, NOW_MS, done)).await.unwrap();
            (mer, [begun.event.unwrap(), done.event.unwrap()])
        });
    }
    let mut told: Vec<_> = racers.join_all().await;
    told.sort_unstable_by_key(|(mer, events)| (*mer, events[0].sequence));
    drop(store);
    let store = place.open(2).await;
    for mer in merchants {
        let mut expected: Vec<u64> = Vec::new();
        for (_, events) in told.iter().filter(|(whose, _)| *whose == mer) {
            expected.extend(events.iter().map(|event| event.sequence));
            let history = store.history(mer, events[0].payment_id).await.unwrap();
            assert_eq!(history, events.iter().map(|event| (**event).clone()).collect::<Vec<_>>());
        }
        expected.sort_unstable();
        assert_eq!(expected.len(), 90);
        for limit in [1, 7, 1_000] {
            let (mut listed, mut after) = (Vec::new(), 0);
            loop {
                let page = store.events(mer, after, limit).await.unwrap();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= limit);
                after = last.sequence;
                listed.extend(page.iter().map(|event| event.sequence));
            }
            assert_eq!(listed, expected, "{limit} a page");
        }
    }
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn deadlines_and_open_attempts_are_kept() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let begun =
        store.commit(work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Manual)))).await.unwrap();
    let charge = begun.payment.charge_attempt_id;
    let open_ids = |found: Vec<tollgate_core::attempt::Attempt>| {
        found.iter().map(|attempt| attempt.id).collect::<Vec<_>>()
    };
    assert_eq!(open_ids(store.open_attempts(None, 9).await.unwrap()), [charge]);
    assert!(store.open_attempts(Some(charge), 9).await.unwrap().is_empty());
    let authorized = Outcome::Authorized { processor_payment_id: "p".to_owned(), amount_minor: 700 };
    let held = store.commit(work(mer, NOW_MS, settle(&begun.payment, charge, authorized))).await.unwrap();
    assert!(store.open_attempts(None, 9).await.unwrap().is_empty());
    let lapses_ms = held.payment.expires_at_ms.unwrap();
    assert!(store.deadlines(lapses_ms, 9).await.unwrap().is_empty());
    assert_eq!(store.deadlines(lapses_ms + 1, 9).await.unwrap()[0].payment_id, begun.payment.id);
    let capture = Command::Capture {
        payment_id: begun.payment.id,
        attempt_id: AttemptId::from_u128(77),
        amount_minor: Some(300),
    };
    let taking = store.commit(work(mer, NOW_MS, capture)).await.unwrap();
    let failure = Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, "lost"));
    let lost = store
        .commit(work(mer, NOW_MS, settle(&taking.payment, AttemptId::from_u128(77), failure)))
        .await
        .unwrap();
    assert!(lost.event.is_none());
    assert_eq!(store.attempt(AttemptId::from_u128(77)).await.unwrap().unwrap().status, AttemptStatus::Open);
    let taken = store
        .commit(work(mer, NOW_MS, settle(&taking.payment, AttemptId::from_u128(77), captured(300))))
        .await
        .unwrap();
    assert_eq!((taken.payment.status, taken.payment.captured_minor), (PaymentStatus::Completed, 300));
    assert!(store.deadlines(u64::MAX, 9).await.unwrap().is_empty());
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn failures_are_counted_by_their_codes() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let fail = async |outcome: fn(Failure) -> Outcome, code: FailureCode| {
        let begun = store.commit(work(mer, NOW_MS, create(NOW_MS, terms(9, "u", CaptureMode::Automatic))));
        let begun = begun.await.unwrap().payment;
        let outcome = outcome(Failure::new(code, "no"));
        store.commit(work(mer, NOW_MS, settle(&begun, begun.charge_attempt_id, outcome))).await.unwrap();
    };
    fail(Outcome::Declined, FailureCode::InsufficientFunds).await;
    fail(Outcome::Declined, FailureCode::InsufficientFunds).await;
    fail(Outcome::NotTaken, FailureCode::ProcessorUnavailable).await;
    completed(store.as_ref(), mer, NOW_MS, 500, "u").await;
    drop(store);
    let store = place.open(2).await;
    let mut sum = Totals::default();
    for (_, totals) in store.totals(mer, 0, u32::MAX).await.unwrap() {
        sum.add(&totals);
    }
    let wanted = [(FailureCode::InsufficientFunds, 2), (FailureCode::ProcessorUnavailable, 1)];
    assert_eq!(sum.failures().collect::<Vec<_>>(), wanted);
    assert_clean(store.as_ref()).await;
}
