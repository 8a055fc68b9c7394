//! One log's way to the bus: read, publish, move the place behind what the broker has.
//!
//! The next lot is read while the one before it is on its way. When it is behind, it reads for a share of the time only. A
//! message that the broker refuses for its own sake is put aside where it is seen (a notice, a line in the log, a
//! counter) and the others go on; whatever else goes wrong is tried again, for as long as it takes, from the place that the
//! store knows of: so nothing that was forgotten meanwhile is told.

use super::backoff::Backoff;
use super::data::{Lot, Payments};
use super::hold::{Held, Taken};
use super::report::LineState;
use super::{Line, Relay};
use crate::error::EngineError;
use crate::ids;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_bus::BusError;
use tollgate_core::bus::{Message, Topic};
use tollgate_core::event::EventRecord;
use tollgate_core::id::{EventId, MerchantId};
use tollgate_core::notice::{Notice, NoticeKind};
use tollgate_store::commit::Upkeep;

/// How often a log is looked at when nobody tells of commits: those of other instances are not told.
const LOOK: Duration = Duration::from_millis(100);

/// Events gather for so long: each lot costs a round trip to the broker.
const GATHER: Duration = Duration::from_millis(5);

/// How often the store is told of the place, at most: a crash publishes what came since again.
const NOTE: Duration = Duration::from_millis(250);

/// How often it is looked where the log ends.
const MEASURE: Duration = Duration::from_secs(1);

/// For so many leases an instance fails before it lets others try: they may reach the broker.
const LEASES_FAILED_MAX: u32 = 2;

/// Why an instance has a log no longer.
enum End {
    /// Another may have it, or the store could not be asked.
    Lost,
    /// The broker could not be published to for long.
    Failing,
    /// The program stops.
    Stopped,
}

/// What is remembered while a log is held.
struct Work {
    held: Held,
    payments: Payments,
    ahead: Option<Lot>,
    backoff: Backoff,
    /// Since when nothing could be published.
    failing_since: Option<Instant>,
    is_prepared: bool,
    measured_at: Option<Instant>,
    /// What was put aside and is not behind the place yet: it is told once.
    aside: HashSet<String>,
}

impl Relay {
    /// Follows one of the logs until it is stopped.
    pub(super) async fn run(self: Arc<Self>, line: Line) {
        let mut backoff = Backoff::default();
        while !self.is_stopping() {
            let pause = match self.take(line).await {
                Ok(Some(Taken::Own(held))) => {
                    backoff.reset();
                    self.lines.set(line, |report| {
                        // What could not be published before is no better for being taken again.
                        if report.state != LineState::Waiting {
                            report.state = LineState::Starting;
                        }
                        (report.is_held, report.holder, report.read) = (true, None, held.read);
                    });
                    match self.hold(held).await {
                        End::Stopped => return,
                        End::Lost => Duration::ZERO,
                        // Whoever reaches the broker has time to take it.
                        End::Failing => self.renewal() + self.renewal() / 2,
                    }
                }
                Ok(Some(Taken::Other { name, read, end })) => {
                    self.lines.set(line, |report| {
                        (report.state, report.holder) = (LineState::Standby, Some(name));
                        (report.read, report.end, report.lag_ms) = (read, end, 0);
                    });
                    self.renewal()
                }
                Ok(None) => LOOK,
                Err(error) => {
                    self.lines.set(line, |report| report.state = LineState::Waiting);
                    tracing::warn!(%error, log = line.name(), "a log could not be taken for the event bus");
                    backoff.next()
                }
            };
            self.rest(pause).await;
        }
    }

    /// Publishes a log for as long as this instance has it.
    async fn hold(&self, held: Held) -> End {
        let line = held.line;
        let mut work = Work {
            held,
            payments: Payments::default(),
            ahead: None,
            backoff: Backoff::default(),
            failing_since: None,
            is_prepared: false,
            measured_at: None,
            aside: HashSet::new(),
        };
        let end = loop {
            match self.round(&mut work).await {
                Ok(None) => {}
                Ok(Some(end)) => break end,
                Err(error) => {
                    // Nobody knows what is durable: the store tells, when the log is taken anew.
                    tracing::warn!(%error, log = line.name(), "a log could not be read for the event bus");
                    self.rest(work.backoff.next()).await;
                    break End::Lost;
                }
            }
        };
        match end {
            End::Stopped => {
                // What is published and not noted would be published again.
                if let Err(error) = self.note(&mut work.held).await {
                    tracing::warn!(%error, log = line.name(), "some events are published again after this stop");
                }
                self.release(line).await;
            }
            End::Failing => self.release(line).await,
            End::Lost => {}
        }
        self.lines.set(line, |report| (report.is_held, report.state) = (false, LineState::Waiting));
        end
    }

    /// One lot, or a look that finds nothing.
    async fn round(&self, work: &mut Work) -> Result<Option<End>, EngineError> {
        if self.is_stopping() {
            return Ok(Some(End::Stopped));
        }
        if !work.held.is_valid() {
            return Ok(Some(End::Lost));
        }
        match self.prepare(work).await? {
            None => return Ok(Some(End::Lost)),
            Some(false) => return self.failed(work).await,
            Some(true) => {}
        }
        // Whoever commits from here on is heard, though nobody waits yet.
        let news = self.engine.bus_news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        let line = work.held.line;
        let begun = Instant::now();
        let lot = match work.ahead.take() {
            Some(lot) => lot,
            None => self.lot(line, work.held.read, &mut work.payments).await?,
        };
        let mut reading = begun.elapsed();
        self.measure(work, &lot).await?;
        if lot.upto == work.held.read {
            self.lines.set(line, |report| report.state = LineState::Relaying);
            if !self.note_in_time(work).await? {
                return Ok(Some(End::Lost));
            }
            let stopped = self.stop.notified();
            tokio::select! {
                () = news => self.rest(GATHER).await,
                () = stopped => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            return Ok(None);
        }
        let sending = Instant::now();
        let Lot { messages, upto, is_full, lost, .. } = lot;
        let (published, ahead) = {
            let Work { held, payments, aside, .. } = &mut *work;
            let ahead = async {
                if !is_full {
                    return Ok(None);
                }
                let begun = Instant::now();
                let lot = self.lot(line, upto, payments).await?;
                Ok::<_, EngineError>(Some((lot, begun.elapsed())))
            };
            tokio::join!(self.publish(held, aside, messages), ahead)
        };
        match published? {
            None => return Ok(Some(End::Lost)),
            Some(Err(error)) => {
                work.payments.forget();
                self.complain(line, &error);
                // Topics may be missing by now.
                work.is_prepared = false;
                return self.failed(work).await;
            }
            Some(Ok(())) => {}
        }
        for record in &lost {
            self.put_aside_lost(record).await?;
        }
        work.held.read = upto;
        work.aside.clear();
        work.backoff.reset();
        work.failing_since = None;
        self.lines.set(line, |report| {
            (report.state, report.read) = (LineState::Relaying, upto);
            report.end = report.end.max(upto);
        });
        if let Some((lot, took)) = ahead? {
            reading += took;
            work.ahead = Some(lot);
        }
        if !self.note_in_time(work).await? {
            return Ok(Some(End::Lost));
        }
        if is_full {
            let share = u32::from(self.options.share_percent.clamp(1, 100));
            let pause = reading * (100 - share) / share;
            // What it waited for the broker was the payments' time already.
            self.rest(pause.saturating_sub(sending.elapsed().saturating_sub(reading))).await;
        }
        Ok(None)
    }

    /// Makes the bus ready, once. Whether it is; none: the log is lost meanwhile.
    async fn prepare(&self, work: &mut Work) -> Result<Option<bool>, EngineError> {
        if work.is_prepared {
            return Ok(Some(true));
        }
        let Some(done) = self.keeping(&mut work.held, self.bus.prepare()).await? else {
            return Ok(None);
        };
        match done {
            Ok(()) => work.is_prepared = true,
            Err(error) => self.complain(work.held.line, &error),
        }
        Ok(Some(work.is_prepared))
    }

    /// Waits after a failure. Whether the log is to be given to others.
    async fn failed(&self, work: &mut Work) -> Result<Option<End>, EngineError> {
        work.ahead = None;
        let since = *work.failing_since.get_or_insert_with(Instant::now);
        let line = work.held.line;
        self.lines.set(line, |report| report.state = LineState::Waiting);
        let until = Instant::now() + work.backoff.next();
        while Instant::now() < until && !self.is_stopping() {
            if since.elapsed() > self.options.lease * LEASES_FAILED_MAX {
                return Ok(Some(End::Failing));
            }
            let left = until.saturating_duration_since(Instant::now());
            self.rest(left.min(self.renewal())).await;
            if !self.note_in_time(work).await? {
                return Ok(Some(End::Lost));
            }
        }
        let begun = Instant::now();
        let after = work.held.read;
        let lot = self.lot(line, after, &mut work.payments).await?;
        work.payments.forget();
        tracing::trace!(log = line.name(), took = ?begun.elapsed(), "looked how far behind it is");
        self.measure(work, &lot).await?;
        Ok(None)
    }

    /// Publishes a lot. What the broker refuses of it for its own sake is put aside. None: the log is lost meanwhile.
    async fn publish(
        &self,
        held: &mut Held,
        aside: &mut HashSet<String>,
        mut messages: Vec<Message>,
    ) -> Result<Option<Result<(), BusError>>, EngineError> {
        while !messages.is_empty() {
            let Some(done) = self.keeping(held, self.bus.publish(&messages)).await? else {
                return Ok(None);
            };
            let Err(error) = done else {
                break;
            };
            let refused = error.faulty_message().and_then(|id| messages.iter().position(|one| one.id == id));
            let Some(place) = refused else {
                return Ok(Some(Err(error)));
            };
            let message = messages.remove(place);
            if aside.insert(message.id.clone()) {
                self.put_aside(message.topic, &message.id, message.key, &error.to_string()).await?;
                self.lines.set(held.line, |report| report.refused += 1);
            }
        }
        let mut counts = [0_u64; Topic::ALL.len()];
        for message in &messages {
            if let Some(count) = counts.get_mut(message.topic.index()) {
                *count += 1;
            }
        }
        for (topic, count) in Topic::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            metrics::counter!("tollgate_events_relayed_total", "topic" => topic.as_str()).increment(count);
        }
        Ok(Some(Ok(())))
    }

    /// Waits for the bus, and keeps the log meanwhile. None: it is lost.
    async fn keeping<T>(
        &self,
        held: &mut Held,
        asked: impl Future<Output = T>,
    ) -> Result<Option<T>, EngineError> {
        tokio::pin!(asked);
        loop {
            tokio::select! {
                done = &mut asked => return Ok(Some(done)),
                () = tokio::time::sleep(self.renewal()) => {
                    if !self.note(held).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Notes the place, or that the log is kept, when it is time. Whether the log is still this instance's.
    async fn note_in_time(&self, work: &mut Work) -> Result<bool, EngineError> {
        let held = &mut work.held;
        let pause = if held.noted == held.read { self.renewal() } else { NOTE };
        if held.noted_at.elapsed() < pause { Ok(true) } else { self.note(held).await }
    }

    /// Looks how far behind it is, once in a while.
    async fn measure(&self, work: &mut Work, lot: &Lot) -> Result<(), EngineError> {
        let line = work.held.line;
        let now_ms = self.engine.now_ms();
        let lag_ms = lot.since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
        let is_due = work.measured_at.is_none_or(|at| at.elapsed() >= MEASURE);
        let end = if is_due {
            work.measured_at = Some(Instant::now());
            Some(self.engine.store.log_place_of(line.of, line.reader()).await?.end)
        } else {
            None
        };
        let read = work.held.read;
        self.lines.set(line, |report| {
            report.read = read;
            report.lag_ms = lag_ms;
            report.end = end.unwrap_or(report.end).max(lot.upto);
        });
        Ok(())
    }

    /// Says what went wrong.
    fn complain(&self, line: Line, error: &BusError) {
        let kind = if error.passes() { "away" } else { "refused" };
        metrics::counter!("tollgate_events_errors_total", "kind" => kind).increment(1);
        tracing::warn!(%error, log = line.name(), "events wait for the bus; payments do not");
    }

    /// Keeps where it is seen that a message was refused.
    async fn put_aside(
        &self,
        topic: Topic,
        id: &str,
        merchant_id: MerchantId,
        because: &str,
    ) -> Result<(), EngineError> {
        let (parts, at_ms) = ids::fresh(&self.engine.clock, merchant_id.bucket());
        let kind = NoticeKind::EventRefused {
            topic: topic.as_str().to_owned(),
            message_id: id.to_owned(),
            merchant_id,
            because: tollgate_core::job::cut(because.to_owned(), tollgate_core::job::ERROR_BYTES_MAX),
        };
        // Durable before the place moves behind it.
        let notice = Notice { id: EventId::from_parts(parts), at_ms, kind };
        self.engine.store.upkeep(Upkeep::PutNotice(notice)).await?;
        metrics::counter!("tollgate_events_refused_total", "topic" => topic.as_str()).increment(1);
        tracing::error!(message = id, topic = topic.as_str(), merchant = %merchant_id, because,
            "a message was put aside; `tollgate events replay` publishes it once it can be taken");
        Ok(())
    }

    async fn put_aside_lost(&self, record: &EventRecord) -> Result<(), EngineError> {
        let because = "its payment's beginning is not kept any more";
        self.put_aside(Topic::PaymentEvents, &record.id.to_string(), record.merchant_id, because).await
    }
}
