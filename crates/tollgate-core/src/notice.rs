//! Notices: what happened to the gateway itself, not to a payment.

use crate::attempt::ProcessorName;
use crate::id::{EventId, MerchantId, WebhookEndpointId};
use crate::method::MethodFamily;
use crate::routing::breaker::BreakerState;
use crate::webhook::DisabledBecause;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its id: later notices have larger ones.
    pub id: EventId,
    /// When.
    pub at_ms: u64,
    /// What.
    pub kind: NoticeKind,
}

/// What happened. The order is stored: append, never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoticeKind {
    /// A circuit breaker changed.
    BreakerChanged {
        /// The processor it watches.
        processor: ProcessorName,
        /// The method.
        method: MethodFamily,
        /// What it was.
        from: BreakerState,
        /// What it is.
        to: BreakerState,
        /// Whether another gateway said so.
        learned: bool,
    },
    /// A webhook endpoint gets nothing any more, without its merchant's wish.
    WebhookEndpointDisabled {
        /// Whose.
        merchant_id: MerchantId,
        /// Which.
        endpoint_id: WebhookEndpointId,
        /// Why.
        because: DisabledBecause,
    },
    /// A message was refused by the event bus for good: it was put aside, and those behind it went on.
    EventRefused {
        /// Its topic.
        topic: String,
        /// Its id.
        message_id: String,
        /// Whose it is.
        merchant_id: MerchantId,
        /// What was said.
        because: String,
    },
}
