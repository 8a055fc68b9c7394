//! How many payments a second the PostgreSQL store makes durable, in batches and one transaction a unit of work, on
//! the same schema in the same run. See `bench/postgres-store/run`.
//!
//! Usage: `postgres_throughput <address> <seconds> <callers> <merchants>`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement stops where it fails")]

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
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, Commit};
use tollgate_store::postgres::{
    PartitionWish, PoolOptions, PostgresOptions, PostgresStore, migrate, partitions,
};

static NEXT: AtomicU64 = AtomicU64::new(1);

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn parts(bucket: u16) -> IdParts {
    IdParts { unix_ms: now_ms(), sub_ms: 0, bucket, random: NEXT.fetch_add(1, Ordering::Relaxed) }
}

fn terms() -> Box<PaymentTerms> {
    Box::new(PaymentTerms {
        amount: Money::new(10_000, Currency::INR),
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan { percent_bps: 200, fixed_minor: 0 },
        user_id: Some("user".to_owned()),
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: Some("an order".to_owned()),
        statement_descriptor: None,
        return_url: None,
        metadata: vec![("order".to_owned(), "4711".to_owned())],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    })
}

fn commit(merchant_id: MerchantId, command: Command) -> Commit {
    let event_id = EventId::from_parts(parts(merchant_id.bucket()));
    Commit {
        merchant_id,
        now_ms: now_ms(),
        event_id,
        command: Some(command),
        idempotency: None,
        message: None,
    }
}

/// One payment: made, and captured. Two durable commits.
async fn pay(store: &dyn Store, merchant_id: MerchantId) {
    let bucket = merchant_id.bucket();
    let attempt = AttemptStart {
        id: AttemptId::from_parts(parts(bucket)),
        processor: ProcessorName::new("razorpay"),
        amount_minor: 10_000,
    };
    let payment_id = PaymentId::from_parts(parts(bucket));
    let attempt_id = attempt.id;
    let begin = Command::Create { payment_id, terms: terms(), attempt };
    store.commit(commit(merchant_id, begin)).await.unwrap();
    let outcome = Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 10_000 };
    let settle = Command::Settle { payment_id, attempt_id, outcome, next: None };
    store.commit(commit(merchant_id, settle)).await.unwrap();
}

struct Setup {
    name: &'static str,
    lanes: u16,
    batch_max: usize,
}

async fn measure(
    options: PostgresOptions,
    setup: &Setup,
    callers: usize,
    merchants: u16,
    seconds: u64,
) -> f64 {
    let options = PostgresOptions { lanes: setup.lanes, batch_max: setup.batch_max, ..options };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    let mut ids = Vec::new();
    for number in 0..merchants {
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
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (store, stop, id) = (Arc::clone(&store), Arc::clone(&stop), ids[caller % ids.len()]);
        tasks.spawn(async move {
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                pay(store.as_ref(), id).await;
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
        "{:<34} {:>8.0} payments/s {:>8.0} commits/s   a payment: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms",
        setup.name,
        a_second,
        a_second * 2.0,
        at(50),
        at(95),
        at(99)
    );
    a_second
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, seconds, callers, merchants] = arguments.as_slice() else {
        eprintln!("usage: postgres_throughput <address> <seconds> <callers> <merchants>");
        std::process::exit(2);
    };
    let (seconds, callers, merchants) =
        (seconds.parse().unwrap(), callers.parse().unwrap(), merchants.parse().unwrap());
    let mut options = PostgresOptions::new(url.as_str(), now_ms());
    options.pool = PoolOptions { idle_min: 2, size_max: 8, ..PoolOptions::default() };
    migrate(&options).await.unwrap();
    let wish = PartitionWish { now_ms: now_ms(), months_ahead: 1, keep_ms: None };
    partitions(&options, &wish).await.unwrap();
    let grouped = Setup { name: "batches, 4 lanes", lanes: 4, batch_max: 512 };
    let single = Setup { name: "batches, 1 lane", lanes: 1, batch_max: 512 };
    let naive = Setup { name: "a transaction each, 32 connections", lanes: 32, batch_max: 1 };
    let (mut of_grouped, mut of_naive) = (0.0, 0.0);
    for _ in 0..2 {
        of_grouped += measure(options.clone(), &grouped, callers, merchants, seconds).await;
        measure(options.clone(), &single, callers, merchants, seconds).await;
        of_naive += measure(options.clone(), &naive, callers, merchants, seconds).await;
    }
    println!("batches in 4 lanes make {:.1} times as many as a transaction each", of_grouped / of_naive);
    let store = PostgresStore::open(PostgresOptions { run: now_ms() + 1, ..options }).await.unwrap();
    let report = audit(&store, &mut |_, _| {}).await.unwrap();
    println!("audit: {} payments, {} problems", report.payments, report.problem_count);
}
