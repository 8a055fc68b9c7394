//! The logs of outcomes, one a shard: what nobody has read goes along with its bucket.

use crate::support::Shards;
use crate::{NOW_MS, QUICK, merchant, parts, rows_of};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tollgate_core::id::{DeliveryId, EventId, JobId, MerchantId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind};
use tollgate_core::webhook::outcome::DeliveryFault;
use tollgate_core::webhook::{Delivery, DeliveryAttempt, DeliveryState};
use tollgate_store::Store;
use tollgate_store::cached::{CacheOptions, CachedStore};
use tollgate_store::jobs::{JobStep, LogReader, LogStep, Record, Work, Worked};
use tollgate_store::outcomes::OUTCOMES_KEPT_MS;
use tollgate_store::sharded::{MoveOptions, ShardedStore, Stage, move_bucket, unwatched};

async fn begin(store: &dyn Store, merchant_id: MerchantId) -> Delivery {
    let parts = parts(merchant_id.bucket());
    let (event_id, endpoint_id) = (EventId::from_parts(parts), WebhookEndpointId::from_parts(parts));
    let delivery = Delivery {
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
    };
    let id = JobId::from_u128(delivery.id.as_u128());
    let (kind, lane) = (JobKind::WebhookDelivery, endpoint_id.to_bytes());
    let job = Job::new(id, merchant_id, kind, lane, vec![], (NOW_MS, NOW_MS));
    let steps = vec![JobStep::Enqueue { job: Box::new(job), delivery: Some(Box::new(delivery.clone())) }];
    store.work(Work { now_ms: NOW_MS, steps, ..Work::default() }).await.unwrap();
    delivery
}

fn failed(delivery: &Delivery) -> Record {
    let attempt = DeliveryAttempt { at_ms: NOW_MS, took_ms: 3, status: Some(500), answer: None, error: None };
    Record::Delivered {
        merchant_id: delivery.merchant_id,
        id: delivery.id,
        attempt: Some(attempt),
        state: DeliveryState::Waiting,
        next_at_ms: Some(NOW_MS + 5_000),
        fault: Some(DeliveryFault::Status),
    }
}

/// Sends deliveries once more, in one piece of work.
async fn send(store: &dyn Store, now_ms: u64, deliveries: &[&Delivery]) {
    let records = deliveries.iter().map(|delivery| failed(delivery)).collect();
    let work = Work { now_ms, records, outcomes: true, ..Work::default() };
    assert_eq!(store.work(work).await.unwrap(), Worked::Done);
}

/// Reads what is new in all logs: the deliveries and their attempts.
async fn read(store: &ShardedStore, at: &mut HashMap<u16, u64>, seen: &mut Vec<(DeliveryId, u32)>) -> usize {
    let mut count = 0;
    for log in 0..store.logs() {
        let from = match at.get(&log) {
            Some(from) => *from,
            // A move has begun it behind what was there.
            None => store.log_read_of(log, LogReader::Outcomes).await.unwrap(),
        };
        let page = store.outcomes_of(log, from, 500).await.unwrap();
        let Some(to) = page.last().map(|record| record.sequence) else {
            continue;
        };
        let step = LogStep { reader: LogReader::Outcomes, from, to };
        let work = Work { now_ms: NOW_MS, log: Some(step), log_of: log, ..Work::default() };
        assert_eq!(store.work(work).await.unwrap(), Worked::Done);
        assert!(page.is_sorted_by(|a, b| a.sequence < b.sequence));
        seen.extend(page.iter().map(|record| {
            let part = record.outcome.delivery().unwrap();
            (part.delivery_id, part.attempt)
        }));
        at.insert(log, to);
        count += page.len();
    }
    count
}

async fn numbers(store: &ShardedStore, log: u16) -> Vec<u64> {
    store.outcomes_of(log, 0, 99).await.unwrap().iter().map(|record| record.sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn outcomes_that_nobody_has_read_are_the_targets_and_those_that_were_are_not_read_again() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let moved = begin(store.as_ref(), merchant(store.as_ref(), 4).await).await;
    let stays = begin(store.as_ref(), merchant(store.as_ref(), 6).await).await;
    let there = begin(store.as_ref(), merchant(store.as_ref(), 5).await).await;
    // Work of two shards is told at both.
    send(store.as_ref(), NOW_MS, &[&moved, &stays, &there]).await;
    for _ in 0..5 {
        send(store.as_ref(), NOW_MS, &[&moved]).await;
    }
    assert_eq!((numbers(&store, 0).await, numbers(&store, 1).await), ((1..=7).collect(), vec![1]));
    let (mut at, mut seen) = (HashMap::new(), Vec::new());
    assert_eq!(read(&store, &mut at, &mut seen).await, 8);
    send(store.as_ref(), NOW_MS, &[&moved, &stays]).await;
    send(store.as_ref(), NOW_MS, &[&moved]).await;
    // Stopped dead with the bucket closed, once: what was numbered at the target is numbered anew.
    for killed_at in [Stage::Paused, Stage::Switched] {
        let watch =
            move |stage| if stage == killed_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        assert!(move_bucket(&shards.options(0), 4, 1, QUICK, &watch).await.is_err());
        if killed_at == Stage::Paused {
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    }
    move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    assert_eq!(rows_of(&shards.0[0], 4).await, 0, "nothing is left behind");
    // The source's log has what is still its own; the target's has the rest, behind all numbers that the source gave.
    assert_eq!(numbers(&store, 0).await[..], [2, 9], "those of the merchant that stays");
    assert_eq!(numbers(&store, 1).await, [1, 11, 12]);
    send(store.as_ref(), NOW_MS, &[&moved]).await;
    assert_eq!(numbers(&store, 1).await, [1, 11, 12, 13]);
    assert_eq!(read(&store, &mut at, &mut seen).await, 4);
    let of = |delivery: &Delivery| -> Vec<u32> {
        seen.iter().filter(|(id, _)| *id == delivery.id).map(|(_, attempt)| *attempt).collect()
    };
    assert_eq!(of(&moved), (1..=9).collect::<Vec<_>>(), "each once, in its order");
    assert_eq!((of(&stays), of(&there)), (vec![1, 2], vec![1]));
    // Home again: nothing is unread, and nothing is told twice.
    let report = move_bucket(&shards.options(0), 4, 0, QUICK, &unwatched).await.unwrap();
    assert_eq!(report.outcomes_taken, 0);
    assert_eq!(read(&store, &mut at, &mut seen).await, 0);
    // What came along and was read already goes with its time, too.
    send(store.as_ref(), NOW_MS + OUTCOMES_KEPT_MS + 100_000, &[&moved]).await;
    let client = shards.0[0].client().await;
    let left = client.query_one("SELECT count(*) FROM webhook_outcomes", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn what_is_read_between_two_tries_to_switch_is_not_read_again() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let moved = begin(store.as_ref(), merchant(store.as_ref(), 4).await).await;
    let (mut at, mut seen) = (HashMap::new(), Vec::new());
    send(store.as_ref(), NOW_MS, &[&moved]).await;
    assert_eq!(read(&store, &mut at, &mut seen).await, 1);
    for _ in 0..3 {
        send(store.as_ref(), NOW_MS, &[&moved]).await;
    }
    // The outcomes are taken over, and then it takes too long: somebody holds the events' head.
    let client = shards.0[1].client().await;
    client.batch_execute("BEGIN; SELECT 1 FROM log_head WHERE id = 1 FOR UPDATE").await.unwrap();
    let options = shards.options(0);
    let moving = tokio::spawn(async move {
        let patient = MoveOptions { pause_max_ms: 300, pauses_max: 20, ..QUICK };
        move_bucket(&options, 4, 1, patient, &unwatched).await
    });
    let there = shards.0[1].client().await;
    let query = "SELECT count(*) FROM webhook_outcomes WHERE in_log";
    while there.query_one(query, &[]).await.unwrap().get::<_, i64>(0) != 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The reader of the source's log goes on meanwhile.
    let page = store.outcomes_of(0, 1, 9).await.unwrap();
    assert_eq!(page.len(), 3);
    let step = LogStep { reader: LogReader::Outcomes, from: 1, to: 4 };
    let work = Work { now_ms: NOW_MS, log: Some(step), ..Work::default() };
    assert_eq!(store.work(work).await.unwrap(), Worked::Done);
    at.insert(0, 4);
    send(store.as_ref(), NOW_MS, &[&moved]).await;
    client.batch_execute("ROLLBACK").await.unwrap();
    let report = moving.await.unwrap().unwrap();
    assert!(report.pauses_in_vain > 0 && report.outcomes_taken == 1, "{report:?}");
    assert_eq!(read(&store, &mut at, &mut seen).await, 1);
    assert_eq!(seen, [(moved.id, 1), (moved.id, 5)], "the others were read before");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_bucket_is_moved_to_and_fro_while_deliveries_go_on_and_each_outcome_is_read_once() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let mut deliveries = Vec::new();
    for bucket in [4, 4, 5, 6] {
        deliveries.push(begin(store.as_ref(), merchant(store.as_ref(), bucket).await).await);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let sending = {
        let (store, is_over, deliveries) = (Arc::clone(&store), Arc::clone(&is_over), deliveries.clone());
        tokio::spawn(async move {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                for delivery in &deliveries {
                    send(store.as_ref(), NOW_MS, &[delivery]).await;
                }
                sent += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            sent
        })
    };
    let reading = {
        let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
        tokio::spawn(async move {
            let (mut at, mut seen) = (HashMap::new(), Vec::new());
            loop {
                let was_over = is_over.load(Ordering::Relaxed);
                if read(&store, &mut at, &mut seen).await == 0 && was_over {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        })
    };
    let mut taken = 0;
    for to in [1, 0, 1] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        taken += move_bucket(&shards.options(0), 4, to, QUICK, &unwatched).await.unwrap().outcomes_taken;
    }
    is_over.store(true, Ordering::Relaxed);
    let sent: u32 = sending.await.unwrap();
    // Who has stopped sending has stopped: the reader's last look was after that, or is made up for here.
    let mut seen = reading.await.unwrap();
    let mut at = HashMap::new();
    for log in 0..store.logs() {
        at.insert(log, store.log_read_of(log, LogReader::Outcomes).await.unwrap());
    }
    read(&store, &mut at, &mut seen).await;
    assert!(taken > 0 && sent > 10, "{taken} taken, {sent} sent");
    for delivery in &deliveries {
        let mut attempts: Vec<u32> =
            seen.iter().filter(|(id, _)| *id == delivery.id).map(|(_, attempt)| *attempt).collect();
        // What is being read while it is taken over is seen twice, as after a crash.
        let mut distinct = std::collections::HashSet::new();
        attempts.retain(|attempt| distinct.insert(*attempt));
        assert_eq!(attempts, (1..=sent).collect::<Vec<_>>(), "{}", delivery.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_cache_before_the_shards_reads_every_shards_logs() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let there = begin(store.as_ref(), merchant(store.as_ref(), 5).await).await;
    send(store.as_ref(), NOW_MS, &[&there]).await;
    let begun = store.commit(crate::create(there.merchant_id, 100)).await.unwrap().event.unwrap();
    let cached = CachedStore::new(store.clone(), None, CacheOptions { bytes_max: 1 << 20 });
    assert_eq!(cached.logs(), 2);
    assert_eq!(cached.outcomes_of(1, 0, 9).await.unwrap().len(), 1);
    assert_eq!(cached.outcomes_of(0, 0, 9).await.unwrap(), []);
    assert_eq!(cached.outbox_of(1, 0, 9).await.unwrap()[0].id, begun.id);
    assert_eq!(cached.outbox_of(0, 0, 9).await.unwrap(), []);
    let step = LogStep { reader: LogReader::Outcomes, from: 0, to: 1 };
    let work = Work { now_ms: NOW_MS, log: Some(step), log_of: 1, ..Work::default() };
    assert_eq!(cached.work(work).await.unwrap(), Worked::Done);
    assert_eq!(cached.log_read_of(1, LogReader::Outcomes).await.unwrap(), 1);
    assert_eq!(cached.log_read_of(0, LogReader::Outcomes).await.unwrap(), 0);
}
