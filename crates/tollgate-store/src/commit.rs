//! Units of work: what is committed together, and what comes of it.

use crate::error::StoreError;
use crate::query::PolicyKind;
use crate::replies::ReplyRow;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tollgate_core::api_key::ApiKey;
use tollgate_core::attempt::Attempt;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::command::{Command, Refusal};
use tollgate_core::erasure::Subject;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{ApiKeyId, CheckoutId, EventId, MerchantId, PaymentId, RefundId};
use tollgate_core::merchant::Merchant;
use tollgate_core::notice::Notice;
use tollgate_core::partner::{NotAdmitted, Partner};
use tollgate_core::passkey::Passkey;
use tollgate_core::payment::Payment;
use tollgate_core::processor_account::ProcessorAccount;
use tollgate_core::refund::Refund;
use tollgate_core::saved_card::SavedCard;

/// One unit of work, done whole or not at all.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Whose.
    pub merchant_id: MerchantId,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The id of the event this makes, should it make one.
    pub event_id: EventId,
    /// The change; none to only finish an idempotency key.
    pub command: Option<Command>,
    /// What to do with the caller's idempotency key.
    pub idempotency: Option<IdempotencyStep>,
    /// The processor's message or the customer's confirmation this comes from; one that was seen before
    /// changes nothing, unless the idempotency key was answered before: then that comes first.
    pub message: Option<String>,
}

/// What to do with an idempotency key.
#[derive(Debug, Clone)]
pub enum IdempotencyStep {
    /// Claim it; fails if it is taken.
    Begin {
        /// The caller's key.
        key: String,
        /// Digest of the request: verb, path and body.
        fingerprint: [u8; 32],
    },
    /// Remember the reply under it, unless one is remembered already.
    Finish {
        /// The caller's key.
        key: String,
        /// The payment the reply shows.
        payment_id: PaymentId,
        /// The refund the reply shows.
        refund_id: Option<RefundId>,
        /// When the key was claimed, where only that claim is meant: a later one of the same payment is another request's.
        claimed_ms: Option<u64>,
        /// Makes the reply of the state being committed.
        render: Render,
    },
}

/// Makes a reply of the state being committed.
pub type Render = fn(&Payment, Option<&Refund>) -> StoredReply;

/// A reply as it was first given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ReplyRow", try_from = "ReplyRow")]
pub struct StoredReply {
    /// HTTP status.
    pub status: u16,
    /// Body bytes.
    pub body: Bytes,
}

/// What is remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// Digest of the request.
    pub fingerprint: [u8; 32],
    /// When it was claimed.
    pub created_at_ms: u64,
    /// The run of the program that claimed it; a claim of an earlier run has nobody working on it.
    pub run: u64,
    /// The payment the request is about.
    pub payment_id: PaymentId,
    /// The refund it made.
    pub refund_id: Option<RefundId>,
    /// The first reply, once there is one.
    pub reply: Option<StoredReply>,
}

impl IdempotencyRecord {
    /// Whether it still holds, where records live for so long.
    #[must_use]
    pub fn is_alive(&self, idempotency_ms: u64, now_ms: u64) -> bool {
        self.created_at_ms.saturating_add(idempotency_ms) > now_ms
    }
}

/// What a commit made.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The payment as it stands now.
    pub payment: Arc<Payment>,
    /// The attempt it began or settled.
    pub attempt: Option<Box<Attempt>>,
    /// The refund it is about.
    pub refund: Option<Box<Refund>>,
    /// The event, if anything changed.
    pub event: Option<Arc<EventRecord>>,
    /// The reply that is remembered under the idempotency key.
    pub reply: Option<StoredReply>,
}

/// A commit that was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The payment's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The idempotency key was answered before.
    #[error("answered before")]
    Replay(StoredReply),
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyMismatch,
    /// The idempotency key's first request is still being worked on.
    #[error("the idempotency key's first request is still being worked on")]
    KeyInFlight,
    /// The idempotency key's first request was cut off by a restart.
    #[error("the idempotency key's first request was cut off")]
    KeyOrphaned {
        /// The payment it is about.
        payment_id: PaymentId,
        /// The refund it made.
        refund_id: Option<RefundId>,
    },
    /// The processor's message was seen before.
    #[error("the message was seen before")]
    DuplicateMessage,
    /// The administrative change does not fit what is there.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The queue is full; try again later.
    #[error("too many commits are waiting")]
    Overloaded,
    /// The store itself failed. The data may or may not be durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotAdmitted> for CommitError {
    fn from(why: NotAdmitted) -> Self {
        Self::Refused(why.into())
    }
}

/// How long notices are kept.
pub const NOTICES_KEPT_MS: u64 = 30 * 86_400_000;

/// An administrative change. Each is told in the audit log by the commit that makes it: `trail` has a line for
/// every kind, so that none can be forgotten.
#[derive(Debug, Clone)]
pub enum Admin {
    /// Several changes, all or none.
    Together(Vec<Admin>),
    /// Writes a partner; its version must be the next after the one that is there, its reference nobody else's.
    PutPartner(Box<Partner>),
    /// Changes nothing: something was done elsewhere that the audit log must have.
    Told(Box<Told>),
    /// Writes a merchant.
    PutMerchant(Merchant),
    /// Writes an API key. One that is there stays revoked, and its end never moves back.
    PutApiKey(ApiKey),
    /// Writes a customer's passkey. One that is there keeps its time of registration and the higher of the
    /// two signature counters: a counter never goes back.
    PutPasskey(Passkey),
    /// Writes a merchant's policy, as JSON; none: the default applies again.
    PutPolicy {
        /// Whose.
        merchant_id: MerchantId,
        /// Of what.
        kind: PolicyKind,
        /// The policy.
        policy: Option<String>,
    },
    /// Removes a customer's passkey.
    RemovePasskey(Box<Passkey>),
    /// Masks a person in payments that are at rest, or in none of them.
    ErasePayments(Box<ErasePayments>),
    /// Writes a merchant's own account at a processor; its version must be the next after the one that is there.
    PutProcessorAccount(Box<ProcessorAccount>),
    /// Writes a card on file; it replaces the one of the same token.
    PutSavedCard(Box<SavedCard>),
    /// Removes a card on file.
    RemoveSavedCard {
        /// Whose.
        merchant_id: MerchantId,
        /// Its token.
        token: [u8; 16],
    },
}

/// What a person is to be masked in.
#[derive(Debug, Clone)]
pub struct ErasePayments {
    /// Whose payments.
    pub merchant_id: MerchantId,
    /// Who.
    pub subject: Subject,
    /// The payments; those that are not there are passed over.
    pub payments: Vec<PaymentId>,
    /// Checkout sessions.
    pub checkouts: Vec<CheckoutId>,
    /// Replies that are remembered, as [`crate::Store::remembered_replies`] names them.
    pub replies: Vec<[u8; 32]>,
}

/// Something done that is no change of a row.
#[derive(Debug, Clone)]
pub struct Told {
    /// What: a stable name with dots.
    pub action: &'static str,
    /// The kind of what it was done to.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Whose.
    pub merchant_id: Option<MerchantId>,
    /// What there is to say; secrets in it are masked.
    pub said: serde_json::Value,
}

/// What the gateway writes in the course of its work: nothing that anybody has decided, and so nothing for the
/// audit log.
#[derive(Debug, Clone)]
pub enum Upkeep {
    /// Writes a checkout session.
    PutCheckout(Box<CheckoutSession>),
    /// Writes a notice. Those older than [`NOTICES_KEPT_MS`] make room for it.
    PutNotice(Notice),
    /// Notes when API keys were last used.
    NoteKeyUses(Vec<(ApiKeyId, u64)>),
    /// Moves a passkey's signature counter on, after a confirmation with it.
    CountPasskey(Passkey),
    /// Pins a merchant to a version of the API, unless it is pinned.
    PinApiVersion {
        /// Whose.
        merchant_id: MerchantId,
        /// The version's name.
        version: String,
    },
    /// Adds to the numbers of calls of a day. Days older than [`CALLS_KEPT_DAYS`] make room for it.
    CountCalls {
        /// The day, counted from 1970-01-01.
        day: u32,
        /// What was counted.
        accounts: Vec<AccountCalls>,
    },
    /// Adds up a merchant's totals by days, where the store keeps such.
    AddUpDays {
        /// Whose.
        merchant_id: MerchantId,
        /// Days that have ended by this hour, counted from 1970.
        upto_hour: u32,
    },
}

/// How many days the numbers of calls are kept.
pub const CALLS_KEPT_DAYS: u32 = 92;

/// How often a merchant called what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountCalls {
    /// Who.
    pub merchant_id: MerchantId,
    /// What.
    pub calls: Vec<EndpointCalls>,
}

/// How often an endpoint was called with a version of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointCalls {
    /// The version's name.
    pub version: String,
    /// Method and path.
    pub endpoint: String,
    /// How often.
    pub calls: u64,
}

/// Why an administrative change does not fit what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// It was made from an older version.
    #[error("it was changed by somebody else meanwhile")]
    Stale,
    /// Another partner has the reference.
    #[error("another partner has the reference")]
    ReferenceTaken,
}
