//! Fills a PostgreSQL database with payments of 1,000 merchants over twelve months. See `bench/postgres-queries/run`.
//!
//! Each payment is made and led to its end by the domain's own events, and its row is encoded by the store. The totals
//! are added up from the payments. Attempts, events, postings and balances are left out: nothing that is measured on
//! these tables reads them.
//!
//! Usage: `postgres_fill <address> <payments> <now, in ms since 1970>`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement stops where it fails")]

#[allow(dead_code, reason = "each program uses its part")]
mod filled;
mod records;

use filled::{MERCHANTS, Random, World, customer, merchant, processor, sells_abroad};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::bnpl::{BnplKind, BnplPlan};
use tollgate_core::card::CardBrand;
use tollgate_core::currency::Currency;
use tollgate_core::event::{PaymentEvent, PaymentTerms};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, IdParts, PaymentId, RefundId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, CardSummary, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::NextAction;
use tollgate_core::partner::period::Period;
use tollgate_core::payment::Payment;
use tollgate_core::totals::{PERIOD_MS, Totals, TotalsKey, hour_of};
use tollgate_store::Store;
use tollgate_store::commit::{Admin, Upkeep};
use tollgate_store::postgres::{
    Filler, PartitionWish, PoolOptions, PostgresOptions, PostgresStore, migrate, partitions,
};
use tollgate_store::query::PaymentFilter;

/// Payments of one COPY.
const ROWS: usize = 4_000;

const FEE: FeePlan = FeePlan { percent_bps: 200, fixed_minor: 300 };

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, payments, now_ms] = arguments.as_slice() else {
        eprintln!("usage: postgres_fill <address> <payments> <now, in ms since 1970>");
        std::process::exit(2);
    };
    let world = Arc::new(World::new(payments.parse().unwrap(), now_ms.parse().unwrap()));
    let mut options = PostgresOptions::new(url.as_str(), world.to_ms);
    options.pool = PoolOptions { idle_min: 1, size_max: 4, ..PoolOptions::default() };
    migrate(&options).await.unwrap();
    let wish = PartitionWish { now_ms: world.from_ms, months_ahead: 14, keep_ms: None };
    partitions(&options, &wish).await.unwrap();
    put_merchants(&options, &world).await;

    let begun = Instant::now();
    let months = Arc::new(months(&world));
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (world, months, next) = (Arc::clone(&world), Arc::clone(&months), Arc::clone(&next));
        let filler = Filler::connect(&options).await.unwrap();
        filler.run("SET synchronous_commit = off").await.unwrap();
        workers.spawn(async move {
            let mut filled = 0;
            while let Some((from_ms, to_ms)) = months.get(next.fetch_add(1, Ordering::Relaxed)) {
                filled += fill(&world, &filler, *from_ms, *to_ms).await;
                println!("  {filled} payments by this worker, {:.0} s", begun.elapsed().as_secs_f64());
            }
            filled
        });
    }
    let filled: u64 = workers.join_all().await.into_iter().sum();
    println!("{filled} payments in {:.0} s", begun.elapsed().as_secs_f64());
    add_up_days(&options, &world).await;
    let filler = Filler::connect(&options).await.unwrap();
    filler.run("VACUUM (ANALYZE) payments").await.unwrap();
    filler.run("VACUUM (ANALYZE) totals").await.unwrap();
    filler.run("CHECKPOINT").await.unwrap();
    check(&options, &world, filled).await;
}

async fn put_merchants(options: &PostgresOptions, world: &World) {
    let store = PostgresStore::open(options.clone()).await.unwrap();
    for rank in 0..MERCHANTS {
        let merchant = Merchant {
            id: merchant(rank),
            name: format!("Shop {rank}"),
            mode: Mode::Live,
            active: true,
            fee: FEE,
            mcc: None,
            country: None,
            processors: vec![],
            created_at_ms: world.from_ms,
        };
        store.administer(Admin::PutMerchant(merchant), By::system(world.from_ms)).await.unwrap();
    }
}

/// Adds up the totals by days, as servers do by themselves.
async fn add_up_days(options: &PostgresOptions, world: &World) {
    let begun = Instant::now();
    let store =
        PostgresStore::open(PostgresOptions { run: world.to_ms + 2, ..options.clone() }).await.unwrap();
    let upto_hour = hour_of(world.to_ms) - 72;
    for rank in 0..MERCHANTS {
        let change = Upkeep::AddUpDays { merchant_id: merchant(rank), upto_hour };
        store.upkeep(change).await.unwrap();
    }
    println!("days of totals added up in {:.0} s", begun.elapsed().as_secs_f64());
}

/// The months that the payments are in, the first and the last cut.
fn months(world: &World) -> Vec<(u64, u64)> {
    let (mut months, mut at_ms) = (Vec::new(), world.from_ms);
    while at_ms < world.to_ms {
        let end_ms = (u64::from(Period::month_of(at_ms).to_hour) * PERIOD_MS).min(world.to_ms);
        months.push((at_ms, end_ms));
        at_ms = end_ms;
    }
    months
}

/// Fills a month, in the order of time.
async fn fill(world: &World, filler: &Filler, from_ms: u64, to_ms: u64) -> u64 {
    let count = |at_ms: u64| {
        let part = u128::from(at_ms - world.from_ms) * u128::from(world.payments);
        u64::try_from(part / u128::from(world.to_ms - world.from_ms)).unwrap()
    };
    let wanted = count(to_ms) - count(from_ms);
    let mut random = Random(from_ms);
    let mut totals: HashMap<_, Totals> = HashMap::new();
    let mut rows = Vec::with_capacity(ROWS);
    for number in 0..wanted {
        let at_ms = from_ms
            + u64::try_from(u128::from(to_ms - from_ms) * u128::from(number) / u128::from(wanted)).unwrap();
        let payment = payment(world, &mut random, at_ms);
        let total = totals.entry((payment.merchant_id, TotalsKey::of(&payment))).or_default();
        total.move_payment(None, &payment);
        rows.push(payment);
        if rows.len() == ROWS {
            filler.payments(&rows).await.unwrap();
            rows.clear();
        }
    }
    filler.payments(&rows).await.unwrap();
    // In the order of their hours, as commits write them.
    let mut totals: Vec<_> =
        totals.into_iter().map(|((merchant, key), totals)| (merchant, key, totals)).collect();
    totals.sort_unstable_by_key(|(merchant, key, _)| (key.hour, *merchant, *key));
    filler.totals(totals.into_iter()).await.unwrap();
    wanted
}

struct Ids<'a> {
    random: &'a mut Random,
    bucket: u16,
}

impl Ids<'_> {
    fn parts(&mut self, unix_ms: u64) -> IdParts {
        let sub_ms = u16::try_from(self.random.below(4_096)).unwrap();
        IdParts { unix_ms, sub_ms, bucket: self.bucket, random: self.random.next() }
    }
}

/// A payment with what came of it.
fn payment(world: &World, random: &mut Random, at_ms: u64) -> Payment {
    let rank = world.rank_at(random.part());
    let merchant_id = merchant(rank);
    let place = match random.below(10) {
        0..=6 => 0,
        7..=8 => 1,
        _ => 2,
    };
    let processor = ProcessorName::new(processor(rank, place));
    let terms = terms(world, random, rank, &processor);
    let amount_minor = terms.amount.minor;
    let (chance, late) = (random.below(1_000), random.below(1_000));
    let mut ids = Ids { random, bucket: merchant_id.bucket() };
    let payment_id = PaymentId::from_parts(ids.parts(at_ms));
    let attempt_id = AttemptId::from_parts(ids.parts(at_ms));
    let attempt = AttemptStart { id: attempt_id, processor: processor.clone(), amount_minor };
    let created = PaymentEvent::Created { terms: Arc::new(terms), attempt };
    let mut payment = Payment::begin(payment_id, merchant_id, &created, at_ms).unwrap();
    let age_ms = world.to_ms.saturating_sub(at_ms);
    let processor_payment_id = format!("pay_{:016x}", ids.random.next());
    let mut step = |event: PaymentEvent, after_ms: u64| {
        payment.apply(&event, at_ms + after_ms).unwrap();
    };
    let action = PaymentEvent::ActionRequired {
        attempt_id,
        processor_payment_id: Some(processor_payment_id.clone()),
        action: NextAction::UpiCollect,
        expires_at_ms: at_ms + 300_000,
    };
    // What is young may still be under way.
    if age_ms < 300_000 && chance < 300 {
        if chance < 100 {
            step(action, 400);
        }
        return payment;
    }
    match chance {
        0..=89 => step(PaymentEvent::Declined { attempt_id, failure: failure(chance) }, 900),
        90..=114 => {
            let failure = Failure::new(FailureCode::ProcessorUnavailable, "the processor cannot be reached");
            step(PaymentEvent::Failed { attempt_id, failure }, 900);
        }
        115..=134 => {
            step(action, 400);
            step(PaymentEvent::Expired { attempt_id }, 300_000);
        }
        135..=144 => {
            step(action, 400);
            step(PaymentEvent::Cancelled { attempt_id }, 20_000);
        }
        145..=147 => {
            step(
                PaymentEvent::BecameProcessing { attempt_id, processor_payment_id: None, failure: None },
                900,
            );
        }
        148..=170 if age_ms < 7 * 86_400_000 => {
            let expires_at_ms = at_ms + 7 * 86_400_000;
            step(PaymentEvent::Authorized { attempt_id, processor_payment_id, expires_at_ms }, 900);
        }
        _ => {
            let fee_minor = FEE.fee_minor(amount_minor);
            step(PaymentEvent::Completed { attempt_id, processor_payment_id, fee_minor }, 1_200);
            if late < 35 && age_ms > 86_400_000 {
                refund(&mut payment, &mut ids, if late < 10 { amount_minor / 2 } else { amount_minor });
            }
        }
    }
    payment
}

fn refund(payment: &mut Payment, ids: &mut Ids<'_>, amount_minor: i64) {
    let at_ms = payment.created_at_ms + 3_600_000;
    let refund_id = RefundId::from_parts(ids.parts(at_ms));
    let attempt_id = AttemptId::from_parts(ids.parts(at_ms));
    let attempt = AttemptStart { id: attempt_id, processor: payment.processor.clone(), amount_minor };
    let started = PaymentEvent::RefundStarted {
        refund_id,
        attempt,
        fee_returned_minor: 0,
        subvention_returned_minor: 0,
        reason: Some("sent back".to_owned()),
        metadata: vec![],
    };
    payment.apply(&started, at_ms).unwrap();
    let done = PaymentEvent::RefundSucceeded {
        refund_id,
        attempt_id,
        processor_refund_id: format!("rfnd_{:016x}", ids.random.next()),
        amount_minor,
        fee_returned_minor: 0,
    };
    payment.apply(&done, at_ms + 1_000).unwrap();
}

fn failure(chance: u64) -> Failure {
    let (code, text) = match chance % 4 {
        0 => (FailureCode::InsufficientFunds, "insufficient funds"),
        1 => (FailureCode::AuthenticationFailed, "the customer did not authenticate"),
        2 => (FailureCode::IssuerUnavailable, "the issuer does not answer"),
        _ => (FailureCode::CardDeclined, "declined by the issuer"),
    };
    Failure::new(code, text).with_processor_code("BAD_REQUEST_ERROR")
}

fn terms(world: &World, random: &mut Random, rank: usize, processor: &ProcessorName) -> PaymentTerms {
    let (method, instrument) = instrument(random);
    let currency = if sells_abroad(rank) && random.below(10) == 0 { Currency::USD } else { Currency::INR };
    let amount_minor = i64::try_from(100 + random.below(50_000) * (1 + random.below(20))).unwrap();
    let number = random.customer_of(world.customers_of(rank));
    PaymentTerms {
        amount: Money::new(amount_minor, currency),
        capture: CaptureMode::Automatic,
        method,
        instrument,
        fee: FEE,
        user_id: (random.below(20) != 0).then(|| customer(number)),
        customer_name: Some(format!("Customer {number}")),
        customer_email: Some(format!("customer-{number}@example.com")),
        customer_phone: Some(format!("+9190000{:05}", number % 100_000)),
        description: Some(format!("Order {}", random.below(100_000_000))),
        statement_descriptor: None,
        return_url: Some("https://shop.example/thanks".to_owned()),
        metadata: vec![("order_id".to_owned(), format!("ord_{:012x}", random.next() >> 16))],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: Some(Box::new(records::screening(|| random.below(4_000)))),
        routing: Some(Box::new(records::route(processor, FEE.fee_minor(amount_minor)))),
    }
}

fn instrument(random: &mut Random) -> (MethodKind, InstrumentSummary) {
    let card = |random: &mut Random| CardSummary {
        brand: if random.below(2) == 0 { CardBrand::Visa } else { CardBrand::Rupay },
        bin: "411111".to_owned(),
        last4: format!("{:04}", random.below(10_000)),
        exp_month: 12,
        exp_year: 2030,
        network_token: false,
    };
    match random.below(1_000) {
        0..=549 => {
            let vpa = format!("customer{}@upi", random.below(1_000_000));
            (MethodKind::Upi, InstrumentSummary::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) })
        }
        550..=699 => (MethodKind::CreditCard, InstrumentSummary::Card(card(random))),
        700..=829 => (MethodKind::DebitCard, InstrumentSummary::Card(card(random))),
        830..=899 => (MethodKind::Wallet, InstrumentSummary::Wallet { provider: "paytm".to_owned() }),
        900..=959 => (MethodKind::NetBanking, InstrumentSummary::NetBanking { bank: "HDFC".to_owned() }),
        960..=998 => (MethodKind::Qr, InstrumentSummary::Upi { flow: UpiFlow::Qr, vpa: None }),
        // So few that a page of them is far to look for.
        _ => {
            let plan = BnplPlan { provider: "simpl".to_owned(), kind: BnplKind::PayLater, schedule: vec![] };
            (MethodKind::Bnpl, InstrumentSummary::Bnpl { plan })
        }
    }
}

/// Reads back what was written, through the store, as the gateway does.
async fn check(options: &PostgresOptions, world: &World, filled: u64) {
    let store =
        PostgresStore::open(PostgresOptions { run: world.to_ms + 1, ..options.clone() }).await.unwrap();
    let (mut counted, mut listed, mut rows) = (0, 0, 0);
    for rank in 0..MERCHANTS {
        let totals = store.totals(merchant(rank), 0, u32::MAX).await.unwrap();
        rows += totals.len();
        for (_, totals) in &totals {
            counted += tollgate_core::transition::PaymentStatus::ALL
                .iter()
                .map(|status| totals.of(*status).count)
                .sum::<i64>();
        }
        let filter = PaymentFilter { limit: 100, ..PaymentFilter::default() };
        let page = store.payments(merchant(rank), filter).await.unwrap();
        for payment in &page.payments {
            let again = store.payment(payment.merchant_id, payment.id).await.unwrap();
            assert_eq!(again.as_ref(), Some(payment));
        }
        listed += page.payments.len();
    }
    assert_eq!(u64::try_from(counted).unwrap(), filled, "the totals count every payment");
    println!(
        "read back through the store: {listed} payments, {rows} rows of totals, which count {counted} payments"
    );
}
