//! `tollgate load`: measures a running gateway.

use crate::Failure;
use crate::commands::serve::stop_signal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tollgate_sim::load::{
    ApiKey, Arrivals, Instrument, LoadOptions, Mix, Mode, SampledProcess, run as run_load, svg,
};

/// What to send, and how fast.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The gateway.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: String,
    /// API key; default: that of the load test partner, which `tollgate dev` wrote to its folder.
    #[arg(long, env = "TOLLGATE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// File with a key a line: payments are spread over these partners, the first the largest (Zipf's law). The last
    /// word of a line counts, words being parted by commas or spaces; lines without a key are passed over.
    #[arg(long, conflicts_with = "key")]
    keys: Option<PathBuf>,
    /// Folder of `tollgate dev`.
    #[arg(long, default_value = "data")]
    folder: PathBuf,
    /// Payments a second, sent on schedule however the server feels (open loop).
    #[arg(long, default_value_t = 1_000.0, conflicts_with = "closed")]
    rate: f64,
    /// Instead: this many callers, each waiting for its answer before it sends again (closed loop).
    #[arg(long)]
    closed: Option<usize>,
    /// Spacing of an open loop: constant or poisson.
    #[arg(long, default_value = "constant")]
    arrivals: Arrivals,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 30.0)]
    duration: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// Kept-alive connections of an open loop.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Methods in percent.
    #[arg(long, default_value = "upi=50,card=30,wallet=20")]
    mix: Mix,
    /// Test instrument and its weight within its method, e.g. `upi:declined@upi=5`; repeatable.
    #[arg(long = "instrument", value_parser = read_instrument)]
    instruments: Vec<(u32, Instrument)>,
    /// Seed of the payments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Longest wait for one reply, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// Process to measure beside the generator: `name=pid`; repeatable.
    #[arg(long = "sample", value_parser = read_sample)]
    sample: Vec<SampledProcess>,
    /// Append every acknowledged payment to this file.
    #[arg(long)]
    ack_log: Option<PathBuf>,
    /// Keep trying while the server is away.
    #[arg(long)]
    tolerate_outage: bool,
    /// Send a payment of unknown outcome again under the same idempotency key.
    #[arg(long)]
    retry: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Draw latency over time into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// Runs it.
pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let mut keys = args.keys.as_deref().map(read_keys).transpose()?.unwrap_or_default().into_iter();
    let key = match args.key.map(ApiKey::new).or_else(|| keys.next()) {
        Some(key) => key,
        None => {
            let file = args.folder.join("load.key");
            let read = std::fs::read_to_string(&file);
            let key = read.map_err(|error| format!("no --key, and {}: {error}", file.display()))?;
            ApiKey::new(key.trim())
        }
    };
    let mut options = LoadOptions::new(args.url, key);
    options.more_keys = keys.collect();
    options.mode = match args.closed {
        Some(concurrency) => Mode::ClosedLoop { concurrency },
        None => Mode::OpenLoop { rate_per_s: args.rate, arrivals: args.arrivals },
    };
    options.duration = seconds(args.duration)?;
    options.warm_up = seconds(args.warm_up)?;
    options.connections = args.connections;
    options.mix = args.mix;
    options.instruments = args.instruments;
    options.seed = args.seed;
    options.timeout_ms = args.timeout_ms;
    options.sample = args.sample;
    options.ack_log = args.ack_log;
    options.tolerate_outage = args.tolerate_outage;
    options.retry_same_key = args.retry;
    let stop = options.stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        stop.stop();
    });
    let report = run_load(options, |progress| eprintln!("{progress}")).await?;
    if let Some(file) = args.svg {
        std::fs::write(&file, svg::latency_over_time(&report))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if args.json {
        println!("{}", report.to_json()?);
    } else {
        println!("{report}");
    }
    Ok(ExitCode::SUCCESS)
}

fn seconds(value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value).map_err(|_| "durations are seconds, zero or above".into())
}

fn read_keys(file: &Path) -> Result<Vec<ApiKey>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let last = |line: &str| line.rsplit([',', ' ']).next().unwrap_or_default().trim().to_owned();
    let keys: Vec<_> =
        text.lines().map(last).filter(|word| word.starts_with("tg_")).map(ApiKey::new).collect();
    if keys.is_empty() { Err(format!("{}: no key", file.display()).into()) } else { Ok(keys) }
}

fn read_instrument(text: &str) -> Result<(u32, Instrument), String> {
    let (name, weight) = text.rsplit_once('=').ok_or("it has the form METHOD:VALUE=WEIGHT")?;
    let weight = weight.parse().map_err(|_| "the weight is a whole number")?;
    let instrument = match name.split_once(':') {
        Some(("upi", vpa)) => Instrument::upi(vpa),
        Some(("card", number)) => Instrument::card(number),
        Some(("wallet", provider)) => Instrument::wallet(provider),
        _ => return Err("the method is upi, card or wallet".to_owned()),
    };
    Ok((weight, instrument))
}

fn read_sample(text: &str) -> Result<SampledProcess, String> {
    let (name, pid) = text.split_once('=').ok_or("it has the form NAME=PID")?;
    let pid = pid.parse().map_err(|_| "the pid is a whole number")?;
    Ok(SampledProcess { name: name.to_owned(), pid })
}
