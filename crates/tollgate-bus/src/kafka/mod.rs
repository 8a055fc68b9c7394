//! Kafka, by librdkafka.
//!
//! **Order.** A merchant's id is the record's key, and the partitioner is that of the Java clients (murmur2), so a merchant stays
//! in its partition. The producer is idempotent and has one request at a time under way to each broker. With more, a partition whose
//! first batch was refused (too few replicas) takes the second one all the same if it does not know the producer yet.
//!
//! **A message that fails takes the producer with it.** No message has a time limit of its own: one that lapsed would let those
//! behind it pass. A call's time limit, or its first failure, ends the producer with all that waits in it, and the next call
//! starts a new one. So what an ended producer leaves in a partition is always the beginning of what it was given; late arrivals
//! are repeats, never a gap.

mod delivery;
mod errors;
mod settings;
mod topics;

use crate::report::Counters;
use crate::{Bus, BusConfig, BusConfigError, BusError, BusReport, Refusal};
use async_trait::async_trait;
use delivery::{Call, Context, Ticket};
use parking_lot::{Mutex, RwLock};
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig, ThreadedProducer};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tollgate_core::bus::{Message, Source};

/// How long a call waits before it looks again whether the full queue has room.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// After so many messages a call lets other tasks have the thread.
const BREATH: usize = 256;

/// A cluster.
pub(crate) struct Kafka {
    settings: ClientConfig,
    source: Source,
    message_max_bytes: usize,
    delivery_timeout: Duration,
    topics: topics::Plan,
    producer: Mutex<Option<Arc<Live>>>,
    is_prepared: AtomicBool,
    is_closed: AtomicBool,
    counters: Arc<Counters>,
}

type Record<'a> = BaseRecord<'a, str, [u8], Box<Ticket>>;

/// A producer until something fails.
struct Live {
    producer: Option<ThreadedProducer<Context>>,
    /// Whether it has ended. A message is given to it under this lock: one that came after the purge would pass those before it.
    has_ended: RwLock<bool>,
}

impl Live {
    /// Gives it a message.
    #[allow(clippy::result_large_err, reason = "what was not sent is sent again")]
    fn send<'a>(&self, record: Record<'a>) -> Result<(), (KafkaError, Record<'a>)> {
        let has_ended = self.has_ended.read();
        match &self.producer {
            Some(producer) if !*has_ended => producer.send(record),
            _ => Err((KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue), record)),
        }
    }

    /// Ends it: what waits in it is given up. Calls that wait for it learn of it at once.
    fn end(&self) {
        let mut has_ended = self.has_ended.write();
        if let (false, Some(producer)) = (*has_ended, &self.producer) {
            producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
        }
        *has_ended = true;
    }

    /// The last trouble with brokers.
    fn trouble(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer.as_ref().and_then(|producer| producer.context().trouble())
    }

    /// Why it cannot go on, if so.
    fn fatal(&self) -> Option<String> {
        self.producer.as_ref().and_then(|producer| producer.client().fatal_error()).map(|(_, reason)| reason)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Ending it waits for its threads: not in a task's thread.
        let producer = self.producer.take();
        let ended = std::thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(producer));
        if let Err(error) = ended {
            tracing::warn!(%error, "a producer of Kafka was ended in place: no thread for it");
        }
    }
}

impl Kafka {
    /// The cluster of an address without its scheme.
    pub(crate) fn new(config: &BusConfig, servers: &str, is_tls: bool) -> Result<Self, BusConfigError> {
        let settings = settings::of(config, servers, is_tls)?;
        let kafka = Self {
            settings,
            source: config.source.clone(),
            message_max_bytes: usize::try_from(config.message_max_bytes).unwrap_or(usize::MAX),
            delivery_timeout: config.delivery_timeout,
            topics: topics::Plan { declare: config.declare, replication_factor: config.replication_factor },
            producer: Mutex::new(None),
            is_prepared: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            counters: Arc::default(),
        };
        // What librdkafka does not take shows here, not at the first payment.
        kafka.live().map_err(|error| BusConfigError::Client(error.to_string()))?;
        Ok(kafka)
    }

    /// The producer, a new one if there is none.
    fn live(&self) -> Result<Arc<Live>, BusError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(errors::refused(Refusal::Closed, None, None, String::new()));
        }
        let mut place = self.producer.lock();
        if let Some(live) = &*place {
            return Ok(Arc::clone(live));
        }
        let context = Context::new(Arc::clone(&self.counters));
        let producer = ThreadedProducer::from_config_and_context(&self.settings, context)
            .map_err(|error| BusError::Away(error.to_string()))?;
        let live = Arc::new(Live { producer: Some(producer), has_ended: RwLock::new(false) });
        *place = Some(Arc::clone(&live));
        Ok(live)
    }

    /// Ends a producer: what waits in it is given up, and what is on its way is the beginning of what it was given.
    fn retire(&self, live: &Arc<Live>) {
        let mut place = self.producer.lock();
        if place.as_ref().is_some_and(|present| Arc::ptr_eq(present, live)) {
            *place = None;
        }
        drop(place);
        live.end();
    }

    fn check(&self, messages: &[Message]) -> Result<(), BusError> {
        for message in messages {
            let refused = |because, detail| {
                errors::refused(because, Some(message.topic), Some(message.id.clone()), detail)
            };
            message.check().map_err(|error| refused(Refusal::Invalid, error.to_string()))?;
            if message.data.len() > self.message_max_bytes {
                let detail =
                    format!("{} bytes, and {} are allowed", message.data.len(), self.message_max_bytes);
                return Err(refused(Refusal::TooLarge, detail));
            }
        }
        Ok(())
    }

    async fn publish_all(&self, messages: &[Message]) -> Result<(), BusError> {
        self.check(messages)?;
        let deadline = Instant::now() + self.delivery_timeout;
        self.ensure_prepared(deadline).await?;
        // What the broker finds too large is a batch. Halves of the call, in their order, find the message that is.
        let mut ranges: Vec<Range<usize>> = std::iter::once(0..messages.len()).collect();
        while let Some(range) = ranges.pop() {
            let lot = messages.get(range.clone()).unwrap_or_default();
            match self.publish_lot(lot, deadline).await {
                Err(BusError::Refused { because: Refusal::TooLarge, .. }) if lot.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    ranges.push(middle..range.end);
                    ranges.push(range.start..middle);
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn publish_lot(&self, lot: &[Message], deadline: Instant) -> Result<(), BusError> {
        if lot.is_empty() {
            return Ok(());
        }
        let live = self.live()?;
        let done = self.publish_through(&live, lot, deadline).await;
        if let Err(error) = &done {
            self.retire(&live);
            if matches!(error, BusError::Refused { because: Refusal::TopicMissing, .. }) {
                self.is_prepared.store(false, Ordering::Release);
                if self.topics.declare {
                    return Err(BusError::Away(format!("{error}; it is made again")));
                }
            }
        }
        done
    }

    async fn publish_through(&self, live: &Live, lot: &[Message], deadline: Instant) -> Result<(), BusError> {
        let call = Arc::new(Call::new(lot.len()));
        for (index, message) in lot.iter().enumerate() {
            if index % BREATH == BREATH - 1 {
                tokio::task::yield_now().await;
            }
            let key = message.key.to_string();
            let ticket = Box::new(Ticket { call: Arc::clone(&call), index });
            let mut record = Record::with_opaque_to(message.topic.as_str(), ticket)
                .key(key.as_str())
                .payload(message.data.as_slice())
                .headers(headers(message, &self.source))
                .timestamp(i64::try_from(message.time_ms).unwrap_or(i64::MAX));
            loop {
                match live.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                        if Instant::now() >= deadline {
                            return Err(self.late(live, "its queue is full"));
                        }
                        if call.has_failed() {
                            break;
                        }
                        tokio::time::sleep(QUEUE_PAUSE).await;
                        record = unsent;
                    }
                    Err((error, _)) => return Err(errors::of_production(&error, Some(message), None)),
                }
            }
            if call.has_failed() {
                // What comes after it must not be sent.
                break;
            }
        }
        match tokio::time::timeout_at(deadline, call.done()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err((index, error))) => {
                let fatal = live.fatal();
                // Which message of several it is, the broker does not say.
                let message = lot.get(index);
                let error = errors::of_production(&error, message, fatal.as_deref());
                Err(if lot.len() > 1 { errors::without_message(error) } else { error })
            }
            Err(_) => Err(self.late(live, "not every message was acknowledged")),
        }
    }

    /// The error of a call whose time is over.
    fn late(&self, live: &Live, what: &str) -> BusError {
        match live.trouble() {
            Some((code, reason)) => {
                errors::of_late(code, format!("{what} within {:?}: {reason}", self.delivery_timeout))
            }
            None => BusError::TimedOut(format!("{what} within {:?}", self.delivery_timeout)),
        }
    }

    /// A login that is refused is a broken connection to who asks for the topics; the producer has heard why.
    fn with_login(&self, error: BusError) -> BusError {
        let trouble = self.producer.lock().as_ref().and_then(|live| live.trouble());
        match trouble {
            Some((code, reason)) if error.passes() && errors::is_of_login(code) => {
                errors::refused(Refusal::NotAuthorized, None, None, reason)
            }
            _ => error,
        }
    }

    async fn ensure_prepared(&self, deadline: Instant) -> Result<(), BusError> {
        if self.is_prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.prepare_by(deadline).await {
            // Messages can be published all the same; who called `prepare` was told.
            Err(error @ BusError::Refused { because: Refusal::TopicDiffers, .. }) => {
                tracing::warn!(%error, "publishing to topics that are not as they should be");
                self.is_prepared.store(true, Ordering::Release);
                Ok(())
            }
            done => done,
        }
    }

    async fn prepare_by(&self, deadline: Instant) -> Result<(), BusError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(errors::refused(Refusal::Closed, None, None, String::new()));
        }
        let context = Context::new(Arc::clone(&self.counters));
        let done = topics::prepare(self.settings.clone(), context, self.topics, deadline).await;
        done.map_err(|error| self.with_login(error))?;
        self.is_prepared.store(true, Ordering::Release);
        Ok(())
    }
}

fn headers(message: &Message, source: &Source) -> OwnedHeaders {
    let pairs = message.kafka_headers(source);
    pairs.iter().fold(OwnedHeaders::new_with_capacity(pairs.len()), |headers, (name, value)| {
        headers.insert(Header { key: name, value: Some(value.as_bytes()) })
    })
}

#[async_trait]
impl Bus for Kafka {
    async fn prepare(&self) -> Result<(), BusError> {
        let done = self.prepare_by(Instant::now() + self.delivery_timeout).await;
        match &done {
            Ok(()) => self.counters.connected(true),
            Err(error) => self.counters.failed(0, error),
        }
        done
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), BusError> {
        self.counters.counted(messages, self.publish_all(messages)).await
    }

    fn report(&self) -> BusReport {
        self.counters.report("kafka")
    }

    async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let live = self.producer.lock().take();
        if let Some(live) = live {
            live.end();
        }
        self.counters.connected(false);
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").finish_non_exhaustive()
    }
}
