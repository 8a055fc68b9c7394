//! Auditing a store: everything that is derived is derived again and compared.
//!
//! Works on any [`Store`]: it reads through the trait alone. Memory is bounded by the number of
//! open attempts, accounts and totals rows, not by the number of payments.

use crate::Store;
use crate::error::StoreError;
use crate::query::PaymentFilter;
use futures_util::StreamExt;
use std::collections::{BTreeMap, HashMap, HashSet};
use tollgate_core::attempt::{Attempt, AttemptKind, AttemptStatus};
use tollgate_core::currency::Currency;
use tollgate_core::event::{EventRecord, PaymentEvent};
use tollgate_core::id::{AttemptId, MerchantId};
use tollgate_core::ledger::{self, Account, Balance, Posting, Side};
use tollgate_core::payment::Payment;
use tollgate_core::refund::{Refund, RefundStatus};
use tollgate_core::totals::{Totals, TotalsKey};

/// Most problems that are described; all are counted.
const DESCRIBED_MAX: usize = 200;

/// Payments listed at once.
const PAGE: usize = 1_000;

/// Payments of which the rest is read at the same time: a database far away answers many questions as fast as one.
const AT_ONCE: usize = 16;

/// What an audit found.
#[derive(Debug, Default)]
pub struct AuditReport {
    /// Merchants read.
    pub merchants: u64,
    /// Payments read.
    pub payments: u64,
    /// Attempts read.
    pub attempts: u64,
    /// Of these, not settled, or given up and not yet ended by the processor.
    pub open_attempts: u64,
    /// Refunds read.
    pub refunds: u64,
    /// Ledger postings read.
    pub postings: u64,
    /// Events read.
    pub events: u64,
    /// Number of problems.
    pub problem_count: u64,
    /// The first problems, described.
    pub problems: Vec<String>,
}

impl AuditReport {
    /// Notes a problem.
    pub fn problem(&mut self, text: impl FnOnce() -> String) {
        self.problem_count += 1;
        if self.problems.len() < DESCRIBED_MAX {
            self.problems.push(text());
        }
    }
}

/// A payment with everything that hangs on it, as the audit read it.
#[derive(Debug)]
pub struct AuditedPayment {
    /// The payment.
    pub payment: Payment,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Its refunds, oldest first.
    pub refunds: Vec<Refund>,
}

type Balances = BTreeMap<(Currency, Account), Balance>;

/// Audits a whole store. `each` is handed every payment that was read.
///
/// # Errors
/// A row that cannot be read at all.
pub async fn audit(
    store: &dyn Store,
    each: &mut (dyn FnMut(&AuditedPayment, &mut AuditReport) + Send),
) -> Result<AuditReport, StoreError> {
    let mut report = AuditReport::default();
    let mut open = HashSet::new();
    for merchant in store.merchants().await? {
        report.merchants += 1;
        audit_merchant(store, merchant.id, &mut report, &mut open, each).await?;
    }
    audit_open_index(store, &mut report, &open).await?;
    audit_outbox(store, &mut report).await?;
    Ok(report)
}

async fn audit_merchant(
    store: &dyn Store,
    merchant_id: MerchantId,
    report: &mut AuditReport,
    open: &mut HashSet<AttemptId>,
    each: &mut (dyn FnMut(&AuditedPayment, &mut AuditReport) + Send),
) -> Result<(), StoreError> {
    let mut balances = Balances::new();
    let mut totals: HashMap<TotalsKey, Totals> = HashMap::new();
    let mut filter = PaymentFilter { limit: PAGE, ..PaymentFilter::default() };
    loop {
        let page = store.payments(merchant_id, filter.clone()).await?;
        let whole = page.payments.into_iter().map(|payment| read_whole(store, payment));
        let mut whole = futures_util::stream::iter(whole).buffered(AT_ONCE);
        while let Some(read) = whole.next().await {
            let Read { audited, history, postings, missing } = read?;
            totals.entry(TotalsKey::of(&audited.payment)).or_default().move_payment(None, &audited.payment);
            for problem in missing {
                report.problem(|| problem);
            }
            audit_payment(&audited, &history, &postings, report, &mut balances);
            let still_open = audited.attempts.iter().filter(|attempt| attempt.status.is_watched());
            open.extend(still_open.map(|attempt| attempt.id));
            each(&audited, report);
        }
        match page.next {
            Some(next) => filter.before = Some(next),
            None => break,
        }
    }
    audit_balances(store, merchant_id, report, &balances).await?;
    audit_totals(store, merchant_id, report, totals).await
}

/// What the store holds of a payment.
struct Read {
    audited: AuditedPayment,
    history: Vec<EventRecord>,
    postings: Vec<Posting>,
    /// What the payment names and the store does not hold.
    missing: Vec<String>,
}

async fn read_whole(store: &dyn Store, payment: Payment) -> Result<Read, StoreError> {
    let mut missing = Vec::new();
    let history = store.history(payment.merchant_id, payment.id).await?;
    let postings = store.postings(payment.merchant_id, payment.id).await?;
    let mut attempts = Vec::with_capacity(payment.attempts.len());
    for id in &payment.attempts {
        match store.attempt(*id).await? {
            Some(attempt) => attempts.push(attempt),
            None => missing.push(format!("{}: attempt {id} is missing", payment.id)),
        }
    }
    let mut refunds = Vec::with_capacity(payment.refunds.len());
    for id in &payment.refunds {
        match store.refund(payment.merchant_id, *id).await? {
            Some(refund) => refunds.push(refund),
            None => missing.push(format!("{}: refund {id} is missing", payment.id)),
        }
    }
    Ok(Read { audited: AuditedPayment { payment, attempts, refunds }, history, postings, missing })
}

fn audit_payment(
    audited: &AuditedPayment,
    history: &[EventRecord],
    postings: &[Posting],
    report: &mut AuditReport,
    balances: &mut Balances,
) {
    let payment = &audited.payment;
    let id = payment.id;
    report.payments += 1;
    report.attempts += audited.attempts.len() as u64;
    report.refunds += audited.refunds.len() as u64;
    report.postings += postings.len() as u64;
    report.events += history.len() as u64;
    if let Err(error) = payment.check_limits() {
        report.problem(|| format!("{id}: {error}"));
    }
    audit_history(audited, history, postings, report);
    for posting in postings {
        if !posting.is_balanced() {
            report.problem(|| format!("{id}: a posting does not balance"));
        }
        for entry in posting.entries() {
            let balance = balances.entry((posting.currency, entry.account.clone())).or_default();
            // Postings are read in no order of time across payments: only the sums are compared.
            match entry.side {
                Side::Debit => balance.debits_minor += i128::from(entry.amount_minor),
                Side::Credit => balance.credits_minor += i128::from(entry.amount_minor),
            }
        }
    }
    audit_refunds(audited, report);
    audit_attempts(audited, report);
}

/// The history replays to the payment, its attempts and its postings.
fn audit_history(
    audited: &AuditedPayment,
    history: &[EventRecord],
    postings: &[Posting],
    report: &mut AuditReport,
) {
    let payment = &audited.payment;
    let id = payment.id;
    let mut replayed: Option<Payment> = None;
    let mut booked = Vec::with_capacity(postings.len());
    let mut statuses: HashMap<AttemptId, AttemptStatus> = HashMap::new();
    for (place, record) in history.iter().enumerate() {
        if usize::try_from(record.version).ok() != Some(place + 1) || record.payment_id != id {
            return report.problem(|| format!("{id}: the history has a gap at {}", place + 1));
        }
        let applied = match replayed.take() {
            None => Payment::begin(id, payment.merchant_id, &record.event, record.at_ms),
            Some(mut payment) => payment.apply(&record.event, record.at_ms).map(|()| payment),
        };
        let after = match applied {
            Ok(after) => after,
            Err(error) => return report.problem(|| format!("{id}: event {}: {error}", place + 1)),
        };
        match ledger::posting(&after, &record.event, record.at_ms) {
            Ok(posting) => booked.extend(posting),
            Err(error) => report.problem(|| format!("{id}: event {}: {error}", place + 1)),
        }
        if let Some(update) = record.event.attempt_update() {
            statuses.insert(update.attempt_id, update.status);
        }
        if let Some((start, _)) = record.event.started_attempt() {
            statuses.insert(start.id, AttemptStatus::Open);
        }
        replayed = Some(after);
    }
    if replayed.as_ref() != Some(payment) {
        report.problem(|| format!("{id}: the history does not replay to the payment"));
    }
    if booked != postings {
        report.problem(|| format!("{id}: the history does not book what the ledger holds"));
    }
    for attempt in &audited.attempts {
        if statuses.get(&attempt.id) != Some(&attempt.status) {
            report.problem(|| {
                format!("{id}: attempt {} is {:?}, its history differs", attempt.id, attempt.status)
            });
        }
    }
}

fn audit_refunds(audited: &AuditedPayment, report: &mut AuditReport) {
    let payment = &audited.payment;
    let sum = |status: RefundStatus| -> i64 {
        let of_status = audited.refunds.iter().filter(|refund| refund.status == status);
        of_status.map(|refund| refund.amount.minor).sum()
    };
    if sum(RefundStatus::Succeeded) != payment.refunded_minor
        || sum(RefundStatus::Pending) != payment.refund_pending_minor
    {
        report.problem(|| format!("{}: the refunds do not add up", payment.id));
    }
}

/// An attempt is open exactly when the payment waits for it.
fn audit_attempts(audited: &AuditedPayment, report: &mut AuditReport) {
    let payment = &audited.payment;
    for attempt in &audited.attempts {
        if attempt.payment_id != payment.id || attempt.merchant_id != payment.merchant_id {
            report.problem(|| format!("{}: attempt {} belongs elsewhere", payment.id, attempt.id));
        }
        let waited_for = match attempt.kind {
            AttemptKind::Charge | AttemptKind::Capture | AttemptKind::Void => {
                payment.open_operation.as_ref().is_some_and(|open| open.attempt_id == attempt.id)
            }
            AttemptKind::Refund => audited
                .refunds
                .iter()
                .any(|refund| refund.attempt_id == attempt.id && refund.status == RefundStatus::Pending),
            AttemptKind::Return => payment.late.iter().any(|late| late.open_return == Some(attempt.id)),
        };
        if waited_for != (attempt.status == AttemptStatus::Open) {
            report.problem(|| {
                format!(
                    "{}: attempt {} is {:?}, the payment thinks otherwise",
                    payment.id, attempt.id, attempt.status
                )
            });
        }
    }
}

async fn audit_balances(
    store: &dyn Store,
    merchant_id: MerchantId,
    report: &mut AuditReport,
    summed: &Balances,
) -> Result<(), StoreError> {
    let kept: Balances = store
        .balances(merchant_id)
        .await?
        .into_iter()
        .map(|(currency, account, balance)| ((currency, account), balance))
        .collect();
    if kept != *summed {
        report.problem(|| format!("{merchant_id}: the balances are not the sums of the ledger"));
    }
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for ((currency, account), balance) in &kept {
        *sums.entry(*currency).or_default() += balance.debits_minor - balance.credits_minor;
        if balance.on(account.normal_side()) < 0 {
            report.problem(|| format!("{merchant_id}: {} is below zero", account.name()));
        }
    }
    for (currency, _) in sums.iter().filter(|(_, sum)| **sum != 0) {
        report.problem(|| format!("{merchant_id}: debits and credits of {currency} differ"));
    }
    Ok(())
}

async fn audit_totals(
    store: &dyn Store,
    merchant_id: MerchantId,
    report: &mut AuditReport,
    counted: HashMap<TotalsKey, Totals>,
) -> Result<(), StoreError> {
    let kept: HashMap<TotalsKey, Totals> =
        store.totals(merchant_id, 0, u32::MAX).await?.into_iter().collect();
    if kept != counted {
        report.problem(|| format!("{merchant_id}: the running totals are not the payments' sums"));
    }
    let days = |totals: &mut dyn Iterator<Item = (TotalsKey, Totals)>| {
        let mut days: HashMap<TotalsKey, Totals> = HashMap::new();
        for (key, totals) in totals {
            days.entry(TotalsKey { hour: key.hour / 24, ..key }).or_default().add(&totals);
        }
        days
    };
    let by_day = store.totals_by_day(merchant_id, 0, u32::MAX).await?;
    if days(&mut by_day.into_iter()) != days(&mut kept.into_iter()) {
        report.problem(|| format!("{merchant_id}: the totals of days are not the sums of their hours"));
    }
    Ok(())
}

async fn audit_open_index(
    store: &dyn Store,
    report: &mut AuditReport,
    open: &HashSet<AttemptId>,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = store.open_attempts(after, PAGE).await?;
        let Some(last) = page.last().map(|attempt| attempt.id) else {
            break;
        };
        for attempt in page {
            report.open_attempts += 1;
            if !open.contains(&attempt.id) {
                report.problem(|| format!("{} is listed as open and is not", attempt.id));
            }
        }
        after = Some(last);
    }
    if report.open_attempts != open.len() as u64 {
        let listed = report.open_attempts;
        report.problem(|| format!("{listed} attempts are listed as open, {} are", open.len()));
    }
    Ok(())
}

/// The outbox has every event once, without a gap. Of several logs only the order is looked at: a merchant that was
/// moved leaves gaps behind, and brings its history without entering it again.
async fn audit_outbox(store: &dyn Store, report: &mut AuditReport) -> Result<(), StoreError> {
    for log in 0..store.logs() {
        audit_log(store, log, report).await?;
    }
    Ok(())
}

async fn audit_log(store: &dyn Store, log: u16, report: &mut AuditReport) -> Result<(), StoreError> {
    let is_only = store.logs() == 1;
    let mut last = 0;
    let mut created = 0_u64;
    loop {
        let page = store.outbox_of(log, last, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for record in page {
            if record.sequence <= last || (is_only && record.sequence != last + 1) {
                report.problem(|| format!("the outbox has a gap before {}", record.sequence));
            }
            let begins = matches!(record.event, PaymentEvent::Created { .. } | PaymentEvent::Blocked { .. });
            created += u64::from(begins);
            last = record.sequence;
        }
    }
    if is_only && (last != report.events || created != report.payments) {
        let (events, payments) = (report.events, report.payments);
        report.problem(|| {
            format!(
                "the outbox has {last} events of {created} payments, the histories {events} of {payments}"
            )
        });
    }
    Ok(())
}
