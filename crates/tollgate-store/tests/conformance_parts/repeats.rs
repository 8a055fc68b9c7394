//! What comes twice: requests under one key, and messages.

use super::support::Place;
use super::{NOW_MS, assert_clean, captured, create, merchant, refund_of, render, settle, terms, work};
use std::sync::Arc;
use tollgate_core::method::CaptureMode;
use tollgate_store::commit::{CommitError, IdempotencyStep};

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_makes_one_payment() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let begin = |fingerprint: u8| {
        let mut commit = work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Automatic)));
        commit.idempotency =
            Some(IdempotencyStep::Begin { key: "k".to_owned(), fingerprint: [fingerprint; 32] });
        commit
    };
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, commit) = (Arc::clone(&store), begin(1));
        racers.spawn(async move { store.commit(commit).await });
    }
    let mut results = racers.join_all().await;
    results.sort_by_key(Result::is_err);
    let won = results.remove(0).unwrap();
    assert!(results.iter().all(|result| matches!(result, Err(CommitError::KeyInFlight))));
    assert!(matches!(store.commit(begin(2)).await, Err(CommitError::KeyMismatch)));

    let mut finish = work(mer, NOW_MS, settle(&won.payment, won.payment.charge_attempt_id, captured(700)));
    let payment_id = won.payment.id;
    finish.idempotency = Some(IdempotencyStep::Finish {
        key: "k".to_owned(),
        payment_id,
        refund_id: None,
        claimed_ms: None,
        render,
    });
    let reply = store.commit(finish).await.unwrap().reply.unwrap();
    assert_eq!(reply, render(&store.payment(mer, payment_id).await.unwrap().unwrap(), None));
    let again = store.commit(begin(1)).await;
    assert!(matches!(&again, Err(CommitError::Replay(again)) if *again == reply), "{again:?}");
    drop(store);
    let store = place.open(2).await;
    assert!(matches!(store.commit(begin(1)).await, Err(CommitError::Replay(again)) if again == reply));
    assert!(matches!(store.commit(begin(2)).await, Err(CommitError::KeyMismatch)));

    // A day later the key is free again.
    let mut later = begin(2);
    later.now_ms += 86_400_001;
    assert!(store.commit(later).await.is_ok());
}

#[tokio::test]
async fn nobody_answers_under_another_request_s_key() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let mut begin = work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Automatic)));
    let other = store.commit(begin.clone()).await.unwrap().payment.id;
    begin.command = Some(create(NOW_MS, terms(700, "u", CaptureMode::Automatic)));
    begin.idempotency = Some(IdempotencyStep::Begin { key: "k".to_owned(), fingerprint: [1; 32] });
    let won = store.commit(begin.clone()).await.unwrap().payment.id;
    let finish_claim = |payment_id, claimed_ms| {
        let key = "k".to_owned();
        let step = IdempotencyStep::Finish { key, payment_id, refund_id: None, claimed_ms, render };
        let mut finish = begin.clone();
        (finish.command, finish.idempotency) = (None, Some(step));
        finish
    };
    let finish = |payment_id| finish_claim(payment_id, None);
    // One whose own claim was never made, though it may have believed so; of another payment, and of the same one before.
    store.commit(finish_claim(won, Some(NOW_MS - 1))).await.unwrap().reply.unwrap();
    assert!(matches!(store.commit(begin.clone()).await, Err(CommitError::KeyInFlight)));
    let reply = store.commit(finish(other)).await.unwrap().reply.unwrap();
    assert_eq!(reply, render(&store.payment(mer, other).await.unwrap().unwrap(), None));
    assert!(matches!(store.commit(begin.clone()).await, Err(CommitError::KeyInFlight)));
    let reply = store.commit(finish_claim(won, Some(NOW_MS))).await.unwrap().reply.unwrap();
    let again = store.commit(begin).await;
    assert!(matches!(&again, Err(CommitError::Replay(again)) if *again == reply), "{again:?}");
}

#[tokio::test]
async fn a_claim_of_a_dead_run_is_adopted_once() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let mut begin = work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Automatic)));
    begin.idempotency = Some(IdempotencyStep::Begin { key: "k".to_owned(), fingerprint: [1; 32] });
    let begun = store.commit(begin.clone()).await.unwrap();
    drop(store);
    let store = place.open(2).await;
    let Err(CommitError::KeyOrphaned { payment_id, .. }) = store.commit(begin.clone()).await else {
        panic!("the dead run's claim was not noticed");
    };
    assert_eq!(payment_id, begun.payment.id);
    let mut adopt = work(mer, NOW_MS, refund_of(&begun.payment, None));
    adopt.command = None;
    adopt.idempotency = Some(IdempotencyStep::Finish {
        key: "k".to_owned(),
        payment_id,
        refund_id: None,
        claimed_ms: None,
        render,
    });
    let first = store.commit(adopt.clone()).await.unwrap().reply.unwrap();
    store
        .commit(work(mer, NOW_MS, settle(&begun.payment, begun.payment.charge_attempt_id, captured(700))))
        .await
        .unwrap();
    let second = store.commit(adopt).await.unwrap().reply.unwrap();
    assert_eq!(first, second);
    assert!(matches!(store.commit(begin).await, Err(CommitError::Replay(again)) if again == first));
}

#[tokio::test]
async fn messages_are_booked_once() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let begun = store
        .commit(work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Automatic))))
        .await
        .unwrap();
    let mut message =
        work(mer, NOW_MS, settle(&begun.payment, begun.payment.charge_attempt_id, captured(700)));
    message.message = Some("razorpay:evt_1".to_owned());
    assert!(store.commit(message.clone()).await.unwrap().event.is_some());
    assert!(matches!(store.commit(message.clone()).await, Err(CommitError::DuplicateMessage)));
    message.message = Some("razorpay:evt_2".to_owned());
    assert!(store.commit(message).await.unwrap().event.is_none());
    assert_clean(store.as_ref()).await;
}
