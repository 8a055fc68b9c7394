//! What the logs hold, told once more: with the same ids, in each merchant's order.
//!
//! Events are read merchant by merchant, not log by log: what moved to another shard with its merchant is in no log's order
//! any more, and whose it is orders it. Outcomes of webhook deliveries are read log by log and are kept for seven days.

use super::Line;
use super::backoff::Backoff;
use super::data::{Bodies, Payments};
use crate::error::EngineError;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_bus::{Bus, BusError};
use tollgate_core::bus::{Message, Topic};
use tollgate_core::event::EventRecord;
use tollgate_core::id::{EventId, MerchantId};
use tollgate_store::Store;
use tollgate_store::error::StoreError;

/// Rows read at once.
const PAGE: usize = 250;

/// Events are in the log in the order of their commits, which may differ from that of their times by so much.
const SKEW_MS: u64 = 60_000;

/// How long a broker that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A place in what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A time, in milliseconds since the Unix epoch: what happened then belongs to what comes after.
    Time(u64),
    /// A number in a log. With several shards, in each one's.
    Sequence(u64),
    /// An event: that one of its merchant, and what happened when it did of others.
    Event(EventId),
}

/// What is told again.
#[derive(Debug, Clone)]
pub struct Replay {
    /// From here on.
    pub from: Until,
    /// Up to here: before a time; with a number or an event, that one included.
    pub to: Option<Until>,
    /// Of this topic alone.
    pub topic: Option<Topic>,
    /// Of this merchant alone.
    pub merchant_id: Option<MerchantId>,
    /// Most messages handed over at once.
    pub batch_events: usize,
    /// Most bytes of them, but for the last.
    pub batch_bytes: usize,
    /// How much of its time it reads, in percent: the rest is the payments'.
    pub share_percent: u8,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// Messages that were handed over.
    pub messages: u64,
    /// Messages that the broker refused again.
    pub refused: u64,
    /// Events whose payment's beginning is not kept any more.
    pub lost: u64,
}

/// Why it was not told again to the end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such event, or not of that merchant.
    #[error("there is no event {0}")]
    NoEvent(EventId),
    /// The broker.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The store.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What takes the messages.
    #[error("{0}")]
    Sink(String),
}

impl From<StoreError> for ReplayError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

/// What takes the messages; tells how many it refuses for good.
#[async_trait]
pub trait Sink: Send {
    /// Takes some, in their order.
    ///
    /// # Errors
    /// [`ReplayError`]; some may have been taken.
    async fn take(&mut self, messages: Vec<Message>) -> Result<u64, ReplayError>;
}

#[async_trait]
impl Sink for Arc<dyn Bus> {
    async fn take(&mut self, mut messages: Vec<Message>) -> Result<u64, ReplayError> {
        let mut backoff = Backoff::default();
        let begun = Instant::now();
        let mut refused = 0;
        while !messages.is_empty() {
            let Err(error) = self.publish(&messages).await else {
                break;
            };
            if let Some(place) =
                error.faulty_message().and_then(|id| messages.iter().position(|one| one.id == id))
            {
                tracing::error!(%error, "a message is refused again");
                messages.remove(place);
                refused += 1;
            } else if error.passes() && begun.elapsed() < PATIENCE {
                tracing::warn!(%error, "waiting for the event bus");
                tokio::time::sleep(backoff.next()).await;
            } else {
                return Err(error.into());
            }
        }
        Ok(refused)
    }
}

/// A place, once it is known where the event of it is.
#[derive(Debug, Clone, Copy)]
enum Place {
    Time(u64),
    Sequence(u64),
    Event { merchant_id: MerchantId, sequence: u64, at_ms: u64 },
}

impl Place {
    /// Whether something is at the place or behind it.
    fn is_reached(self, merchant_id: Option<MerchantId>, sequence: u64, at_ms: u64) -> bool {
        match self.of(merchant_id) {
            Self::Time(from_ms) => at_ms >= from_ms,
            Self::Sequence(number) | Self::Event { sequence: number, .. } => sequence >= number,
        }
    }

    /// Whether something is behind the place, where that is an end.
    fn is_passed(self, merchant_id: Option<MerchantId>, sequence: u64, at_ms: u64) -> bool {
        match self.of(merchant_id) {
            Self::Time(to_ms) => at_ms >= to_ms,
            Self::Sequence(number) | Self::Event { sequence: number, .. } => sequence > number,
        }
    }

    /// Whether all that comes after something is behind the place.
    fn is_over(self, merchant_id: Option<MerchantId>, sequence: u64, at_ms: u64) -> bool {
        match self.of(merchant_id) {
            Self::Time(to_ms) => at_ms > to_ms.saturating_add(SKEW_MS),
            Self::Sequence(number) | Self::Event { sequence: number, .. } => sequence >= number,
        }
    }

    /// As it is for one merchant: an event is a time to all others.
    fn of(self, merchant_id: Option<MerchantId>) -> Self {
        match self {
            Self::Event { merchant_id: own, at_ms, .. } if merchant_id != Some(own) => Self::Time(at_ms),
            place => place,
        }
    }
}

/// A replay under way.
struct Run<'a> {
    store: &'a dyn Store,
    bodies: Bodies,
    replay: &'a Replay,
    from: Place,
    to: Option<Place>,
    /// Above the numbers of all logs.
    end: u64,
    sink: &'a mut dyn Sink,
    gathered: Vec<Message>,
    bytes: usize,
    since: Instant,
    outcome: ReplayOutcome,
}

/// Tells what the logs hold once more.
///
/// # Errors
/// [`ReplayError`]: then it may be begun again.
pub async fn replay(
    store: &dyn Store,
    bodies: Bodies,
    wish: &Replay,
    sink: &mut dyn Sink,
) -> Result<ReplayOutcome, ReplayError> {
    let mut end = 0;
    for line in Line::all(store) {
        end = end.max(store.log_place_of(line.of, line.reader()).await?.end);
    }
    let from = place_of(store, wish.merchant_id, wish.from, end).await?;
    let to = match wish.to {
        Some(to) => Some(place_of(store, wish.merchant_id, to, end).await?),
        None => None,
    };
    let mut run = Run {
        store,
        bodies,
        replay: wish,
        from,
        to,
        end,
        sink,
        gathered: Vec::new(),
        bytes: 0,
        since: Instant::now(),
        outcome: ReplayOutcome::default(),
    };
    if run.wants(Topic::PaymentEvents) || run.wants(Topic::FraudAlerts) {
        for merchant_id in merchants(store, wish.merchant_id).await? {
            run.merchant(merchant_id).await?;
        }
    }
    if run.wants(Topic::WebhookEvents) {
        for of in 0..store.logs() {
            run.outcomes(of).await?;
        }
    }
    run.hand_over().await?;
    Ok(run.outcome)
}

impl Run<'_> {
    fn wants(&self, topic: Topic) -> bool {
        self.replay.topic.is_none_or(|wanted| wanted == topic)
    }

    /// A merchant's events.
    async fn merchant(&mut self, merchant_id: MerchantId) -> Result<(), ReplayError> {
        let own = Some(merchant_id);
        let mut after = match self.from.of(own) {
            Place::Time(at_ms) => before_event(self.store, merchant_id, at_ms, self.end).await?,
            Place::Sequence(number) | Place::Event { sequence: number, .. } => number.saturating_sub(1),
        };
        let mut payments = Payments::default();
        loop {
            let page = self.store.events(merchant_id, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for record in page {
                let (sequence, at_ms) = (record.sequence, record.at_ms);
                after = sequence;
                let is_in = self.from.is_reached(own, sequence, at_ms)
                    && !self.to.is_some_and(|to| to.is_passed(own, sequence, at_ms));
                if is_in {
                    self.event(&record, &mut payments).await?;
                }
                if self.to.is_some_and(|to| to.is_over(own, sequence, at_ms)) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn event(&mut self, record: &EventRecord, payments: &mut Payments) -> Result<(), ReplayError> {
        let Some(payment) = payments.after(self.store, record).await? else {
            tracing::warn!(event = %record.id, "its payment's beginning is not kept any more");
            self.outcome.lost += 1;
            return Ok(());
        };
        for message in self.bodies.of_event(record, payment) {
            self.add(message).await?;
        }
        Ok(())
    }

    /// A log's outcomes of webhook deliveries.
    async fn outcomes(&mut self, of: u16) -> Result<(), ReplayError> {
        let mut after = match self.from.of(None) {
            Place::Time(at_ms) => before_outcome(self.store, of, at_ms, self.end).await?,
            Place::Sequence(number) | Place::Event { sequence: number, .. } => number.saturating_sub(1),
        };
        loop {
            let page = self.store.outcomes_of(of, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for record in page {
                let (sequence, at_ms) = (record.sequence, record.outcome.at_ms);
                after = sequence;
                let is_of = |wanted: MerchantId| wanted == record.outcome.merchant_id;
                let is_in = self.replay.merchant_id.is_none_or(is_of)
                    && self.from.is_reached(None, sequence, at_ms)
                    && !self.to.is_some_and(|to| to.is_passed(None, sequence, at_ms));
                if is_in {
                    self.add(self.bodies.of_outcome(&record.outcome)).await?;
                }
                if self.to.is_some_and(|to| to.is_over(None, sequence, at_ms)) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn add(&mut self, message: Message) -> Result<(), ReplayError> {
        if !self.wants(message.topic) {
            return Ok(());
        }
        self.bytes += message.data.len();
        self.gathered.push(message);
        let is_full =
            self.gathered.len() >= self.replay.batch_events || self.bytes >= self.replay.batch_bytes;
        if is_full { self.hand_over().await } else { Ok(()) }
    }

    async fn hand_over(&mut self) -> Result<(), ReplayError> {
        let read_for = self.since.elapsed();
        let messages = std::mem::take(&mut self.gathered);
        self.bytes = 0;
        let count = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        let handing = Instant::now();
        let refused = self.sink.take(messages).await?;
        self.outcome.messages += count.saturating_sub(refused);
        self.outcome.refused += refused;
        let share = u32::from(self.replay.share_percent.clamp(1, 100));
        let pause = read_for * (100 - share) / share;
        tokio::time::sleep(pause.saturating_sub(handing.elapsed())).await;
        self.since = Instant::now();
        Ok(())
    }
}

async fn merchants(store: &dyn Store, wanted: Option<MerchantId>) -> Result<Vec<MerchantId>, ReplayError> {
    match wanted {
        Some(merchant_id) => Ok(vec![merchant_id]),
        None => Ok(store.merchants().await?.into_iter().map(|merchant| merchant.id).collect()),
    }
}

/// Finds where an event is: its id tells when and in which bucket it happened.
async fn place_of(
    store: &dyn Store,
    wanted: Option<MerchantId>,
    until: Until,
    end: u64,
) -> Result<Place, ReplayError> {
    let id = match until {
        Until::Time(at_ms) => return Ok(Place::Time(at_ms)),
        Until::Sequence(number) => return Ok(Place::Sequence(number)),
        Until::Event(id) => id,
    };
    let merchants = merchants(store, wanted).await?;
    for merchant_id in merchants.into_iter().filter(|merchant_id| merchant_id.bucket() == id.bucket()) {
        let mut after = before_event(store, merchant_id, id.unix_ms().saturating_sub(SKEW_MS), end).await?;
        'pages: loop {
            let page = store.events(merchant_id, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for record in &page {
                if record.id == id {
                    let (sequence, at_ms) = (record.sequence, record.at_ms);
                    return Ok(Place::Event { merchant_id, sequence, at_ms });
                }
                if record.at_ms > id.unix_ms().saturating_add(2 * SKEW_MS) {
                    break 'pages;
                }
                after = record.sequence;
            }
            if is_last {
                break;
            }
        }
    }
    Err(ReplayError::NoEvent(id))
}

/// A number before all of a merchant's events of a moment: a merchant's numbers grow, also where its rows have moved to
/// another log.
async fn before_event(
    store: &dyn Store,
    merchant_id: MerchantId,
    at_ms: u64,
    end: u64,
) -> Result<u64, StoreError> {
    before(at_ms, end, async |after| {
        let page = store.events(merchant_id, after, 1).await?;
        Ok(page.first().map(|record| (record.sequence, record.at_ms)))
    })
    .await
}

/// The same of a log's outcomes.
async fn before_outcome(store: &dyn Store, of: u16, at_ms: u64, end: u64) -> Result<u64, StoreError> {
    before(at_ms, end, async |after| {
        let page = store.outcomes_of(of, after, 1).await?;
        Ok(page.first().map(|record| (record.sequence, record.outcome.at_ms)))
    })
    .await
}

/// Found by halving; `next` gives number and time of the first behind a number.
async fn before(
    at_ms: u64,
    end: u64,
    next: impl AsyncFn(u64) -> Result<Option<(u64, u64)>, StoreError>,
) -> Result<u64, StoreError> {
    let early_ms = at_ms.saturating_sub(SKEW_MS);
    let (mut low, mut high) = (0, end);
    while low < high {
        match next(low + (high - low) / 2).await? {
            Some((sequence, happened_ms)) if happened_ms < early_ms => low = sequence,
            _ => high = low + (high - low) / 2,
        }
    }
    Ok(low)
}
