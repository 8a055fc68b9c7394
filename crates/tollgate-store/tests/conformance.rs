//! What every store must do: runs on the embedded store, and on PostgreSQL when `TOLLGATE_TEST_POSTGRES` names a
//! server (`scripts/postgres`). What the tests share is here; they are in `conformance_parts`, by subject.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

#[path = "conformance_parts/checkout.rs"]
mod checkout;
#[path = "conformance_parts/clients.rs"]
mod clients;
#[path = "conformance_parts/customers.rs"]
mod customers;
#[path = "conformance_parts/damage.rs"]
mod damage;
#[path = "conformance_parts/fraud.rs"]
mod fraud;
#[path = "conformance_parts/payments.rs"]
mod payments;
#[path = "conformance_parts/people.rs"]
mod people;
#[path = "conformance_parts/repeats.rs"]
mod repeats;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::audit::By;
use tollgate_core::command::Command;
use tollgate_core::currency::Currency;
use tollgate_core::event::PaymentTerms;
use tollgate_core::id::{AttemptId, EventId, IdParts, MerchantId, PaymentId, RefundId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;
use tollgate_store::Store;
use tollgate_store::audit::audit;
use tollgate_store::commit::{Admin, Commit, Committed, StoredReply};

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

fn terms(amount_minor: i64, user: &str, capture: CaptureMode) -> Arc<PaymentTerms> {
    Arc::new(PaymentTerms {
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

fn work(merchant_id: MerchantId, now_ms: u64, command: Command) -> Box<Commit> {
    let event_id = EventId::from_parts(parts(now_ms));
    Box::new(Commit {
        merchant_id,
        now_ms,
        event_id,
        command: Some(command),
        idempotency: None,
        message: None,
    })
}

fn create(now_ms: u64, terms: Arc<PaymentTerms>) -> Command {
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
    StoredReply { status: 201, body: body.into_bytes().into() }
}
