//! What a run found, as data: serialised to JSON and read back. How it looks as text is in `text`, as a picture in `svg`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What counts as success; printed with every report.
pub const SUCCESS_RULE: &str = "success = a 2xx reply with a payment in it whose status is neither declined nor failed; \
     every payment due in the measured part counts, sent or not. Declines are ordinary answers of banks and risk rules: \
     they are shown apart, and the second rate leaves them out";

/// The result of a run. Times carry their unit in the name; `_us` is microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// When the run started, in milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// The gateway.
    pub url: String,
    /// The mode in words, such as `open loop, 10000/s constant`.
    pub mode: String,
    /// Payments per second asked for; nothing for a closed loop.
    pub target_rate_per_s: Option<f64>,
    /// Connections used.
    pub connections: usize,
    /// Shares of the methods in percent.
    pub mix: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Seed of the payments.
    pub seed: u64,
    /// Longest wait for one reply, in milliseconds.
    pub timeout_ms: u64,
    /// Length of the warm-up, in seconds.
    pub warm_up_s: f64,
    /// Length of the measured part, in seconds.
    pub measured_s: f64,
    /// Why the run ended before its time, if it did.
    pub ended_early: Option<String>,
    /// What the reader must know before believing the figures; empty in a clean run.
    pub warnings: Vec<String>,
    /// The machine the generator ran on.
    pub machine: Machine,

    /// Replies with a payment in them that arrived in the measured part, per second of it.
    pub tps: f64,
    /// All replies that arrived in the measured part, refusals included, per second of it.
    pub replies_per_s: f64,
    /// See [`SUCCESS_RULE`]: success / due, 0 to 1.
    pub success_rate: f64,
    /// The same without the declined payments: success / (due - declined), 0 to 1.
    pub success_rate_without_declines: f64,
    /// [`SUCCESS_RULE`], so that a report explains itself.
    pub success_rule: String,
    /// The payments due in the measured part.
    pub counts: Counts,
    /// Their replies by HTTP status.
    pub http_status: BTreeMap<u16, u64>,
    /// Their replies by payment status.
    pub payment_status: BTreeMap<String, u64>,
    /// Their errors: `connect`, `timeout`, `reset`, `malformed_reply`, `payment_failed`, `http_429`, `http_503`,
    /// `http_500 code`, `http_422 code` …
    pub errors: BTreeMap<String, u64>,
    /// Attempts to connect that failed, in the whole run.
    pub connect_failures: u64,
    /// Connections made again after the first ones, in the whole run.
    pub reconnects: u64,

    /// From the instant a payment was due to the end of its reply. Timeouts, lost connections and 5xx are in it with all
    /// the time they took; quick refusals (4xx, 429, 503, no connection) are not, for they would flatter it.
    pub latency: Percentiles,
    /// The same for the quick refusals.
    pub refused_latency: Percentiles,
    /// From sending to the end of the reply: what a closed-loop tool would call latency.
    pub service_time: Percentiles,
    /// The same without the quick refusals, which take next to no time.
    pub accepted_service_time: Percentiles,
    /// Service time without what the gateway waited for processors by its own account (`Server-Timing`): the gateway's own
    /// time, the way to it and back, and the generator's. Of payments whose reply tells, and that were sent once.
    #[serde(default)]
    pub overhead: Percentiles,
    /// From due to sending: the wait for a connection, and the generator's own lateness.
    pub send_delay: Percentiles,
    /// From due to noticed: the generator's own lateness alone.
    pub schedule_lag: Percentiles,

    /// This generator's threads in the measured part. The memory is that of the whole process they live in.
    pub generator: ProcessUse,
    /// The sampled processes in the measured part.
    pub processes: Vec<ProcessUse>,
    /// Second by second, by the instant of the reply; warm-up and drain included.
    pub series: Vec<SecondPoint>,
}

/// Counts of payments due in the measured part (except `warm_up_due`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Due by the schedule; in a closed loop, begun.
    pub due: u64,
    /// Came to an end: `success` + `declined` + `errors`.
    pub finished: u64,
    /// See [`SUCCESS_RULE`].
    pub success: u64,
    /// Declined.
    pub declined: u64,
    /// All the rest that came to an end.
    pub errors: u64,
    /// Of these, refused with 429 or 503: there was too much to do.
    pub refused: u64,
    /// Of these, without a `Retry-After`.
    pub refused_without_retry_after: u64,
    /// Dropped because the queue was full: the generator or the server could not keep up.
    pub not_sent: u64,
    /// Neither ended nor dropped when the drain was over.
    pub unfinished: u64,
    /// Sendings repeated with the same key.
    pub resends: u64,
    /// Payments of unknown outcome that a repeated sending settled.
    pub settled_by_retry: u64,
    /// Payments whose outcome the client does not know to this day (timeout, lost connection).
    pub unknown: u64,
    /// Replies with `Idempotent-Replayed: true`.
    pub replayed: u64,
    /// Payments of the warm-up, not measured.
    pub warm_up_due: u64,
}

/// Figures of a distribution of times, in microseconds, exact to three digits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Values in it.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 75 % are at or below.
    pub p75_us: u64,
    /// 90 % are at or below.
    pub p90_us: u64,
    /// 95 % are at or below.
    pub p95_us: u64,
    /// 99 % are at or below.
    pub p99_us: u64,
    /// 99.9 % are at or below.
    pub p99_9_us: u64,
    /// Longest.
    pub max_us: u64,
}

/// One second of a run. Latencies are 0 when nothing with a latency ended in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecondPoint {
    /// Its number: 1 is the first second, from 0 s to 1 s.
    pub second: u32,
    /// It began in the warm-up.
    pub warm_up: bool,
    /// It began after the measured part.
    pub drain: bool,
    /// Payments that came to an end.
    pub finished: u64,
    /// Of these, successes.
    pub ok: u64,
    /// Of these, declines.
    pub declined: u64,
    /// Of these, errors.
    pub errors: u64,
    /// Payments dropped before sending.
    pub not_sent: u64,
    /// Median latency in microseconds.
    pub p50_us: u64,
    /// 95th percentile in microseconds.
    pub p95_us: u64,
    /// 99th percentile in microseconds.
    pub p99_us: u64,
    /// Longest in microseconds.
    pub max_us: u64,
}

/// What a process cost in the measured part.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessUse {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// User and system CPU time in seconds; nothing where `/proc` cannot tell.
    pub cpu_s: Option<f64>,
    /// CPU time over wall time: 1.0 is one core kept busy.
    pub cores_used: Option<f64>,
    /// CPU time over payments answered, in microseconds.
    pub cpu_us_per_payment: Option<f64>,
    /// Most memory resident when sampled, in bytes.
    pub rss_peak_bytes: Option<u64>,
    /// It ended while the run went on; the figures end there.
    pub ended: bool,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Processor model, where the system tells.
    pub cpu_model: Option<String>,
    /// Memory in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
}

impl LoadReport {
    /// The report as indented JSON.
    ///
    /// # Errors
    /// None in practice: the report holds nothing JSON cannot carry.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
