//! Incoming webhooks as connectors see them.

use tollgate_core::outcome::Outcome;

/// A webhook as it arrived.
#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// Header look-up by lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The raw body: signatures are over these very bytes.
    pub body: &'a [u8],
}

/// What a verified webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookMessage {
    /// The processor's id of the message, or a digest of its body: repeated deliveries share it.
    pub dedupe_key: String,
    /// What it is about, if it is about one of our attempts.
    pub subject: Option<WebhookSubject>,
}

/// The attempt a webhook speaks of and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSubject {
    /// Our reference.
    pub reference: String,
    /// What it says.
    pub outcome: Outcome,
}

/// What the customer's browser brought back from a processor's page.
#[derive(Clone, Copy)]
pub struct CallbackRequest<'a> {
    /// Our reference of the charge, from the address that the browser was sent to.
    pub reference: &'a str,
    /// The query, without its question mark.
    pub query: &'a str,
    /// The form that was posted; empty if the browser came by GET.
    pub body: &'a [u8],
}

/// What a verified callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// Nothing that proves anything: the processor has to be asked.
    Ask,
    /// What the processor has signed.
    Says(Outcome),
}

/// A webhook was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No signature, or one that does not hold.
    #[error("the webhook's signature does not hold")]
    Signature,
    /// Signed, but not understood.
    #[error("the webhook's body is not understood")]
    Malformed,
}
