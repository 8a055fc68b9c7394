//! What every store must do with jobs, and with what is committed with them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::sync::Arc;
use support::Place;
use tollgate_core::id::{DeliveryId, EventId, IdParts, JobId, MerchantId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind, JobState, Private, Turn};
use tollgate_core::webhook::filter::EventFilter;
use tollgate_core::webhook::signing::{KeptSecret, SecretPair};
use tollgate_core::webhook::{Delivery, DeliveryAttempt, DeliveryState, DisabledBecause, WebhookEndpoint};
use tollgate_store::Store;
use tollgate_store::jobs::{
    DELIVERIES_KEPT_MS, DeliveryFilter, DueLane, Hold, HoldStep, JOBS_KEPT_MS, JobFilter, JobStep, LeaseWish,
    Leased, LogPlace, LogReader, LogStep, Record, Settle, Work, Worked,
};

const NOW_MS: u64 = 1_790_000_000_000;
const KIND: JobKind = JobKind::WebhookDelivery;
const OWNER: u64 = 7;

fn parts(unix_ms: u64, random: u64) -> IdParts {
    IdParts { unix_ms, sub_ms: 0, bucket: 5, random }
}

fn merchant(number: u64) -> MerchantId {
    MerchantId::from_parts(parts(NOW_MS, number))
}

fn job(number: u64, lane: u8, run_at_ms: u64) -> Job {
    let id = JobId::from_parts(parts(NOW_MS, number));
    Job::new(id, merchant(1), KIND, [lane; 16], vec![1, 2], (run_at_ms, NOW_MS))
}

fn due(lane: u8, at_ms: u64) -> DueLane {
    DueLane { lane: [lane; 16], merchant_id: merchant(1), at_ms }
}

fn endpoint() -> WebhookEndpoint {
    WebhookEndpoint {
        id: WebhookEndpointId::from_parts(parts(NOW_MS, 1)),
        merchant_id: merchant(1),
        url: "https://example.com/hooks".to_owned(),
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

fn delivery(number: u64, at_ms: u64) -> Delivery {
    let event_id = EventId::from_parts(parts(at_ms, number << 8));
    let endpoint_id = endpoint().id;
    Delivery {
        id: DeliveryId::of(event_id, endpoint_id),
        merchant_id: merchant(1),
        endpoint_id,
        event_id,
        event_type: "payment.completed".to_owned(),
        payment: None,
        event_at_ms: at_ms,
        state: DeliveryState::Waiting,
        tries: 0,
        next_at_ms: Some(at_ms),
        attempts: vec![],
        created_at_ms: at_ms,
        updated_at_ms: at_ms,
    }
}

fn job_of(delivery: &Delivery, now_ms: u64) -> Box<Job> {
    let id = JobId::from_u128(delivery.id.as_u128());
    Box::new(Job::new(id, delivery.merchant_id, KIND, [1; 16], vec![], (now_ms, now_ms)))
}

fn enqueue(job: Job) -> JobStep {
    JobStep::Enqueue { job: Box::new(job), delivery: None }
}

async fn work(store: &dyn Store, now_ms: u64, steps: Vec<JobStep>) -> Worked {
    store.work(Work { now_ms, steps, ..Work::default() }).await.unwrap()
}

async fn lease(store: &dyn Store, owner: u64, now_ms: u64, lanes: &[(u8, usize)]) -> Leased {
    let lanes = lanes.iter().map(|(lane, count)| ([*lane; 16], *count)).collect();
    let wish = LeaseWish { kind: KIND, owner, now_ms, until_ms: now_ms + 1_000, lanes };
    store.lease_jobs(wish).await.unwrap()
}

fn ids(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| u64::try_from(job.id.as_u128() & 0xFF).unwrap()).collect()
}

fn settle(job: &Job, owner: u64, how: Settle) -> JobStep {
    JobStep::Settle { merchant_id: job.merchant_id, id: job.id, owner, how }
}

#[tokio::test]
async fn what_is_due_is_leased_lane_by_lane_and_once() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let jobs = [job(1, 1, NOW_MS), job(2, 1, NOW_MS - 5), job(3, 1, NOW_MS + 50), job(4, 2, NOW_MS)];
    work(&*store, NOW_MS, jobs.iter().cloned().map(enqueue).collect()).await;
    // A second one of the same id changes nothing.
    work(&*store, NOW_MS, vec![enqueue(job(1, 1, NOW_MS + 9_999))]).await;
    assert_eq!(store.job_depth(KIND).await.unwrap(), 4);
    let lanes = store.job_lanes(KIND, None, 10).await.unwrap();
    assert_eq!(lanes, [due(1, NOW_MS - 5), due(2, NOW_MS)]);
    assert_eq!(store.job_lanes(KIND, Some([1; 16]), 10).await.unwrap(), [due(2, NOW_MS)]);
    assert_eq!(store.job_lanes(JobKind::WebhookReplay, None, 10).await.unwrap(), []);

    let leased = lease(&*store, OWNER, NOW_MS, &[(1, 1), (2, 5), (3, 5)]).await;
    assert_eq!(ids(&leased.jobs), [2, 4]);
    assert_eq!(leased.next_ms, [([1; 16], Some(NOW_MS)), ([2; 16], Some(NOW_MS + 1_000)), ([3; 16], None)]);
    assert!(leased.jobs.iter().all(|job| job.state == JobState::Leased));
    let leased = lease(&*store, OWNER, NOW_MS, &[(1, 9), (2, 9)]).await;
    assert_eq!(ids(&leased.jobs), [1]);
    // Whoever does not come back loses the lease.
    let again = lease(&*store, OWNER + 1, NOW_MS + 1_000, &[(1, 9), (2, 9)]).await;
    assert_eq!(ids(&again.jobs), [3, 1, 2, 4]);
    assert_eq!(
        work(&*store, NOW_MS, vec![settle(&leased.jobs[0], OWNER, Settle::Done)]).await,
        Worked::Stale
    );
    let renewed = JobStep::Renew {
        merchant_id: merchant(1),
        id: again.jobs[3].id,
        owner: OWNER + 1,
        until_ms: NOW_MS + 9_000,
    };
    let done = again.jobs[..3].iter().map(|job| settle(job, OWNER + 1, Settle::Done));
    let steps = done.chain([renewed]).collect();
    assert_eq!(work(&*store, NOW_MS, steps).await, Worked::Done);
    assert_eq!(store.job_depth(KIND).await.unwrap(), 1);
    assert!(lease(&*store, OWNER, NOW_MS + 8_999, &[(2, 9)]).await.jobs.is_empty());
    assert_eq!(ids(&lease(&*store, OWNER, NOW_MS + 9_000, &[(2, 9)]).await.jobs), [4]);
}

#[tokio::test]
async fn leases_end_with_the_process_that_had_them() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    work(&*store, NOW_MS, vec![enqueue(job(1, 1, NOW_MS))]).await;
    assert_eq!(lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await.jobs.len(), 1);
    drop(store);
    let store = place.open(OWNER).await;
    let leased = lease(&*store, OWNER + 1, NOW_MS + 1, &[(1, 9)]).await;
    assert_eq!((ids(&leased.jobs), leased.jobs[0].attempts), (vec![1], 0));
    assert_eq!(store.job_depth(KIND).await.unwrap(), 1);
}

#[tokio::test]
async fn jobs_are_tried_again_and_end_and_tell_of_it() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let kept = |number| Job { is_kept: true, ..job(number, 1, NOW_MS) };
    work(&*store, NOW_MS, vec![enqueue(kept(1)), enqueue(kept(2)), enqueue(kept(3))]).await;
    let leased = lease(&*store, OWNER, NOW_MS, &[(1, 2)]).await.jobs;
    let retry = Settle::Retry { at_ms: NOW_MS + 100, error: "é".repeat(1_000) };
    let bury = Settle::Bury { error: "no".to_owned() };
    work(&*store, NOW_MS, vec![settle(&leased[0], OWNER, retry), settle(&leased[1], OWNER, bury)]).await;
    work(&*store, NOW_MS, vec![JobStep::Cancel { merchant_id: merchant(1), id: kept(3).id }]).await;
    let of = |state| {
        let store = Arc::clone(&store);
        async move {
            let filter = JobFilter { state: Some(state), limit: 10, ..JobFilter::default() };
            store.jobs(merchant(1), filter).await.unwrap()
        }
    };
    let waiting = of(JobState::Waiting).await;
    assert_eq!((ids(&waiting), waiting[0].attempts), (vec![1], 1));
    assert_eq!(waiting[0].last_error.as_deref().map(str::len), Some(512));
    assert_eq!(ids(&of(JobState::Dead).await), [2]);
    assert_eq!(ids(&of(JobState::Cancelled).await), [3]);
    let page = JobFilter { before: Some(kept(3).id), limit: 1, ..JobFilter::default() };
    assert_eq!(ids(&store.jobs(merchant(1), page).await.unwrap()), [2]);
    assert!(
        store.jobs(merchant(2), JobFilter { limit: 9, ..JobFilter::default() }).await.unwrap().is_empty()
    );
    assert!(store.job(merchant(2), kept(2).id).await.unwrap().is_none());

    // One that was buried can be wanted again, with all its attempts.
    let requeue = JobStep::Requeue { merchant_id: merchant(1), id: kept(2).id, at_ms: NOW_MS + 7 };
    work(&*store, NOW_MS + 7, vec![requeue]).await;
    let leased = lease(&*store, OWNER, NOW_MS + 7, &[(1, 9)]).await.jobs;
    assert_eq!((ids(&leased), leased[0].attempts), (vec![2], 0));
    let retry = Settle::Retry { at_ms: NOW_MS + 7, error: "a fault that passes".to_owned() };
    work(&*store, NOW_MS + 7, vec![settle(&leased[0], OWNER, retry)]).await;
    let leased = lease(&*store, OWNER, NOW_MS + 7, &[(1, 9)]).await.jobs;
    assert_eq!((ids(&leased), leased[0].attempts), (vec![2], 1));
    // A step that was done ends the counting of its tries.
    let next = Settle::Continue { at_ms: NOW_MS + 8, payload: vec![9] };
    work(&*store, NOW_MS + 7, vec![settle(&leased[0], OWNER, next)]).await;
    let leased = lease(&*store, OWNER, NOW_MS + 8, &[(1, 9)]).await.jobs;
    assert_eq!((ids(&leased), &leased[0].payload, leased[0].attempts), (vec![2], &vec![9], 0));
    work(&*store, NOW_MS + 8, vec![settle(&leased[0], OWNER, Settle::Done)]).await;
    assert_eq!(ids(&of(JobState::Done).await), [2]);

    // What is over for long makes room.
    let later = NOW_MS + JOBS_KEPT_MS + 10;
    work(&*store, later, vec![enqueue(job(4, 1, later))]).await;
    assert!(of(JobState::Done).await.is_empty() && of(JobState::Cancelled).await.is_empty());
    // A whole lane can be hurried.
    work(&*store, NOW_MS, vec![enqueue(job(5, 1, later + 50))]).await;
    work(&*store, later, vec![JobStep::Hurry { kind: KIND, lane: [1; 16], count_max: 10 }]).await;
    assert_eq!(ids(&lease(&*store, OWNER, later, &[(1, 9)]).await.jobs), [1, 4, 5]);
}

#[tokio::test]
async fn turns_are_taken_one_after_the_other() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let turned =
        |number, row: u8, order| Job { turn: Some(Turn { key: [row; 16], order }), ..job(number, 1, NOW_MS) };
    // All in one batch, and one of another row.
    let jobs = [turned(1, 1, 10), turned(2, 1, 11), turned(3, 1, 12), turned(4, 2, 13)];
    work(&*store, NOW_MS, jobs.into_iter().map(enqueue).collect()).await;
    assert_eq!(store.job_depth(KIND).await.unwrap(), 4);
    let first = lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await;
    assert_eq!(ids(&first.jobs), [1, 4]);
    // While it is tried again, nobody passes it.
    let retry = Settle::Retry { at_ms: NOW_MS + 5, error: String::new() };
    work(&*store, NOW_MS, vec![settle(&first.jobs[0], OWNER, retry)]).await;
    assert!(lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await.jobs.is_empty());
    let first = lease(&*store, OWNER, NOW_MS + 5, &[(1, 9)]).await.jobs;
    assert_eq!(ids(&first), [1]);
    // One that waits for its turn is called off: the row goes on without it.
    work(&*store, NOW_MS, vec![JobStep::Cancel { merchant_id: merchant(1), id: job(2, 1, 0).id }]).await;
    assert!(lease(&*store, OWNER, NOW_MS + 5, &[(1, 9)]).await.jobs.is_empty());
    // A dead one is no hindrance.
    work(&*store, NOW_MS, vec![settle(&first[0], OWNER, Settle::Bury { error: String::new() })]).await;
    assert_eq!(ids(&lease(&*store, OWNER, NOW_MS + 5, &[(1, 9)]).await.jobs), [3]);
}

#[tokio::test]
async fn the_log_s_reader_goes_on_with_what_it_made_or_not_at_all() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let delivery = delivery(1, NOW_MS);
    let step = |from, to| Work {
        now_ms: NOW_MS,
        log: Some(LogStep { reader: LogReader::Webhooks, from, to }),
        steps: vec![JobStep::Enqueue {
            job: job_of(&delivery, NOW_MS),
            delivery: Some(Box::new(delivery.clone())),
        }],
        ..Work::default()
    };
    assert_eq!(store.log_read(LogReader::Webhooks).await.unwrap(), 0);
    assert_eq!(store.work(step(0, 5)).await.unwrap(), Worked::Done);
    assert_eq!(store.work(step(0, 5)).await.unwrap(), Worked::Stale);
    // Two who race: one of them goes on.
    let (a, b) = tokio::join!(store.work(step(5, 6)), store.work(step(5, 7)));
    assert_eq!((a.unwrap(), b.unwrap()), (Worked::Done, Worked::Stale));
    drop(store);
    let store = place.open(OWNER).await;
    assert_eq!(store.log_read(LogReader::Webhooks).await.unwrap(), 6);
    // What was delivered is not made again.
    let leased = lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await.jobs;
    let delivered = Record::Delivered {
        merchant_id: merchant(1),
        id: delivery.id,
        attempt: Some(DeliveryAttempt {
            at_ms: NOW_MS,
            took_ms: 3,
            status: Some(200),
            answer: None,
            error: None,
        }),
        state: DeliveryState::Delivered,
        next_at_ms: None,
        fault: None,
    };
    let done = Work {
        now_ms: NOW_MS,
        steps: vec![settle(&leased[0], OWNER, Settle::Done)],
        records: vec![delivered],
        ..Work::default()
    };
    // A lease that is lost takes the record with it.
    let lost = Work { steps: vec![settle(&leased[0], OWNER + 1, Settle::Done)], ..done.clone() };
    assert_eq!(store.work(lost).await.unwrap(), Worked::Stale);
    assert_eq!(store.delivery(merchant(1), delivery.id).await.unwrap().unwrap().tries, 0);
    assert_eq!(store.work(done).await.unwrap(), Worked::Done);
    assert_eq!(store.work(step(6, 8)).await.unwrap(), Worked::Done);
    assert_eq!(store.job_depth(KIND).await.unwrap(), 0);
    let read = store.delivery(merchant(1), delivery.id).await.unwrap().unwrap();
    assert_eq!((read.state, read.tries), (DeliveryState::Delivered, 1));

    // Unless somebody wants it again: the same delivery, once more.
    let again = || JobStep::Again { job: job_of(&delivery, NOW_MS), delivery: Box::new(delivery.clone()) };
    work(&*store, NOW_MS, vec![again(), again()]).await;
    assert_eq!(store.job_depth(KIND).await.unwrap(), 1);
    let read = store.delivery(merchant(1), delivery.id).await.unwrap().unwrap();
    assert_eq!((read.state, read.tries), (DeliveryState::Waiting, 1));
}

#[tokio::test]
async fn a_log_s_reader_is_one_instance_s_for_a_while() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let reader = LogReader::Bus;
    let hold = |owner, how| Some(HoldStep { reader, owner, how });
    let take = |owner, until_ms| hold(owner, Hold::Take { name: format!("i{owner}"), until_ms });
    let at = |now_ms, hold| Work { now_ms, hold, ..Work::default() };
    let where_it_is = async || store.log_place_of(0, reader).await.unwrap();
    assert_eq!(where_it_is().await, LogPlace { read: None, end: 0, hold: None });

    assert_eq!(store.work(at(100, take(1, 200))).await.unwrap(), Worked::Done);
    assert_eq!(store.work(at(199, take(2, 300))).await.unwrap(), Worked::Stale);
    assert_eq!(store.work(at(199, take(1, 210))).await.unwrap(), Worked::Done, "its own");
    // Beginning at the log's beginning is beginning.
    let step = |from, to| Some(LogStep { reader, from, to });
    let keep = |owner, until_ms| hold(owner, Hold::Keep { until_ms });
    assert_eq!(store.work(Work { log: step(0, 0), ..at(200, keep(1, 220)) }).await.unwrap(), Worked::Done);
    assert_eq!(where_it_is().await.read, Some(0));
    assert_eq!(store.work(Work { log: step(0, 7), ..at(205, keep(1, 230)) }).await.unwrap(), Worked::Done);

    // It is taken for dead: it moves nothing any more, though the place is where it left it.
    assert_eq!(store.work(at(230, take(2, 300))).await.unwrap(), Worked::Done);
    assert_eq!(store.work(Work { log: step(7, 9), ..at(231, keep(1, 400)) }).await.unwrap(), Worked::Stale);
    assert_eq!(store.work(at(231, hold(1, Hold::Release))).await.unwrap(), Worked::Done);
    let present = where_it_is().await;
    assert_eq!((present.read, present.hold.map(|hold| hold.name)), (Some(7), Some("i2".to_owned())));

    // Nobody gives up what somebody has.
    let give_up = |now_ms| Work { give_up: Some(reader), ..at(now_ms, None) };
    assert_eq!(store.work(give_up(299)).await.unwrap(), Worked::Stale);
    assert_eq!(store.work(at(250, hold(2, Hold::Release))).await.unwrap(), Worked::Done);
    assert_eq!(
        store.work(at(251, take(3, 260))).await.unwrap(),
        Worked::Done,
        "given back, it is free at once"
    );
    assert_eq!(store.work(give_up(260)).await.unwrap(), Worked::Done);
    assert_eq!(where_it_is().await, LogPlace { read: None, end: 0, hold: None });
    assert_eq!(store.work(at(261, keep(3, 400))).await.unwrap(), Worked::Stale);
    // Another reader of the same log, and of another, is none of it.
    assert_eq!(store.log_place_of(0, LogReader::Outcomes).await.unwrap().hold, None);
}

#[tokio::test]
async fn deliveries_are_listed_and_forgotten() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let deliveries: Vec<_> = (1..=5).map(|number| delivery(number, NOW_MS + number)).collect();
    let steps = deliveries.iter().map(|delivery| JobStep::Enqueue {
        job: job_of(delivery, NOW_MS),
        delivery: Some(Box::new(delivery.clone())),
    });
    work(&*store, NOW_MS, steps.collect()).await;
    let bury = |id| Record::Delivered {
        merchant_id: merchant(1),
        id,
        attempt: None,
        state: DeliveryState::Dead,
        next_at_ms: None,
        fault: None,
    };
    let records = vec![bury(deliveries[1].id), bury(deliveries[3].id)];
    store.work(Work { now_ms: NOW_MS, records, ..Work::default() }).await.unwrap();
    let list = |filter: DeliveryFilter| {
        let store = Arc::clone(&store);
        async move {
            let page = store.deliveries(merchant(1), filter).await.unwrap();
            let places: Vec<u64> = page.deliveries.iter().map(|it| it.event_at_ms - NOW_MS).collect();
            (places, page.next)
        }
    };
    let all = DeliveryFilter { limit: 10, ..DeliveryFilter::default() };
    let endpoint_id = Some(endpoint().id);
    let stranger = Some(WebhookEndpointId::from_u128(9));
    let (dead, waiting) = (Some(DeliveryState::Dead), Some(DeliveryState::Waiting));
    assert_eq!(list(all).await, (vec![5, 4, 3, 2, 1], None));
    assert_eq!(list(DeliveryFilter { endpoint_id, ..all }).await.0, [5, 4, 3, 2, 1]);
    assert_eq!(list(DeliveryFilter { endpoint_id: stranger, ..all }).await.0, Vec::<u64>::new());
    assert_eq!(list(DeliveryFilter { state: dead, ..all }).await.0, [4, 2]);
    assert_eq!(list(DeliveryFilter { state: dead, endpoint_id: stranger, ..all }).await.0, Vec::<u64>::new());
    assert_eq!(list(DeliveryFilter { state: waiting, endpoint_id, ..all }).await.0, [5, 3, 1]);
    let (places, next) = list(DeliveryFilter { limit: 2, ..all }).await;
    assert_eq!(places, [5, 4]);
    assert_eq!(list(DeliveryFilter { before: next, ..all }).await, (vec![3, 2, 1], None));
    assert!(store.delivery(merchant(2), deliveries[0].id).await.unwrap().is_none());

    let late = delivery(9, NOW_MS + DELIVERIES_KEPT_MS + 3);
    let step =
        JobStep::Enqueue { job: job_of(&late, late.event_at_ms), delivery: Some(Box::new(late.clone())) };
    work(&*store, late.event_at_ms, vec![step]).await;
    assert_eq!(list(all).await.0, [DELIVERIES_KEPT_MS + 3, 5, 4, 3]);
    assert_eq!(list(DeliveryFilter { state: dead, ..all }).await.0, [4]);
}

#[tokio::test]
async fn endpoints_belong_to_one_merchant_and_their_health_is_noted() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let endpoint = endpoint();
    let record = |record| {
        let store = Arc::clone(&store);
        async move {
            let work = Work { now_ms: NOW_MS + 1, records: vec![record], ..Work::default() };
            store.work(work).await.unwrap()
        }
    };
    record(Record::PutEndpoint(Box::new(endpoint.clone()))).await;
    assert_eq!(store.webhook_endpoints(merchant(1)).await.unwrap(), std::slice::from_ref(&endpoint));
    assert!(store.webhook_endpoint(merchant(2), endpoint.id).await.unwrap().is_none());
    assert!(store.webhook_endpoints(merchant(2)).await.unwrap().is_empty());
    let health = |failing_since_ms, disable| Record::EndpointHealth {
        merchant_id: merchant(1),
        id: endpoint.id,
        failing_since_ms,
        disable,
    };
    record(health(Some(5), Some(DisabledBecause::Failing))).await;
    record(health(Some(5), Some(DisabledBecause::Gone))).await;
    let read = store.webhook_endpoint(merchant(1), endpoint.id).await.unwrap().unwrap();
    assert_eq!((read.failing_since_ms, read.disabled), (Some(5), Some(DisabledBecause::Failing)));
    assert_eq!(read.secrets, endpoint.secrets);
    record(Record::RemoveEndpoint { merchant_id: merchant(1), id: endpoint.id }).await;
    record(health(None, None)).await;
    assert!(store.webhook_endpoints(merchant(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lane_that_was_empty_or_ahead_is_found_again() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    assert!(lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await.jobs.is_empty());
    work(&*store, NOW_MS, vec![enqueue(job(1, 1, NOW_MS + 500))]).await;
    assert!(lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await.jobs.is_empty());
    // Earlier than anything the lane had.
    work(&*store, NOW_MS, vec![enqueue(job(2, 1, NOW_MS - 500))]).await;
    let leased = lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await.jobs;
    assert_eq!(ids(&leased), [2]);
    let retry = Settle::Retry { at_ms: NOW_MS + 100, error: String::new() };
    work(&*store, NOW_MS, vec![settle(&leased[0], OWNER, retry)]).await;
    assert_eq!(ids(&lease(&*store, OWNER, NOW_MS + 100, &[(1, 9)]).await.jobs), [2]);
    assert_eq!(ids(&lease(&*store, OWNER, NOW_MS + 500, &[(1, 9)]).await.jobs), [1]);
}

#[tokio::test]
async fn what_is_private_is_wiped_by_the_commit_that_ends_a_job() {
    let place = Place::new().await;
    let store = place.open(OWNER).await;
    let secret = || Private(b"asha@example.com".to_vec());
    let mut jobs = [job(1, 1, NOW_MS), job(2, 1, NOW_MS), job(3, 1, NOW_MS), job(4, 1, NOW_MS)];
    jobs.iter_mut().for_each(|job| (job.private, job.is_kept) = (secret(), true));
    work(&*store, NOW_MS, jobs.iter().cloned().map(enqueue).collect()).await;
    let private = async |place: usize| {
        let job = &jobs[place];
        store.job(job.merchant_id, job.id).await.unwrap().unwrap().private
    };
    let cancel = JobStep::Cancel { merchant_id: jobs[3].merchant_id, id: jobs[3].id };
    work(&*store, NOW_MS, vec![cancel]).await;
    assert_eq!(lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await.jobs.len(), 3);
    let go_on = Settle::Continue { at_ms: NOW_MS, payload: vec![9] };
    work(&*store, NOW_MS, vec![settle(&jobs[0], OWNER, go_on)]).await;
    let again = Settle::Retry { at_ms: NOW_MS, error: "busy".to_owned() };
    work(&*store, NOW_MS, vec![settle(&jobs[1], OWNER, again)]).await;
    work(&*store, NOW_MS, vec![settle(&jobs[2], OWNER, Settle::Bury { error: "no".to_owned() })]).await;
    for (place, wanted) in
        [secret(), secret(), Private::default(), Private::default()].into_iter().enumerate()
    {
        assert_eq!(private(place).await, wanted, "{place}");
    }
    lease(&*store, OWNER, NOW_MS, &[(1, 9)]).await;
    work(&*store, NOW_MS, vec![settle(&jobs[0], OWNER, Settle::Done)]).await;
    assert_eq!(private(0).await, Private::default());
}
