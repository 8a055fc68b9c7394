//! `tollgate events`: what the bus was told, and telling it again.

use crate::Failure;
use crate::config::Config;
use crate::operator::by;
use crate::store::open_present;
use async_trait::async_trait;
use clap::Subcommand;
use jiff::Timestamp;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;
use tollgate_bus::Bus;
use tollgate_core::bus::{Message, Source, Topic};
use tollgate_core::id::{EventId, MerchantId};
use tollgate_engine::clock::Clock;
use tollgate_engine::events::{
    PutAside, Replay, ReplayError, Sink, Until, give_up, put_aside, replay, status,
};
use tollgate_store::Store;

/// Most messages that were put aside which are listed: the latest.
const ASIDE_MAX: usize = 100;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Publishes what the logs hold once more, with the same ids, or prints it.
    Replay {
        /// From here on: a time (RFC 3339), a number in the log or an event's id, `evt_…`.
        #[arg(long, value_parser = until)]
        from: Until,
        /// Up to here: before a time; with a number or an id, that one included.
        #[arg(long, value_parser = until)]
        to: Option<Until>,
        /// `payment_events`, `fraud_alerts` or `webhook_events` alone.
        #[arg(long)]
        topic: Option<Topic>,
        /// One merchant's alone, `mer_…`.
        #[arg(long)]
        merchant: Option<MerchantId>,
        /// Prints `CloudEvents` in JSON, one a line, instead of publishing.
        #[arg(long)]
        stdout: bool,
    },
    /// Tells how far the bus was told of each log, and who does it.
    Status {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Gives the bus up: nothing is kept for it any more, and should there be one again it begins anew.
    GiveUp,
}

/// A place in what happened.
fn until(text: &str) -> Result<Until, &'static str> {
    const WRONG: &str = "must be a time such as 2026-12-01T09:00:00Z, a number of the log or an event's id";
    if text.starts_with(EventId::PREFIX) {
        return text.parse().map(Until::Event).map_err(|_| WRONG);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Until::Sequence).map_err(|_| WRONG);
    }
    let at: Timestamp = text.parse().map_err(|_| WRONG)?;
    Ok(Until::Time(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

/// Runs it. On PostgreSQL beside any number of servers; an embedded store must be closed.
pub(crate) async fn run(config: Config, args: Args) -> Result<ExitCode, Failure> {
    let store = open_present(&config).await?;
    let store = store.as_ref();
    match args.action {
        Action::Replay { from, to, topic, merchant, stdout } => {
            let options = config.events.options();
            let wish = Replay {
                from,
                to,
                topic,
                merchant_id: merchant,
                batch_events: options.batch_events,
                batch_bytes: options.batch_bytes,
                // Nobody else reads a closed store.
                share_percent: if config.store.is_postgres() { options.share_percent } else { 100 },
            };
            tell_again(&config, store, &wish, stdout).await
        }
        Action::Status { json } => {
            let now_ms = Clock::System.now_ms();
            for found in status(store).await? {
                let lag = found.read.map_or(0, |read| found.end.saturating_sub(read));
                let lag_ms = found.since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
                let holder = found.hold.as_ref().filter(|hold| hold.until_ms > now_ms);
                let holder = holder.map(|hold| hold.name.as_str());
                if json {
                    let line = serde_json::json!({
                        "log": found.line.name(), "published": found.read, "end": found.end,
                        "lag": lag, "lag_ms": lag_ms, "holder": holder,
                    });
                    println!("{line}");
                    continue;
                }
                let (log, end) = (found.line.name(), found.end);
                match found.read {
                    None => println!("{log}: never told; the log ends at {end}"),
                    Some(read) => {
                        let holder = holder.unwrap_or("nobody");
                        println!(
                            "{log}: {read} of {end} told, {lag} wait, the first for {lag_ms} ms; held by {holder}"
                        );
                    }
                }
            }
            for found in put_aside(store, ASIDE_MAX).await? {
                let PutAside { at_ms, topic, message_id, merchant_id, because } = found;
                let at = i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
                let at = at.unwrap_or(Timestamp::MAX);
                if json {
                    let line = serde_json::json!({
                        "refused": message_id, "topic": topic, "merchant_id": merchant_id.to_string(),
                        "at": format!("{at:.3}"), "because": because,
                    });
                    println!("{line}");
                } else {
                    println!("refused {at:.3}: {message_id} of {topic}, {merchant_id}: {because}");
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::GiveUp => match give_up(store, &by()).await? {
            Ok(count) => {
                println!("{count} logs are not kept for the bus any more");
                Ok(ExitCode::SUCCESS)
            }
            Err(hold) => {
                let text = format!(
                    "{} tells the bus still: take events.bus from its configuration first",
                    hold.name
                );
                Err(text.into())
            }
        },
    }
}

async fn tell_again(
    config: &Config,
    store: &dyn Store,
    wish: &Replay,
    stdout: bool,
) -> Result<ExitCode, Failure> {
    let bodies = tollgate_api::event_bodies();
    let outcome = if stdout {
        let source = config.events.source()?;
        let mut printer = Printer { source, out: BufWriter::new(std::io::stdout()) };
        let outcome = replay(store, bodies, wish, &mut printer).await?;
        printer.out.flush()?;
        outcome
    } else {
        let Some(bus) = config.events.connect().await? else {
            return Err("no bus is configured (TOLLGATE_KAFKA, events.bus); --stdout prints instead".into());
        };
        bus.prepare().await?;
        let mut sink: Arc<dyn Bus> = Arc::clone(&bus);
        let outcome = replay(store, bodies, wish, &mut sink).await;
        bus.close().await;
        outcome?
    };
    eprintln!("{} messages, {} refused, {} lost", outcome.messages, outcome.refused, outcome.lost);
    Ok(if outcome.refused + outcome.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints messages.
struct Printer {
    source: Source,
    out: BufWriter<std::io::Stdout>,
}

#[async_trait]
impl Sink for Printer {
    async fn take(&mut self, messages: Vec<Message>) -> Result<u64, ReplayError> {
        for message in messages {
            let line = message.to_json(&self.source).map_err(|error| ReplayError::Sink(error.to_string()))?;
            writeln!(self.out, "{line}").map_err(|error| ReplayError::Sink(error.to_string()))?;
        }
        Ok(0)
    }
}
