//! Caches in front of a store that other gateways write to as well: in this process, then in Redis, then the store.
//!
//! Only the views of a store (`merchant_view`, `payment_view`, …) are answered from here. Whatever decides about money reads the
//! rows themselves, in the commit that books it. A cache that is wrong or gone makes a look slower or a moment old, and nothing else.
//!
//! Every change that goes through this store is forgotten here and in Redis before it is acknowledged, and told to all gateways. Where
//! nobody can tell (Redis is gone), what is in this process is believed for five seconds.

mod far;
mod key;
mod near;
mod pass;

pub use key::{Key, Kind};

use crate::Store;
use crate::batch::codec;
use crate::commit::{Admin, CommitError, Upkeep};
use crate::error::StoreError;
use crate::query::PolicyKind;
use crate::reads;
use crate::redis::{CHANGES, Heard, Redis};
use far::{Far, Found};
use near::{Near, Read};
use rand::RngExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use tollgate_core::api_key::KeyOwner;
use tollgate_core::id::MerchantId;

/// How long it is remembered that there is nothing.
const ABSENT: Duration = Duration::from_secs(30);

/// Listeners to changes may be so many behind.
const CHANGES_MAX: usize = 1_024;

/// Merchants that are read ahead at the start.
const WARM_MAX: usize = 1_000;

/// How caches are set.
#[derive(Debug, Clone, Copy)]
pub struct CacheOptions {
    /// Bytes in this process, more or less.
    pub bytes_max: u64,
}

/// Under which id the store keeps what holds for everybody.
const EVERYBODY: MerchantId = MerchantId::from_u128(0);

/// A merchant whose settings or keys changed; none: anybody's may have.
pub type Changed = Option<MerchantId>;

/// How long after a change whose outcome nobody knows it is forgotten once more.
const UNKNOWN: Duration = Duration::from_secs(30);

/// Most such changes at a time.
const DOUBTS_MAX: usize = 4_096;

/// A store with caches in front of it.
pub struct CachedStore(Arc<Core>);

struct Core {
    inner: Arc<dyn Store>,
    near: Arc<Near>,
    far: Option<Far>,
    changed: broadcast::Sender<Changed>,
    /// Changes whose outcome nobody knows that are to be forgotten once more.
    doubts: Arc<Semaphore>,
}

impl CachedStore {
    /// Puts caches in front of a store; without a Redis only this process's.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, redis: Option<Redis>, options: CacheOptions) -> Arc<Self> {
        let near = Arc::new(Near::new(options.bytes_max));
        let (changed, _) = broadcast::channel(CHANGES_MAX);
        // Until somebody tells of changes, little is believed.
        near.set_hearing(false);
        if let Some(redis) = &redis {
            tokio::spawn(hear(redis.listen(), Arc::clone(&near), changed.clone()));
        }
        let far = redis.map(Far::start);
        Arc::new(Self(Arc::new(Core {
            inner,
            near,
            far,
            changed,
            doubts: Arc::new(Semaphore::new(DOUBTS_MAX)),
        })))
    }

    /// Reads ahead what every payment of a merchant needs.
    async fn read_ahead(&self) -> Result<usize, StoreError> {
        let merchants = self.0.inner.merchants().await?;
        let mut warmed = 0;
        for merchant in merchants.iter().rev().take(WARM_MAX) {
            self.merchant_view(merchant.id).await?;
            self.partner_view(merchant.id).await?;
            self.processor_accounts_view(merchant.id).await?;
            for kind in [PolicyKind::Fraud, PolicyKind::Routing, PolicyKind::Limits, PolicyKind::ApiVersion] {
                self.policy_view(merchant.id, kind).await?;
            }
            warmed += 1;
        }
        Ok(warmed)
    }

    /// Changes something and forgets what it changed, in a task of its own: whoever asked may give up in between, and the store
    /// does it all the same.
    async fn change<T: Send + 'static>(
        &self,
        keys: Vec<Key>,
        change: impl Future<Output = Result<T, CommitError>> + Send + 'static,
    ) -> Result<T, CommitError> {
        let core = Arc::clone(&self.0);
        let done = tokio::spawn(async move {
            let done = change.await;
            let is_unknown = matches!(done, Err(CommitError::Store(_)));
            core.forget(keys.clone()).await;
            // It may still come to be seen. Of more than so many, a look is as old as its time allows.
            if is_unknown && let Ok(place) = Arc::clone(&core.doubts).try_acquire_owned() {
                tokio::spawn(async move {
                    tokio::time::sleep(UNKNOWN).await;
                    core.forget(keys).await;
                    drop(place);
                });
            }
            done
        });
        done.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string()).into()))
    }
}

impl Core {
    /// What is under a key: from this process, from Redis, or from the store.
    async fn view<T, F, R>(&self, key: Key, read: R) -> Result<T, StoreError>
    where
        T: Empty + Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, StoreError>> + Send,
        R: Fn() -> F + Send + Sync,
    {
        let count = |tier: &'static str| {
            metrics::counter!("tollgate_cache_reads_total", "kind" => key.kind.as_str(), "tier" => tier)
                .increment(1);
        };
        let fresh = async {
            // A replica may be behind: what it says is not kept.
            let (value, weight, left) = reads::whole(self.far_or_store(&key, &read)).await?;
            count(if left.is_some() { "redis" } else { "store" });
            let whole = Self::ttl(&key, value.is_empty());
            // What Redis has kept for a while is kept for the rest of its time.
            let ttl = left.map_or(whole, |left| left.min(whole));
            Ok(Read { value: Arc::new(value), weight, ttl })
        };
        match self.near.get::<T, _>(&key, fresh).await? {
            Some((value, true)) => {
                count("process");
                Ok(value)
            }
            Some((value, false)) => Ok(value),
            None => {
                count("store");
                reads::whole(read()).await
            }
        }
    }

    async fn far_or_store<T, F, R>(
        &self,
        key: &Key,
        read: &R,
    ) -> Result<(T, u32, Option<Duration>), StoreError>
    where
        T: Empty + Serialize + DeserializeOwned,
        F: Future<Output = Result<T, StoreError>> + Send,
        R: Fn() -> F,
    {
        let mut lease = None;
        if let Some(far) = &self.far {
            match far.get(key).await {
                Found::Value(bytes, left) => {
                    // Another version of the program may have written it: then the store is asked.
                    if let Ok(value) = codec::decode(&bytes, "cache") {
                        return Ok((value, weight(bytes.len()), Some(left)));
                    }
                }
                Found::Lease(token) => lease = Some(token),
                Found::Nothing => {}
            }
        }
        let value = read().await?;
        let bytes = codec::encode(&value)?;
        if let (Some(far), Some(lease)) = (&self.far, lease) {
            far.fill(key, lease, &bytes, Self::ttl(key, value.is_empty())).await;
        }
        Ok((value, weight(bytes.len()), None))
    }

    /// A tenth of the time is left to chance: what was read at once does not lapse at once.
    fn ttl(key: &Key, is_empty: bool) -> Duration {
        let whole = if is_empty { ABSENT.min(key.kind.ttl()) } else { key.kind.ttl() };
        whole.mul_f64(rand::rng().random_range(0.9..=1.0))
    }

    fn forget_near(&self, keys: &[Key]) {
        for key in keys {
            self.near.forget(&key.text);
            if key.kind != Kind::Payment {
                // Nobody may be listening.
                let _ = self.changed.send(whose(&key.text));
            }
        }
    }

    /// Forgets what has changed, here and elsewhere, before the change is acknowledged.
    async fn forget(&self, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        self.forget_near(&keys);
        if let Some(far) = &self.far {
            far.forget(keys.iter().map(|key| Arc::clone(&key.text)).collect()).await;
            // Meanwhile somebody may have read the old value there.
            self.forget_near(&keys);
        }
    }
}

/// Whose settings a key is about.
fn whose(text: &str) -> Changed {
    Key::merchant_of(text).filter(|id| *id != EVERYBODY)
}

/// What may be nothing.
trait Empty {
    fn is_empty(&self) -> bool;
}

impl<T> Empty for Option<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// A list that is empty is as good as any other.
impl<T> Empty for Vec<T> {
    fn is_empty(&self) -> bool {
        false
    }
}

/// What an entry weighs: its row, and what holds it.
fn weight(row: usize) -> u32 {
    const HELD: usize = 256;
    u32::try_from(row.saturating_mul(2).saturating_add(HELD)).unwrap_or(u32::MAX)
}

/// Hears what other gateways have changed.
async fn hear(mut heard: broadcast::Receiver<Heard>, near: Arc<Near>, changed: broadcast::Sender<Changed>) {
    loop {
        match heard.recv().await {
            Ok(Heard::Said(CHANGES, words)) => {
                for text in words.split(' ') {
                    near.forget(text);
                    if !Key::is_payment(text) {
                        let _ = changed.send(whose(text));
                    }
                }
            }
            Ok(Heard::Said(..)) => {}
            Ok(Heard::Lost) => near.set_hearing(false),
            // What was said meanwhile was missed.
            Ok(Heard::Begun) | Err(broadcast::error::RecvError::Lagged(_)) => {
                near.forget_all();
                near.set_hearing(true);
                let _ = changed.send(None);
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// The keys that an administrative change touches.
fn touched(change: &Admin, keys: &mut Vec<Key>) {
    match change {
        Admin::Together(changes) => changes.iter().for_each(|change| touched(change, keys)),
        Admin::PutPartner(partner) => {
            keys.extend(partner.merchants().map(|(_, id)| Key::partner(id)));
        }
        Admin::PutMerchant(merchant) => {
            keys.push(Key::merchant(merchant.id));
            keys.push(Key::partner(merchant.id));
        }
        // Keys are kept elsewhere; their holders' gateways are told.
        Admin::PutApiKey(key) => keys.push(Key::merchant(match key.owner {
            KeyOwner::Merchant(id) => id,
            KeyOwner::Platform => EVERYBODY,
        })),
        Admin::PutPolicy { merchant_id, kind, .. } => keys.push(Key::policy(*merchant_id, *kind)),
        Admin::PutProcessorAccount(account) => keys.push(Key::accounts(account.merchant_id)),
        Admin::PutSavedCard(card) => keys.push(Key::payment_method(card.merchant_id, card.token)),
        Admin::RemoveSavedCard { merchant_id, token } => {
            keys.push(Key::payment_method(*merchant_id, *token));
        }
        Admin::ErasePayments(erase) => {
            keys.extend(erase.payments.iter().map(|id| Key::payment(erase.merchant_id, *id)));
        }
        Admin::Told(_) | Admin::PutPasskey(_) | Admin::RemovePasskey(_) => {}
    }
}

fn touched_by_upkeep(change: &Upkeep, keys: &mut Vec<Key>) {
    match change {
        Upkeep::PinApiVersion { merchant_id, .. } => {
            keys.push(Key::policy(*merchant_id, PolicyKind::ApiVersion));
        }
        Upkeep::PutCheckout(_)
        | Upkeep::PutNotice(_)
        | Upkeep::NoteKeyUses(_)
        | Upkeep::CountPasskey(_)
        | Upkeep::CountCalls { .. }
        | Upkeep::AddUpDays { .. } => {}
    }
}

impl std::fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedStore")
            .field("inner", &self.0.inner)
            .field("entries", &self.0.near.len())
            .field("shared", &self.0.far.is_some())
            .finish()
    }
}
