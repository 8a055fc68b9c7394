//! Cards, and security codes and cryptograms given apart from them, that are held in memory for one payment. Wiped when they are released, and
//! when their time is over.

use crate::{CardOnFile, CardToken, CardVault, Fingerprint, Owner, Proof, ProofToken, Purpose, VaultError};
use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use std::collections::HashMap;
use std::fmt;
use tollgate_core::card::CardSecret;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::method::CardSummary;
use zeroize::Zeroizing;

struct HeldCard {
    merchant_id: MerchantId,
    until_ms: u64,
    fingerprint: Fingerprint,
    /// The payment that has withdrawn it.
    payment_id: Option<PaymentId>,
    card: CardSecret,
}

struct HeldProof {
    merchant_id: MerchantId,
    until_ms: u64,
    payment_id: Option<PaymentId>,
    proof: Proof,
}

#[derive(Default)]
struct Shelves {
    cards: HashMap<CardToken, HeldCard>,
    proofs: HashMap<ProofToken, HeldProof>,
    /// When it was last looked for what nobody fetched.
    swept_at_ms: u64,
}

/// How often it is looked for what nobody fetched, if cards come in.
const SWEEP_MS: u64 = 30_000;

impl Shelves {
    fn sweep(&mut self, now_ms: u64) {
        self.cards.retain(|_, held| held.until_ms > now_ms);
        self.proofs.retain(|_, held| held.until_ms > now_ms);
        self.swept_at_ms = now_ms;
    }
}

/// Cards and proofs held for payments under way; bounded in number and time.
pub struct HeldCards {
    shelves: Mutex<Shelves>,
    held_max: usize,
    hold_ms: u64,
}

impl fmt::Debug for HeldCards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldCards").field("held", &self.len()).finish_non_exhaustive()
    }
}

impl HeldCards {
    /// Room for `held_max` cards and as many proofs, each for at most `hold_ms` milliseconds.
    #[must_use]
    pub fn new(held_max: usize, hold_ms: u64) -> Self {
        Self { shelves: Mutex::default(), held_max, hold_ms }
    }

    /// Takes a card.
    ///
    /// # Errors
    /// [`VaultError::Full`], after what was forgotten has been wiped.
    pub fn put(
        &self,
        merchant_id: MerchantId,
        card: CardSecret,
        fingerprint: Fingerprint,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        let summary = CardSummary::of(&card);
        let token = CardToken::from_random(rand::random());
        let until_ms = now_ms.saturating_add(self.hold_ms);
        let mut shelves = self.shelves.lock();
        self.make_room(&mut shelves, now_ms)?;
        shelves.cards.insert(token, HeldCard { merchant_id, until_ms, fingerprint, payment_id: None, card });
        Ok(CardOnFile { token, summary, fingerprint, stored: false })
    }

    /// Takes a proof.
    ///
    /// # Errors
    /// As [`HeldCards::put`].
    pub fn put_proof(
        &self,
        merchant_id: MerchantId,
        proof: Proof,
        now_ms: u64,
    ) -> Result<ProofToken, VaultError> {
        let token = ProofToken::from_random(rand::random());
        let until_ms = now_ms.saturating_add(self.hold_ms);
        let mut shelves = self.shelves.lock();
        self.make_room(&mut shelves, now_ms)?;
        shelves.proofs.insert(token, HeldProof { merchant_id, until_ms, payment_id: None, proof });
        Ok(token)
    }

    fn make_room(&self, shelves: &mut Shelves, now_ms: u64) -> Result<(), VaultError> {
        let room =
            |shelves: &Shelves| shelves.cards.len() < self.held_max && shelves.proofs.len() < self.held_max;
        if !room(shelves) || now_ms.saturating_sub(shelves.swept_at_ms) > SWEEP_MS {
            shelves.sweep(now_ms);
        }
        if room(shelves) { Ok(()) } else { Err(VaultError::Full) }
    }

    /// Wipes what nobody fetched in time.
    pub fn sweep(&self, now_ms: u64) {
        self.shelves.lock().sweep(now_ms);
    }

    /// The masked card.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn describe(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        let shelves = self.shelves.lock();
        let held = shelves
            .cards
            .get(&token)
            .filter(|held| held.merchant_id == merchant_id && held.until_ms > now_ms)
            .ok_or(VaultError::NotFound)?;
        let summary = CardSummary::of(&held.card);
        Ok(CardOnFile { token, summary, fingerprint: held.fingerprint, stored: false })
    }

    /// A copy of a card that no payment has withdrawn, for storing it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn copy(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        now_ms: u64,
    ) -> Result<(CardSecret, Fingerprint), VaultError> {
        let shelves = self.shelves.lock();
        let held = shelves
            .cards
            .get(&token)
            .filter(|held| held.merchant_id == merchant_id && held.until_ms > now_ms)
            .ok_or(VaultError::NotFound)?;
        Ok((held.card.clone(), held.fingerprint))
    }

    /// The clear card, for a payment.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn withdraw(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        payment_id: PaymentId,
        now_ms: u64,
    ) -> Result<CardSecret, VaultError> {
        let mut shelves = self.shelves.lock();
        let held = shelves
            .cards
            .get_mut(&token)
            .filter(|held| {
                let free = held.payment_id.is_none_or(|bound| bound == payment_id);
                free && held.merchant_id == merchant_id && held.until_ms > now_ms
            })
            .ok_or(VaultError::NotFound)?;
        held.payment_id = Some(payment_id);
        Ok(held.card.clone())
    }

    /// A proof, for a payment.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn withdraw_proof(
        &self,
        merchant_id: MerchantId,
        token: ProofToken,
        payment_id: PaymentId,
        now_ms: u64,
    ) -> Result<Proof, VaultError> {
        let mut shelves = self.shelves.lock();
        let held = shelves
            .proofs
            .get_mut(&token)
            .filter(|held| {
                let free = held.payment_id.is_none_or(|bound| bound == payment_id);
                free && held.merchant_id == merchant_id && held.until_ms > now_ms
            })
            .ok_or(VaultError::NotFound)?;
        held.payment_id = Some(payment_id);
        Ok(held.proof.clone())
    }

    /// Wipes a card and a proof. True if the card was held.
    pub fn release(&self, merchant_id: MerchantId, token: CardToken, proof: Option<ProofToken>) -> bool {
        let mut shelves = self.shelves.lock();
        if let Some(proof) = proof
            && shelves.proofs.get(&proof).is_some_and(|held| held.merchant_id == merchant_id)
        {
            shelves.proofs.remove(&proof);
        }
        let own = shelves.cards.get(&token).is_some_and(|held| held.merchant_id == merchant_id);
        own && shelves.cards.remove(&token).is_some()
    }

    /// How many cards are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelves.lock().cards.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A vault that holds cards for payments under way and stores none.
#[derive(Debug)]
pub struct MemoryVault {
    held: HeldCards,
    key: [u8; 32],
}

impl MemoryVault {
    /// See [`HeldCards::new`]. Its fingerprints are good for the life of the process.
    #[must_use]
    pub fn new(held_max: usize, hold_ms: u64) -> Self {
        Self { held: HeldCards::new(held_max, hold_ms), key: rand::random() }
    }

    fn fingerprint(&self, card: &CardSecret) -> Fingerprint {
        fingerprint(&self.key, card)
    }
}

/// The first half of HMAC-SHA-256 of the card's number.
pub(crate) fn fingerprint(key: &[u8; 32], card: &CardSecret) -> Fingerprint {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any key length");
    mac.update(b"tollgate card fingerprint v1\0");
    mac.update(card.number.expose().as_bytes());
    let digest: [u8; 32] = mac.finalize().into_bytes().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    Fingerprint::from_bytes(half)
}

#[async_trait]
impl CardVault for MemoryVault {
    async fn hold(
        &self,
        merchant_id: MerchantId,
        card: CardSecret,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        let fingerprint = self.fingerprint(&card);
        self.held.put(merchant_id, card, fingerprint, now_ms)
    }

    async fn hold_proof(
        &self,
        merchant_id: MerchantId,
        proof: Proof,
        now_ms: u64,
    ) -> Result<ProofToken, VaultError> {
        self.held.put_proof(merchant_id, proof, now_ms)
    }

    async fn store(&self, _: MerchantId, _: Owner, _: CardToken, _: u64) -> Result<CardOnFile, VaultError> {
        Err(VaultError::Unavailable)
    }

    async fn describe(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        self.held.describe(merchant_id, token, now_ms)
    }

    async fn withdraw(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        proof: Option<ProofToken>,
        purpose: Purpose,
        now_ms: u64,
    ) -> Result<CardSecret, VaultError> {
        let Purpose::Charge(payment_id) = purpose;
        let mut card = self.held.withdraw(merchant_id, token, payment_id, now_ms)?;
        if let Some(proof) = proof {
            self.held.withdraw_proof(merchant_id, proof, payment_id, now_ms)?.add_to(&mut card);
        }
        Ok(card)
    }

    async fn release(&self, merchant_id: MerchantId, token: CardToken, proof: Option<ProofToken>) {
        self.held.release(merchant_id, token, proof);
    }

    async fn delete(&self, merchant_id: MerchantId, token: CardToken, _: u64) -> Result<(), VaultError> {
        if self.held.release(merchant_id, token, None) { Ok(()) } else { Err(VaultError::NotFound) }
    }

    async fn shred(&self, _: MerchantId, _: u64) -> Result<(), VaultError> {
        Err(VaultError::Unavailable)
    }

    async fn seal(&self, _: MerchantId, _: &str, _: &[u8], _: u64) -> Result<Vec<u8>, VaultError> {
        Err(VaultError::NoKey)
    }

    async fn open(&self, _: MerchantId, _: &str, _: &[u8], _: u64) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        Err(VaultError::NoKey)
    }

    fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::card::{CardNumber, Cvc};
    use tollgate_core::id::IdParts;

    fn card() -> CardSecret {
        CardSecret {
            number: CardNumber::parse("4111111111111111").unwrap(),
            exp_month: 12,
            exp_year: 2030,
            cvc: Some(Cvc::parse("123").unwrap()),
            holder: None,
            network_token: None,
        }
    }

    fn merchant(random: u64) -> MerchantId {
        MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random })
    }

    fn payment(random: u64) -> PaymentId {
        PaymentId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random })
    }

    #[tokio::test]
    async fn a_card_is_for_one_merchant_and_one_payment() {
        let vault = MemoryVault::new(2, 1_000);
        let (ours, theirs) = (merchant(1), merchant(2));
        let token = vault.hold(ours, card(), 0).await.unwrap().token;
        let take = async |merchant, number| {
            vault.withdraw(merchant, token, None, Purpose::Charge(payment(number)), 10).await.map(drop)
        };
        assert_eq!(take(theirs, 1).await, Err(VaultError::NotFound));
        assert_eq!(vault.delete(theirs, token, 10).await, Err(VaultError::NotFound));
        vault.release(theirs, token, None).await;
        take(ours, 1).await.unwrap();
        // Its next processor needs it again; another payment does not get it.
        take(ours, 1).await.unwrap();
        assert_eq!(take(ours, 2).await, Err(VaultError::NotFound));
        vault.release(ours, token, None).await;
        assert_eq!(take(ours, 1).await, Err(VaultError::NotFound));
        assert!(vault.held.is_empty());
    }

    #[tokio::test]
    async fn the_same_number_has_the_same_fingerprint() {
        let vault = MemoryVault::new(9, 1_000);
        let first = vault.hold(merchant(1), card(), 0).await.unwrap();
        let second = vault.hold(merchant(2), CardSecret { exp_year: 2031, ..card() }, 0).await.unwrap();
        assert_eq!(first.fingerprint, second.fingerprint);
        assert_ne!(first.token, second.token);
        let other = CardSecret { number: CardNumber::parse("5555555555554444").unwrap(), ..card() };
        assert_ne!(vault.hold(merchant(1), other, 0).await.unwrap().fingerprint, first.fingerprint);
    }

    #[test]
    fn bounds_hold() {
        let held = HeldCards::new(1, 1_000);
        let fingerprint = Fingerprint::from_random(1);
        let late = held.put(merchant(1), card(), fingerprint, 0).unwrap().token;
        assert_eq!(held.put(merchant(1), card(), fingerprint, 500), Err(VaultError::Full));
        let fresh = held.put(merchant(1), card(), fingerprint, 1_000).unwrap().token;
        assert!(held.withdraw(merchant(1), late, payment(1), 1_000).is_err());
        assert!(held.withdraw(merchant(1), fresh, payment(1), 1_999).is_ok());
        assert!(held.withdraw(merchant(1), fresh, payment(1), 2_000).is_err());
        held.sweep(2_000);
        assert!(held.is_empty());
    }
}
