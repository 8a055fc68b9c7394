//! `tollgate audit`: reads the audit log, and finds what was done to it.

use crate::Failure;
use crate::config::Config;
use crate::store::open_present;
use clap::Subcommand;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tollgate_core::audit::verify::{Anchor, AuditFault, Verifier};
use tollgate_store::Store;
use tollgate_store::query::LIMIT_MAX;

/// Most bytes of an anchor file.
const ANCHOR_BYTES_MAX: u64 = 256 << 20;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Reads the whole log and says whether it is as it was written; else what is wrong, and where.
    Verify {
        /// Anchor file to compare with; default: the configured one.
        #[arg(long)]
        anchors: Option<PathBuf>,
    },
    /// Prints the latest records, newest last.
    List {
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        last: u16,
    },
    /// Prints records as JSON lines.
    Export {
        /// The first record.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// The last record; none: up to the end.
        #[arg(long)]
        to: Option<u64>,
    },
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let store = open_present(&config).await?;
    let store = store.as_ref();
    match args.action {
        Action::Verify { anchors } => {
            let configured = config.audit.anchor().map(|anchor| anchor.file);
            let anchors = match (anchors, configured) {
                (Some(file), _) => read_anchors(&file)?,
                // The configured one comes into being with its first line.
                (None, Some(file)) if file.exists() => read_anchors(&file)?,
                (None, _) => Vec::new(),
            };
            match verify(store, &anchors).await? {
                Ok(count) => {
                    println!("{count} audit records, {} anchors: all as they were written", anchors.len())
                }
                Err(fault) => {
                    println!("{fault}");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        Action::List { last } => {
            let head = store.audit_head().await?;
            let after = head.count.saturating_sub(u64::from(last));
            for (position, record) in store.audit(after, usize::from(last)).await? {
                let Some(record) = record else {
                    println!("{position} cannot be read");
                    continue;
                };
                let entry = record.entry;
                let at = i64::try_from(entry.at_ms())
                    .ok()
                    .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
                let at = at.map_or_else(|| entry.at_ms().to_string(), |at| at.to_string());
                let (subject, actor) = (entry.subject(), entry.actor());
                println!("{position} {at} {} {} {} by {actor}", entry.action(), subject.kind, subject.id);
            }
        }
        Action::Export { from, to } => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            let mut after = from.saturating_sub(1);
            'pages: loop {
                let page = store.audit(after, LIMIT_MAX).await?;
                if page.is_empty() {
                    break;
                }
                for (position, record) in page {
                    if to.is_some_and(|to| position > to) {
                        break 'pages;
                    }
                    after = position;
                    match record {
                        Some(record) => writeln!(out, "{}", record.as_json())?,
                        None => return Err(format!("audit record {position} cannot be read").into()),
                    }
                }
            }
            out.flush()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(store: &dyn Store, anchors: &[Anchor]) -> Result<Result<u64, AuditFault>, Failure> {
    let (mut verifier, mut after) = (Verifier::new(anchors), 0);
    loop {
        let page = store.audit(after, LIMIT_MAX).await?;
        let Some((last, _)) = page.last() else {
            return Ok(verifier.end(store.audit_head().await?));
        };
        after = *last;
        for (position, record) in &page {
            if let Err(fault) = verifier.follow(*position, record.as_ref()) {
                return Ok(Err(fault));
            }
        }
    }
}

fn read_anchors(file: &Path) -> Result<Vec<Anchor>, Failure> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let length = std::fs::metadata(file).map_err(|error| wrong(&error))?.len();
    if length > ANCHOR_BYTES_MAX {
        return Err(wrong(&"is too long for an anchor file").into());
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let read = |(place, line): (usize, &str)| {
        Anchor::parse(line).ok_or_else(|| wrong(&format!("line {} is no anchor", place + 1)).into())
    };
    text.lines().enumerate().map(read).collect()
}
