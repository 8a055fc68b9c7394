//! The event bus's side of the domain: its topics, what a message is, and how CloudEvents 1.0 writes it down.
//!
//! A message is ordered by its merchant: the merchant's id is its key, so all of a merchant's messages of a topic lie in
//! one partition, one after the other. Nothing here speaks to a broker; the crate `tollgate-bus` does.

mod cloud_event;

pub use cloud_event::{AMQP_PREFIX, CONTENT_TYPE, KAFKA_CONTENT_TYPE, KAFKA_PREFIX, SPEC_VERSION};

use crate::id::MerchantId;
use std::fmt;
use std::str::FromStr;

/// Most bytes of a message's id.
pub const ID_MAX_BYTES: usize = 64;
/// Most bytes of a message's kind.
pub const KIND_MAX_BYTES: usize = 128;
/// Most bytes of a message's subject.
pub const SUBJECT_MAX_BYTES: usize = 256;
/// Most bytes of an instance's name.
pub const INSTANCE_MAX_BYTES: usize = 64;

/// A stream of messages. The order is that of [`Topic::ALL`]: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// What happened to payments.
    PaymentEvents,
    /// What the risk engine saw.
    FraudAlerts,
    /// What became of webhooks, both ways.
    WebhookEvents,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PaymentEvents, Self::FraudAlerts, Self::WebhookEvents];

    /// Its name at the broker.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentEvents => "payment_events",
            Self::FraudAlerts => "fraud_alerts",
            Self::WebhookEvents => "webhook_events",
        }
    }

    /// How many partitions it is declared with.
    #[must_use]
    pub const fn partitions(self) -> u16 {
        match self {
            Self::PaymentEvents => 24,
            Self::FraudAlerts => 12,
            Self::WebhookEvents => 36,
        }
    }

    /// Its place in [`Topic::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::PaymentEvents => 0,
            Self::FraudAlerts => 1,
            Self::WebhookEvents => 2,
        }
    }

    /// The URI of its messages' schema. A change that old readers would misread gets another version.
    #[must_use]
    pub const fn schema(self) -> &'static str {
        match self {
            Self::PaymentEvents => "urn:tollgate:schema:payment_events:v1",
            Self::FraudAlerts => "urn:tollgate:schema:fraud_alerts:v1",
            Self::WebhookEvents => "urn:tollgate:schema:webhook_events:v1",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a topic: it is payment_events, fraud_alerts or webhook_events")]
pub struct UnknownTopic;

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == text).ok_or(UnknownTopic)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: Topic,
    /// Whose it is: messages of one merchant keep their order.
    pub key: MerchantId,
    /// The event's stable id, the same however often it is sent: readers know a repeat by it. At most [`ID_MAX_BYTES`].
    pub id: String,
    /// The type, as `tollgate.payment.captured.v1`.
    pub kind: String,
    /// What it is about: mostly an id. May be empty, and is left out then.
    pub subject: String,
    /// When it happened, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// JSON.
    pub data: Vec<u8>,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// Its id.
    #[error("a message's id is 1 to {ID_MAX_BYTES} visible ASCII characters")]
    Id,
    /// Its type.
    #[error("a message's type is 1 to {KIND_MAX_BYTES} visible ASCII characters")]
    Kind,
    /// Its subject.
    #[error("a message's subject is at most {SUBJECT_MAX_BYTES} visible ASCII characters")]
    Subject,
    /// Its data.
    #[error("a message's data is JSON")]
    Data,
}

impl Message {
    /// Whether its attributes are within their bounds. The data is not read: that is the writer's promise.
    ///
    /// # Errors
    /// [`InvalidMessage`].
    pub fn check(&self) -> Result<(), InvalidMessage> {
        // Visible ASCII alone: it is the same text in every header of every protocol.
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if self.id.is_empty() || self.id.len() > ID_MAX_BYTES || !is_visible(&self.id) {
            return Err(InvalidMessage::Id);
        }
        if self.kind.is_empty() || self.kind.len() > KIND_MAX_BYTES || !is_visible(&self.kind) {
            return Err(InvalidMessage::Kind);
        }
        if self.subject.len() > SUBJECT_MAX_BYTES || !is_visible(&self.subject) {
            return Err(InvalidMessage::Subject);
        }
        Ok(())
    }
}

/// Who says it: the CloudEvents `source`, `/tollgate/` and the instance's name.
///
/// Source and id together name an event, so gateways on one store share a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source(String);

/// An instance's name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instance's name is 1 to {INSTANCE_MAX_BYTES} letters, digits, dots, dashes and underscores")]
pub struct InvalidInstance;

impl Source {
    /// The source of an instance.
    ///
    /// # Errors
    /// [`InvalidInstance`].
    pub fn of_instance(name: &str) -> Result<Self, InvalidInstance> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > INSTANCE_MAX_BYTES || !name.bytes().all(is_plain) {
            return Err(InvalidInstance);
        }
        Ok(Self(format!("/tollgate/{name}")))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_known_by_their_names() {
        for (index, topic) in Topic::ALL.into_iter().enumerate() {
            assert_eq!(topic.as_str().parse(), Ok(topic));
            assert_eq!(topic.index(), index);
            assert_eq!(topic.schema(), format!("urn:tollgate:schema:{topic}:v1"));
        }
        assert_eq!(Topic::ALL.map(Topic::partitions), [24, 12, 36]);
        assert_eq!("Payment_Events".parse::<Topic>(), Err(UnknownTopic));
    }

    #[test]
    fn instances_are_plain_names() {
        assert_eq!(Source::of_instance("eu-1.a_b").unwrap().as_str(), "/tollgate/eu-1.a_b");
        for wrong in ["", "a b", "a/b", "ä", &"x".repeat(INSTANCE_MAX_BYTES + 1)] {
            assert_eq!(Source::of_instance(wrong), Err(InvalidInstance), "{wrong}");
        }
    }
}
