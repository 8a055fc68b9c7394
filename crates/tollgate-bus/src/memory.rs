//! A bus that is a list in memory: for tests of what publishes. It can be told to be away, to answer nothing, to refuse.

use crate::report::Counters;
use crate::{Bus, BusError, BusReport, Refusal};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashSet;
use tokio::sync::watch;
use tollgate_core::bus::Message;

/// What it does with the next calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mood {
    /// Takes messages.
    #[default]
    Well,
    /// Takes nothing.
    Away,
    /// Takes so many messages of each call and says that it has timed out: a broker that dies half-way.
    BreaksAfter(usize),
    /// Answers nothing until the mood changes.
    Hangs,
    /// Refuses for good whatever is not about one message.
    Refuses(Refusal),
}

/// The list.
#[derive(Debug)]
pub struct MemoryBus {
    messages_max: usize,
    messages: Mutex<Vec<Message>>,
    too_large: Mutex<HashSet<String>>,
    mood: watch::Sender<Mood>,
    is_closed: watch::Sender<bool>,
    counters: Counters,
}

impl MemoryBus {
    /// A list of at most so many messages; further ones it does not take, as a full queue does not.
    #[must_use]
    pub fn new(messages_max: usize) -> Self {
        Self {
            messages_max,
            messages: Mutex::default(),
            too_large: Mutex::default(),
            mood: watch::Sender::new(Mood::Well),
            is_closed: watch::Sender::new(false),
            counters: Counters::default(),
        }
    }

    /// Changes its mood; calls that hang go on with the new one.
    pub fn set_mood(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Refuses the message of this id as too large from now on.
    pub fn refuse_message(&self, id: &str) {
        self.too_large.lock().insert(id.to_owned());
    }

    /// Everything that arrived, in its order, repeats included.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().clone()
    }

    /// Takes everything out, as readers do.
    #[must_use]
    pub fn drain(&self) -> Vec<Message> {
        std::mem::take(&mut self.messages.lock())
    }

    /// The mood, once it is not to hang.
    async fn settled_mood(&self) -> Mood {
        let mut moods = self.mood.subscribe();
        let mood = moods.wait_for(|mood| *mood != Mood::Hangs).await;
        // The sender is in `self`, so it is not gone.
        mood.map_or(Mood::Away, |mood| mood.clone())
    }

    fn take(&self, messages: &[Message], mood: &Mood) -> Result<(), BusError> {
        for message in messages {
            let refused = |because, detail: String| BusError::Refused {
                because,
                topic: Some(message.topic),
                message_id: Some(message.id.clone()),
                detail,
            };
            message.check().map_err(|error| refused(Refusal::Invalid, error.to_string()))?;
            if self.too_large.lock().contains(&message.id) {
                return Err(refused(Refusal::TooLarge, "as it was told".to_owned()));
            }
        }
        let taken = match mood {
            Mood::BreaksAfter(count) => messages.get(..*count).unwrap_or(messages),
            _ => messages,
        };
        let mut list = self.messages.lock();
        let room = self.messages_max.saturating_sub(list.len());
        let fits = taken.get(..room).unwrap_or(taken);
        list.extend_from_slice(fits);
        if fits.len() < taken.len() {
            return Err(BusError::Away("the list is full".to_owned()));
        }
        match mood {
            Mood::BreaksAfter(_) => Err(BusError::TimedOut("it broke half-way".to_owned())),
            _ => Ok(()),
        }
    }

    async fn ready(&self) -> Result<Mood, BusError> {
        let refused =
            |because| BusError::Refused { because, topic: None, message_id: None, detail: String::new() };
        let mood = self.settled_mood().await;
        if *self.is_closed.borrow() {
            return Err(refused(Refusal::Closed));
        }
        match mood {
            Mood::Away => Err(BusError::Away("as it was told".to_owned())),
            Mood::Refuses(because) => Err(refused(because)),
            mood => Ok(mood),
        }
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn prepare(&self) -> Result<(), BusError> {
        let ready = self.ready().await;
        self.counters.connected(ready.is_ok());
        ready.map(|_| ())
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), BusError> {
        let call = async {
            let mood = self.ready().await?;
            self.take(messages, &mood)
        };
        self.counters.counted(messages, call).await
    }

    fn report(&self) -> BusReport {
        self.counters.report("memory")
    }

    async fn close(&self) {
        self.is_closed.send_replace(true);
        self.counters.connected(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tollgate_core::bus::Topic;
    use tollgate_core::id::{IdParts, MerchantId};

    fn messages(count: usize) -> Vec<Message> {
        let message = |number| Message {
            topic: Topic::PaymentEvents,
            key: MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 1, random: 1 }),
            id: format!("evt_{number}"),
            kind: "tollgate.payment.created.v1".to_owned(),
            subject: String::new(),
            time_ms: 1,
            data: b"{}".to_vec(),
        };
        (0..count).map(message).collect()
    }

    #[tokio::test]
    async fn moods() {
        let bus = Arc::new(MemoryBus::new(5));
        let lot = messages(3);
        bus.set_mood(Mood::BreaksAfter(1));
        assert!(matches!(bus.publish(&lot).await, Err(BusError::TimedOut(_))));
        bus.set_mood(Mood::Away);
        assert!(matches!(bus.publish(&lot).await, Err(BusError::Away(_))));
        bus.set_mood(Mood::Hangs);
        let hanging = tokio::time::timeout(Duration::from_millis(20), bus.publish(&lot));
        assert!(hanging.await.is_err());
        let waiting = tokio::spawn({
            let (bus, lot) = (Arc::clone(&bus), lot.clone());
            async move { bus.publish(&lot).await }
        });
        bus.set_mood(Mood::Well);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        let arrived = [&lot[..1], &lot[..]].concat();
        assert_eq!(bus.messages(), arrived);
        assert!(matches!(bus.publish(&lot).await, Err(BusError::Away(_))), "full");
        assert_eq!(bus.drain().len(), 5);
        bus.set_mood(Mood::Refuses(Refusal::NotAuthorized));
        assert!(bus.publish(&lot).await.is_err_and(|error| !error.passes()));
        bus.set_mood(Mood::Well);
        bus.refuse_message("evt_2");
        let error = bus.publish(&lot).await.unwrap_err();
        assert_eq!(error.faulty_message(), Some("evt_2"));
        assert_eq!((bus.report().published, bus.report().failed), (3, 15));
        bus.close().await;
        assert!(bus.prepare().await.is_err_and(|error| !error.passes()));
    }
}
