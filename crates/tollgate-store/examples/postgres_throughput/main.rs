//! How many payments a second the PostgreSQL store makes durable: in batches, with the same code in batches of one, and with
//! plain SQL and a transaction each, on the same schema in the same run. See `bench/postgres-store/run`.
//!
//! Usage: `postgres_throughput <address> <seconds> <callers> <merchants>`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement stops where it fails")]

mod plain;
#[path = "../records/mod.rs"]
mod records;
mod replies;

use plain::{Plain, Sizes};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::id::{AttemptId, EventId, IdParts, MerchantId, PaymentId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, Commit, IdempotencyStep, StoredReply};
use tollgate_store::postgres::{
    PartitionWish, PoolOptions, PostgresOptions, PostgresStore, migrate, partitions,
};

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static NEXT: AtomicU64 = AtomicU64::new(1);

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn parts(bucket: u16) -> IdParts {
    IdParts { unix_ms: now_ms(), sub_ms: 0, bucket, random: NEXT.fetch_add(1, Ordering::Relaxed) }
}

fn terms() -> Arc<PaymentTerms> {
    let processor = ProcessorName::new("razorpay");
    let mut number = NEXT.load(Ordering::Relaxed);
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) % 4_000
    };
    Arc::new(PaymentTerms {
        amount: Money::new(10_000, Currency::INR),
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan { percent_bps: 200, fixed_minor: 0 },
        user_id: Some(format!("user{}", next())),
        customer_name: None,
        customer_email: Some("customer@example.com".to_owned()),
        customer_phone: None,
        description: Some("an order".to_owned()),
        statement_descriptor: None,
        return_url: None,
        metadata: vec![("order".to_owned(), "4711".to_owned())],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: Some(Box::new(records::screening(&mut next))),
        routing: Some(Box::new(records::route(&processor, 236))),
    })
}

/// A reply like the gateway's.
fn reply(payment: &Payment, _refund: Option<&Refund>) -> StoredReply {
    let number = payment.id.as_u128().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 64;
    let number = u64::try_from(number).unwrap_or_default() % 1_000_000_000;
    let body = replies::reply(&payment.id.to_string(), &payment.merchant_id.to_string(), number);
    StoredReply { status: 201, body: body.into() }
}

/// One payment under an idempotency key: made, and captured. Two durable commits.
async fn pay(store: &dyn Store, merchant_id: MerchantId) {
    let bucket = merchant_id.bucket();
    let attempt = AttemptStart {
        id: AttemptId::from_parts(parts(bucket)),
        processor: ProcessorName::new("razorpay"),
        amount_minor: 10_000,
    };
    let payment_id = PaymentId::from_parts(parts(bucket));
    let (attempt_id, key) = (attempt.id, format!("order-{payment_id}"));
    let commit = |command, idempotency| Commit {
        merchant_id,
        now_ms: now_ms(),
        event_id: EventId::from_parts(parts(bucket)),
        command: Some(command),
        idempotency: Some(idempotency),
        message: None,
    };
    let begin = Command::Create { payment_id, terms: terms(), attempt };
    let claim = IdempotencyStep::Begin { key: key.clone(), fingerprint: [7; 32] };
    store.commit(Box::new(commit(begin, claim))).await.unwrap();
    let outcome = Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 10_000 };
    let settle = Command::Settle { payment_id, attempt_id, outcome, next: None };
    let answer =
        IdempotencyStep::Finish { key, payment_id, refund_id: None, claimed_ms: None, render: reply };
    store.commit(Box::new(commit(settle, answer))).await.unwrap();
}

const ROUNDS: usize = 5;

struct Setup {
    name: &'static str,
    lanes: u16,
    batch_max: usize,
}

/// The merchants, made.
async fn merchants(store: &dyn Store, count: u16) -> Vec<MerchantId> {
    let mut ids = Vec::new();
    for number in 0..count {
        let id = MerchantId::from_parts(parts(number.wrapping_mul(37) % 1_024));
        let merchant = Merchant {
            id,
            name: "Shop".to_owned(),
            mode: Mode::Sandbox,
            active: true,
            fee: FeePlan::default(),
            mcc: None,
            country: None,
            processors: vec![],
            created_at_ms: now_ms(),
        };
        store.administer(Admin::PutMerchant(merchant), By::system(now_ms())).await.unwrap();
        ids.push(id);
    }
    ids
}

/// As many callers as there are of these pay one payment after the other for so long; payments a second.
async fn measure<F, P>(name: &str, callers: Vec<F>, seconds: u64) -> f64
where
    F: Fn() -> P + Send + 'static,
    P: Future<Output = ()> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for pay in callers {
        let stop = Arc::clone(&stop);
        tasks.spawn(async move {
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                pay().await;
                took.push(begun.elapsed());
            }
            took
        });
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut took: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let elapsed = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).map_or(0.0, |it| it.as_secs_f64() * 1_000.0);
    let count = f64::from(u32::try_from(took.len()).unwrap());
    let a_second = count / elapsed;
    println!(
        "{name:<44} {a_second:>7.0} payments/s   a payment: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms",
        at(50),
        at(95),
        at(99)
    );
    a_second
}

/// The store, with as many callers as wanted.
async fn of_store(options: &PostgresOptions, setup: &Setup, load: &Load) -> f64 {
    let options = PostgresOptions { lanes: setup.lanes, batch_max: setup.batch_max, ..options.clone() };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let ids = merchants(store.as_ref(), load.merchants).await;
    let caller = |caller: usize| {
        let (store, id) = (Arc::clone(&store), ids[caller % ids.len()]);
        move || {
            let store = Arc::clone(&store);
            async move { pay(store.as_ref(), id).await }
        }
    };
    measure(setup.name, (0..load.callers).map(caller).collect(), load.seconds).await
}

/// Plain SQL on 32 connections, one caller each: more callers would only wait for one.
async fn of_plain(url: &str, sizes: Sizes, load: &Load) -> f64 {
    let mut callers = Vec::new();
    for caller in 0..32_u16 {
        let merchant = MerchantId::from_parts(parts(caller % load.merchants * 37 % 1_024));
        let plain = Arc::new(Plain::connect(url, merchant, sizes).await);
        callers.push(move || {
            let plain = Arc::clone(&plain);
            async move { plain.pay(NEXT.fetch_add(1, Ordering::Relaxed), now_ms()).await }
        });
    }
    measure("plain SQL, a transaction each, 32 connections", callers, load.seconds).await
}

/// What is asked of each way.
struct Load {
    seconds: u64,
    callers: usize,
    merchants: u16,
}

/// A database with the schema and this month's partitions.
async fn made(url: &str) -> PostgresOptions {
    let mut options = PostgresOptions::new(url, now_ms());
    options.pool = PoolOptions { idle_min: 2, size_max: 8, ..PoolOptions::default() };
    migrate(&options).await.unwrap();
    let wish = PartitionWish { now_ms: now_ms(), months_ahead: 1, keep_ms: None };
    partitions(&options, &wish).await.unwrap();
    options
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, seconds, callers, merchants] = arguments.as_slice() else {
        eprintln!("usage: postgres_throughput <address> <seconds> <callers> <merchants>");
        std::process::exit(2);
    };
    let load = Load {
        seconds: seconds.parse().unwrap(),
        callers: callers.parse().unwrap(),
        merchants: merchants.parse().unwrap(),
    };
    let options = made(url).await;
    // What is written without the store is in a database of its own: the store's books are audited afterwards.
    let plain_url = plain::database(url).await;
    made(&plain_url).await;
    let grouped = Setup { name: "batches, 2 lanes", lanes: 2, batch_max: 512 };
    let double = Setup { name: "batches, 4 lanes", lanes: 4, batch_max: 512 };
    let single = Setup { name: "batches of one, 32 connections", lanes: 32, batch_max: 1 };
    let (mut of_grouped, mut of_single, mut of_sql) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_grouped.push(of_store(&options, &grouped, &load).await);
        of_store(&options, &double, &load).await;
        of_single.push(of_store(&options, &single, &load).await);
        let sizes = Sizes::read(url).await;
        of_sql.push(of_plain(&plain_url, sizes, &load).await);
    }
    let ratio = |others: &[f64]| median(&of_grouped) / median(others);
    println!("medians of {ROUNDS}: batches in 2 lanes make {:.0} payments/s:", median(&of_grouped));
    println!("  {:.1} times as many as batches of one", ratio(&of_single));
    println!("  {:.1} times as many as plain SQL with a transaction each", ratio(&of_sql));
    let store = PostgresStore::open(PostgresOptions { run: now_ms() + 1, ..options }).await.unwrap();
    let report = audit(&store, &mut |_, _| {}).await.unwrap();
    println!("audit: {} payments, {} problems", report.payments, report.problem_count);
}

fn median(of: &[f64]) -> f64 {
    let mut of = of.to_vec();
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
