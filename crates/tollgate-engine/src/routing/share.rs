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
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::method::MethodFamily;
use tollgate_core::routing::breaker::BreakerState;
use tollgate_store::redis::{BREAKERS, Heard as Message, Redis, RedisGone};

/// How often all breakers' keys are read: a message may be lost.
const LOOK: Duration = Duration::from_secs(2);

type Lane = (ProcessorName, MethodFamily);

/// Shares breakers through a Redis.
#[derive(Debug)]
pub struct BreakerShare {
    redis: Redis,
    /// Listens from the beginning on: whoever begins later may miss that Redis is there.
    messages: Receiver<Message>,
    /// Tells this gateway's messages from the others'.
    gateway: String,
}

/// What is heard of a breaker.
#[derive(Debug, PartialEq, Eq)]
enum Heard<'a> {
    Open { processor: &'a str, method: MethodFamily, left_ms: u64 },
    Closed { processor: &'a str, method: MethodFamily },
}

impl BreakerShare {
    /// Shares through this Redis.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        let messages = redis.listen();
        Self { redis, messages, gateway: format!("{:032x}", rand::random::<u128>()) }
    }

    /// Shares an engine's breakers for as long as the runtime lives.
    pub async fn run(mut self, engine: Arc<Engine>) {
        // What this gateway has opened itself, and until when.
        let mut own: HashMap<Lane, Instant> = HashMap::new();
        let mut changes = engine.breaker_changes();
        let mut look = tokio::time::interval(LOOK);
        loop {
            let done = tokio::select! {
                _ = look.tick() => self.look(&engine, &own).await,
                message = self.messages.recv() => match message {
                    Ok(Message::Begun) => self.say_all(&mut own).await,
                    Ok(Message::Said(BREAKERS, text)) => {
                        if let Some(heard) = self.read(&text) {
                            learn(&engine, &heard);
                        }
                        Ok(())
                    }
                    // The breakers' keys are still right, or lapse.
                    Ok(Message::Said(..) | Message::Lost) | Err(RecvError::Lagged(_)) => Ok(()),
                    Err(RecvError::Closed) => return,
                },
                change = changes.recv() => match change {
                    Ok(event) => {
                        remember(&mut own, &event);
                        self.say(&event).await
                    }
                    Err(RecvError::Lagged(_)) => Ok(()),
                    Err(RecvError::Closed) => return,
                },
            };
            // What happens while Redis is gone is remembered, and told when it is back.
            if let Err(error) = done {
                tracing::debug!(%error, "breakers are not shared for the moment");
            }
        }
    }

    async fn say_all(&self, own: &mut HashMap<Lane, Instant>) -> Result<(), RedisGone> {
        own.retain(|_, until| *until > Instant::now());
        for (lane, until) in own.iter() {
            self.say_open(lane, until.saturating_duration_since(Instant::now())).await?;
        }
        Ok(())
    }

    async fn say(&self, event: &BreakerEvent) -> Result<(), RedisGone> {
        if event.learned {
            return Ok(());
        }
        let lane = (event.processor.clone(), event.method);
        match (event.to, event.open_until_ms) {
            (BreakerState::Open, Some(until_ms)) => {
                let left = Duration::from_millis(until_ms.saturating_sub(event.at_ms));
                self.say_open(&lane, left).await
            }
            (BreakerState::Closed, _) => {
                let words = format!("{} {} {} closed", self.gateway, lane.0, lane.1.as_str());
                let () = self.redis.ask(redis::cmd("DEL").arg(key(&lane))).await?;
                self.redis.say(BREAKERS, &words).await
            }
            _ => Ok(()),
        }
    }

    async fn say_open(&self, lane: &Lane, left: Duration) -> Result<(), RedisGone> {
        let left_ms = crate::send::ms(left);
        if left_ms == 0 {
            return Ok(());
        }
        let words = format!("{} {} {} open {left_ms}", self.gateway, lane.0, lane.1.as_str());
        let mut set = redis::cmd("SET");
        let () = self.redis.ask(set.arg(key(lane)).arg(&self.gateway).arg("PX").arg(left_ms)).await?;
        self.redis.say(BREAKERS, &words).await
    }

    /// Reads all breakers' keys: at the start, and in case a message was lost.
    async fn look(&self, engine: &Engine, own: &HashMap<Lane, Instant>) -> Result<(), RedisGone> {
        if !self.redis.is_up() {
            return Ok(());
        }
        for lane in engine.router.lanes() {
            let said_by: Option<String> = self.redis.ask(redis::cmd("GET").arg(key(&lane))).await?;
            let is_own = own.contains_key(&lane) || said_by.as_deref() == Some(self.gateway.as_str());
            if said_by.is_none() || is_own {
                continue;
            }
            let left_ms: i64 = self.redis.ask(redis::cmd("PTTL").arg(key(&lane))).await?;
            if let Ok(left_ms) = u64::try_from(left_ms) {
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
    fn messages_of_others_are_read() {
        let share = BreakerShare::new(Redis::new("redis://127.0.0.1").unwrap());
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
