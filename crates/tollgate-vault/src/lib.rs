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
mod secrets;
mod session;
#[cfg(test)]
mod tests;
mod token;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Debug;
use tollgate_core::card::{CardSecret, Cvc, NetworkToken};
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::method::CardSummary;
use zeroize::Zeroizing;

pub use audit::{AuditAction, AuditFault, AuditPurpose, AuditRecord, AuditResult};
pub use envelope::Key;
pub use held::{HeldCards, MemoryVault};
pub use local::{LocalVault, VaultStatus};
pub use open::{OpenError, VaultOptions};
pub use rotate::{RotationError, RotationPhase, RotationProgress, Watch};
pub use session::{CardSession, SessionError};
pub use token::{CardToken, Fingerprint, ProofToken};

/// Most bytes of a secret that is sealed.
pub const SECRET_BYTES_MAX: usize = 16 << 10;

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
    /// The vault has no master key: it can seal nothing.
    #[error("the vault has no master key")]
    NoKey,
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

/// Tells a merchant's customers apart: a digest of the merchant's id of the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner(pub [u8; 16]);

impl Owner {
    /// The owner of this name.
    #[must_use]
    pub fn of(user_id: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(user_id.as_bytes()).into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }

    /// Finds the owner's card of a number.
    fn index(self, print: Fingerprint) -> [u8; 16] {
        let digest: [u8; 32] =
            Sha256::new().chain_update(self.0).chain_update(print.to_bytes()).finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        half
    }
}

/// What is given afresh with each payment by a stored card: the customer types the security code again, the
/// network makes a new cryptogram for its token. Never stored.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// The security code.
    pub cvc: Option<Cvc>,
    /// The cryptogram of a network token.
    pub network_token: Option<NetworkToken>,
}

impl Proof {
    /// Whether nothing was given.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cvc.is_none() && self.network_token.is_none()
    }

    /// Adds it to its card.
    pub fn add_to(self, card: &mut CardSecret) {
        if self.cvc.is_some() {
            card.cvc = self.cvc;
        }
        if self.network_token.is_some() {
            card.network_token = self.network_token;
        }
    }
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

    /// Takes what is given afresh with a stored card into memory, for one payment.
    ///
    /// # Errors
    /// As [`CardVault::hold`].
    async fn hold_proof(
        &self,
        merchant_id: MerchantId,
        proof: Proof,
        now_ms: u64,
    ) -> Result<ProofToken, VaultError>;

    /// Stores a held card for a customer, encrypted and without its security code, under a token for many
    /// payments. A card that this merchant has stored before for the same customer keeps its token; a
    /// changed expiry is taken over. The held card stays as it is.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Shredded`], [`VaultError::Unavailable`].
    async fn store(
        &self,
        merchant_id: MerchantId,
        owner: Owner,
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
        proof: Option<ProofToken>,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<CardSecret, VaultError>;

    /// Wipes a held card and a held proof: their payment has been sent. Stored cards stay.
    async fn release(&self, merchant_id: MerchantId, token: CardToken, proof: Option<ProofToken>);

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

    /// Seals a secret of a merchant that is no card, under a name that it is bound to. The caller keeps what is sealed.
    ///
    /// # Errors
    /// [`VaultError::NoKey`] where nothing can be stored; [`VaultError::Full`] above [`SECRET_BYTES_MAX`];
    /// [`VaultError::Shredded`], [`VaultError::Unavailable`].
    async fn seal(
        &self,
        merchant_id: MerchantId,
        name: &str,
        plain: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, VaultError>;

    /// Opens what [`CardVault::seal`] has sealed, and records that.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] unless it was sealed for this merchant under this name; the others of sealing.
    async fn open(
        &self,
        merchant_id: MerchantId,
        name: &str,
        sealed: &[u8],
        now_ms: u64,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError>;

    /// How many cards are held in this process's memory.
    fn held(&self) -> usize;
}
