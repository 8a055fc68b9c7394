//! `tollgate api-versions`: who still calls which version of the API.

use crate::Failure;
use crate::config::Config;
use crate::store::open_present;
use clap::Subcommand;
use std::process::ExitCode;
use tollgate_api::versions::{Report, VERSIONS, report};
use tollgate_engine::clock::Clock;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tells which accounts call versions before the newest, and what of it has changed.
    Report {
        /// Over how many days, today among them.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=90))]
        days: u32,
        /// Most accounts.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let store = open_present(&config).await?;
    let store = store.as_ref();
    let Action::Report { days, limit, json } = args.action;
    let report = report(store, Clock::System.now_ms(), days, None, usize::from(limit)).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    for used in &report.versions {
        let known = VERSIONS.iter().find(|version| version.date == used.version);
        let standing = match known.map(|version| (version.deprecated_since, version.sunset)) {
            Some((Some(since), Some(sunset))) => format!(", deprecated since {since}, gone from {sunset}"),
            Some((Some(since), None)) => format!(", deprecated since {since}"),
            Some((None, _)) => String::new(),
            None => ", not known to this program".to_owned(),
        };
        line(format!("{}: {} calls of {} accounts{standing}", used.version, used.calls, used.accounts));
    }
    for account in &report.accounts {
        line(format!("{} {} {} calls", account.merchant, account.version, account.calls));
        for used in &account.endpoints {
            let changes = if used.changes.is_empty() {
                "unchanged since".to_owned()
            } else {
                format!("changed by {}", used.changes.join(", "))
            };
            line(format!("  {} {} ({changes})", used.calls, used.endpoint));
        }
    }
    if report.has_more {
        line("and more".to_owned());
    }
    text
}
