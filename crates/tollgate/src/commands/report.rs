//! `tollgate report`: the payments of all merchants of a mode, added up.

use crate::Failure;
use crate::config::Config;
use crate::store::open_present;
use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::Mode;
use tollgate_engine::clock::Clock;
use tollgate_store::Store;
use tollgate_store::postgres::refresh_reports;
use tollgate_store::report::{MERCHANTS_MAX, Report, ReportBy, ReportKey, ReportSums, ReportWish};

const DAY_MS: u64 = 86_400_000;

/// Which report.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Payments made from this day on (UTC); default: 30 days before `--to`.
    #[arg(long)]
    from: Option<Date>,
    /// Up to before this day; default: tomorrow.
    #[arg(long)]
    to: Option<Date>,
    /// What a row is a sum of, beside its currency.
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,
    /// Real payments, or those of sandboxes.
    #[arg(long, value_enum, default_value_t = Of::Live)]
    mode: Of,
    /// As CSV.
    #[arg(long)]
    csv: bool,
    /// On PostgreSQL: has the sums made anew first.
    #[arg(long)]
    refresh: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Day,
    Merchant,
    Processor,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    Live,
    Sandbox,
}

/// Runs it.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    if args.refresh {
        if !config.store.is_postgres() {
            return Err("only PostgreSQL has sums that are made ahead (TOLLGATE_STORE)".into());
        }
        for options in config.store.databases(config.policy())? {
            refresh_reports(&options, Duration::ZERO).await?;
        }
    }
    let now_ms = Clock::System.now_ms();
    let (from_day, to_day) = days(&args, now_ms)?;
    let by = match args.by {
        By::Day => ReportBy::Day,
        By::Merchant => ReportBy::Merchant,
        By::Processor => ReportBy::Processor,
    };
    let store = open_present(&config).await?;
    let wish = ReportWish { merchants: Vec::new(), from_day, to_day, by, now_ms };
    let report = report(store.as_ref(), args.mode, wish).await?;
    let Some(as_of_ms) = report.as_of_ms else {
        return Err("the sums are still to be made: wait for a server, or add --refresh".into());
    };
    let as_of = i64::try_from(as_of_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let as_of = as_of.ok_or("the report's time cannot be read")?.to_string();
    if args.csv {
        write_csv(&report, &as_of, std::io::stdout().lock())?;
    } else {
        print!("{}", text(&report, &as_of));
    }
    for shard in &report.missing {
        crate::logging::complain(&format!("tollgate: the part of shard {shard} is missing"));
    }
    Ok(if report.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The days asked for, counted from 1970-01-01.
fn days(args: &Args, now_ms: u64) -> Result<(u32, u32), Failure> {
    let day = |date: Date| -> Result<u32, Failure> {
        let at = date.to_zoned(TimeZone::UTC)?.timestamp().as_second();
        Ok(u32::try_from(at / 86_400).map_err(|_| "a report begins in 1970 or later")?)
    };
    let to_day = match args.to {
        Some(to) => day(to)?,
        None => u32::try_from(now_ms / DAY_MS)?.saturating_add(1),
    };
    let from_day = args.from.map_or_else(|| Ok(to_day.saturating_sub(30)), day)?;
    if from_day >= to_day {
        return Err("--from must be before --to".into());
    }
    Ok((from_day, to_day))
}

/// The report of all merchants of a mode.
async fn report(store: &dyn Store, mode: Of, wish: ReportWish) -> Result<Report, Failure> {
    let mode = match mode {
        Of::Live => Mode::Live,
        Of::Sandbox => Mode::Sandbox,
    };
    let merchants = store.merchants().await?.into_iter().filter(|merchant| merchant.mode == mode);
    let merchants: Vec<MerchantId> = merchants.map(|merchant| merchant.id).collect();
    // Without merchants there is a report all the same: it says as of when nothing was there.
    let mut whole: Option<Report> = None;
    let mut rest = merchants.as_slice();
    while whole.is_none() || !rest.is_empty() {
        let (some, more) = rest.split_at(rest.len().min(MERCHANTS_MAX));
        let part = store.report(ReportWish { merchants: some.to_vec(), ..wish.clone() }).await?;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => whole.join(part),
        }
        rest = more;
    }
    let mut whole = whole.unwrap_or_default();
    whole.missing.sort_unstable();
    whole.missing.dedup();
    Ok(whole)
}

/// What a row is about, as people read it.
fn named(key: &ReportKey) -> String {
    if let Some(day) = key.day {
        let date = Date::constant(1970, 1, 1).checked_add(i64::from(day).days());
        return date.map_or_else(|_| day.to_string(), |date| date.to_string());
    }
    match (&key.merchant_id, &key.processor) {
        (Some(merchant_id), _) => merchant_id.to_string(),
        (None, Some(processor)) => processor.to_string(),
        (None, None) => "all".to_owned(),
    }
}

fn rate(sums: &ReportSums) -> String {
    sums.success_per_mille().map_or_else(String::new, |rate| rate.to_string())
}

fn text(report: &Report, as_of: &str) -> String {
    let mut text = format!("as of {as_of}\n");
    for (key, sums) in &report.rows {
        text.push_str(&format!(
            "{} {}: {} payments, {} succeeded, {} failed, success {} per mille, volume {} (minor units)\n",
            named(key),
            key.currency,
            sums.payments,
            sums.succeeded,
            sums.failed,
            rate(sums),
            sums.volume_minor
        ));
    }
    text
}

fn write_csv(report: &Report, as_of: &str, out: impl Write) -> Result<(), Failure> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record([
        "of",
        "currency",
        "payments",
        "succeeded",
        "failed",
        "success_per_mille",
        "volume_minor",
        "as_of",
    ])?;
    for (key, sums) in &report.rows {
        out.write_record([
            named(key),
            key.currency.to_string(),
            sums.payments.to_string(),
            sums.succeeded.to_string(),
            sums.failed.to_string(),
            rate(sums),
            sums.volume_minor.to_string(),
            as_of.to_owned(),
        ])?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tollgate_core::currency::Currency;

    fn args(from: Option<&str>, to: Option<&str>) -> Args {
        let date = |text: &str| text.parse().unwrap();
        Args {
            from: from.map(date),
            to: to.map(date),
            by: By::Day,
            mode: Of::Live,
            csv: false,
            refresh: false,
        }
    }

    #[test]
    fn days_are_counted_in_utc() {
        let now_ms = 20_000 * DAY_MS + 5;
        assert_eq!(days(&args(None, None), now_ms).unwrap(), (19_971, 20_001));
        assert_eq!(days(&args(Some("1970-01-02"), Some("1970-02-01")), now_ms).unwrap(), (1, 31));
        for (from, to) in
            [("2026-01-01", "2026-01-01"), ("2026-01-02", "2026-01-01"), ("1969-01-01", "2026-01-01")]
        {
            assert!(days(&args(Some(from), Some(to)), now_ms).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn a_row_is_written_with_its_age() {
        let key =
            ReportKey { day: Some(20_000), merchant_id: None, processor: None, currency: Currency::INR };
        let sums = ReportSums { payments: 4, succeeded: 2, failed: 1, volume_minor: 700 };
        let report = Report { rows: BTreeMap::from([(key, sums)]), as_of_ms: Some(1), missing: vec![] };
        let mut out = Vec::new();
        write_csv(&report, "then", &mut out).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(written.ends_with("\n2024-10-04,INR,4,2,1,666,700,then\n"), "{written}");
        assert!(text(&report, "then").contains("as of then\n2024-10-04 INR: 4 payments"));
    }
}
