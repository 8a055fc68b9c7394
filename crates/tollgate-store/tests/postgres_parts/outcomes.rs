//! The log of outcomes: a delivery and what is told of it are one transaction, and payments do not wait for it.

use crate::support::Database;
use crate::{NOW_MS, create, merchant};
use std::time::Duration;
use tollgate_core::id::{DeliveryId, EventId, IdParts, JobId, MerchantId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind};
use tollgate_core::webhook::outcome::DeliveryFault;
use tollgate_core::webhook::{Delivery, DeliveryAttempt, DeliveryState};
use tollgate_store::Store;
use tollgate_store::jobs::{JobStep, Record, Work, Worked};

fn delivery(merchant_id: MerchantId) -> Delivery {
    let parts = IdParts { unix_ms: NOW_MS, sub_ms: 0, bucket: merchant_id.bucket(), random: 77 };
    let (event_id, endpoint_id) = (EventId::from_parts(parts), WebhookEndpointId::from_parts(parts));
    Delivery {
        id: DeliveryId::of(event_id, endpoint_id),
        merchant_id,
        endpoint_id,
        event_id,
        event_type: "payment.completed".to_owned(),
        payment: None,
        event_at_ms: NOW_MS,
        state: DeliveryState::Waiting,
        tries: 0,
        next_at_ms: Some(NOW_MS),
        attempts: vec![],
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
    }
}

async fn begin(store: &dyn Store, delivery: &Delivery) {
    let id = JobId::from_u128(delivery.id.as_u128());
    let kind = JobKind::WebhookDelivery;
    let job = Job::new(id, delivery.merchant_id, kind, [1; 16], vec![], (NOW_MS, NOW_MS));
    let steps = vec![JobStep::Enqueue { job: Box::new(job), delivery: Some(Box::new(delivery.clone())) }];
    store.work(Work { now_ms: NOW_MS, steps, ..Work::default() }).await.unwrap();
}

fn failed(delivery: &Delivery) -> Work {
    let attempt = DeliveryAttempt { at_ms: NOW_MS, took_ms: 3, status: Some(500), answer: None, error: None };
    let record = Record::Delivered {
        merchant_id: delivery.merchant_id,
        id: delivery.id,
        attempt: Some(attempt),
        state: DeliveryState::Waiting,
        next_at_ms: Some(NOW_MS + 5_000),
        fault: Some(DeliveryFault::Status),
    };
    Work { now_ms: NOW_MS + 1, records: vec![record], outcomes: true, ..Work::default() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_delivery_and_its_outcome_are_there_together_or_not_at_all() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let id = merchant(store.as_ref(), 1).await;
    let one = delivery(id);
    begin(store.as_ref(), &one).await;
    let tries = async || store.delivery(one.merchant_id, one.id).await.unwrap().unwrap().tries;
    let told = async || store.outcomes_of(0, 0, 10).await.unwrap().len();
    // The log cannot be written: nothing is settled.
    let client = database.client().await;
    client.batch_execute("ALTER TABLE webhook_outcomes RENAME TO away").await.unwrap();
    assert!(store.work(failed(&one)).await.is_err());
    client.batch_execute("ALTER TABLE away RENAME TO webhook_outcomes").await.unwrap();
    assert_eq!((tries().await, told().await), (0, 0));
    // Somebody holds the log's head: whoever settles something waits, and payments do not.
    client.batch_execute("BEGIN; SELECT 1 FROM outcome_head WHERE id = 1 FOR UPDATE").await.unwrap();
    let settling = tokio::spawn({
        let (store, work) = (std::sync::Arc::clone(&store), failed(&one));
        async move { store.work(work).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let paying = store.commit(create(id, 100, NOW_MS));
    tokio::time::timeout(Duration::from_secs(2), paying).await.expect("payments pass").unwrap();
    assert!(!settling.is_finished());
    assert_eq!((tries().await, told().await), (0, 0));
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(settling.await.unwrap().unwrap(), Worked::Done);
    assert_eq!((tries().await, told().await), (1, 1));
    let numbers = store.outcomes_of(0, 0, 10).await.unwrap();
    assert_eq!(numbers[0].sequence, 1, "what was not committed has taken no number");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn where_nothing_is_told_the_head_is_left_alone() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let id = merchant(store.as_ref(), 1).await;
    let one = delivery(id);
    begin(store.as_ref(), &one).await;
    let client = database.client().await;
    client.batch_execute("BEGIN; SELECT 1 FROM outcome_head WHERE id = 1 FOR UPDATE").await.unwrap();
    let silent = store.work(Work { outcomes: false, ..failed(&one) });
    let worked = tokio::time::timeout(Duration::from_secs(2), silent).await.expect("it is not waited for");
    assert_eq!(worked.unwrap(), Worked::Done);
    client.batch_execute("ROLLBACK").await.unwrap();
}
