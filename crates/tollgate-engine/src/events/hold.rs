//! Who has a log to itself.
//!
//! A hold is a row beside the reader's place. Whoever has it commits every step of the place together with keeping it: an
//! instance that was taken for dead and comes back moves nothing. It may publish for a moment longer; those are repeats of what
//! the other publishes, and what is seen for the first time is in order all the same, as both go on from the same place.

use super::{Begin, Line, Relay};
use crate::error::EngineError;
use std::time::{Duration, Instant};
use tollgate_store::jobs::{Hold, HoldStep, LogStep, Work, Worked};

/// A log that this instance has to itself.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) line: Line,
    /// The last number that was published.
    pub(super) read: u64,
    /// The last that the store knows of.
    pub(super) noted: u64,
    /// When the store was last told.
    pub(super) noted_at: Instant,
    /// Until when it may go on without telling.
    until: Instant,
}

impl Held {
    /// Whether nobody else can have it yet.
    pub(super) fn is_valid(&self) -> bool {
        Instant::now() < self.until
    }
}

/// What came of wanting a log.
#[derive(Debug)]
pub(super) enum Taken {
    /// It is this instance's.
    Own(Held),
    /// Another has it.
    Other {
        /// How it is shown.
        name: String,
        /// How far it came.
        read: u64,
        /// Where the log ends.
        end: u64,
    },
}

impl Relay {
    /// Takes a log, if nobody has it.
    pub(super) async fn take(&self, line: Line) -> Result<Option<Taken>, EngineError> {
        let store = self.engine.store.as_ref();
        let reader = line.reader();
        let place = store.log_place_of(line.of, reader).await?;
        let now_ms = self.engine.now_ms();
        if let Some(hold) = place.hold
            && hold.owner != self.owner
            && hold.until_ms > now_ms
        {
            let read = place.read.unwrap_or(0);
            return Ok(Some(Taken::Other { name: hold.name, read, end: place.end }));
        }
        let begun = Instant::now();
        let log = place.read.is_none().then(|| {
            let to = if self.options.begin == Begin::Now { place.end } else { 0 };
            tracing::info!(log = line.name(), after = to, "the event bus is told from here on");
            LogStep { reader, from: 0, to }
        });
        let name = self.options.holder.clone();
        let how = Hold::Take { name, until_ms: now_ms.saturating_add(self.lease_ms()) };
        if !self.work(line, how, log, now_ms).await? {
            return Ok(None);
        }
        // Whoever had it may have gone on since it was read above.
        let read = store.log_place_of(line.of, reader).await?.read.unwrap_or(0);
        let until = self.until(begun);
        Ok(Some(Taken::Own(Held { line, read, noted: read, noted_at: begun, until })))
    }

    /// Tells the store how far it came, and that it goes on. Whether it still has the log.
    pub(super) async fn note(&self, held: &mut Held) -> Result<bool, EngineError> {
        let begun = Instant::now();
        let now_ms = self.engine.now_ms();
        let (from, to) = (held.noted, held.read);
        let log = (from != to).then(|| LogStep { reader: held.line.reader(), from, to });
        let how = Hold::Keep { until_ms: now_ms.saturating_add(self.lease_ms()) };
        if !self.work(held.line, how, log, now_ms).await? {
            return Ok(false);
        }
        (held.noted, held.noted_at, held.until) = (to, begun, self.until(begun));
        Ok(true)
    }

    /// Gives a log back.
    pub(super) async fn release(&self, line: Line) {
        let now_ms = self.engine.now_ms();
        if let Err(error) = self.work(line, Hold::Release, None, now_ms).await {
            tracing::warn!(%error, log = line.name(), "a log could not be given back; others wait for its time");
        }
    }

    async fn work(
        &self,
        line: Line,
        how: Hold,
        log: Option<LogStep>,
        now_ms: u64,
    ) -> Result<bool, EngineError> {
        let hold = Some(HoldStep { reader: line.reader(), owner: self.owner, how });
        let work = Work { now_ms, log, log_of: line.of, hold, ..Work::default() };
        Ok(self.engine.store.work(work).await? == Worked::Done)
    }

    /// How often a hold is renewed: it outlives two renewals that fail.
    pub(super) fn renewal(&self) -> Duration {
        self.options.lease / 3
    }

    /// A little before others may think that it is over.
    fn until(&self, begun: Instant) -> Instant {
        begun + self.options.lease - self.options.lease / 10
    }

    fn lease_ms(&self) -> u64 {
        crate::send::ms(self.options.lease)
    }
}
