//! Counting: every payment's end goes through [`Recorder::record`] once. No I/O, no clock of its own.
//!
//! Two populations, and which figure uses which: everything about single payments (counts, latencies, success) is about the
//! payments *due* in the measured part; throughput is about the replies that *arrived* in it, so that a backlog answered
//! after the end cannot raise it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::LoadError;
use super::queue::Job;
use super::reply::{Class, Outcome};
use super::report::{Counts, Percentiles, SecondPoint};

/// Longest latency told apart, in microseconds: an hour. Longer ones count as this.
const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Most different statuses, and most different errors, that get a line of their own.
const NAMES_MAX: usize = 64;
/// Where the rest goes.
const OTHER: &str = "(other)";

/// The end of one payment.
pub(super) struct Finished {
    pub(super) job: Job,
    /// When it was first written to a connection; nothing when it never was.
    pub(super) sent: Option<Instant>,
    pub(super) at: Instant,
    pub(super) outcome: Outcome,
    /// How often it was sent again.
    pub(super) resends: u32,
    /// A sending before the last one had an unknown outcome.
    pub(super) was_unknown: bool,
    pub(super) replayed: bool,
    /// How long the gateway waited for processors, by its own account.
    pub(super) processor_us: Option<u64>,
}

/// The histograms of a run, in microseconds.
pub(super) struct Histograms {
    pub(super) latency: Histogram<u64>,
    pub(super) refused: Histogram<u64>,
    pub(super) service: Histogram<u64>,
    pub(super) accepted_service: Histogram<u64>,
    pub(super) overhead: Histogram<u64>,
    pub(super) send_delay: Histogram<u64>,
    pub(super) schedule_lag: Histogram<u64>,
}

/// See the module.
pub(super) struct Recorder {
    start: Instant,
    measure_from: Instant,
    measure_until: Instant,
    pub(super) histograms: Histograms,
    pub(super) counts: Counts,
    pub(super) http: BTreeMap<u16, u64>,
    pub(super) statuses: BTreeMap<String, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    /// Arrived in the measured part: replies with a payment in them, and all replies.
    pub(super) payments_arrived: u64,
    pub(super) replies_arrived: u64,
    /// Failed attempts to connect, and connections made after the first ones, in the whole run.
    pub(super) connect_failures: u64,
    pub(super) reconnects: u64,
    second: SecondPoint,
    second_latency: Histogram<u64>,
    series: Vec<SecondPoint>,
}

impl Recorder {
    pub(super) fn new(start: Instant, warm_up: Duration, duration: Duration) -> Result<Self, LoadError> {
        let measure_from = start + warm_up;
        Ok(Self {
            start,
            measure_from,
            measure_until: measure_from + duration,
            histograms: Histograms {
                latency: histogram()?,
                refused: histogram()?,
                service: histogram()?,
                accepted_service: histogram()?,
                overhead: histogram()?,
                send_delay: histogram()?,
                schedule_lag: histogram()?,
            },
            counts: Counts::default(),
            http: BTreeMap::new(),
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            payments_arrived: 0,
            replies_arrived: 0,
            connect_failures: 0,
            reconnects: 0,
            second: SecondPoint { second: 1, warm_up: !warm_up.is_zero(), ..SecondPoint::default() },
            second_latency: histogram()?,
            series: Vec::new(),
        })
    }

    /// The measured part ends here after all.
    pub(super) fn cut(&mut self, end: Instant) {
        self.measure_until = self.measure_until.min(end);
    }

    /// Length of the measured part.
    pub(super) fn measured(&self) -> Duration {
        self.measure_until.saturating_duration_since(self.measure_from)
    }

    fn is_measured(&self, at: Instant) -> bool {
        at >= self.measure_from && at < self.measure_until
    }

    /// A payment fell due.
    pub(super) fn due(&mut self, job: Job) {
        if self.is_measured(job.intended) {
            self.counts.due += 1;
            record(&mut self.histograms.schedule_lag, job.released.saturating_duration_since(job.intended));
        } else {
            self.counts.warm_up_due += 1;
        }
    }

    /// A payment fell due and the queue was full.
    pub(super) fn not_sent(&mut self, job: Job) {
        self.roll(job.released);
        self.second.not_sent += 1;
        if self.is_measured(job.intended) {
            self.counts.not_sent += 1;
        }
    }

    /// A payment came to its end.
    pub(super) fn record(&mut self, finished: &Finished) {
        let Finished { job, outcome, at, .. } = finished;
        let latency = at.saturating_duration_since(job.intended);
        let class = outcome.class();
        self.roll(*at);
        self.second.finished += 1;
        match class {
            Class::Success => self.second.ok += 1,
            Class::Declined => self.second.declined += 1,
            Class::Error => self.second.errors += 1,
        }
        if !outcome.is_quick_refusal() {
            record(&mut self.second_latency, latency);
        }
        if self.is_measured(*at) {
            self.payments_arrived += u64::from(matches!(outcome, Outcome::Payment { .. }));
            self.replies_arrived += u64::from(!matches!(outcome, Outcome::Failed(_)));
        }
        if self.is_measured(job.intended) {
            self.count(finished, class, latency);
        }
    }

    fn count(&mut self, finished: &Finished, class: Class, latency: Duration) {
        let counts = &mut self.counts;
        counts.finished += 1;
        match class {
            Class::Success => counts.success += 1,
            Class::Declined => counts.declined += 1,
            Class::Error => counts.errors += 1,
        }
        counts.resends += u64::from(finished.resends);
        counts.replayed += u64::from(finished.replayed);
        counts.unknown += u64::from(finished.outcome.is_unknown());
        if let Outcome::Refused { says_when, .. } = &finished.outcome
            && finished.outcome.is_shed()
        {
            counts.refused += 1;
            counts.refused_without_retry_after += u64::from(!says_when);
        }
        if finished.was_unknown && matches!(finished.outcome, Outcome::Payment { .. }) {
            counts.settled_by_retry += 1;
        }
        match &finished.outcome {
            Outcome::Payment { http, status, .. } => {
                *self.http.entry(*http).or_default() += 1;
                bump(&mut self.statuses, status);
            }
            Outcome::Refused { http, .. } => *self.http.entry(*http).or_default() += 1,
            Outcome::Failed(_) => {}
        }
        if let Some(name) = finished.outcome.error_name() {
            bump(&mut self.errors, &name);
        }
        let histograms = &mut self.histograms;
        record(
            if finished.outcome.is_quick_refusal() {
                &mut histograms.refused
            } else {
                &mut histograms.latency
            },
            latency,
        );
        if let Some(sent) = finished.sent {
            let service = finished.at.saturating_duration_since(sent);
            record(&mut histograms.service, service);
            if !finished.outcome.is_quick_refusal() {
                record(&mut histograms.accepted_service, service);
            }
            // What was sent twice was waited for twice, of which only the last is known.
            if let (Some(processor_us), 0) = (finished.processor_us, finished.resends) {
                let waited = Duration::from_micros(processor_us);
                record(&mut histograms.overhead, service.saturating_sub(waited));
            }
            record(&mut histograms.send_delay, sent.saturating_duration_since(finished.job.intended));
        }
    }

    /// Closes the seconds that are over at `now`.
    pub(super) fn roll(&mut self, now: Instant) {
        while now.saturating_duration_since(self.start) >= Duration::from_secs(u64::from(self.second.second))
        {
            self.close_second();
        }
    }

    fn close_second(&mut self) {
        let begins = self.start + Duration::from_secs(u64::from(self.second.second));
        let next = SecondPoint {
            second: self.second.second + 1,
            warm_up: begins < self.measure_from,
            drain: begins >= self.measure_until,
            ..SecondPoint::default()
        };
        let mut point = std::mem::replace(&mut self.second, next);
        if !self.second_latency.is_empty() {
            let latency = percentiles(&self.second_latency);
            (point.p50_us, point.p95_us) = (latency.p50_us, latency.p95_us);
            (point.p99_us, point.max_us) = (latency.p99_us, latency.max_us);
            self.second_latency.reset();
        }
        self.series.push(point);
    }

    /// The seconds closed so far.
    pub(super) fn series(&self) -> &[SecondPoint] {
        &self.series
    }

    /// Closes the last, partial second if anything happened in it, and gives the series.
    pub(super) fn take_series(&mut self) -> Vec<SecondPoint> {
        if self.second.finished + self.second.not_sent > 0 {
            self.close_second();
        }
        std::mem::take(&mut self.series)
    }
}

fn histogram() -> Result<Histogram<u64>, LoadError> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).map_err(LoadError::generator)
}

fn record(histogram: &mut Histogram<u64>, value: Duration) {
    histogram.saturating_record(u64::try_from(value.as_micros()).unwrap_or(LATENCY_MAX_US));
}

fn bump(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else {
        let name = if counts.len() < NAMES_MAX { name } else { OTHER };
        *counts.entry(name.to_owned()).or_default() += 1;
    }
}

/// The figures of a histogram of microseconds.
pub(super) fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| histogram.value_at_quantile(quantile);
    Percentiles {
        count: histogram.len(),
        mean_us: if histogram.is_empty() { 0.0 } else { histogram.mean() },
        p50_us: at(0.50),
        p75_us: at(0.75),
        p90_us: at(0.90),
        p95_us: at(0.95),
        p99_us: at(0.99),
        p99_9_us: at(0.999),
        max_us: histogram.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::Failure;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn finished(start: Instant, due_ms: u32, latency_ms: u32, outcome: Outcome) -> Finished {
        let intended = start + MS * due_ms;
        let job = Job { intended, released: intended };
        let at = intended + MS * latency_ms;
        Finished {
            job,
            sent: Some(intended),
            at,
            outcome,
            resends: 0,
            was_unknown: false,
            replayed: false,
            processor_us: None,
        }
    }

    fn payment(status: &str) -> Outcome {
        Outcome::Payment { http: 201, id: "pay_1".into(), status: status.into() }
    }

    fn recorder(start: Instant) -> Recorder {
        Recorder::new(start, Duration::from_secs(1), Duration::from_secs(2)).unwrap()
    }

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let mut h = histogram().unwrap();
        for us in 1..=100_000_u64 {
            h.record(us).unwrap();
        }
        let p = percentiles(&h);
        for (value, exact) in [
            (p.p50_us, 50_000.0),
            (p.p75_us, 75_000.0),
            (p.p90_us, 90_000.0),
            (p.p95_us, 95_000.0),
            (p.p99_us, 99_000.0),
            (p.p99_9_us, 99_900.0),
            (p.max_us, 100_000.0),
        ] {
            assert!((value as f64 / exact - 1.0).abs() < 0.001, "{value} for {exact}");
        }
        assert_eq!(p.count, 100_000);
        assert_eq!(percentiles(&histogram().unwrap()).max_us, 0);
    }

    #[test]
    fn the_warm_up_and_late_replies_stay_out_of_the_figures() {
        let start = Instant::now();
        let mut r = recorder(start);
        r.record(&finished(start, 500, 10, payment("completed"))); // in the warm-up
        r.record(&finished(start, 990, 20, payment("completed"))); // due in the warm-up, arrives in the measured part
        r.record(&finished(start, 1_000, 10, payment("completed")));
        r.record(&finished(start, 2_990, 500, payment("completed"))); // due in the measured part, arrives after it
        r.record(&finished(start, 3_000, 1, payment("completed"))); // due too late
        assert_eq!((r.counts.finished, r.counts.success), (2, 2));
        assert_eq!(r.histograms.latency.len(), 2);
        assert_eq!(percentiles(&r.histograms.latency).max_us / 1_000, 500);
        assert_eq!(r.payments_arrived, 2);
    }

    fn shed(says_when: bool) -> Outcome {
        Outcome::Refused { http: 503, code: Some("overloaded".into()), says_when }
    }

    #[test]
    fn ends_are_counted_in_their_classes() {
        let start = Instant::now();
        let mut r = recorder(start);
        r.record(&finished(start, 1_000, 5, payment("completed")));
        r.record(&finished(start, 1_001, 5, payment("processing")));
        r.record(&finished(start, 1_002, 5, payment("declined")));
        r.record(&finished(start, 1_003, 5, payment("failed")));
        r.record(&finished(start, 1_004, 1, shed(true)));
        r.record(&finished(start, 1_004, 1, shed(false)));
        r.record(&finished(start, 1_005, 900, Outcome::Failed(Failure::Timeout)));
        assert_eq!((r.counts.success, r.counts.declined, r.counts.errors, r.counts.unknown), (2, 1, 4, 1));
        assert_eq!((r.counts.refused, r.counts.refused_without_retry_after), (2, 1));
        assert_eq!(r.statuses["processing"], 1);
        assert_eq!(r.http[&201], 4);
        assert_eq!(r.errors["http_503"], 2);
        assert_eq!(r.errors["timeout"], 1);
        // The quick 503 is not in the latency; the timeout is, with all its wait.
        assert_eq!((r.histograms.latency.len(), r.histograms.refused.len()), (5, 2));
        assert_eq!((r.histograms.service.len(), r.histograms.accepted_service.len()), (7, 5));
        assert_eq!(percentiles(&r.histograms.latency).max_us / 1_000, 900);
        assert_eq!((r.payments_arrived, r.replies_arrived), (4, 6));
    }

    #[test]
    fn the_overhead_is_what_the_processor_did_not_take() {
        let start = Instant::now();
        let mut r = recorder(start);
        let one = |processor_us, resends| Finished {
            processor_us,
            resends,
            ..finished(start, 1_000, 30, payment("completed"))
        };
        r.record(&one(Some(20_000), 0));
        r.record(&one(Some(90_000), 0));
        r.record(&one(None, 0));
        r.record(&one(Some(20_000), 1));
        let overhead = percentiles(&r.histograms.overhead);
        assert_eq!(overhead.count, 2, "those that do not tell, and those sent twice, are left out");
        assert!((9_990..=10_010).contains(&overhead.max_us), "{overhead:?}");
    }

    #[test]
    fn seconds_are_closed_in_order_and_silent_ones_are_there() {
        let start = Instant::now();
        let mut r = recorder(start);
        r.record(&finished(start, 100, 50, payment("completed")));
        r.record(&finished(start, 2_100, 10, payment("completed")));
        let series = r.take_series();
        assert_eq!(
            series.iter().map(|p| (p.second, p.finished, p.warm_up)).collect::<Vec<_>>(),
            [(1, 1, true), (2, 0, false), (3, 1, false)]
        );
        assert_eq!(series[1].max_us, 0);
        assert!((9_990..=10_010).contains(&series[2].p50_us), "{}", series[2].p50_us);
        // A second knows nothing of the longest wait of an earlier one.
        assert!((9_990..=10_010).contains(&series[2].max_us), "{}", series[2].max_us);
    }

    #[test]
    fn a_server_inventing_names_cannot_fill_the_memory() {
        let mut counts = BTreeMap::new();
        for n in 0..1_000 {
            bump(&mut counts, &format!("code_{n}"));
        }
        assert_eq!(counts.len(), NAMES_MAX + 1);
        assert_eq!(counts[OTHER], 1_000 - 64);
    }
}
