//! When the faults are over: waiting until the gateway has settled what it can, reconciling the rest with the
//! processors' reports, and the audit.

use super::client::Client;
use super::traffic::Traffic;
use crate::Failure;
use crate::commands::reconcile::{Asked, Reconciled, reconcile};
use crate::commands::verify::{Against, Checked, books_of, check};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tollgate_core::attempt::{AttemptKind, AttemptStatus};
use tollgate_core::currency::Currency;
use tollgate_core::event::Flag;
use tollgate_core::id::{PaymentId, RefundId};
use tollgate_core::money::Money;
use tollgate_core::refund::RefundStatus;
use tollgate_core::transition::PaymentStatus;
use tollgate_sim::books::{BookEntry, BookStatus};
use tollgate_store::Store;
use tollgate_store::audit::{AuditReport, AuditedPayment};

/// Payments asked about at a time.
const QUESTIONS_MAX: usize = 16;
/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(400);

/// The simulators' books by reference.
pub(super) type Books = HashMap<String, BookEntry>;

/// How waiting ended.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Open attempts that no processor ever saw.
    pub(super) unseen: usize,
    /// Open attempts whose end a processor knows: none, if all is well.
    pub(super) stuck: Vec<String>,
}

/// Waits until nothing is open but what no processor ever saw, or the patience is over.
pub(super) async fn wait(
    books: &Path,
    payments: Vec<(PaymentId, Client)>,
    patience: Duration,
) -> Result<Settled, Failure> {
    let (begun, mut left) = (Instant::now(), payments);
    loop {
        let (known, mut settled) = (Arc::new(Seen::of(&books_of(books)?)), Settled::default());
        let looks = look_at(left, &known).await;
        left = Vec::new();
        for (id, client, look) in looks {
            let Some(look) = look else {
                settled.stuck.push(format!("{id} cannot be read"));
                left.push((id, client));
                continue;
            };
            settled.unseen += look.unseen;
            if look.unseen + look.stuck.len() > 0 {
                left.push((id, client));
            }
            settled.stuck.extend(look.stuck);
        }
        if settled.stuck.is_empty() || begun.elapsed() > patience {
            return Ok(settled);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What is open of one payment.
#[derive(Debug, Default)]
struct Look {
    unseen: usize,
    stuck: Vec<String>,
}

async fn look_at(
    payments: Vec<(PaymentId, Client)>,
    seen: &Arc<Seen>,
) -> Vec<(PaymentId, Client, Option<Look>)> {
    let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
    let mut questions = JoinSet::new();
    for (id, client) in payments {
        let (seen, places) = (Arc::clone(seen), Arc::clone(&places));
        questions.spawn(async move {
            let _place = places.acquire_owned().await;
            let answer = client.get(&format!("/api/v1/payments/{id}?expand=attempts")).await;
            let look = answer.filter(|answer| answer.status == 200).map(|answer| seen.look(&answer.body));
            (id, client, look)
        });
    }
    let mut looks = Vec::new();
    while let Some(look) = questions.join_next().await {
        looks.extend(look.ok());
    }
    looks
}

/// What the processors have seen.
#[derive(Debug)]
struct Seen {
    charges: HashSet<String>,
    refunds: HashSet<String>,
}

impl Seen {
    fn of(books: &Books) -> Self {
        let refunds =
            books.values().flat_map(|entry| &entry.refunds).map(|it| it.reference.clone()).collect();
        // An order nobody has tried to pay is no charge.
        let asked_for = books.values().filter(|entry| entry.status != BookStatus::Created);
        Self { charges: asked_for.map(|entry| entry.reference.clone()).collect(), refunds }
    }

    /// Goes through a payment's attempts as the API shows them.
    fn look(&self, payment: &Value) -> Look {
        let mut look = Look::default();
        let attempts = || payment["attempts"].as_array().into_iter().flatten();
        let count = |kind: &str, status: &str| {
            attempts().filter(|it| it["kind"] == kind && it["status"] == status).count()
        };
        // What is under way is seen below.
        if count("charge", "late_success") > count("return", "succeeded") + count("return", "open") {
            look.stuck.push(format!("{}: late money, and nobody sends it back", payment["id"]));
        }
        for attempt in attempts() {
            let text = |name: &str| attempt[name].as_str().unwrap_or_default();
            if !matches!(text("status"), "open" | "abandoned") {
                continue;
            }
            let seen = match text("kind") {
                "charge" => self.charges.contains(text("reference")),
                "refund" | "return" => self.refunds.contains(text("reference")),
                // Shows in the charge, which is there.
                _ => true,
            };
            if seen {
                let (kind, processor) = (text("kind"), text("processor"));
                let id = payment["id"].as_str().unwrap_or_default();
                look.stuck.push(format!("{id}: {kind} {} at {processor}", text("reference")));
            } else {
                look.unseen += 1;
            }
        }
        look
    }
}

/// Settles what is open by the complete report of each processor; what was said, a line each.
pub(super) async fn reconcile_all(
    store: &dyn Store,
    books: &Books,
    processors: &[&'static str],
    folder: &Path,
) -> Result<Vec<String>, Failure> {
    let made_until_ms = tollgate_engine::clock::Clock::System.now_ms();
    let mut said = Vec::new();
    for processor in processors {
        let report = report_of(books, processor)?;
        std::fs::write(folder.join(format!("{processor}.csv")), &report)?;
        let asked = Asked::of_everything(processor, made_until_ms);
        match reconcile(store, report.as_bytes(), &asked).await? {
            Reconciled::Done(summary) => {
                std::fs::write(folder.join(format!("{processor}.reconciled")), summary.to_string())?;
                let last = summary.to_string();
                said.push(format!("{processor}: {}", last.lines().last().unwrap_or_default()));
            }
            Reconciled::Refused(bad) => {
                let first = bad.first().map(ToString::to_string).unwrap_or_default();
                return Err(format!("the report of {processor} cannot be used: {first}").into());
            }
        }
    }
    Ok(said)
}

/// A simulator's books as the report a processor would give.
fn report_of(books: &Books, processor: &str) -> Result<String, Failure> {
    let mut report = "reference,processor_payment_id,status,amount\n".to_owned();
    for entry in books.values().filter(|entry| entry.processor == processor) {
        let currency: Currency =
            entry.currency.parse().map_err(|_| "a currency that is none in the books")?;
        let major = |minor| Money::new(minor, currency).to_major_text();
        let (status, amount_minor) = match entry.status {
            BookStatus::Created => ("created", entry.amount_minor),
            BookStatus::Pending => ("pending", entry.amount_minor),
            BookStatus::Authorized => ("authorized", entry.amount_minor),
            BookStatus::Captured => ("captured", entry.captured_minor),
            BookStatus::Failed => ("failed", entry.amount_minor),
            BookStatus::Voided => ("voided", entry.amount_minor),
        };
        let (reference, id) = (&entry.reference, &entry.processor_payment_id);
        writeln!(report, "{reference},{id},{status},{}", major(amount_minor))?;
        for refund in &entry.refunds {
            let status = match refund.status.as_str() {
                "processed" => "refunded",
                other => other,
            };
            let (reference, id) = (&refund.reference, &refund.processor_refund_id);
            writeln!(report, "{reference},{id},{status},{}", major(refund.amount_minor))?;
        }
    }
    Ok(report)
}

/// Counts over all payments.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) by_status: BTreeMap<&'static str, u64>,
    pub(super) refunds: BTreeMap<&'static str, u64>,
    /// Charges that went to another processor after one took nothing.
    pub(super) failovers: u64,
    /// Payments whose money came after their end.
    pub(super) late: u64,
    /// Payments of which a processor refused to send late money back, once at least.
    pub(super) returns_refused: u64,
}

/// The audit of `tollgate verify`, with nothing open; and no customer out of pocket.
pub(super) async fn audit(
    store: &dyn Store,
    books: Books,
    traffic: &Traffic,
) -> Result<(Checked, Tally), Failure> {
    let (acknowledged, mut refunds) = traffic.promises();
    let against = Against { books: Some(books.clone()), acknowledged, nothing_open: true };
    let mut tally = Tally::default();
    let mut checked = check(store, against, &mut |audited, report| {
        tally.see(audited, &books, report);
        see_refunds(audited, &mut refunds, report);
    })
    .await?;
    for (id, status) in refunds {
        checked.report.problem(|| format!("{id}: acknowledged as {status} and lost"));
    }
    Ok((checked, tally))
}

/// A refund that was answered for is there, and a done one is still done.
fn see_refunds(audited: &AuditedPayment, promised: &mut HashMap<RefundId, String>, report: &mut AuditReport) {
    for refund in &audited.refunds {
        if let Some(status) = promised.remove(&refund.id)
            && status != RefundStatus::Pending.as_str()
            && status != refund.status.as_str()
        {
            report.problem(|| format!("{}: acknowledged as {status}, now {:?}", refund.id, refund.status));
        }
    }
}

impl Tally {
    fn see(&mut self, audited: &AuditedPayment, books: &Books, report: &mut AuditReport) {
        let payment = &audited.payment;
        *self.by_status.entry(payment.status.as_str()).or_default() += 1;
        for refund in &audited.refunds {
            *self.refunds.entry(refund.status.as_str()).or_default() += 1;
        }
        let charges: Vec<_> = audited.attempts.iter().filter(|it| it.kind == AttemptKind::Charge).collect();
        self.failovers += u64::try_from(charges.len().saturating_sub(1)).unwrap_or(0);
        let entries = charges.iter().filter_map(|it| books.get(&it.id.reference()));
        let kept = entries.filter(|entry| entry.captured_minor > entry.refunded_minor).count();
        if kept > 1 {
            report.problem(|| format!("{}: {kept} processors took money and kept it", payment.id));
        }
        for charge in charges.iter().filter(|it| it.status == AttemptStatus::Open) {
            report.problem(|| format!("{}: charge {} is open after all", payment.id, charge.id));
        }
        self.late += u64::from(!payment.late.is_empty());
        // Only a customer who was given up may still pay: whoever else was said to have paid nothing has not.
        if !payment.late.is_empty()
            && !matches!(payment.status, PaymentStatus::Cancelled | PaymentStatus::Expired)
        {
            let status = payment.status.as_str();
            report.problem(|| format!("{}: {status}, and money came after all", payment.id));
        }
        // Waiting has given every return its time, and those that were refused another one.
        if payment.late.iter().any(|late| late.left_minor > 0 && late.open_return.is_none()) {
            report.problem(|| format!("{}: late money has not gone back", payment.id));
        }
        self.returns_refused += u64::from(payment.flags.contains(&Flag::ReturnFailed));
    }
}
