//! The vault: the only place that holds card data.
//!
//! Today it holds a card for the length of one payment request, in memory alone: the API deposits
//! what the customer typed and passes on a token; the engine hands the token to the call that sends
//! the charge, which withdraws the card once. Nothing is written to disk, and what is not withdrawn
//! in time is wiped. Everything else in Tollgate sees brand, BIN, last four digits and expiry.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tollgate_core::card::CardSecret;

/// Names a card that is held for one request. Useless outside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CardToken(u64);

/// The vault cannot take another card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vault holds as many cards as it may")]
pub struct VaultFull;

/// Cards held for requests under way.
#[derive(Debug)]
pub struct TransientVault {
    held: Mutex<HashMap<CardToken, (u64, CardSecret)>>,
    next: AtomicU64,
    cards_max: usize,
    hold_ms: u64,
}

impl TransientVault {
    /// A vault for at most `cards_max` cards at once, each for at most `hold_ms` milliseconds.
    #[must_use]
    pub fn new(cards_max: usize, hold_ms: u64) -> Self {
        Self { held: Mutex::new(HashMap::new()), next: AtomicU64::new(1), cards_max, hold_ms }
    }

    /// Takes a card into keeping.
    ///
    /// # Errors
    /// [`VaultFull`], after what was forgotten has been wiped.
    pub fn deposit(&self, card: CardSecret, now_ms: u64) -> Result<CardToken, VaultFull> {
        let mut held = self.held.lock();
        if held.len() >= self.cards_max {
            held.retain(|_, (until_ms, _)| *until_ms > now_ms);
        }
        if held.len() >= self.cards_max {
            return Err(VaultFull);
        }
        let token = CardToken(self.next.fetch_add(1, Ordering::Relaxed));
        held.insert(token, (now_ms.saturating_add(self.hold_ms), card));
        Ok(token)
    }

    /// Hands a card out, once. `None` if it was handed out before or its time is over.
    pub fn withdraw(&self, token: CardToken, now_ms: u64) -> Option<CardSecret> {
        let (until_ms, card) = self.held.lock().remove(&token)?;
        (until_ms > now_ms).then_some(card)
    }

    /// How many cards are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.lock().len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::card::CardNumber;

    fn card() -> CardSecret {
        CardSecret {
            number: CardNumber::parse("4111111111111111").unwrap(),
            exp_month: 12,
            exp_year: 2030,
            cvc: None,
            holder: None,
            network_token: None,
        }
    }

    #[test]
    fn a_card_is_handed_out_once() {
        let vault = TransientVault::new(2, 1_000);
        let token = vault.deposit(card(), 0).unwrap();
        assert_eq!(vault.withdraw(token, 10).unwrap().number.last4(), "1111");
        assert!(vault.withdraw(token, 10).is_none());
        assert!(vault.is_empty());
    }

    #[test]
    fn bounds_hold() {
        let vault = TransientVault::new(1, 1_000);
        let late = vault.deposit(card(), 0).unwrap();
        assert_eq!(vault.deposit(card(), 500), Err(VaultFull));
        let fresh = vault.deposit(card(), 1_000).unwrap();
        assert!(vault.withdraw(late, 1_000).is_none());
        assert!(vault.withdraw(fresh, 1_999).is_some());
        let lapsed = vault.deposit(card(), 2_000).unwrap();
        assert!(vault.withdraw(lapsed, 3_000).is_none());
    }
}
