//! What a run is asked to do, checked before anything is sent. No I/O here.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::mix::{Instrument, Mix};

/// Most connections one generator opens.
pub(super) const CONNECTIONS_MAX: usize = 10_000;
/// Most payments that may wait for a connection.
const QUEUED_MAX: usize = 1_000_000;
/// Highest arrival rate one generator thread is allowed to be asked for, in payments per second.
const RATE_MAX_PER_S: f64 = 200_000.0;
/// Most partners.
const KEYS_MAX: usize = 100_000;
/// Longest run. A second costs one series point, so this bounds the report as well.
const RUN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A partner's secret API key. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps the key's text.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// When the payments of an open loop are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// Evenly spaced: the n-th payment is due n / rate seconds after the start.
    #[default]
    Constant,
    /// Independent customers: exponentially distributed gaps with the same mean rate.
    Poisson,
}

impl FromStr for Arrivals {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => Err(LoadError::Options(format!("arrivals: `{text}` is neither `constant` nor `poisson`"))),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        })
    }
}

/// Who decides when the next payment is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// The schedule: payments are due at their own instants, however the server feels.
    OpenLoop {
        /// Payments per second.
        rate_per_s: f64,
        /// Even or random spacing.
        arrivals: Arrivals,
    },
    /// The server: each of `concurrency` connections sends its next payment when the last one is answered.
    /// Shows the highest throughput; its latencies say nothing about how a server behaves when it cannot keep up.
    ClosedLoop {
        /// Payments in flight at any time; replaces [`LoadOptions::connections`].
        concurrency: usize,
    },
}

/// Ends a run early, from anywhere (Ctrl-C, a test): the run stops sending, drains, and reports what it has.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Asks the run to end.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A process whose CPU time and memory are read from `/proc` every second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledProcess {
    /// Its name in the report, such as `server`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
}

/// Everything a run needs to know. [`LoadOptions::new`] gives the defaults; the fields are public.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The gateway, such as `http://127.0.0.1:8000`. Plain HTTP only; a path prefix is kept.
    pub url: String,
    /// The partner's key, sent as `Authorization: Bearer`.
    pub api_key: ApiKey,
    /// More partners' keys: payments are spread over all of them, the first the largest (Zipf's law: the n-th has
    /// 1/n of the first's). Default none.
    pub more_keys: Vec<ApiKey>,
    /// Open or closed loop. Default: open, 1,000 payments per second, constant.
    pub mode: Mode,
    /// Length of the measured part, after the warm-up. Default 30 s.
    pub duration: Duration,
    /// Time at the start that is sent but not measured. Default 3 s.
    pub warm_up: Duration,
    /// Keep-alive connections of an open loop. Default 64.
    pub connections: usize,
    /// Most payments due and waiting for a connection; above it payments are `not_sent`. Default 20,000.
    pub max_queued: usize,
    /// Payment methods in percent. Default UPI 50, card 30, wallet 20.
    pub mix: Mix,
    /// What the methods carry, weighted within each method; a method without any uses an instrument that always succeeds.
    /// Special VPA and card values select the simulators' faults.
    pub instruments: Vec<(u32, Instrument)>,
    /// ISO 4217 code. Default `INR`.
    pub currency: String,
    /// Minor-unit digits of `currency`: 2 for INR, 0 for JPY, 3 for KWD. Default 2.
    pub minor_digits: u8,
    /// Amounts in minor units, drawn evenly. Default 100 to 500,000 (INR 1.00 to 5,000.00).
    pub amount_minor: RangeInclusive<u64>,
    /// Distinct `user_id`s, drawn evenly. Default 10,000.
    pub users: u32,
    /// The same seed gives the same payments in the same order. The idempotency keys differ on every run all the same,
    /// because a second run is new payments and not a replay of the first.
    pub seed: u64,
    /// Longest wait for one reply, from sending, in milliseconds. Default 10,000.
    pub timeout_ms: u64,
    /// Whether the progress sink is called every second. Default true.
    pub progress: bool,
    /// Processes to measure: the server, the simulators. Default none.
    pub sample: Vec<SampledProcess>,
    /// A file to append every acknowledged payment to, see [`super::AckLine`]. Default none.
    pub ack_log: Option<PathBuf>,
    /// Keep trying while the server is away; otherwise a run that reaches nothing for 10 s ends early. Default false.
    pub tolerate_outage: bool,
    /// Send a payment of unknown outcome (timeout, lost connection) again with the same key and body, as a careful
    /// client does. Default false.
    pub retry_same_key: bool,
    /// How long one payment may be tried again, in milliseconds. Default 60,000.
    pub retry_budget_ms: u64,
    /// Ends the run early.
    pub stop: StopSignal,
}

impl LoadOptions {
    /// The defaults against one gateway.
    #[must_use]
    pub fn new(url: impl Into<String>, api_key: ApiKey) -> Self {
        Self {
            url: url.into(),
            api_key,
            more_keys: Vec::new(),
            mode: Mode::OpenLoop { rate_per_s: 1_000.0, arrivals: Arrivals::Constant },
            duration: Duration::from_secs(30),
            warm_up: Duration::from_secs(3),
            connections: 64,
            max_queued: 20_000,
            mix: Mix::default(),
            instruments: Vec::new(),
            currency: "INR".to_owned(),
            minor_digits: 2,
            amount_minor: 100..=500_000,
            users: 10_000,
            seed: 1,
            timeout_ms: 10_000,
            progress: true,
            sample: Vec::new(),
            ack_log: None,
            tolerate_outage: false,
            retry_same_key: false,
            retry_budget_ms: 60_000,
            stop: StopSignal::default(),
        }
    }

    /// All partners' keys, the largest partner's first.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ApiKey> {
        std::iter::once(&self.api_key).chain(&self.more_keys)
    }

    /// Connections the run opens.
    pub(super) fn connection_count(&self) -> usize {
        match self.mode {
            Mode::OpenLoop { .. } => self.connections,
            Mode::ClosedLoop { concurrency } => concurrency,
        }
    }

    /// Refuses what cannot be run, with the field's name in the sentence.
    ///
    /// # Errors
    /// [`LoadError::Options`] for the first value out of its range.
    pub fn validate(&self) -> Result<(), LoadError> {
        let check = |good: bool, sentence: &str| {
            if good { Ok(()) } else { Err(LoadError::Options(sentence.to_owned())) }
        };
        if let Mode::OpenLoop { rate_per_s, .. } = self.mode {
            let good = rate_per_s.is_finite() && (0.01..=RATE_MAX_PER_S).contains(&rate_per_s);
            check(good, "rate: must be between 0.01 and 200000 payments per second")?;
        }
        check(
            (1..=CONNECTIONS_MAX).contains(&self.connection_count()),
            "connections: must be between 1 and 10000",
        )?;
        check((1..=QUEUED_MAX).contains(&self.max_queued), "max_queued: must be between 1 and 1000000")?;
        check(!self.duration.is_zero(), "duration: must be above zero")?;
        let total = self.duration.checked_add(self.warm_up);
        check(total.is_some_and(|total| total <= RUN_MAX), "duration and warm_up: together at most 24 h")?;
        check(*self.amount_minor.start() > 0, "amount: must be above zero")?;
        check(
            self.amount_minor.start() <= self.amount_minor.end(),
            "amount: the lowest is above the highest",
        )?;
        check(self.minor_digits <= 4, "minor_digits: must be 0 to 4")?;
        let code = self.currency.as_bytes();
        check(
            code.len() == 3 && code.iter().all(u8::is_ascii_uppercase),
            "currency: must be three capital letters",
        )?;
        check(self.users > 0, "users: must be above zero")?;
        check((1..=600_000).contains(&self.timeout_ms), "timeout_ms: must be between 1 and 600000")?;
        check(self.retry_budget_ms <= 3_600_000, "retry_budget_ms: must be at most 3600000")?;
        let is_sendable = |key: &ApiKey| !key.0.is_empty() && key.0.bytes().all(|b| b.is_ascii_graphic());
        check(self.keys().all(is_sendable), "api_key: must be visible ASCII and not empty")?;
        check(self.more_keys.len() < KEYS_MAX, "api_key: at most 100000 keys")?;
        check(
            self.instruments.iter().all(|(weight, _)| *weight > 0),
            "instruments: every weight must be above zero",
        )
    }
}

/// Why a run could not start or could not be completed. A run in which payments fail is not an error: it is a report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An option is out of range or makes no sense.
    #[error("load options: {0}")]
    Options(String),
    /// Nobody listens at the address, before the first payment.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The address tried.
        url: String,
        /// The system's own words.
        reason: String,
    },
    /// The acknowledgement log cannot be opened or written, so the run would prove nothing.
    #[error("acknowledgement log {path}: {source}")]
    AckLog {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The generator itself could not be set up, or ended without a report.
    #[error("load generator: {0}")]
    Generator(String),
}

impl LoadError {
    pub(super) fn generator(error: impl fmt::Display) -> Self {
        Self::Generator(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_never_printed() {
        let options = LoadOptions::new("http://x", ApiKey::new("sk_very_secret"));
        assert!(!format!("{options:?}").contains("very_secret"));
    }

    #[test]
    fn defaults_are_valid_and_each_bad_value_is_named() {
        let good = || LoadOptions::new("http://127.0.0.1:1", ApiKey::new("k"));
        assert!(good().validate().is_ok());
        let refused = |change: fn(&mut LoadOptions), word: &str| {
            let mut options = good();
            change(&mut options);
            let message = options.validate().expect_err(word).to_string();
            assert!(message.contains(word), "{message}");
        };
        refused(|o| o.mode = Mode::OpenLoop { rate_per_s: f64::NAN, arrivals: Arrivals::Constant }, "rate");
        refused(|o| o.mode = Mode::OpenLoop { rate_per_s: 0.0, arrivals: Arrivals::Constant }, "rate");
        refused(|o| o.mode = Mode::ClosedLoop { concurrency: 0 }, "connections");
        refused(|o| o.connections = 10_001, "connections");
        refused(|o| o.duration = Duration::ZERO, "duration");
        refused(|o| o.warm_up = Duration::MAX, "duration");
        refused(|o| o.amount_minor = 0..=5, "amount");
        refused(|o| o.amount_minor = RangeInclusive::new(5, 4), "amount");
        refused(|o| o.currency = "inr".to_owned(), "currency");
        refused(|o| o.users = 0, "users");
        refused(|o| o.timeout_ms = 0, "timeout_ms");
        refused(|o| o.max_queued = 0, "max_queued");
        refused(|o| o.api_key = ApiKey::new("a\r\nb"), "api_key");
        refused(|o| o.instruments = vec![(0, Instrument::upi("success@upi"))], "instruments");
    }

    #[test]
    fn arrivals_are_read_from_text() {
        assert_eq!("poisson".parse::<Arrivals>().unwrap(), Arrivals::Poisson);
        assert_eq!("constant".parse::<Arrivals>().unwrap(), Arrivals::Constant);
        assert!("Poisson ".parse::<Arrivals>().is_err());
    }
}
