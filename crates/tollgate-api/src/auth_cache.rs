//! API keys that were looked up lately, so that a payment does not wait for two more reads.
//!
//! Bounded in size and age. Keys that do not exist are remembered apart from those that do: a
//! flood of invented ids cannot push out the keys of real callers.

use crate::auth::{Owner, Principal};
use crate::guard::limits::{Meters, RateLimits};
use crate::state::AppState;
use crate::versions::Counts;
use crate::versions::account::VersionedAccount;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tollgate_core::actor::Actor;
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::id::{ApiKeyId, MerchantId};
use tollgate_store::Store;
use tollgate_store::cached::Changed;
use tollgate_store::commit::Upkeep;
use tollgate_store::error::StoreError;

/// How long an entry is believed: what another process changed is seen after this at the latest.
const AGE_MAX: Duration = Duration::from_secs(30);

/// Most entries of each kind.
const ENTRIES_MAX: usize = 10_000;

/// How often the store is told when keys were used.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// Uses that are told in one commit.
const USES_AT_ONCE: usize = 1_000;

/// A key that is not revoked; it may have expired.
#[derive(Debug)]
pub struct KnownKey {
    /// The key.
    pub key: Arc<ApiKey>,
    /// Its holder.
    pub principal: Arc<Principal>,
    /// Counts its account's requests; none: they are not limited.
    pub meters: Option<Arc<Meters>>,
    /// The last minute in which its use was noted.
    noted_minute: AtomicU64,
}

type Entries<T> = RwLock<HashMap<ApiKeyId, (Instant, T)>>;

/// The cache.
#[derive(Debug, Default)]
pub struct AuthCache {
    known: Entries<Arc<KnownKey>>,
    unknown: Entries<()>,
    /// When keys were used, as far as the store has not been told yet.
    uses: Mutex<HashMap<ApiKeyId, u64>>,
    /// Counts invalidations: what was read before one must not be kept after it.
    generation: AtomicU64,
}

impl AuthCache {
    /// The key of an id, if there is one that is not revoked.
    ///
    /// # Errors
    /// The store could not be read.
    pub(crate) async fn find(
        &self,
        store: &dyn Store,
        limits: &RateLimits,
        counts: &Counts,
        id: ApiKeyId,
    ) -> Result<Option<Arc<KnownKey>>, StoreError> {
        if let Some(known) = fresh(&self.known, id) {
            return Ok(Some(known));
        }
        if fresh(&self.unknown, id).is_some() {
            return Ok(None);
        }
        let generation = self.generation.load(Ordering::Acquire);
        // Boxed: it is seldom needed, and room for it would be kept in every request.
        let found = Box::pin(Self::read(store, limits, counts, id)).await?;
        match &found {
            Some(known) => self.keep(&self.known, generation, id, Arc::clone(known)),
            None => self.keep(&self.unknown, generation, id, ()),
        }
        Ok(found)
    }

    /// Whether this key was there when it was last looked up, not long ago.
    pub(crate) fn has_known(&self, id: ApiKeyId) -> bool {
        self.known.read().contains_key(&id)
    }

    async fn read(
        store: &dyn Store,
        limits: &RateLimits,
        counts: &Counts,
        id: ApiKeyId,
    ) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let Some(key) = store.api_key(id).await? else {
            return Ok(None);
        };
        if key.revoked_at_ms.is_some() {
            return Ok(None);
        }
        let owner = match key.owner {
            KeyOwner::Platform => Owner::Platform,
            KeyOwner::Merchant(id) => match store.merchant(id).await? {
                Some(merchant) => Owner::Merchant(Arc::new(merchant)),
                None => return Ok(None),
            },
        };
        let account = match key.owner {
            KeyOwner::Merchant(id) => Some(Arc::new(VersionedAccount::read(store, id, counts).await?)),
            KeyOwner::Platform => None,
        };
        let key = Arc::new(key);
        let principal = Principal {
            actor: Actor::ApiKey(id),
            owner,
            role: key.role,
            permissions: key.permissions(),
            key: Some(Arc::clone(&key)),
            account,
            by_token: false,
        };
        let meters = match key.owner {
            KeyOwner::Merchant(id) => limits.meters(store, id).await?,
            KeyOwner::Platform => None,
        };
        let known = KnownKey { key, principal: Arc::new(principal), meters, noted_minute: AtomicU64::new(0) };
        Ok(Some(Arc::new(known)))
    }

    /// Notes that a key was used. Costs a look at a number, but once a minute.
    pub(crate) fn note_use(&self, known: &KnownKey, now_ms: u64) {
        let minute = now_ms / 60_000;
        if known.noted_minute.load(Ordering::Relaxed) == minute {
            return;
        }
        known.noted_minute.store(minute, Ordering::Relaxed);
        let mut uses = self.uses.lock();
        if uses.len() < ENTRIES_MAX || uses.contains_key(&known.key.id) {
            uses.insert(known.key.id, now_ms);
        }
    }

    /// When a key was last used, if the store does not know it yet.
    pub(crate) fn noted_use(&self, id: ApiKeyId) -> Option<u64> {
        self.uses.lock().get(&id).copied()
    }

    /// Tells the store when keys were used. A use that cannot be told is forgotten: it is for people to look at.
    pub async fn store_uses(&self, store: &dyn Store) {
        let uses: Vec<(ApiKeyId, u64)> = std::mem::take(&mut *self.uses.lock()).into_iter().collect();
        for part in uses.chunks(USES_AT_ONCE) {
            if let Err(error) = store.upkeep(Upkeep::NoteKeyUses(part.to_vec())).await {
                tracing::warn!(%error, "when keys were used could not be noted");
            }
        }
    }

    /// Forgets a key: call it after making, changing or revoking one. Takes effect at once.
    pub fn invalidate(&self, id: ApiKeyId) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.known.write().remove(&id);
        self.unknown.write().remove(&id);
    }

    /// Forgets the keys of one account: call it after changing what is remembered beside them.
    pub fn forget(&self, merchant_id: MerchantId) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        let theirs = KeyOwner::Merchant(merchant_id);
        self.known.write().retain(|_, (_, known)| known.key.owner != theirs);
        // A key of theirs may be there now.
        self.unknown.write().clear();
    }

    /// Forgets everything: call it after changing a merchant.
    pub fn clear(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.known.write().clear();
        self.unknown.write().clear();
    }

    fn keep<T>(&self, entries: &Entries<T>, generation: u64, id: ApiKeyId, value: T) {
        let mut entries = entries.write();
        // Under the lock that an invalidation needs too: it comes either before this look or after
        // the insertion, and never between.
        if self.generation.load(Ordering::Acquire) != generation {
            return;
        }
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, (since, _)| since.elapsed() < AGE_MAX);
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        entries.insert(id, (Instant::now(), value));
    }
}

/// Tells the store once a minute when keys were used and what was called, and looks after the keys for tokens, for as long as the API lives.
pub(crate) async fn upkeep(state: AppState) {
    fetch_keys(&state).await;
    let state = state.downgrade();
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        let Some(state) = state.upgrade() else {
            return;
        };
        fetch_keys(&state).await;
        let store = state.engine().store().as_ref();
        let now_ms = state.engine().now_ms();
        state.auth().store_uses(store).await;
        state.versions().store(store, now_ms).await;
        // It reads files.
        let looked_after = tokio::task::spawn_blocking(move || {
            if let Some(tokens) = state.tokens() {
                tokens.upkeep(now_ms);
            }
        });
        if let Err(error) = looked_after.await {
            tracing::error!(%error, "the keys for tokens could not be looked after");
        }
    }
}

/// Forgets keys and settings that this gateway or another has changed, for as long as somebody tells.
pub(crate) async fn heed(state: AppState, mut changes: Receiver<Changed>) {
    let state = state.downgrade();
    loop {
        let changed = match changes.recv().await {
            Ok(changed) => changed,
            // Some were missed: any may be theirs.
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return,
        };
        let Some(state) = state.upgrade() else {
            return;
        };
        match changed {
            Some(merchant_id) => state.auth().forget(merchant_id),
            None => state.auth().clear(),
        }
    }
}

async fn fetch_keys(state: &AppState) {
    if let Some(tokens) = state.tokens() {
        tokens.fetch_due(state.engine().now_ms()).await;
    }
}

fn fresh<T: Clone>(entries: &Entries<T>, id: ApiKeyId) -> Option<T> {
    let entries = entries.read();
    let (since, value) = entries.get(&id)?;
    (since.elapsed() < AGE_MAX).then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u128) -> ApiKeyId {
        ApiKeyId::from_u128(value)
    }

    #[test]
    fn what_was_read_before_an_invalidation_is_not_kept() {
        let cache = AuthCache::default();
        let before = cache.generation.load(Ordering::Acquire);
        cache.invalidate(id(1));
        cache.keep(&cache.unknown, before, id(1), ());
        assert!(fresh(&cache.unknown, id(1)).is_none());
        let now = cache.generation.load(Ordering::Acquire);
        cache.keep(&cache.unknown, now, id(1), ());
        assert!(fresh(&cache.unknown, id(1)).is_some());
        cache.invalidate(id(1));
        assert!(fresh(&cache.unknown, id(1)).is_none());
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let cache = AuthCache::default();
        for value in 0..(2 * ENTRIES_MAX as u128 + 5) {
            cache.keep(&cache.unknown, 0, id(value), ());
            assert!(cache.unknown.read().len() <= ENTRIES_MAX);
        }
    }
}
