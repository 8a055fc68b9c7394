//! Webhooks out: where merchants want their events sent, and what became of each.

pub mod address;
pub mod filter;
pub mod health;
pub mod outcome;
pub mod retry;
pub mod signing;

use crate::id::{DeliveryId, EventId, MerchantId, PaymentId, WebhookEndpointId};
use filter::EventFilter;
use serde::{Deserialize, Serialize};
use signing::{KeptSecret, SecretPair};

/// Most endpoints of a merchant.
pub const ENDPOINTS_MAX: usize = 50;

/// Attempts of a delivery that are remembered; older ones make room.
pub const ATTEMPTS_KEPT: usize = 10;

/// Bytes of a receiver's answer that are remembered.
pub const ANSWER_BYTES_KEPT: usize = 4 * 1024;

/// The type of a test event.
pub const TEST_EVENT: &str = "webhook.test";

/// Why an endpoint gets nothing. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisabledBecause {
    /// Its merchant wanted it.
    Asked,
    /// Nothing was delivered for days.
    Failing,
    /// It answered 410: it wants nothing any more.
    Gone,
}

impl DisabledBecause {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }
}

/// Where a merchant wants its events sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookEndpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Where to.
    pub url: String,
    /// What its merchant calls it.
    pub description: Option<String>,
    /// Which events.
    pub events: EventFilter,
    /// Whether it gets nothing, and why.
    pub disabled: Option<DisabledBecause>,
    /// Whether events of one payment are sent one after the other.
    pub is_ordered: bool,
    /// What its messages are signed with.
    pub secrets: SecretPair,
    /// Since when nothing was delivered.
    pub failing_since_ms: Option<u64>,
    /// When it was made: it gets no earlier events.
    pub created_at_ms: u64,
    /// When it was last changed.
    pub updated_at_ms: u64,
}

impl WebhookEndpoint {
    /// Whether an event is for it.
    #[must_use]
    pub fn wants(&self, event_type: &str, at_ms: u64) -> bool {
        self.disabled.is_none() && at_ms >= self.created_at_ms && self.events.matches(event_type)
    }

    /// Takes a new secret; the one before is good until `overlap_ms` from now.
    pub fn rotate(&mut self, secret: KeptSecret, now_ms: u64, overlap_ms: u64) {
        let before = std::mem::replace(&mut self.secrets.current, secret);
        self.secrets.previous = (overlap_ms > 0).then(|| (before, now_ms.saturating_add(overlap_ms)));
        self.updated_at_ms = now_ms;
    }
}

/// Where a delivery stands. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeliveryState {
    /// It is to be sent, or to be sent again.
    Waiting,
    /// The receiver has it.
    Delivered,
    /// It was given up; it can be sent again.
    Dead,
    /// Its endpoint was removed.
    Cancelled,
}

impl DeliveryState {
    /// All.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Delivered, Self::Dead, Self::Cancelled];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Where to.
    pub endpoint_id: WebhookEndpointId,
    /// What: the event's id.
    pub event_id: EventId,
    /// The event's type.
    pub event_type: String,
    /// What it happened to, and the payment's version after it; none for a test.
    pub payment: Option<(PaymentId, u32)>,
    /// When it happened.
    pub event_at_ms: u64,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was sent.
    pub tries: u32,
    /// When it is sent next.
    pub next_at_ms: Option<u64>,
    /// The last attempts, oldest first.
    pub attempts: Vec<DeliveryAttempt>,
    /// When it was made.
    pub created_at_ms: u64,
    /// When it last changed.
    pub updated_at_ms: u64,
}

impl Delivery {
    /// Notes an attempt; the oldest make room.
    pub fn note(&mut self, attempt: DeliveryAttempt) {
        self.tries = self.tries.saturating_add(1);
        if self.attempts.len() >= ATTEMPTS_KEPT {
            self.attempts.drain(..=self.attempts.len() - ATTEMPTS_KEPT);
        }
        self.attempts.push(attempt);
    }
}

/// One sending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// When.
    pub at_ms: u64,
    /// How long it took.
    pub took_ms: u32,
    /// The answer's HTTP status, if there was one.
    pub status: Option<u16>,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempts_are_kept() {
        let id = DeliveryId::from_u128(1);
        let mut delivery = Delivery {
            id,
            merchant_id: MerchantId::from_u128(1),
            endpoint_id: WebhookEndpointId::from_u128(1),
            event_id: EventId::from_u128(1),
            event_type: TEST_EVENT.to_owned(),
            payment: None,
            event_at_ms: 0,
            state: DeliveryState::Waiting,
            tries: 0,
            next_at_ms: None,
            attempts: vec![],
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        for at_ms in 0..25 {
            delivery.note(DeliveryAttempt { at_ms, took_ms: 1, status: None, answer: None, error: None });
        }
        let kept: Vec<u64> = delivery.attempts.iter().map(|attempt| attempt.at_ms).collect();
        assert_eq!((delivery.tries, kept), (25, (15..25).collect()));
    }

    #[test]
    fn an_endpoint_gets_what_it_asked_for_from_its_beginning_on() {
        let mut endpoint = WebhookEndpoint {
            id: WebhookEndpointId::from_u128(1),
            merchant_id: MerchantId::from_u128(1),
            url: String::new(),
            description: None,
            events: EventFilter::read(["refund.*"]).unwrap(),
            disabled: None,
            is_ordered: false,
            secrets: SecretPair::new(signing::KeptSecret::Sealed(vec![1; 32])),
            failing_since_ms: None,
            created_at_ms: 100,
            updated_at_ms: 100,
        };
        assert!(endpoint.wants("refund.created", 100));
        assert!(!endpoint.wants("refund.created", 99));
        assert!(!endpoint.wants("payment.created", 100));
        endpoint.disabled = Some(DisabledBecause::Asked);
        assert!(!endpoint.wants("refund.created", 100));
    }
}
