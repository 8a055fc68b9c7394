//! Why the engine did not do what was asked.

use tollgate_connectors::credentials::CredentialError;
use tollgate_core::command::Refusal;
use tollgate_core::money::AmountError;
use tollgate_core::partner::NotAdmitted;
use tollgate_store::commit::{CommitError, Conflict};
use tollgate_store::error::StoreError;

/// Why the engine did not do what was asked. Nothing was charged or changed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The payment's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The amount of a capture or refund is wrong.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// No configured processor takes this method, currency and amount.
    #[error("no processor takes this method, currency and amount")]
    NoProcessor,
    /// A live payment names no instrument.
    #[error("the payment method's details are required")]
    DetailsRequired,
    /// UPI collect is not open to this merchant and customer any more.
    #[error("UPI collect ended on 28 February 2026 for this merchant category; use intent or qr")]
    CollectDiscontinued,
    /// The mandate does not cover the debit.
    #[error("the mandate cannot be debited: {0}")]
    MandateUnusable(&'static str),
    /// The processor refused what was asked, with its words.
    #[error("the processor refused: {0}")]
    ProcessorRefused(String),
    /// The processor could not be asked, or nobody can say what it did.
    #[error("the processor cannot be asked right now")]
    ProcessorUnavailable,
    /// The merchant takes no new payments.
    #[error("the merchant is suspended")]
    MerchantSuspended,
    /// The processor cannot do it (e.g. a partial capture).
    #[error("{processor} does not support {what}")]
    Unsupported {
        /// Processor's name.
        processor: String,
        /// What was asked.
        what: &'static str,
    },
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyMismatch,
    /// The idempotency key's first request is still being worked on.
    #[error("the first request with this idempotency key is still being worked on")]
    KeyInFlight,
    /// The customer's confirmation was used for another payment.
    #[error("the confirmation was used for another payment")]
    ConfirmationUsed,
    /// The fraud check wants the customer to confirm the payment with a passkey.
    #[error("the customer has to confirm the payment with a passkey")]
    ConfirmationRequired,
    /// A stored policy of the merchant's cannot be read.
    #[error("the stored policy cannot be read")]
    PolicyUnreadable,
    /// No such processor.
    #[error("no such processor")]
    UnknownProcessor,
    /// The webhook's signature does not hold.
    #[error("the webhook's signature does not hold")]
    WebhookSignature,
    /// The webhook is not understood.
    #[error("the webhook is not understood")]
    WebhookMalformed,
    /// The merchant's own credentials cannot be sealed or opened right now.
    #[error("the account's own credentials cannot be used right now")]
    AccountUnavailable,
    /// There is no master key to seal credentials with.
    #[error("there is no vault that can keep credentials")]
    NoVaultKey,
    /// There were as many accounts as there may be.
    #[error("there were as many accounts at this processor as there may be")]
    TooManyEnds,
    /// The credentials are of another account than those that are there; this one tells.
    #[error("the credentials are of another account: {0} tells")]
    AnotherAccount(String),
    /// The caller has to say whether the credentials are of the account that is there; this one leaves it open.
    #[error("{0} may be of the same account, renewed, or of another one")]
    AccountUnclear(String),
    /// The credentials were said to be of another account, and are of the one that is there.
    #[error("the credentials are of the account that is there")]
    SameAccount,
    /// The credentials are not taken.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// Every processor that takes it is out of order or busy just now.
    #[error("every processor that takes this payment is out of order or busy just now")]
    ProcessorsClosed {
        /// When it is worth trying again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The merchant has as much under way as it may have.
    #[error("the merchant has as much under way as it may have")]
    TooManyUnderWay,
    /// The administrative change does not fit what is there.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Too much is under way; try again after a moment.
    #[error("too much is under way")]
    Overloaded,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CommitError> for EngineError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Refused(Refusal::NotAdmitted(NotAdmitted::Suspended)) => Self::MerchantSuspended,
            // Another customer's choice, or the session's end, came first.
            CommitError::Refused(Refusal::CheckoutOver) => Self::KeyMismatch,
            CommitError::Refused(refusal) => Self::Refused(refusal),
            CommitError::KeyMismatch => Self::KeyMismatch,
            CommitError::Overloaded => Self::Overloaded,
            CommitError::Conflict(conflict) => Self::Conflict(conflict),
            CommitError::Store(error) => Self::Store(error),
            // Replays, orphaned keys and repeated messages are answered before this.
            CommitError::KeyInFlight
            | CommitError::Replay(_)
            | CommitError::KeyOrphaned { .. }
            | CommitError::DuplicateMessage => Self::KeyInFlight,
        }
    }
}
