//! `tollgate reconcile`: settles open attempts by a processor's complete transaction report, in a store that
//! no server has open.
//!
//! An enquiry that finds nothing proves nothing, because the request may still be on its way. A complete
//! report of a time that is over does: what is not in it was not taken. `docs/reconciliation.md` tells when a
//! report is complete.

pub(crate) mod report;
mod verdict;

use crate::Failure;
use crate::config::Config;
use crate::operator::by;
use crate::store::open_present;
use report::Row;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use tollgate_core::attempt::{Attempt, AttemptKind, ProcessorName};
use tollgate_core::command::Command;
use tollgate_core::event::PaymentEvent;
use tollgate_core::id::{AttemptId, EventId, MerchantId};
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_engine::clock::Clock;
use tollgate_engine::ids;
use tollgate_store::Store;
use tollgate_store::commit::{Admin, Commit, Told};
use verdict::{Coverage, Open, Verdict, verdict};

/// Attempts read at once.
const PAGE: usize = 1_000;

/// Most open attempts that are held at once; a run settles these, the next run the rest.
const OPEN_MAX: usize = 1_000_000;

/// Most bad lines that are described; one is enough to do nothing.
const DESCRIBED_MAX: usize = 100;

/// What the report is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The processor's account, as the configuration names it.
    #[arg(long)]
    processor: String,
    /// The report: CSV with the columns reference, processor_payment_id, status and amount.
    #[arg(long)]
    report: PathBuf,
    /// Until when the report has everything, such as 2026-03-31T18:30:00Z.
    #[arg(long)]
    complete_until: jiff::Timestamp,
    /// How much older than that an attempt must be: its request may have been under way for so long.
    #[arg(long, default_value_t = 900)]
    grace_s: u64,
    /// The report lists refunds too: a refund that is not in it was not made.
    #[arg(long)]
    covers_refunds: bool,
    /// The report is of this merchant's own account there, not of the gateway's: merchant id, `mer_…`.
    #[arg(long)]
    merchant: Option<MerchantId>,
    /// Tell what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let now_ms = Clock::System.now_ms();
    let complete_until_ms =
        u64::try_from(args.complete_until.as_millisecond()).map_err(|_| "--complete-until is before 1970")?;
    if complete_until_ms > now_ms {
        return Err("--complete-until is in the future: no report can be complete until then".into());
    }
    let named = |error| format!("{}: {error}", args.report.display());
    let file = std::fs::File::open(&args.report).map_err(named)?;
    let store = open_present(&config).await?;
    let store = store.as_ref();
    let asked = Asked {
        processor: &args.processor,
        coverage: Coverage {
            made_until_ms: complete_until_ms.saturating_sub(args.grace_s.saturating_mul(1_000)),
            refunds: args.covers_refunds,
        },
        merchant_id: args.merchant,
        dry_run: args.dry_run,
    };
    if !args.dry_run {
        let said = serde_json::json!({
            "complete_until_ms": complete_until_ms, "covers_refunds": args.covers_refunds,
            "grace_s": args.grace_s,
        });
        tell(store, ("processor.reconciled", "processor", args.processor.clone()), args.merchant, said)
            .await?;
    }
    match reconcile(store, std::io::BufReader::new(file), &asked).await? {
        Reconciled::Refused(bad) => {
            for line in bad.iter().take(DESCRIBED_MAX) {
                eprintln!("{}: {line}", args.report.display());
            }
            Err(format!("{} lines cannot be used; nothing was done", bad.len()).into())
        }
        Reconciled::Done(summary) => {
            print!("{summary}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What is to be reconciled with a report.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The processor's account.
    pub(crate) processor: &'a str,
    /// What the report proves.
    pub(crate) coverage: Coverage,
    /// Whose own account it is; none: the gateway's. A report proves nothing of what went through another account.
    pub(crate) merchant_id: Option<MerchantId>,
    /// Whether nothing is to be done.
    pub(crate) dry_run: bool,
}

impl<'a> Asked<'a> {
    /// A report of everything, refunds too, that was made until a moment.
    pub(crate) fn of_everything(processor: &'a str, made_until_ms: u64) -> Self {
        let coverage = Coverage { made_until_ms, refunds: true };
        Self { processor, coverage, merchant_id: None, dry_run: false }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Reconciled {
    /// The report has lines that cannot be used. Nothing was done.
    Refused(Vec<report::BadLine>),
    /// Every open attempt was looked for.
    Done(Summary),
}

/// One open attempt and what the report says about it.
#[derive(Debug)]
struct Finding {
    attempt: Attempt,
    text: String,
    /// What is or would be booked; none: it stays open.
    outcome: Option<Outcome>,
}

/// What was done, and what was left open and why; displayed for a person.
#[derive(Debug)]
pub(crate) struct Summary {
    findings: Vec<Finding>,
    dry_run: bool,
}

impl Summary {
    /// Attempts that were settled.
    pub(crate) fn settled(&self) -> usize {
        self.findings.iter().filter(|finding| finding.outcome.is_some()).count()
    }

    /// Attempts that were left open.
    pub(crate) fn left(&self) -> usize {
        self.findings.len() - self.settled()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for Finding { attempt, text, outcome } in &self.findings {
            let name = outcome.as_ref().map_or("left open", name_of);
            writeln!(
                f,
                "{} {} {}: {text}: {name}",
                attempt.payment_id,
                attempt.kind.as_str(),
                attempt.id.reference()
            )?;
            if outcome.is_some() {
                *kinds.entry(name).or_default() += 1;
            }
        }
        let kinds: Vec<String> = kinds.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let settled = if self.dry_run { "would be settled" } else { "settled" };
        writeln!(f, "{} {settled}{kinds}, {} left open", self.settled(), self.left())
    }
}

const fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Authorized { .. } => "authorized",
        Outcome::Captured { .. } => "captured",
        Outcome::Voided => "voided",
        Outcome::Refunded { .. } => "refunded",
        Outcome::Declined(_) => "declined",
        _ => "not taken",
    }
}

/// Settles what is open at a processor by its report.
///
/// All lines are read and all verdicts are made before anything is booked.
pub(crate) async fn reconcile(
    store: &dyn Store,
    report: impl BufRead,
    asked: &Asked<'_>,
) -> Result<Reconciled, Failure> {
    let open = open_at(store, asked).await?;
    let wanted: HashSet<AttemptId> = open.iter().map(|(payment, attempt)| row_of(payment, attempt)).collect();
    let rows: HashMap<AttemptId, Row> = match report::read(report, &wanted)? {
        Ok(rows) => rows,
        Err(bad) => return Ok(Reconciled::Refused(bad)),
    };
    let mut bad = Vec::new();
    let mut verdicts = Vec::with_capacity(open.len());
    for (payment, attempt) in open {
        let row = rows.get(&row_of(&payment, &attempt));
        match verdict(Open::of(&payment, &attempt), row, asked.coverage) {
            Ok(verdict) => verdicts.push((payment, attempt, verdict)),
            Err(line) => bad.push(line),
        }
    }
    if !bad.is_empty() {
        return Ok(Reconciled::Refused(bad));
    }
    let mut findings = Vec::with_capacity(verdicts.len());
    for (payment, attempt, Verdict { text, outcome }) in verdicts {
        let mut text = text;
        if let Some(outcome) = outcome.clone().filter(|_| !asked.dry_run) {
            let said = serde_json::json!({"attempt": attempt.id.reference(), "outcome": name_of(&outcome)});
            let payment_id = payment.id.to_string();
            tell(store, ("payment.reconciled", "payment", payment_id), Some(payment.merchant_id), said)
                .await?;
            if settle(store, &payment, &attempt, outcome).await? {
                text.push_str(", taken after the payment's end and to be given back");
            }
        }
        findings.push(Finding { attempt, text, outcome });
    }
    Ok(Reconciled::Done(Summary { findings, dry_run: asked.dry_run }))
}

/// Under which reference a report tells about an attempt: captures and releases show in the charge's row.
fn row_of(payment: &Payment, attempt: &Attempt) -> AttemptId {
    match attempt.kind {
        AttemptKind::Capture | AttemptKind::Void => payment.charge_attempt_id,
        AttemptKind::Charge | AttemptKind::Refund | AttemptKind::Return => attempt.id,
    }
}

/// What is done by the report is told in the audit log first.
async fn tell(
    store: &dyn Store,
    (action, kind, id): (&'static str, &'static str, String),
    merchant_id: Option<MerchantId>,
    said: serde_json::Value,
) -> Result<(), Failure> {
    let told = Told { action, kind, id, merchant_id, said };
    Ok(store.administer(Admin::Told(Box::new(told)), by()).await?)
}

/// Whether a payment went through the account that the report is of.
fn is_reported(payment: &Payment, asked: &Asked<'_>) -> bool {
    let own = payment.own_account_at(&ProcessorName::new(asked.processor)).is_some();
    match asked.merchant_id {
        None => !own,
        Some(merchant_id) => own && payment.merchant_id == merchant_id,
    }
}

async fn open_at(store: &dyn Store, asked: &Asked<'_>) -> Result<Vec<(Payment, Attempt)>, Failure> {
    let (mut after, mut open) = (None, Vec::new());
    loop {
        let page = store.open_attempts(after, PAGE).await?;
        let Some(last) = page.last().map(|attempt| attempt.id) else {
            return Ok(open);
        };
        for attempt in page.into_iter().filter(|attempt| attempt.processor.as_str() == asked.processor) {
            let payment = store.payment(attempt.merchant_id, attempt.payment_id).await?;
            let payment = payment.ok_or_else(|| format!("{} has no payment: run verify", attempt.id))?;
            if is_reported(&payment, asked) {
                open.push((payment, attempt));
            }
            if open.len() >= OPEN_MAX {
                return Ok(open);
            }
        }
        after = Some(last);
    }
}

/// Books an outcome. Whether it was money that came after the payment's end.
async fn settle(
    store: &dyn Store,
    payment: &Payment,
    attempt: &Attempt,
    outcome: Outcome,
) -> Result<bool, Failure> {
    let (parts, now_ms) = ids::fresh(&Clock::System, payment.merchant_id.bucket());
    let command = Command::Settle { payment_id: payment.id, attempt_id: attempt.id, outcome, next: None };
    let committed = store
        .commit(Box::new(Commit {
            merchant_id: payment.merchant_id,
            now_ms,
            event_id: EventId::from_parts(parts),
            command: Some(command),
            idempotency: None,
            message: None,
        }))
        .await?;
    let event = committed.event.as_ref().map(|record| &record.event);
    Ok(matches!(event, Some(PaymentEvent::LateSuccess { .. })))
}
