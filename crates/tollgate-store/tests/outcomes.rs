//! What every store must do with the log of what became of webhook deliveries.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Place, is_postgres};
use tollgate_core::id::{DeliveryId, EventId, IdParts, JobId, MerchantId, PaymentId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind};
use tollgate_core::webhook::filter::EventFilter;
use tollgate_core::webhook::outcome::{DeliveryFault, Happened, WebhookOutcome};
use tollgate_core::webhook::signing::{KeptSecret, SecretPair};
use tollgate_core::webhook::{Delivery, DeliveryAttempt, DeliveryState, DisabledBecause, WebhookEndpoint};
use tollgate_store::Store;
use tollgate_store::jobs::{JobStep, LeaseWish, LogReader, LogStep, Record, Settle, Work, Worked};
use tollgate_store::outcomes::{OUTCOMES_KEPT_MS, OutcomeRecord};

const NOW_MS: u64 = 1_790_000_000_000;
const KIND: JobKind = JobKind::WebhookDelivery;
const OWNER: u64 = 7;
const LANE: [u8; 16] = [1; 16];

fn parts(bucket: u16, random: u64) -> IdParts {
    IdParts { unix_ms: NOW_MS, sub_ms: 0, bucket, random }
}

fn merchant(bucket: u16) -> MerchantId {
    MerchantId::from_parts(parts(bucket, 1))
}

fn endpoint(bucket: u16) -> WebhookEndpoint {
    WebhookEndpoint {
        id: WebhookEndpointId::from_parts(parts(bucket, 1)),
        merchant_id: merchant(bucket),
        url: "https://example.com/hooks?token=hidden".to_owned(),
        description: None,
        events: EventFilter::read(["*"]).unwrap(),
        disabled: None,
        is_ordered: false,
        secrets: SecretPair::new(KeptSecret::Sealed(vec![7; 32])),
        failing_since_ms: None,
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
    }
}

fn delivery(bucket: u16, number: u64) -> Delivery {
    let event_id = EventId::from_parts(parts(bucket, number << 8));
    let endpoint_id = endpoint(bucket).id;
    Delivery {
        id: DeliveryId::of(event_id, endpoint_id),
        merchant_id: merchant(bucket),
        endpoint_id,
        event_id,
        event_type: "payment.completed".to_owned(),
        payment: Some((PaymentId::from_parts(parts(bucket, number)), 3)),
        event_at_ms: NOW_MS,
        state: DeliveryState::Waiting,
        tries: 0,
        next_at_ms: Some(NOW_MS),
        attempts: vec![],
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
    }
}

fn enqueue(delivery: &Delivery) -> JobStep {
    let id = JobId::from_u128(delivery.id.as_u128());
    let job = Job::new(id, delivery.merchant_id, KIND, LANE, vec![], (NOW_MS, NOW_MS));
    JobStep::Enqueue { job: Box::new(job), delivery: Some(Box::new(delivery.clone())) }
}

fn settle(delivery: &Delivery, owner: u64, how: Settle) -> JobStep {
    let id = JobId::from_u128(delivery.id.as_u128());
    JobStep::Settle { merchant_id: delivery.merchant_id, id, owner, how }
}

/// An attempt whose receiver answers with a status, and with what must not be told.
fn attempt(status: u16) -> Option<DeliveryAttempt> {
    let answer = Some("card 4242424242424242".to_owned());
    let error = (status >= 300).then(|| format!("the answer is {status}"));
    Some(DeliveryAttempt { at_ms: NOW_MS, took_ms: 12, status: Some(status), answer, error })
}

fn standing(delivery: &Delivery, attempt: Option<DeliveryAttempt>, state: DeliveryState) -> Record {
    let fault = match (&attempt, state) {
        (_, DeliveryState::Delivered) => None,
        (Some(_), _) => Some(DeliveryFault::Status),
        (None, _) => Some(DeliveryFault::EndpointDisabled),
    };
    let next_at_ms = (state == DeliveryState::Waiting).then_some(NOW_MS + 5_000);
    let (merchant_id, id) = (delivery.merchant_id, delivery.id);
    Record::Delivered { merchant_id, id, attempt, state, next_at_ms, fault }
}

async fn begin(store: &dyn Store, deliveries: &[&Delivery]) {
    let steps = deliveries.iter().map(|delivery| enqueue(delivery)).collect();
    store.work(Work { now_ms: NOW_MS, steps, ..Work::default() }).await.unwrap();
}

async fn lease(store: &dyn Store, now_ms: u64) -> usize {
    let lanes = vec![(LANE, 100)];
    let wish = LeaseWish { kind: KIND, owner: OWNER, now_ms, until_ms: now_ms + 60_000, lanes };
    store.lease_jobs(wish).await.unwrap().jobs.len()
}

/// Does work that is told.
async fn tell(store: &dyn Store, now_ms: u64, steps: Vec<JobStep>, records: Vec<Record>) -> Worked {
    store.work(Work { now_ms, steps, records, outcomes: true, ..Work::default() }).await.unwrap()
}

/// The log that a store keeps of the merchants of a bucket: the one there is something in.
async fn all(store: &dyn Store) -> Vec<(u16, OutcomeRecord)> {
    let mut found = Vec::new();
    for log in 0..store.logs() {
        let (mut after, mut page) = (0, store.outcomes_of(log, 0, 100).await.unwrap());
        while let Some(last) = page.last() {
            after = last.sequence.max(after + 1);
            found.extend(page.drain(..).map(|record| (log, record)));
            page = store.outcomes_of(log, after, 100).await.unwrap();
        }
    }
    found
}

fn names(found: &[(u16, OutcomeRecord)]) -> Vec<(u64, &'static str)> {
    found.iter().map(|(_, record)| (record.sequence, record.outcome.name())).collect()
}

#[tokio::test]
async fn what_becomes_of_a_delivery_is_told_in_its_order_and_only_where_it_is_wanted() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let (first, second) = (delivery(5, 1), delivery(5, 2));
    begin(&*store, &[&first, &second]).await;
    assert_eq!(lease(&*store, NOW_MS).await, 2);
    // Where nobody reads it, nothing is written.
    let silent = Work {
        now_ms: NOW_MS,
        steps: vec![settle(&second, OWNER, Settle::Done)],
        records: vec![
            standing(&second, attempt(200), DeliveryState::Delivered),
            Record::PutEndpoint(Box::new(endpoint(5))),
        ],
        ..Work::default()
    };
    assert_eq!(store.work(silent).await.unwrap(), Worked::Done);
    assert_eq!(all(&*store).await, []);

    let retry = || vec![settle(&first, OWNER, Settle::Retry { at_ms: NOW_MS + 10, error: String::new() })];
    let failed = || vec![standing(&first, attempt(500), DeliveryState::Waiting)];
    // A lease that is somebody else's: nothing happens and nothing is told, and no number is gone.
    let stranger = settle(&first, OWNER + 1, Settle::Done);
    assert_eq!(tell(&*store, NOW_MS + 1, vec![stranger], failed()).await, Worked::Stale);
    assert_eq!(tell(&*store, NOW_MS + 2, retry(), failed()).await, Worked::Done);
    assert_eq!(lease(&*store, NOW_MS + 20).await, 1);
    let done = vec![settle(&first, OWNER, Settle::Done)];
    let delivered = vec![standing(&first, attempt(204), DeliveryState::Delivered)];
    assert_eq!(tell(&*store, NOW_MS + 30, done, delivered).await, Worked::Done);
    // Given up without a sending, twice: the second changes nothing. Then cancelled.
    let dead = || standing(&second, None, DeliveryState::Dead);
    tell(&*store, NOW_MS + 40, vec![], vec![dead(), dead()]).await;
    tell(&*store, NOW_MS + 50, vec![], vec![standing(&second, None, DeliveryState::Cancelled)]).await;
    // A delivery that is not there has no outcome.
    let gone = standing(&delivery(5, 9), attempt(200), DeliveryState::Delivered);
    tell(&*store, NOW_MS + 60, vec![], vec![gone]).await;

    let found = all(&*store).await;
    assert_eq!(names(&found), [(1, "failed"), (2, "delivered"), (3, "dead"), (4, "cancelled")]);
    let OutcomeRecord { outcome, .. } = &found[0].1;
    let part = outcome.delivery().unwrap();
    assert_eq!((outcome.merchant_id, outcome.endpoint_id), (first.merchant_id, first.endpoint_id));
    assert_eq!((part.delivery_id, part.event_id), (first.id, first.event_id));
    assert_eq!(
        (part.event_type.as_str(), part.payment_id),
        ("payment.completed", first.payment.map(|(id, _)| id))
    );
    assert_eq!((part.attempt, part.status, part.duration_ms), (1, Some(500), Some(12)));
    assert_eq!((part.fault, outcome.at_ms), (Some(DeliveryFault::Status), NOW_MS + 2));
    assert!(
        matches!(outcome.happened, Happened::Failed { next_at_ms: Some(at), .. } if at == NOW_MS + 5_000)
    );
    assert_eq!(outcome.id(), format!("{}-1-failed", first.id));
    assert_eq!(found[1].1.outcome.id(), format!("{}-2-delivered", first.id));
    let part = found[2].1.outcome.delivery().unwrap();
    assert_eq!(
        (part.attempt, part.duration_ms, part.fault),
        (1, None, Some(DeliveryFault::EndpointDisabled))
    );
    for (_, record) in &found {
        let text = format!("{record:?}");
        assert!(!text.contains("4242424242424242") && !text.contains("hidden"), "{text}");
    }
    // It is all there after a restart, and goes on.
    drop(store);
    let store = place.open(OWNER + 1).await;
    assert_eq!(all(&*store).await, found);
    tell(&*store, NOW_MS + 70, vec![], vec![standing(&second, attempt(500), DeliveryState::Dead)]).await;
    assert_eq!(names(&all(&*store).await)[4..], [(5, "dead")]);
}

#[tokio::test]
async fn an_endpoint_that_is_disabled_or_enabled_is_told_of_once() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let asked = endpoint(5);
    let put = |disabled| Record::PutEndpoint(Box::new(WebhookEndpoint { disabled, ..asked.clone() }));
    let health = |disable| Record::EndpointHealth {
        merchant_id: asked.merchant_id,
        id: asked.id,
        failing_since_ms: Some(NOW_MS),
        disable,
    };
    // A new one, and one that only begins to fail, are no news.
    for (at_ms, record) in [
        (1, put(None)),
        (2, health(None)),
        (3, health(Some(DisabledBecause::Failing))),
        (4, health(Some(DisabledBecause::Gone))),
        (5, put(None)),
        (6, put(None)),
        (7, put(Some(DisabledBecause::Asked))),
    ] {
        tell(&*store, NOW_MS + at_ms, vec![], vec![record]).await;
    }
    let found = all(&*store).await;
    let told: Vec<(&Happened, u64)> =
        found.iter().map(|(_, record)| (&record.outcome.happened, record.outcome.at_ms - NOW_MS)).collect();
    assert_eq!(
        told,
        [
            (&Happened::EndpointDisabled(DisabledBecause::Failing), 3),
            (&Happened::EndpointEnabled, 5),
            (&Happened::EndpointDisabled(DisabledBecause::Asked), 7),
        ]
    );
    assert!(found.iter().all(|(_, record)| !format!("{record:?}").contains("hidden")));
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was_and_apart_from_the_readers_of_events() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let one = delivery(5, 1);
    begin(&*store, &[&one]).await;
    for number in 1..=5 {
        tell(&*store, NOW_MS + number, vec![], vec![standing(&one, attempt(500), DeliveryState::Waiting)])
            .await;
    }
    let log = all(&*store).await[0].0;
    let step = |from, to| Work {
        now_ms: NOW_MS,
        log: Some(LogStep { reader: LogReader::Outcomes, from, to }),
        log_of: log,
        ..Work::default()
    };
    assert_eq!(store.log_read_of(log, LogReader::Outcomes).await.unwrap(), 0);
    let page = store.outcomes_of(log, 0, 3).await.unwrap();
    assert_eq!(page.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.work(step(0, 3)).await.unwrap(), Worked::Done);
    // Somebody else who read the same comes too late.
    assert_eq!(store.work(step(0, 2)).await.unwrap(), Worked::Stale);
    let upto = store.log_read_of(log, LogReader::Outcomes).await.unwrap();
    let page = store.outcomes_of(log, upto, 3).await.unwrap();
    assert_eq!(page.iter().map(|record| record.sequence).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(store.outcomes_of(log, 5, 3).await.unwrap(), []);
    assert_eq!(store.log_read_of(log, LogReader::Webhooks).await.unwrap(), 0);
}

#[tokio::test]
async fn what_has_outlived_its_time_goes_read_or_not_and_numbers_go_on() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let one = delivery(5, 1);
    begin(&*store, &[&one]).await;
    let failed = || vec![standing(&one, attempt(500), DeliveryState::Waiting)];
    for number in 1..=30 {
        tell(&*store, NOW_MS + number, vec![], failed()).await;
    }
    // Each new one makes room for itself and some more, and for no more than that.
    let late_ms = NOW_MS + 20 + OUTCOMES_KEPT_MS;
    tell(&*store, NOW_MS + 10 + OUTCOMES_KEPT_MS, vec![], failed()).await;
    assert_eq!(names(&all(&*store).await)[0].0, 10, "what is older than seven days is gone, read or not");
    tell(&*store, late_ms, vec![], failed()).await;
    assert_eq!(names(&all(&*store).await)[0].0, 14, "four for one");
    // Nobody tells anything any more: what is there goes by itself, with the work there is.
    let idle_ms = late_ms + OUTCOMES_KEPT_MS + 60_000;
    store.work(Work { now_ms: idle_ms, ..Work::default() }).await.unwrap();
    lease(&*store, idle_ms + 1).await;
    assert_eq!(all(&*store).await, []);
    drop(store);
    // Though none is left, no number comes twice.
    let store = place.open(OWNER + 1).await;
    tell(&*store, idle_ms + 2, vec![], failed()).await;
    assert_eq!(names(&all(&*store).await), [(33, "failed")]);
}

/// Deliveries of one bucket each, sent again and again.
async fn send(store: Arc<dyn Store>, bucket: u16, rounds: u64) {
    let deliveries: Vec<Delivery> = (1..=5).map(|number| delivery(bucket, number)).collect();
    begin(&*store, &deliveries.iter().collect::<Vec<_>>()).await;
    for round in 1..=rounds {
        let records =
            deliveries.iter().map(|one| standing(one, attempt(500), DeliveryState::Waiting)).collect();
        tell(&*store, NOW_MS + round, vec![], records).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_seen_in_their_order_without_gaps_and_with_what_they_tell_of() {
    const ROUNDS: u64 = 40;
    let place = Place::new().await;
    let first: Arc<dyn Store> = place.open(OWNER).await;
    // Several instances number one log.
    let second = if is_postgres() { place.open(OWNER + 1).await } else { Arc::clone(&first) };
    let is_over = Arc::new(AtomicBool::new(false));
    let mut senders = tokio::task::JoinSet::new();
    for bucket in 5..11 {
        let store = Arc::clone(if bucket % 2 == 0 { &first } else { &second });
        senders.spawn(send(store, bucket, ROUNDS));
    }
    let reading = {
        let (store, is_over) = (Arc::clone(&second), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut seen: BTreeMap<u16, (u64, Vec<WebhookOutcome>)> = BTreeMap::new();
            let mut behind = 0;
            loop {
                let was_over = is_over.load(Ordering::Relaxed);
                let watched = delivery(6, 1);
                let before = store.delivery(watched.merchant_id, watched.id).await.unwrap();
                let mut count = 0;
                for log in 0..store.logs() {
                    let (last, known) = seen.entry(log).or_default();
                    loop {
                        let page = store.outcomes_of(log, *last, 1_000).await.unwrap();
                        count += page.len();
                        let is_end = page.len() < 1_000;
                        for record in page {
                            assert_eq!(record.sequence, *last + 1, "a gap, or out of order");
                            *last = record.sequence;
                            known.push(record.outcome);
                        }
                        if is_end {
                            break;
                        }
                    }
                }
                // What is settled is told: the delivery was read first.
                let told = seen.values().flat_map(|(_, known)| known).filter_map(WebhookOutcome::delivery);
                let told = told.filter(|part| part.delivery_id == watched.id).map(|part| part.attempt).max();
                let sent = before.map_or(0, |delivery| delivery.tries);
                // A row by itself may be seen a moment before a scan sees its commit.
                behind = if told.unwrap_or(0) >= sent { 0 } else { behind + 1 };
                assert!(behind < 100, "sent {sent} times, told {told:?}");
                // And what is told is settled.
                let after = store.delivery(watched.merchant_id, watched.id).await.unwrap();
                let sent = after.map_or(0, |delivery| delivery.tries);
                assert!(told.unwrap_or(0) <= sent, "sent {sent} times, told {told:?}");
                if count == 0 && was_over {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    senders.join_all().await;
    is_over.store(true, Ordering::Relaxed);
    let seen = reading.await.unwrap();
    let mut attempts: HashMap<DeliveryId, u32> = HashMap::new();
    let mut ids = std::collections::HashSet::new();
    for outcome in seen.values().flat_map(|(_, known)| known) {
        let part = outcome.delivery().unwrap();
        let before = attempts.insert(part.delivery_id, part.attempt).unwrap_or(0);
        assert_eq!(part.attempt, before + 1, "each attempt once, in its order");
        assert!(ids.insert(outcome.id()));
    }
    assert_eq!(attempts.len(), 30);
    assert!(attempts.values().all(|count| u64::from(*count) == ROUNDS));
}
