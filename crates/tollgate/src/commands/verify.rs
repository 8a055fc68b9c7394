//! `tollgate verify`: audits a store and, given the simulators' books, compares both sides to the
//! last minor unit.

use crate::Failure;
use crate::config::Config;
use crate::store::open_present;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tollgate_core::attempt::{Attempt, AttemptKind, AttemptStatus};
use tollgate_core::id::PaymentId;
use tollgate_core::method::CaptureMode;
use tollgate_sim::books::{BookEntry, BookStatus, read_dir};
use tollgate_sim::load::{AckLine, parse_ack_line};
use tollgate_store::Store;
use tollgate_store::audit::{AuditReport, AuditedPayment, audit};
use tollgate_store::postgres::runs_at_work;

/// What to compare with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of the store; default: the configured one.
    #[arg(long)]
    store: Option<PathBuf>,
    /// Folder of the simulators' books.
    #[arg(long)]
    books: Option<PathBuf>,
    /// File of acknowledged payments, as `tollgate load --ack-log` writes it.
    #[arg(long)]
    acknowledged: Option<PathBuf>,
    /// Treat attempts that are still open as problems even if the processor never saw them.
    #[arg(long)]
    nothing_open: bool,
}

/// What the comparison with the processors' books found.
#[derive(Debug, Default)]
struct Comparison {
    /// Attempts that are open though the processor's books know their end.
    stuck: u64,
    /// Open attempts the processor never saw: honest unknowns, asked about further.
    unseen: u64,
}

/// Runs it.
pub(crate) async fn run(mut config: Config, args: Args) -> Result<ExitCode, Failure> {
    if let Some(folder) = args.store {
        config.store.in_folder(folder);
    }
    let books = args.books.as_deref().map(books_of).transpose()?;
    let acknowledged = match &args.acknowledged {
        None => HashMap::new(),
        Some(file) => read_acknowledged(file)?,
    };
    if config.store.is_postgres() {
        warn_of_servers(&config).await?;
    }
    let store = open_present(&config).await?;
    let against = Against { books, acknowledged, nothing_open: args.nothing_open };
    let checked = check(store.as_ref(), against, &mut |_, _| {}).await?;
    print!("{checked}");
    Ok(if checked.report.problem_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The audit reads payment by payment: what changes meanwhile can look wrong.
async fn warn_of_servers(config: &Config) -> Result<(), Failure> {
    let count = runs_at_work(&config.store.postgres(config.policy())?).await?;
    if count > 0 {
        eprintln!(
            "{count} servers or commands were at work on this database just now: what changes while it is read can look wrong"
        );
    }
    Ok(())
}

/// What a store is compared with.
#[derive(Debug, Default)]
pub(crate) struct Against {
    /// The simulators' books by reference.
    pub(crate) books: Option<HashMap<String, BookEntry>>,
    /// The payments whose callers were answered.
    pub(crate) acknowledged: HashMap<PaymentId, AckLine>,
    /// Whether an attempt that is still open is a problem even if the processor never saw it.
    pub(crate) nothing_open: bool,
}

/// What an audit and its comparison found; displayed as the command prints it.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The audit.
    pub(crate) report: AuditReport,
    /// The comparison with the processors' books, if there were any.
    comparison: Option<Comparison>,
    /// How many acknowledged payments were looked for.
    acknowledged: usize,
}

/// The simulators' books in a folder, by reference.
pub(crate) fn books_of(folder: &Path) -> Result<HashMap<String, BookEntry>, Failure> {
    let entries = read_dir(folder)?;
    let count = entries.len();
    let books: HashMap<String, BookEntry> =
        entries.into_iter().map(|entry| (entry.reference.clone(), entry)).collect();
    if books.len() != count {
        return Err("the simulators' books name a reference twice".into());
    }
    Ok(books)
}

/// Audits a store and compares it; `see` is handed every payment as well.
pub(crate) async fn check(
    store: &dyn Store,
    mut against: Against,
    see: &mut (dyn FnMut(&AuditedPayment, &mut AuditReport) + Send),
) -> Result<Checked, Failure> {
    let (acknowledged, has_books) = (against.acknowledged.len(), against.books.is_some());
    let mut comparison = Comparison::default();
    let mut report = audit(store, &mut |audited, report| {
        if let Some(line) = against.acknowledged.remove(&audited.payment.id) {
            compare_acknowledged(audited, &line, report);
        }
        if let Some(books) = &mut against.books {
            compare_books(audited, books, report, &mut comparison);
        }
        see(audited, report);
    })
    .await?;
    for (id, line) in &against.acknowledged {
        report.problem(|| format!("{id}: acknowledged as {} and lost", line.status));
    }
    for (reference, entry) in against.books.iter().flatten() {
        report.problem(|| {
            format!("{} charged {reference} {}, which we do not know", entry.processor, entry.amount_minor)
        });
    }
    let open = report.open_attempts;
    if against.nothing_open && open > 0 {
        report.problem(|| format!("{open} attempts are still open"));
    }
    Ok(Checked { report, comparison: has_books.then_some(comparison), acknowledged })
}

fn read_acknowledged(file: &std::path::Path) -> Result<HashMap<PaymentId, AckLine>, Failure> {
    let mut lines = HashMap::new();
    for line in std::fs::read_to_string(file)?.lines() {
        // A generator that was killed may have left half a line.
        let Some(line) = parse_ack_line(line) else {
            continue;
        };
        let id: PaymentId = line.id.parse().map_err(|_| format!("{}: not a payment id", line.id))?;
        lines.insert(id, line);
    }
    Ok(lines)
}

/// What was acknowledged as done is still done.
fn compare_acknowledged(audited: &AuditedPayment, line: &AckLine, report: &mut AuditReport) {
    let payment = &audited.payment;
    let status = payment.status.as_str();
    let kept = match line.status.as_str() {
        // These may have gone on since.
        "processing" | "pending" | "requires_action" => true,
        "authorized" => payment.authorized_minor > 0,
        "completed" => payment.captured_minor > 0,
        acknowledged => acknowledged == status,
    };
    if !kept {
        report.problem(|| format!("{}: acknowledged as {}, now {status}", payment.id, line.status));
    }
}

/// Both sides' books of one payment, compared attempt by attempt.
fn compare_books(
    audited: &AuditedPayment,
    books: &mut HashMap<String, BookEntry>,
    report: &mut AuditReport,
    comparison: &mut Comparison,
) {
    let payment = &audited.payment;
    let mut took = 0;
    for attempt in &audited.attempts {
        if attempt.kind != AttemptKind::Charge {
            continue;
        }
        let entry = books.remove(&attempt.id.reference());
        let captured = entry.as_ref().map_or(0, |entry| entry.captured_minor);
        took += u32::from(captured > 0);
        compare_charge(audited, attempt, entry.as_ref(), report, comparison);
        if let Some(entry) = &entry {
            compare_refunds(audited, attempt, entry, report, comparison);
        }
    }
    let late = payment.late.len();
    if usize::try_from(took).unwrap_or(usize::MAX) > 1 + late {
        report.problem(|| format!("{}: charged twice", payment.id));
    }
}

fn compare_charge(
    audited: &AuditedPayment,
    attempt: &Attempt,
    entry: Option<&BookEntry>,
    report: &mut AuditReport,
    comparison: &mut Comparison,
) {
    let payment = &audited.payment;
    let theirs = entry.map_or(0, |entry| entry.captured_minor);
    let latest = payment.charge_attempt_id == attempt.id;
    let ours = match attempt.status {
        AttemptStatus::Succeeded if latest => payment.captured_minor,
        AttemptStatus::LateSuccess => theirs,
        _ => 0,
    };
    let open_operation = payment.open_operation.as_ref().filter(|_| latest);
    if let Some(operation) = open_operation {
        // The charge itself, or a capture or void of it, is under way on our side.
        if entry.is_some_and(|entry| knows_end(entry, operation.kind, payment.terms.capture)) {
            comparison.stuck += 1;
            let id = operation.attempt_id;
            report.problem(|| format!("{}: attempt {id} is stuck; the processor knows its end", payment.id));
        } else {
            comparison.unseen += 1;
        }
        return;
    }
    if ours != theirs {
        report.problem(|| {
            let processor = &attempt.processor;
            format!("{}: {processor} took {theirs}, our books say {ours} ({:?})", payment.id, attempt.status)
        });
    }
    if let Some(entry) = entry {
        let terms = payment.terms.amount;
        if entry.amount_minor != terms.minor || entry.currency != terms.currency.code() {
            report.problem(|| {
                format!(
                    "{}: the processor was asked for {} {}",
                    payment.id, entry.amount_minor, entry.currency
                )
            });
        }
    }
}

/// Whether the processor's books tell how an operation on a charge ended.
fn knows_end(entry: &BookEntry, kind: AttemptKind, capture: CaptureMode) -> bool {
    match entry.status {
        BookStatus::Created | BookStatus::Pending => false,
        // Reserved: the end of a charge that was to reserve, the beginning of everything else.
        BookStatus::Authorized => kind == AttemptKind::Charge && capture == CaptureMode::Manual,
        BookStatus::Captured | BookStatus::Voided => true,
        BookStatus::Failed => kind == AttemptKind::Charge,
    }
}

fn compare_refunds(
    audited: &AuditedPayment,
    charge: &Attempt,
    entry: &BookEntry,
    report: &mut AuditReport,
    comparison: &mut Comparison,
) {
    let payment = &audited.payment;
    let mut theirs: HashMap<&str, i64> = HashMap::new();
    for refund in entry.refunds.iter().filter(|refund| refund.status == "processed") {
        *theirs.entry(refund.reference.as_str()).or_default() += refund.amount_minor;
    }
    let late = charge.status == AttemptStatus::LateSuccess;
    let kind = if late { AttemptKind::Return } else { AttemptKind::Refund };
    for attempt in audited.attempts.iter().filter(|attempt| attempt.kind == kind) {
        // Refunds go back to the charge that completed the payment, returns to the one that was late.
        let goes_back_to =
            if late { attempt.processor == charge.processor } else { payment.charge_attempt_id == charge.id };
        if !goes_back_to {
            continue;
        }
        let returned = theirs.remove(attempt.id.reference().as_str()).unwrap_or(0);
        match attempt.status {
            AttemptStatus::Open if returned > 0 => {
                comparison.stuck += 1;
                report.problem(|| {
                    format!("{}: refund {} is stuck; the processor knows its end", payment.id, attempt.id)
                });
            }
            AttemptStatus::Open => comparison.unseen += 1,
            AttemptStatus::Succeeded if returned != attempt.amount_minor => {
                report.problem(|| {
                    format!(
                        "{}: refunded {}, the processor says {returned}",
                        payment.id, attempt.amount_minor
                    )
                });
            }
            AttemptStatus::Succeeded => {}
            _ if returned > 0 => {
                report.problem(|| {
                    format!(
                        "{}: refund {} is {:?}, the processor returned {returned}",
                        payment.id, attempt.id, attempt.status
                    )
                });
            }
            _ => {}
        }
    }
    for (reference, amount) in theirs {
        report.problem(|| {
            format!("{}: the processor returned {amount} as {reference}, which we do not know", payment.id)
        });
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        writeln!(
            f,
            "{} merchants, {} payments, {} attempts ({} open), {} refunds, {} postings, {} events",
            report.merchants,
            report.payments,
            report.attempts,
            report.open_attempts,
            report.refunds,
            report.postings,
            report.events
        )?;
        if let Some(comparison) = &self.comparison {
            writeln!(
                f,
                "compared with the processors' books: {} stuck, {} open that the processor never saw",
                comparison.stuck, comparison.unseen
            )?;
        }
        if self.acknowledged > 0 {
            writeln!(f, "{} acknowledged payments looked for", self.acknowledged)?;
        }
        for problem in &report.problems {
            writeln!(f, "PROBLEM {problem}")?;
        }
        if report.problem_count == 0 {
            writeln!(f, "clean: books balanced, states legal, every history replays to its payment")
        } else {
            writeln!(f, "{} problems", report.problem_count)
        }
    }
}
