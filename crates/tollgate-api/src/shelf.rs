//! Cards that customers have typed into payment pages and that wait, for a minute at most, for the form
//! that uses them. The digits are in the vault; here is which session they belong to.

use parking_lot::Mutex;
use std::collections::HashMap;
use tollgate_core::base62;
use tollgate_core::id::CheckoutId;
use tollgate_core::method::CardSummary;
use tollgate_engine::desk::CardInHand;

/// How long a card waits, in milliseconds: as long as the vault holds it.
const WAIT_MS: u64 = 60_000;

/// Most sessions with a waiting card.
const CARDS_MAX: usize = 10_000;

/// A card that waits.
#[derive(Debug, Clone)]
pub(crate) struct Shelved {
    /// Where the vault holds it.
    pub(crate) card: CardInHand,
    /// Its masked form.
    pub(crate) summary: CardSummary,
}

/// The cards that wait, at most one a session.
#[derive(Debug, Default)]
pub(crate) struct CardShelf(Mutex<HashMap<CheckoutId, (u128, u64, Shelved)>>);

/// Too many cards wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShelfFull;

impl CardShelf {
    /// Keeps a card for a session; returns the token that takes it, and the card it replaces.
    pub(crate) fn put(
        &self,
        id: CheckoutId,
        shelved: Shelved,
        now_ms: u64,
    ) -> Result<(String, Option<CardInHand>), ShelfFull> {
        let random: u128 = rand::random();
        let mut waiting = self.0.lock();
        if waiting.len() >= CARDS_MAX {
            waiting.retain(|_, (_, until_ms, _)| *until_ms > now_ms);
        }
        if waiting.len() >= CARDS_MAX {
            return Err(ShelfFull);
        }
        let replaced = waiting.insert(id, (random, now_ms.saturating_add(WAIT_MS), shelved));
        drop(waiting);
        let mut token = String::with_capacity(base62::LENGTH);
        base62::encode_into(random, &mut token);
        Ok((token, replaced.map(|(_, _, shelved)| shelved.card)))
    }

    /// Takes a session's card, once.
    pub(crate) fn take(&self, id: CheckoutId, token: &str, now_ms: u64) -> Option<Shelved> {
        let wanted = base62::decode(token)?;
        let mut waiting = self.0.lock();
        let right =
            waiting.get(&id).is_some_and(|(random, until_ms, _)| *random == wanted && *until_ms > now_ms);
        if !right {
            return None;
        }
        waiting.remove(&id).map(|(_, _, shelved)| shelved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::card::CardBrand;
    use tollgate_vault::{CardToken, Fingerprint};

    #[test]
    fn a_card_is_taken_once_by_its_own_session_and_in_time() {
        let shelved = |token| Shelved {
            card: CardInHand {
                token: CardToken::from_random(token),
                cvc: None,
                fingerprint: Fingerprint::from_random(1),
            },
            summary: CardSummary {
                brand: CardBrand::Visa,
                bin: "411111".to_owned(),
                last4: "1111".to_owned(),
                exp_month: 12,
                exp_year: 2030,
                network_token: false,
            },
        };
        let (a, b) = (CheckoutId::from_u128(1), CheckoutId::from_u128(2));
        let shelf = CardShelf::default();
        let (token, replaced) = shelf.put(a, shelved(1), 0).unwrap();
        assert!(replaced.is_none() && shelf.take(b, &token, 1).is_none() && shelf.take(a, "x", 1).is_none());
        assert!(shelf.take(a, &token, 1).is_some());
        assert!(shelf.take(a, &token, 1).is_none());
        let (token, _) = shelf.put(a, shelved(2), 0).unwrap();
        let (next, replaced) = shelf.put(a, shelved(3), 0).unwrap();
        assert_eq!(replaced, Some(shelved(2).card));
        assert!(shelf.take(a, &token, 1).is_none());
        assert!(shelf.take(a, &next, WAIT_MS).is_none());
    }
}
