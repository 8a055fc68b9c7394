//! What every store must do: runs on the embedded store, and on PostgreSQL when `TOLLGATE_TEST_POSTGRES` names a
//! server (`scripts/postgres`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Place, embedded, is_postgres};
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::attempt::{AttemptStart, AttemptStatus, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::card::CardBrand;
use tollgate_core::checkout::{CheckoutCustomer, CheckoutSecret, CheckoutSession};
use tollgate_core::command::{Command, Refusal};
use tollgate_core::currency::Currency;
use tollgate_core::erasure::Subject;
use tollgate_core::event::PaymentTerms;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{
    ApiKeyId, AttemptId, CheckoutId, EventId, IdParts, MerchantId, PasskeyId, PaymentId, RefundId,
};
use tollgate_core::ledger::Account;
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, CardSummary, InstrumentSummary, MethodFamily, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::passkey::Passkey;
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;
use tollgate_core::risk::{Assessment, ReviewState, Score, Screening, Verdict};
use tollgate_core::saved_card::{Consent, SavedCard};
use tollgate_core::totals::Totals;
use tollgate_core::transition::PaymentStatus;
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{
    AccountCalls, Admin, CALLS_KEPT_DAYS, Commit, CommitError, Committed, EndpointCalls, ErasePayments,
    IdempotencyStep, StoredReply, Upkeep,
};
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_store::error::StoreError;
use tollgate_store::query::{PaymentFilter, PolicyKind, ReplyFilter, RiskList};

const NOW_MS: u64 = 1_790_000_000_000;
static NEXT: AtomicU64 = AtomicU64::new(1);

fn parts(unix_ms: u64) -> IdParts {
    let random = NEXT.fetch_add(1, Ordering::Relaxed);
    IdParts { unix_ms, sub_ms: 0, bucket: 5, random }
}

async fn merchant(store: &dyn Store) -> MerchantId {
    let id = MerchantId::from_parts(parts(NOW_MS));
    let fee = FeePlan { percent_bps: 200, fixed_minor: 0 };
    let name = "Test".to_owned();
    let merchant = Merchant {
        id,
        name,
        mode: Mode::Sandbox,
        active: true,
        fee,
        mcc: None,
        country: None,
        processors: vec![],
        created_at_ms: NOW_MS,
    };
    store.administer(Admin::PutMerchant(merchant), By::system(NOW_MS)).await.unwrap();
    id
}

fn terms(amount_minor: i64, user: &str, capture: CaptureMode) -> Box<PaymentTerms> {
    Box::new(PaymentTerms {
        amount: Money::new(amount_minor, Currency::INR),
        capture,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan { percent_bps: 200, fixed_minor: 0 },
        user_id: Some(user.to_owned()),
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: vec![("k".to_owned(), "v".to_owned())],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    })
}

fn work(merchant_id: MerchantId, now_ms: u64, command: Command) -> Commit {
    let event_id = EventId::from_parts(parts(now_ms));
    Commit { merchant_id, now_ms, event_id, command: Some(command), idempotency: None, message: None }
}

fn create(now_ms: u64, terms: Box<PaymentTerms>) -> Command {
    let attempt = AttemptStart {
        id: AttemptId::from_parts(parts(now_ms)),
        processor: ProcessorName::new("razorpay"),
        amount_minor: terms.amount.minor,
    };
    Command::Create { payment_id: PaymentId::from_parts(parts(now_ms)), terms, attempt }
}

fn settle(payment: &Payment, attempt_id: AttemptId, outcome: Outcome) -> Command {
    Command::Settle { payment_id: payment.id, attempt_id, outcome, next: None }
}

fn captured(amount_minor: i64) -> Outcome {
    Outcome::Captured { processor_payment_id: "pp_1".to_owned(), amount_minor }
}

fn refund_of(payment: &Payment, amount_minor: Option<i64>) -> Command {
    Command::Refund {
        payment_id: payment.id,
        refund_id: RefundId::from_parts(parts(NOW_MS)),
        attempt_id: AttemptId::from_parts(parts(NOW_MS)),
        amount_minor,
        reason: None,
        metadata: vec![],
    }
}

async fn completed(
    store: &dyn Store,
    merchant_id: MerchantId,
    now_ms: u64,
    amount: i64,
    user: &str,
) -> Committed {
    let command = create(now_ms, terms(amount, user, CaptureMode::Automatic));
    let begun = store.commit(work(merchant_id, now_ms, command)).await.unwrap();
    let id = begun.payment.charge_attempt_id;
    store.commit(work(merchant_id, now_ms, settle(&begun.payment, id, captured(amount)))).await.unwrap()
}

async fn assert_clean(store: &dyn Store) {
    let report = audit(store, &mut |_, _| {}).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

fn render(payment: &Payment, refund: Option<&Refund>) -> StoredReply {
    let body = format!("{} {} {}", payment.id, payment.status.as_str(), refund.is_some());
    StoredReply { status: 201, body: body.into_bytes() }
}

#[tokio::test]
async fn a_payment_is_booked_and_survives_reopening() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let done = completed(store.as_ref(), mer, NOW_MS, 10_000, "u1").await;
    assert_eq!(done.payment.status, PaymentStatus::Completed);
    let refunded = store.commit(work(mer, NOW_MS, refund_of(&done.payment, Some(4_000)))).await.unwrap();
    let attempt = refunded.attempt.unwrap();
    let outcome = Outcome::Refunded { processor_refund_id: "rf".to_owned(), amount_minor: 4_000 };
    let back = store.commit(work(mer, NOW_MS, settle(&done.payment, attempt.id, outcome))).await.unwrap();
    assert_eq!(back.payment.status, PaymentStatus::PartiallyRefunded);
    assert_clean(store.as_ref()).await;

    drop(store);
    let store = place.open(2).await;
    let again = store.payment(mer, done.payment.id).await.unwrap().unwrap();
    assert_eq!(again, *back.payment);
    assert_eq!(store.postings(mer, again.id).await.unwrap().len(), 3);
    assert_eq!(store.history(mer, again.id).await.unwrap().len(), 4);
    assert_eq!(store.refund(mer, refunded.refund.unwrap().id).await.unwrap().unwrap().amount.minor, 4_000);
    let balances = store.balances(mer).await.unwrap();
    let of = |account: Account| {
        let found = balances.iter().find(|(_, have, _)| *have == account).unwrap();
        found.2.on(account.normal_side())
    };
    assert_eq!(of(Account::MerchantPayable), 9_800 - 3_920);
    assert_eq!(of(Account::FeeRevenue), 200 - 80);
    assert_eq!(of(Account::RefundsPayable), 0);
    assert_eq!(of(Account::ProcessorReceivable(ProcessorName::new("razorpay"))), 6_000);
    let next = completed(store.as_ref(), mer, NOW_MS, 500, "u1").await;
    assert_eq!(next.event.unwrap().sequence, 6);
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn another_merchants_rows_look_absent() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mine, theirs) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let done = completed(store.as_ref(), mine, NOW_MS, 10_000, "u").await;
    assert_eq!(store.payment(theirs, done.payment.id).await.unwrap(), None);
    assert!(
        store
            .payments(theirs, PaymentFilter { limit: 9, ..Default::default() })
            .await
            .unwrap()
            .payments
            .is_empty()
    );
    assert!(store.history(theirs, done.payment.id).await.unwrap().is_empty());
    let refusal = store.commit(work(theirs, NOW_MS, refund_of(&done.payment, None))).await;
    assert!(matches!(refusal, Err(CommitError::Refused(Refusal::NotFound))));

    // Also while the payment is hot in the writer's memory.
    let begun = store
        .commit(work(mine, NOW_MS, create(NOW_MS, terms(5, "u", CaptureMode::Automatic))))
        .await
        .unwrap();
    let cancel = Command::Cancel { payment_id: begun.payment.id, attempt_id: AttemptId::from_u128(9) };
    let refusal = store.commit(work(theirs, NOW_MS, cancel)).await;
    assert!(matches!(refusal, Err(CommitError::Refused(Refusal::NotFound))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_refunds_race_and_never_pass_what_was_captured() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let done = completed(store.as_ref(), mer, NOW_MS, 1_000, "u").await;
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, commit) = (Arc::clone(&store), work(mer, NOW_MS, refund_of(&done.payment, Some(30))));
        racers.spawn(async move { store.commit(commit).await });
    }
    let results = racers.join_all().await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 33);
    let lost = results.iter().filter_map(|result| result.as_ref().err());
    assert!(lost.clone().all(|error| matches!(error, CommitError::Refused(Refusal::AboveRefundable { .. }))));
    let after = store.payment(mer, done.payment.id).await.unwrap().unwrap();
    assert_eq!((after.refund_pending_minor, after.refundable_minor()), (990, 10));
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_makes_one_payment() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let begin = |fingerprint: u8| {
        let mut commit = work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Automatic)));
        commit.idempotency =
            Some(IdempotencyStep::Begin { key: "k".to_owned(), fingerprint: [fingerprint; 32] });
        commit
    };
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, commit) = (Arc::clone(&store), begin(1));
        racers.spawn(async move { store.commit(commit).await });
    }
    let mut results = racers.join_all().await;
    results.sort_by_key(Result::is_err);
    let won = results.remove(0).unwrap();
    assert!(results.iter().all(|result| matches!(result, Err(CommitError::KeyInFlight))));
    assert!(matches!(store.commit(begin(2)).await, Err(CommitError::KeyMismatch)));

    let mut finish = work(mer, NOW_MS, settle(&won.payment, won.payment.charge_attempt_id, captured(700)));
    let payment_id = won.payment.id;
    finish.idempotency =
        Some(IdempotencyStep::Finish { key: "k".to_owned(), payment_id, refund_id: None, render });
    let reply = store.commit(finish).await.unwrap().reply.unwrap();
    assert_eq!(reply, render(&store.payment(mer, payment_id).await.unwrap().unwrap(), None));
    drop(store);
    let store = place.open(2).await;
    assert!(matches!(store.commit(begin(1)).await, Err(CommitError::Replay(again)) if again == reply));
    assert!(matches!(store.commit(begin(2)).await, Err(CommitError::KeyMismatch)));

    // A day later the key is free again.
    let mut later = begin(2);
    later.now_ms += 86_400_001;
    assert!(store.commit(later).await.is_ok());
}

#[tokio::test]
async fn a_claim_of_a_dead_run_is_adopted_once() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let mut begin = work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Automatic)));
    begin.idempotency = Some(IdempotencyStep::Begin { key: "k".to_owned(), fingerprint: [1; 32] });
    let begun = store.commit(begin.clone()).await.unwrap();
    drop(store);
    let store = place.open(2).await;
    let Err(CommitError::KeyOrphaned { payment_id, .. }) = store.commit(begin.clone()).await else {
        panic!("the dead run's claim was not noticed");
    };
    assert_eq!(payment_id, begun.payment.id);
    let mut adopt = work(mer, NOW_MS, refund_of(&begun.payment, None));
    adopt.command = None;
    adopt.idempotency =
        Some(IdempotencyStep::Finish { key: "k".to_owned(), payment_id, refund_id: None, render });
    let first = store.commit(adopt.clone()).await.unwrap().reply.unwrap();
    store
        .commit(work(mer, NOW_MS, settle(&begun.payment, begun.payment.charge_attempt_id, captured(700))))
        .await
        .unwrap();
    let second = store.commit(adopt).await.unwrap().reply.unwrap();
    assert_eq!(first, second);
    assert!(matches!(store.commit(begin).await, Err(CommitError::Replay(again)) if again == first));
}

#[tokio::test]
async fn messages_are_booked_once() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let begun = store
        .commit(work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Automatic))))
        .await
        .unwrap();
    let mut message =
        work(mer, NOW_MS, settle(&begun.payment, begun.payment.charge_attempt_id, captured(700)));
    message.message = Some("razorpay:evt_1".to_owned());
    assert!(store.commit(message.clone()).await.unwrap().event.is_some());
    assert!(matches!(store.commit(message.clone()).await, Err(CommitError::DuplicateMessage)));
    message.message = Some("razorpay:evt_2".to_owned());
    assert!(store.commit(message).await.unwrap().event.is_none());
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn lists_filter_page_and_stay_stable() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    for place in 0..25_u64 {
        let user = if place % 5 == 0 { "five" } else { "other" };
        let amount = 100 + i64::try_from(place).unwrap();
        completed(store.as_ref(), mer, NOW_MS + place, amount, user).await;
    }
    let amounts =
        |payments: &[Payment]| payments.iter().map(|payment| payment.terms.amount.minor).collect::<Vec<_>>();
    let filter = |limit| PaymentFilter { limit, ..Default::default() };
    let first = store.payments(mer, filter(10)).await.unwrap();
    assert_eq!(amounts(&first.payments), (115..=124).rev().collect::<Vec<_>>());
    // Something new does not shift the pages behind a cursor.
    completed(store.as_ref(), mer, NOW_MS + 99, 999, "other").await;
    let second = store.payments(mer, PaymentFilter { before: first.next, ..filter(10) }).await.unwrap();
    assert_eq!(amounts(&second.payments), (105..=114).rev().collect::<Vec<_>>());
    let third = store.payments(mer, PaymentFilter { before: second.next, ..filter(10) }).await.unwrap();
    assert_eq!((amounts(&third.payments), third.next), ((100..=104).rev().collect(), None));
    let exact = store.payments(mer, PaymentFilter { before: second.next, ..filter(5) }).await.unwrap();
    assert_eq!(exact.next, None);

    let of_user = PaymentFilter { user_id: Some("five".to_owned()), ..filter(10) };
    assert_eq!(
        amounts(&store.payments(mer, of_user.clone()).await.unwrap().payments),
        [120, 115, 110, 105, 100]
    );
    let offset = PaymentFilter { offset: 2, ..of_user.clone() };
    assert_eq!(amounts(&store.payments(mer, offset).await.unwrap().payments), [110, 105, 100]);
    let ranged =
        PaymentFilter { created_from_ms: Some(NOW_MS + 5), created_to_ms: Some(NOW_MS + 15), ..of_user };
    assert_eq!(amounts(&store.payments(mer, ranged).await.unwrap().payments), [110, 105]);
    let dear = PaymentFilter { amount_minor_min: Some(123), amount_minor_max: Some(500), ..filter(10) };
    assert_eq!(amounts(&store.payments(mer, dear).await.unwrap().payments), [124, 123]);
    let none = PaymentFilter { status: Some(PaymentStatus::Failed), ..filter(10) };
    assert!(store.payments(mer, none).await.unwrap().payments.is_empty());

    let users = ["nobody", "five", "other"].map(str::to_owned).to_vec();
    let recent = store.recent_payments(mer, users).await.unwrap();
    let recent: Vec<_> =
        recent.iter().map(|found| found.as_ref().map(|payment| payment.terms.amount.minor)).collect();
    assert_eq!(recent, [None, Some(120), Some(999)]);
    let events = store.events(mer, 50, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [51, 52]);
}

#[tokio::test]
async fn deadlines_and_open_attempts_are_kept() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let begun =
        store.commit(work(mer, NOW_MS, create(NOW_MS, terms(700, "u", CaptureMode::Manual)))).await.unwrap();
    let charge = begun.payment.charge_attempt_id;
    let open_ids = |found: Vec<tollgate_core::attempt::Attempt>| {
        found.iter().map(|attempt| attempt.id).collect::<Vec<_>>()
    };
    assert_eq!(open_ids(store.open_attempts(None, 9).await.unwrap()), [charge]);
    assert!(store.open_attempts(Some(charge), 9).await.unwrap().is_empty());
    let authorized = Outcome::Authorized { processor_payment_id: "p".to_owned(), amount_minor: 700 };
    let held = store.commit(work(mer, NOW_MS, settle(&begun.payment, charge, authorized))).await.unwrap();
    assert!(store.open_attempts(None, 9).await.unwrap().is_empty());
    let lapses_ms = held.payment.expires_at_ms.unwrap();
    assert!(store.deadlines(lapses_ms, 9).await.unwrap().is_empty());
    assert_eq!(store.deadlines(lapses_ms + 1, 9).await.unwrap()[0].payment_id, begun.payment.id);
    let capture = Command::Capture {
        payment_id: begun.payment.id,
        attempt_id: AttemptId::from_u128(77),
        amount_minor: Some(300),
    };
    let taking = store.commit(work(mer, NOW_MS, capture)).await.unwrap();
    let failure = Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, "lost"));
    let lost = store
        .commit(work(mer, NOW_MS, settle(&taking.payment, AttemptId::from_u128(77), failure)))
        .await
        .unwrap();
    assert!(lost.event.is_none());
    assert_eq!(store.attempt(AttemptId::from_u128(77)).await.unwrap().unwrap().status, AttemptStatus::Open);
    let taken = store
        .commit(work(mer, NOW_MS, settle(&taking.payment, AttemptId::from_u128(77), captured(300))))
        .await
        .unwrap();
    assert_eq!((taken.payment.status, taken.payment.captured_minor), (PaymentStatus::Completed, 300));
    assert!(store.deadlines(u64::MAX, 9).await.unwrap().is_empty());
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn a_checkout_session_has_its_payments() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mer, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let session = CheckoutSession {
        id: CheckoutId::from_parts(parts(NOW_MS)),
        merchant_id: mer,
        secret: CheckoutSecret::new(5),
        amount: Money::new(500, Currency::INR),
        methods: vec![MethodFamily::UpiQr],
        customer: CheckoutCustomer { name: Some("Asha".to_owned()), ..CheckoutCustomer::default() },
        description: None,
        statement_descriptor: None,
        return_url: Some("https://shop.example/done".to_owned()),
        cancel_url: None,
        metadata: vec![("order".to_owned(), "7".to_owned())],
        mandate: None,
        created_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 1_000,
    };
    assert_eq!(store.checkout(session.id).await.unwrap(), None);
    store.upkeep(Upkeep::PutCheckout(Box::new(session.clone()))).await.unwrap();
    assert_eq!(store.checkout(session.id).await.unwrap().as_ref(), Some(&session));
    assert!(store.checkout_payments(mer, session.id).await.unwrap().is_empty());
    let mut wanted = Vec::new();
    for now_ms in [NOW_MS, NOW_MS + 1] {
        let mut terms = terms(500, "u", CaptureMode::Automatic);
        terms.checkout = Some(session.id);
        let begun = store.commit(work(mer, now_ms, create(now_ms, terms))).await.unwrap();
        wanted.push(begun.payment.id);
    }
    completed(store.as_ref(), mer, NOW_MS, 500, "u").await;
    drop(store);
    let store = place.open(2).await;
    let found = store.checkout_payments(mer, session.id).await.unwrap();
    assert_eq!(found.iter().map(|payment| payment.id).collect::<Vec<_>>(), wanted);
    assert!(store.checkout_payments(other, session.id).await.unwrap().is_empty());
    assert_eq!(store.checkout(session.id).await.unwrap(), Some(session));
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn a_second_opener_and_a_newer_store_are_refused() {
    if is_postgres() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(folder.path(), 1);
    let refusal = EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 2)).unwrap_err();
    assert!(matches!(&refusal, StoreError::Locked(_)), "{refusal}");
    assert!(refusal.to_string().contains("in use by another process"));
    drop(store);
    {
        let database = fjall::Database::builder(folder.path()).open().unwrap();
        let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        meta.insert("schema_version", 99_u32.to_be_bytes()).unwrap();
        database.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let refusal = EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 3)).unwrap_err();
    assert!(matches!(refusal, StoreError::Newer { found: 99, known: 7 }), "{refusal}");
}

#[tokio::test]
async fn the_audit_sees_damage() {
    if is_postgres() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(folder.path(), 1);
    let mer = merchant(store.as_ref()).await;
    completed(store.as_ref(), mer, NOW_MS, 10_000, "u").await;
    completed(store.as_ref(), mer, NOW_MS, 20_000, "u").await;
    drop(store);
    for keyspace in ["ledger", "balances", "totals", "events", "payment_events", "attempts"] {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        {
            let database = fjall::Database::builder(copy.path()).open().unwrap();
            let rows = database.keyspace(keyspace, fjall::KeyspaceCreateOptions::default).unwrap();
            let key = rows.last_key_value().unwrap().key().unwrap();
            rows.remove(key).unwrap();
            database.persist(fjall::PersistMode::SyncAll).unwrap();
        }
        let damaged = embedded(copy.path(), 2);
        let report = audit(damaged.as_ref(), &mut |_, _| {}).await;
        assert!(report.is_err() || report.unwrap().problem_count > 0, "{keyspace} was lost unseen");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn passkeys_belong_to_one_customer_and_their_counters_never_go_back() {
    let place = Place::new().await;
    let (shop, user) = {
        let store = place.open(1).await;
        let (shop, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
        let passkey = |id: u128, merchant_id, user: &str, sign_count| Passkey {
            id: PasskeyId::from_u128(id),
            merchant_id,
            user_id: user.to_owned(),
            credential_id: vec![1, 2, 3],
            credential: "{}".to_owned(),
            sign_count,
            created_at_ms: NOW_MS + u64::from(sign_count),
        };
        let put = |passkey| store.administer(Admin::PutPasskey(passkey), By::system(NOW_MS));
        put(passkey(2, shop, "asha", 5)).await.unwrap();
        put(passkey(1, shop, "asha", 0)).await.unwrap();
        put(passkey(3, shop, "ben", 0)).await.unwrap();
        let (late, early) = tokio::join!(put(passkey(2, shop, "asha", 9)), put(passkey(2, shop, "asha", 7)));
        assert!(late.is_ok() && early.is_ok());
        let found = store.passkeys(shop, "asha").await.unwrap();
        let shown: Vec<_> =
            found.iter().map(|it| (it.id.as_u128(), it.sign_count, it.created_at_ms - NOW_MS)).collect();
        assert_eq!(shown, [(1, 0, 0), (2, 9, 5)]);
        // A use that ends after the passkey was removed does not bring it back.
        let used = |it| store.upkeep(Upkeep::CountPasskey(it));
        used(passkey(3, shop, "ben", 4)).await.unwrap();
        assert_eq!(store.passkeys(shop, "ben").await.unwrap()[0].sign_count, 4);
        let gone = Box::new(passkey(3, shop, "ben", 4));
        store.administer(Admin::RemovePasskey(gone), By::system(NOW_MS)).await.unwrap();
        used(passkey(3, shop, "ben", 5)).await.unwrap();
        assert_eq!(store.passkeys(shop, "ben").await.unwrap(), []);
        assert_eq!(store.passkeys(other, "asha").await.unwrap(), []);
        assert_eq!(store.passkeys(shop, "ash").await.unwrap(), []);
        (shop, "asha")
    };
    assert_eq!(place.open(2).await.passkeys(shop, user).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_confirmation_is_used_once_but_its_request_may_be_repeated() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let shop = merchant(store.as_ref()).await;
    let pay = |key: Option<&str>| {
        let command = create(NOW_MS, terms(10_000, "asha", CaptureMode::Automatic));
        let begin = |key: &str| IdempotencyStep::Begin { key: key.to_owned(), fingerprint: [7; 32] };
        let message = Some("cnf:1".to_owned());
        Commit { idempotency: key.map(begin), message, ..work(shop, NOW_MS, command) }
    };
    store.commit(pay(Some("k1"))).await.unwrap();
    // The same request again meets its key first.
    assert!(matches!(store.commit(pay(Some("k1"))).await, Err(CommitError::KeyInFlight)));
    for key in [None, Some("k2")] {
        assert!(matches!(store.commit(pay(key)).await, Err(CommitError::DuplicateMessage)));
    }
    // A key that met a used confirmation is not taken.
    let mut fresh = pay(Some("k2"));
    fresh.message = Some("cnf:2".to_owned());
    store.commit(fresh).await.unwrap();
    let page = store.payments(shop, PaymentFilter { limit: 10, ..PaymentFilter::default() }).await.unwrap();
    assert_eq!(page.payments.len(), 2);
    assert_clean(store.as_ref()).await;
}

fn screening(verdict: Verdict) -> Box<Screening> {
    let assessment = Assessment {
        score: Score::from_ten_thousandths(6_000),
        verdict,
        model: "test".to_owned(),
        rules: Vec::new(),
        reasons: Vec::new(),
        features: vec![1, 2, 3],
        fallback: None,
    };
    Box::new(Screening {
        assessment,
        ip: None,
        device_id: None,
        card_fingerprint: Some([7; 16]),
        ip_country: None,
        card_country: None,
        holds_capture: true,
    })
}

#[tokio::test]
async fn fraud_lists_follow_their_payments() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (ours, theirs) = (merchant(&*store).await, merchant(&*store).await);
    let mut terms = terms(10_000, "u", CaptureMode::Manual);
    terms.risk = Some(screening(Verdict::Review));
    let reviewed = store.commit(work(ours, NOW_MS, create(NOW_MS, terms.clone()))).await.unwrap().payment;
    terms.risk = Some(screening(Verdict::Block));
    let block = Command::Block {
        payment_id: PaymentId::from_parts(parts(NOW_MS + 1)),
        attempt_id: AttemptId::from_parts(parts(NOW_MS + 1)),
        terms: terms.clone(),
        failure: Failure::new(FailureCode::FraudDetected, "the risk is too high"),
    };
    let blocked = store.commit(work(ours, NOW_MS + 1, block)).await.unwrap();
    assert!(blocked.attempt.is_none() && blocked.payment.attempts.is_empty());
    assert_eq!(blocked.payment.status, PaymentStatus::Declined);
    terms.risk = Some(screening(Verdict::Allow));
    let plain = store.commit(work(ours, NOW_MS, create(NOW_MS + 2, terms))).await.unwrap().payment;
    let on = async |merchant_id, list, before| -> Vec<PaymentId> {
        let found = store.risk_payments(merchant_id, list, before, 10).await.unwrap();
        found.into_iter().map(|payment| payment.id).collect()
    };
    assert_eq!(on(ours, RiskList::Alerts, None).await, [blocked.payment.id, reviewed.id]);
    assert_eq!(on(ours, RiskList::Alerts, Some(blocked.payment.id)).await, [reviewed.id]);
    assert_eq!(on(ours, RiskList::Review, None).await, [reviewed.id]);
    assert!(on(theirs, RiskList::Alerts, None).await.is_empty());

    let review = |payment_id| Command::Review {
        payment_id,
        approved: false,
        note: None,
        by: Box::new(By::system(NOW_MS)),
    };
    let refused = store.commit(work(ours, NOW_MS, review(plain.id))).await.unwrap_err();
    assert!(matches!(refused, CommitError::Refused(Refusal::NotInReview)));
    let decided = store.commit(work(ours, NOW_MS + 5, review(reviewed.id))).await.unwrap().payment;
    assert_eq!(decided.review.as_ref().unwrap().state, ReviewState::Rejected);
    assert!(on(ours, RiskList::Review, None).await.is_empty());
    assert_eq!(on(ours, RiskList::Alerts, None).await.len(), 2);
    let again = store.commit(work(ours, NOW_MS + 6, review(reviewed.id))).await.unwrap_err();
    assert!(matches!(again, CommitError::Refused(Refusal::NotInReview)));

    let label = |fraud| Command::Label { payment_id: plain.id, fraud, by: Box::new(By::system(NOW_MS)) };
    store.commit(work(ours, NOW_MS + 7, label(true))).await.unwrap();
    let unchanged = store.commit(work(ours, NOW_MS + 8, label(true))).await.unwrap();
    assert!(unchanged.event.is_none());
    store.commit(work(ours, NOW_MS + 9, label(false))).await.unwrap();
    assert_eq!(on(ours, RiskList::Labelled, None).await, [plain.id]);
    let report = audit(&*store, &mut |_, _| {}).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[tokio::test]
async fn policies_and_cards_on_file() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (ours, theirs) = (merchant(&*store).await, merchant(&*store).await);
    let kind = PolicyKind::Fraud;
    let put = |policy: Option<&str>| {
        let policy = policy.map(str::to_owned);
        Admin::PutPolicy { merchant_id: ours, kind, policy }
    };
    store.administer(put(Some("{}")), By::system(NOW_MS)).await.unwrap();
    assert_eq!(store.policy(ours, kind).await.unwrap().as_deref(), Some("{}"));
    assert_eq!(store.policy(ours, PolicyKind::Routing).await.unwrap(), None);
    assert_eq!(store.policy(theirs, kind).await.unwrap(), None);
    store.administer(put(None), By::system(NOW_MS)).await.unwrap();
    assert_eq!(store.policy(ours, kind).await.unwrap(), None);

    let card = |user: &str, token: u8| SavedCard {
        token: [token; 16],
        merchant_id: ours,
        user_id: user.to_owned(),
        summary: CardSummary {
            brand: CardBrand::Visa,
            bin: "411111".to_owned(),
            last4: "1111".to_owned(),
            exp_month: 1,
            exp_year: 2040,
            network_token: true,
        },
        fingerprint: [9; 16],
        consent: Consent { given_at_ms: NOW_MS, ip: None, terms: "v1".to_owned() },
        created_at_ms: NOW_MS,
    };
    for saved in [card("a", 2), card("a", 1), card("b", 3)] {
        store.administer(Admin::PutSavedCard(Box::new(saved)), By::system(NOW_MS)).await.unwrap();
    }
    assert_eq!(store.saved_cards(ours, "a").await.unwrap(), [card("a", 1), card("a", 2)]);
    assert!(store.saved_cards(theirs, "a").await.unwrap().is_empty());
    assert!(store.saved_card(theirs, [1; 16]).await.unwrap().is_none());
    // The same card, now another customer's.
    store.administer(Admin::PutSavedCard(Box::new(card("b", 2))), By::system(NOW_MS)).await.unwrap();
    assert_eq!(store.saved_cards(ours, "a").await.unwrap(), [card("a", 1)]);
    let remove = Admin::RemoveSavedCard { merchant_id: ours, token: [1; 16] };
    store.administer(remove.clone(), By::system(NOW_MS)).await.unwrap();
    store.administer(remove, By::system(NOW_MS)).await.unwrap();
    assert!(store.saved_cards(ours, "a").await.unwrap().is_empty());
    assert!(store.saved_card(ours, [2; 16]).await.unwrap().is_some());
}

#[tokio::test]
async fn api_keys_are_their_owner_s_and_what_ended_stays_ended() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (ours, theirs) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let key = |owner: KeyOwner| ApiKey::new(ApiKeyId::from_parts(parts(NOW_MS)), owner, [1; 32], NOW_MS);
    let (first, second) = (key(ours.into()), key(ours.into()));
    let (other, platform) = (key(theirs.into()), key(KeyOwner::Platform));
    for key in [&first, &second, &other, &platform] {
        store.administer(Admin::PutApiKey(key.clone()), By::system(NOW_MS)).await.unwrap();
    }
    assert_eq!(store.api_keys(ours.into()).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.api_keys(KeyOwner::Platform).await.unwrap(), std::slice::from_ref(&platform));
    assert_eq!(store.api_key(other.id).await.unwrap(), Some(other.clone()));

    // Who had not seen the revocation does not undo it, not even in the same batch.
    let revoked = ApiKey { revoked_at_ms: Some(NOW_MS + 5), ..first.clone() };
    let ends = ApiKey { expires_at_ms: Some(NOW_MS + 9), ..first.clone() };
    let (one, two) = tokio::join!(
        store.administer(Admin::PutApiKey(revoked), By::system(NOW_MS)),
        store.administer(Admin::PutApiKey(ends), By::system(NOW_MS))
    );
    one.unwrap();
    two.unwrap();
    store.administer(Admin::PutApiKey(first.clone()), By::system(NOW_MS)).await.unwrap();
    let stands = store.api_key(first.id).await.unwrap().unwrap();
    assert_eq!((stands.revoked_at_ms, stands.expires_at_ms), (Some(NOW_MS + 5), Some(NOW_MS + 9)));

    store.upkeep(Upkeep::NoteKeyUses(vec![(second.id, 7), (other.id, 8)])).await.unwrap();
    store.upkeep(Upkeep::NoteKeyUses(vec![(second.id, 9)])).await.unwrap();
    let uses = store.key_uses(vec![first.id, second.id, other.id]).await.unwrap();
    assert_eq!(uses, [None, Some(9), Some(8)]);
}

#[tokio::test]
async fn the_first_pin_stands_until_somebody_decides_otherwise() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let merchant_id = merchant(store.as_ref()).await;
    let pin = |version: &str| Upkeep::PinApiVersion { merchant_id, version: version.to_owned() };
    let read = async || store.policy(merchant_id, PolicyKind::ApiVersion).await.unwrap();
    let told = store.audit_head().await.unwrap().count;
    // In one batch, most likely.
    let (one, two) = tokio::join!(store.upkeep(pin("b")), store.upkeep(pin("c")));
    one.unwrap();
    two.unwrap();
    assert_eq!(read().await.as_deref(), Some("b"));
    assert_eq!(store.audit_head().await.unwrap().count, told, "nobody decided it");
    let kind = PolicyKind::ApiVersion;
    let change = Admin::PutPolicy { merchant_id, kind, policy: Some("a".to_owned()) };
    store.administer(change, By::system(NOW_MS)).await.unwrap();
    store.upkeep(pin("b")).await.unwrap();
    assert_eq!(read().await.as_deref(), Some("a"));
    let record = store.audit(told, 5).await.unwrap().remove(0).1.unwrap();
    assert_eq!(record.entry.action(), "api_version.put");
    assert_eq!(
        (record.entry.before(), record.entry.after()),
        (Some(r#"{"version":"b"}"#), Some(r#"{"version":"a"}"#))
    );
}

#[tokio::test]
async fn calls_add_up_by_day_and_old_days_make_room() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let ids: Vec<MerchantId> = (1..=3).map(MerchantId::from_u128).collect();
    let calls = |version: &str, calls: u64| EndpointCalls {
        version: version.to_owned(),
        endpoint: "GET /x".to_owned(),
        calls,
    };
    let count = |day: u32, counted: Vec<(MerchantId, Vec<EndpointCalls>)>| Upkeep::CountCalls {
        day,
        accounts: counted
            .into_iter()
            .map(|(merchant_id, calls)| AccountCalls { merchant_id, calls })
            .collect(),
    };
    let one = count(100, vec![(ids[0], vec![calls("a", 2), calls("b", 1)]), (ids[2], vec![calls("a", 5)])]);
    let two = count(100, vec![(ids[0], vec![calls("a", 3)]), (ids[1], vec![calls("b", 1)])]);
    let (one, two) = tokio::join!(store.upkeep(one), store.upkeep(two));
    one.unwrap();
    two.unwrap();
    store.upkeep(count(101, vec![(ids[0], vec![calls("a", 7)])])).await.unwrap();
    assert_eq!(store.calls_of_account(100, ids[0]).await.unwrap(), [calls("a", 5), calls("b", 1)]);
    assert_eq!(store.calls_of_account(101, ids[0]).await.unwrap(), [calls("a", 7)]);
    assert!(store.calls_of_account(102, ids[0]).await.unwrap().is_empty());
    let day = store.calls_of_day(100, None, 2).await.unwrap();
    assert_eq!(day.iter().map(|row| row.merchant_id).collect::<Vec<_>>(), ids[..2]);
    let rest = store.calls_of_day(100, Some(ids[1]), 2).await.unwrap();
    assert_eq!(rest, [AccountCalls { merchant_id: ids[2], calls: vec![calls("a", 5)] }]);
    store.upkeep(count(101 + CALLS_KEPT_DAYS, vec![(ids[1], vec![calls("a", 1)])])).await.unwrap();
    assert!(store.calls_of_day(100, None, 9).await.unwrap().is_empty());
    assert_eq!(store.calls_of_day(101, None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_person_is_masked_in_payments_at_rest_and_the_books_stay_right() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let done = completed(store.as_ref(), mer, NOW_MS, 10_000, "asha").await.payment;
    let other = completed(store.as_ref(), mer, NOW_MS + 1, 20_000, "ben").await.payment;
    let begun = store
        .commit(work(mer, NOW_MS, create(NOW_MS, terms(5, "asha", CaptureMode::Automatic))))
        .await
        .unwrap()
        .payment;
    let erase = |payments| {
        let subject = Subject { user_id: Some("asha".to_owned()), ..Subject::default() };
        let (checkouts, replies) = (vec![], vec![]);
        let wish = ErasePayments { merchant_id: mer, subject, payments, checkouts, replies };
        Admin::ErasePayments(Box::new(wish))
    };
    // One that is under way refuses all of it.
    let refused = store.administer(erase(vec![done.id, begun.id]), By::system(NOW_MS)).await;
    assert!(matches!(refused, Err(CommitError::Conflict(_))), "{refused:?}");
    assert_eq!(store.payment(mer, done.id).await.unwrap().unwrap(), *done);
    store.administer(erase(vec![done.id]), By::system(NOW_MS)).await.unwrap();
    let masked = store.payment(mer, done.id).await.unwrap().unwrap();
    assert_ne!(masked.terms.user_id.as_deref(), Some("asha"));
    assert_eq!((masked.version, masked.captured_minor), (done.version, done.captured_minor));
    let of_user = PaymentFilter { user_id: Some("asha".to_owned()), limit: 9, ..PaymentFilter::default() };
    let page = store.payments(mer, of_user).await.unwrap();
    assert_eq!(page.payments.iter().map(|payment| payment.id).collect::<Vec<_>>(), [begun.id]);
    assert_eq!(store.payment(mer, other.id).await.unwrap().unwrap(), *other);
    assert_clean(store.as_ref()).await;
    // The books go on.
    store.commit(work(mer, NOW_MS, refund_of(&masked, Some(50)))).await.unwrap();
    assert_clean(store.as_ref()).await;
    store.purge().await.unwrap();
    assert_clean(store.as_ref()).await;
}

fn session_of(merchant_id: MerchantId, name: &str) -> CheckoutSession {
    CheckoutSession {
        id: CheckoutId::from_parts(parts(NOW_MS)),
        merchant_id,
        secret: CheckoutSecret::new(5),
        amount: Money::new(500, Currency::INR),
        methods: vec![MethodFamily::UpiQr],
        customer: CheckoutCustomer { user_id: Some(name.to_owned()), ..CheckoutCustomer::default() },
        description: None,
        statement_descriptor: None,
        return_url: None,
        cancel_url: None,
        metadata: vec![],
        mandate: None,
        created_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 1_000,
    }
}

fn subject_of(name: &str) -> Subject {
    Subject { user_id: Some(name.to_owned()), ..Subject::default() }
}

#[tokio::test]
async fn a_session_that_is_over_or_masked_begins_no_payment() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mer, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let session = session_of(mer, "asha");
    store.upkeep(Upkeep::PutCheckout(Box::new(session.clone()))).await.unwrap();
    let begin = async |merchant_id, now_ms| {
        let mut terms = terms(500, "asha", CaptureMode::Automatic);
        terms.checkout = Some(session.id);
        store.commit(work(merchant_id, now_ms, create(now_ms, terms))).await
    };
    let is_over = |result: &Result<Committed, CommitError>| {
        matches!(result, Err(CommitError::Refused(Refusal::CheckoutOver)))
    };
    assert!(begin(mer, NOW_MS + 999).await.is_ok());
    assert!(is_over(&begin(mer, NOW_MS + 1_000).await));
    assert!(is_over(&begin(other, NOW_MS).await), "another's session");
    let (payments, replies) = (vec![], vec![]);
    let wish = ErasePayments {
        merchant_id: mer,
        subject: subject_of("asha"),
        payments,
        checkouts: vec![session.id],
        replies,
    };
    store.administer(Admin::ErasePayments(Box::new(wish.clone())), By::system(NOW_MS + 5)).await.unwrap();
    let masked = store.checkout(session.id).await.unwrap().unwrap();
    assert_eq!((masked.customer, masked.expires_at_ms), (CheckoutCustomer::default(), NOW_MS));
    // Also for a payment that began before, and comes to be committed after it.
    for began_ms in [NOW_MS, NOW_MS + 4, NOW_MS + 6] {
        assert!(is_over(&begin(mer, began_ms).await), "{}", began_ms - NOW_MS);
    }
    // Once more, and later: it ended when it ended.
    store.administer(Admin::ErasePayments(Box::new(wish)), By::system(NOW_MS + 9)).await.unwrap();
    assert_eq!(store.checkout(session.id).await.unwrap().unwrap().expires_at_ms, NOW_MS);
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn a_person_is_looked_for_in_one_merchant_s_rows_page_by_page() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mer, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let mut theirs = Vec::new();
    for (merchant_id, name) in [(mer, "asha"), (mer, "ben"), (mer, "asha"), (mer, "asha"), (other, "asha")] {
        let session = session_of(merchant_id, name);
        store.upkeep(Upkeep::PutCheckout(Box::new(session.clone()))).await.unwrap();
        if (merchant_id, name) == (mer, "asha") {
            theirs.push(session.id);
        }
    }
    theirs.reverse();
    let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.checkouts_of(mer, subject_of("asha"), before, 2).await.unwrap();
        found.extend(page.sessions.iter().map(|session| session.id));
        (before, pages) = (page.next, pages + 1);
        if before.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (theirs, 2), "newest first");

    let mut begun = Vec::new();
    for (merchant_id, key) in [(mer, "a"), (mer, "b"), (other, "a")] {
        let mut commit = work(merchant_id, NOW_MS, create(NOW_MS, terms(9, "asha", CaptureMode::Automatic)));
        let key = key.to_owned();
        commit.idempotency = Some(IdempotencyStep::Begin { key, fingerprint: [1; 32] });
        begun.push(store.commit(commit).await.unwrap().payment.id);
    }
    let today = NOW_MS / 86_400_000;
    let filter = ReplyFilter { payments: begun.clone(), days: today..=today, after: None };
    let read = async |merchant_id, filter: &ReplyFilter| {
        store.remembered_replies(merchant_id, filter.clone()).await.unwrap()
    };
    let page = read(mer, &filter).await;
    let mut seen: Vec<_> = page.replies.iter().map(|(payment_id, _)| *payment_id).collect();
    seen.sort_unstable();
    assert_eq!((seen, page.next), (begun[..2].to_vec(), None));
    assert_eq!(read(other, &filter).await.replies.len(), 1);
    let yesterday = ReplyFilter { days: today - 1..=today - 1, ..filter.clone() };
    assert!(read(mer, &yesterday).await.replies.is_empty());
    let one = ReplyFilter { payments: vec![begun[0]], ..filter };
    let [(id, digest)] = read(mer, &one).await.replies[..] else {
        panic!("one reply is remembered of it");
    };
    assert_eq!(id, begun[0]);
    let place = tollgate_store::query::ReplyPlace { day: today, digest };
    assert!(read(mer, &ReplyFilter { after: Some(place), ..one }).await.replies.is_empty());
}

#[tokio::test]
async fn the_log_names_people_under_a_secret_of_the_store() {
    let (place, elsewhere) = (Place::new().await, Place::new().await);
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let card = SavedCard {
        merchant_id: mer,
        token: [7; 16],
        user_id: "asha".to_owned(),
        summary: CardSummary {
            brand: CardBrand::Visa,
            bin: "411111".to_owned(),
            last4: "1111".to_owned(),
            exp_month: 12,
            exp_year: 2040,
            network_token: true,
        },
        fingerprint: [9; 16],
        consent: Consent { given_at_ms: NOW_MS, ip: None, terms: "t".to_owned() },
        created_at_ms: NOW_MS,
    };
    let name = subject_of("asha").name(store.log_key(mer), mer);
    let customer = store.log_key(mer).name(mer, ["customer", "asha"]);
    store.administer(Admin::PutSavedCard(Box::new(card)), By::system(NOW_MS)).await.unwrap();
    let (payments, checkouts, replies) = (vec![], vec![], vec![]);
    let wish = ErasePayments { merchant_id: mer, subject: subject_of("asha"), payments, checkouts, replies };
    store.administer(Admin::ErasePayments(Box::new(wish)), By::system(NOW_MS)).await.unwrap();
    drop(store);
    let store = place.open(2).await;
    assert_eq!(subject_of("asha").name(store.log_key(mer), mer), name, "it is kept");
    let log = store.audit(0, 9).await.unwrap();
    let entry = |place: usize| &log[place].1.as_ref().unwrap().entry;
    assert!(entry(1).after().unwrap().contains(&customer), "{:?}", entry(1));
    assert_eq!(entry(2).subject().id, name);
    let other = elsewhere.open(1).await;
    assert_ne!(subject_of("asha").name(other.log_key(mer), mer), name, "every store has its own");
}

#[tokio::test]
async fn failures_are_counted_by_their_codes() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let fail = async |outcome: fn(Failure) -> Outcome, code: FailureCode| {
        let begun = store.commit(work(mer, NOW_MS, create(NOW_MS, terms(9, "u", CaptureMode::Automatic))));
        let begun = begun.await.unwrap().payment;
        let outcome = outcome(Failure::new(code, "no"));
        store.commit(work(mer, NOW_MS, settle(&begun, begun.charge_attempt_id, outcome))).await.unwrap();
    };
    fail(Outcome::Declined, FailureCode::InsufficientFunds).await;
    fail(Outcome::Declined, FailureCode::InsufficientFunds).await;
    fail(Outcome::NotTaken, FailureCode::ProcessorUnavailable).await;
    completed(store.as_ref(), mer, NOW_MS, 500, "u").await;
    drop(store);
    let store = place.open(2).await;
    let mut sum = Totals::default();
    for (_, totals) in store.totals(mer, 0, u32::MAX).await.unwrap() {
        sum.add(&totals);
    }
    let wanted = [(FailureCode::InsufficientFunds, 2), (FailureCode::ProcessorUnavailable, 1)];
    assert_eq!(sum.failures().collect::<Vec<_>>(), wanted);
    assert_clean(store.as_ref()).await;
}
