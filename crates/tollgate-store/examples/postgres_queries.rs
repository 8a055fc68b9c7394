//! Asks a database that `postgres_fill` has filled what the gateway asks, through the store, one question at a time. See
//! `bench/postgres-queries/run`.
//!
//! Usage: `postgres_queries <address> <payments> <now> sample <samples> <unmeasured> <seed>`: a line a sample
//!        `postgres_queries <address> <payments> <now> plans <the server's log, with auto_explain>`
//!        `postgres_queries summary <file of samples>`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement stops where it fails")]

#[allow(dead_code, reason = "each program uses its part")]
mod filled;

use filled::{MERCHANTS, Random, World, customer, merchant, processor};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tollgate_core::currency::Currency;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::method::MethodKind;
use tollgate_core::totals::hour_of;
use tollgate_core::transition::PaymentStatus;
use tollgate_store::Store;
use tollgate_store::postgres::{PoolOptions, PostgresOptions, PostgresStore};
use tollgate_store::query::{OFFSET_MAX, PaymentFilter};
use tollgate_store::report::{ReportBy, ReportWish};

const DAY_MS: u64 = 86_400_000;

/// Rows of a page when the caller does not say.
const PAGE: usize = 20;

/// Merchants that are asked for, by the rank of their number of payments.
const OF: [(&str, usize); 3] = [("big", 0), ("middle", 99), ("small", 999)];

/// What is asked.
const CASES: [(&str, Case); 26] = [
    ("list", Case::List(|_| PaymentFilter::default())),
    ("list, limit 1000", Case::List(|_| PaymentFilter { limit: 1_000, ..PaymentFilter::default() })),
    ("list, status completed", Case::List(|_| of_status(PaymentStatus::Completed))),
    ("list, status processing (0.3 %)", Case::List(|_| of_status(PaymentStatus::Processing))),
    (
        "list, processor (10 %)",
        Case::List(|ask| PaymentFilter { processor: Some(ask.processor()), ..PaymentFilter::default() }),
    ),
    (
        "list, status and processor",
        Case::List(|ask| PaymentFilter {
            processor: Some(ask.processor()),
            ..of_status(PaymentStatus::Declined)
        }),
    ),
    (
        "list, customer",
        Case::List(|ask| PaymentFilter { user_id: Some(ask.customer()), ..PaymentFilter::default() }),
    ),
    ("list, a day", Case::List(|ask| ask.window(DAY_MS))),
    (
        "list, a month, status declined",
        Case::List(|ask| PaymentFilter { status: Some(PaymentStatus::Declined), ..ask.window(30 * DAY_MS) }),
    ),
    (
        "list, deep cursor",
        Case::List(|ask| PaymentFilter { before: Some(ask.cursor()), ..PaymentFilter::default() }),
    ),
    ("list, offset 1,000", Case::List(|_| PaymentFilter { offset: 1_000, ..PaymentFilter::default() })),
    (
        "list, offset 100,000",
        Case::List(|_| PaymentFilter { offset: OFFSET_MAX, ..PaymentFilter::default() }),
    ),
    (
        "list, offset 10,000, a status",
        Case::List(|_| PaymentFilter { offset: 10_000, ..of_status(PaymentStatus::Completed) }),
    ),
    ("list, method upi (55 %)", Case::List(|_| of_method(MethodKind::Upi))),
    ("list, method bnpl (0.1 %)", Case::List(|_| of_method(MethodKind::Bnpl))),
    ("list, method emi (none)", Case::List(|_| of_method(MethodKind::Emi))),
    (
        "list, currency USD (10 % or none)",
        Case::List(|_| PaymentFilter { currency: Some(Currency::USD), ..PaymentFilter::default() }),
    ),
    (
        "list, amount (the highest 0.4 %)",
        Case::List(|_| PaymentFilter {
            currency: Some(Currency::INR),
            amount_minor_min: Some(900_000),
            ..PaymentFilter::default()
        }),
    ),
    ("recent payments of 50 customers", Case::Recent),
    ("totals of a day", Case::Totals(1)),
    ("totals of a month", Case::Totals(30)),
    ("totals of 12 months", Case::Totals(365)),
    ("report by day, of 1,000 merchants, 30 days", Case::Report(ReportBy::Day, 30)),
    ("report by day, of 1,000 merchants, 12 months", Case::Report(ReportBy::Day, 365)),
    ("report by merchant, 12 months", Case::Report(ReportBy::Merchant, 365)),
    ("report by processor, 12 months", Case::Report(ReportBy::Processor, 365)),
];

#[derive(Clone, Copy)]
enum Case {
    List(fn(&mut Ask<'_>) -> PaymentFilter),
    Recent,
    /// Of so many days.
    Totals(u64),
    Report(ReportBy, u64),
}

fn of_status(status: PaymentStatus) -> PaymentFilter {
    PaymentFilter { status: Some(status), ..PaymentFilter::default() }
}

fn of_method(method: MethodKind) -> PaymentFilter {
    PaymentFilter { method: Some(method), ..PaymentFilter::default() }
}

/// Something to ask for, another one each time.
struct Ask<'a> {
    world: &'a World,
    rank: usize,
    random: &'a mut Random,
}

impl Ask<'_> {
    fn merchant(&self) -> MerchantId {
        merchant(self.rank)
    }

    /// The processor that is asked least.
    fn processor(&self) -> String {
        processor(self.rank, 2).to_owned()
    }

    fn customer(&mut self) -> String {
        customer(self.random.customer_of(self.world.customers_of(self.rank)))
    }

    fn moment(&mut self, before_ms: u64) -> u64 {
        let span_ms = self.world.to_ms - self.world.from_ms;
        self.world.from_ms + self.random.below(span_ms.saturating_sub(before_ms).max(1))
    }

    fn window(&mut self, long_ms: u64) -> PaymentFilter {
        let from_ms = self.moment(long_ms);
        let to_ms = from_ms + long_ms;
        PaymentFilter {
            created_from_ms: Some(from_ms),
            created_to_ms: Some(to_ms),
            ..PaymentFilter::default()
        }
    }

    fn cursor(&mut self) -> PaymentId {
        PaymentId::from_u128(u128::from(self.moment(0)) << 80)
    }
}

/// Asks once; gives how long it took and how many rows there were.
async fn ask(store: &PostgresStore, case: Case, mut ask: Ask<'_>) -> (Duration, usize) {
    let merchant_id = ask.merchant();
    match case {
        Case::List(filter) => {
            let mut filter = filter(&mut ask);
            if filter.limit == 0 {
                filter.limit = PAGE;
            }
            let begun = Instant::now();
            let page = store.payments(merchant_id, filter).await.unwrap();
            (begun.elapsed(), page.payments.len())
        }
        Case::Recent => {
            let users = (0..50).map(|_| ask.customer()).collect();
            let begun = Instant::now();
            let found = store.recent_payments(merchant_id, users).await.unwrap();
            (begun.elapsed(), found.iter().flatten().count())
        }
        Case::Totals(days) => {
            let from = hour_of(ask.moment(days * DAY_MS));
            let to = from + u32::try_from(days * 24).unwrap();
            let begun = Instant::now();
            let rows = store.totals_by_day(merchant_id, from, to).await.unwrap();
            (begun.elapsed(), rows.len())
        }
        Case::Report(by, days) => {
            let from_day = u32::try_from(ask.moment(days * DAY_MS) / DAY_MS).unwrap();
            let to_day = from_day + u32::try_from(days).unwrap();
            let merchants = (0..MERCHANTS).map(merchant).collect();
            let wish = ReportWish { merchants, from_day, to_day, by, now_ms: ask.world.to_ms };
            let begun = Instant::now();
            let report = store.report(wish).await.unwrap();
            (begun.elapsed(), report.rows.len())
        }
    }
}

/// What can be asked of a merchant: one with few payments has none behind an offset.
fn cases(world: &World) -> Vec<(&'static str, &'static str, usize, Case)> {
    let mut found = Vec::new();
    for (name, case) in CASES {
        for (of, rank) in OF {
            if matches!(case, Case::Report(..)) && rank > 0 {
                continue;
            }
            if name.contains("offset 100,000") && world.payments_of(rank) < 100_100 && rank > 0 {
                continue;
            }
            found.push((name, of, rank, case));
        }
    }
    found
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["summary", file] => summary(&std::fs::read_to_string(file).unwrap()),
        [url, payments, now, "sample", samples, unmeasured, seed] => {
            let (store, world) = open(url, payments, now).await;
            let counts = (samples.parse().unwrap(), unmeasured.parse().unwrap());
            sample(&store, &world, counts, seed.parse().unwrap()).await;
        }
        [url, payments, now, "plans", log] => {
            let (store, world) = open(url, payments, now).await;
            plans(&store, &world, log).await;
        }
        _ => {
            eprintln!("usage: see the first lines of examples/postgres_queries.rs");
            std::process::exit(2);
        }
    }
}

async fn open(url: &str, payments: &str, now: &str) -> (PostgresStore, World) {
    let world = World::new(payments.parse().unwrap(), now.parse().unwrap());
    let run = u64::from(std::process::id());
    let mut options = PostgresOptions::new(url, run);
    // One connection, so that what is prepared is prepared for all that comes.
    options.pool = PoolOptions { idle_min: 1, size_max: 1, ..PoolOptions::default() };
    options.lanes = 1;
    (PostgresStore::open(options).await.unwrap(), world)
}

async fn sample(store: &PostgresStore, world: &World, (samples, unmeasured): (usize, usize), seed: u64) {
    let mut random = Random(seed);
    let mut cases = cases(world);
    // Another order each time: what one has read into the cache helps the next.
    for place in (1..cases.len()).rev() {
        let other = usize::try_from(random.below(u64::try_from(place + 1).unwrap())).unwrap();
        cases.swap(place, other);
    }
    for (name, of, rank, case) in cases {
        for number in 0..samples + unmeasured {
            let asked = Ask { world, rank, random: &mut random };
            let (took, rows) = ask(store, case, asked).await;
            if number >= unmeasured {
                println!("{name}\t{of}\t{}\t{rows}", took.as_micros());
            }
        }
    }
}

fn summary(text: &str) {
    let mut samples: BTreeMap<(usize, usize), Vec<(u64, u64)>> = BTreeMap::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [name, of, micros, rows] = parts.as_slice() else {
            continue;
        };
        let case = CASES.iter().position(|(known, _)| known == name).unwrap();
        let merchant = OF.iter().position(|(known, _)| known == of).unwrap();
        samples.entry((case, merchant)).or_default().push((micros.parse().unwrap(), rows.parse().unwrap()));
    }
    println!("| query | merchant | samples | rows | p50 ms | p95 ms | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    let mut slow = 0;
    for ((case, merchant), mut taken) in samples {
        taken.sort_unstable();
        let rows = taken.iter().map(|(_, rows)| *rows).max().unwrap_or(0);
        let at = |part: usize| taken[(taken.len() * part).div_ceil(100).clamp(1, taken.len()) - 1].0;
        let ms = |micros: u64| format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10);
        let (p50, p95, p99) = (at(50), at(95), at(99));
        slow += usize::from(p95 >= 50_000);
        let mark = if p95 >= 50_000 { " **over 50**" } else { "" };
        println!(
            "| {} | {} | {} | {rows} | {} | {}{mark} | {} |",
            CASES[case].0,
            OF[merchant].0,
            taken.len(),
            ms(p50),
            ms(p95),
            ms(p99)
        );
    }
    println!("\nwith a p95 of 50 ms and more: {slow}");
}

/// Shows the plan of each question as the server has carried it out, from its log.
async fn plans(store: &PostgresStore, world: &World, log: &str) {
    let mut random = Random(7);
    for (name, of, rank, case) in cases(world) {
        let mut seen = 0;
        // From the sixth time on the server may use one plan for all parameters.
        for _ in 0..8 {
            seen = std::fs::metadata(log).unwrap().len();
            let asked = Ask { world, rank, random: &mut random };
            ask(store, case, asked).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let text = std::fs::read(log).unwrap();
        let told = text.get(usize::try_from(seen).unwrap()..).unwrap_or_default();
        println!("=== {name}, {of}\n{}", String::from_utf8_lossy(told));
    }
}
