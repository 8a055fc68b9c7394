//! What only a store that others use at the same time must do: several instances on one database, migrations,
//! partitions, and connections that die. Runs where `TOLLGATE_TEST_POSTGRES` names a server (`scripts/postgres`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

#[path = "postgres_parts/outage.rs"]
mod outage;
#[path = "postgres_parts/outcomes.rs"]
mod outcomes;
#[path = "postgres_parts/replicas.rs"]
mod replicas;
mod support;
#[path = "postgres_parts/tls.rs"]
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::Database;
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::audit::verify::Verifier;
use tollgate_core::command::{Command, Refusal};
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::id::{AttemptId, EventId, IdParts, JobId, MerchantId, PartnerId, PaymentId, RefundId};
use tollgate_core::job::{Job, JobKind};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::partner::{Kyc, KycState, Limit, NotAdmitted, Partner, PartnerState, Profile};
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, Commit, CommitError, Committed, IdempotencyStep, StoredReply};
use tollgate_store::error::StoreError;
use tollgate_store::jobs::{JobStep, LeaseWish, LogReader, LogStep, Settle, Work, Worked};
use tollgate_store::postgres::{
    PartitionWish, PoolOptions, PostgresOptions, PostgresStore, migrate, partitions,
};
use tollgate_store::query::PaymentFilter;

const NOW_MS: u64 = 1_790_000_000_000;
static NEXT: AtomicU64 = AtomicU64::new(1);

fn parts(unix_ms: u64, bucket: u16) -> IdParts {
    IdParts { unix_ms, sub_ms: 0, bucket, random: NEXT.fetch_add(1, Ordering::Relaxed) }
}

/// A store on few connections.
fn small(url: &str, run: u64) -> PostgresOptions {
    let mut options = PostgresOptions::new(url, run);
    options.pool = PoolOptions { idle_min: 1, size_max: 4, ..PoolOptions::default() };
    options.lanes = 2;
    options
}

async fn merchant(store: &dyn Store, bucket: u16) -> MerchantId {
    let id = MerchantId::from_parts(parts(NOW_MS, bucket));
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

fn commit(merchant_id: MerchantId, now_ms: u64, command: Command) -> Box<Commit> {
    let event_id = EventId::from_parts(parts(now_ms, 5));
    Box::new(Commit {
        merchant_id,
        now_ms,
        event_id,
        command: Some(command),
        idempotency: None,
        message: None,
    })
}

fn create(merchant_id: MerchantId, minor: i64, now_ms: u64) -> Box<Commit> {
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
    let id = AttemptId::from_parts(parts(now_ms, 5));
    let attempt = AttemptStart { id, processor: ProcessorName::new("razorpay"), amount_minor: minor };
    let payment_id = PaymentId::from_parts(parts(now_ms, 5));
    commit(merchant_id, now_ms, Command::Create { payment_id, terms: Arc::new(terms), attempt })
}

fn captured(payment: &Payment, now_ms: u64) -> Box<Commit> {
    let amount_minor = payment.terms.amount.minor;
    let outcome = Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor };
    let (payment_id, attempt_id) = (payment.id, payment.charge_attempt_id);
    commit(payment.merchant_id, now_ms, Command::Settle { payment_id, attempt_id, outcome, next: None })
}

fn refund(payment: &Payment, minor: i64) -> Box<Commit> {
    let command = Command::Refund {
        payment_id: payment.id,
        refund_id: RefundId::from_parts(parts(NOW_MS, 5)),
        attempt_id: AttemptId::from_parts(parts(NOW_MS, 5)),
        amount_minor: Some(minor),
        reason: None,
        metadata: vec![],
    };
    commit(payment.merchant_id, NOW_MS, command)
}

async fn assert_clean(store: &dyn Store) {
    let report = audit(store, &mut |_, _| {}).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let mut verifier = Verifier::new(&[]);
    for (position, record) in store.audit(0, 1_000).await.unwrap() {
        verifier.follow(position, record.as_ref()).unwrap();
    }
    verifier.end(store.audit_head().await.unwrap()).unwrap();
}

/// Three instances on one database.
async fn fleet(database: &Database) -> Vec<Arc<PostgresStore>> {
    let mut stores = Vec::new();
    for run in 1..=3 {
        stores.push(database.open(run).await);
    }
    stores
}

async fn race(
    stores: &[Arc<PostgresStore>],
    commits: impl Iterator<Item = Box<Commit>>,
) -> Vec<Result<Committed, CommitError>> {
    let mut racers = tokio::task::JoinSet::new();
    for (place, commit) in commits.enumerate() {
        let store = Arc::clone(&stores[place % stores.len()]);
        racers.spawn(async move { store.commit(commit).await });
    }
    racers.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn instances_that_race_never_refund_too_much_and_number_events_without_a_gap() {
    let database = Database::new().await;
    let stores = fleet(&database).await;
    let mut payments = Vec::new();
    for bucket in 0..6 {
        let mer = merchant(stores[0].as_ref(), bucket).await;
        let begun = stores[1].commit(create(mer, 1_000, NOW_MS)).await.unwrap();
        let done = stores[2].commit(captured(&begun.payment, NOW_MS)).await.unwrap();
        payments.push(done.payment);
    }
    let wishes = (0..180).map(|number| refund(&payments[number % payments.len()], 70));
    let results = race(&stores, wishes).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 6 * 14, "fourteen of seventy fit into a thousand");
    for lost in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(lost, CommitError::Refused(Refusal::AboveRefundable { .. })), "{lost:?}");
    }
    let mut numbers: Vec<u64> =
        results.iter().flatten().map(|won| won.event.as_ref().unwrap().sequence).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (13..13 + 84).collect::<Vec<_>>(), "what callers are told is what stands in the log");
    assert_clean(stores[0].as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn limits_and_changes_of_partners_hold_across_instances() {
    let database = Database::new().await;
    let stores = fleet(&database).await;
    let live = MerchantId::from_parts(parts(NOW_MS, 9));
    let limit = Limit {
        currency: Currency::INR,
        transaction_minor: None,
        day_minor: Some(1_000),
        month_minor: Some(10_000),
    };
    let partner = Partner {
        id: PartnerId::from_parts(parts(NOW_MS, 9)),
        version: 1,
        profile: Profile {
            reference: Some("one".to_owned()),
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
    };
    let put = |partner: &Partner| Admin::PutPartner(Box::new(partner.clone()));
    stores[0].administer(put(&partner), By::system(NOW_MS)).await.unwrap();
    let results = race(&stores, (0..90).map(|_| create(live, 100, NOW_MS))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10);
    // Two who change it at once: one of them is told.
    let next = Partner { version: 2, state: PartnerState::Suspended, ..partner };
    let (a, b) = tokio::join!(
        stores[1].administer(put(&next), By::system(NOW_MS)),
        stores[2].administer(put(&next), By::system(NOW_MS))
    );
    assert_eq!([a.is_ok(), b.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let later = stores[0].commit(create(live, 1, NOW_MS + 86_400_000)).await;
    let Err(CommitError::Refused(Refusal::NotAdmitted(why))) = later else {
        panic!("{later:?}");
    };
    assert_eq!(why, NotAdmitted::Suspended);
}

fn render(payment: &Payment, _: Option<&Refund>) -> StoredReply {
    StoredReply { status: 201, body: payment.id.to_string().into_bytes().into() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_key_is_claimed_once_by_all_instances_and_taken_over_from_the_dead() {
    let database = Database::new().await;
    let mut stores = fleet(&database).await;
    let mer = merchant(stores[0].as_ref(), 3).await;
    let begin = || {
        let key = IdempotencyStep::Begin { key: "k".to_owned(), fingerprint: [1; 32] };
        Box::new(Commit { idempotency: Some(key), ..*create(mer, 700, NOW_MS) })
    };
    let mut results = race(&stores[..2], (0..60).map(|_| begin())).await;
    results.sort_by_key(Result::is_err);
    let won = results.remove(0).unwrap();
    assert!(results.iter().all(|result| matches!(result, Err(CommitError::KeyInFlight))), "{results:?}");
    // Whoever claimed it is at work, though in another process.
    assert!(matches!(stores[2].commit(begin()).await, Err(CommitError::KeyInFlight)));
    let survivor = stores.remove(2);
    drop(stores);
    let orphaned = survivor.commit(begin()).await;
    assert!(
        matches!(&orphaned, Err(CommitError::KeyOrphaned { payment_id, .. }) if *payment_id == won.payment.id)
    );
    let finish = IdempotencyStep::Finish {
        key: "k".to_owned(),
        payment_id: won.payment.id,
        refund_id: None,
        claimed_ms: None,
        render,
    };
    let done = Box::new(Commit { idempotency: Some(finish), ..*captured(&won.payment, NOW_MS) });
    let reply = survivor.commit(done).await.unwrap().reply.unwrap();
    assert!(matches!(survivor.commit(begin()).await, Err(CommitError::Replay(again)) if again == reply));
    assert_clean(survivor.as_ref()).await;
}

/// A reply is written into its claim's row without a word to the index, as there is room left on the page: keys are in no order, and each
/// new entry would touch a page of the index of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn replies_are_written_beside_their_claims() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let wish = PartitionWish { now_ms: NOW_MS, months_ahead: 1, keep_ms: None };
    partitions(&database.options(1), &wish).await.unwrap();
    let mer = merchant(store.as_ref(), 3).await;
    // As long as replies are once they are packed.
    let render = |payment: &Payment, _: Option<&Refund>| {
        let body = (0..9_u128).map(|number| (payment.id.as_u128() ^ number << 64).to_be_bytes());
        StoredReply { status: 201, body: body.flatten().collect::<Vec<u8>>().into() }
    };
    let payments = 600_i64;
    let key = |number: usize| format!("order-{number}");
    let mut begun = Vec::new();
    for number in 0..usize::try_from(payments).unwrap() {
        let claim = IdempotencyStep::Begin { key: key(number), fingerprint: [1; 32] };
        let begin = Box::new(Commit { idempotency: Some(claim), ..*create(mer, 700, NOW_MS) });
        begun.push(store.commit(begin).await.unwrap().payment);
    }
    for (number, payment) in begun.iter().enumerate() {
        let answer = IdempotencyStep::Finish {
            key: key(number),
            payment_id: payment.id,
            refund_id: None,
            claimed_ms: None,
            render,
        };
        store
            .commit(Box::new(Commit { idempotency: Some(answer), ..*captured(payment, NOW_MS) }))
            .await
            .unwrap();
    }
    // Its sessions say what they have done when they end.
    drop(store);
    let client = database.client().await;
    let query = "SELECT sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint FROM pg_stat_user_tables
                 WHERE relname LIKE 'idempotency%'";
    let patience = Instant::now() + Duration::from_secs(30);
    let (changed, beside): (i64, i64) = loop {
        let row = client.query_one(query, &[]).await.unwrap();
        if row.get::<_, i64>(0) >= payments {
            break (row.get(0), row.get(1));
        }
        assert!(Instant::now() < patience, "the server has not counted {payments} changes");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(changed, payments);
    assert!(beside * 20 >= changed * 19, "{beside} of {changed}");
}

/// What a payment costs does not grow with its merchant's payments, though the server's plans were made while there were none
/// and nobody has analysed anything since.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn plans_of_an_empty_month_are_not_kept() {
    let database = Database::new().await;
    let client = database.client().await;
    let stores = [database.open(1).await];
    let wish = PartitionWish { now_ms: NOW_MS, months_ahead: 1, keep_ms: None };
    partitions(&database.options(1), &wish).await.unwrap();
    let quiet = "DO $$ DECLARE leaf text; BEGIN
        FOR leaf IN SELECT oid::regclass::text FROM pg_class
                    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
            EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', leaf);
        END LOOP;
    END $$";
    client.batch_execute(quiet).await.unwrap();
    let mer = merchant(stores[0].as_ref(), 3).await;
    let payments = 1_500_i64;
    for _ in 0..payments / 30 {
        let begun = race(&stores, (0..30).map(|_| create(mer, 700, NOW_MS))).await;
        let done = begun.iter().map(|begun| captured(&begun.as_ref().unwrap().payment, NOW_MS));
        assert!(race(&stores, done).await.iter().all(Result::is_ok));
    }
    drop(stores);
    // Sessions tell what they have read when they end.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let scans = "SELECT sum(idx_scan) FILTER (WHERE indexrelname LIKE '%pkey')::bigint,
                        sum(idx_scan) FILTER (WHERE indexrelname NOT LIKE '%pkey')::bigint
                 FROM pg_stat_user_indexes WHERE relname LIKE 'payments_20%'";
    let scans = client.query_one(scans, &[]).await.unwrap();
    let (by_key, otherwise): (i64, i64) = (scans.get(0), scans.get(1));
    assert!(by_key > payments && otherwise < payments, "{by_key} by key, {otherwise} otherwise");
    assert_clean(database.open(2).await.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn jobs_are_leased_once_and_the_log_is_read_once_by_all_instances() {
    let database = Database::new().await;
    let stores = fleet(&database).await;
    let mer = MerchantId::from_parts(parts(NOW_MS, 1));
    let job = || {
        let id = JobId::from_parts(parts(NOW_MS, 1));
        let job = Job::new(id, mer, JobKind::WebhookDelivery, [1; 16], vec![], (NOW_MS, NOW_MS));
        JobStep::Enqueue { job: Box::new(job), delivery: None }
    };
    let steps = (0..50).map(|_| job()).collect();
    stores[0].work(Work { now_ms: NOW_MS, steps, ..Work::default() }).await.unwrap();
    let wish = |owner| LeaseWish {
        kind: JobKind::WebhookDelivery,
        owner,
        now_ms: NOW_MS,
        until_ms: NOW_MS + 1_000,
        lanes: vec![([1; 16], 30)],
    };
    let (a, b) = tokio::join!(stores[0].lease_jobs(wish(1)), stores[1].lease_jobs(wish(2)));
    let (a, b) = (a.unwrap().jobs, b.unwrap().jobs);
    assert_eq!(a.len() + b.len(), 50);
    assert!(a.iter().all(|one| b.iter().all(|other| other.id != one.id)));
    let settle = |job: &Job, owner| {
        let (merchant_id, id, how) = (job.merchant_id, job.id, Settle::Done);
        Work {
            now_ms: NOW_MS,
            steps: vec![JobStep::Settle { merchant_id, id, owner, how }],
            ..Work::default()
        }
    };
    assert_eq!(stores[2].work(settle(&a[0], 2)).await.unwrap(), Worked::Stale);
    assert_eq!(stores[2].work(settle(&a[0], 1)).await.unwrap(), Worked::Done);
    let step = || Work {
        now_ms: NOW_MS,
        log: Some(LogStep { reader: LogReader::Webhooks, from: 0, to: 5 }),
        ..Work::default()
    };
    let steps = tokio::join!(stores[0].work(step()), stores[1].work(step()), stores[2].work(step()));
    let done = [steps.0, steps.1, steps.2].into_iter().filter(|it| *it.as_ref().unwrap() == Worked::Done);
    assert_eq!(done.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn connections_that_were_cut_are_made_again() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let mer = merchant(store.as_ref(), 1).await;
    let begun = store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.client().await.execute(cut, &[]).await.unwrap();
    let done = store.commit(captured(&begun.payment, NOW_MS)).await.unwrap();
    assert_eq!(store.payment(mer, done.payment.id).await.unwrap().unwrap(), *done.payment);
    assert!(store.health().await.is_ok());
    assert_clean(store.as_ref()).await;
    let statistics = store.connections()[0].statistics;
    assert!(statistics.made >= 2 && statistics.wanted > 0, "{statistics:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn damage_is_found() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let mer = merchant(store.as_ref(), 1).await;
    let begun = store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    store.commit(captured(&begun.payment, NOW_MS)).await.unwrap();
    assert_clean(store.as_ref()).await;
    let client = database.client().await;
    for table in ["ledger_postings", "balances", "totals", "events", "attempts"] {
        client.batch_execute(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await.unwrap();
        let query = format!("DELETE FROM {table} WHERE ctid = (SELECT max(ctid) FROM {table})");
        client.execute(&query, &[]).await.unwrap();
        let report = audit(store.as_ref(), &mut |_, _| {}).await;
        assert!(report.is_err() || report.unwrap().problem_count > 0, "{table} was lost unseen");
        let back = format!("TRUNCATE {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept");
        client.batch_execute(&back).await.unwrap();
    }
    assert_clean(store.as_ref()).await;
    // A payment that somebody else has changed meanwhile is not written over.
    client.execute("UPDATE payments SET version = 9", &[]).await.unwrap();
    let refused = store.commit(refund(&begun.payment, 5)).await.unwrap_err();
    assert!(refused.to_string().contains("changed by somebody else"), "{refused}");
    client.execute("UPDATE payments SET version = 2", &[]).await.unwrap();
    store.commit(refund(&begun.payment, 5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn migrations_are_applied_once_and_what_breaks_this_program_is_refused() {
    let database = Database::new().await;
    let options = database.options(1);
    let refused = PostgresStore::open(options.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("run `tollgate migrate` first"), "{refused}");
    let (a, b, c) = tokio::join!(migrate(&options), migrate(&options), migrate(&options));
    let made = a.unwrap() + b.unwrap() + c.unwrap();
    let steps: i64 =
        database.client().await.query_one("SELECT count(*) FROM tollgate_schema", &[]).await.unwrap().get(0);
    assert_eq!((i64::try_from(made).unwrap(), steps > 3), (steps, true));
    drop(PostgresStore::open(options.clone()).await.unwrap());

    // A newer schema that only adds is no hindrance; one that takes away is.
    let client = database.client().await;
    client.batch_execute("INSERT INTO tollgate_schema VALUES (98, 1, 'more')").await.unwrap();
    drop(PostgresStore::open(options.clone()).await.unwrap());
    assert_eq!(migrate(&options).await.unwrap(), 0);
    client.batch_execute("INSERT INTO tollgate_schema VALUES (99, 99, 'less')").await.unwrap();
    for refused in [PostgresStore::open(options.clone()).await.map(|_| 0), migrate(&options).await] {
        assert!(matches!(refused, Err(StoreError::Newer { found: 99, .. })), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn partitions_are_made_ahead_filled_from_the_default_one_and_put_aside() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let mer = merchant(store.as_ref(), 1).await;
    // Nobody made any in time.
    let begun = store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    let options = database.options(1);
    let wish = PartitionWish { now_ms: NOW_MS, months_ahead: 1, keep_ms: None };
    let report = partitions(&options, &wish).await.unwrap();
    for made in ["payments_202609", "events_202610", "ledger_postings_202609", "attempts_202610"] {
        assert!(report.made.iter().any(|name| name == made), "{report:?}");
    }
    assert!(partitions(&options, &wish).await.unwrap().made.is_empty());
    let done = store.commit(captured(&begun.payment, NOW_MS)).await.unwrap();
    let client = database.client().await;
    let count = async |table: &str| -> i64 {
        client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
    };
    assert_eq!((count("payments_default").await, count("payments_202609").await), (0, 1));
    assert_eq!((count("events_default").await, count("events_202609").await), (0, 2));
    assert_clean(store.as_ref()).await;

    let day_ms = 86_400_000;
    let too_soon = PartitionWish { keep_ms: Some(365 * day_ms), ..wish };
    assert!(partitions(&options, &too_soon).await.is_err());
    let later = NOW_MS + 11 * 366 * day_ms;
    let old = PartitionWish { now_ms: later, months_ahead: 0, keep_ms: Some(3_653 * day_ms) };
    let report = partitions(&options, &old).await.unwrap();
    assert!(report.detached.contains(&"payments_202609".to_owned()), "{report:?}");
    assert!(report.dropped.iter().any(|name| name.starts_with("idempotency_")), "{report:?}");
    assert_eq!(count("payments_202609").await, 1, "put aside, not thrown away");
    assert_eq!(store.payment(mer, done.payment.id).await.unwrap(), None);
    let page = store.payments(mer, PaymentFilter { limit: 5, ..PaymentFilter::default() }).await.unwrap();
    assert!(page.payments.is_empty());
}

/// What Citus asks of a schema, as its documentation says: a table is distributed by a column that is in every unique
/// key, tables that are distributed by the same type of column lie together, and foreign keys do not lead away. What has no
/// such column is a reference table, or stays where it is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn the_schema_keeps_the_rules_of_citus() {
    let database = Database::new().await;
    drop(database.open(1).await);
    let client = database.client().await;
    let names = async |query: &str| -> Vec<String> {
        client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    // Tables, without partitions.
    const TABLES: &str = "pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relnamespace = 'public'::regnamespace";
    const HAS_MERCHANT: &str = "EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid
        AND a.attnum = ANY (i.indkey::smallint[]) WHERE i.indrelid = c.oid AND i.indisprimary AND a.attname = 'merchant_id')";
    let distributed =
        names(&format!("SELECT c.relname::text FROM {TABLES} AND {HAS_MERCHANT} ORDER BY 1")).await;
    let rest =
        names(&format!("SELECT c.relname::text FROM {TABLES} AND NOT {HAS_MERCHANT} ORDER BY 1")).await;
    assert!(distributed.len() > 25 && distributed.contains(&"payments".to_owned()), "{distributed:?}");

    // The distribution column: the same type everywhere, never null, first in the primary key and in every unique one.
    let wrong = names(&format!(
        "SELECT c.relname::text FROM {TABLES} AND {HAS_MERCHANT} AND NOT EXISTS (
             SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'merchant_id'
               AND a.atttypid = 'uuid'::regtype AND a.attnotnull)"
    ))
    .await;
    assert_eq!(wrong, Vec::<String>::new());
    let wrong = names(&format!(
        "SELECT i.indexrelid::regclass::text FROM pg_index i WHERE (i.indisunique OR i.indisexclusion)
         AND i.indrelid IN (SELECT c.oid FROM {TABLES} AND {HAS_MERCHANT})
         AND (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]) <> 'merchant_id'"
    ))
    .await;
    assert_eq!(wrong, Vec::<String>::new());
    // A partitioned table's key has what it is partitioned by as well; PostgreSQL sees to that, and Citus distributes
    // the partitions with it.
    for (what, query) in [
        ("foreign keys", "SELECT conname::text FROM pg_constraint WHERE contype = 'f'"),
        ("triggers", "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal"),
        ("rules", "SELECT rulename::text FROM pg_rewrite WHERE rulename <> '_RETURN' AND ev_class >= 16384"),
        ("row security", "SELECT relname::text FROM pg_class WHERE relrowsecurity"),
        (
            "inheritance",
            "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class c ON c.oid = inhparent
                         WHERE c.relkind NOT IN ('p', 'I')",
        ),
        ("unlogged tables", "SELECT relname::text FROM pg_class WHERE relpersistence <> 'p'"),
    ] {
        assert_eq!(names(query).await, Vec::<String>::new(), "{what}");
    }
    // Numbers that are given out by a distributed table would not be one row.
    let wrong = names(&format!(
        "SELECT c.relname::text FROM {TABLES} AND {HAS_MERCHANT} AND EXISTS (
             SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND (a.attidentity <> '' OR a.atthasdef)
               AND a.attname <> 'in_log')"
    ))
    .await;
    assert_eq!(wrong, Vec::<String>::new());

    // What is not distributed is named, with what it is to be, in the page that says how to run on Citus.
    let page = std::fs::read_to_string("../../docs/scaling.md").unwrap();
    for name in &rest {
        assert!(page.contains(&format!("`{name}`")), "docs/scaling.md does not say what {name} is on Citus");
    }
    for name in &distributed {
        assert!(page.contains(&format!("'{name}'")), "docs/scaling.md does not distribute {name}");
    }
}
