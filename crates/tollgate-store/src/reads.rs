//! Reads that may be a little behind.
//!
//! A store with replicas asks them for what is read within [`relaxed`], when they show at least what the caller has
//! written itself; all other reads see everything that was ever acknowledged. What decides about money, or answers a
//! repeated request, is never read within it. What a task reads that was started within it is not relaxed.

use parking_lot::Mutex;
use std::sync::Arc;
use tollgate_core::id::MerchantId;

tokio::task_local! {
    static READING: Option<Arc<Reading>>;
}

/// Who reads, and what it must see at least.
#[derive(Debug, Default)]
pub struct Reading {
    merchant_id: Option<MerchantId>,
    token: Option<String>,
    /// Where it reads, by store: all of one request sees one state, and none goes back in time.
    places: Mutex<Vec<(usize, Option<usize>)>>,
}

impl Reading {
    /// For a merchant, or for whoever sees all; with the token that its last change gave it
    /// ([`Store::consistency`](crate::Store::consistency)).
    #[must_use]
    pub fn new(merchant_id: Option<MerchantId>, token: Option<String>) -> Self {
        Self { merchant_id, token, places: Mutex::default() }
    }

    pub(crate) const fn merchant_id(&self) -> Option<MerchantId> {
        self.merchant_id
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Where it reads of a store; chosen at the first read.
    pub(crate) fn place(&self, store: usize, choose: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let mut places = self.places.lock();
        if let Some((_, place)) = places.iter().find(|(known, _)| *known == store) {
            return *place;
        }
        let place = choose();
        places.push((store, place));
        place
    }

    /// From now on it reads of a store where everything is.
    pub(crate) fn go_back(&self, store: usize) {
        let mut places = self.places.lock();
        places.retain(|(known, _)| *known != store);
        places.push((store, None));
    }
}

/// Lets what is read within be a little behind.
pub async fn relaxed<F: Future>(reading: Reading, within: F) -> F::Output {
    READING.scope(Some(Arc::new(reading)), within).await
}

/// Lets nothing that is read within be behind, also within [`relaxed`]: what is kept for others must be whole.
pub async fn whole<F: Future>(within: F) -> F::Output {
    READING.scope(None, within).await
}

/// Who reads now, if what it reads may be behind.
pub(crate) fn current() -> Option<Arc<Reading>> {
    READING.try_with(Option::clone).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_within_is_relaxed() {
        assert!(current().is_none());
        relaxed(Reading::new(None, Some("t".to_owned())), async {
            assert_eq!(
                current().and_then(|reading| reading.token().map(str::to_owned)).as_deref(),
                Some("t")
            );
            assert!(whole(async { current().is_none() }).await);
            let apart = tokio::spawn(async { current().is_none() }).await;
            assert!(apart.is_ok_and(|apart| apart), "a task of its own sees everything");
        })
        .await;
        assert!(current().is_none());
    }

    #[test]
    fn a_request_stays_where_it_began_to_read() {
        let reading = Reading::default();
        assert_eq!(reading.place(1, || Some(3)), Some(3));
        assert_eq!(reading.place(1, || Some(4)), Some(3));
        assert_eq!(reading.place(2, || None), None);
        reading.go_back(1);
        assert_eq!(reading.place(1, || Some(3)), None);
    }
}
