//! The vault: the only place that holds card data.
//!
//! Everything else in Tollgate sees a token, brand, BIN, last four digits, expiry and a keyed
//! fingerprint. [`CardVault`] is what the rest of the gateway may ask of a vault.

mod audit;
mod disk;
mod envelope;
mod held;
mod keyring;
mod local;
pub mod master;
mod open;
pub mod remote;
mod rotate;
mod rows;
mod session;
#[cfg(test)]
mod tests;
mod token;

use async_trait::async_trait;
use std::fmt::Debug;
use tollgate_core::card::{CardSecret, Cvc};
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::method::CardSummary;

pub use audit::{AuditAction, AuditFault, AuditPurpose, AuditRecord, AuditResult};
pub use envelope::Key;
pub use held::{HeldCards, MemoryVault};
pub use local::{LocalVault, VaultStatus};
pub use open::{OpenError, VaultOptions};
pub use rotate::{RotationError, RotationPhase, RotationProgress, Watch};
pub use session::{CardSession, SessionError};
pub use token::{CardToken, CvcToken, Fingerprint};

/// Why the vault did not do what it was asked. Carries nothing of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It holds as many cards as it may; try again later.
    #[error("the vault holds as many cards as it may")]
    Full,
    /// This merchant has no such token: never made, used up, its time over, deleted, or another merchant's.
    #[error("there is no such card token")]
    NotFound,
    /// What is stored cannot be read: it was altered, or its key is not the right one.
    #[error("the card cannot be decrypted")]
    Unreadable,
    /// The merchant's cards have been destroyed.
    #[error("the merchant's cards have been destroyed")]
    Shredded,
    /// The vault is a process of its own: clear cards neither enter nor leave it here.
    #[error("clear cards do not pass through this process")]
    Apart,
    /// The vault or its master key cannot be reached; nothing was done.
    #[error("the vault is not available")]
    Unavailable,
}

/// What a card is taken out for. Recorded with every withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To send this payment's charge.
    Charge(PaymentId),
}

/// A card in the vault, as the rest of the gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardOnFile {
    /// Names it.
    pub token: CardToken,
    /// Its masked form.
    pub summary: CardSummary,
    /// The same for the same number, whatever its token; says nothing without the vault's key.
    pub fingerprint: Fingerprint,
    /// Whether it is stored, to be used for many payments; otherwise it is held in memory for one.
    pub stored: bool,
}

/// What may be asked of a vault. Every token is bound to its merchant: with another one it is
/// [`VaultError::NotFound`].
#[async_trait]
pub trait CardVault: Send + Sync + Debug {
    /// Takes a clear card into memory for one payment or for [`CardVault::store`].
    ///
    /// # Errors
    /// [`VaultError::Full`], [`VaultError::Apart`], [`VaultError::Unavailable`].
    async fn hold(
        &self,
        merchant_id: MerchantId,
        card: CardSecret,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError>;

    /// Takes a security code, typed again for a stored card, into memory for one payment.
    ///
    /// # Errors
    /// As [`CardVault::hold`].
    async fn hold_cvc(&self, merchant_id: MerchantId, cvc: Cvc, now_ms: u64) -> Result<CvcToken, VaultError>;

    /// Stores a held card, encrypted and without its security code, under a token for many payments. A
    /// card that this merchant has stored before keeps its token; a changed expiry is taken over.
    /// The held card stays as it is.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Shredded`], [`VaultError::Unavailable`].
    async fn store(
        &self,
        merchant_id: MerchantId,
        held: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError>;

    /// What a token names.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] and whatever reading may meet.
    async fn describe(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError>;

    /// Hands the clear card out, and records that and why. A held card is bound to the first payment
    /// that withdraws it: that payment may again, for its next processor; no other may.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] and whatever reading may meet; failures are recorded too.
    async fn withdraw(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        cvc: Option<CvcToken>,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<CardSecret, VaultError>;

    /// Wipes a held card and a held security code: their payment has been sent. Stored cards stay.
    async fn release(&self, merchant_id: MerchantId, token: CardToken, cvc: Option<CvcToken>);

    /// Deletes a stored or held card.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Unavailable`].
    async fn delete(&self, merchant_id: MerchantId, token: CardToken, now_ms: u64) -> Result<(), VaultError>;

    /// Destroys the key of all cards that a merchant has stored, for good.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    async fn shred(&self, merchant_id: MerchantId, now_ms: u64) -> Result<(), VaultError>;

    /// How many cards are held in this process's memory.
    fn held(&self) -> usize;
}
