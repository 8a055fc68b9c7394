//! What the tasks of a run share: schedule, queue, payments, counters. One thread: cells instead of locks, and no borrow is
//! held across an await.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::ack_log::AckLog;
use super::client::Target;
use super::options::{LoadError, LoadOptions, Mode};
use super::payment::{Payment, PaymentMaker};
use super::queue::{Job, Queue};
use super::reply::Outcome;
use super::schedule::Schedule;
use super::stats::{Finished, Recorder};
use super::ticker::Ticker;

/// A run that reaches nothing for this long ends early, unless outages are tolerated.
const UNREACHABLE_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Shared {
    pub(super) options: LoadOptions,
    pub(super) target: Rc<Target>,
    pub(super) start: Instant,
    pub(super) end: Cell<Instant>,
    pub(super) queue: Queue,
    schedule: Option<RefCell<Schedule>>,
    pub(super) ticker: Option<Ticker>,
    maker: RefCell<PaymentMaker>,
    pub(super) recorder: RefCell<Recorder>,
    ack_log: RefCell<Option<AckLog>>,
    pub(super) fatal: RefCell<Option<LoadError>>,
    last_contact: Cell<Instant>,
    failures_since_contact: Cell<u64>,
}

impl Shared {
    pub(super) fn new(options: LoadOptions, target: Rc<Target>) -> Result<Self, LoadError> {
        let ack_log = match &options.ack_log {
            None => None,
            Some(path) => Some(
                AckLog::open(path, &options.currency, options.minor_digits)
                    .map_err(|source| LoadError::AckLog { path: path.clone(), source })?,
            ),
        };
        let start = Instant::now();
        let length = options.warm_up + options.duration;
        let (schedule, ticker) = match options.mode {
            Mode::OpenLoop { rate_per_s, arrivals } => (
                Some(RefCell::new(Schedule::new(arrivals, rate_per_s, length, options.seed))),
                Some(Ticker::start(start, rate_per_s).map_err(LoadError::generator)?),
            ),
            Mode::ClosedLoop { .. } => (None, None),
        };
        Ok(Self {
            target,
            start,
            end: Cell::new(start + length),
            queue: Queue::new(options.max_queued, options.connection_count()),
            schedule,
            ticker,
            maker: RefCell::new(PaymentMaker::new(&options, rand::random())),
            recorder: RefCell::new(Recorder::new(start, options.warm_up, options.duration)?),
            ack_log: RefCell::new(ack_log),
            fatal: RefCell::new(None),
            last_contact: Cell::new(start),
            failures_since_contact: Cell::new(0),
            options,
        })
    }

    /// The next payment of the schedule, if it is due.
    fn take_due(&self, now: Instant) -> Option<Job> {
        let due = self.schedule.as_ref()?.borrow_mut().take_due(now.saturating_duration_since(self.start))?;
        let job = Job { intended: self.start + due, released: now };
        self.recorder.borrow_mut().due(job);
        Some(job)
    }

    /// Queues everything that is due.
    pub(super) fn release_due(&self, now: Instant) {
        while let Some(job) = self.take_due(now) {
            if !self.queue.push(job) {
                self.recorder.borrow_mut().not_sent(job);
            }
        }
        if let (Some(schedule), Some(ticker)) = (&self.schedule, &self.ticker) {
            ticker.set_next_due(schedule.borrow().next_due());
        }
    }

    /// The next payment for a worker that is free; `Ready(None)` when there will be no more.
    pub(super) fn poll_take(&self, worker: usize, cx: &mut Context<'_>) -> Poll<Option<Job>> {
        let now = Instant::now();
        if self.schedule.is_none() {
            return Poll::Ready(self.begin_closed(now));
        }
        // Between two ticks a free worker looks at the schedule itself, so that it waits for no tick.
        if self.queue.waiting() == 0
            && let Some(job) = self.take_due(now)
        {
            self.queue.give_up_waiting(worker);
            self.release_due(now);
            return Poll::Ready(Some(job));
        }
        self.queue.poll_take(worker, cx)
    }

    fn begin_closed(&self, now: Instant) -> Option<Job> {
        let job = (now < self.end.get()).then_some(Job { intended: now, released: now })?;
        self.recorder.borrow_mut().due(job);
        Some(job)
    }

    /// A payment for a worker that has no connection to send it on, to be recorded as failed.
    pub(super) fn try_take(&self) -> Option<Job> {
        if self.schedule.is_none() { self.begin_closed(Instant::now()) } else { self.queue.try_take() }
    }

    /// The worker's connection ended while it waited.
    pub(super) fn stop_waiting(&self, worker: usize) {
        self.queue.give_up_waiting(worker);
    }

    /// Nothing left to send.
    pub(super) fn is_over(&self) -> bool {
        if self.schedule.is_none() { Instant::now() >= self.end.get() } else { self.queue.is_finished() }
    }

    pub(super) fn next_payment(&self) -> Payment {
        self.maker.borrow_mut().next()
    }

    pub(super) fn record(&self, finished: &Finished) {
        self.recorder.borrow_mut().record(finished);
    }

    /// Writes an acknowledged payment down. If that fails the run ends: its log would prove nothing.
    pub(super) fn acknowledge(&self, outcome: &Outcome, payment: &Payment) {
        let mut log = self.ack_log.borrow_mut();
        if let (Some(open), Outcome::Payment { id, status, .. }) = (log.as_mut(), outcome)
            && let Err(source) = open.append(id, status, payment.amount_minor, &payment.idempotency_key)
        {
            *log = None;
            let path = self.options.ack_log.clone().unwrap_or_default();
            *self.fatal.borrow_mut() = Some(LoadError::AckLog { path, source });
        }
    }

    pub(super) fn note_connect(&self, connected: bool) {
        if connected {
            self.recorder.borrow_mut().reconnects += 1;
            self.note_contact();
        } else {
            self.recorder.borrow_mut().connect_failures += 1;
            self.failures_since_contact.set(self.failures_since_contact.get() + 1);
        }
    }

    pub(super) fn note_contact(&self) {
        self.last_contact.set(Instant::now());
        self.failures_since_contact.set(0);
    }

    /// Why the run cannot go on, if so.
    pub(super) fn hopeless(&self) -> Option<&'static str> {
        if self.fatal.borrow().is_some() {
            return Some("the acknowledgement log could not be written");
        }
        let lost =
            self.failures_since_contact.get() > 0 && self.last_contact.get().elapsed() >= UNREACHABLE_MAX;
        (lost && !self.options.tolerate_outage).then_some("the server could not be reached for 10 s")
    }

    pub(super) fn end_now(&self) {
        let now = Instant::now();
        self.end.set(self.end.get().min(now));
        self.recorder.borrow_mut().cut(now);
        if let Some(schedule) = &self.schedule {
            schedule.borrow_mut().cut(now.saturating_duration_since(self.start));
        }
    }
}
