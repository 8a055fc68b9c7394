//! Several databases as one installation: finding the way, refusing what is elsewhere, and moving a bucket while payments
//! go on, with the mover killed at every stage. Runs where `TOLLGATE_TEST_POSTGRES` names a server
//! (`scripts/postgres`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

#[path = "sharded_parts/movers.rs"]
mod movers;
#[path = "sharded_parts/outcomes.rs"]
mod outcomes;
mod support;
#[path = "sharded_parts/told.rs"]
mod told;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Database, Shards};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::audit::verify::Verifier;
use tollgate_core::command::{Command, Refusal};
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::id::{
    AttemptId, EventId, IdParts, JobId, MerchantId, PartnerId, PasskeyId, PaymentId, RefundId,
    WebhookEndpointId,
};
use tollgate_core::job::{Job, JobKind};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::partner::{Kyc, KycState, Limit, NotAdmitted, Partner, PartnerState, Profile};
use tollgate_core::passkey::Passkey;
use tollgate_core::payment::Payment;
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, Commit, CommitError, IdempotencyStep};
use tollgate_store::jobs::{JobStep, LeaseWish, LogReader, LogStep, Settle, Work, Worked};
use tollgate_store::postgres::{PostgresStore, migrate};
use tollgate_store::query::PaymentFilter;
use tollgate_store::sharded::{
    self, MoveOptions, ShardedOptions, ShardedStore, Stage, abort_move, add, move_bucket, status, unwatched,
};

const NOW_MS: u64 = 1_790_000_000_000;
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Quick for tests: nobody reads at the old place for long.
const QUICK: MoveOptions = MoveOptions { pause_max_ms: 900, pauses_max: 10, keep_ms: 600 };

fn parts(bucket: u16) -> IdParts {
    IdParts { unix_ms: NOW_MS, sub_ms: 0, bucket, random: NEXT.fetch_add(1, Ordering::Relaxed) }
}

async fn merchant(store: &dyn Store, bucket: u16) -> MerchantId {
    let id = MerchantId::from_parts(parts(bucket));
    let merchant = Merchant {
        id,
        name: "Shop".to_owned(),
        mode: Mode::Live,
        active: true,
        fee: FeePlan::default(),
        mcc: None,
        country: None,
        processors: vec![],
        created_at_ms: NOW_MS,
    };
    store.administer(Admin::PutMerchant(merchant), By::system(NOW_MS)).await.unwrap();
    id
}

fn commit(merchant_id: MerchantId, command: Command) -> Box<Commit> {
    let event_id = EventId::from_parts(parts(merchant_id.bucket()));
    Box::new(Commit {
        merchant_id,
        now_ms: NOW_MS,
        event_id,
        command: Some(command),
        idempotency: None,
        message: None,
    })
}

fn create(merchant_id: MerchantId, minor: i64) -> Box<Commit> {
    let bucket = merchant_id.bucket();
    let terms = PaymentTerms {
        amount: Money::new(minor, Currency::INR),
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan { percent_bps: 200, fixed_minor: 0 },
        user_id: Some("u".to_owned()),
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: vec![],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    };
    let id = AttemptId::from_parts(parts(bucket));
    let attempt = AttemptStart { id, processor: ProcessorName::new("razorpay"), amount_minor: minor };
    let payment_id = PaymentId::from_parts(parts(bucket));
    commit(merchant_id, Command::Create { payment_id, terms: Arc::new(terms), attempt })
}

fn captured(payment: &Payment) -> Box<Commit> {
    let amount_minor = payment.terms.amount.minor;
    let outcome = Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor };
    let (payment_id, attempt_id) = (payment.id, payment.charge_attempt_id);
    commit(payment.merchant_id, Command::Settle { payment_id, attempt_id, outcome, next: None })
}

fn refund(payment: &Payment, minor: i64) -> Box<Commit> {
    let bucket = payment.merchant_id.bucket();
    let command = Command::Refund {
        payment_id: payment.id,
        refund_id: RefundId::from_parts(parts(bucket)),
        attempt_id: AttemptId::from_parts(parts(bucket)),
        amount_minor: Some(minor),
        reason: None,
        metadata: vec![],
    };
    commit(payment.merchant_id, command)
}

fn passkey(merchant_id: MerchantId) -> Admin {
    Admin::PutPasskey(Passkey {
        id: PasskeyId::from_parts(parts(merchant_id.bucket())),
        merchant_id,
        user_id: "u".to_owned(),
        credential_id: vec![1, 2, 3],
        credential: "{}".to_owned(),
        sign_count: 0,
        created_at_ms: NOW_MS,
    })
}

/// Books, histories and the audit log are right.
async fn assert_clean(store: &dyn Store) {
    let report = audit(store, &mut |_, _| {}).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let mut verifier = Verifier::new(&[]);
    for (position, record) in store.audit(0, 1_000).await.unwrap() {
        verifier.follow(position, record.as_ref()).unwrap();
    }
    verifier.end(store.audit_head().await.unwrap()).unwrap();
}

/// How many rows of a bucket a database has, in all tables that have a merchant and are not the directory's.
async fn rows_of(database: &Database, bucket: u16) -> i64 {
    let client = database.client().await;
    let tables = client
        .query(
            "SELECT c.relname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE a.attname = 'merchant_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
               AND c.relnamespace = 'public'::regnamespace
               AND c.relname <> ALL (ARRAY['merchants', 'merchant_partners', 'processor_accounts', 'policies', 'audit'])",
            &[],
        )
        .await
        .unwrap();
    let mut count = 0;
    for table in tables {
        let name: String = table.get(0);
        let text = format!("SELECT count(*) FROM {name} WHERE tollgate_bucket(merchant_id) = $1");
        let bucket = i16::try_from(bucket).unwrap();
        count += client.query_one(&text, &[&bucket]).await.unwrap().get::<_, i64>(0);
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn each_merchant_is_on_its_shard_and_what_is_everybodys_on_the_first() {
    let shards = Shards::new(4).await;
    let store = shards.open(1).await;
    let mut merchants = Vec::new();
    for bucket in [0, 1, 2, 3, 1_023] {
        let id = merchant(store.as_ref(), bucket).await;
        let begun = store.commit(create(id, 1_000)).await.unwrap();
        assert_eq!(begun.event.unwrap().sequence, if bucket == 1_023 { 3 } else { 1 }, "each shard counts");
        store.commit(captured(&begun.payment)).await.unwrap();
        store.administer(passkey(id), By::system(NOW_MS)).await.unwrap();
        merchants.push((id, begun.payment.id));
        if bucket == 3 {
            // The next is on the same shard.
            assert_eq!(store.outbox_of(3, 0, 9).await.unwrap().len(), 2);
        }
    }
    for (place, (id, payment)) in merchants.iter().enumerate() {
        let shard = usize::from(id.bucket() % 4);
        for (number, database) in shards.0.iter().enumerate() {
            assert_eq!(rows_of(database, id.bucket()).await > 0, number == shard, "bucket {}", id.bucket());
        }
        assert!(store.payment(*id, *payment).await.unwrap().is_some());
        let other = merchants[(place + 1) % merchants.len()].0;
        assert_eq!(store.payment(other, *payment).await.unwrap(), None);
    }
    assert_eq!(store.merchants().await.unwrap().len(), 5);
    assert_eq!(store.logs(), 4);
    // One audit log, with the entries of all shards.
    let told = store.audit(0, 100).await.unwrap();
    let actions: Vec<_> =
        told.iter().map(|(_, record)| record.as_ref().unwrap().entry.action().to_owned()).collect();
    assert_eq!(actions.iter().filter(|action| action.starts_with("merchant.")).count(), 5, "{actions:?}");
    assert_eq!(actions.iter().filter(|action| action.starts_with("passkey.")).count(), 5, "{actions:?}");
    assert_clean(store.as_ref()).await;

    // Who is configured in another order, or with too few, does not start.
    let mut wrong = shards.options(2);
    wrong.swap(1, 2);
    let refused = ShardedStore::open(ShardedOptions::new(wrong)).await.unwrap_err();
    assert!(refused.to_string().contains("shard"), "{refused}");
    let few = shards.options(2).into_iter().take(3).collect();
    let refused = ShardedStore::open(ShardedOptions::new(few)).await.unwrap_err();
    assert!(refused.to_string().contains("configured"), "{refused}");
    assert!(sharded::init(&shards.options(2)).await.is_err());
    let status = status(&shards.options(2)).await.unwrap();
    assert!(status.shards.iter().all(|shard| shard.fault.is_none() && shard.buckets == 256), "{status:?}");
}

fn partner(live: MerchantId) -> Partner {
    let limit =
        Limit { currency: Currency::INR, transaction_minor: None, day_minor: Some(1_000), month_minor: None };
    Partner {
        id: PartnerId::from_parts(parts(9)),
        version: 1,
        profile: Profile {
            legal_name: "Shop".to_owned(),
            display_name: "Shop".to_owned(),
            limits: vec![limit],
            ..Profile::default()
        },
        state: PartnerState::Active,
        kyc: Kyc { state: KycState::Verified, reasons: vec![], changed_at_ms: NOW_MS },
        parent: None,
        sandbox: None,
        live: Some(live),
        created_at_ms: NOW_MS,
        changed_at_ms: NOW_MS,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn limits_and_suspensions_hold_on_every_shard_as_soon_as_they_are_told() {
    let shards = Shards::new(3).await;
    let (one, two) = (shards.open(1).await, shards.open(2).await);
    let live = merchant(one.as_ref(), 5).await;
    let partner = partner(live);
    let put = |partner: &Partner| Admin::PutPartner(Box::new(partner.clone()));
    one.administer(put(&partner), By::system(NOW_MS)).await.unwrap();
    for _ in 0..10 {
        two.commit(create(live, 100)).await.unwrap();
    }
    let above = two.commit(create(live, 100)).await;
    assert!(matches!(above, Err(CommitError::Refused(Refusal::NotAdmitted(_)))), "{above:?}");
    let suspended = Partner { version: 2, state: PartnerState::Suspended, ..partner.clone() };
    two.administer(put(&suspended), By::system(NOW_MS)).await.unwrap();
    let refused = one.commit(create(live, 1)).await;
    let Err(CommitError::Refused(Refusal::NotAdmitted(why))) = refused else { panic!("{refused:?}") };
    assert_eq!(why, NotAdmitted::Suspended);

    // A shard that comes later knows it too.
    drop((one, two));
    let mut shards = shards;
    shards.more().await;
    assert_eq!(add(&shards.options(0)).await.unwrap(), 4);
    let store = shards.open(3).await;
    let moved = move_bucket(&shards.options(0), 5, 3, QUICK, &unwatched).await.unwrap();
    assert!(moved.rows > 0);
    let refused = store.commit(create(live, 1)).await;
    assert!(
        matches!(refused, Err(CommitError::Refused(Refusal::NotAdmitted(NotAdmitted::Suspended)))),
        "{refused:?}"
    );
    let active = Partner { version: 3, state: PartnerState::Active, ..suspended };
    store.administer(put(&active), By::system(NOW_MS)).await.unwrap();
    let above = store.commit(create(live, 1)).await;
    assert!(
        matches!(above, Err(CommitError::Refused(Refusal::NotAdmitted(_)))),
        "what was taken came along: {above:?}"
    );
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn an_instance_with_an_old_map_is_refused_reads_it_again_and_goes_on() {
    let shards = Shards::new(2).await;
    let mover = shards.open(1).await;
    // One that never looks at the map by itself.
    let mut options = ShardedOptions::new(shards.options(2));
    options.refresh_ms = 3_600_000;
    let stale = ShardedStore::open(options).await.unwrap();
    let mut options = ShardedOptions::new(shards.options(3));
    (options.refresh_ms, options.redirect_ms) = (3_600_000, 0);
    let stuck = ShardedStore::open(options).await.unwrap();
    let id = merchant(mover.as_ref(), 7).await;
    let begun = stale.commit(create(id, 1_000)).await.unwrap();
    let before = stale.map();
    assert_eq!(before.of(id), 1);
    move_bucket(&shards.options(0), 7, 0, QUICK, &unwatched).await.unwrap();
    assert_eq!((stale.map().of(id), mover.map().of(id)), (1, 0), "it has not looked");
    // Who may not look cannot write, wherever the old map leads.
    let refused = stuck.commit(create(id, 5)).await;
    assert!(refused.unwrap_err().to_string().contains("moved"), "nothing passes the gate");
    stale.commit(captured(&begun.payment)).await.unwrap();
    assert_eq!(stale.map().of(id), 0);
    assert_eq!(rows_of(&shards.0[1], 7).await, 0, "nothing was written at the old place");
    assert_eq!(stale.payment(id, begun.payment.id).await.unwrap().unwrap().version, 2);
    // The same of what goes by other lanes.
    let key = passkey(id);
    let refused = stuck.administer(key.clone(), By::system(NOW_MS)).await;
    assert!(refused.is_err());
    stale.administer(key, By::system(NOW_MS)).await.unwrap();
    assert_clean(mover.as_ref()).await;
}

/// Whoever has waited for a bucket's lock while it was being closed is turned away, on every lane.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn who_waits_at_a_bucket_that_is_being_closed_does_not_get_in() {
    // As in `sql/lock_buckets.sql`: the locks of administration and jobs, and those of the buckets.
    const LOCKS: &str = "SELECT pg_advisory_xact_lock(x'74670002'::int, 1);
         SELECT pg_advisory_xact_lock(x'74670002'::int, 2);
         SELECT pg_advisory_xact_lock(x'74670001'::int, 4);";
    let shards = Shards::new(2).await;
    let mut options = ShardedOptions::new(shards.options(1));
    (options.refresh_ms, options.redirect_ms) = (3_600_000, 0);
    let store = Arc::new(ShardedStore::open(options).await.unwrap());
    let id = merchant(store.as_ref(), 4).await;
    let begun = store.commit(create(id, 700)).await.unwrap().payment;
    let there = rows_of(&shards.0[0], 4).await;
    let (closer, watcher) = (shards.0[0].client().await, shards.0[0].client().await);
    let waiting = async || -> i64 {
        let text = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
        watcher.query_one(text, &[]).await.unwrap().get(0)
    };
    let lane = WebhookEndpointId::from_parts(parts(4)).to_bytes();
    let job =
        Job::new(JobId::from_parts(parts(4)), id, JobKind::WebhookDelivery, lane, vec![], (NOW_MS, NOW_MS));
    for what in ["a payment", "a setting", "a job"] {
        let close = format!("BEGIN; {LOCKS} UPDATE shard SET open = set_bit(open, 4, 0)");
        closer.batch_execute(&close).await.unwrap();
        let (store, begun, job) = (Arc::clone(&store), begun.clone(), Box::new(job.clone()));
        let write = tokio::spawn(async move {
            match what {
                "a payment" => store.commit(captured(&begun)).await.map(|_| ()),
                "a setting" => store.administer(passkey(id), By::system(NOW_MS)).await,
                _ => {
                    let steps = vec![JobStep::Enqueue { job, delivery: None }];
                    store.work(Work { now_ms: NOW_MS, steps, ..Work::default() }).await.map(|_| ())
                }
            }
        });
        let from = Instant::now();
        while waiting().await == 0 {
            assert!(from.elapsed() < Duration::from_secs(20), "{what} does not wait");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        closer.batch_execute("COMMIT").await.unwrap();
        let refused = write.await.unwrap();
        assert!(refused.is_err_and(|error| error.to_string().contains("moved")), "{what} got past the gate");
        assert_eq!(rows_of(&shards.0[0], 4).await, there, "{what} was written");
        closer.batch_execute("UPDATE shard SET open = set_bit(open, 4, 1)").await.unwrap();
    }
    store.commit(captured(&begun)).await.unwrap();

    // Jobs of a closed bucket are left where they are, and a neighbour's of the same shard are taken all the same.
    let neighbour = merchant(store.as_ref(), 6).await;
    let lane_of = |id| MerchantId::to_bytes(id);
    let steps = [id, neighbour].map(|id| {
        let parts = parts(id.bucket());
        let (kind, lane) = (JobKind::WebhookDelivery, lane_of(id));
        let job = Job::new(JobId::from_parts(parts), id, kind, lane, vec![], (NOW_MS, NOW_MS));
        JobStep::Enqueue { job: Box::new(job), delivery: None }
    });
    store.work(Work { now_ms: NOW_MS, steps: steps.into(), ..Work::default() }).await.unwrap();
    let lease = async || -> Vec<MerchantId> {
        let lanes = vec![(lane_of(id), 9), (lane_of(neighbour), 9)];
        let (kind, until_ms) = (JobKind::WebhookDelivery, NOW_MS + 60_000);
        let wish = LeaseWish { kind, owner: 7, now_ms: NOW_MS, until_ms, lanes };
        store.lease_jobs(wish).await.unwrap().jobs.iter().map(|job| job.merchant_id).collect()
    };
    closer.batch_execute("UPDATE shard SET open = set_bit(open, 4, 0)").await.unwrap();
    assert_eq!(lease().await, [neighbour]);
    closer.batch_execute("UPDATE shard SET open = set_bit(open, 4, 1)").await.unwrap();
    assert_eq!(lease().await, [id], "it is there still");
    assert_clean(store.as_ref()).await;
}

/// What was acknowledged under load.
#[derive(Default)]
struct Acknowledged {
    payments: HashMap<PaymentId, u32>,
    slowest: Duration,
    refused: u64,
}

/// Payments of some merchants by several tasks, until they are told to stop: begun, captured, and some refunded.
fn load(
    stores: &[Arc<ShardedStore>],
    merchants: &[MerchantId],
    is_over: &Arc<AtomicBool>,
) -> tokio::task::JoinSet<Acknowledged> {
    let mut tasks = tokio::task::JoinSet::new();
    for place in 0..6_usize {
        let (store, is_over) = (Arc::clone(&stores[place % stores.len()]), Arc::clone(is_over));
        let merchants = merchants.to_vec();
        tasks.spawn(async move {
            let mut done = Acknowledged::default();
            let mut count = place;
            while !is_over.load(Ordering::Relaxed) {
                count += 1;
                let id = merchants[count % merchants.len()];
                let from = Instant::now();
                let mut begin = create(id, 1_000);
                let key = format!("{place}-{count}");
                begin.idempotency = Some(IdempotencyStep::Begin { key, fingerprint: [1; 32] });
                let begun = match store.commit(begin).await {
                    Ok(begun) => begun.payment,
                    Err(CommitError::Overloaded) => {
                        done.refused += 1;
                        continue;
                    }
                    Err(error) => panic!("{error:?}"),
                };
                done.slowest = done.slowest.max(from.elapsed());
                done.payments.insert(begun.id, 1);
                let taken = store.commit(captured(&begun)).await.unwrap().payment;
                done.payments.insert(begun.id, taken.version);
                if count % 3 == 0 {
                    let back = store.commit(refund(&taken, 100)).await.unwrap();
                    done.payments.insert(begun.id, back.payment.version);
                    let seen = store.payment(id, begun.id).await.unwrap().unwrap();
                    assert!(seen.version >= back.payment.version, "an instance reads what it wrote");
                }
                if count % 10 == 0 {
                    store.administer(passkey(id), By::system(NOW_MS)).await.unwrap();
                }
            }
            done
        });
    }
    tasks
}

/// A reader of the logs: every event of the merchants once and in each payment's order.
async fn read_logs(
    store: &ShardedStore,
    seen: &mut Vec<(PaymentId, u32)>,
    at: &mut HashMap<u16, u64>,
) -> usize {
    let mut count = 0;
    for log in 0..store.logs() {
        let from = *at.entry(log).or_insert(0);
        let page = store.outbox_of(log, from, 500).await.unwrap();
        let Some(to) = page.last().map(|record| record.sequence) else {
            continue;
        };
        let step = LogStep { reader: LogReader::Webhooks, from, to };
        let work = Work { now_ms: NOW_MS, log: Some(step), log_of: log, ..Work::default() };
        assert_eq!(store.work(work).await.unwrap(), Worked::Done);
        seen.extend(page.iter().map(|record| (record.payment_id, record.version)));
        at.insert(log, to);
        count += page.len();
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_bucket_is_moved_under_load_with_the_mover_killed_at_every_stage() {
    let mut shards = Shards::new(2).await;
    shards.more().await;
    add(&shards.options(0)).await.unwrap();
    let stores = vec![shards.open(1).await, shards.open(2).await];
    let mut merchants = Vec::new();
    for bucket in [6, 6, 7, 8] {
        merchants.push(merchant(stores[0].as_ref(), bucket).await);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let load = load(&stores, &merchants, &is_over);
    let reading = {
        let (store, is_over) = (Arc::clone(&stores[0]), Arc::clone(&is_over));
        tokio::spawn(async move {
            let (mut seen, mut at) = (Vec::new(), HashMap::new());
            loop {
                let was_over = is_over.load(Ordering::Relaxed);
                if read_logs(&store, &mut seen, &mut at).await == 0 && was_over {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    // From the first shard to the one that was added, stopped dead at each stage, and gone on with.
    for killed_at in Stage::ALL {
        let watch =
            move |stage| if stage == killed_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let stopped = move_bucket(&shards.options(0), 6, 2, QUICK, &watch).await;
        assert!(stopped.unwrap_err().to_string().contains("stopped"), "at {killed_at:?}");
        // Somebody else cannot begin another one.
        let other = move_bucket(&shards.options(0), 7, 0, QUICK, &unwatched).await;
        assert!(other.is_err(), "at {killed_at:?}");
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let report = move_bucket(&shards.options(0), 6, 2, QUICK, &unwatched).await.unwrap();
    assert!(report.removed > 0, "{report:?}");
    // And back, with nobody dying, and away again, with the mover's task cut off anywhere.
    let back = move_bucket(&shards.options(0), 6, 0, QUICK, &unwatched).await.unwrap();
    assert!(back.rows > 0 && back.paused_ms < 1_000, "{back:?}");
    let mut after_ms = 20;
    loop {
        let options = shards.options(0);
        let task = tokio::spawn(async move { move_bucket(&options, 6, 1, QUICK, &unwatched).await });
        let abort = task.abort_handle();
        let cut = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            abort.abort();
        });
        let ended = task.await;
        cut.abort();
        match ended {
            Ok(Ok(_)) => break,
            // The server has not noticed yet that the one before is gone.
            Ok(Err(error)) => assert!(error.to_string().contains("one at a time"), "{error}"),
            Err(_) => after_ms = after_ms * 3 / 2,
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    is_over.store(true, Ordering::Relaxed);
    let mut acknowledged = Acknowledged::default();
    for part in load.join_all().await {
        acknowledged.payments.extend(part.payments);
        acknowledged.slowest = acknowledged.slowest.max(part.slowest);
        acknowledged.refused += part.refused;
    }
    let seen = reading.await.unwrap();
    println!("{} payments, slowest commit {:?}, {back:?}", acknowledged.payments.len(), acknowledged.slowest);
    let status = status(&shards.options(0)).await.unwrap();
    assert!(status.shards.iter().all(|shard| shard.fault.is_none()), "{status:?}");
    assert_eq!((status.map.of_bucket(6), status.present_move), (1, None));
    assert_eq!(rows_of(&shards.0[0], 6).await, 0, "nothing is left behind");
    assert_eq!(rows_of(&shards.0[2], 6).await, 0, "nothing is left behind");

    // Nothing lost, nothing double.
    let store = &stores[1];
    let mut found = HashMap::new();
    for id in &merchants {
        let mut filter = PaymentFilter { limit: 1_000, ..PaymentFilter::default() };
        loop {
            let page = store.payments(*id, filter.clone()).await.unwrap();
            for payment in page.payments {
                assert!(found.insert(payment.id, payment.version).is_none(), "double");
            }
            filter.before = page.next;
            if filter.before.is_none() {
                break;
            }
        }
        // A merchant's numbers grow, wherever it was.
        let (mut after, mut count) = (0, 0);
        loop {
            let events = store.events(*id, after, 1_000).await.unwrap();
            let Some(last) = events.last() else { break };
            assert!(events.is_sorted_by(|a, b| a.sequence < b.sequence));
            (after, count) = (last.sequence, count + events.len());
        }
        assert!(count > 0);
    }
    assert_eq!(found.len(), acknowledged.payments.len());
    for (id, version) in &acknowledged.payments {
        assert!(found.get(id) >= Some(version), "{id} was lost or went back");
    }
    // The reader has seen every event, in each payment's order; once more only what was taken over.
    let mut last: HashMap<PaymentId, u32> = HashMap::new();
    let mut distinct = HashSet::new();
    for (id, version) in &seen {
        if distinct.insert((*id, *version)) {
            let before = last.insert(*id, *version).unwrap_or(0);
            assert_eq!(before + 1, *version, "{id}: out of order");
        }
    }
    assert_eq!(last, found, "every event was read");
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_bucket_that_was_left_closed_is_opened_by_any_instance() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    let begun = store.commit(create(id, 700)).await.unwrap();
    let watch =
        |stage| if stage == Stage::Paused { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    assert!(move_bucket(&shards.options(0), 4, 1, QUICK, &watch).await.is_err());
    // It waits, and goes on where it was.
    let from = Instant::now();
    store.commit(captured(&begun.payment)).await.unwrap();
    assert!(from.elapsed() < Duration::from_secs(5), "{:?}", from.elapsed());
    assert_eq!(store.map().of(id), 0);
    abort_move(&shards.options(0)).await.unwrap();
    assert_eq!(rows_of(&shards.0[1], 4).await, 0);
    // Switched and left: it is the other's, and open there.
    let watch =
        |stage| if stage == Stage::Switched { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    assert!(move_bucket(&shards.options(0), 4, 1, QUICK, &watch).await.is_err());
    store.commit(create(id, 700)).await.unwrap();
    assert_eq!(store.map().of(id), 1);
    assert!(abort_move(&shards.options(0)).await.is_err());
    move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    assert_eq!(rows_of(&shards.0[0], 4).await, 0);
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_copy_that_differs_is_noticed_and_made_anew() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    let mut last = None;
    for _ in 0..20 {
        let begun = store.commit(create(id, 700)).await.unwrap();
        last = Some(store.commit(captured(&begun.payment)).await.unwrap().payment);
    }
    for damage in [
        "UPDATE payments SET amount_minor = amount_minor + 1 WHERE ctid = (SELECT max(ctid) FROM payments)",
        "DELETE FROM events WHERE ctid = (SELECT max(ctid) FROM events)",
        "UPDATE balances SET record = record || 'x' WHERE ctid = (SELECT max(ctid) FROM balances)",
        "INSERT INTO job_due SELECT merchant_id, 'x', 'x' FROM payments LIMIT 1",
    ] {
        let watch = |stage| {
            if stage == Stage::CatchingUp { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(move_bucket(&shards.options(0), 4, 1, QUICK, &watch).await.is_err());
        shards.0[1].client().await.batch_execute(damage).await.unwrap();
        let noticed = move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap_err();
        assert!(noticed.to_string().contains("made anew"), "{damage}: {noticed}");
        store.commit(refund(last.as_ref().unwrap(), 1)).await.unwrap();
    }
    move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_switch_that_takes_too_long_is_undone_and_tried_again() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    store.commit(create(id, 700)).await.unwrap();
    // Somebody holds the target's log while the bucket is closed.
    let client = shards.0[1].client().await;
    client.batch_execute("BEGIN; SELECT 1 FROM log_head WHERE id = 1 FOR UPDATE").await.unwrap();
    let options = shards.options(0);
    let moving = tokio::spawn(async move {
        let options_of_move = MoveOptions { pause_max_ms: 200, ..QUICK };
        move_bucket(&options, 4, 1, options_of_move, &unwatched).await
    });
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        let from = Instant::now();
        store.commit(create(id, 700)).await.unwrap();
        assert!(from.elapsed() < Duration::from_millis(1_000), "{:?}", from.elapsed());
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    let report = moving.await.unwrap().unwrap();
    assert!(report.pauses_in_vain > 0, "{report:?}");
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn jobs_and_their_leases_go_along_and_are_done_once() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    let lane = WebhookEndpointId::from_parts(parts(4)).to_bytes();
    let kind = JobKind::WebhookDelivery;
    let steps = (0..6)
        .map(|_| {
            let job = Job::new(JobId::from_parts(parts(4)), id, kind, lane, vec![], (NOW_MS, NOW_MS));
            JobStep::Enqueue { job: Box::new(job), delivery: None }
        })
        .collect();
    store.work(Work { now_ms: NOW_MS, steps, ..Work::default() }).await.unwrap();
    let lease = async |count| {
        let wish = LeaseWish {
            kind,
            owner: 7,
            now_ms: NOW_MS,
            until_ms: NOW_MS + 60_000,
            lanes: vec![(lane, count)],
        };
        store.lease_jobs(wish).await.unwrap().jobs
    };
    let mut leased = lease(2).await;
    assert_eq!(leased.len(), 2);
    move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    let rest = lease(9).await;
    assert_eq!(rest.len(), 4, "those that are leased are not leased again");
    leased.extend(rest);
    for job in &leased {
        let step = JobStep::Settle { merchant_id: id, id: job.id, owner: 7, how: Settle::Done };
        let work = Work { now_ms: NOW_MS, steps: vec![step], ..Work::default() };
        assert_eq!(store.work(work).await.unwrap(), Worked::Done);
    }
    assert_eq!(store.job_depth(kind).await.unwrap(), 0);
    assert_eq!(leased.iter().map(|job| job.id).collect::<HashSet<_>>().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn events_that_nobody_has_read_are_the_targets_and_history_is_not_read_again() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let (id, other) = (merchant(store.as_ref(), 4).await, merchant(store.as_ref(), 5).await);
    // The target's log is short, the source's is long.
    let there = store.commit(create(other, 100)).await.unwrap().event.unwrap();
    let mut payments = Vec::new();
    for _ in 0..6 {
        let begun = store.commit(create(id, 100)).await.unwrap();
        store.commit(captured(&begun.payment)).await.unwrap();
        payments.push(begun.payment.id);
    }
    let (mut seen, mut at) = (Vec::new(), HashMap::new());
    assert_eq!(read_logs(&store, &mut seen, &mut at).await, 13);
    let begun = store.commit(create(id, 100)).await.unwrap();
    let taken = store.commit(captured(&begun.payment)).await.unwrap();
    let numbers = async || -> Vec<u64> {
        store.events(id, 0, 99).await.unwrap().iter().map(|record| record.sequence).collect()
    };
    assert_eq!(numbers().await, (1..=14).collect::<Vec<_>>());
    let report = move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    assert_eq!(report.events_taken, 2);
    // Behind the source's numbers, and the target's own reader comes to them.
    assert_eq!(numbers().await, (1..=12).chain([15, 16]).collect::<Vec<_>>());
    let unread = store.outbox_of(1, there.sequence, 99).await.unwrap();
    let of = |record: &tollgate_core::event::EventRecord| (record.payment_id, record.version);
    assert_eq!(unread.iter().map(of).collect::<Vec<_>>(), [(begun.payment.id, 1), (begun.payment.id, 2)]);
    assert!(store.outbox_of(0, 0, 99).await.unwrap().is_empty());
    // The next one follows, also for who lists by number.
    let next = store.commit(refund(&taken.payment, 10)).await.unwrap().event.unwrap();
    assert_eq!(next.sequence, 17);
    assert_eq!(store.events(id, 14, 1).await.unwrap()[0].sequence, 15);
    // Masking an event finds it by what it is of: the other merchant's has the number of one of these.
    assert_eq!(there.sequence, 1);
    let subject = tollgate_core::erasure::Subject { user_id: Some("u".to_owned()), ..Default::default() };
    let wish = tollgate_store::commit::ErasePayments {
        merchant_id: id,
        subject,
        payments,
        checkouts: vec![],
        replies: vec![],
    };
    store.administer(Admin::ErasePayments(Box::new(wish)), By::system(NOW_MS)).await.unwrap();
    assert_clean(store.as_ref()).await;
    // And home again, numbers and all.
    move_bucket(&shards.options(0), 4, 0, QUICK, &unwatched).await.unwrap();
    assert_eq!(numbers().await[..12], (1..=12).collect::<Vec<_>>());
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn one_database_with_payments_becomes_the_first_shard() {
    let first = Database::new().await;
    let (id, payment) = {
        let store = first.open(1).await;
        let id = merchant(store.as_ref(), 300).await;
        let begun = store.commit(create(id, 900)).await.unwrap();
        (id, store.commit(captured(&begun.payment)).await.unwrap().payment)
    };
    let second = Database::new().await;
    migrate(&second.options(0)).await.unwrap();
    let shards = Shards(vec![first, second]);
    let old = shards.0[0].open(2).await;
    let map = sharded::init(&shards.options(0)).await.unwrap();
    assert_eq!(map.buckets(0).count(), 1_024);
    // Who still takes it for the whole is told so once its bucket has left.
    old.commit(refund(&payment, 10)).await.unwrap();
    let refused = move_bucket(&shards.options(0), 300, 1, QUICK, &unwatched).await.unwrap_err();
    assert!(refused.to_string().contains("does not know shard 1"), "{refused}");
    drop(old);
    let part = PostgresStore::open(shards.0[0].options(4)).await.unwrap_err();
    assert!(part.to_string().contains("configure all"), "{part}");
    let store = shards.open(3).await;
    move_bucket(&shards.options(0), 300, 1, QUICK, &unwatched).await.unwrap();
    store.commit(refund(&payment, 10)).await.unwrap();
    assert_eq!(store.payment(id, payment.id).await.unwrap().unwrap().version, 4);
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_shard_that_is_away_is_named_and_the_others_go_on() {
    let shards = Shards::new(3).await;
    let (here, there) = {
        let store = shards.open(1).await;
        (merchant(store.as_ref(), 1).await, merchant(store.as_ref(), 2).await)
    };
    let mut options = shards.options(2);
    // Nobody is behind this port.
    options[2].url = "postgres://tollgate@127.0.0.1:1/postgres".to_owned();
    let store = ShardedStore::open(ShardedOptions::new(options.clone())).await.unwrap();
    assert_eq!(store.missing(), [2]);
    store.commit(create(here, 100)).await.unwrap();
    let refused = store.commit(create(there, 100)).await.unwrap_err();
    assert!(refused.to_string().contains("shard 2"), "{refused}");
    assert_eq!(store.open_attempts(None, 9).await.unwrap().len(), 1, "what there is of it");
    assert!(store.health().await.is_ok());
    let refused =
        store.administer(Admin::PutPartner(Box::new(partner(here))), By::system(NOW_MS)).await.unwrap_err();
    assert!(refused.to_string().contains("shard 2"), "{refused}");
    let found = status(&options).await.unwrap();
    assert!(found.shards[2].fault.is_some() && found.shards[1].fault.is_none(), "{found:?}");
}
