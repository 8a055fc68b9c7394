//! Breakers shared between gateways through Redis.
//!
//! A gateway that opens a breaker says so under a key that lives as long as the breaker is open, and on a
//! channel that all gateways listen to. The others open theirs for a fifth longer: one gateway's probes
//! decide for all of them. Times go as durations, so clocks need not agree. Without Redis each gateway
//! goes by what it sees itself; what it has opened meanwhile is told when Redis is back.
//!
//! | where | what |
//! |---|---|
//! | key `tollgate:breaker:{processor}:{method}` | `open`, for as long as it is |
//! | channel `tollgate:breakers` | `{gateway} {processor} {method} open {milliseconds}` or `… closed` |

use super::router::BreakerEvent;
use crate::flow::Engine;
use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, RedisError};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::method::MethodFamily;
use tollgate_core::routing::breaker::BreakerState;

const CHANNEL: &str = "tollgate:breakers";

/// How often all breakers' keys are read: a message may be lost.
const LOOK: Duration = Duration::from_secs(2);

/// How long Redis may take to connect or to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pauses between tries to reach Redis.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

type Lane = (ProcessorName, MethodFamily);

/// A Redis through which gateways share their breakers.
pub struct BreakerShare {
    client: Client,
    /// Tells this gateway's messages from the others'.
    gateway: String,
}

/// The address of a Redis cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("it must be redis://[user:password@]host[:port][/database]")]
pub struct ShareAddressError;

/// Why sharing stopped for the moment.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("the connection was closed")]
    Closed,
}

/// What is heard of a breaker.
#[derive(Debug, PartialEq, Eq)]
enum Heard<'a> {
    Open { processor: &'a str, method: MethodFamily, left_ms: u64 },
    Closed { processor: &'a str, method: MethodFamily },
}

impl BreakerShare {
    /// Reads an address. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ShareAddressError`]; it does not repeat the address, which may hold a password.
    pub fn new(url: &str) -> Result<Self, ShareAddressError> {
        if !url.starts_with("redis://") {
            return Err(ShareAddressError);
        }
        let client = Client::open(url).map_err(|_| ShareAddressError)?;
        Ok(Self { client, gateway: format!("{:032x}", rand::random::<u128>()) })
    }

    /// Shares an engine's breakers for as long as the runtime lives.
    pub async fn run(self, engine: Arc<Engine>) {
        // What this gateway has opened itself, and until when.
        let mut own: HashMap<Lane, Instant> = HashMap::new();
        let mut changes = engine.breaker_changes();
        let (mut pause, mut told) = (PAUSE, false);
        let up = metrics::gauge!("tollgate_redis_up");
        loop {
            let broken = match self.connect().await {
                Ok((connection, pubsub)) => {
                    up.set(1.0);
                    tracing::info!("breakers are shared through Redis");
                    (pause, told) = (PAUSE, false);
                    self.share(&engine, connection, pubsub, &mut own, &mut changes).await
                }
                Err(error) => Err(error),
            };
            let Err(error) = broken else { return };
            up.set(0.0);
            if !told {
                tracing::warn!(%error, "Redis cannot be reached: breakers are not shared for the moment");
                told = true;
            }
            let again = tokio::time::sleep(pause);
            tokio::pin!(again);
            // What happens meanwhile is remembered.
            loop {
                tokio::select! {
                    () = &mut again => break,
                    change = changes.recv() => match change {
                        Ok(event) => remember(&mut own, &event),
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    },
                }
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, PubSub), Broken> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let listening = async {
            let mut pubsub = self.client.get_async_pubsub().await?;
            pubsub.subscribe(CHANNEL).await?;
            Ok::<_, RedisError>(pubsub)
        };
        let pubsub = tokio::time::timeout(PATIENCE, listening).await.map_err(|_| Broken::Closed)??;
        Ok((connection, pubsub))
    }

    /// Tells and hears until something breaks; done when the engine has ended.
    async fn share(
        &self,
        engine: &Engine,
        mut connection: MultiplexedConnection,
        mut pubsub: PubSub,
        own: &mut HashMap<Lane, Instant>,
        changes: &mut tokio::sync::broadcast::Receiver<BreakerEvent>,
    ) -> Result<(), Broken> {
        own.retain(|_, until| *until > Instant::now());
        for (lane, until) in own.iter() {
            self.say_open(&mut connection, lane, until.saturating_duration_since(Instant::now())).await?;
        }
        let mut heard = pubsub.on_message();
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => self.look(engine, &mut connection, own).await?,
                message = heard.next() => {
                    let message = message.ok_or(Broken::Closed)?;
                    let text: String = message.get_payload()?;
                    if let Some(heard) = self.read(&text) {
                        learn(engine, &heard);
                    }
                }
                change = changes.recv() => match change {
                    Ok(event) => {
                        remember(own, &event);
                        self.say(&mut connection, &event).await?;
                    }
                    // The breakers' keys are still right, or lapse.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
    }

    async fn say(&self, connection: &mut MultiplexedConnection, event: &BreakerEvent) -> Result<(), Broken> {
        if event.learned {
            return Ok(());
        }
        let lane = (event.processor.clone(), event.method);
        match (event.to, event.open_until_ms) {
            (BreakerState::Open, Some(until_ms)) => {
                let left = Duration::from_millis(until_ms.saturating_sub(event.at_ms));
                self.say_open(connection, &lane, left).await
            }
            (BreakerState::Closed, _) => {
                let words = format!("{} {} {} closed", self.gateway, lane.0, lane.1.as_str());
                let mut pipe = redis::pipe();
                pipe.cmd("DEL").arg(key(&lane)).ignore().cmd("PUBLISH").arg(CHANNEL).arg(words).ignore();
                Ok(pipe.query_async::<()>(connection).await?)
            }
            _ => Ok(()),
        }
    }

    async fn say_open(
        &self,
        connection: &mut MultiplexedConnection,
        lane: &Lane,
        left: Duration,
    ) -> Result<(), Broken> {
        let left_ms = crate::send::ms(left);
        if left_ms == 0 {
            return Ok(());
        }
        let words = format!("{} {} {} open {left_ms}", self.gateway, lane.0, lane.1.as_str());
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(key(lane)).arg(&self.gateway).arg("PX").arg(left_ms).ignore();
        pipe.cmd("PUBLISH").arg(CHANNEL).arg(words).ignore();
        Ok(pipe.query_async::<()>(connection).await?)
    }

    /// Reads all breakers' keys: at the start, and in case a message was lost.
    async fn look(
        &self,
        engine: &Engine,
        connection: &mut MultiplexedConnection,
        own: &HashMap<Lane, Instant>,
    ) -> Result<(), Broken> {
        let lanes = engine.router.lanes();
        let mut pipe = redis::pipe();
        for lane in &lanes {
            pipe.cmd("GET").arg(key(lane)).cmd("PTTL").arg(key(lane));
        }
        let answers: Vec<redis::Value> = pipe.query_async(connection).await?;
        for (lane, answer) in lanes.iter().zip(answers.chunks_exact(2)) {
            let [said_by, left] = answer else { continue };
            let said_by: Option<String> = redis::from_redis_value(said_by.clone()).unwrap_or(None);
            let left_ms: i64 = redis::from_redis_value(left.clone()).unwrap_or(-1);
            let is_own = own.contains_key(lane) || said_by.as_deref() == Some(self.gateway.as_str());
            if let (Some(_), false, Ok(left_ms)) = (said_by, is_own, u64::try_from(left_ms)) {
                learn(engine, &Heard::Open { processor: lane.0.as_str(), method: lane.1, left_ms });
            }
        }
        Ok(())
    }

    /// What another gateway's message says.
    fn read<'a>(&self, text: &'a str) -> Option<Heard<'a>> {
        let mut words = text.split(' ');
        let (gateway, processor, method) = (words.next()?, words.next()?, words.next()?);
        let method = MethodFamily::ALL.into_iter().find(|family| family.as_str() == method)?;
        if gateway == self.gateway {
            return None;
        }
        match (words.next()?, words.next().map(str::parse), words.next()) {
            ("open", Some(Ok(left_ms)), None) => Some(Heard::Open { processor, method, left_ms }),
            ("closed", None, None) => Some(Heard::Closed { processor, method }),
            _ => None,
        }
    }
}

impl fmt::Debug for BreakerShare {
    /// The address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerShare").finish_non_exhaustive()
    }
}

fn key((processor, method): &Lane) -> String {
    format!("tollgate:breaker:{processor}:{}", method.as_str())
}

fn remember(own: &mut HashMap<Lane, Instant>, event: &BreakerEvent) {
    let lane = (event.processor.clone(), event.method);
    match (event.to, event.open_until_ms) {
        (BreakerState::Open, Some(until_ms)) if !event.learned => {
            let left = Duration::from_millis(until_ms.saturating_sub(event.at_ms));
            own.insert(lane, Instant::now() + left);
        }
        (BreakerState::HalfOpen, _) => {}
        _ => {
            own.remove(&lane);
        }
    }
}

fn learn(engine: &Engine, heard: &Heard<'_>) {
    match heard {
        Heard::Open { processor, method, left_ms } => {
            // The others wait a fifth longer than the one that opened it: its probes come first.
            let left_ms = left_ms.saturating_add(left_ms / 5);
            let until_ms = engine.now_ms().saturating_add(left_ms);
            engine.learn_breaker(&ProcessorName::new(processor), *method, Some(until_ms));
        }
        Heard::Closed { processor, method } => {
            engine.learn_breaker(&ProcessorName::new(processor), *method, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert!(BreakerShare::new("redis://127.0.0.1:6379/1").is_ok());
        assert!(BreakerShare::new("redis://:secret@cache.example.com").is_ok());
        assert!(BreakerShare::new("http://127.0.0.1").is_err() && BreakerShare::new("redis://").is_err());
    }

    #[test]
    fn messages_of_others_are_read() {
        let share = BreakerShare::new("redis://127.0.0.1").unwrap();
        let method = MethodFamily::UpiIntent;
        assert_eq!(
            share.read("abc razorpay upi_intent open 60000"),
            Some(Heard::Open { processor: "razorpay", method, left_ms: 60_000 })
        );
        assert_eq!(
            share.read("abc razorpay upi_intent closed"),
            Some(Heard::Closed { processor: "razorpay", method })
        );
        for wrong in ["", "abc", "abc razorpay cash closed", "abc razorpay card open", "abc a card open -1"] {
            assert_eq!(share.read(wrong), None, "{wrong}");
        }
        assert_eq!(share.read(&format!("{} razorpay card closed", share.gateway)), None, "its own");
    }
}
