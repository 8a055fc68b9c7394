//! Reports: what they add up, on every store; and how PostgreSQL's sums are made anew: beside readers and writers, by one
//! of many servers, by a role that does not own them, and after a bucket was moved. Those run where
//! `TOLLGATE_TEST_POSTGRES` names a server (`scripts/postgres`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use support::{Database, Place, Shards, is_postgres};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, EventId, IdParts, MerchantId, PaymentId, RefundId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::totals::{Totals, TotalsKey};
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, Commit, Upkeep};
use tollgate_store::postgres::refresh_reports;
use tollgate_store::query::PaymentFilter;
use tollgate_store::report::{DAYS_MAX, MERCHANTS_MAX, Report, ReportBy, ReportKey, ReportSums, ReportWish};
use tollgate_store::sharded::{MoveOptions, move_bucket, unwatched};

const DAY_MS: u64 = 86_400_000;
static NEXT: AtomicU64 = AtomicU64::new(1);

/// By the real clock: PostgreSQL's sums go back from its own day.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn parts(unix_ms: u64, bucket: u16) -> IdParts {
    IdParts { unix_ms, sub_ms: 0, bucket, random: NEXT.fetch_add(1, Ordering::Relaxed) }
}

async fn merchant(store: &dyn Store, bucket: u16) -> MerchantId {
    let id = MerchantId::from_parts(parts(now_ms(), bucket));
    let merchant = Merchant {
        id,
        name: "Shop".to_owned(),
        mode: Mode::Live,
        active: true,
        fee: FeePlan::default(),
        mcc: None,
        country: None,
        processors: vec![],
        created_at_ms: now_ms(),
    };
    store.administer(Admin::PutMerchant(merchant), By::system(now_ms())).await.unwrap();
    id
}

async fn commit(store: &dyn Store, merchant_id: MerchantId, now_ms: u64, command: Command) -> Payment {
    let event_id = EventId::from_parts(parts(now_ms, merchant_id.bucket()));
    let commit =
        Commit { merchant_id, now_ms, event_id, command: Some(command), idempotency: None, message: None };
    Payment::clone(&store.commit(Box::new(commit)).await.unwrap().payment)
}

/// A payment; what the processor said to it, if it has said anything.
async fn pay(
    store: &dyn Store,
    merchant_id: MerchantId,
    at_ms: u64,
    (amount, processor): (Money, &str),
    outcome: Option<Outcome>,
) -> Payment {
    let bucket = merchant_id.bucket();
    let terms = PaymentTerms {
        amount,
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan::default(),
        user_id: None,
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
    let id = AttemptId::from_parts(parts(at_ms, bucket));
    let attempt = AttemptStart { id, processor: ProcessorName::new(processor), amount_minor: amount.minor };
    let payment_id = PaymentId::from_parts(parts(at_ms, bucket));
    let create = Command::Create { payment_id, terms: Arc::new(terms), attempt };
    let payment = commit(store, merchant_id, at_ms, create).await;
    match outcome {
        None => payment,
        Some(outcome) => {
            let settle = Command::Settle { payment_id, attempt_id: id, outcome, next: None };
            commit(store, merchant_id, at_ms, settle).await
        }
    }
}

fn inr(minor: i64) -> Money {
    Money::new(minor, Currency::INR)
}

fn captured(amount_minor: i64) -> Option<Outcome> {
    Some(Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor })
}

fn declined() -> Option<Outcome> {
    Some(Outcome::Declined(Failure::new(FailureCode::CardDeclined, "no")))
}

fn wish(merchants: &[MerchantId], (from_day, to_day): (u32, u32), by: ReportBy) -> ReportWish {
    ReportWish { merchants: merchants.to_vec(), from_day, to_day, by, now_ms: now_ms() }
}

fn sums(payments: i64, succeeded: i64, failed: i64, volume_minor: i128) -> ReportSums {
    ReportSums { payments, succeeded, failed, volume_minor }
}

fn key(currency: Currency) -> ReportKey {
    ReportKey { day: None, merchant_id: None, processor: None, currency }
}

fn today() -> u32 {
    u32::try_from(now_ms() / DAY_MS).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_are_added_up_by_day_merchant_and_processor() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let store = store.as_ref();
    let (one, two, other) = (merchant(store, 5).await, merchant(store, 700).await, merchant(store, 6).await);
    let (first, second) = (today() - 9, today() - 8);
    // The last moment of a day, and the first of the next.
    let noon = |day: u32| u64::from(day) * DAY_MS + DAY_MS / 2;
    let (late, early) = (u64::from(second) * DAY_MS - 1, u64::from(second) * DAY_MS);
    pay(store, one, noon(first), (inr(1_000), "razorpay"), captured(1_000)).await;
    pay(store, one, late, (inr(70), "payu"), declined()).await;
    pay(store, one, early, (inr(200), "payu"), captured(200)).await;
    pay(store, one, noon(second), (Money::new(5, Currency::USD), "stripe"), captured(5)).await;
    let refunded = pay(store, two, noon(second), (inr(300), "razorpay"), captured(300)).await;
    pay(store, two, noon(second), (inr(9), "razorpay"), None).await;
    pay(store, other, noon(first), (inr(50_000), "razorpay"), captured(50_000)).await;
    // A day before and a day after.
    pay(store, one, noon(first - 1), (inr(11), "payu"), captured(11)).await;
    pay(store, one, noon(second + 1), (inr(13), "payu"), captured(13)).await;
    // What went back was taken all the same.
    let back = Command::Refund {
        payment_id: refunded.id,
        refund_id: RefundId::from_parts(parts(noon(second), 700)),
        attempt_id: AttemptId::from_parts(parts(noon(second), 700)),
        amount_minor: None,
        reason: None,
        metadata: vec![],
    };
    let back = commit(store, two, noon(second) + 1, back).await;
    let done = Outcome::Refunded { processor_refund_id: "r".to_owned(), amount_minor: 300 };
    let attempt_id = *back.attempts.last().unwrap();
    let settle = Command::Settle { payment_id: back.id, attempt_id, outcome: done, next: None };
    commit(store, two, noon(second) + 2, settle).await;

    let days = (first, second + 1);
    let both = [one, two];
    if is_postgres() {
        let early = store.report(wish(&both, days, ReportBy::Day)).await.unwrap();
        assert_eq!((early.as_of_ms, early.rows.len()), (None, 0), "nobody has made the sums yet");
    }
    let begun_ms = now_ms();
    place.refresh_reports().await;
    let ask = async |by| store.report(wish(&both, days, by)).await.unwrap();
    let (inr, usd) = (key(Currency::INR), key(Currency::USD));
    let report = ask(ReportBy::Day).await;
    let day = |day, key: &ReportKey| ReportKey { day: Some(day), ..key.clone() };
    let by_day = BTreeMap::from([
        (day(first, &inr), sums(2, 1, 1, 1_000)),
        (day(second, &inr), sums(3, 2, 0, 500)),
        (day(second, &usd), sums(1, 1, 0, 5)),
    ]);
    assert_eq!(report.rows, by_day);
    assert!(report.as_of_ms.is_some_and(|at_ms| (begun_ms - 1..=now_ms()).contains(&at_ms)), "{report:?}");
    assert_eq!(report.missing, Vec::<u16>::new());
    let merchant = |id, key: &ReportKey| ReportKey { merchant_id: Some(id), ..key.clone() };
    let by_merchant = BTreeMap::from([
        (merchant(one, &inr), sums(3, 2, 1, 1_200)),
        (merchant(one, &usd), sums(1, 1, 0, 5)),
        (merchant(two, &inr), sums(2, 1, 0, 300)),
    ]);
    assert_eq!(ask(ReportBy::Merchant).await.rows, by_merchant);
    let processor =
        |name, key: &ReportKey| ReportKey { processor: Some(ProcessorName::new(name)), ..key.clone() };
    let by_processor = BTreeMap::from([
        (processor("payu", &inr), sums(2, 1, 1, 200)),
        (processor("razorpay", &inr), sums(3, 2, 0, 1_300)),
        (processor("stripe", &usd), sums(1, 1, 0, 5)),
    ]);
    assert_eq!(ask(ReportBy::Processor).await.rows, by_processor);

    // What comes later is in at once, or when the sums are made anew; the report's age tells which.
    let before = ask(ReportBy::Day).await;
    pay(store, one, noon(second), (Money::new(1, Currency::USD), "stripe"), captured(1)).await;
    if is_postgres() {
        assert_eq!(ask(ReportBy::Day).await, before);
        place.refresh_reports().await;
    }
    let after = ask(ReportBy::Day).await;
    assert_eq!(after.rows[&day(second, &usd)], sums(2, 2, 0, 6));
    // A payment may take less than a millisecond; making the sums anew does not.
    assert!(after.as_of_ms >= before.as_of_ms.map(|at_ms| at_ms + u64::from(is_postgres())));
}

/// Sums of some merchants are their own added up, or those of all less those of the others: whoever is asked for, it is the same.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_for_the_sums_are_theirs() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let store = store.as_ref();
    let noon = |day: u32| u64::from(day) * DAY_MS + DAY_MS / 2;
    let (first, days) = (today() - 9, 4);
    // Merchants of one shard, with ever more rows, and the last without any.
    let mut merchants = Vec::new();
    let mut paid: Vec<(u32, MerchantId, &str, Money, bool)> = Vec::new();
    for number in 0..5_u32 {
        let id = merchant(store, 5).await;
        merchants.push(id);
        for turn in 0..number * 3 {
            let money = if turn % 4 == 3 { Money::new(7, Currency::USD) } else { inr(100 + i64::from(turn)) };
            let processor = ["razorpay", "payu"][(turn % 2) as usize];
            let (day, succeeds) = (first + (turn + number) % days, turn % 5 != 4);
            let outcome = if succeeds { captured(money.minor) } else { declined() };
            pay(store, id, noon(day), (money, processor), outcome).await;
            paid.push((day, id, processor, money, succeeds));
        }
    }
    place.refresh_reports().await;
    for chosen in 0..32_usize {
        let some: Vec<MerchantId> =
            (0..5).filter(|bit| chosen >> bit & 1 == 1).map(|bit| merchants[bit]).collect();
        for (from, to) in [(first, first + days), (first + 1, first + 3), (first + 2, first + 2)] {
            for by in [ReportBy::Day, ReportBy::Merchant, ReportBy::Processor] {
                let mut expected: BTreeMap<ReportKey, ReportSums> = BTreeMap::new();
                for (day, id, processor, money, succeeds) in &paid {
                    if !some.contains(id) || !(from..to).contains(day) {
                        continue;
                    }
                    let key = ReportKey {
                        day: (by == ReportBy::Day).then_some(*day),
                        merchant_id: (by == ReportBy::Merchant).then_some(*id),
                        processor: (by == ReportBy::Processor).then(|| ProcessorName::new(processor)),
                        currency: money.currency,
                    };
                    let yes = i64::from(*succeeds);
                    let volume = if *succeeds { i128::from(money.minor) } else { 0 };
                    expected.entry(key).or_default().add(&sums(1, yes, 1 - yes, volume));
                }
                let report = store.report(wish(&some, (from, to), by)).await.unwrap();
                assert_eq!(report.rows, expected, "{chosen:05b} {by:?} {from}..{to}");
            }
        }
    }
}

#[tokio::test]
async fn reports_are_bounded() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref(), 5).await;
    place.refresh_reports().await;
    let ask = async |merchants: &[MerchantId], days| store.report(wish(merchants, days, ReportBy::Day)).await;
    assert!(ask(&[mer], (today() - DAYS_MAX, today() + 1)).await.is_err());
    assert!(ask(&vec![mer; MERCHANTS_MAX + 1], (today(), today() + 1)).await.is_err());
    let nobody = ask(&[], (today() - DAYS_MAX, today())).await.unwrap();
    assert!(nobody.rows.is_empty() && nobody.as_of_ms.is_some());
    let turned = ask(&[mer], (today(), today() - 1)).await.unwrap();
    assert!(turned.rows.is_empty());
    if is_postgres() {
        let too_old = ask(&[mer], (today() - 402, today() - 401)).await.unwrap_err();
        assert!(too_old.to_string().contains("go back 400 days"), "{too_old}");
    }
}

/// All totals of a merchant by day; how many rows there were.
fn by_day(rows: Vec<(TotalsKey, Totals)>) -> (BTreeMap<TotalsKey, Totals>, usize) {
    let (mut days, count) = (BTreeMap::<TotalsKey, Totals>::new(), rows.len());
    for (key, totals) in rows {
        days.entry(TotalsKey { hour: key.hour / 24, ..key }).or_default().add(&totals);
    }
    (days, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_of_days_are_those_of_their_hours_whatever_comes_later() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let store = store.as_ref();
    let mer = merchant(store, 5).await;
    let other = merchant(store, 5).await;
    let day = today() - 9;
    let at = |day: u32, hour: u32| u64::from(day * 24 + hour) * 3_600_000;
    let mut paid = Vec::new();
    for (day, hour) in
        [(day, 0), (day, 5), (day, 23), (day + 1, 0), (day + 1, 12), (day + 2, 7), (day + 2, 9)]
    {
        paid.push(pay(store, mer, at(day, hour), (inr(1_000), "razorpay"), captured(1_000)).await);
        pay(store, mer, at(day, hour), (inr(5), "razorpay"), declined()).await;
    }
    pay(store, other, at(day, 3), (inr(7), "razorpay"), None).await;
    let open = pay(store, mer, at(day, 4), (inr(50), "razorpay"), None).await;
    let same = async |from_hour, to_hour| {
        let (hours, _) = by_day(store.totals(mer, from_hour, to_hour).await.unwrap());
        let (days, rows) = by_day(store.totals_by_day(mer, from_hour, to_hour).await.unwrap());
        assert_eq!(days, hours, "{from_hour} to {to_hour}");
        rows
    };
    let (first, all) = (day * 24, (0, u32::MAX));
    assert_eq!(same(all.0, all.1).await, 8);
    let add_up = async |upto_hour| {
        store.upkeep(Upkeep::AddUpDays { merchant_id: mer, upto_hour }).await.unwrap();
    };
    // The second day has not ended by then.
    add_up(first + 47).await;
    let fewer = |few, many| if is_postgres() { few } else { many };
    assert_eq!(same(all.0, all.1).await, fewer(5, 8));
    // Once more, and back, changes nothing.
    add_up(first + 47).await;
    add_up(first).await;
    assert_eq!(same(all.0, all.1).await, fewer(5, 8));
    // Parts of days are hours.
    for (from, to) in [(0, 24), (1, 24), (0, 23), (5, 30), (1, 100), (24, 47), (0, 48), (23, 24), (30, 30)] {
        same(first + from, first + to).await;
    }
    // What comes later of a day that is added up changes it: an end, a refund, a payment in another hour.
    let settle = Command::Settle {
        payment_id: open.id,
        attempt_id: open.charge_attempt_id,
        outcome: captured(50).unwrap(),
        next: None,
    };
    commit(store, mer, at(day + 3, 0), settle).await;
    pay(store, mer, at(day, 17), (Money::new(9, Currency::USD), "stripe"), declined()).await;
    same(all.0, all.1).await;
    add_up(first + 24 * 5).await;
    assert_eq!(same(all.0, all.1).await, fewer(4, 9));
    pay(store, mer, at(day + 2, 8), (inr(3), "razorpay"), captured(3)).await;
    assert_eq!(same(all.0, all.1).await, fewer(4, 10));
    assert_eq!(store.totals(other, all.0, all.1).await.unwrap().len(), 1);
    assert_clean(store).await;
}

/// Where the totals tell when there are payments in a currency, lists find all of them, newest first, on whatever pages.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_a_currency_are_what_a_list_of_all_holds_of_it() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let store = store.as_ref();
    let mer = merchant(store, 5).await;
    let day = today() - 60;
    let at = |day: u32, minute: u32| u64::from(day * 24 * 60 + minute) * 60_000;
    for number in 0..50_u32 {
        pay(store, mer, at(day + number, 3), (inr(100), "razorpay"), captured(100)).await;
        // Two at once every fourth day, and at the first and the last moment of a day.
        if number % 4 == 0 {
            for minute in [0, 0, 24 * 60 - 1] {
                pay(store, mer, at(day + number, minute), (Money::new(9, Currency::USD), "stripe"), None)
                    .await;
            }
        }
    }
    let all = PaymentFilter { limit: 1_000, ..PaymentFilter::default() };
    let everything = store.payments(mer, all.clone()).await.unwrap().payments;
    let same = async |filter: PaymentFilter| {
        let expected: Vec<_> =
            everything.iter().filter(|payment| filter.matches(payment)).map(|payment| payment.id).collect();
        for limit in [1, 2, 5, 1_000] {
            let (mut found, mut filter) = (Vec::new(), PaymentFilter { limit, ..filter.clone() });
            loop {
                let page = store.payments(mer, filter.clone()).await.unwrap();
                assert!(page.payments.len() <= limit);
                found.extend(page.payments.iter().map(|payment| payment.id));
                match page.next {
                    Some(next) => filter.before = Some(next),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{filter:?}");
        }
        expected.len()
    };
    let (usd, eur) = (Some(Currency::USD), Some(Currency::EUR));
    for upto in [0, day + 20, day + 60] {
        store.upkeep(Upkeep::AddUpDays { merchant_id: mer, upto_hour: upto * 24 }).await.unwrap();
        assert_eq!(same(PaymentFilter { currency: usd, ..all.clone() }).await, 39);
        assert_eq!(same(PaymentFilter { currency: eur, ..all.clone() }).await, 0);
        assert_eq!(same(PaymentFilter { currency: Some(Currency::INR), ..all.clone() }).await, 50);
        for (from, to, count) in [
            (at(day + 4, 0), at(day + 8, 0), 3),
            (at(day + 4, 1), at(day + 8, 1), 3),
            (at(day + 5, 0), at(day + 8, 0), 0),
            (at(day + 60, 0), u64::MAX, 0),
        ] {
            let within =
                PaymentFilter { created_from_ms: Some(from), created_to_ms: Some(to), ..all.clone() };
            assert_eq!(same(PaymentFilter { currency: usd, ..within }).await, count, "{from} to {to}");
        }
        let skipped = PaymentFilter { currency: usd, offset: 30, ..all.clone() };
        assert_eq!(store.payments(mer, skipped).await.unwrap().payments.len(), 9);
    }
    // One that has just been made, in a currency that was never there.
    let fresh = pay(store, mer, at(day + 61, 5), (Money::new(9, Currency::EUR), "stripe"), None).await;
    let found = store.payments(mer, PaymentFilter { currency: eur, ..all }).await.unwrap().payments;
    assert_eq!(found.iter().map(|payment| payment.id).collect::<Vec<_>>(), [fresh.id]);
}

/// Each commit comes before the day is added up, or changes it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn days_are_added_up_beside_commits_of_several_servers() {
    let database = Database::new().await;
    let stores = [database.open(1).await, database.open(2).await];
    let mer = merchant(stores[0].as_ref(), 5).await;
    let day = today() - 40;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for (number, store) in (0_u32..).zip(stores.iter().chain(&stores)) {
        let (store, is_over) = (Arc::clone(store), Arc::clone(&is_over));
        writers.spawn(async move {
            let mut turn = number;
            while !is_over.load(Ordering::Relaxed) {
                let at_ms = u64::from(day * 24 + turn * 7 % 720) * 3_600_000;
                pay(store.as_ref(), mer, at_ms, (inr(10), "razorpay"), captured(10)).await;
                turn += 1;
            }
        });
    }
    for days in 1..=30 {
        let upto_hour = (day + days) * 24;
        stores[0].upkeep(Upkeep::AddUpDays { merchant_id: mer, upto_hour }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let rows = stores[1].totals_by_day(mer, 0, u32::MAX).await.unwrap();
    assert!(rows.len() <= 30, "they are days: {}", rows.len());
    assert_clean(stores[1].as_ref()).await;

    // The audit sees a day that is not the sum of its hours.
    let client = database.client().await;
    let broken = r"UPDATE totals SET record = (SELECT record FROM totals WHERE key < '\x80' ORDER BY key DESC LIMIT 1)
                   WHERE key = (SELECT key FROM totals WHERE key > '\x80' ORDER BY key LIMIT 1)";
    assert_eq!(client.execute(broken, &[]).await.unwrap(), 1);
    let report = audit(stores[1].as_ref(), &mut |_, _| {}).await.unwrap();
    assert!(report.problems.iter().any(|problem| problem.contains("totals of days")), "{report:?}");
}

/// A program that knows nothing of days changes hours alone: while one is at work, none are added up.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn no_days_are_added_up_beside_an_older_program() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let mer = merchant(store.as_ref(), 5).await;
    for hour in 0..5 {
        let at_ms = u64::from((today() - 9) * 24 + hour) * 3_600_000;
        pay(store.as_ref(), mer, at_ms, (inr(10), "razorpay"), None).await;
    }
    let client = database.client().await;
    client.batch_execute("INSERT INTO instances (run) VALUES (4711)").await.unwrap();
    let add_up = async || -> usize {
        let upto_hour = today() * 24;
        store.upkeep(Upkeep::AddUpDays { merchant_id: mer, upto_hour }).await.unwrap();
        store.totals_by_day(mer, 0, u32::MAX).await.unwrap().len()
    };
    assert_eq!(add_up().await, 5);
    client
        .batch_execute("UPDATE instances SET seen_at = now() - interval '31 s' WHERE run = 4711")
        .await
        .unwrap();
    assert_eq!(add_up().await, 1);
}

async fn assert_clean(store: &dyn Store) {
    let report = audit(store, &mut |_, _| {}).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// Readers hold what they read, writers go on, and the sums are made anew all the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn sums_are_made_anew_beside_readers_and_writers() {
    let database = Database::new().await;
    let store = database.open(1).await;
    let mer = merchant(store.as_ref(), 5).await;
    let options = database.options(0);
    assert!(refresh_reports(&options, Duration::ZERO).await.unwrap());
    let count = "SELECT coalesce(sum(payments), 0)::bigint FROM report_days";
    // A reader in the middle of its transaction.
    let reader = database.client().await;
    reader.batch_execute("BEGIN").await.unwrap();
    assert_eq!(reader.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut paid = 0_i64;
            while !is_over.load(Ordering::Relaxed) {
                pay(store.as_ref(), mer, now_ms(), (inr(10), "razorpay"), captured(10)).await;
                paid += 1;
            }
            paid
        })
    };
    let mut seen = Vec::new();
    for _ in 0..10 {
        let refreshed =
            tokio::time::timeout(Duration::from_secs(20), refresh_reports(&options, Duration::ZERO));
        assert!(refreshed.await.expect("the reader is not waited for").unwrap());
        let report =
            store.report(wish(&[mer], (today() - 1, today() + 1), ReportBy::Merchant)).await.unwrap();
        seen.push(report.rows.values().map(|sums| sums.payments).sum::<i64>());
    }
    is_over.store(true, Ordering::Relaxed);
    let paid = writer.await.unwrap();
    assert!(seen.is_sorted() && seen[0] < seen[9], "payments came in meanwhile: {seen:?}");
    reader.batch_execute("COMMIT").await.unwrap();
    assert!(refresh_reports(&options, Duration::ZERO).await.unwrap());
    assert_eq!(reader.query_one(count, &[]).await.unwrap().get::<_, i64>(0), paid);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn one_of_many_servers_makes_the_sums_anew() {
    let database = Database::new().await;
    drop(database.open(1).await);
    let options = database.options(0);
    let hour = Duration::from_secs(3_600);
    let race = async || {
        let tried = (0..8).map(|_| refresh_reports(&options, hour));
        let done = futures_util::future::try_join_all(tried).await.unwrap();
        done.into_iter().filter(|done| *done).count()
    };
    assert_eq!(race().await, 1, "the others find it locked or young");
    assert_eq!(race().await, 0, "it is young");
    let client = database.client().await;
    client.batch_execute("UPDATE reports SET as_of = as_of - interval '61 min'").await.unwrap();
    assert_eq!(race().await, 1);
    // Whoever has the lock is not waited for.
    client.batch_execute("UPDATE reports SET as_of = as_of - interval '61 min'").await.unwrap();
    let held = "BEGIN; SELECT pg_advisory_xact_lock(8389754676633099634)";
    client.batch_execute(held).await.unwrap();
    let tried = tokio::time::timeout(Duration::from_secs(10), race());
    assert_eq!(tried.await.expect("nobody waits"), 0);
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(race().await, 1);
}

/// Servers need not own the tables (`docs/postgres.md`).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_role_that_only_serves_may_have_the_sums_made_anew() {
    let database = Database::new().await;
    drop(database.open(1).await);
    let owner = database.client().await;
    let role = format!("tollgate_serving_{}", std::process::id());
    owner
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await
        .unwrap();
    let mut options = database.options(0);
    options.url = options.url.replace("//tollgate@", &format!("//{role}@"));
    let serving = support::connect(&options.url).await;
    let refused = serving.batch_execute("REFRESH MATERIALIZED VIEW report_days").await.unwrap_err();
    assert!(format!("{refused:?}").contains("must be owner"), "{refused:?}");
    assert!(refresh_reports(&options, Duration::ZERO).await.unwrap());
    // Names that it puts in the way are not found.
    serving
        .batch_execute("CREATE TEMP TABLE reports (name text, as_of timestamptz, arrivals bigint)")
        .await
        .unwrap();
    serving.batch_execute("SELECT tollgate_refresh_reports('0')").await.unwrap();
    let own: i64 = serving.query_one("SELECT count(*) FROM pg_temp.reports", &[]).await.unwrap().get(0);
    assert_eq!(own, 0);
    let store = tollgate_store::postgres::PostgresStore::open(options).await.unwrap();
    let report = store.report(wish(&[], (today(), today() + 1), ReportBy::Day)).await.unwrap();
    assert!(report.as_of_ms.is_some());
    drop((store, serving));
    owner.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

/// What is read of a bucket that was moved is not there until it is made anew at its new place, and that is said.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_shard_that_a_bucket_has_come_to_is_missing_until_it_is_made_anew() {
    let place = Place::Shards(Shards::new(2).await);
    let Place::Shards(shards) = &place else { unreachable!() };
    let store = shards.open(1).await;
    let (here, there) = (merchant(store.as_ref(), 6).await, merchant(store.as_ref(), 7).await);
    for id in [here, there] {
        pay(store.as_ref(), id, now_ms(), (inr(10), "razorpay"), captured(10)).await;
    }
    let map = store.map();
    let (source, target) = (map.of(there), map.of(here));
    assert_ne!(source, target);
    let ask = async || -> Report {
        store.report(wish(&[here, there], (today() - 1, today() + 1), ReportBy::Merchant)).await.unwrap()
    };
    place.refresh_reports().await;
    let whole = ask().await;
    assert_eq!((whole.rows.len(), whole.missing.len()), (2, 0));
    let quick = MoveOptions { pause_max_ms: 900, pauses_max: 10, keep_ms: 100 };
    move_bucket(&shards.options(0), 7, target, quick, &unwatched).await.unwrap();
    for _ in 0..100 {
        if store.map().of(there) == target {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = ask().await;
    assert_eq!((after.rows.len(), after.as_of_ms, after.missing), (0, None, vec![target]));
    // A refresh that had begun before the bucket came would not count: it may have seen only a part of it.
    place.refresh_reports().await;
    let again = ask().await;
    assert_eq!((again.rows, again.missing.len()), (whole.rows, 0));
}
