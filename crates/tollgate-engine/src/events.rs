//! Events out to the bus: the store's logs are told to other systems, in their order, by one instance at a time.
//!
//! The logs are the outbox: an event is in the commit that it tells of, so nothing is told that is not so, and nothing that
//! is so is not told. For each log one instance holds the bus's reader ([`hold`]), reads on from its place, makes
//! messages ([`data`]), publishes them and moves the place behind what the broker has acknowledged ([`relay`]). What dies in
//! between publishes some messages again, with the same ids. Payments wait for none of it.
//!
//! Without a broker the same messages are read from the logs ([`replay`], `tollgate events replay --stdout`).

mod backoff;
mod data;
mod hold;
mod relay;
mod replay;
mod report;
mod status;

pub use data::{Alert, Bodies, alert_of};
pub use replay::{Replay, ReplayError, ReplayOutcome, Sink, Until, replay};
pub use report::{LineReport, LineState, RelayReport};
pub use status::{LineStatus, PutAside, give_up, put_aside, status};

use crate::flow::Engine;
use parking_lot::Mutex;
use report::Lines;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tollgate_bus::Bus;
use tollgate_store::Store;
use tollgate_store::jobs::LogReader;

/// Where a reader begins that has never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begin {
    /// At the log's present end: what was before is told by a replay, if anybody wants it.
    #[default]
    Now,
    /// At the first event that is kept.
    Beginning,
}

/// How the bus is told.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Where it begins.
    pub begin: Begin,
    /// How long an instance has a log to itself without saying that it still does.
    pub lease: Duration,
    /// Most events read and published at once.
    pub batch_events: usize,
    /// Most bytes of them, but for the last.
    pub batch_bytes: usize,
    /// How much of its time it reads when it is behind, in percent: the rest is the payments'.
    pub share_percent: u8,
    /// How this instance is shown to people.
    pub holder: String,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            begin: Begin::Now,
            lease: Duration::from_secs(15),
            batch_events: 1_000,
            batch_bytes: 4 << 20,
            share_percent: 50,
            holder: String::new(),
        }
    }
}

/// The readers that tell the bus, and so the kinds of logs.
pub const READERS: [LogReader; 2] = [LogReader::Bus, LogReader::Outcomes];

/// One log, as the bus is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Which of the logs, counted from 0.
    pub of: u16,
    /// Its place in [`READERS`].
    place: u8,
}

impl Line {
    /// Who reads it.
    #[must_use]
    pub const fn reader(self) -> LogReader {
        if self.place == 0 { LogReader::Bus } else { LogReader::Outcomes }
    }

    /// How it is shown: `events-0`, `outcomes-3`.
    #[must_use]
    pub fn name(self) -> String {
        let kind = if self.place == 0 { "events" } else { "outcomes" };
        format!("{kind}-{}", self.of)
    }

    /// All lines of a store.
    pub fn all(store: &dyn Store) -> impl Iterator<Item = Self> + use<> {
        (0..store.logs()).flat_map(|of| [0, 1].map(|place| Self { of, place }))
    }
}

/// Tells the bus. Lives in an [`Arc`]; its background work is started by [`Relay::start`].
#[derive(Debug)]
pub struct Relay {
    engine: Arc<Engine>,
    bus: Arc<dyn Bus>,
    options: RelayOptions,
    bodies: Bodies,
    /// This run's name on what it holds.
    owner: u64,
    lines: Lines,
    stopping: AtomicBool,
    stop: Notify,
    tasks: Mutex<JoinSet<()>>,
}

impl Relay {
    /// Puts it together.
    #[must_use]
    pub fn new(engine: Arc<Engine>, bus: Arc<dyn Bus>, options: RelayOptions, bodies: Bodies) -> Arc<Self> {
        Arc::new(Self {
            owner: rand::random(),
            lines: Lines::default(),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
            tasks: Mutex::default(),
            engine,
            bus,
            options,
            bodies,
        })
    }

    /// Starts the background work: one task a log.
    pub fn start(self: &Arc<Self>) {
        let mut tasks = self.tasks.lock();
        for line in Line::all(self.engine.store.as_ref()) {
            let relay = Arc::clone(self);
            tasks.spawn(async move { relay.run(line).await });
        }
    }

    /// Takes nothing new up, waits for what is under way and gives back what it holds, so that another instance goes on at
    /// once. What could not be finished in `patience` is published again by whoever goes on.
    pub async fn stop(&self, patience: Duration) {
        self.stopping.store(true, Ordering::Release);
        self.stop.notify_waiters();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let finished = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, finished).await.is_err() {
            tracing::warn!("stopped with events on their way to the bus; they are published again");
            tasks.shutdown().await;
        }
        self.bus.close().await;
    }

    /// How it does. Asks nobody.
    #[must_use]
    pub fn report(&self) -> RelayReport {
        RelayReport { bus: self.bus.report(), lines: self.lines.all() }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits, but not beyond the stop.
    async fn rest(&self, time: Duration) {
        let stopped = self.stop.notified();
        tokio::pin!(stopped);
        stopped.as_mut().enable();
        if !self.is_stopping() {
            let _ = tokio::time::timeout(time, stopped).await;
        }
    }
}
