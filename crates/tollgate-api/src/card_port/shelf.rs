//! Which card waits for which session: a session has one at most, so that nobody fills the vault with one
//! payment page.

use parking_lot::Mutex;
use std::collections::HashMap;
use tollgate_vault::{CardSession, CardToken};

/// Most sessions with a waiting card.
const CARDS_MAX: usize = 10_000;

/// The cards that wait, at most one a session.
#[derive(Debug, Default)]
pub(super) struct CardShelf(Mutex<HashMap<u128, (u64, CardToken)>>);

/// Too many cards wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShelfFull;

impl CardShelf {
    /// Notes a session's card; returns the one it replaces.
    pub(super) fn put(
        &self,
        session: CardSession,
        token: CardToken,
        now_ms: u64,
    ) -> Result<Option<CardToken>, ShelfFull> {
        let mut waiting = self.0.lock();
        if waiting.len() >= CARDS_MAX {
            waiting.retain(|_, (until_ms, _)| *until_ms > now_ms);
        }
        if waiting.len() >= CARDS_MAX && !waiting.contains_key(&session.nonce) {
            return Err(ShelfFull);
        }
        let replaced = waiting.insert(session.nonce, (session.expires_at_ms, token));
        Ok(replaced.map(|(_, token)| token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::id::MerchantId;

    #[test]
    fn a_session_has_one_card_and_the_shelf_is_bounded() {
        let session =
            |nonce| CardSession { merchant_id: MerchantId::from_u128(1 << 70), expires_at_ms: 1_000, nonce };
        let shelf = CardShelf::default();
        let token = CardToken::from_random;
        assert_eq!(shelf.put(session(0), token(1), 0), Ok(None));
        assert_eq!(shelf.put(session(0), token(2), 0), Ok(Some(token(1))));
        for nonce in 1..CARDS_MAX as u128 {
            assert_eq!(shelf.put(session(nonce), token(3), 0), Ok(None));
        }
        assert_eq!(shelf.put(session(u128::MAX), token(4), 999), Err(ShelfFull));
        assert_eq!(shelf.put(session(0), token(5), 999), Ok(Some(token(2))));
        assert_eq!(shelf.put(session(u128::MAX), token(4), 1_000), Ok(None));
    }
}
