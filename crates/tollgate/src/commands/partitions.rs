//! `tollgate partitions`: partitions of PostgreSQL's tables, made ahead of their time and put aside after it.

use crate::Failure;
use crate::config::Config;
use clap::Subcommand;
use std::process::ExitCode;
use tollgate_engine::clock::Clock;
use tollgate_store::postgres::{PartitionWish, partitions};

/// A day.
const DAY_MS: u64 = 86_400_000;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes partitions ahead, as servers do by themselves. Days of idempotency keys and messages that have outlived
    /// their time are dropped.
    Ahead {
        /// For how many months after this one; default: the configured number.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=24))]
        months: Option<u32>,
    },
    /// Detaches months of payments, attempts, postings and events that ended longer ago: they stay in the database as
    /// tables of their own, to be archived.
    Retention {
        /// How many days are kept; at least ten years.
        #[arg(long)]
        keep_days: u64,
    },
}

/// Runs it, beside any number of servers.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    if !config.store.is_postgres() {
        return Err("only PostgreSQL has partitions (TOLLGATE_STORE)".into());
    }
    let (months, keep_ms) = match args.action {
        Action::Ahead { months } => (months, None),
        Action::Retention { keep_days } => (None, Some(keep_days.saturating_mul(DAY_MS))),
    };
    let months_ahead = months.unwrap_or(config.store.partitions_ahead);
    let wish = PartitionWish { now_ms: Clock::System.now_ms(), months_ahead, keep_ms };
    for options in config.store.databases(config.policy())? {
        let report = partitions(&options, &wish).await?;
        for (what, names) in
            [("made", report.made), ("detached", report.detached), ("dropped", report.dropped)]
        {
            for name in names {
                println!("{what} {name}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
