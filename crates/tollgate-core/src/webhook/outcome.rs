//! What became of a webhook delivery, as the log of outcomes keeps it.
//!
//! An outcome is written in the commit that settles what it tells of, so that nothing is told that is not so and
//! nothing is so that is not told. It is for others' eyes: there is no URL in it, no secret, no header and no byte of
//! what was sent or answered.

use super::{Delivery, DeliveryAttempt, DeliveryState, DisabledBecause, WebhookEndpoint};
use crate::id::{DeliveryId, EventId, MerchantId, PaymentId, WebhookEndpointId};
use serde::{Deserialize, Serialize};

/// Why a delivery was not made. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeliveryFault {
    /// The answer's status says so.
    Status,
    /// The answer leads elsewhere: redirects are not followed.
    Redirect,
    /// No answer came in time.
    Timeout,
    /// No connection could be made.
    NoConnection,
    /// The connection was lost.
    ConnectionLost,
    /// The name leads to an address that may not be talked to.
    NotPublic,
    /// The endpoint's URL may not be talked to any more.
    Url,
    /// The request could not be built.
    Request,
    /// The signing secret could not be opened.
    Secret,
    /// The endpoint is disabled.
    EndpointDisabled,
    /// The endpoint was removed.
    EndpointRemoved,
    /// The event is not kept any more.
    EventGone,
    /// Somebody did not want it any more.
    Unwanted,
}

impl DeliveryFault {
    /// All.
    pub const ALL: [Self; 13] = [
        Self::Status,
        Self::Redirect,
        Self::Timeout,
        Self::NoConnection,
        Self::ConnectionLost,
        Self::NotPublic,
        Self::Url,
        Self::Request,
        Self::Secret,
        Self::EndpointDisabled,
        Self::EndpointRemoved,
        Self::EventGone,
        Self::Unwanted,
    ];

    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Status => "http_status",
            Self::Redirect => "redirect",
            Self::Timeout => "timeout",
            Self::NoConnection => "no_connection",
            Self::ConnectionLost => "connection_lost",
            Self::NotPublic => "address_not_public",
            Self::Url => "url_not_allowed",
            Self::Request => "request_not_built",
            Self::Secret => "secret_not_opened",
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointRemoved => "endpoint_removed",
            Self::EventGone => "event_not_kept",
            Self::Unwanted => "unwanted",
        }
    }
}

/// What happened. The order is stored: append, never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    /// The receiver has it.
    Delivered(DeliveryOutcome),
    /// An attempt failed; it is sent again.
    Failed {
        /// What was to be delivered.
        delivery: DeliveryOutcome,
        /// When it is sent next, in milliseconds since the Unix epoch.
        next_at_ms: Option<u64>,
    },
    /// It was given up.
    Dead(DeliveryOutcome),
    /// It is not to be delivered any more.
    Cancelled(DeliveryOutcome),
    /// The endpoint gets nothing from now on.
    EndpointDisabled(DisabledBecause),
    /// The endpoint gets events again.
    EndpointEnabled,
}

/// The part of an outcome that is about one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryOutcome {
    /// Which.
    pub delivery_id: DeliveryId,
    /// The event that was to be delivered.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// The payment it happened to; none for a test.
    pub payment_id: Option<PaymentId>,
    /// How often it was sent, up to now.
    pub attempt: u32,
    /// How long the attempt took, in milliseconds; none: nothing was sent.
    pub duration_ms: Option<u32>,
    /// The answer's HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why it was not delivered, as far as that is known.
    pub fault: Option<DeliveryFault>,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookOutcome {
    /// Whose.
    pub merchant_id: MerchantId,
    /// Which endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// When it was settled, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What.
    pub happened: Happened,
}

impl WebhookOutcome {
    /// What became of a delivery that stands like this now, and stood at `before`. None where nothing happened.
    #[must_use]
    pub fn of_delivery(
        delivery: &Delivery,
        before: DeliveryState,
        attempt: Option<&DeliveryAttempt>,
        fault: Option<DeliveryFault>,
        at_ms: u64,
    ) -> Option<Self> {
        if attempt.is_none() && (delivery.state == before || delivery.state == DeliveryState::Waiting) {
            return None;
        }
        let outcome = DeliveryOutcome {
            delivery_id: delivery.id,
            event_id: delivery.event_id,
            event_type: delivery.event_type.clone(),
            payment_id: delivery.payment.map(|(id, _)| id),
            attempt: delivery.tries,
            duration_ms: attempt.map(|attempt| attempt.took_ms),
            status: attempt.and_then(|attempt| attempt.status),
            fault: fault.filter(|_| delivery.state != DeliveryState::Delivered),
        };
        let happened = match delivery.state {
            DeliveryState::Delivered => Happened::Delivered(outcome),
            DeliveryState::Waiting => Happened::Failed { delivery: outcome, next_at_ms: delivery.next_at_ms },
            DeliveryState::Dead => Happened::Dead(outcome),
            DeliveryState::Cancelled => Happened::Cancelled(outcome),
        };
        let (merchant_id, endpoint_id) = (delivery.merchant_id, delivery.endpoint_id);
        Some(Self { merchant_id, endpoint_id, at_ms, happened })
    }

    /// What became of an endpoint. None where it is as disabled, or not, as before.
    #[must_use]
    pub fn of_endpoint(
        endpoint: &WebhookEndpoint,
        before: Option<DisabledBecause>,
        at_ms: u64,
    ) -> Option<Self> {
        let happened = match (before, endpoint.disabled) {
            (None, Some(because)) => Happened::EndpointDisabled(because),
            (Some(_), None) => Happened::EndpointEnabled,
            _ => return None,
        };
        Some(Self { merchant_id: endpoint.merchant_id, endpoint_id: endpoint.id, at_ms, happened })
    }

    /// What happened, in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.happened {
            Happened::Delivered(_) => "delivered",
            Happened::Failed { .. } => "failed",
            Happened::Dead(_) => "dead",
            Happened::Cancelled(_) => "cancelled",
            Happened::EndpointDisabled(_) => "endpoint_disabled",
            Happened::EndpointEnabled => "endpoint_enabled",
        }
    }

    /// The part that is about a delivery.
    #[must_use]
    pub const fn delivery(&self) -> Option<&DeliveryOutcome> {
        match &self.happened {
            Happened::Delivered(outcome)
            | Happened::Failed { delivery: outcome, .. }
            | Happened::Dead(outcome)
            | Happened::Cancelled(outcome) => Some(outcome),
            Happened::EndpointDisabled(_) | Happened::EndpointEnabled => None,
        }
    }

    /// Its id: made of what it tells, so whoever is told twice can tell. One attempt has one outcome; what happened
    /// without one is told apart by its time.
    #[must_use]
    pub fn id(&self) -> String {
        let name = self.name();
        match self.delivery() {
            Some(DeliveryOutcome { delivery_id, attempt, duration_ms: Some(_), .. }) => {
                format!("{delivery_id}-{attempt}-{name}")
            }
            Some(DeliveryOutcome { delivery_id, attempt, .. }) => {
                format!("{delivery_id}-{attempt}-{name}-{}", self.at_ms)
            }
            None => format!("{}-{name}-{}", self.endpoint_id, self.at_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::filter::EventFilter;
    use crate::webhook::signing::{KeptSecret, SecretPair};
    use std::collections::HashSet;

    fn delivery(state: DeliveryState) -> Delivery {
        Delivery {
            id: DeliveryId::from_u128(1),
            merchant_id: MerchantId::from_u128(2),
            endpoint_id: WebhookEndpointId::from_u128(3),
            event_id: EventId::from_u128(4),
            event_type: "payment.completed".to_owned(),
            payment: Some((PaymentId::from_u128(5), 2)),
            event_at_ms: 0,
            state,
            tries: 3,
            next_at_ms: Some(99),
            attempts: vec![],
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    fn attempt() -> DeliveryAttempt {
        let answer = Some("card 4242 4242 4242 4242".to_owned());
        let error = Some("the answer is 500".to_owned());
        DeliveryAttempt { at_ms: 7, took_ms: 12, status: Some(500), answer, error }
    }

    #[test]
    fn an_attempt_has_one_outcome_with_an_id_of_its_own_and_nothing_of_the_answer() {
        let fault = Some(DeliveryFault::Status);
        let mut ids = HashSet::new();
        for (state, name) in [
            (DeliveryState::Delivered, "delivered"),
            (DeliveryState::Waiting, "failed"),
            (DeliveryState::Dead, "dead"),
            (DeliveryState::Cancelled, "cancelled"),
        ] {
            let settled = delivery(state);
            let of = |before| WebhookOutcome::of_delivery(&settled, before, Some(&attempt()), fault, 50);
            let outcome = of(DeliveryState::Waiting).unwrap();
            assert_eq!(outcome.name(), name);
            assert_eq!(
                outcome.id(),
                of(DeliveryState::Dead).unwrap().id(),
                "what it was before is no part of it"
            );
            assert_eq!(outcome.id(), format!("{}-3-{name}", settled.id));
            assert!(ids.insert(outcome.id()));
            let part = outcome.delivery().unwrap();
            assert_eq!((part.duration_ms, part.status, part.attempt), (Some(12), Some(500), 3));
            assert_eq!(part.fault, fault.filter(|_| state != DeliveryState::Delivered));
            assert!(!format!("{outcome:?}").contains("4242 4242"), "{outcome:?}");
        }
        let failed = delivery(DeliveryState::Waiting);
        let outcome =
            WebhookOutcome::of_delivery(&failed, DeliveryState::Waiting, Some(&attempt()), fault, 50)
                .unwrap();
        assert!(matches!(outcome.happened, Happened::Failed { next_at_ms: Some(99), .. }));
    }

    #[test]
    fn what_was_not_sent_is_told_once_by_its_time() {
        let of =
            |state, before, at_ms| WebhookOutcome::of_delivery(&delivery(state), before, None, None, at_ms);
        let (dead, waiting) = (DeliveryState::Dead, DeliveryState::Waiting);
        assert_eq!(of(waiting, waiting, 1), None);
        assert_eq!(of(waiting, dead, 1), None, "to be sent once more is no outcome");
        assert_eq!(of(dead, dead, 1), None);
        let (first, second) = (of(dead, waiting, 1).unwrap(), of(dead, waiting, 2).unwrap());
        assert_ne!(first.id(), second.id());
        assert_eq!(first.delivery().unwrap().duration_ms, None);
    }

    #[test]
    fn an_endpoint_is_told_of_when_that_changes() {
        let mut endpoint = WebhookEndpoint {
            id: WebhookEndpointId::from_u128(1),
            merchant_id: MerchantId::from_u128(1),
            url: "https://example.com/?token=secret".to_owned(),
            description: None,
            events: EventFilter::read(["*"]).unwrap(),
            disabled: Some(DisabledBecause::Failing),
            is_ordered: false,
            secrets: SecretPair::new(KeptSecret::Sealed(vec![1; 32])),
            failing_since_ms: None,
            created_at_ms: 100,
            updated_at_ms: 100,
        };
        let disabled = WebhookOutcome::of_endpoint(&endpoint, None, 7).unwrap();
        assert_eq!((disabled.name(), disabled.delivery()), ("endpoint_disabled", None));
        assert_eq!(disabled.id(), format!("{}-endpoint_disabled-7", endpoint.id));
        assert!(!format!("{disabled:?}").contains("secret"));
        assert_eq!(WebhookOutcome::of_endpoint(&endpoint, Some(DisabledBecause::Asked), 7), None);
        endpoint.disabled = None;
        let enabled = WebhookOutcome::of_endpoint(&endpoint, Some(DisabledBecause::Gone), 7).unwrap();
        assert_eq!(enabled.name(), "endpoint_enabled");
        assert_eq!(WebhookOutcome::of_endpoint(&endpoint, None, 7), None);
    }

    #[test]
    fn codes_are_short_and_tell_apart() {
        let codes: HashSet<&str> = DeliveryFault::ALL.iter().map(|fault| fault.code()).collect();
        assert_eq!(codes.len(), DeliveryFault::ALL.len());
        assert!(codes.iter().all(|code| code.len() <= 32));
    }
}
